# SPDX-License-Identifier: Apache-2.0
"""Element-wise sum of two tensors: the residual connection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from hwflow.errors import UnsupportedLayerError, UserError
from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.ops.base import (
    Folding,
    Instance,
    Interval,
    Memory,
    OpSpec,
    align,
    cast_parameters,
    grid_parameters,
)
from hwflow.ops.frontend import KerasCheck, LayerTypes
from hwflow.ops.lowering import output_shape, result_cast


def _check_add(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    shapes = [tuple(shape[1:]) for shape in layer.input_shape]
    if len(shapes) != 2:
        yield f"{len(shapes)} inputs", "add two tensors at a time"
    if len(set(shapes)) != 1:
        yield f"inputs of different shapes {shapes}", "broadcasting is not supported"


class AddOp(OpSpec):
    """``y = cast(a + b)``, exact on the finer grid."""

    name: ClassVar[str] = "add"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("Merge",)
    modules: ClassVar[tuple[str, ...]] = ("hwf_add", "hwf_cast")
    arity: ClassVar[int] = 2

    keras: ClassVar[Mapping[str, KerasCheck]] = {"Add": _check_add}

    def types(self, layer: LayerTypes) -> Cast:
        operation = str(layer.node.get_attr("op")).lower()
        if operation != "add":
            raise UserError(f"merging by {operation} is not supported")
        first, second = layer.input_type(0), layer.input_type(1)
        frac = max(first.frac, second.frac)
        bounds = [[code << (frac - grid.frac) for code in grid.range()] for grid in (first, second)]
        return layer.result(
            FixedType.for_range(bounds[0][0] + bounds[1][0], bounds[0][1] + bounds[1][1], frac)
        )

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        operation = str(layer.get_attr("op")).lower()
        if operation != "add" or len(inputs) != 2:
            raise UnsupportedLayerError(
                [f"layer {name!r}: merge {operation!r} of {len(inputs)} inputs has no hardware yet"],
                "use Add of two tensors",
            )
        return QuantNode(
            name, self.name, tuple(node.name for node in inputs), output_shape(layer), result_cast(layer)
        )

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        a, b = inputs
        frac = max(a.frac, b.frac)
        low = align(a.low, a.frac, frac) + align(b.low, b.frac, frac)
        return Interval(low, align(a.high, a.frac, frac) + align(b.high, b.frac, frac), frac)

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        (a, a_type), (b, b_type) = inputs
        frac = max(a_type.frac, b_type.frac)
        return align(a, a_type.frac, frac) + align(b, b_type.frac, frac), frac

    def folding(self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int]) -> Folding:
        width = max(lanes)
        return Folding(in_lanes=(width, width), out_lanes=width, cycles=node.channels // width, latency=1)

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        parameters: dict[str, int | Memory] = {"Lanes": folding.out_lanes}
        parameters |= grid_parameters("A", inputs[0].type) | grid_parameters("B", inputs[1].type)
        return Instance("hwf_add", parameters | cast_parameters(node), ("s_axis_a", "s_axis_b"))
