# SPDX-License-Identifier: Apache-2.0
"""C form of concatenation: along the channels here, along other axes as the sum of padded frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast
from hwflow.ops.base import Interval
from hwflow.ops.mcukit import RowStage, Stage, Tensor, c_source
from hwflow.ops.pad import SIDES


class ConcatMcu(RowStage):
    """The other tensor's channels behind those of the row."""

    from_memory: ClassVar[bool] = True

    def rewritten(self, node: QuantNode, inputs: Sequence[QuantNode]) -> tuple[QuantNode, ...]:
        axis = int(node.attrs["axis"])
        if axis == len(node.shape) - 1:
            return (node,)
        first, second = inputs
        down = len(node.shape) == 3 and axis == 0
        before, after = ("top", "bottom") if down else ("left", "right")
        padded = [
            _padded(first, node, {after: second.shape[axis]}),
            _padded(second, node, {before: first.shape[axis]}),
        ]
        names = tuple(one.name for one in padded)
        return (*padded, QuantNode(node.name, "merge", names, node.shape, node.cast, {"function": "add"}))

    def stages(self, node: QuantNode, row: Interval, others: Sequence[Tensor]) -> tuple[Stage, ...]:
        (other,) = others
        frac = max(row.frac, other.node.type.frac)
        return (
            Stage(
                "hwf_concat",
                c_source("concat"),
                shift=frac - row.frac,
                up=frac - other.node.type.frac,
                storage=other.storage,
                tensor=node.inputs[1],
                by_pixel=True,
                begin=row.low.size,
            ),
        )


def _padded(source: QuantNode, node: QuantNode, margins: Mapping[str, int]) -> QuantNode:
    """A tensor with zeros where the other one will be."""
    height, width = source.shape[:-1] if len(source.shape) == 3 else (1, source.pixels)
    attrs = {"in_h": height, "in_w": width, **dict.fromkeys(SIDES, 0), **margins}
    side = next(iter(margins))
    return QuantNode(f"{node.name}.{side}", "pad", (source.name,), node.shape, Cast(source.type), attrs)


LOWERING = ConcatMcu()
