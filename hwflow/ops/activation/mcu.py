# SPDX-License-Identifier: Apache-2.0
"""C form of the activation: a rectifier or nothing; the cast follows by itself."""

from __future__ import annotations

from collections.abc import Sequence

from hwflow.ir.graph import QuantNode
from hwflow.ops.base import Interval
from hwflow.ops.mcukit import RowStage, Stage, Tensor, c_source


class ActivationMcu(RowStage):
    """``max(x, 0)`` where the function is relu and the row can be negative."""

    def reasons(self, node: QuantNode) -> list[str]:
        function = node.attrs["function"]
        return [] if function in ("linear", "relu") else [f"function {function!r} has no C form yet"]

    def stages(self, node: QuantNode, row: Interval, others: Sequence[Tensor]) -> tuple[Stage, ...]:
        if node.attrs["function"] == "relu" and int(row.low.min()) < 0:
            return (Stage("hwf_relu", c_source("activation")),)
        return ()


LOWERING = ActivationMcu()
