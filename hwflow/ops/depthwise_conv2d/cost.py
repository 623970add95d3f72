# SPDX-License-Identifier: Apache-2.0
"""Structure of the depthwise convolution's module."""

from __future__ import annotations

from hwflow.ops.costkit import Parameters, Structure, number
from hwflow.ops.librarycost import geometry, mvu, window, window_parallel


def depthwise_conv2d(s: Structure, p: Parameters) -> None:
    """``hwf_depthwise_conv2d``."""
    channels, pe, simd, x_w = number(p, "C", 1), number(p, "Pe", 1), number(p, "Simd", 1), number(p, "XW")
    group = pe // number(p, "Multiplier", 1)
    shape = geometry(p)
    if simd > 1:
        window_parallel(s, shape, lane_w=x_w, channels=channels, lanes=group * simd)
    else:
        window(
            s, shape, width=group * x_w, words=channels // group, replays=1, depthwise=True,
            pixels=number(p, "Pixels"),
        )  # fmt: skip
    positions = shape.kernel_h * shape.kernel_w
    mvu(
        s, p, pe=pe, simd=simd, depthwise=True, folds=channels // group, synapse_folds=positions // simd,
        cleared=simd == 1,
    )  # fmt: skip


MODULES = {"hwf_depthwise_conv2d": depthwise_conv2d}
