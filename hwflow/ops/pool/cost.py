# SPDX-License-Identifier: Apache-2.0
"""Structure of the pooling module."""

from __future__ import annotations

from hwflow.ops.costkit import Contents, Parameters, Structure, number
from hwflow.ops.librarycost import cast_of, dwc, geometry, window, window_parallel


def pool(s: Structure, p: Parameters) -> None:
    """``hwf_pool``."""
    channels, pe, simd, lanes = (number(p, name, 1) for name in ("C", "Pe", "Simd", "Lanes"))
    x_w, sum_w, average, marks = (
        number(p, "XW"),
        number(p, "SumW"),
        number(p, "Average"),
        number(p, "CountPad"),
    )
    whole, shape = number(p, "Whole"), geometry(p)
    code_w = x_w + marks
    if not whole:
        if simd > 1:
            window_parallel(s, shape, lane_w=code_w, channels=channels, lanes=pe * simd)
        else:
            window(
                s, shape, width=pe * code_w, words=channels // pe, replays=1, depthwise=True,
                pixels=number(p, "Pixels"),
            )  # fmt: skip
    positions = shape.kernel_h * shape.kernel_w
    depth = channels // pe if whole else 1
    terms = shape.in_h * shape.in_w if whole else positions // simd
    acc_w = sum_w if average else x_w
    count_w = positions.bit_length() if marks else 0
    lane_w = acc_w + count_w
    if depth > 1:
        s.memory(depth, pe * lane_w, registered=False)
        s.counter("counter", depth - 1)
    else:
        s.register(pe * lane_w)
    s.counter("counter", terms - 1, spare=True)
    s.register(pe * lane_w + 2)
    s.lut("control", 6)
    s.add("sum", acc_w, pe * simd)
    if average:
        s.add("sum", count_w, pe * simd)
    else:
        s.lut("choice", pe * simd * x_w)
    dwc(s, {"LaneW": lane_w, "InLanes": pe, "OutLanes": lanes})
    if not average:
        cast_of(s, p, x_w, number(p, "XSigned", 1), number(p, "QFrac"), times=lanes)
        return
    scale_w, shift = number(p, "ScaleW", 1), number(p, "Shift")
    quotient = max(sum_w + scale_w - shift + 1, 2)
    s.register(2)
    scales = p.get("ScaleFile")
    if isinstance(scales, Contents) and scales.depth > 1:
        for _ in range(lanes):
            s.rom("rom", scales)
    s.register(lanes * (sum_w + sum_w + scale_w + 2))
    s.add("sum", sum_w, lanes)
    s.multiply("product", sum_w, scale_w, sum_w + scale_w, signed=False, times=lanes)
    s.add("sum", quotient, lanes)
    cast_of(s, p, quotient, 1, number(p, "QFrac"), times=lanes)


MODULES = {"hwf_pool": pool}
