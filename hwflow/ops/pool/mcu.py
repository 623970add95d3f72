# SPDX-License-Identifier: Apache-2.0
"""C form of pooling."""

from __future__ import annotations

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Codes
from hwflow.ops.base import Interval, Window
from hwflow.ops.mcukit import Kernel, RowKernel, Stage, Tensor, c_source, constants_storage


class PoolMcu(RowKernel):
    """Largest value, or sum with a scale or a division behind it."""

    def reasons(self, node: QuantNode) -> list[str]:
        return (
            [] if int(_pixels_inside(Window.of(node)).min()) > 0 else ["a window lies wholly in the padding"]
        )

    def peak(self, node: QuantNode, x: Interval) -> int:
        reach = max(-int(x.low.min()), int(x.high.max()))
        pixels = int(_pixels_inside(Window.of(node)).max())
        return 0 if node.attrs["function"] == "max" else (reach * pixels) << self._shift(node, x.frac)

    def kernel(self, node: QuantNode, source: Tensor, wide: bool) -> Kernel:
        bytes_, function = 8 if wide else 4, "max"
        stages: tuple[Stage, ...] = ()
        if node.attrs["function"] != "max":
            function = "mean"
            if scale := node.params.get("scale"):
                function = "sum"
                data = np.full(node.channels, scale.codes[0])
                stages = (
                    Stage("hwf_multiply", c_source("merge"), data=data, storage=constants_storage(data)),
                )
        return Kernel(
            f"hwf_pool_{function}_{8 * bytes_}",
            c_source("pool"),
            Window.of(node),
            node.channels,
            scratch=2 * bytes_ * node.channels,
            acc_shift=self._shift(node, source.node.type.frac),
            stages=stages,
        )

    @staticmethod
    def _shift(node: QuantNode, frac: int) -> int:
        """Bits appended before a division."""
        divides = node.attrs["function"] != "max" and "scale" not in node.params
        return int(node.attrs["frac"]) - frac if divides else 0


def _pixels_inside(window: Window) -> Codes:
    """Pixels of each window inside the frame."""
    rows = np.arange(window.out_h) * window.stride_h - window.pad_top
    cols = np.arange(window.out_w) * window.stride_w - window.pad_left
    high = np.minimum(rows + window.kernel_h, window.in_h) - np.maximum(rows, 0)
    wide = np.minimum(cols + window.kernel_w, window.in_w) - np.maximum(cols, 0)
    sizes: Codes = np.multiply.outer(np.maximum(high, 0), np.maximum(wide, 0))
    return sizes


LOWERING = PoolMcu()
