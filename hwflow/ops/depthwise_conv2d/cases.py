# SPDX-License-Identifier: Apache-2.0
"""Parameter points of the depthwise convolution."""

from __future__ import annotations

import numpy as np

from hwflow.numerics.fixed import Cast, FixedType, Overflow, Rounding
from hwflow.ops.base import Case
from hwflow.ops.casekit import (
    Pair,
    depthwise_conv2d,
    distributed,
    grid,
    quantizer,
    stored_as,
    tensor,
    window_attrs,
)
from hwflow.ops.reuse import PARALLEL

_X8 = grid(8, 4)
_W8 = grid(8, 7)


def cases() -> tuple[Case, ...]:
    """Local and global kernels, strides, channel groups, number formats."""
    rng = np.random.default_rng(3)

    def case(
        name: str,
        shape: tuple[int, ...],
        kernel: Pair,
        reuse: int,
        *,
        stride: Pair = 1,
        same: bool = True,
        x: FixedType = _X8,
        weight: FixedType = _W8,
        cast: Cast | None = None,
        multiplier: int = 1,
        at_once: int = 1,
    ) -> Case:
        source = tensor(shape, x)
        attrs = window_attrs(source, kernel, stride, same=same)
        if at_once > 1:
            attrs[PARALLEL] = at_once
        bias = grid(10, x.frac + weight.frac - 1)
        cast = cast or quantizer(8, 3)
        node = depthwise_conv2d(
            rng, source, attrs, cast, weight=weight, bias=bias, reuse=reuse, multiplier=multiplier
        )
        return Case(name, node, (source,))

    return (
        case("same3-rf9", (5, 6, 4), 3, 9),
        case("same3-rf18", (5, 6, 4), 3, 18),
        case("same3-rf36", (5, 6, 4), 3, 36),
        case("same3-s2", (7, 6, 4), 3, 18, stride=2),
        case("same3-s2-even", (8, 8, 2), 3, 9, stride=2),
        case("valid3", (5, 6, 3), 3, 9, same=False),
        case("global", (4, 4, 6), 4, 32, same=False),
        case("global-rf96", (4, 4, 6), 4, 96, same=False),
        case("parallel-rf1", (5, 6, 2), 3, 1),
        case("parallel-rf3", (5, 6, 4), 3, 3),
        case("parallel-s2", (6, 7, 2), 3, 3, stride=2),
        case("parallel-global", (4, 4, 6), 4, 4, same=False),
        case("at-once-4", (5, 6, 4), 3, 36, at_once=4),
        case("at-once-6", (5, 6, 4), 3, 36, at_once=6),
        case("point-s2", (5, 6, 4), 1, 4, stride=2),
        case("odd-channels", (4, 5, 5), 3, 45),
        case("rectangle", (5, 6, 3), (1, 3), 3),
        case("point", (3, 4, 4), 1, 1),
        case("one-pixel", (1, 1, 4), 3, 18),
        case("unsigned", (4, 5, 3), 3, 9, x=grid(5, 2, signed=False), weight=grid(3, 1)),
        case("negative-frac", (4, 5, 3), 3, 9, x=grid(6, -3), weight=grid(4, -2),
             cast=Cast(grid(7, -8), Rounding.RND, Overflow.SAT_SYM)),
        case("times2", (4, 5, 3), 3, 9, multiplier=2),
        case("times3-rf27", (4, 5, 3), 3, 27, multiplier=3),
        case("times2-parallel", (4, 5, 2), 3, 3, multiplier=2),
        case("row", (9, 4), (1, 3), 6),
        case("row-times2-s2", (8, 3), (1, 2), 3, stride=(1, 2), same=False, multiplier=2),
        case("exact", (4, 5, 2), 3, 9, cast=Cast(grid(24, 11))),
        stored_as(case("same3-rf9", (4, 5, 4), 3, 9), "codebook<8>"),
        stored_as(case("same3-rf18", (4, 5, 4), 3, 18), "minifloat<4,3>"),
        stored_as(case("parallel-rf3", (4, 5, 4), 3, 3), "hybrid<8,minifloat<5,2>>", "lut"),
        distributed(case("same3", (5, 6, 4), 3, 1)),
        distributed(case("times2-s2", (6, 7, 2), 3, 1, stride=2, multiplier=2)),
    )  # fmt: skip
