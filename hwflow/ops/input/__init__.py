# SPDX-License-Identifier: Apache-2.0
"""Input tensor: codes that arrive on the accelerator's AXI-Stream port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from hwflow.errors import InternalError
from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.ops.base import Folding, Instance, Interval, OpSpec, lanes_within
from hwflow.ops.frontend import KerasCheck, LayerTypes, supported
from hwflow.ops.lowering import output_shape, result_cast


class InputOp(OpSpec):
    """An input of the accelerator."""

    name: ClassVar[str] = "input"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("Input", "InputLayer")
    arity: ClassVar[int] = 0

    keras: ClassVar[Mapping[str, KerasCheck]] = {"InputLayer": supported}

    def types(self, layer: LayerTypes) -> Cast:
        return layer.given("result") or layer.model_default()

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        return QuantNode(name, self.name, (), output_shape(layer), result_cast(layer))

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        low, high = node.type.range()
        return Interval(np.full(node.channels, low), np.full(node.channels, high), node.type.frac)

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        raise InternalError("an input node computes nothing")

    def folding(self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int]) -> Folding:
        return Folding(in_lanes=(), out_lanes=node.channels, cycles=1, latency=0)

    def folding_within(
        self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int], cycles: int
    ) -> Folding:
        # A pixel a beat, as an image source delivers it, and vectors whole; many channels no wider than needed.
        whole = node.channels <= 4 or node.pixels == 1
        width = node.channels if whole else lanes_within(node, cycles)
        return Folding(in_lanes=(), out_lanes=width, cycles=node.channels // width, latency=0)

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        return None
