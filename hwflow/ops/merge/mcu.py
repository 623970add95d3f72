# SPDX-License-Identifier: Apache-2.0
"""C form of the residual sum."""

from __future__ import annotations

from collections.abc import Sequence

from hwflow.ir.graph import QuantNode
from hwflow.ops.base import Interval
from hwflow.ops.mcukit import RowStage, Stage, Tensor, c_source


class MergeMcu(RowStage):
    """The other tensor's codes onto the row, on the finer of the two grids."""

    def reasons(self, node: QuantNode) -> list[str]:
        function = node.attrs["function"]
        return [] if function == "add" else [f"merging by {function} has no C form yet"]

    def stages(self, node: QuantNode, row: Interval, others: Sequence[Tensor]) -> tuple[Stage, ...]:
        (other,) = others
        frac = max(row.frac, other.node.type.frac)
        return (
            Stage(
                "hwf_add",
                c_source("merge"),
                shift=frac - row.frac,
                up=frac - other.node.type.frac,
                storage=other.storage,
                tensor=other.node.name,
            ),
        )


LOWERING = MergeMcu()
