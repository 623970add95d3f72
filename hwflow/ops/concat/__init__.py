# SPDX-License-Identifier: Apache-2.0
"""Concatenation along any axis; more than two tensors become a chain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import gcd, prod
from typing import Any, ClassVar

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.ops.base import (
    Access,
    Folding,
    FollowingOp,
    Instance,
    Interval,
    Memory,
    align,
    cast_parameters,
    grid_parameters,
)
from hwflow.ops.frontend import KerasCheck, LayerTypes
from hwflow.ops.lowering import output_shape, result_cast

_MAX_AXES = 3


def _check_concatenate(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    axes = len(layer.output_shape) - 1
    if axes > _MAX_AXES:
        yield f"tensors of {axes} axes", f"at most {_MAX_AXES} are supported; merge axes with Reshape"
    if layer.axis % (axes + 1) == 0:
        yield "it joins batches", "choose another axis"


class ConcatOp(FollowingOp):
    """``y = cast(concatenate(a, b))`` along ``axis`` (without the batch axis, 0 the first)."""

    name: ClassVar[str] = "concat"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("Concatenate", "HwflowConcatenate")
    modules: ClassVar[tuple[str, ...]] = ("hwf_concat", "hwf_cast")
    arity: ClassVar[int] = 2

    keras: ClassVar[Mapping[str, KerasCheck]] = {"Concatenate": _check_concatenate}

    def types(self, layer: LayerTypes) -> Cast:
        a, b = layer.input_type(0), layer.input_type(1)
        frac = max(a.frac, b.frac)
        bounds = [code << (frac - grid.frac) for grid in (a, b) for code in grid.range()]
        return layer.result(FixedType.for_range(min(bounds), max(bounds), frac))

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        shape, axis = output_shape(layer), int(layer.get_attr("axis"))
        axis = axis - 1 if axis > 0 else axis + len(shape)
        sources = tuple(node.name for node in inputs)
        return QuantNode(name, self.name, sources, shape, result_cast(layer), {"axis": axis})

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        a, b = inputs
        frac = max(a.frac, b.frac)
        lows, highs = ([align(x, y.frac, frac) for x, y in zip(ends, inputs, strict=True)]
                       for ends in ((a.low, b.low), (a.high, b.high)))  # fmt: skip
        if _by_channels(node):
            return Interval(np.concatenate(lows), np.concatenate(highs), frac)
        return Interval(np.minimum(*lows), np.maximum(*highs), frac)

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        frac = max(type_.frac for _, type_ in inputs)
        parts = [align(codes, type_.frac, frac) for codes, type_ in inputs]
        return np.concatenate(parts, axis=1 + int(node.attrs["axis"])), frac

    def folding_within(
        self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int], cycles: int
    ) -> Folding:
        shared = gcd(*(source.channels for source in inputs))
        within = max(1, cycles // node.pixels)
        turns = [n for n in range(1, shared + 1) if shared % n == 0 and node.channels // n <= within]
        if turns or not _by_channels(node):
            width = turns[0] if turns else shared
            return Folding((width, width), width, node.channels // width, latency=1)
        # Too slow in turns: whole pixels side by side.
        return Folding(tuple(source.channels for source in inputs), node.channels, 1, latency=1)

    def access(self, node: QuantNode, inputs: Sequence[QuantNode]) -> tuple[Access, ...]:
        if _by_channels(node):
            return tuple(Access.pixelwise(node.pixels) for _ in inputs)
        found = []
        for index in range(len(inputs)):
            numbers = np.concatenate(
                [
                    np.arange(x.pixels).reshape(x.shape[:-1]) if i == index else np.full(x.shape[:-1], -1)
                    for i, x in enumerate(inputs)
                ],
                axis=int(node.attrs["axis"]),
            )
            latest = np.maximum.accumulate(numbers.ravel().astype(np.int64))
            found.append(Access(latest, latest))
        return tuple(found)

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        joined = folding.out_lanes == sum(folding.in_lanes)
        parameters: dict[str, int | Memory] = {"Joined": int(joined)}
        for side, source, lanes in zip("AB", inputs, folding.in_lanes, strict=True):
            parameters[f"{side}Lanes"] = lanes
            parameters[f"{side}Beats"] = prod(source.shape[int(node.attrs["axis"]) :]) // lanes
            parameters |= grid_parameters(side, source.type)
        return Instance("hwf_concat", parameters | cast_parameters(node), ("s_axis_a", "s_axis_b"))


def _by_channels(node: QuantNode) -> bool:
    return int(node.attrs["axis"]) == len(node.shape) - 1
