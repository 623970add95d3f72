# SPDX-License-Identifier: Apache-2.0
"""C form of the depthwise convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from hwflow.ir.graph import QuantNode, QuantParam
from hwflow.ops.base import Window
from hwflow.ops.matvec import spread
from hwflow.ops.mcukit import (
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

_SOURCE = c_source("depthwise_conv2d")


class DepthwiseConv2dMcu(RowKernel):
    """Four channels at a time, or position by position; see ``hwf_depthwise_conv2d.c``."""

    min_code_bits: ClassVar[int] = 8

    def rewritten(self, node: QuantNode, inputs: Sequence[QuantNode]) -> tuple[QuantNode, ...]:
        """Several filters a channel are a convolution with zeros between the channels."""
        channels, weight = inputs[0].channels, node.params["weight"]
        if node.channels == channels:
            return (node,)
        kernel = spread(weight.codes.reshape(*weight.codes.shape[:2], channels, -1))
        return (
            replace(node, op="conv2d", params={**node.params, "weight": QuantParam(kernel, weight.type)}),
        )

    def kernel(self, node: QuantNode, source: Tensor, wide: bool) -> Kernel:
        weight, window = node.params["weight"], Window.of(node)
        taps = weight.codes.reshape(-1, node.channels)
        sums = Sum.of(source.node.type.frac + weight.type.frac, node.params["bias"])
        macs = taps.size * node.pixels
        fields = None if wide or source.storage.enum not in ("HWF_I8", "HWF_U8") else weight_fields(taps)
        if fields is not None and fields.bits == 8:
            if int(taps.min()) >= -128 and int(taps.max()) <= 127:
                packed = np.pad(taps, ((0, 0), (0, -node.channels % 4)))
                return Kernel(
                    "hwf_depthwise_w8",
                    _SOURCE,
                    window,
                    node.channels,
                    scratch=4 * node.channels,
                    weights=words(packed, 8),
                    bias=sums.bias,
                    acc_shift=sums.shift,
                    macs=macs,
                )
            fields = None
        low, high = source.bounds
        if fields is not None and taps.shape[0] * max(-low, high) < 1 << 15:  # sums of codes in 16 bits
            packed = np.pad(fields.fields, ((0, 0), (0, -node.channels % 4)))
            return Kernel(
                f"hwf_depthwise_w{fields.bits}",
                _SOURCE,
                window,
                node.channels,
                scratch=4 * node.channels,
                weights=pack_fields(packed, fields.bits),
                bias=sums.bias,
                zero=fields.zero,
                step=fields.step,
                acc_shift=sums.shift,
                macs=macs,
            )
        storage, bytes_ = storage_of(weight.type), 8 if wide else 4
        return Kernel(
            f"hwf_depthwise_any_{8 * bytes_}",
            _SOURCE,
            window,
            node.channels,
            scratch=3 * bytes_ * node.channels,
            weights=pack_rows(taps, storage),
            bias=sums.bias,
            storage=storage,
            acc_shift=sums.shift,
            macs=macs,
        )


LOWERING = DepthwiseConv2dMcu()
