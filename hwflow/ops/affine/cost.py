# SPDX-License-Identifier: Apache-2.0
"""Structure of the affine layer's module."""

from __future__ import annotations

from hwflow.ops.costkit import Parameters, Structure, contents, number
from hwflow.ops.librarycost import cast_of


def affine(s: Structure, p: Parameters) -> None:
    """``hwf_affine``."""
    lanes, x_w, scale_w = number(p, "Lanes", 1), number(p, "XW"), number(p, "ScaleW")
    sum_w, words = number(p, "SumW"), number(p, "C", 1) // lanes
    used = cast_of(s, p, sum_w, 1, number(p, "SumFrac"), times=lanes)
    s.register(4)
    s.lut("stage", 4)
    s.counter("counter", words - 1)
    product = x_w + 1 - number(p, "XSigned", 1) + scale_w
    hard = s.multiply("product", product - scale_w, scale_w, product, times=lanes)
    packed = hard > 0 and s.fabric.packs_registers
    if words > 1:
        offsets = contents(p, "BiasFile")
        s.rom("rom", contents(p, "ScaleFile"), registered=not packed)
        s.rom("rom", offsets)
        s.register(offsets.distinct(0, offsets.width))
    if not packed:
        s.register(lanes * (x_w + min(product, sum_w) + used))
        s.add("sum", used, lanes)


MODULES = {"hwf_affine": affine}
