# SPDX-License-Identifier: Apache-2.0
"""Parameter points of the scale and offset a channel."""

from __future__ import annotations

import numpy as np

from hwflow.numerics.fixed import Cast, FixedType, Overflow, Rounding
from hwflow.ops.base import Case
from hwflow.ops.casekit import affine, grid, quantizer, tensor


def cases() -> tuple[Case, ...]:
    """Signs, coarse and fine grids of scale and offset, offsets finer than the product."""
    rng = np.random.default_rng(11)

    def case(name: str, channels: int, x: FixedType, scale: FixedType, bias: FixedType, cast: Cast) -> Case:
        source = tensor((3, 5, channels), x)
        return Case(name, affine(rng, source, cast, scale=scale, bias=bias), (source,))

    return (
        case("exact", 4, grid(8, 4), grid(8, 6), grid(8, 4), Cast(grid(18, 10))),
        case("quantized", 3, grid(16, 9), grid(10, 7), grid(12, 6), quantizer(8, 4)),
        case("unsigned", 6, grid(7, 7, signed=False), grid(5, 3, signed=False), grid(6, 2), quantizer(8, 4)),
        case("fine-bias", 4, grid(6, 2), grid(6, 0), grid(14, 10), Cast(grid(22, 10))),
        case("coarse", 5, grid(6, -1), grid(3, -2), grid(4, -6), Cast(grid(14, -3), Rounding.RND)),
        case("binary", 2, grid(1, 0, signed=False), grid(2, 0), grid(2, 0), Cast(grid(3, 0))),
        case(
            "wrap", 4, grid(9, 3), grid(8, 5), grid(8, 5), Cast(grid(6, 2), Rounding.RND_INF, Overflow.WRAP)
        ),
    )
