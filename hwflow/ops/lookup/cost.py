# SPDX-License-Identifier: Apache-2.0
"""Structure of the table activation's module."""

from __future__ import annotations

from hwflow.ops.costkit import Parameters, Structure, contents, number
from hwflow.ops.librarycost import cast_of, table


def lookup(s: Structure, p: Parameters) -> None:
    """``hwf_lookup``."""
    lanes, signed = number(p, "Lanes", 1), number(p, "XSigned", 1)
    table(s, p, "TableFile", lanes)
    s.register(1)
    s.lut("stage", 2)
    if number(p, "Direct", 1):
        return
    depth, index_w = contents(p, "TableFile").depth, number(p, "IndexW")
    address = max((depth - 1).bit_length(), 1)
    s.register(1 + lanes * address)
    steps = bin(number(p, "Multiplier", 1)).count("1") - 1
    s.add("lookup.index", index_w, lanes * (steps + 1 + (1 if signed else 0)))
    s.lut("lookup.clip", lanes * address)
    s.logic("lookup.clip", index_w - address, 2 * lanes)
    if number(p, "Straight"):
        sum_w, slope = number(p, "SumW"), number(p, "Slope", 1)
        s.register(lanes * (sum_w + 2))
        s.add("lookup.straight", sum_w, lanes * (bin(slope).count("1") - 1))
        s.lut("lookup.choice", lanes * number(p, "YW"))
        cast_of(s, p, sum_w, 1, number(p, "SumFrac"), times=lanes)


MODULES = {"hwf_lookup": lookup}
