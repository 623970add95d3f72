# SPDX-License-Identifier: Apache-2.0
"""Structure of the table activation's module."""

from __future__ import annotations

from math import ceil

from hwflow.ops.costkit import Contents, Parameters, Structure, contents, number
from hwflow.ops.librarycost import cast_of, table


def lookup(s: Structure, p: Parameters) -> None:
    """``hwf_lookup``."""
    lanes, x_w, signed = number(p, "Lanes", 1), number(p, "XW"), number(p, "XSigned", 1)
    s.register(1)
    s.lut("stage", 2)
    if number(p, "Direct", 1):
        table(s, contents(p, "TableFile"), lanes)
        return
    entries, index_w = contents(p, "TableFile"), number(p, "IndexW")
    factor, shift, offset = number(p, "Multiplier", 1), number(p, "Shift"), number(p, "Offset")
    # Low bits of the index that are the same for all values.
    still = max((factor & -factor).bit_length() - 1 - shift, 0)
    table(s, Contents(ceil(entries.depth / (1 << still)), entries.columns), lanes)
    address = max((entries.depth - 1).bit_length() - still, 1)
    s.register(1 + lanes * address)
    x_bits = x_w + 1 - signed
    s.constant("sum", x_bits, factor, index_w, times=lanes)
    s.add("sum", x_bits + 1, lanes * ((signed and shift > 0) + (offset != 0) + (factor < 0)))
    s.lut("cast.clip", lanes * address)
    s.logic("cast.detect", max(index_w - shift - still - address, 0), 2 * lanes)
    if number(p, "Straight"):
        sum_w = number(p, "SumW")
        used = cast_of(s, p, sum_w, 1, number(p, "SumFrac"), times=lanes)
        packed = s.constant("sum", x_bits, number(p, "Slope", 1), sum_w, times=lanes)
        s.register(lanes * (2 + (0 if packed and s.fabric.packs_registers else used)))
        s.lut("choice", lanes * number(p, "YW"))


MODULES = {"hwf_lookup": lookup}
