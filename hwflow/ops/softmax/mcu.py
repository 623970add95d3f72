# SPDX-License-Identifier: Apache-2.0
"""C form of softmax over the channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.ops.base import Interval, mode_parameters
from hwflow.ops.mcukit import RowStage, Stage, Tensor, c_source, constants_storage
from hwflow.ops.softmax import accum_of, exps_of


class SoftmaxMcu(RowStage):
    """The tables and the casts between them; see ``hwf_softmax.c`` for the order of the data."""

    def peak(self, node: QuantNode, x: Interval) -> int:
        if node.attrs["implementation"] == "argmax":
            return 0
        accum, inverse_input = accum_of(node), Cast.parse(node.attrs["inverse_input"])
        total = max(node.channels * int(np.abs(exps_of(node)).max()), *map(abs, accum.type.range()))
        drop = accum.type.frac - inverse_input.type.frac
        return max(
            int(x.high.max()) - int(x.low.min()),
            (total << max(-drop, 0)) + (1 << max(drop - 1, 0)),
            1 << FixedType.from_json(node.attrs["address"]).width,
            1 << inverse_input.type.width,
        )

    def stages(self, node: QuantNode, row: Interval, others: Sequence[Tensor]) -> tuple[Stage, ...]:
        implementation = node.attrs["implementation"]
        if implementation == "argmax":
            return (Stage("hwf_argmax", c_source("softmax")),)
        accum, inverse_input = accum_of(node), Cast.parse(node.attrs["inverse_input"])
        exps, inverse = exps_of(node), node.params["inverse"].codes
        width = FixedType.from_json(node.attrs["address"]).width
        head = [int(implementation == "stable"), width, width - _bits(exps), exps.size]
        head += [inverse_input.type.width, inverse_input.type.width - _bits(inverse)]
        head += [*_cast(accum, accum.type.frac), *_cast(inverse_input, accum.type.frac)]
        data = np.concatenate([head, exps, inverse]).astype(np.int64)
        return (Stage("hwf_softmax", c_source("softmax"), data=data, storage=constants_storage(data)),)


def _bits(table: Codes) -> int:
    """Bits of a table's address."""
    return int(table.size).bit_length() - 1


def _cast(cast: Cast, frac: int) -> list[int]:
    """What ``hwf_cast`` needs to know of a cast from a grid with so many fractional bits."""
    modes = mode_parameters("", cast)
    return [
        frac - cast.type.frac,
        modes["Rounding"],
        modes["Overflow"],
        cast.type.width,
        int(cast.type.signed),
    ]


LOWERING = SoftmaxMcu()
