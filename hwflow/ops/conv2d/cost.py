# SPDX-License-Identifier: Apache-2.0
"""Structure of the convolution's module, which also computes fully connected layers."""

from __future__ import annotations

from hwflow.ops.costkit import Parameters, Structure, number
from hwflow.ops.librarycost import mvu, window, window_parallel

_GEOMETRY = {
    "in_h": "InH", "in_w": "InW", "out_h": "OutH", "out_w": "OutW", "kernel_h": "KernelH", "kernel_w": "KernelW",
    "stride_h": "StrideH", "stride_w": "StrideW",
}  # fmt: skip


def geometry(p: Parameters) -> dict[str, int]:
    """Window parameters under the names of the shared modules."""
    pads = {"pad_top": number(p, "PadTop"), "pad_left": number(p, "PadLeft")}
    return {ours: number(p, theirs, 1) for ours, theirs in _GEOMETRY.items()} | pads


def conv2d(s: Structure, p: Parameters) -> None:
    """``hwf_conv2d``."""
    channels, pe, simd = number(p, "InC", 1), number(p, "Pe", 1), number(p, "Simd", 1)
    folds = number(p, "OutC", 1) // pe
    shape = geometry(p)
    positions = shape["kernel_h"] * shape["kernel_w"]
    pixel = positions == shape["stride_h"] == shape["stride_w"] == 1
    cleared = not (pixel and folds == 1) and channels % simd == 0
    if not (pixel and folds == 1):
        if channels % simd:
            window_parallel(s, lane_w=number(p, "XW"), channels=channels, lanes=simd, replays=folds, **shape)
        else:
            window(
                s, width=simd * number(p, "XW"), words=channels // simd, replays=folds, depthwise=False,
                pixels=number(p, "Pixels"), **shape,
            )  # fmt: skip
    terms = positions * channels // simd
    mvu(s, p, pe=pe, simd=simd, depthwise=False, folds=folds, synapse_folds=terms, cleared=cleared)


MODULES = {"hwf_conv2d": conv2d}
