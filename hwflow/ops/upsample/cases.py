# SPDX-License-Identifier: Apache-2.0
"""Parameter points of the upsampling."""

from __future__ import annotations

from hwflow.ir.graph import QuantNode
from hwflow.ops.base import Case
from hwflow.ops.casekit import grid, tensor


def upsample(source: QuantNode, factor_h: int, factor_w: int, name: str = "y") -> QuantNode:
    """Each pixel several times; a tensor of two axes is one row."""
    *rows, width, channels = source.shape
    height = rows[0] if rows else 1
    attrs = {"in_h": height, "in_w": width, "factor_h": factor_h, "factor_w": factor_w}
    shape = (*(row * factor_h for row in rows), width * factor_w, channels)
    return QuantNode(name, "upsample", (source.name,), shape, source.cast, attrs)


def cases() -> tuple[Case, ...]:
    """Both axes, one of them, a row, a pixel, and as many lanes as channels."""

    def case(name: str, shape: tuple[int, ...], factor_h: int, factor_w: int) -> Case:
        source = tensor(shape, grid(7, 3))
        return Case(name, upsample(source, factor_h, factor_w), (source,))

    return (
        case("both", (3, 4, 6), 2, 3),
        case("rows", (3, 4, 2), 3, 1),
        case("columns", (3, 4, 5), 1, 2),
        case("row", (6, 8), 1, 4),
        case("pixel", (1, 1, 3), 2, 2),
        case("none", (3, 3, 8), 1, 1),
    )
