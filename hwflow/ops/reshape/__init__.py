# SPDX-License-Identifier: Apache-2.0
"""Flatten and reshape: the stream keeps its order, so only the shape changes; layers of training alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import gcd
from typing import Any, ClassVar

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.ops.base import Folding, Instance, Interval, OpSpec
from hwflow.ops.frontend import KerasCheck, LayerTypes, passed_on, supported
from hwflow.ops.lowering import output_shape

TRAINING_LAYERS = (
    "ActivityRegularization",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "SpatialDropout1D",
    "SpatialDropout2D",
)
"""Keras layers that pass their input on unchanged once training is over, beside Dropout."""


def _check_dropout(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    if not layer.outbound_nodes:
        yield (
            "it is an output of the model, which hls4ml's converter loses",
            "remove it: it does nothing here",
        )


class ReshapeOp(OpSpec):
    """Same values in the same (row-major, channels-last) order under another shape."""

    name: ClassVar[str] = "reshape"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("Reshape", "HwflowReshape")

    keras: ClassVar[Mapping[str, KerasCheck]] = {
        "Flatten": supported,
        "Reshape": supported,
        "Dropout": _check_dropout,
        **dict.fromkeys(TRAINING_LAYERS, supported),
    }

    def types(self, layer: LayerTypes) -> Cast:
        return passed_on(layer)

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        return QuantNode(name, self.name, (inputs[0].name,), output_shape(layer), inputs[0].cast)

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        x = inputs[0]
        repeats, rest = divmod(node.channels, x.low.size)
        if rest:
            low, high = np.full(node.channels, x.low.min()), np.full(node.channels, x.high.max())
            return Interval(low, high, x.frac)
        return Interval(np.tile(x.low, repeats), np.tile(x.high, repeats), x.frac)

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        codes, x_type = inputs[0]
        return codes.reshape(codes.shape[0], *node.shape), x_type.frac

    def folding(self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int]) -> Folding:
        width = gcd(lanes[0], node.channels)  # readers take whole pixels
        return Folding(in_lanes=(width,), out_lanes=width, cycles=node.channels // width, latency=0)

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        return None
