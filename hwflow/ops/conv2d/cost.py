# SPDX-License-Identifier: Apache-2.0
"""Structure of the convolution's module, which also computes fully connected layers."""

from __future__ import annotations

from hwflow.ops.costkit import Parameters, Structure, number
from hwflow.ops.librarycost import geometry, mvu, window, window_parallel


def conv2d(s: Structure, p: Parameters) -> None:
    """``hwf_conv2d``."""
    channels, pe, simd = number(p, "InC", 1), number(p, "Pe", 1), number(p, "Simd", 1)
    folds = number(p, "OutC", 1) // pe
    shape = geometry(p)
    positions = shape.kernel_h * shape.kernel_w
    pixel = positions == shape.stride_h == shape.stride_w == 1
    cleared = not (pixel and folds == 1) and channels % simd == 0
    if not (pixel and folds == 1):
        if channels % simd:
            window_parallel(s, shape, lane_w=number(p, "XW"), channels=channels, lanes=simd, replays=folds)
        else:
            window(
                s, shape, width=simd * number(p, "XW"), words=channels // simd, replays=folds, depthwise=False,
                pixels=number(p, "Pixels"),
            )  # fmt: skip
    terms = positions * channels // simd
    mvu(s, p, pe=pe, simd=simd, depthwise=False, folds=folds, synapse_folds=terms, cleared=cleared)


MODULES = {"hwf_conv2d": conv2d}
