# SPDX-License-Identifier: Apache-2.0
"""C form of what two tensors give element by element."""

from __future__ import annotations

from collections.abc import Sequence

from hwflow.ir.graph import QuantNode
from hwflow.ops.base import Interval
from hwflow.ops.mcukit import RowStage, Stage, Tensor, c_source


class MergeMcu(RowStage):
    """The other tensor's codes with the row, on the finer of the two grids."""

    def stages(self, node: QuantNode, row: Interval, others: Sequence[Tensor]) -> tuple[Stage, ...]:
        (other,) = others
        function = node.attrs["function"]
        frac = max(row.frac, other.node.type.frac)
        if function == "average":
            function = "add"  # its result lies on a grid one bit finer
        if function == "subtract" and node.inputs[0] == other.node.name and node.inputs[0] != node.inputs[1]:
            function = "subtract_from"
        aligned = function != "multiply"
        return (
            Stage(
                f"hwf_{function}",
                c_source("merge"),
                shift=frac - row.frac if aligned else 0,
                up=frac - other.node.type.frac if aligned else 0,
                storage=other.storage,
                tensor=other.node.name,
                by_pixel=True,
            ),
        )


LOWERING = MergeMcu()
