# SPDX-License-Identifier: Apache-2.0
"""C form of the dense layer: a convolution of single pixels."""

from __future__ import annotations

from hwflow.ir.graph import QuantNode
from hwflow.ops.base import Window
from hwflow.ops.conv2d.mcu import matrix_kernel
from hwflow.ops.mcukit import Kernel, RowKernel, Tensor


class DenseMcu(RowKernel):
    """Vector times matrix."""

    def kernel(self, node: QuantNode, source: Tensor, wide: bool) -> Kernel:
        return matrix_kernel(node, Window(1, node.pixels, 1, node.pixels), source, wide)


LOWERING = DenseMcu()
