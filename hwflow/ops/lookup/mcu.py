# SPDX-License-Identifier: Apache-2.0
"""C form of functions from a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.ops.base import Interval
from hwflow.ops.mcukit import RowStage, Stage, Tensor, c_source, constants_storage


class LookupMcu(RowStage):
    """Table and slope on the grid of the result; see ``hwf_lookup.c`` for the order of the data."""

    def peak(self, node: QuantNode, x: Interval) -> int:
        reach = max(-int(x.low.min()), int(x.high.max()))
        return reach * abs(int(node.attrs["multiplier"])) + abs(int(node.attrs["offset"]))

    def stages(self, node: QuantNode, row: Interval, others: Sequence[Tensor]) -> tuple[Stage, ...]:
        table, slope = node.params["table"], node.params.get("slope")
        frac = table.type.frac if slope is None else max(table.type.frac, row.frac + slope.type.frac)
        straight = 0 if slope is None else int(slope.codes[0]) << (frac - row.frac - slope.type.frac)
        head = [int(node.attrs[name]) for name in ("multiplier", "shift", "offset")]
        head += [table.codes.size, int(slope is not None), straight]
        data = np.concatenate([head, table.codes << (frac - table.type.frac)]).astype(np.int64)
        return (Stage("hwf_lookup", c_source("lookup"), data=data, storage=constants_storage(data)),)


LOWERING = LookupMcu()
