# SPDX-License-Identifier: Apache-2.0
"""Fully connected layer: the 1x1 convolution of a one-pixel frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.ops.base import Access, Folding, Instance, Interval, Memory, OpSpec, dense_folding, lanes_for
from hwflow.ops.distributed import distributed_folding, distributed_instance, is_distributed
from hwflow.ops.frontend import KerasCheck, LayerTypes
from hwflow.ops.keras import check_weights
from hwflow.ops.lowering import bias_or_zero, output_shape, parameter, result_cast, reuse_factor
from hwflow.ops.matvec import (
    MATVEC_MODULES,
    accumulator,
    add_bias,
    format_attrs,
    matmul,
    multiplication,
    strategy_attrs,
    sum_interval,
    unit_parameters,
    weight_words,
    weighted_types,
)
from hwflow.ops.reuse import legal_reuse_factors


def _check_dense(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    if len(layer.input_shape) > 4:
        yield f"input of shape {tuple(layer.input_shape[1:])}", "merge axes with Reshape: three at most"
    yield from check_weights(layer, has_precision)


class DenseOp(OpSpec):
    """``y[o] = cast(bias[o] + sum_i w[i, o] * x[i])``.

    On tensors with more axes the layer is a convolution of one pixel.

    Parameters of the node: ``weight`` (n_in, n_out), ``bias`` (n_out,).
    """

    name: ClassVar[str] = "dense"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("Dense",)
    modules: ClassVar[tuple[str, ...]] = ("hwf_conv2d", *MATVEC_MODULES)

    keras: ClassVar[Mapping[str, KerasCheck]] = {"Dense": _check_dense, "QDense": _check_dense}

    def types(self, layer: LayerTypes) -> Cast:
        return weighted_types(layer, "weight")

    def legal_reuse(self, layer: Any) -> list[int]:
        return legal_reuse_factors(layer.get_attr("n_in"), layer.get_attr("n_out"))

    def reuse_factors(self, node: QuantNode, inputs: Sequence[QuantNode]) -> list[int]:
        return legal_reuse_factors(*node.params["weight"].codes.shape)

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        shape = output_shape(layer)
        n_in = int(layer.get_attr("n_in"))
        params = {
            "weight": parameter(layer, "weight", (n_in, shape[-1])),
            "bias": bias_or_zero(layer, shape[-1]),
        }
        attrs = {**strategy_attrs(layer), **format_attrs(layer)}
        return QuantNode(
            name, self.name, (inputs[0].name,), shape, result_cast(layer), attrs, params, reuse_factor(layer)
        )

    def _accumulator(self, node: QuantNode, x: Interval) -> tuple[Codes, Codes]:
        return accumulator(node.params["weight"].codes, Interval(x.low[:, None], x.high[:, None], x.frac))

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        acc_frac = inputs[0].frac + node.params["weight"].type.frac
        return sum_interval(self._accumulator(node, inputs[0]), acc_frac, node.params["bias"])

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        codes, x_type = inputs[0]
        acc = matmul(codes, node.params["weight"].codes, x_type)
        return add_bias(acc, x_type.frac + node.params["weight"].type.frac, node.params["bias"])

    def folding(self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int]) -> Folding:
        if is_distributed(node):
            return distributed_folding(node, node.params["weight"].codes, inputs[0].channels)
        n_in, n_out = node.params["weight"].codes.shape
        pe, simd = dense_folding(n_in, n_out, node.reuse_factor)
        return Folding(
            in_lanes=(simd,),
            out_lanes=lanes_for(pe, n_in // simd),
            cycles=node.reuse_factor,
            pe=pe,
            simd=simd,
            multipliers=pe * simd,
            latency=2 + multiplication(node, inputs[0], pe, simd).latency(simd),
            buffered=pe != n_out,
        )

    def access(self, node: QuantNode, inputs: Sequence[QuantNode]) -> tuple[Access, ...] | None:
        return None if is_distributed(node) else (Access.pixelwise(1),)

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        weight = node.params["weight"].codes
        if is_distributed(node):
            return distributed_instance(node, inputs[0], ranges[0], weight)
        n_in, n_out = weight.shape
        words = weight_words(weight, folding)
        parameters: dict[str, int | Memory] = {
            "InC": n_in,
            "OutC": n_out,
            "Simd": folding.simd,
            "Pixels": pixels,
        }
        acc = self._accumulator(node, ranges[0])
        return Instance("hwf_conv2d", parameters | unit_parameters(node, inputs[0], acc, folding, words))
