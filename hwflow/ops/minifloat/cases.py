# SPDX-License-Identifier: Apache-2.0
"""Parameter points of mini floats: grids finer and coarser than the format, all of its ends, no mantissa."""

from __future__ import annotations

from hwflow.formats import MiniFloat
from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast, FixedType
from hwflow.ops.base import Case
from hwflow.ops.casekit import grid, tensor
from hwflow.ops.minifloat import result_type


def minifloat(source: QuantNode, exponent: int, mantissa: int, name: str = "y") -> QuantNode:
    """An activation in mini floats."""
    cast = Cast(result_type(source.type, MiniFloat(exponent, mantissa)))
    attrs = {"exponent": exponent, "mantissa": mantissa}
    return QuantNode(name, "minifloat", (source.name,), source.shape, cast, attrs)


def cases() -> tuple[Case, ...]:
    """Grids around the smallest mini float and beyond the largest."""

    def case(name: str, x: FixedType, exponent: int, mantissa: int, channels: int = 3) -> Case:
        source = tensor((4, 24, channels), x)
        return Case(name, minifloat(source, exponent, mantissa), (source,))

    return (
        case("e4m3", grid(12, 6), 4, 3, 5),
        case("e4m3-fine", grid(12, 12), 4, 3),
        case("e4m3-finer-than-half", grid(9, 13), 4, 3),
        case("e4m3-bias", grid(9, 7), 4, 3),
        case("e4m3-coarse", grid(12, 1), 4, 3),
        case("e4m3-saturates", grid(12, -2), 4, 3),
        case("e5m2", grid(16, 8), 5, 2, 1),
        case("e5m2-wide", grid(40, 17), 5, 2, 1),
        case("e3m0", grid(9, 5), 3, 0),
        case("e4m0-odd", grid(10, 4), 4, 0),
        case("e2m1-unsigned", grid(7, 4, signed=False), 2, 1),
        case("e1m3", grid(9, 6), 1, 3),
        case("e2m5-exact", grid(5, 4), 2, 5),
        case("e2m1-grid-above-largest", grid(6, -3), 2, 1),
        case("e3m2-one-bit", grid(1, 1, signed=False), 3, 2),
    )
