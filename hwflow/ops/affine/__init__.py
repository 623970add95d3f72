# SPDX-License-Identifier: Apache-2.0
"""Scale and offset a channel: batch normalization, and the scales that hls4ml takes out of quantizers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from hwflow.errors import UserError
from hwflow.ir.graph import QuantNode, QuantParam
from hwflow.numerics.codes import narrowest_type
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.numerics.quantizers import MAX_WEIGHT_BITS
from hwflow.ops.base import Folding, Instance, Interval, Memory, OpSpec, cast_parameters, grid_parameters
from hwflow.ops.frontend import KerasCheck, LayerTypes
from hwflow.ops.lowering import output_shape, parameter, result_cast
from hwflow.ops.matvec import add_bias, signed_width, sum_interval, sum_type


def _check_batchnorm(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    if tuple(layer.axis) != (len(layer.input_shape) - 1,):
        yield f"it normalizes axis {tuple(layer.axis)}", "only the last axis is supported"
        return
    if not has_precision:
        from hwflow.ops.affine.hls import scale_and_bias

        for what, values in zip(("scales", "offsets"), scale_and_bias(layer), strict=True):
            if narrowest_type(values, MAX_WEIGHT_BITS) is None:
                yield (
                    f"its {what} fit no fixed-point type of {MAX_WEIGHT_BITS} bits",
                    "fold it into the layer before (QConv2DBatchnorm), let hwflow prepare the float model, or "
                    "give its Precision under HLSConfig",
                )


class AffineOp(OpSpec):
    """``y = cast(scale[c] * x + bias[c])``.

    Parameters of the node: ``scale`` and ``bias`` (channels,).
    """

    name: ClassVar[str] = "affine"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("BatchNormalization", "ApplyAlpha")
    modules: ClassVar[tuple[str, ...]] = ("hwf_affine", "hwf_cast")

    keras: ClassVar[Mapping[str, KerasCheck]] = dict.fromkeys(
        ("BatchNormalization", "QBatchNormalization"), _check_batchnorm
    )

    def types(self, layer: LayerTypes) -> Cast:
        data = [layer.node.weights[name].data for name in ("scale", "bias")]
        lossless = all(narrowest_type(values, MAX_WEIGHT_BITS) is not None for values in data)
        scales, scale_grid = layer.constant("scale", "scale")
        biases, bias_grid = layer.constant("bias", "bias")
        channels = layer.node.get_output_variable().shape[-1]
        if {scales.size, biases.size} - {1, channels}:
            raise UserError(f"it has {scales.size} scales for {channels} channels")
        grid = layer.input_type()
        exact = sum_type(scales.reshape(1, -1), (0,), scale_grid, grid, biases.reshape(-1), bias_grid)
        return layer.result(exact, quantized=lossless)

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        shape = output_shape(layer)

        def constant(key: str) -> QuantParam:
            found = parameter(layer, key, (-1,))
            return QuantParam(np.broadcast_to(found.codes, shape[-1:]).copy(), found.type)

        params = {key: constant(key) for key in ("scale", "bias")}
        return QuantNode(name, self.name, (inputs[0].name,), shape, result_cast(layer), {}, params)

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        return sum_interval(*self._product(node, inputs[0]), node.params["bias"])

    def _product(self, node: QuantNode, x: Interval) -> tuple[tuple[Codes, Codes], int]:
        scale = node.params["scale"]
        ends = scale.codes * x.low, scale.codes * x.high
        return (np.minimum(*ends), np.maximum(*ends)), x.frac + scale.type.frac

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        codes, x_type = inputs[0]
        scale = node.params["scale"]
        return add_bias(codes * scale.codes, x_type.frac + scale.type.frac, node.params["bias"])

    def folding(self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int]) -> Folding:
        return Folding(
            in_lanes=(lanes[0],),
            out_lanes=lanes[0],
            cycles=node.channels // lanes[0],
            multipliers=lanes[0],
            latency=4,
        )

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        scale, bias = node.params["scale"], node.params["bias"]
        total = self.interval(node, ranges)
        prod_frac = ranges[0].frac + scale.type.frac
        bias_codes = bias.codes << (total.frac - bias.type.frac)
        scale_w = signed_width(int(scale.codes.min()), int(scale.codes.max()))
        bias_w = signed_width(int(bias_codes.min()), int(bias_codes.max()))
        parameters: dict[str, int | Memory] = {
            "Lanes": folding.out_lanes,
            "C": node.channels,
            "ScaleW": scale_w,
            "ProdFrac": prod_frac,
            "BiasW": bias_w,
            "SumW": max(
                inputs[0].type.width + scale_w + total.frac - prod_frac,
                signed_width(int(total.low.min()), int(total.high.max())),
                bias_w,
            ),
            "SumFrac": total.frac,
            "ScaleFile": Memory(scale.codes.reshape(-1, folding.out_lanes), scale_w),
            "BiasFile": Memory(bias_codes.reshape(-1, folding.out_lanes), bias_w),
        }
        parameters |= grid_parameters("X", inputs[0].type, frac=False)
        return Instance("hwf_affine", parameters | cast_parameters(node))
