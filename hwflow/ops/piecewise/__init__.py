# SPDX-License-Identifier: Apache-2.0
"""Activations of up to three straight pieces: leaky, clipped and thresholded rectifiers, hard and step functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from hwflow.errors import UserError
from hwflow.ir.graph import QuantNode
from hwflow.numerics.codes import cast_values, from_codes, narrowest_type
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.numerics.libm import single
from hwflow.numerics.quantizers import MAX_WEIGHT_BITS, activation_cast
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
from hwflow.ops.frontend import LayerTypes
from hwflow.ops.lowering import output_shape, precision_cast, result_cast
from hwflow.ops.piecewise.functions import (
    MAX_PIECES,
    Pieces,
    constants,
    hard_pieces,
    leaky_relu_pieces,
    thresholded_relu_pieces,
)

#: Functions of hls4ml's layers that become this operation, as their C++ is called.
FUNCTIONS = ("leaky_relu", "thresholded_relu", "hard_sigmoid", "hard_tanh", "hwflow_piecewise")

_MAX_BITS = 62


class PiecewiseOp(OpSpec):
    """``y = cast(slope[p] * x + offset[p])`` with p the number of ``starts`` that are not above the code of x.

    Attribute of the node: ``starts``, ascending codes on the grid of x, at most two. Parameters: ``slope`` and
    ``offset``, one a piece.
    """

    name: ClassVar[str] = "piecewise"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("HwflowPiecewise", "HardActivation")
    modules: ClassVar[tuple[str, ...]] = ("hwf_piecewise", "hwf_cast")

    def types(self, layer: LayerTypes) -> Cast:
        node = layer.node
        pieces = _pieces(layer)
        node.set_attr("pieces", pieces)
        node.set_attr("piece_starts", pieces.starts(layer.input_type().frac))
        exact = _exact_type(_node(node, node.name, "x", (1,), Cast(layer.input_type())), layer.input_type())
        node.set_attr("exact_type", exact)
        if pieces.result:
            return layer.given("result") or Cast.parse(pieces.result)
        return layer.result(exact, quantized=node.class_name != "HardActivation")

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        return _node(layer, name, inputs[0].name, output_shape(layer), result_cast(layer))

    def check(self, node: QuantNode, inputs: Sequence[QuantNode]) -> list[str]:
        if inputs[0].type.width > 31:
            return [f"layer {node.name!r}: its input has {inputs[0].type.width} bits; 31 are supported"]
        return []

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        x = inputs[0]
        starts = node.attrs["starts"]
        # A straight piece is extreme at its ends.
        ends = [x.low, x.high, *(np.clip(s - back, x.low, x.high) for s in starts for back in (0, 1))]
        values = [_value(node, end, x.frac) for end in ends]
        return Interval(np.minimum.reduce(values), np.maximum.reduce(values), _frac(node, x.frac))

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        codes, x_type = inputs[0]
        return _value(node, codes, x_type.frac), _frac(node, x_type.frac)

    def folding(self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int]) -> Folding:
        return Folding(in_lanes=(lanes[0],), out_lanes=lanes[0], cycles=node.channels // lanes[0], latency=2)

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        x = inputs[0].type
        slope, offset = node.params["slope"], node.params["offset"]
        frac, low, high = _frac(node, x.frac), x.range()[0], x.range()[1] + 1
        parameters: dict[str, int | Memory] = {"Lanes": folding.out_lanes}
        starts = [min(max(start, low), high) for start in node.attrs["starts"]]
        for number in range(MAX_PIECES):
            # Fewer pieces: the last one again.
            piece = min(number, len(starts))
            if number:
                parameters[f"Start{number}"] = starts[min(number, len(starts)) - 1]
            parameters[f"Slope{number}"] = int(slope.codes[piece])
            parameters[f"Offset{number}"] = int(offset.codes[piece])
        parameters |= {
            "ProductUp": frac - x.frac - slope.type.frac,
            "OffsetUp": frac - offset.type.frac,
            "SumW": max(_exact_type(node, x).width + 1, x.width + 2),
            "SumFrac": frac,
        }
        return Instance(
            "hwf_piecewise", parameters | grid_parameters("X", x, frac=False) | cast_parameters(node)
        )


def _pieces(layer: LayerTypes) -> Pieces:
    """The function of an hls4ml layer, its constants in the types that the C++ gives them."""
    node = layer.node
    if node.class_name == "HwflowPiecewise":
        pieces: Pieces = node.get_attr("pieces")
        return pieces
    if node.class_name == "HardActivation":
        slope, shift = (_constant(layer, kind, node.get_attr(kind)) for kind in ("slope", "shift"))
        pieces = hard_pieces(str(node.get_attr("activation")).lower(), slope, shift)
        quantizer = node.get_attr("activation_quantizer")
        if quantizer is None:
            return pieces
        result = str(activation_cast(quantizer["class_name"], quantizer["config"]))
        return Pieces(pieces.breaks, pieces.slopes, pieces.offsets, result)
    param = single(float(node.get_attr("activ_param")))
    if function_name(node) == "leaky_relu":
        return leaky_relu_pieces(_param(layer, param))
    # A value on the grid of x is above theta where it is above the grid point below theta.
    below = Cast(FixedType(True, _MAX_BITS, layer.input_type().frac))
    return thresholded_relu_pieces(
        _param(layer, float(from_codes(cast_values([param], below), below.type)[0]))
    )


def function_name(node: Any) -> str:
    """Name of an hls4ml activation's C++ function."""
    name = str(node.get_attr("activation", "hwflow_piecewise")).lower()
    return {"leakyrelu": "leaky_relu", "thresholdedrelu": "thresholded_relu"}.get(name, name)


