# SPDX-License-Identifier: Apache-2.0
"""Permutation of axes: a buffer that is written in one order and read in another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any, ClassVar

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.ops.base import Access, Folding, FollowingOp, Instance, Interval, lanes_within
from hwflow.ops.frontend import KerasCheck, LayerTypes, passed_on
from hwflow.ops.lowering import output_shape
from hwflow.ops.upsample import loop_parameters

_MAX_AXES = 4


def _check_permute(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    if len(layer.dims) > _MAX_AXES:
        yield f"{len(layer.dims)} axes", f"permute at most {_MAX_AXES}; merge axes with Reshape"
    if tuple(layer.dims) == (1, 2):
        yield (
            "it leaves both axes where they are, but hls4ml's C++ of streams transposes all the same",
            "take the layer out",
        )
    sources = layer.inbound_nodes[0].inbound_layers
    if type(sources).__name__ == "InputLayer" and layer.input_shape[1] == 1 and len(layer.dims) > 1:
        yield (
            "it permutes a model input whose first axis has size 1, which hls4ml takes for a no-op",
            "use Reshape where the order of the values stays, or give the input its final shape",
        )


class PermuteOp(FollowingOp):
    """``y = transpose(x, perm)``.

    The leading axes that stay in place cut the tensor into blocks; each block is written to a circular buffer
    and read in its new order.
    """

    name: ClassVar[str] = "permute"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("Transpose",)
    modules: ClassVar[tuple[str, ...]] = ("hwf_reorder",)
    moves: ClassVar[bool] = True

    keras: ClassVar[Mapping[str, KerasCheck]] = {"Permute": _check_permute}

    def types(self, layer: LayerTypes) -> Cast:
        return passed_on(layer)

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        perm = [int(axis) for axis in layer.get_attr("perm")]
        source = (inputs[0].name,)
        if perm == sorted(perm):
            return QuantNode(name, "reshape", source, output_shape(layer), inputs[0].cast)
        return QuantNode(name, self.name, source, output_shape(layer), inputs[0].cast, {"perm": perm})

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        x = inputs[0]
        if node.attrs["perm"][-1] == len(node.shape) - 1:
            return x
        return Interval(
            np.full(node.channels, x.low.min()), np.full(node.channels, x.high.max()), x.frac
        )  # channels of the input are spread over the pixels

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        codes, x_type = inputs[0]
        return codes.transpose(0, *(axis + 1 for axis in node.attrs["perm"])), x_type.frac

    def folding_within(
        self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int], cycles: int
    ) -> Folding:
        width = lanes_within(node, cycles)
        return Folding(
            in_lanes=(lanes_within(inputs[0], cycles),),
            out_lanes=width,
            cycles=node.channels // width,
            latency=2,
            buffered=True,
        )

    def access(self, node: QuantNode, inputs: Sequence[QuantNode]) -> tuple[Access, ...]:
        shape, channels = inputs[0].shape, inputs[0].channels
        values = np.arange(prod(shape), dtype=np.int64).reshape(shape).transpose(node.attrs["perm"])
        block = prod(shape[_fixed(node) :]) // channels
        last = values.reshape(node.pixels, -1).max(axis=1) // channels
        return (Access(last // block * block, last, block),)

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        shape, channels, fixed = list(inputs[0].shape), inputs[0].channels, _fixed(node)
        width, in_lanes, lanes = node.type.width, folding.in_lanes[0], folding.out_lanes
        if node.attrs["perm"][-1] == len(shape) - 1:  # channels stay together: beats move as a whole
            width, shape[-1], channels = width * lanes, channels // lanes, channels // lanes
            in_lanes = lanes = 1
        strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
        loops = [(shape[axis], strides[axis]) for axis in node.attrs["perm"][fixed:]]
        parameters = {
            "Width": width,
            "InLanes": in_lanes,
            "Lanes": lanes,
            "Block": prod(shape[fixed:]),
            "Words": pixels * channels // in_lanes,
        }
        return Instance("hwf_reorder", parameters | loop_parameters(loops))


def _fixed(node: QuantNode) -> int:
    """Leading axes that stay in place."""
    return next(place for place, axis in enumerate(node.attrs["perm"]) if place != axis)
