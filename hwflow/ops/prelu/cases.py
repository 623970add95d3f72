# SPDX-License-Identifier: Apache-2.0
"""Parameter points of the parametric rectifier."""

from __future__ import annotations

import numpy as np

from hwflow.numerics.fixed import Cast, FixedType, Overflow, Rounding
from hwflow.ops.base import Case
from hwflow.ops.casekit import grid, prelu, quantizer, tensor


def cases() -> tuple[Case, ...]:
    """Slopes beyond one, negative slopes, coarse and fine slope grids."""
    rng = np.random.default_rng(5)

    def case(
        name: str, channels: int, x: FixedType, slope: FixedType, cast: Cast, *, shared: bool = True
    ) -> Case:
        source = tensor((3, 5, channels), x)
        return Case(name, prelu(rng, source, cast, slope, shared=shared), (source,))

    return (
        case("exact", 4, grid(8, 4), grid(8, 6), Cast(grid(17, 10))),
        case("element", 4, grid(8, 4), grid(8, 6), Cast(grid(17, 10)), shared=False),
        case("quantized", 3, grid(16, 9), grid(8, 6), quantizer(8, 4)),
        case("unsigned-in", 2, grid(7, 4, signed=False), grid(8, 6), quantizer(6, 3)),
        case("folded", 6, grid(12, 7), grid(8, 7), quantizer(8, 4)),
        case("slope-above-one", 4, grid(8, 4), grid(6, 0), quantizer(10, 4)),
        case("coarse-slope", 4, grid(6, 3), grid(3, -2), Cast(grid(14, 3))),
        case(
            "unsigned-slope",
            5,
            grid(9, 3),
            grid(4, 4, signed=False),
            Cast(grid(6, 2), Rounding.RND, Overflow.WRAP),
        ),
    )
