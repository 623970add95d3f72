# SPDX-License-Identifier: Apache-2.0
"""C form of padding and cropping: sums over single pixels that may lie outside the frame."""

from __future__ import annotations

from hwflow.ir.graph import QuantNode
from hwflow.ops.base import Window
from hwflow.ops.mcukit import Kernel, RowKernel, Tensor, c_source


class PadMcu(RowKernel):
    """The frame moved by its margins."""

    def kernel(self, node: QuantNode, source: Tensor, wide: bool) -> Kernel:
        height, width, top, bottom, left, right = (
            int(node.attrs[key]) for key in ("in_h", "in_w", "top", "bottom", "left", "right")
        )
        bytes_ = 8 if wide else 4
        return Kernel(
            f"hwf_pool_sum_{8 * bytes_}",
            c_source("pool"),
            Window(height, width, top + height + bottom, left + width + right, pad_top=top, pad_left=left),
            node.channels,
            scratch=2 * bytes_ * node.channels,
        )


LOWERING = PadMcu()
