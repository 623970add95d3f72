# SPDX-License-Identifier: Apache-2.0
"""Parameter points of the concatenation."""

from __future__ import annotations

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast, FixedType, Overflow, Rounding
from hwflow.ops.base import Case
from hwflow.ops.casekit import grid, quantizer, tensor


def concat(a: QuantNode, b: QuantNode, axis: int, cast: Cast, name: str = "y") -> QuantNode:
    """Two tensors along an axis (0 is the first)."""
    shape = list(a.shape)
    shape[axis] += b.shape[axis]
    return QuantNode(name, "concat", (a.name, b.name), tuple(shape), cast, {"axis": axis})


def cases() -> tuple[Case, ...]:
    """Every axis of one to three, in turns and side by side, equal and different grids."""

    def case(
        name: str, a: tuple[int, ...], b: tuple[int, ...], axis: int, a_type: FixedType, b_type: FixedType,
        cast: Cast,
    ) -> Case:  # fmt: skip
        inputs = tensor(a, a_type, "x0"), tensor(b, b_type, "x1")
        return Case(name, concat(*inputs, axis, cast), inputs)

    x7, exact = grid(7, 3), Cast(grid(7, 3))
    finer, natural = grid(6, 5), grid(5, 2, signed=False)
    wrapped = Cast(grid(6, 2), Rounding.RND, Overflow.WRAP)
    return (
        case("channels", (3, 4, 6), (3, 4, 2), 2, x7, x7, exact),
        case("channels-odd", (3, 4, 3), (3, 4, 2), 2, x7, finer, Cast(grid(9, 5))),
        case("channels-wide", (2, 3, 16), (2, 3, 8), 2, natural, x7, quantizer(5, 2)),
        case("columns", (3, 4, 6), (3, 1, 6), 1, x7, x7, exact),
        case("rows", (3, 4, 6), (2, 4, 6), 0, finer, natural, wrapped),
        case("steps", (5, 3), (2, 3), 0, x7, x7, exact),
        case("step-channels", (5, 3), (5, 6), 1, x7, natural, Cast(grid(8, 3))),
        case("vector", (6,), (4,), 0, x7, x7, exact),
        case("vector-odd", (5,), (4,), 0, x7, x7, exact),
    )
