# SPDX-License-Identifier: Apache-2.0
"""Softmax over the last axis, in hls4ml's implementations ``stable``, ``latency``, ``legacy`` and ``argmax``."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from hwflow.errors import UserError
from hwflow.ir.graph import QuantNode, QuantParam
from hwflow.numerics.fixed import Cast, Codes, FixedType, Overflow, apply_cast, overflow_codes
from hwflow.ops.base import (
    Folding,
    FollowingOp,
    Instance,
    Interval,
    Memory,
    cast_parameters,
    grid_parameters,
    lanes_within,
    mode_parameters,
)
from hwflow.ops.frontend import KerasCheck, LayerTypes
from hwflow.ops.lowering import output_shape, result_cast
from hwflow.ops.softmax.tables import exp_table, inverse_table

logger = logging.getLogger(__name__)

#: hls4ml's inner types. It ignores what the configuration says of the tables, and lets the accumulator fall back to
#: Model.Precision unless the configuration repeats this default.
_INNER = dict.fromkeys(("exp_table", "inv_table", "inv_inp", "accum"), Cast.parse("fixed<18,8,RND,SAT>"))
_TABLED = ("stable", "latency")


def _check_softmax(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    axis = layer.axis
    if axis not in (-1, len(layer.input_shape) - 1):
        yield f"softmax over axis {axis}", "only the last axis is supported; put a Permute before it"


class SoftmaxOp(FollowingOp):
    """Softmax over the channels of each pixel.

    Attributes of the node: ``implementation``, and for ``stable`` and ``latency`` ``address`` (grid of what
    addresses the table of exp), ``accum`` and ``inverse_input`` (casts). Parameters: ``exp`` and ``inverse``, the
    tables, but for ``argmax``. ``ir/spec.md`` gives the formulas.
    """

    name: ClassVar[str] = "softmax"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("Softmax",)
    modules: ClassVar[tuple[str, ...]] = ("hwf_softmax", "hwf_argmax", "hwf_fifo", "hwf_table", "hwf_cast")

    keras: ClassVar[Mapping[str, KerasCheck]] = {"Softmax": _check_softmax}

    def types(self, layer: LayerTypes) -> Cast:
        node = layer.node
        if node.get_attr("skip"):
            return layer.input_cast()
        shape = node.get_output_variable().shape
        # hls4ml's own C++ of io_parallel would take a whole frame as one vector.
        node.set_attr("n_outer", int(np.prod(shape[:-1], dtype=np.int64)))
        node.set_attr("n_inner", 1)
        node.set_attr("axis", -1)
        node.set_attr("activation", "softmax")  # hls4ml names a struct after it, in lower case elsewhere
        size = int(node.get_attr("table_size"))
        if size < 2 or size & (size - 1):
            raise UserError(f"TableSize {size} is no power of two, which softmax tables need")
        implementation = str(layer.option("Strategy") or node.get_attr("implementation")).lower()
        node.set_attr("implementation", implementation)
        attrs: dict[str, Any] = {"implementation": implementation}
        params: dict[str, QuantParam] = {}
        if implementation == "legacy":
            raise UserError("the legacy softmax is not supported; use Strategy stable or latency")
        if implementation in _TABLED:
            attrs, params = _tabled(layer, implementation, size)
        node.set_attr("hwflow_softmax", (attrs, params))
        one = FixedType(False, 1, 0)
        return layer.result(params["inverse"].type if params else one, quantized=False)

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        source, shape, cast = (inputs[0].name,), output_shape(layer), result_cast(layer)
        if layer.get_attr("skip"):
            return QuantNode(name, "reshape", source, shape, cast)
        attrs, params = layer.get_attr("hwflow_softmax")
        return QuantNode(name, self.name, source, shape, cast, attrs, params)

    def check(self, node: QuantNode, inputs: Sequence[QuantNode]) -> list[str]:
        if inputs[0].type.width > 60:
            return [f"layer {node.name!r}: its input has {inputs[0].type.width} bits; 60 are supported"]
        return []

    def approximates(self, node: QuantNode, inputs: Sequence[QuantNode]) -> bool:
        return True

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        if node.attrs["implementation"] == "argmax":
            low, high, frac = 0, 1, 0
        else:
            exps, inverse = exps_of(node), node.params["inverse"]
            ends = np.multiply.outer([exps.min(), exps.max()], [inverse.codes.min(), inverse.codes.max()])
            low, high, frac = int(ends.min()), int(ends.max()), accum_of(node).type.frac + inverse.type.frac
        return Interval(np.full(node.channels, low), np.full(node.channels, high), frac)

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        codes, _ = inputs[0]
        implementation = node.attrs["implementation"]
        if implementation == "argmax":
            first = np.argmax(codes, axis=-1, keepdims=True)
            return (np.arange(node.channels) == first).astype(np.int64), 0
        accum, inverse_input = accum_of(node), Cast.parse(node.attrs["inverse_input"])
        address = FixedType.from_json(node.attrs["address"])
        argument = codes.max(axis=-1, keepdims=True) - codes if implementation == "stable" else codes
        exps = exps_of(node)[_top_bits(argument, address, len(exps_of(node)))]
        total = overflow_codes(exps.sum(axis=-1, keepdims=True), accum)
        total = apply_cast(total, accum.type.frac, inverse_input)
        inverse = node.params["inverse"]
        factor = inverse.codes[_top_bits(total, inverse_input.type, len(inverse.codes))]
        return exps * factor, accum.type.frac + inverse.type.frac

    def folding_within(
        self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int], cycles: int
    ) -> Folding:
        # Each lane costs a port of the table and a multiplier.
        width = min(lanes[0], lanes_within(node, cycles))
        words = node.channels // width
        latency = {"argmax": words + 1, "latency": words + 9, "stable": 2 * words + 10}
        return Folding(
            in_lanes=(width,),
            out_lanes=width,
            cycles=words,
            multipliers=0 if node.attrs["implementation"] == "argmax" else width,
            latency=latency[node.attrs["implementation"]],
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
            "Words": folding.cycles,
            **grid_parameters("X", inputs[0].type, frac=False),
        }
        if node.attrs["implementation"] == "argmax":
            one = apply_cast(np.ones((1, 1), dtype=np.int64), 0, node.cast)
            width = node.type.width
            return Instance("hwf_argmax", {**parameters, "YW": width, "OneFile": Memory(one, width)})
        accum, inverse_input = accum_of(node), Cast.parse(node.attrs["inverse_input"])
        exps, inverse = exps_of(node), node.params["inverse"]
        total = node.channels * max(map(abs, accum.type.range()))
        parameters |= {
            "Stable": int(node.attrs["implementation"] == "stable"),
            "AddrW": FixedType.from_json(node.attrs["address"]).width,
            "ExpBits": len(exps).bit_length() - 1,
            **grid_parameters("E", accum.type),
            "SumW": total.bit_length() + 1,
            "AccW": accum.type.width,
            "AccSigned": int(accum.type.signed),
            "AccOverflow": mode_parameters("Acc", accum)["AccOverflow"],
            **grid_parameters("InvIn", inverse_input.type),
            **mode_parameters("InvIn", inverse_input),
            "InvBits": len(inverse.codes).bit_length() - 1,
            **grid_parameters("R", inverse.type),
            "ExpFile": Memory(exps.reshape(-1, 1), accum.type.width),
            "InvFile": Memory(inverse.codes.reshape(-1, 1), inverse.type.width),
        }
        return Instance("hwf_softmax", parameters | cast_parameters(node))


def _tabled(
    layer: LayerTypes, implementation: str, size: int
) -> tuple[dict[str, Any], dict[str, QuantParam]]:
    """Attributes and tables of ``stable`` and ``latency``, with the types and sizes that hls4ml's C++ takes."""
    node, x = layer.node, layer.input_type()
    casts = {kind: layer.given(kind, named=True) or default for kind, default in _INNER.items()}
    for kind, cast in casts.items():
        layer.set_type(kind, cast)
    size = min(size, 1 << min(x.width, casts["inv_table"].type.width))
    exp_size, address = size, x
    if implementation == "stable":
        width = x.width - x.signed
        if width < 1:
            raise UserError("its input has no bits beside the sign; give it more")
        address = FixedType(False, width, x.frac)
        exp_size = min(size, 1 << width) if x.signed else size
    if casts["inv_inp"].type.width < size.bit_length() - 1:
        raise UserError(f"Precision.inv_inp {casts['inv_inp']} has too few bits to address {size} entries")
    node.set_attr("exp_table_size", exp_size)
    node.set_attr("inv_table_size", size)
    tables = {
        "exp": exp_table(exp_size, address, casts["exp_table"], negative=implementation == "stable"),
        "inverse": inverse_table(size, casts["inv_inp"].type, casts["inv_table"]),
    }
    params = {
        "exp": QuantParam(tables["exp"], casts["exp_table"].type),
        "inverse": QuantParam(tables["inverse"], casts["inv_table"].type),
    }
    attrs = {
        "implementation": implementation,
        "address": address.to_json(),
        "accum": str(casts["accum"]),
        "inverse_input": str(casts["inv_inp"]),
    }
    _require_order_free(attrs, params, int(node.get_output_variable().shape[-1]))
    if implementation == "stable" and x.signed:
        logger.warning(
            "%s: hls4ml's stable softmax wraps differences of its inputs from 2^%d on; give the layer before it an "
            "integer bit more than its values need",
            node.name,
            x.integer - 1,
        )
    return attrs, params


