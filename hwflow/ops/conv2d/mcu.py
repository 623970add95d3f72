# SPDX-License-Identifier: Apache-2.0
"""C form of the convolution; the dense layer is its case of a single pixel."""

from __future__ import annotations

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Codes
from hwflow.ops.base import Window
from hwflow.ops.mcukit import (
    Fields,
    Kernel,
    RowKernel,
    Sum,
    Tensor,
    c_source,
    pack_fields,
    pack_rows,
    storage_of,
    weight_fields,
    words,
)

_SOURCE = c_source("conv2d")
_HALF = (-(1 << 15), (1 << 15) - 1)


class Conv2dMcu(RowKernel):
    """Column of a window times matrix; see ``hwf_conv2d.c``."""

    def kernel(self, node: QuantNode, source: Tensor, wide: bool) -> Kernel:
        return matrix_kernel(node, Window.of(node), source, wide)


def matrix_kernel(node: QuantNode, window: Window, source: Tensor, wide: bool) -> Kernel:
    """Kernel of a layer in which every output reads the whole window.

    Parameters
    ----------
    node : QuantNode
        Layer with parameters ``weight`` (..., in_channels, out_channels) and ``bias``.
    window : Window
        Its geometry.
    source : Tensor
        Its input.
    wide : bool
        Whether sums need 64 bits.
    """
    weight = node.params["weight"]
    matrix = weight.codes.reshape(-1, node.channels).T  # an output a row
    sums = Sum.of(source.node.type.frac + weight.type.frac, node.params["bias"])
    fields = None if wide else weight_fields(matrix)
    low, high = source.bounds
    in_c = weight.codes.shape[-2]
    if fields is None or low < _HALF[0] or high > _HALF[1]:
        storage, bytes_ = storage_of(weight.type), 8 if wide else 4
        return Kernel(
            f"hwf_conv2d_any_{8 * bytes_}",
            _SOURCE,
            window,
            in_c,
            scratch=bytes_ * (matrix.shape[1] + node.channels),
            weights=pack_rows(matrix, storage),
            bias=sums.bias,
            storage=storage,
            acc_shift=sums.shift,
            macs=matrix.size * node.pixels,
        )
    xnor = fields.bits == 1 and source.storage.enum == "HWF_U1" and in_c % 8 == 0
    length = -(-matrix.shape[1] * fields.bits // 32) * 32 // fields.bits  # whole words
    columns = 2 if node.pixels > 1 else 1
    return Kernel(
        "hwf_conv2d_xnor" if xnor else f"hwf_conv2d_w{fields.bits}",
        _SOURCE,
        window,
        in_c,
        scratch=length // 8 + 4 * node.channels if xnor else columns * (2 * length + 4 * node.channels),
        weights=_xnor_weights(fields) if xnor else _paired_weights(fields),
        bias=sums.bias,
        zero=fields.zero,
        step=fields.step,
        acc_shift=sums.shift,
        macs=matrix.size * node.pixels,
    )


def _padded(fields: Fields) -> Codes:
    """Fields of each output, zeros up to a whole word."""
    per_word = 32 // fields.bits
    return np.pad(fields.fields, ((0, 0), (0, -fields.fields.shape[1] % per_word)))


def _paired_weights(fields: Fields) -> bytes:
    """Words whose fields p and p + F/2 belong to the elements 2p and 2p + 1."""
    per_word = 32 // fields.bits
    paired = _padded(fields).reshape(-1, per_word // 2, 2).transpose(0, 2, 1)
    return pack_fields(paired.reshape(-1, per_word), fields.bits)


def _xnor_weights(fields: Fields) -> bytes:
    """For each output the number of its ones, then its bits."""
    padded = _padded(fields)
    return b"".join(words(row.sum(), 32) + pack_fields(row[None], 1) for row in padded)


LOWERING = Conv2dMcu()
