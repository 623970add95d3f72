# SPDX-License-Identifier: Apache-2.0
"""Activations from a table: sigmoid, tanh, softplus, softsign, elu, selu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from hwflow.errors import UserError
from hwflow.ir.graph import QuantNode, QuantParam
from hwflow.numerics.codes import cast_values, from_codes, narrowest_type
from hwflow.numerics.fixed import Cast, Codes, FixedType, apply_cast
from hwflow.numerics.libm import single
from hwflow.numerics.quantizers import MAX_WEIGHT_BITS, activation_cast
from hwflow.ops.base import (
    Folding,
    FollowingOp,
    Instance,
    Interval,
    Memory,
    align,
    cast_parameters,
    grid_parameters,
    lanes_within,
)
from hwflow.ops.frontend import LayerTypes
from hwflow.ops.lookup.tables import FUNCTIONS, SELU_LAMBDA
from hwflow.ops.lowering import output_shape, precision_cast, result_cast

_SELU_PARALLEL = Cast(FixedType(False, 16, 15))
_INT_BITS = 31  # hls4ml computes indices in a C++ int


class LookupOp(FollowingOp):
    """``y = cast(table[clamp(trunc(x * multiplier / 2^shift) + offset)])``, or ``cast(slope * x)`` from zero on.

    ``trunc`` rounds toward zero, ``clamp`` brings the index into the table. Attributes of the node: ``function``,
    ``multiplier``, ``shift`` and ``offset`` (of the code of x), ``straight`` (1 where inputs from zero on are not
    looked up). Parameters: ``table`` (entries,), and ``slope`` (1,) with ``straight``.
    """

    name: ClassVar[str] = "lookup"
    modules: ClassVar[tuple[str, ...]] = ("hwf_lookup", "hwf_table", "hwf_cast")

    def types(self, layer: LayerTypes) -> Cast:
        node = layer.node
        function = str(node.get_attr("activation")).lower()
        size = int(node.get_attr("table_size"))
        if size < 2:
            raise UserError(f"TableSize {size} is no table; give at least 2")
        hls4mls = precision_cast(node.types["table_t"].precision, "table")
        cast = layer.given("table", named=True) or hls4mls
        layer.set_type("table", cast)
        table = QuantParam(FUNCTIONS[function].codes(size, cast), cast.type)
        params = {"table": table}
        if FUNCTIONS[function].negative:
            params |= _elu(layer, table) if function == "elu" else {"slope": _selu_slope(layer)}
        attrs = index_attrs(function, size, layer.input_type())
        node.set_attr("hwflow_lookup", (attrs, params))
        x = FixedType(True, 1, 0) if "slope" not in params else layer.input_type()
        probe = QuantNode(node.name, self.name, ("x",), (1,), Cast(x), attrs, params)
        quantizer = node.get_attr("activation_quantizer")
        if quantizer is not None:
            return layer.given("result") or activation_cast(quantizer["class_name"], quantizer["config"])
        return layer.result(_result_type(probe, x) if "slope" in params else cast.type, quantized=False)

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        attrs, params = layer.get_attr("hwflow_lookup")
        return QuantNode(
            name, self.name, (inputs[0].name,), output_shape(layer), result_cast(layer), attrs, params
        )

    def check(self, node: QuantNode, inputs: Sequence[QuantNode]) -> list[str]:
        x = inputs[0].type
        if x.width > 31 or max(map(abs, x.range())) * abs(node.attrs["multiplier"]) >= 2**62:
            return [f"layer {node.name!r}: its input has {x.width} bits, too many for the index; quantize it"]
        return []

    def approximates(self, node: QuantNode, inputs: Sequence[QuantNode]) -> bool:
        return True

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        x = inputs[0]
        bounds = {
            (int(low), int(high)): None for low, high in zip(x.low, x.high, strict=True)
        }  # most channels have the same
        found = {bound: _extremes(node, *bound, x.frac) for bound in bounds}
        ends = [found[int(low), int(high)] for low, high in zip(x.low, x.high, strict=True)]
        low, high = (np.array(column, dtype=np.int64) for column in zip(*ends, strict=True))
        return Interval(low, high, _frac(node, x.frac))

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        codes, x_type = inputs[0]
        return _value(node, codes, x_type.frac), _frac(node, x_type.frac)

    def folding_within(
        self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int], cycles: int
    ) -> Folding:
        # Each lane costs a port of the table.
        width = min(lanes[0], lanes_within(node, cycles))
        return Folding(
            in_lanes=(width,),
            out_lanes=width,
            cycles=node.channels // width,
            latency=1 if _is_direct(node, inputs[0].type) else 2,
        )

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        x, table = inputs[0].type, node.params["table"]
        first, last = _reach(node, x)
        slope = node.params.get("slope")
        frac = _frac(node, x.frac)
        if direct := _is_direct(node, x):
            patterns = np.arange(1 << x.width, dtype=np.int64)
            codes = patterns - ((patterns >> (x.width - 1)) << x.width) if x.signed else patterns
            words = apply_cast(_value(node, codes, x.frac), frac, node.cast)
        else:
            words = apply_cast(table.codes[first : last + 1], table.type.frac, node.cast)
        # The multiplier without its powers of two, which the shift takes.
        multiplier, shift = node.attrs["multiplier"], node.attrs["shift"]
        while multiplier % 2 == 0 and shift:
            multiplier, shift = multiplier // 2, shift - 1
        product = max(map(abs, x.range())) * abs(multiplier)
        parameters: dict[str, int | Memory] = {
            "Lanes": folding.out_lanes,
            "Direct": int(direct),
            "Multiplier": multiplier,
            "Shift": shift,
            "IndexW": max(product.bit_length(), len(table.codes).bit_length()) + 2,
            "Offset": node.attrs["offset"] - first,
            "Depth": len(words),
            "Straight": int(slope is not None and not direct),
            "Slope": 0 if slope is None else int(slope.codes[0]),
            "SumW": x.width + (0 if slope is None else slope.type.width) + 1,
            "SumFrac": x.frac + (0 if slope is None else slope.type.frac),
            "TableFile": Memory(words.reshape(-1, 1), node.type.width),
        }
        return Instance(
            "hwf_lookup", parameters | grid_parameters("X", x, frac=False) | cast_parameters(node)
        )


def _elu(layer: LayerTypes, table: QuantParam) -> dict[str, QuantParam]:
    """Table and slope of ``elu``: entries times alpha, in the type of alpha."""
    value = single(float(layer.node.get_attr("activ_param", 1.0)))
    exact = narrowest_type([value], MAX_WEIGHT_BITS)
    cast = layer.given("param", named=True) or (Cast(exact) if exact else None)
    if cast is None:
        raise UserError(f"its alpha {value} fits no fixed-point type of {MAX_WEIGHT_BITS} bits")
    layer.set_type("param", cast)
    alpha = cast_values([value], cast)
    layer.node.set_attr("activ_param", float(from_codes(alpha, cast.type)[0]))
    scaled, frac = table.codes * alpha[0], table.type.frac + cast.type.frac
    grid = FixedType.for_range(int(scaled.min()), int(scaled.max()), frac)
    one = QuantParam(np.ones(1, dtype=np.int64), FixedType(False, 1, 0))
    return {"table": QuantParam(scaled, grid), "slope": one}


def _selu_slope(layer: LayerTypes) -> QuantParam:
    """Slope of ``selu`` where positive: in 16 bits, but in the type of the input where data stream."""
    stream = layer.node.model.config.get_config_value("IOType") == "io_stream"
    cast = layer.input_cast() if stream else _SELU_PARALLEL
    if cast.type.range()[1] < 2 ** max(cast.type.frac, 0) * SELU_LAMBDA and stream:
        raise UserError(
            f"hls4ml's streaming selu keeps its slope {SELU_LAMBDA:.4f} in the type of its input, {cast}, which "
            "cannot hold it; give the layer before it an integer bit more, or use io_parallel"
        )
    return QuantParam(cast_values([SELU_LAMBDA], cast), cast.type)


def index_attrs(function: str, size: int, x: FixedType) -> dict[str, Any]:
    """Attributes of a node: how hls4ml's C++ gets from the code of an input to an index.

    Raises
    ------
    UserError
        When the C++ would leave the range of an ``int``.
    """
    entry = FUNCTIONS[function]
    # index = x * size / span; a coarse input must not be cut before the division.
    shift = x.frac + entry.span.bit_length() - 1
    if x.frac < 0 and size % entry.span:
        raise UserError(
            f"TableSize {size} is no multiple of {entry.span}, which an input without a fraction needs"
        )
    multiplier, shift = (size << max(-shift, 0)), max(shift, 0)
    if (max(map(abs, x.range())) * multiplier >> shift) + size >= 1 << _INT_BITS:
        raise UserError(f"its input type {x} overflows hls4ml's 32-bit table index; quantize the input")
    return {
        "function": function,
        "multiplier": -multiplier if entry.negative else multiplier,
        "shift": shift,
        "offset": 0 if entry.negative else size // 2,
        "straight": int(entry.negative),
    }


def _index(node: QuantNode, codes: Codes) -> Codes:
    product = codes * node.attrs["multiplier"]
    shift = node.attrs["shift"]
    rounded = np.where(product < 0, -(-product >> shift), product >> shift)
    index: Codes = np.clip(rounded + node.attrs["offset"], 0, len(node.params["table"].codes) - 1)
    return index


def _frac(node: QuantNode, x_frac: int) -> int:
    """Fractional bits of the exact result."""
    table, slope = node.params["table"], node.params.get("slope")
    return table.type.frac if slope is None else max(table.type.frac, x_frac + slope.type.frac)


def _value(node: QuantNode, codes: Codes, x_frac: int) -> Codes:
    table, slope = node.params["table"], node.params.get("slope")
    frac = _frac(node, x_frac)
    found = align(table.codes[_index(node, codes)], table.type.frac, frac)
    if slope is None:
        return found
    return np.where(codes < 0, found, align(codes * slope.codes[0], x_frac + slope.type.frac, frac))


def _reach(node: QuantNode, x: FixedType) -> tuple[int, int]:
    """First and last table entry that inputs of a type can reach."""
    low, high = x.range()
    if node.attrs["straight"]:
        low, high = min(low, -1), -1
    ends = _index(node, np.array([low, high], dtype=np.int64))
    return int(ends.min()), int(ends.max())


def _extremes(node: QuantNode, low: int, high: int, x_frac: int) -> tuple[int, int]:
    """Smallest and largest exact result of the input codes ``low..high``."""
    frac = _frac(node, x_frac)
    table = align(node.params["table"].codes, node.params["table"].type.frac, frac)
    values: list[int] = []
    looked_up = (low, min(high, -1)) if node.attrs["straight"] else (low, high)
    if looked_up[0] <= looked_up[1]:
        ends = _index(node, np.array(looked_up, dtype=np.int64))
        entries = table[int(ends.min()) : int(ends.max()) + 1]
        values += [int(entries.min()), int(entries.max())]
    if node.attrs["straight"] and high >= 0:
        straight = _value(node, np.array([max(low, 0), high], dtype=np.int64), x_frac)
        values += [int(straight.min()), int(straight.max())]
    return min(values), max(values)


def _result_type(node: QuantNode, x: FixedType) -> FixedType:
    """Type that holds the exact result for every input code."""
    return FixedType.for_range(*_extremes(node, *x.range(), x.frac), _frac(node, x.frac))


def _is_direct(node: QuantNode, x: FixedType) -> bool:
    """Whether a table of one word an input code is no larger than the part of the table that is reached.

    Where there is a straight part, the direct table also saves its multiplier.
    """
    first, last = _reach(node, x)
    return 1 << x.width <= (last - first + 1) * (2 if node.attrs["straight"] else 1)
