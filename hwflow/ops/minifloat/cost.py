# SPDX-License-Identifier: Apache-2.0
"""Structure of the module that rounds to mini floats."""

from __future__ import annotations

from hwflow.ops.costkit import Parameters, Structure, number


def minifloat(s: Structure, p: Parameters) -> None:
    """``hwf_minifloat``."""
    lanes, x_w, y_w = number(p, "Lanes", 1), number(p, "XW"), number(p, "YW")
    cut = x_w.bit_length()
    s.register(3 + lanes * (x_w + cut + 1 + x_w + 1 + 1 + 1 + y_w))
    s.lut("stage", 4)
    s.add("sum", x_w, lanes)
    s.logic("minifloat.cut", x_w, lanes * cut)
    s.add("sum", x_w, 2 * lanes)
    s.mux("pick", x_w, lanes * x_w)
    s.add("sum", y_w, 2 * lanes)
    s.lut("sum", lanes * y_w)


MODULES = {"hwf_minifloat": minifloat}
