# SPDX-License-Identifier: Apache-2.0
"""Parameter points of the sum."""

from __future__ import annotations

from hwflow.numerics.fixed import Cast, FixedType, Overflow, Rounding
from hwflow.ops.base import Case
from hwflow.ops.casekit import add, grid, quantizer, tensor


def cases() -> tuple[Case, ...]:
    """Equal and different grids, signs and widths."""

    def case(name: str, channels: int, a: FixedType, b: FixedType, cast: Cast) -> Case:
        inputs = tensor((4, 5, channels), a, "x0"), tensor((4, 5, channels), b, "x1")
        return Case(name, add(*inputs, cast), inputs)

    return (
        case("exact", 4, grid(8, 4), grid(8, 4), Cast(grid(9, 4))),
        case("finer-b", 3, grid(8, 2), grid(6, 5), Cast(grid(12, 5))),
        case("finer-a", 6, grid(20, 12), grid(8, 4), quantizer(8, 4)),
        case(
            "mixed-signs",
            2,
            grid(8, 6, signed=False),
            grid(7, 3),
            Cast(grid(6, 3), Rounding.RND, Overflow.WRAP),
        ),
        case(
            "unsigned", 4, grid(4, 0, signed=False), grid(4, 1, signed=False), quantizer(4, 0, signed=False)
        ),
        case("negative-frac", 2, grid(6, -4), grid(6, -2), quantizer(6, -4)),
    )
