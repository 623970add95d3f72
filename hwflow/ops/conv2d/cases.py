# SPDX-License-Identifier: Apache-2.0
"""Parameter points of the convolution."""

from __future__ import annotations

import numpy as np

from hwflow.numerics.fixed import Cast, FixedType, Overflow, Rounding
from hwflow.ops.base import Case
from hwflow.ops.casekit import Pair, conv2d, distributed, grid, quantizer, stored_as, tensor, window_attrs
from hwflow.ops.reuse import PARALLEL

_X8 = grid(8, 4)
_W8 = grid(8, 7)
_Y8 = quantizer(8, 3)


def cases() -> tuple[Case, ...]:
    """Kernels, strides, paddings, foldings and number formats, corners included."""
    rng = np.random.default_rng(2)

    def case(
        name: str,
        shape: tuple[int, ...],
        channels: int,
        kernel: Pair,
        reuse: int,
        *,
        stride: Pair = 1,
        same: bool = True,
        x: FixedType = _X8,
        weight: FixedType = _W8,
        bias: FixedType | None = None,
        cast: Cast = _Y8,
        at_once: int = 1,
    ) -> Case:
        source = tensor(shape, x)
        bias = bias or grid(10, x.frac + weight.frac - 2)
        attrs = window_attrs(source, kernel, stride, same=same)
        if at_once > 1:
            attrs[PARALLEL] = at_once
        node = conv2d(rng, source, channels, attrs, cast, weight=weight, bias=bias, reuse=reuse)
        return Case(name, node, (source,))

    return (
        # Folding: reuse factor below, at and above the inputs of one output.
        case("same3-rf9", (5, 6, 3), 4, 3, 9),
        case("same3-rf27", (5, 6, 3), 4, 3, 27),
        case("same3-rf54", (5, 6, 3), 4, 3, 54),
        case("same3-rf108", (4, 4, 3), 4, 3, 108),
        case("point-rf2", (4, 5, 6), 4, 1, 2),
        case("point-rf6", (4, 5, 6), 4, 1, 6),
        case("point-rf12", (4, 5, 6), 4, 1, 12),
        case("point-rf1", (3, 4, 2), 3, 1, 1),
        # Several pixels a cycle: whole windows, parts of them, and parts that no channel count divides.
        case("parallel-rf1", (5, 6, 3), 4, 3, 1),
        case("parallel-rf3", (5, 6, 3), 4, 3, 3),
        case("parallel-uneven", (6, 6, 4), 2, 3, 6),
        case("parallel-s2", (7, 6, 4), 3, 3, 6, stride=2),
        case("parallel-valid", (6, 5, 2), 3, 3, 3, same=False),
        case("parallel-5x5", (6, 7, 2), 2, 5, 5),
        case("parallel-ahead", (6, 7, 2), 2, 3, 2, same=False),
        # Several output pixels at once: foldings of a smaller reuse factor, some of them legal only as such.
        case("at-once-4", (4, 4, 3), 4, 3, 108, at_once=4),
        case("at-once-6", (4, 5, 3), 4, 3, 108, at_once=6),
        case("at-once-9", (4, 5, 3), 4, 3, 108, at_once=9),
        case("at-once-27", (5, 4, 3), 4, 3, 108, at_once=27),
        case("at-once-all", (4, 5, 2), 3, 3, 54, at_once=54),
        case("at-once-s2", (7, 6, 3), 4, 3, 108, at_once=9, stride=2),
        case("at-once-point", (4, 5, 6), 4, 1, 12, at_once=3),
        case("at-once-row", (9, 3), 4, (1, 3), 36, at_once=6),
        # Geometry: strides, valid padding, kernels larger than the frame, steps larger than the kernel.
        case("same3-s2", (7, 6, 4), 6, 3, 18, stride=2),
        case("same3-s2-even", (8, 8, 2), 4, 3, 36, stride=2),
        case("valid3", (6, 5, 3), 2, 3, 27, same=False),
        case("valid3-s2", (8, 7, 3), 2, 3, 27, same=False, stride=2),
        case("same5", (6, 7, 2), 3, 5, 25),
        case("valid5-s3", (9, 10, 1), 2, 5, 50, same=False, stride=3),
        case("point-s2", (5, 6, 4), 4, 1, 4, stride=2),
        case("point-s2-rf8", (5, 6, 4), 4, 1, 8, stride=2),
        case("valid2-s3", (7, 8, 2), 3, 2, 8, same=False, stride=3),
        case("rectangle", (6, 9, 2), 3, (3, 1), 6, stride=(1, 2)),
        case("one-pixel", (1, 1, 4), 4, 3, 9),
        case("two-pixels", (2, 2, 2), 2, 3, 36),
        # One dimension.
        case("row", (9, 3), 4, (1, 3), 9),
        case("row-s2", (10, 4), 3, (1, 2), 8, stride=(1, 2), same=False),
        case("row-parallel", (7, 2), 3, (1, 3), 3),
        case("row-point", (6, 4), 5, 1, 4),
        # Channels and number formats.
        case("odd-channels", (4, 5, 5), 7, 3, 9),
        case("odd-channels-rf315", (2, 3, 5), 7, 3, 315),
        case("unsigned", (4, 5, 3), 4, 3, 27, x=grid(8, 8, signed=False), cast=quantizer(6, 3, signed=False)),
        case("binary", (4, 5, 4), 4, 3, 9, x=grid(1, 0, signed=False), weight=grid(1, 0, signed=False),
             bias=grid(4, 0), cast=Cast(grid(8, 0))),
        case("ternary", (4, 5, 4), 4, 3, 9, weight=grid(2, 0),
             cast=Cast(grid(6, 2), Rounding.TRN, Overflow.WRAP)),
        case("negative-frac", (4, 5, 3), 4, 3, 27, x=grid(6, -2), weight=grid(4, -1), bias=grid(6, -5),
             cast=quantizer(8, -6)),
        case("fine-bias", (4, 5, 3), 4, 3, 27, bias=grid(20, 16), cast=Cast(grid(28, 16))),
        case("wide", (3, 4, 2), 3, 3, 18, x=grid(16, 20), weight=grid(18, 3), bias=grid(24, 10),
             cast=Cast(grid(44, 23))),
        # Weights stored as codes of a format.
        stored_as(case("same3-rf27", (4, 5, 3), 4, 3, 27), "codebook<16,fixed<8>>"),
        stored_as(case("deep-rf144", (2, 3, 16), 16, 3, 144), "codebook<16,fixed<6>>"),
        stored_as(case("deep-rf144", (2, 3, 16), 16, 3, 144), "minifloat<4,3>"),
        stored_as(case("parallel-rf3", (4, 5, 3), 4, 3, 3), "minifloat<4,3>", "lut"),
        stored_as(case("same3-rf9", (4, 5, 3), 4, 3, 9), "binary"),
        distributed(case("same3", (5, 6, 3), 4, 3, 1)),
        distributed(case("point", (4, 5, 4), 3, 1, 1, cast=Cast(grid(6, 2), Rounding.RND, Overflow.SAT_SYM))),
        distributed(case("row-s2", (10, 4), 3, (1, 2), 1, stride=(1, 2), same=False)),
    )  # fmt: skip