def _constant(layer: LayerTypes, kind: str, value: float) -> float:
    """A constant in its own type, the user's or hls4ml's."""
    named = layer.node.types[f"{kind}_t"].precision
    return _typed(layer, kind, value, layer.given(kind, named=True) or precision_cast(named, kind))


def _param(layer: LayerTypes, value: float) -> float:
    """The layer's parameter in the user's type, else exact."""
    exact = narrowest_type([value], MAX_WEIGHT_BITS)
    cast = layer.given("param", named=True) or (Cast(exact) if exact else None)
    if cast is None:
        raise UserError(f"its parameter {value} fits no fixed-point type of {MAX_WEIGHT_BITS} bits")
    typed = _typed(layer, "param", value, cast)
    layer.node.set_attr("activ_param", typed)
    return typed


def _typed(layer: LayerTypes, kind: str, value: float, cast: Cast) -> float:
    """Make the type of a constant explicit; what the constant becomes in it."""
    layer.set_type(kind, cast)
    return float(from_codes(cast_values([value], cast), cast.type)[0])


def _node(layer: Any, name: str, source: str, shape: tuple[int, ...], cast: Cast) -> QuantNode:
    pieces: Pieces = layer.get_attr("pieces")
    params = {"slope": constants(pieces.slopes), "offset": constants(pieces.offsets)}
    return QuantNode(
        name, PiecewiseOp.name, (source,), shape, cast, {"starts": layer.get_attr("piece_starts")}, params
    )


def _frac(node: QuantNode, x_frac: int) -> int:
    """Fractional bits of the exact result."""
    return max(x_frac + node.params["slope"].type.frac, node.params["offset"].type.frac)


def _value(node: QuantNode, codes: Codes, x_frac: int) -> Codes:
    slope, offset = node.params["slope"], node.params["offset"]
    piece = np.searchsorted(np.asarray(node.attrs["starts"], dtype=np.int64), codes, side="right")
    frac = _frac(node, x_frac)
    product = align(codes * slope.codes[piece], x_frac + slope.type.frac, frac)
    return product + align(offset.codes[piece], offset.type.frac, frac)


def _exact_type(node: QuantNode, x: FixedType) -> FixedType:
    """Type that holds the exact result for every input code."""
    slope, offset = node.params["slope"], node.params["offset"]
    frac = _frac(node, x.frac)
    reach = max(map(abs, x.range())) * int(np.abs(slope.codes).max()) << (frac - x.frac - slope.type.frac)
    if reach.bit_length() > _MAX_BITS or offset.type.width + frac - offset.type.frac > _MAX_BITS:
        raise UserError(f"its exact result needs more than {_MAX_BITS} bits; quantize its input")
    low, high = (np.array([code], dtype=np.int64) for code in x.range())
    found = PiecewiseOp().interval(node, [Interval(low, high, x.frac)])
    return FixedType.for_range(int(found.low[0]), int(found.high[0]), frac)
