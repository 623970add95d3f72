# SPDX-License-Identifier: Apache-2.0
"""C form of straight pieces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.ops.base import Interval
from hwflow.ops.mcukit import RowStage, Stage, Tensor, c_source, constants_storage

_STARTS, _PIECES = 2, 3


class PiecewiseMcu(RowStage):
    """Slopes and offsets on the grid of the result; pieces that are not there repeat the last."""

    def stages(self, node: QuantNode, row: Interval, others: Sequence[Tensor]) -> tuple[Stage, ...]:
        slope, offset = node.params["slope"], node.params["offset"]
        frac = max(row.frac + slope.type.frac, offset.type.frac)
        slopes = slope.codes << (frac - row.frac - slope.type.frac)
        offsets = offset.codes << (frac - offset.type.frac)
        starts = list(node.attrs["starts"])
        last = starts[-1] if starts else int(row.low.min())
        pieces = np.stack([slopes, offsets], axis=1)
        pieces = np.concatenate([pieces, np.repeat(pieces[-1:], _PIECES - len(pieces), axis=0)])
        data = np.concatenate([starts + [last] * (_STARTS - len(starts)), pieces.ravel()]).astype(np.int64)
        return (Stage("hwf_piecewise", c_source("piecewise"), data=data, storage=constants_storage(data)),)


LOWERING = PiecewiseMcu()
