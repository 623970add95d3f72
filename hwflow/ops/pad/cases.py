# SPDX-License-Identifier: Apache-2.0
"""Parameter points of padding and cropping."""

from __future__ import annotations

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import FixedType
from hwflow.ops.base import Case
from hwflow.ops.casekit import grid, tensor


def pad(source: QuantNode, margins: tuple[int, int, int, int], name: str = "y") -> QuantNode:
    """Margins above, below, left and right; a tensor of two axes is one row."""
    top, bottom, left, right = margins
    *rows, width, channels = source.shape
    shape = (*(row + top + bottom for row in rows), width + left + right, channels)
    attrs = {"in_h": rows[0] if rows else 1, "in_w": width}
    attrs |= {"top": top, "bottom": bottom, "left": left, "right": right}
    return QuantNode(name, "pad", (source.name,), shape, source.cast, attrs)


_X7 = grid(7, 3)


def cases() -> tuple[Case, ...]:
    """Zeros and cuts on every side, on some sides, and on one side each."""

    def case(
        name: str, shape: tuple[int, ...], margins: tuple[int, int, int, int], x: FixedType = _X7
    ) -> Case:
        source = tensor(shape, x)
        return Case(name, pad(source, margins), (source,))

    return (
        case("zeros", (3, 4, 2), (1, 1, 1, 1)),
        case("zeros-uneven", (3, 4, 6), (2, 0, 0, 3)),
        case("zeros-row", (5, 3), (0, 0, 2, 1)),
        case("zeros-unsigned", (2, 2, 5), (0, 1, 1, 0), grid(4, 2, signed=False)),
        case("crop", (5, 6, 2), (-1, -2, -1, -1)),
        case("crop-uneven", (5, 6, 4), (0, -3, -4, 0)),
        case("crop-row", (7, 3), (0, 0, -2, -1)),
        case("none", (3, 3, 2), (0, 0, 0, 0)),
    )
