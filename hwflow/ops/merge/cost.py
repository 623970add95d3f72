# SPDX-License-Identifier: Apache-2.0
"""Structure of the modules that join two streams value by value."""

from __future__ import annotations

from hwflow.ops.costkit import Parameters, Structure, number
from hwflow.ops.librarycost import cast_of

_SUBTRACT, _MULTIPLY, _AVERAGE, _MAXIMUM = 1, 2, 3, 4


def merge(s: Structure, p: Parameters) -> None:
    """``hwf_merge``."""
    lanes, function = number(p, "Lanes", 1), number(p, "Function")
    a_w, b_w = number(p, "AW"), number(p, "BW")
    a_frac, b_frac = number(p, "AFrac"), number(p, "BFrac")
    frac = max(a_frac, b_frac)
    s.register(1)
    s.lut("stage", 4)
    if function == _MULTIPLY:
        signed = number(p, "ASigned", 1) or number(p, "BSigned", 1)
        a, b = a_w + 1 - number(p, "ASigned", 1), b_w + 1 - number(p, "BSigned", 1)
        s.multiply("product", a, b, a_w + b_w, signed=bool(signed), times=lanes)
        width, frac = a_w + b_w, a_frac + b_frac
    else:
        width = max(a_w + frac - a_frac, b_w + frac - b_frac) + 1
        s.add("merge.sum", width - abs(a_frac - b_frac), lanes)
        if function >= _MAXIMUM:
            width -= 1
            s.lut("choice", lanes * width)
        frac += function == _AVERAGE
    cast_of(s, p, width, 1, frac, times=lanes, free=int(function < _MULTIPLY))


MODULES = {"hwf_merge": merge}
