# SPDX-License-Identifier: Apache-2.0
"""Dynamic ranges: the integer bits that every tensor and kernel needs so that nothing saturates.

References
----------
P. Gysel, J. Pimentel, M. Motamedi, S. Ghiasi, "Ristretto: A Framework for Empirical Study of Resource-Efficient
Inference in Convolutional Neural Networks", IEEE TNNLS 29 (2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log2

import numpy as np
from numpy.typing import NDArray

from hwflow.prepare.build import build
from hwflow.prepare.calibrate import magnitudes
from hwflow.prepare.net import WEIGHTED, Net
from hwflow.prepare.quantize import is_signed, quantized_tensors


@dataclass(frozen=True, slots=True)
class Range:
    """What a set of values needs.

    Parameters
    ----------
    name : str
        Node of the network.
    kind : str
        ``weights`` or ``activations``.
    count : int
        Weights, or values a frame.
    largest : float
        Largest magnitude.
    integer_bits : int
        Integer bits, sign included, with which nothing saturates (but by rounding up); negative where the largest
        magnitude is small.
    """

    name: str
    kind: str
    count: int
    largest: float
    integer_bits: int


def dynamic_ranges(net: Net, calibration: NDArray[np.float32]) -> list[Range]:
    """Ranges of all kernels and of all tensors that are quantized.

    Parameters
    ----------
    net : Net
        Folded network.
    calibration : ndarray of float32, shape (n, ...)
        Typical inputs, which the ranges of tensors are those of.
    """
    found = []
    for node in net:
        if node.kind in WEIGHTED:
            kernel = node.arrays["kernel"]
            largest = float(np.abs(kernel).max())
            found.append(
                Range(node.name, "weights", kernel.size, largest, integer_bits(largest, signed=True))
            )
    names = quantized_tensors(net)
    for name, largest in magnitudes(build(net), names, calibration, 100).items():
        bits = integer_bits(largest, signed=is_signed(net, name))
        found.append(Range(name, "activations", int(np.prod(net.nodes[name].shape)), largest, bits))
    return found


def integer_bits(largest: float, *, signed: bool) -> int:
    """Integer bits that hold a magnitude.

    Examples
    --------
    >>> integer_bits(1.0, signed=True), integer_bits(0.99, signed=True), integer_bits(5, signed=False)
    (2, 1, 3)
    """
    return (floor(log2(largest)) + 1 if largest > 0 else 0) + int(signed)
