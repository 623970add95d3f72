# SPDX-License-Identifier: Apache-2.0
"""C form of concatenation along the channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from hwflow.ir.graph import QuantNode
from hwflow.ops.base import Interval
from hwflow.ops.mcukit import RowStage, Stage, Tensor, c_source


class ConcatMcu(RowStage):
    """The other tensor's channels behind those of the row."""

    from_memory: ClassVar[bool] = True

    def reasons(self, node: QuantNode) -> list[str]:
        axis = int(node.attrs["axis"])
        return [] if axis == len(node.shape) - 1 else [f"concatenation along axis {axis} has no C form yet"]

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


LOWERING = ConcatMcu()
