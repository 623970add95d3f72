# SPDX-License-Identifier: Apache-2.0
"""Linear and rectified activations with a cast: QKeras' ``quantized_bits`` and ``quantized_relu``.

The other functions of hls4ml's activation layers are handed to the operations that compute them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from hwflow.errors import UnsupportedLayerError, UserError
from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.numerics.quantizers import activation_cast
from hwflow.ops.base import Folding, Instance, Interval, Memory, OpSpec, cast_parameters, grid_parameters
from hwflow.ops.frontend import KerasCheck, LayerTypes, supported
from hwflow.ops.keras import check_function
from hwflow.ops.lookup import LookupOp
from hwflow.ops.lookup.tables import FUNCTIONS as TABLES
from hwflow.ops.lowering import output_shape, precision_cast, result_cast
from hwflow.ops.piecewise import FUNCTIONS as PIECES
from hwflow.ops.piecewise import PiecewiseOp, function_name

_OTHERS: Mapping[str, OpSpec] = {
    **dict.fromkeys(TABLES, LookupOp()),
    **dict.fromkeys(PIECES, PiecewiseOp()),
}


def _check_activation(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    return check_function(layer.activation)


def _check_qactivation(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    return check_function(layer.quantizer)


class ActivationOp(OpSpec):
    """``y = cast(function == 'relu' ? max(x, 0) : x)``."""

    name: ClassVar[str] = "activation"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("Activation", "ParametrizedActivation")
    modules: ClassVar[tuple[str, ...]] = ("hwf_activation", "hwf_cast")
    registers_input: ClassVar[bool] = True

    keras: ClassVar[Mapping[str, KerasCheck]] = {
        "Activation": _check_activation,
        "QActivation": _check_qactivation,
        "ReLU": supported,
        "LeakyReLU": supported,
        "ThresholdedReLU": supported,
        "ELU": supported,
    }

    def types(self, layer: LayerTypes) -> Cast:
        node = layer.node
        function = function_name(node)
        if function in _OTHERS:
            return _OTHERS[function].types(layer)
        if function not in ("linear", "relu"):
            raise UserError(f"the activation {function} is not supported")
        quantizer = node.get_attr("activation_quantizer")
        if quantizer is not None:
            exact = activation_cast(quantizer["class_name"], quantizer["config"])
            return layer.given("result", _hls4ml_guess(quantizer)) or exact
        given = layer.given("result")
        if given is not None or function == "linear":
            return given or layer.input_cast()
        grid = layer.input_type()
        return Cast(FixedType.for_range(0, grid.range()[1], grid.frac))

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        function = function_name(layer)
        if function in _OTHERS:
            return _OTHERS[function].lower(layer, name, inputs)
        if function not in ("linear", "relu"):
            raise UnsupportedLayerError(
                [f"layer {name!r}: activation {function!r} has no hardware yet"],
                "use one that `hwflow check` takes",
            )
        return QuantNode(
            name,
            self.name,
            (inputs[0].name,),
            output_shape(layer),
            result_cast(layer),
            {"function": function},
        )

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        x = inputs[0]
        if node.attrs["function"] == "relu":
            return Interval(np.maximum(x.low, 0), np.maximum(x.high, 0), x.frac)
        return x

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        codes, x_type = inputs[0]
        return (np.maximum(codes, 0) if node.attrs["function"] == "relu" else codes), x_type.frac

    def folding(self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int]) -> Folding:
        return Folding(in_lanes=(lanes[0],), out_lanes=lanes[0], cycles=node.channels // lanes[0], latency=1)

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        parameters: dict[str, int | Memory] = {
            "Lanes": folding.out_lanes,
            "Relu": int(node.attrs["function"] == "relu"),
        }
        return Instance(
            "hwf_activation", parameters | grid_parameters("X", inputs[0].type) | cast_parameters(node)
        )


def _hls4ml_guess(quantizer: Mapping[str, Any]) -> Cast:
    """Type that hls4ml puts into a generated configuration for a quantizer."""
    from hls4ml.utils.config import _get_precision_from_quantizer

    return precision_cast(_get_precision_from_quantizer(quantizer), "quantizer")
