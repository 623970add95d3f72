# SPDX-License-Identifier: Apache-2.0
"""Structure of the affine layer's module."""

from __future__ import annotations

from hwflow.ops.costkit import Parameters, Structure, contents, number
from hwflow.ops.librarycost import cast_of


def affine(s: Structure, p: Parameters) -> None:
    """``hwf_affine``."""
    lanes, x_w, scale_w = number(p, "Lanes", 1), number(p, "XW"), number(p, "ScaleW")
    sum_w, words = number(p, "SumW"), number(p, "C", 1) // lanes
    s.register(4 + lanes * x_w)
    s.lut("stage", 4)
    s.counter("affine.address", words - 1)
    if words > 1:
        s.rom("affine.rom", contents(p, "ScaleFile"))
        s.rom("affine.rom", contents(p, "BiasFile"))
        s.register(int(contents(p, "BiasFile").live.sum()))
    s.multiply("affine.product", x_w + 1 - number(p, "XSigned", 1), scale_w, x_w + scale_w, times=lanes)
    s.register(lanes * (x_w + scale_w + sum_w))
    s.add("affine.sum", sum_w, lanes)
    cast_of(s, p, sum_w, 1, number(p, "SumFrac"), times=lanes)


MODULES = {"hwf_affine": affine}
