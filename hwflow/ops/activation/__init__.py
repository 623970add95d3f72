# SPDX-License-Identifier: Apache-2.0
"""Linear and rectified activations with a cast: QKeras' ``quantized_bits`` and ``quantized_relu``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from hwflow.errors import UnsupportedLayerError
from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Codes, FixedType
from hwflow.ops.base import Folding, Instance, Interval, Memory, OpSpec, cast_parameters, grid_parameters
from hwflow.ops.lowering import output_shape, result_cast


class ActivationOp(OpSpec):
    """``y = cast(function == 'relu' ? max(x, 0) : x)``."""

    name: ClassVar[str] = "activation"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("Activation",)
    modules: ClassVar[tuple[str, ...]] = ("hwf_activation", "hwf_cast")

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        function = str(layer.get_attr("activation")).lower()
        if function not in ("linear", "relu"):
            raise UnsupportedLayerError(
                [f"layer {name!r}: activation {function!r} has no hardware yet"], "use linear, relu or PReLU"
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
        return Folding(in_lanes=lanes[0], out_lanes=lanes[0], cycles=node.channels // lanes[0], latency=1)

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
