# SPDX-License-Identifier: Apache-2.0
"""C form of upsampling."""

from __future__ import annotations

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.ops.base import Window
from hwflow.ops.mcukit import Kernel, RowKernel, Tensor, c_source


class UpsampleMcu(RowKernel):
    """Each pixel several times."""

    def kernel(self, node: QuantNode, source: Tensor, wide: bool) -> Kernel:
        factors = int(node.attrs["factor_h"]), int(node.attrs["factor_w"])
        height, width = int(node.attrs["in_h"]), int(node.attrs["in_w"])
        pixels = np.arange(height * width, dtype=np.int64).reshape(height, width)
        bytes_ = 8 if wide else 4
        return Kernel(
            f"hwf_upsample_{8 * bytes_}",
            c_source("upsample"),
            Window(height, width, height * factors[0], width * factors[1]),
            node.channels,
            scratch=bytes_ * node.channels,
            first=pixels.repeat(factors[0], 0).repeat(factors[1], 1).ravel(),
        )


LOWERING = UpsampleMcu()
