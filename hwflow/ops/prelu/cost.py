# SPDX-License-Identifier: Apache-2.0
"""Structure of the parametric rectifier's module."""

from __future__ import annotations

from hwflow.ops.costkit import Parameters, Structure, contents, number
from hwflow.ops.librarycost import cast_of


def prelu(s: Structure, p: Parameters) -> None:
    """``hwf_prelu``."""
    lanes, x_w, slope_w = number(p, "Lanes", 1), number(p, "XW"), number(p, "SlopeW")
    frac, signed = number(p, "SlopeFrac"), number(p, "XSigned", 1)
    up, down = max(frac, 0), max(-frac, 0)
    words = number(p, "Slopes", 1) // lanes
    product = max(x_w + slope_w + down, x_w + up)
    used = cast_of(s, p, product + 1, 1, number(p, "XFrac") + up, times=lanes, chosen=True)
    s.register(3)
    s.lut("stage", 4)
    s.counter("counter", words - 1)
    if words > 1:
        s.rom("rom", contents(p, "SlopeFile"))
    s.register(lanes * x_w + lanes * min(product, used))
    if signed:
        s.multiply("product", x_w, slope_w, x_w + slope_w, times=lanes)
        s.lut("choice", lanes * min(product, used))


MODULES = {"hwf_prelu": prelu}
