# SPDX-License-Identifier: Apache-2.0
"""Building nodes by hand: parameter points of the operations, random graphs of the property tests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hwflow.formats import parse
from hwflow.ir.graph import QuantGraph, QuantNode, QuantParam
from hwflow.numerics.codes import cast_values, to_codes
from hwflow.numerics.fixed import Cast, Codes, FixedType, Overflow, Rounding
from hwflow.ops.base import Case
from hwflow.ops.distributed import STRATEGY
from hwflow.ops.lookup import index_attrs
from hwflow.ops.lookup.tables import FUNCTIONS, SELU_LAMBDA
from hwflow.ops.matvec import LATENCY
from hwflow.ops.piecewise.functions import Pieces, constants
from hwflow.ops.softmax.tables import exp_table, inverse_table

Pair = int | tuple[int, int]
_SOFTMAX_TABLE = Cast.parse("fixed<18,8,RND,SAT>")


def grid(width: int, frac: int, *, signed: bool = True) -> FixedType:
    """A fixed-point grid, signed by default."""
    return FixedType(signed, width, frac)


def quantizer(width: int, frac: int, *, signed: bool = True) -> Cast:
    """The cast of a quantized activation: round half to even, saturate."""
    return Cast(FixedType(signed, width, frac), Rounding.RND_CONV, Overflow.SAT)


def random_codes(rng: np.random.Generator, shape: Sequence[int], type_: FixedType) -> Codes:
    """Uniform codes of a grid; the first two are its smallest and its largest."""
    low, high = type_.range()
    codes = rng.integers(low, high, tuple(shape), dtype=np.int64, endpoint=True)
    codes.flat[:2] = (low, high)[: codes.size]
    return codes


def random_param(rng: np.random.Generator, shape: Sequence[int], type_: FixedType) -> QuantParam:
    """A constant tensor of :func:`random_codes`."""
    return QuantParam(random_codes(rng, shape, type_), type_)


def tensor(shape: Sequence[int], type_: FixedType, name: str = "x0") -> QuantNode:
    """An input node."""
    return QuantNode(name, "input", (), tuple(shape), Cast(type_))


def _pair(value: Pair) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def window_attrs(source: QuantNode, kernel: Pair, stride: Pair = 1, *, same: bool = True) -> dict[str, int]:
    """Window attributes under Keras' ``same`` or ``valid`` padding; of a row (width, channels) in one dimension."""
    attrs: dict[str, int] = {}
    sizes, kernels, strides = (1, *source.shape)[-3:-1], _pair(kernel), _pair(stride)
    for axis, pad, size, taps, step in zip("hw", ("top", "left"), sizes, kernels, strides, strict=True):
        out = -(-size // step) if same else (size - taps) // step + 1
        before = max((out - 1) * step + taps - size, 0) // 2 if same else 0
        attrs |= {f"in_{axis}": size, f"out_{axis}": out, f"kernel_{axis}": taps, f"stride_{axis}": step}
        attrs[f"pad_{pad}"] = before
    return attrs


def conv2d(
    rng: np.random.Generator,
    source: QuantNode,
    channels: int,
    attrs: dict[str, int],
    cast: Cast,
    *,
    weight: FixedType,
    bias: FixedType,
    reuse: int,
    name: str = "y",
) -> QuantNode:
    """A convolution with random parameters."""
    kernel = (attrs["kernel_h"], attrs["kernel_w"], source.channels, channels)
    params = {"weight": random_param(rng, kernel, weight), "bias": random_param(rng, (channels,), bias)}
    shape = (*(attrs["out_h"], attrs["out_w"])[3 - len(source.shape) :], channels)
    return QuantNode(name, "conv2d", (source.name,), shape, cast, attrs, params, reuse)


def depthwise_conv2d(
    rng: np.random.Generator,
    source: QuantNode,
    attrs: dict[str, int],
    cast: Cast,
    *,
    weight: FixedType,
    bias: FixedType,
    reuse: int,
    multiplier: int = 1,
    name: str = "y",
) -> QuantNode:
    """A depthwise convolution with random parameters."""
    channels = source.channels * multiplier
    kernel = (attrs["kernel_h"], attrs["kernel_w"], channels)
    params = {"weight": random_param(rng, kernel, weight), "bias": random_param(rng, (channels,), bias)}
    shape = (*(attrs["out_h"], attrs["out_w"])[3 - len(source.shape) :], channels)
    return QuantNode(name, "depthwise_conv2d", (source.name,), shape, cast, attrs, params, reuse)


def dense(
    rng: np.random.Generator,
    source: QuantNode,
    outputs: int,
    cast: Cast,
    *,
    weight: FixedType,
    bias: FixedType,
    reuse: int,
    name: str = "y",
) -> QuantNode:
    """A fully connected layer with random parameters."""
    params = {
        "weight": random_param(rng, (source.channels, outputs), weight),
        "bias": random_param(rng, (outputs,), bias),
    }
    return QuantNode(name, "dense", (source.name,), (outputs,), cast, {}, params, reuse)


def activation(source: QuantNode, cast: Cast, function: str = "linear", name: str = "y") -> QuantNode:
    """A linear or rectified activation."""
    return QuantNode(name, "activation", (source.name,), source.shape, cast, {"function": function})


def piecewise(source: QuantNode, cast: Cast, pieces: Pieces, name: str = "y") -> QuantNode:
    """An activation of straight pieces."""
    params = {"slope": constants(pieces.slopes), "offset": constants(pieces.offsets)}
    attrs = {"starts": pieces.starts(source.type.frac)}
    return QuantNode(name, "piecewise", (source.name,), source.shape, cast, attrs, params)


def lookup(
    source: QuantNode, cast: Cast, function: str, size: int, table: Cast, name: str = "y"
) -> QuantNode:
    """An activation from a table; ``elu`` and ``selu`` with slopes of 1 and of ``ufixed<16,1>``."""
    params = {"table": QuantParam(FUNCTIONS[function].codes(size, table), table.type)}
    if FUNCTIONS[function].negative:
        slope = Cast(FixedType(False, 16, 15))
        params["slope"] = QuantParam(
            cast_values([SELU_LAMBDA if function == "selu" else 1], slope), slope.type
        )
    attrs = index_attrs(function, size, source.type)
    return QuantNode(name, "lookup", (source.name,), source.shape, cast, attrs, params)


def softmax(
    source: QuantNode,
    cast: Cast,
    implementation: str = "stable",
    sizes: tuple[int, int] = (1024, 1024),
    tables: Cast = _SOFTMAX_TABLE,
    accum: Cast = _SOFTMAX_TABLE,
    inverse_input: Cast = _SOFTMAX_TABLE,
    name: str = "y",
) -> QuantNode:
    """A softmax with tables of exp and of 1/x of these sizes; ``stable`` drops the sign of the input's grid."""
    if implementation == "argmax":
        attrs: dict[str, Any] = {"implementation": implementation}
        return QuantNode(name, "softmax", (source.name,), source.shape, cast, attrs)
    stable = implementation == "stable"
    x = source.type
    address = FixedType(False, x.width - x.signed, x.frac) if stable else x
    attrs = {
        "implementation": implementation,
        "address": address.to_json(),
        "accum": str(accum),
        "inverse_input": str(inverse_input),
    }
    params = {
        "exp": QuantParam(exp_table(sizes[0], address, tables, negative=stable), tables.type),
        "inverse": QuantParam(inverse_table(sizes[1], inverse_input.type, tables), tables.type),
    }
    return QuantNode(name, "softmax", (source.name,), source.shape, cast, attrs, params)


def prelu(
    rng: np.random.Generator,
    source: QuantNode,
    cast: Cast,
    slope: FixedType,
    name: str = "y",
    *,
    shared: bool = True,
) -> QuantNode:
    """A parametric rectifier with random slopes, one a channel or one an element."""
    params = {"slope": random_param(rng, source.shape[-1:] if shared else source.shape, slope)}
    return QuantNode(name, "prelu", (source.name,), source.shape, cast, {}, params)


def affine(
    rng: np.random.Generator,
    source: QuantNode,
    cast: Cast,
    *,
    scale: FixedType,
    bias: FixedType,
    name: str = "y",
) -> QuantNode:
    """A random scale and offset a channel."""
    shape = (source.channels,)
    params = {"scale": random_param(rng, shape, scale), "bias": random_param(rng, shape, bias)}
    return QuantNode(name, "affine", (source.name,), source.shape, cast, {}, params)


def add(a: QuantNode, b: QuantNode, cast: Cast, name: str = "y") -> QuantNode:
    """A sum of two tensors."""
    return merge("add", a, b, cast, name)


def merge(function: str, a: QuantNode, b: QuantNode, cast: Cast, name: str = "y") -> QuantNode:
    """A function of two tensors, element by element."""
    return QuantNode(name, "merge", (a.name, b.name), a.shape, cast, {"function": function})


def reshape(source: QuantNode, shape: Sequence[int], name: str = "y") -> QuantNode:
    """The same values under another shape."""
    return QuantNode(name, "reshape", (source.name,), tuple(shape), source.cast)


def distributed(case: Case) -> Case:
    """A case of a layer with weights, by an adder graph."""
    attrs = {**case.node.attrs, "strategy": STRATEGY}
    return Case(f"distributed-{case.name}", replace(case.node, attrs=attrs, reuse_factor=1), case.inputs)


def low_latency(case: Case) -> Case:
    """A case of a layer with weights, summed in trees."""
    node = replace(case.node, attrs={**case.node.attrs, "strategy": LATENCY})
    return Case(f"{LATENCY}-{case.name}", node, case.inputs)


def stored_as(case: Case, text: str, style: str = "auto") -> Case:
    """A case of a layer whose weights are normally distributed values of a format, stored as such."""
    shape = case.node.params["weight"].codes.shape
    values = np.random.default_rng(6).normal(0, 0.5, shape)
    found = parse(text).fit(values)
    values = found.quantize(values)
    weight = QuantParam(to_codes(values, found.grid_of(values)), found.grid_of(values))
    attrs = {**case.node.attrs, "weight_format": str(found), "mult_style": style}
    node = replace(case.node, attrs=attrs, params={**case.node.params, "weight": weight})
    name = re.sub(r"\W+", "_", f"{text}-{style}-{case.name}")
    return Case(name, node, case.inputs)


def case_graph(case: Case) -> QuantGraph:
    """The graph that holds a case's node alone."""
    return QuantGraph(f"case_{case.node.op}", (*case.inputs, case.node), (case.node.name,))
