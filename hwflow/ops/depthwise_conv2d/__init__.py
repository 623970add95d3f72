# SPDX-License-Identifier: Apache-2.0
"""Depthwise 1-D and 2-D convolution: as many filters a channel as the depth multiplier says."""

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
from hwflow.ops.conv2d import check_parallel, positions, window_attrs, window_parameters
from hwflow.ops.distributed import (
    distributed_folding,
    distributed_instance,
    is_beatwise,
    is_distributed,
    window_of,
)
from hwflow.ops.frontend import KerasCheck, LayerTypes
from hwflow.ops.keras import check_geometry, check_weights
from hwflow.ops.lowering import (
    bias_or_zero,
    output_shape,
    parallel_attrs,
    parameter,
    result_cast,
    reuse_factor,
)
from hwflow.ops.matvec import (
    MATVEC_MODULES,
    accumulator,
    add_bias,
    format_attrs,
    multiplication,
    spread,
    strategy_attrs,
    sum_interval,
    unit_parameters,
    weighted_types,
    windows,
)
from hwflow.ops.reuse import legal_depthwise_reuse_factors, legal_for, pixel_cycles


def _check_depthwise(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    yield from check_geometry(layer)
    yield from check_weights(layer, has_precision)


class DepthwiseConv2dOp(OpSpec):
    """``y[o] = cast(bias[o] + sum w[ky, kx, o] * x[oy*s + ky - pad, ox*s + kx - pad, o // m])``.

    ``m`` is the depth multiplier, output channels over input channels. Parameters of the node: ``weight``
    (kernel_h, kernel_w, channels), ``bias`` (channels,). The reuse factor divides kernel positions * input
    channels; the ``m`` filters of a channel are computed together.
    """

    name: ClassVar[str] = "depthwise_conv2d"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("DepthwiseConv1D", "DepthwiseConv2D")
    modules: ClassVar[tuple[str, ...]] = ("hwf_depthwise_conv2d", *MATVEC_MODULES)
    parallel: ClassVar[bool] = True

    keras: ClassVar[Mapping[str, KerasCheck]] = dict.fromkeys(
        ("DepthwiseConv1D", "DepthwiseConv2D", "QDepthwiseConv2D", "QDepthwiseConv2DBatchnorm"),
        _check_depthwise,
    )

    def types(self, layer: LayerTypes) -> Cast:
        return weighted_types(layer, "depthwise")

    def legal_reuse(self, layer: Any) -> list[int]:
        return legal_depthwise_reuse_factors(positions(layer), layer.get_attr("n_chan"))

    def reuse_factors(self, node: QuantNode, inputs: Sequence[QuantNode]) -> list[int]:
        factors = legal_depthwise_reuse_factors(len(self._matrix(node)), inputs[0].channels)
        return legal_for(node, factors)

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        attrs = window_attrs(layer)
        shape = output_shape(layer)
        kernel = (attrs["kernel_h"], attrs["kernel_w"], shape[-1])
        params = {"weight": parameter(layer, "weight", kernel), "bias": bias_or_zero(layer, shape[-1])}
        attrs_all = {**attrs, **strategy_attrs(layer), **format_attrs(layer), **parallel_attrs(layer)}
        return QuantNode(
            name,
            self.name,
            (inputs[0].name,),
            shape,
            result_cast(layer),
            attrs_all,
            params,
            reuse_factor(layer),
        )

    def _matrix(self, node: QuantNode) -> Codes:
        return node.params["weight"].codes.reshape(-1, node.channels)

    def _spread(self, node: QuantNode, channels: int) -> Codes:
        """Constants of the convolution without zeros left out: kernel positions * channels, outputs."""
        matrix: Codes = spread(self._matrix(node).reshape(-1, channels, node.channels // channels))
        return matrix.reshape(-1, node.channels)

    def _accumulator(self, node: QuantNode, x: Interval) -> tuple[Codes, Codes]:
        multiplier = node.channels // x.low.size
        x = Interval(np.repeat(x.low, multiplier), np.repeat(x.high, multiplier), x.frac)
        return accumulator(self._matrix(node), x)

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        acc_frac = inputs[0].frac + node.params["weight"].type.frac
        return sum_interval(self._accumulator(node, inputs[0]), acc_frac, node.params["bias"])

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        codes, x_type = inputs[0]
        view = windows(np.repeat(codes, node.channels // codes.shape[-1], axis=-1), Window.of(node))
        weight = node.params["weight"].codes
        acc = np.zeros((codes.shape[0], *node.shape), dtype=np.int64)
        for ky in range(weight.shape[0]):
            for kx in range(weight.shape[1]):
                acc += (view[..., ky, kx] * weight[ky, kx]).reshape(acc.shape)
        return add_bias(acc, x_type.frac + node.params["weight"].type.frac, node.params["bias"])

    def folding(self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int]) -> Folding:
        if is_distributed(node):
            return distributed_folding(node, self._spread(node, inputs[0].channels), inputs[0].channels)
        kernel, channels = len(self._matrix(node)), inputs[0].channels
        lanes_in, simd = depthwise_folding(kernel, channels, pixel_cycles(node))
        pe = lanes_in * (node.channels // channels)
        window = Window.of(node)
        return Folding(
            in_lanes=(lanes_in if simd == 1 else channels,),
            out_lanes=lanes_for(pe, kernel // simd),
            cycles=pixel_cycles(node),
            pe=pe,
            simd=simd,
            multipliers=pe * simd,
            latency=3 + multiplication(node, inputs[0], pe, simd, depthwise=True).latency(simd),
            buffered=True,
            banked=window if simd > 1 else None,
            skip=window.unread(channels // lanes_in, pixel_cycles(node)) if simd == 1 else None,
        )

    def access(self, node: QuantNode, inputs: Sequence[QuantNode]) -> tuple[Access, ...] | None:
        return None if is_beatwise(node) else (Window.of(node).access(),)

    def check(self, node: QuantNode, inputs: Sequence[QuantNode]) -> list[str]:
        simd = depthwise_folding(len(self._matrix(node)), inputs[0].channels, pixel_cycles(node))[1]
        return check_parallel(node, window_of(node) is not None if is_distributed(node) else simd > 1)

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        if is_distributed(node):
            return distributed_instance(node, inputs[0], ranges[0], self._spread(node, inputs[0].channels))
        matrix = self._matrix(node)
        kernel, channels = matrix.shape
        sets = kernel // folding.simd
        words = (
            matrix.reshape(sets, folding.simd, channels // folding.pe, folding.pe)
            .transpose(2, 0, 3, 1)
            .reshape(-1, folding.pe * folding.simd)
        )
        acc = self._accumulator(node, ranges[0])
        parameters: dict[str, int | Memory] = {
            "C": inputs[0].channels,
            "Multiplier": channels // inputs[0].channels,
            "Simd": folding.simd,
        }
        parameters |= window_parameters(folding.skip.reduced() if folding.skip else Window.of(node), pixels)
        unit = unit_parameters(node, inputs[0], acc, folding, words, depthwise=True)
        return Instance("hwf_depthwise_conv2d", parameters | unit)
