# SPDX-License-Identifier: Apache-2.0
"""A slow second evaluation of QuantGraphs in Python integers, written from ``hwflow/ir/spec.md`` alone.

Tensors are nested dictionaries of Python integers, index tuple to code; nothing of the reference is used.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import product
from math import ceil, floor
from typing import Any

import numpy as np

from hwflow.ir.graph import QuantGraph, QuantNode, QuantParam
from hwflow.numerics.fixed import Cast, Codes, FixedType

Tensor = dict[tuple[int, ...], Fraction]


def cast(value: Fraction, to: Cast) -> int:
    """The code ``ap_fixed`` stores for a real number."""
    scaled = value * Fraction(2) ** to.type.frac
    below, above = floor(scaled), ceil(scaled)
    toward_zero = below if scaled >= 0 else above
    nearest = below if scaled - below < Fraction(1, 2) else above
    tie = scaled - below == Fraction(1, 2)
    code = {
        "TRN": below,
        "TRN_ZERO": toward_zero,
        "RND": above if tie else nearest,
        "RND_MIN_INF": below if tie else nearest,
        "RND_ZERO": toward_zero if tie else nearest,
        "RND_INF": (above if scaled >= 0 else below) if tie else nearest,
        "RND_CONV": (below if below % 2 == 0 else above) if tie else nearest,
    }[to.rounding.value]
    return overflow(code, to)


def overflow(code: int, to: Cast) -> int:
    """Bring a code into the target range."""
    width, signed = to.type.width, to.type.signed
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
    if low <= code <= high and not (to.overflow.value == "SAT_SYM" and signed and code == low):
        return code
    if to.overflow.value == "WRAP":
        wrapped = code % 2**width
        return wrapped - 2**width if signed and wrapped >= 2 ** (width - 1) else wrapped
    if to.overflow.value == "SAT_ZERO":
        return 0
    if to.overflow.value == "SAT_SYM" and signed and code < 0:
        return -high
    return high if code > high else low


def real(codes: Codes, type_: FixedType) -> Tensor:
    """Codes as real numbers."""
    return {index: Fraction(int(code)) / Fraction(2) ** type_.frac for index, code in np.ndenumerate(codes)}


def exact(
    node: QuantNode, inputs: list[Tensor], shapes: list[tuple[int, ...]], types: list[FixedType]
) -> Tensor:
    """The exact result of a node."""
    params = {key: real(param.codes, param.type) for key, param in node.params.items()}
    indices = list(product(*(range(size) for size in node.shape)))
    x = inputs[0]
    if node.op in ("conv2d", "depthwise_conv2d"):
        return {index: _window_sum(node, x, params, index) for index in indices}
    if node.op == "dense":
        return {
            (o,): params["bias"][o,] + sum(params["weight"][i, o] * x[i,] for i in range(shapes[0][0]))
            for (o,) in indices
        }
    if node.op == "activation":
        return {i: max(x[i], Fraction(0)) if node.attrs["function"] == "relu" else x[i] for i in indices}
    if node.op == "piecewise":
        return {i: _piece(node, params, x[i], types[0].frac) for i in indices}
    if node.op == "minifloat":
        return {i: _minifloat(x[i], node.attrs["exponent"], node.attrs["mantissa"]) for i in indices}
    if node.op == "lookup":
        return {i: _looked_up(node, params, x[i], types[0].frac) for i in indices}
    if node.op == "softmax":
        return _softmax(node, x, types[0].frac)
    if node.op == "prelu":
        slope, axes = params["slope"], node.params["slope"].codes.ndim
        return {i: x[i] if x[i] >= 0 else slope[i[-axes:]] * x[i] for i in indices}
    if node.op == "affine":
        return {i: params["scale"][i[-1],] * x[i] + params["bias"][i[-1],] for i in indices}
    if node.op == "merge":
        y, function = inputs[1], _MERGES[node.attrs["function"]]
        return {i: function(x[i], y[i]) for i in indices}
    if node.op == "reshape":
        return dict(zip(indices, (x[i] for i in sorted(x)), strict=True))
    if node.op == "pad":
        at = node.attrs
        moved = {i: _moved(i, (-at["top"], -at["left"])) for i in indices}
        return {i: x.get(source, Fraction(0)) for i, source in moved.items()}
    if node.op == "upsample":
        steps = (node.attrs["factor_h"], node.attrs["factor_w"], 1)[-len(node.shape) :]
        return {i: x[tuple(k // step for k, step in zip(i, steps, strict=True))] for i in indices}
    if node.op == "permute":
        return {i: x[tuple(i[node.attrs["perm"].index(axis)] for axis in range(len(i)))] for i in indices}
    if node.op == "concat":
        axis = node.attrs["axis"]
        first = shapes[0][axis]
        return {
            i: x[i] if i[axis] < first else inputs[1][(*i[:axis], i[axis] - first, *i[axis + 1 :])]
            for i in indices
        }
    if node.op == "pool":
        return _pooled(node, x, params, shapes[0], indices)
    raise NotImplementedError(node.op)


_MERGES: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "average": lambda a, b: (a + b) / 2,
    "maximum": max,
    "minimum": min,
}


def _moved(index: tuple[int, ...], by: tuple[int, int]) -> tuple[int, ...]:
    """An index moved by rows and columns; two axes are one row."""
    *rows, col, channel = index
    return (*(row + by[0] for row in rows), col + by[1], channel)


def _pooled(
    node: QuantNode,
    x: Tensor,
    params: dict[str, Tensor],
    shape: tuple[int, ...],
    indices: list[tuple[int, ...]],
) -> Tensor:
    """Largest value or mean of each window."""
    at: dict[str, Any] = dict(node.attrs)
    result = {}
    pixels = product(range(at["out_h"]), range(at["out_w"]), range(shape[-1]))
    for index, (oy, ox, c) in zip(indices, pixels, strict=True):
        rows = [oy * at["stride_h"] + k - at["pad_top"] for k in range(at["kernel_h"])]
        cols = [ox * at["stride_w"] + k - at["pad_left"] for k in range(at["kernel_w"])]
        taken = [
            x[((row, col, c) if len(shape) == 3 else (col, c))]
            for row, col in product(rows, cols)
            if 0 <= row < at["in_h"] and 0 <= col < at["in_w"]
        ]
        if at["function"] == "max":
            result[index] = max(taken)
        elif "scale" in params:
            result[index] = sum(taken, Fraction(0)) * params["scale"][0,]
        else:
            units = sum(taken, Fraction(0)) / len(taken) * Fraction(2) ** at["frac"]
            result[index] = (floor(units) if units >= 0 else ceil(units)) / Fraction(2) ** at["frac"]
    return result


def _window_sum(node: QuantNode, x: Tensor, params: dict[str, Tensor], index: tuple[int, ...]) -> Fraction:
    at: dict[str, Any] = dict(node.attrs)
    (oy, ox), o = (0, *index)[-3:-1], index[-1]
    multiplier = node.shape[-1] // (1 + max(i[-1] for i in x))
    total = params["bias"][o,]
    for (ky, kx, *rest), weight in params["weight"].items():
        iy = oy * at["stride_h"] + ky - at["pad_top"]
        ix = ox * at["stride_w"] + kx - at["pad_left"]
        if not (0 <= iy < at["in_h"] and 0 <= ix < at["in_w"]):
            continue
        pixel = (iy, ix)[3 - len(index) :]  # one row has no number
        if node.op == "depthwise_conv2d":
            if rest[0] == o:
                total += weight * x[(*pixel, o // multiplier)]
        elif rest[1] == o:
            total += weight * x[(*pixel, rest[0])]
    return total


def _piece(node: QuantNode, params: dict[str, Tensor], x: Fraction, frac: int) -> Fraction:
    piece = sum(x >= start / Fraction(2) ** frac for start in node.attrs["starts"])
    return params["slope"][piece,] * x + params["offset"][piece,]


def _minifloat(x: Fraction, exponent: int, mantissa: int) -> Fraction:
    sizes = _minifloats(exponent, mantissa)
    above = min(bisect_left(sizes, abs(x)), len(sizes) - 1)
    near = [code for code in (above - 1, above) if code >= 0]
    size = sizes[min(near, key=lambda code: (abs(abs(x) - sizes[code]), code % 2))]
    return -size if x < 0 else size


@cache
def _minifloats(exponent: int, mantissa: int) -> list[Fraction]:
    """Magnitudes by code; the first one is zero."""
    codes = [divmod(code, 2**mantissa) for code in range(1, 2 ** (exponent + mantissa))]
    bias = 2 ** (exponent - 1) - 1
    return [Fraction(0), *((1 + Fraction(m, 2**mantissa)) * Fraction(2) ** (e - bias) for e, m in codes)]


def _looked_up(node: QuantNode, params: dict[str, Tensor], x: Fraction, frac: int) -> Fraction:
    at: dict[str, Any] = dict(node.attrs)
    if at["straight"] and x >= 0:
        return params["slope"][0,] * x
    position = x * Fraction(2) ** frac * at["multiplier"] / 2 ** at["shift"]
    index = (floor(position) if position >= 0 else ceil(position)) + at["offset"]
    return params["table"][min(max(index, 0), len(params["table"]) - 1),]


def _softmax(node: QuantNode, x: Tensor, frac: int) -> Tensor:
    at: dict[str, Any] = dict(node.attrs)
    result: Tensor = {}
    for pixel in {index[:-1] for index in x}:
        vector = [x[(*pixel, c)] for c in range(node.shape[-1])]
        if at["implementation"] == "argmax":
            values = [Fraction(c == vector.index(max(vector))) for c in range(len(vector))]
        else:
            accum, inverse_input = Cast.parse(at["accum"]), Cast.parse(at["inverse_input"])
            tables = {name: node.params[name] for name in ("exp", "inverse")}
            total, exps = Fraction(0), []
            for value in vector:
                argument = (max(vector) - value if at["implementation"] == "stable" else value) * 2**frac
                exps.append(_cast_real(_entry(tables["exp"], int(argument), at["address"][1]), accum))
                total = _cast_real(total + exps[-1], accum)
            total = _cast_real(total, inverse_input) * Fraction(2) ** inverse_input.type.frac
            factor = _entry(tables["inverse"], int(total), inverse_input.type.width)
            values = [value * factor for value in exps]
        result |= {(*pixel, c): value for c, value in enumerate(values)}
    return result


def _entry(table: QuantParam, code: int, width: int) -> Fraction:
    """Entry that the top bits of a code of ``width`` bits address."""
    index = code % 2**width * len(table.codes) // 2**width
    return Fraction(int(table.codes[index])) / Fraction(2) ** table.type.frac


def _cast_real(value: Fraction, to: Cast) -> Fraction:
    return Fraction(cast(value, to)) / Fraction(2) ** to.type.frac


def run(graph: QuantGraph, frame: dict[str, Codes]) -> dict[str, Codes]:
    """Codes of every node for one frame."""
    nodes = {node.name: node for node in graph.nodes}
    codes: dict[str, Codes] = {}
    for node in graph.nodes:
        if node.op == "input":
            codes[node.name] = frame[node.name]
            continue
        inputs = [real(codes[name], nodes[name].cast.type) for name in node.inputs]
        sources = [nodes[name] for name in node.inputs]
        result = exact(node, inputs, [n.shape for n in sources], [n.cast.type for n in sources])
        codes[node.name] = np.empty(node.shape, dtype=np.int64)
        for index, value in result.items():
            codes[node.name][index] = cast(value, node.cast)
    return codes
