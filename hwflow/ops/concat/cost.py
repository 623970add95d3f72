# SPDX-License-Identifier: Apache-2.0
"""Structure of the module that puts one stream behind or beside another."""

from __future__ import annotations

from hwflow.ops.costkit import Parameters, Structure, number
from hwflow.ops.librarycost import cast_of


def concat(s: Structure, p: Parameters) -> None:
    """``hwf_concat``."""
    a_frac, b_frac = number(p, "AFrac"), number(p, "BFrac")
    frac = max(a_frac, b_frac)
    a_w, b_w = number(p, "AW") + frac - a_frac, number(p, "BW") + frac - b_frac
    s.register(1)
    s.lut("stage", 4)
    if number(p, "Joined"):
        cast_of(s, p, a_w, number(p, "ASigned", 1), frac, times=number(p, "ALanes", 1))
        cast_of(s, p, b_w, number(p, "BSigned", 1), frac, times=number(p, "BLanes", 1))
        return
    lanes, beats = number(p, "ALanes", 1), (number(p, "ABeats", 1), number(p, "BBeats", 1))
    s.register(1 + max(beats).bit_length())
    s.add("control", max(beats).bit_length())
    s.lut("control", 4)
    s.lut("choice", lanes * min(max(a_w, b_w), number(p, "YW")))
    cast_of(s, p, max(a_w, b_w), 1, frac, times=lanes)


MODULES = {"hwf_concat": concat}
