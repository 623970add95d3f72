# SPDX-License-Identifier: Apache-2.0
"""Structure of the module of activations in straight pieces."""

from __future__ import annotations

from hwflow.ops.costkit import Parameters, Structure, number
from hwflow.ops.librarycost import cast_of


def piecewise(s: Structure, p: Parameters) -> None:
    """``hwf_piecewise``."""
    lanes, x_w, sum_w = number(p, "Lanes", 1), number(p, "XW"), number(p, "SumW")
    slopes = {number(p, f"Slope{piece}") for piece in range(3)}
    s.register(2 + lanes * sum_w)
    s.lut("stage", 3)
    s.logic("piecewise.piece", x_w, 2 * lanes)
    for slope in slopes:
        s.constant("sum", x_w + 1 - number(p, "XSigned", 1), slope, sum_w, times=lanes)
    s.add("sum", sum_w, lanes)
    s.lut("choice", lanes * sum_w)
    cast_of(s, p, sum_w, 1, number(p, "SumFrac"), times=lanes)


MODULES = {"hwf_piecewise": piecewise}
