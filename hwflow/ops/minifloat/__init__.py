# SPDX-License-Identifier: Apache-2.0
"""Activations rounded to mini floating point; the stream carries their exact fixed-point values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from hwflow.errors import UserError
from hwflow.formats import MiniFloat
from hwflow.ir.graph import QuantNode
from hwflow.numerics.codes import from_codes, narrowest_type, to_codes
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.ops.base import Folding, Instance, Interval, Memory, OpSpec, grid_parameters
from hwflow.ops.frontend import LayerTypes
from hwflow.ops.lowering import output_shape, result_cast

_MAX_BITS = 53  # codes that a double holds


class MinifloatOp(OpSpec):
    """``y``: the nearest mini float to x, half to the even code, saturated (:class:`hwflow.formats.MiniFloat`).

    Attributes of the node: ``exponent`` and ``mantissa``, bits of the format.
    """

    name: ClassVar[str] = "minifloat"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("HwflowMinifloat",)
    modules: ClassVar[tuple[str, ...]] = ("hwf_minifloat",)

    def types(self, layer: LayerTypes) -> Cast:
        given = layer.given("result")
        if given is not None:
            raise UserError(f"Precision.result {given} contradicts its format; leave it out")
        node = layer.node
        return Cast(
            result_type(layer.input_type(), MiniFloat(node.get_attr("exponent"), node.get_attr("mantissa")))
        )

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        attrs = {kind: int(layer.get_attr(kind)) for kind in ("exponent", "mantissa")}
        return QuantNode(name, self.name, (inputs[0].name,), output_shape(layer), result_cast(layer), attrs)

    def check(self, node: QuantNode, inputs: Sequence[QuantNode]) -> list[str]:
        if inputs[0].type.width > _MAX_BITS:
            return [
                f"layer {node.name!r}: its input has {inputs[0].type.width} bits; {_MAX_BITS} are supported"
            ]
        return []

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        x = inputs[0]
        low, high = (_rounded(node, codes, x.frac) for codes in (x.low, x.high))
        return Interval(low, high, node.type.frac)

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        codes, x_type = inputs[0]
        return _rounded(node, codes, x_type.frac), node.type.frac

    def folding(self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int]) -> Folding:
        return Folding(in_lanes=(lanes[0],), out_lanes=lanes[0], cycles=node.channels // lanes[0], latency=3)

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        form = _format(node)
        parameters: dict[str, int | Memory] = {
            "Lanes": folding.out_lanes,
            "Exponent": form.exponent,
            "Mantissa": form.mantissa,
        }
        grids = grid_parameters("X", inputs[0].type) | {"YW": node.type.width, "YFrac": node.type.frac}
        return Instance("hwf_minifloat", parameters | grids)


def result_type(x: FixedType, form: MiniFloat) -> FixedType:
    """Narrowest grid of the mini floats that values of a grid are rounded to.

    A value becomes one that needs a finer grid only near the smallest mini float, and where it saturates.

    Examples
    --------
    >>> result_type(FixedType(True, 12, 4), MiniFloat(4, 3))
    FixedType(signed=True, width=13, frac=4)
    """
    frac = x.frac if x.frac < form.bias else form.frac
    ends = form.quantize(from_codes(np.array(x.range(), np.int64), x))
    frac = max(frac, *(narrowest.frac for end in ends if (narrowest := narrowest_type([end], _MAX_BITS))))
    low, high = (int(end) for end in np.ldexp(ends, frac))
    return FixedType.for_range(low, high, frac)


def _format(node: QuantNode) -> MiniFloat:
    return MiniFloat(int(node.attrs["exponent"]), int(node.attrs["mantissa"]))


def _rounded(node: QuantNode, codes: Codes, frac: int) -> Codes:
    """Codes of the nearest mini floats, on the grid of the node."""
    values = _format(node).quantize(from_codes(codes, FixedType(True, 64, frac)))
    return to_codes(values, FixedType(True, 64, node.type.frac))
