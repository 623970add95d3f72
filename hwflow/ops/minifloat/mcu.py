# SPDX-License-Identifier: Apache-2.0
"""C form of activations in mini floats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwflow.formats import MiniFloat
from hwflow.ir.graph import QuantNode
from hwflow.ops.base import Interval
from hwflow.ops.mcukit import RowStage, Stage, Tensor, c_source, constants_storage


class MinifloatMcu(RowStage):
    """Limits of the format on the grids of x and y; see ``hwf_minifloat.c`` for the order of the data."""

    def peak(self, node: QuantNode, x: Interval) -> int:
        return 2 * _reach(x) << max(node.type.frac - x.frac, 0)

    def stages(self, node: QuantNode, row: Interval, others: Sequence[Tensor]) -> tuple[Stage, ...]:
        form = MiniFloat(int(node.attrs["exponent"]), int(node.attrs["mantissa"]))
        size = 1 << form.mantissa
        smallest = size + 1 if form.mantissa else 2
        largest = (2 * size - 1) << ((1 << form.exponent) - 1)

        def on_grid(units: int, frac: int) -> int:
            return units << (frac - form.frac) if frac >= form.frac else units >> (form.frac - frac)

        high = max(map(abs, node.type.range()))
        data = np.array(
            [
                form.mantissa,
                (form.bias - row.frac) % 2,
                min(on_grid(smallest, row.frac - 1), _reach(row)),
                min(on_grid(smallest, node.type.frac), high),
                min(on_grid(largest, node.type.frac), high),
            ]
        )
        shift = node.type.frac - row.frac
        return (
            Stage(
                "hwf_minifloat",
                c_source("minifloat"),
                shift=shift,
                data=data,
                storage=constants_storage(data),
            ),
        )


def _reach(x: Interval) -> int:
    return max(-int(x.low.min()), int(x.high.max()))


LOWERING = MinifloatMcu()
