# SPDX-License-Identifier: Apache-2.0
"""Structure of the table activation's module."""

from __future__ import annotations

from hwflow.ops.costkit import Parameters, Structure, contents, number
from hwflow.ops.librarycost import cast_of, table


def lookup(s: Structure, p: Parameters) -> None:
    """``hwf_lookup``."""
    lanes, x_w, signed = number(p, "Lanes", 1), number(p, "XW"), number(p, "XSigned", 1)
    table(s, p, "TableFile", lanes)
    s.register(1)
    s.lut("stage", 2)
    if number(p, "Direct", 1):
        return
    depth, index_w = contents(p, "TableFile").depth, number(p, "IndexW")
    address = max((depth - 1).bit_length(), 1)
    s.register(1 + lanes * address)
    x_bits = x_w + 1 - signed
    s.constant("sum", x_bits, number(p, "Multiplier", 1), index_w, times=lanes)
    s.add("sum", index_w, lanes * (1 + signed))
    s.lut("cast.clip", lanes * address)
    s.logic("cast.clip", index_w - address, 2 * lanes)
    if number(p, "Straight"):
        sum_w = number(p, "SumW")
        used = cast_of(s, p, sum_w, 1, number(p, "SumFrac"), times=lanes)
        packed = s.constant("sum", x_bits, number(p, "Slope", 1), sum_w, times=lanes)
        s.register(lanes * (2 + (0 if packed and s.fabric.packs_registers else used)))
        s.lut("choice", lanes * number(p, "YW"))


MODULES = {"hwf_lookup": lookup}
