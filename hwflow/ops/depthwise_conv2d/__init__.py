# SPDX-License-Identifier: Apache-2.0
"""Depthwise 2-D convolution with one filter a channel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.ops.base import (
    Access,
    Folding,
    Instance,
    Interval,
    Memory,
    OpSpec,
    Window,
    depthwise_folding,
    lanes_for,
)
from hwflow.ops.conv2d import WINDOW_ATTRS, check_parallel, window_parameters
from hwflow.ops.frontend import KerasCheck, LayerTypes
from hwflow.ops.keras import check_geometry, check_weights
from hwflow.ops.lowering import bias_or_zero, output_shape, parameter, result_cast, reuse_factor
from hwflow.ops.matvec import (
    MATVEC_MODULES,
    accumulator,
    add_bias,
    sum_interval,
    unit_parameters,
    weighted_types,
    windows,
)
from hwflow.ops.reuse import legal_depthwise_reuse_factors


def _check_depthwise(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    yield from check_geometry(layer)
    if layer.depth_multiplier != 1:
        yield f"depth_multiplier {layer.depth_multiplier}", "only 1 is supported"
    yield from check_weights(layer, has_precision)


class DepthwiseConv2dOp(OpSpec):
    """``y[c] = cast(bias[c] + sum w[ky, kx, c] * x[oy*s + ky - pad, ox*s + kx - pad, c])``.

    Parameters of the node: ``weight`` (kernel_h, kernel_w, channels), ``bias`` (channels,). The reuse factor
    divides kernel_h * kernel_w * channels, the products of one output pixel.
    """

    name: ClassVar[str] = "depthwise_conv2d"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("DepthwiseConv2D",)
    modules: ClassVar[tuple[str, ...]] = ("hwf_depthwise_conv2d", *MATVEC_MODULES)

    keras: ClassVar[Mapping[str, KerasCheck]] = {
        "DepthwiseConv2D": _check_depthwise,
        "QDepthwiseConv2D": _check_depthwise,
    }

    def types(self, layer: LayerTypes) -> Cast:
        return weighted_types(layer, "depthwise")

    def legal_reuse(self, layer: Any) -> list[int]:
        positions = layer.get_attr("filt_height") * layer.get_attr("filt_width")
        return legal_depthwise_reuse_factors(positions, layer.get_attr("n_chan"))

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        attrs = {ours: int(layer.get_attr(theirs, 0)) for ours, theirs in WINDOW_ATTRS.items()}
        shape = output_shape(layer)
        kernel = (attrs["kernel_h"], attrs["kernel_w"], shape[-1])
        params = {"weight": parameter(layer, "weight", kernel), "bias": bias_or_zero(layer, shape[-1])}
        return QuantNode(
            name, self.name, (inputs[0].name,), shape, result_cast(layer), attrs, params, reuse_factor(layer)
        )

    def _matrix(self, node: QuantNode) -> Codes:
        return node.params["weight"].codes.reshape(-1, node.channels)

    def _accumulator(self, node: QuantNode, x: Interval) -> tuple[Codes, Codes]:
        return accumulator(self._matrix(node), x)

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        acc_frac = inputs[0].frac + node.params["weight"].type.frac
        return sum_interval(self._accumulator(node, inputs[0]), acc_frac, node.params["bias"])

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        codes, x_type = inputs[0]
        view = windows(codes, Window.of(node))
        weight = node.params["weight"].codes
        acc = np.zeros((codes.shape[0], *node.shape), dtype=np.int64)
        for ky in range(weight.shape[0]):
            for kx in range(weight.shape[1]):
                acc += view[..., ky, kx] * weight[ky, kx]
        return add_bias(acc, x_type.frac + node.params["weight"].type.frac, node.params["bias"])

    def folding(self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int]) -> Folding:
        kernel, channels = self._matrix(node).shape
        pe, simd = depthwise_folding(kernel, channels, node.reuse_factor)
        return Folding(
            in_lanes=(pe if simd == 1 else channels,),
            out_lanes=lanes_for(pe, kernel // simd),
            cycles=node.reuse_factor,
            pe=pe,
            simd=simd,
            multipliers=pe * simd,
            latency=11,
            buffered=True,
        )

    def access(self, node: QuantNode, inputs: Sequence[QuantNode]) -> tuple[Access, ...]:
        return (Window.of(node).access(),)

    def check(self, node: QuantNode, inputs: Sequence[QuantNode]) -> list[str]:
        kernel, channels = self._matrix(node).shape
        return check_parallel(node, depthwise_folding(kernel, channels, node.reuse_factor)[1] > 1)

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        matrix = self._matrix(node)
        kernel, channels = matrix.shape
        sets = kernel // folding.simd
        words = (
            matrix.reshape(sets, folding.simd, channels // folding.pe, folding.pe)
            .transpose(2, 0, 3, 1)
            .reshape(-1, folding.pe * folding.simd)
        )
        acc = self._accumulator(node, ranges[0])
        parameters: dict[str, int | Memory] = {"C": channels, "Simd": folding.simd}
        parameters |= window_parameters(node, pixels)
        return Instance(
            "hwf_depthwise_conv2d", parameters | unit_parameters(node, inputs[0], acc, folding, words)
        )
