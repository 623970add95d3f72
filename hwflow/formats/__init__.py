# SPDX-License-Identifier: Apache-2.0
"""Number formats of weights and activations: which values they have, and what storing them takes.

``parse("codebook<16>").fit(weights).quantize(weights)`` quantizes an array after training; ``hwflow.formats.keras``
makes QKeras quantizers of the same formats.

[Calzoni 2020] in this package is A. Calzoni, "Quantization Analysis for Face Image Detection Through Dense Neural
Networks", master's thesis, Politecnico di Torino, 2020.
"""

from __future__ import annotations

from hwflow.formats.base import Format, LevelFormat
from hwflow.formats.binary import Binary
from hwflow.formats.codebook import Codebook
from hwflow.formats.fixed import Fixed
from hwflow.formats.groups import compression_rate, fit_groups, network_rate, stored_bits
from hwflow.formats.minifloat import MiniFloat
from hwflow.formats.pow2 import Pow2
from hwflow.formats.scaled import Scaled
from hwflow.formats.ternary import Ternary
from hwflow.formats.text import from_json, parse

__all__ = [
    "Binary",
    "Codebook",
    "Fixed",
    "Format",
    "LevelFormat",
    "MiniFloat",
    "Pow2",
    "Scaled",
    "Ternary",
    "compression_rate",
    "fit_groups",
    "from_json",
    "network_rate",
    "parse",
    "stored_bits",
]
