# SPDX-License-Identifier: Apache-2.0
"""C form of the permutation of axes."""

from __future__ import annotations

from math import prod
from typing import ClassVar

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.ops.base import Window
from hwflow.ops.mcukit import Kernel, RowKernel, Tensor, c_source, words


class PermuteMcu(RowKernel):
    """Values gathered one by one; the constants are the sizes of the result's axes and their steps in the input."""

    min_code_bits: ClassVar[int] = 8

    def kernel(self, node: QuantNode, source: Tensor, wide: bool) -> Kernel:
        shape, perm = source.node.shape, [int(axis) for axis in node.attrs["perm"]]
        steps = [prod(shape[axis + 1 :]) for axis in perm]
        values = np.arange(prod(shape), dtype=np.int64).reshape(shape).transpose(perm)
        bytes_ = 8 if wide else 4
        return Kernel(
            f"hwf_permute_{8 * bytes_}",
            c_source("permute"),
            Window(1, source.node.pixels, 1, node.pixels),
            source.node.channels,
            scratch=bytes_ * node.channels,
            weights=words(np.array([len(perm), *node.shape, *steps]), 32),
            first=values.reshape(node.pixels, -1).min(axis=1) // source.node.channels,
        )


LOWERING = PermuteMcu()
