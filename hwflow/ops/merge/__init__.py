# SPDX-License-Identifier: Apache-2.0
"""Element by element from two tensors: sum, difference, product, mean, larger, smaller; residual connections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, ClassVar

import numpy as np

from hwflow.errors import UserError
from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.ops.base import (
    Folding,
    Instance,
    Interval,
    Memory,
    OpSpec,
    cast_parameters,
    grid_parameters,
)
from hwflow.ops.frontend import KerasCheck, LayerTypes
from hwflow.ops.lowering import output_shape, result_cast

FUNCTIONS = ("add", "subtract", "multiply", "average", "maximum", "minimum")
"""In the order of ``hwf_merge``'s parameter ``Function``."""


def _check_merge(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    shapes = [tuple(shape[1:]) for shape in layer.input_shape]
    if len(set(shapes)) != 1:
        yield f"inputs of different shapes {shapes}", "broadcasting is not supported"
    if type(layer).__name__ == "Average" and len(shapes) & (len(shapes) - 1):
        yield (
            f"the mean of {len(shapes)} tensors divides by what is no power of two",
            "use Add, and scale the layer after it",
        )


def _check_dot(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    shapes = [tuple(shape[1:]) for shape in layer.input_shape]
    if any(len(shape) != 1 for shape in shapes):
        yield f"the dot product of tensors of shapes {shapes}", "only that of two vectors is supported"
    if layer.normalize:
        yield "it normalizes its inputs", "use normalize=False"


class MergeOp(OpSpec):
    """``y = cast(f(a, b))``, exact on the finer grid (a product: on that of the product; a mean: one bit finer).

    Attribute of the node: ``function``, one of :data:`FUNCTIONS`.
    """

    name: ClassVar[str] = "merge"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("Merge", "HwflowMerge", "Dot")
    modules: ClassVar[tuple[str, ...]] = ("hwf_merge", "hwf_cast")
    arity: ClassVar[int] = 2

    keras: ClassVar[Mapping[str, KerasCheck]] = {
        **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"), _check_merge),
        "Dot": _check_dot,
    }

    def types(self, layer: LayerTypes) -> Cast:
        function = _function(layer.node)
        grids = layer.input_type(0), layer.input_type(1)
        # Every function takes its extremes at those of its inputs; Python integers hold any width.
        ends = [np.array(grid.range(), dtype=object) for grid in grids]
        low, high, frac = _bounds(function, ends, [grid.frac for grid in grids])
        return layer.result(FixedType.for_range(int(low), int(high), frac))

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        attrs = {"function": _function(layer)}
        sources = tuple(node.name for node in inputs)
        return QuantNode(name, self.name, sources, output_shape(layer), result_cast(layer), attrs)

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        ends = [np.stack([x.low, x.high]) for x in inputs]
        return Interval(*_bounds(node.attrs["function"], ends, [x.frac for x in inputs]))

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        (a, a_type), (b, b_type) = inputs
        return merged(node.attrs["function"], a, a_type.frac, b, b_type.frac)

    def folding(self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int]) -> Folding:
        width = max(lanes)
        return Folding(
            in_lanes=(width, width),
            out_lanes=width,
            cycles=node.channels // width,
            multipliers=width if node.attrs["function"] == "multiply" else 0,
            latency=1,
        )

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
            "Function": FUNCTIONS.index(node.attrs["function"]),
        }
        parameters |= grid_parameters("A", inputs[0].type) | grid_parameters("B", inputs[1].type)
        return Instance("hwf_merge", parameters | cast_parameters(node), ("s_axis_a", "s_axis_b"))


def _function(layer: Any) -> str:
    function = str(layer.get_attr("op")).lower()
    if function not in FUNCTIONS:
        raise UserError(f"merging by {function} is not supported")
    return function


def merged(function: str, a: Any, a_frac: int, b: Any, b_frac: int) -> tuple[Any, int]:
    """Exact result of two arrays of codes, and its fractional bits.

    Examples
    --------
    >>> merged("average", np.array([3]), 1, np.array([2]), 0)
    (array([7]), 2)
    """
    if function == "multiply":
        return a * b, a_frac + b_frac
    frac = max(a_frac, b_frac)
    a, b = a << (frac - a_frac), b << (frac - b_frac)
    if function in ("add", "average"):
        return a + b, frac + (function == "average")
    if function == "subtract":
        return a - b, frac
    return (np.maximum if function == "maximum" else np.minimum)(a, b), frac


def _bounds(function: str, ends: Sequence[Any], fracs: Sequence[int]) -> tuple[Any, Any, int]:
    """Least and largest result from the ends of two ranges (first axis), and its fractional bits."""
    corners = [merged(function, a, fracs[0], b, fracs[1]) for a, b in product(*ends)]
    values = np.stack([np.asarray(value) for value, _ in corners])
    return values.min(axis=0), values.max(axis=0), corners[0][1]
