# SPDX-License-Identifier: Apache-2.0
"""C form of the parametric rectifier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.ops.base import Interval
from hwflow.ops.mcukit import RowStage, Stage, Tensor, c_source, constants_storage


class PreluMcu(RowStage):
    """Slope times value where it is negative."""

    def reasons(self, node: QuantNode) -> list[str]:
        return ["slopes of more than 32 bits"] if node.params["slope"].type.width > 32 else []

    def stages(self, node: QuantNode, row: Interval, others: Sequence[Tensor]) -> tuple[Stage, ...]:
        slope = node.params["slope"]
        storage = constants_storage(np.append(slope.codes, -1))  # signed in any case
        return (
            Stage(
                "hwf_prelu",
                c_source("prelu"),
                shift=max(slope.type.frac, 0),
                up=max(-slope.type.frac, 0),
                data=slope.codes.ravel(),
                storage=storage,
                by_pixel=slope.codes.size > node.channels,
            ),
        )


LOWERING = PreluMcu()
