# SPDX-License-Identifier: Apache-2.0
"""C form of the affine layer: a product and a sum with constants."""

from __future__ import annotations

from collections.abc import Sequence

from hwflow.ir.graph import QuantNode
from hwflow.ops.base import Interval
from hwflow.ops.mcukit import RowStage, Stage, Sum, Tensor, c_source, constants_storage


class AffineMcu(RowStage):
    """Scale, then bias on the finer grid."""

    def stages(self, node: QuantNode, row: Interval, others: Sequence[Tensor]) -> tuple[Stage, ...]:
        scale, source = node.params["scale"], c_source("merge")
        sums = Sum.of(row.frac + scale.type.frac, node.params["bias"])
        return (
            Stage("hwf_multiply", source, data=scale.codes, storage=constants_storage(scale.codes)),
            Stage("hwf_add", source, shift=sums.shift, data=sums.bias, storage=constants_storage(sums.bias)),
        )


LOWERING = AffineMcu()
