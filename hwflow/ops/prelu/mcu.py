# SPDX-License-Identifier: Apache-2.0
"""C form of the parametric rectifier."""

from __future__ import annotations

from collections.abc import Sequence

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import FixedType
from hwflow.ops.base import Interval
from hwflow.ops.mcukit import RowStage, Stage, Tensor, c_source, storage_of


class PreluMcu(RowStage):
    """Slope times value where it is negative."""

    def stages(self, node: QuantNode, row: Interval, others: Sequence[Tensor]) -> tuple[Stage, ...]:
        slope = node.params["slope"]
        needed = FixedType.for_range(min(int(slope.codes.min()), -1), int(slope.codes.max()), 0)
        storage = storage_of(FixedType(True, max(needed.width, 8), 0))
        return (
            Stage(
                "hwf_prelu",
                c_source("prelu"),
                shift=max(slope.type.frac, 0),
                up=max(-slope.type.frac, 0),
                data=slope.codes,
                storage=storage,
            ),
        )


LOWERING = PreluMcu()
