# SPDX-License-Identifier: Apache-2.0
"""Parameter points of the activation: every rounding and overflow mode, and the corners of grids."""

from __future__ import annotations

from itertools import product

from hwflow.numerics.fixed import Cast, FixedType, Overflow, Rounding
from hwflow.ops.base import Case
from hwflow.ops.casekit import activation, grid, quantizer, tensor


def cases() -> tuple[Case, ...]:
    """Every mode on one pair of grids, then special grids."""

    def case(name: str, channels: int, x: FixedType, cast: Cast, function: str = "linear") -> Case:
        source = tensor((4, 6, channels), x)
        return Case(name, activation(source, cast, function), (source,))

    modes = tuple(
        case(
            f"{rounding.value}-{overflow.value}".lower(), 2, grid(9, 5), Cast(grid(4, 2), rounding, overflow)
        )
        for rounding, overflow in product(Rounding, Overflow)
    )
    return (
        *modes,
        case("relu", 3, grid(10, 6), quantizer(5, 3, signed=False), "relu"),
        case("relu-signed", 5, grid(10, 6), quantizer(6, 3), "relu"),
        case("unsigned-in", 4, grid(8, 6, signed=False), quantizer(5, 3, signed=False)),
        case("unsigned-wrap", 2, grid(8, 6), Cast(grid(5, 4, signed=False))),
        case("finer-grid", 2, grid(6, 2), Cast(grid(9, 6), Rounding.TRN, Overflow.SAT)),
        case("one-bit", 2, grid(6, 3), quantizer(1, 0, signed=False)),
        case("all-bits-dropped", 2, grid(6, 8), quantizer(4, 0)),
        case("negative-frac", 2, grid(8, -3), quantizer(5, -5)),
        case("wide", 1, grid(62, 30), Cast(grid(20, 4), Rounding.RND_INF, Overflow.SAT_SYM)),
    )