def _require_order_free(attrs: Mapping[str, Any], params: Mapping[str, QuantParam], channels: int) -> None:
    """Refuse an accumulator whose overflow depends on the order of the sum."""
    probe = QuantNode("softmax", "softmax", ("x",), (channels,), Cast(FixedType(True, 8, 0)), attrs, params)
    accum, exps = accum_of(probe), exps_of(probe)
    low, high = accum.type.range()
    fits = channels * min(int(exps.min()), 0) >= low and channels * int(exps.max()) <= high
    monotone = accum.overflow is Overflow.SAT and int(exps.min()) >= 0
    if not (fits or monotone or accum.overflow is Overflow.WRAP):
        raise UserError(f"Precision.accum {accum} can overflow within the sum; give it more bits, or SAT")


def accum_of(node: QuantNode) -> Cast:
    """Cast of the sum of a node with tables."""
    return Cast.parse(node.attrs["accum"])


def exps_of(node: QuantNode) -> Codes:
    """The table of exp in the type of the accumulator."""
    table = node.params["exp"]
    return apply_cast(table.codes, table.type.frac, accum_of(node))


def _top_bits(codes: Codes, grid: FixedType, size: int) -> Codes:
    """Address of a table of ``size`` entries: the top bits of codes, which wrap into the grid."""
    return (codes & ((1 << grid.width) - 1)) >> (grid.width - size.bit_length() + 1)
