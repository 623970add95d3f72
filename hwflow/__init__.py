# SPDX-License-Identifier: Apache-2.0
"""hwflow: quantized Keras networks to bit-exact, vendor-free streaming hardware.

Importing this package loads neither TensorFlow, hls4ml nor cocotb.
"""

from __future__ import annotations

__version__ = "0.1.0"
