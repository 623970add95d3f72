# SPDX-License-Identifier: Apache-2.0
"""Module instances whose synthesis calibrates the resource model: the operations' cases, and layers drawn by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hwflow.emit.design import Block, Design, build_design
from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.numerics.fixed import Cast, FixedType
from hwflow.ops.base import Case
from hwflow.ops.casekit import (
    activation,
    add,
    affine,
    conv2d,
    dense,
    depthwise_conv2d,
    distributed,
    grid,
    prelu,
    quantizer,
    tensor,
    window_attrs,
)
from hwflow.ops.registry import ops
from hwflow.ops.reuse import legal_depthwise_reuse_factors, legal_reuse_factors

#: Layers drawn of each kind.
DRAWS = {
    "dense": 44,
    "conv2d": 52,
    "depthwise": 26,
    "activation": 16,
    "prelu": 12,
    "affine": 6,
    "merge": 8,
    "pool": 8,
    "distributed": 12,
    "buffer": 16,
}

#: Most multipliers and weights of a drawn layer: Yosys then takes seconds.
_PRODUCTS, _WEIGHTS = 48, 6000


@dataclass(frozen=True, slots=True)
class Point:
    """A module instance to synthesize.

    Parameters
    ----------
    name : str
        Where it comes from, unique.
    block : Block
        The instance.
    design : Design
        The design it stands in, with its memories.
    """

    name: str
    block: Block
    design: Design


def points() -> Iterator[Point]:
    """All points of the sweep, always the same ones, each kind spread over the whole sequence."""
    graphs = [*_case_graphs(), *_drawn_graphs()]
    order = np.random.default_rng(2026).permutation(len(graphs))
    seen = set()
    for number in order:
        name, graph = graphs[number]
        design = build_design(graph)
        for block in design.blocks:
            if block.node == "feed":  # only there to give its reader several lanes
                continue
            content = (block.module, tuple(sorted(block.parameters.items())))
            if content not in seen:
                seen.add(content)
                yield Point(f"{name}/{block.label.removeprefix('u_')}", block, design)


def _case_graphs() -> Iterator[tuple[str, QuantGraph]]:
    """Cases of all operations; of activations every fourth mode."""
    for name, op in ops().items():
        for number, case in enumerate(op.cases()):
            if name == "activation" and number < 28 and number % 4:
                continue
            graph = QuantGraph(f"case_{name}", (*case.inputs, case.node), (case.node.name,))
            yield f"case/{name}/{case.name}", graph


def _drawn_graphs() -> Iterator[tuple[str, QuantGraph]]:
    for kind, count in DRAWS.items():
        for number in range(count):
            rng = np.random.default_rng([sum(map(ord, kind)), number])
            yield f"drawn/{kind}/{number}", _DRAW[kind](rng)


def _graph(*nodes: QuantNode) -> QuantGraph:
    return QuantGraph("point", nodes, (nodes[-1].name,))


def _one(rng: np.random.Generator, values: Sequence[int]) -> int:
    return int(values[rng.integers(len(values))])


def _x_type(rng: np.random.Generator) -> FixedType:
    """Activations as networks have them: mostly 4 to 8 bits, signed or not."""
    width = _one(rng, (4, 6, 6, 8, 8, 8, 8, 10, 12))
    return grid(width, width - _one(rng, (1, 2, 3)), signed=bool(rng.integers(2)))


def _w_type(rng: np.random.Generator) -> FixedType:
    width = _one(rng, (1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 8, 8, 10, 12))
    return grid(max(width, 2), max(width, 2) - 1) if width > 1 else grid(1, 0, signed=False)


def _result(rng: np.random.Generator, exact: FixedType) -> Cast:
    """The exact sum, or an activation's quantizer."""
    if rng.integers(3) == 0:
        return Cast(exact)
    width = _one(rng, (4, 6, 8, 8, 8))
    frac = min(width - _one(rng, (1, 2, 3)), exact.frac)
    return quantizer(width, frac, signed=bool(rng.integers(2)))


def _sums(x: FixedType, w: FixedType, terms: int) -> FixedType:
    return grid(x.width + w.width + terms.bit_length(), x.frac + w.frac)


def _reuse(rng: np.random.Generator, legal: Sequence[int], products: int) -> int:
    """A legal reuse factor that leaves few multipliers, each of their numbers as likely."""
    fitting = [factor for factor in legal if products // factor <= _PRODUCTS]
    return _one(rng, fitting)


def _weighted(rng: np.random.Generator, node: QuantNode) -> QuantNode:
    """With a multiplication style, mostly that of who says nothing."""
    style = ("auto", "auto", "auto", "auto", "dsp", "lut")[rng.integers(6)]
    return replace(node, attrs={**node.attrs, "mult_style": style})


def _draw_dense(rng: np.random.Generator) -> QuantGraph:
    x, w = _x_type(rng), _w_type(rng)
    n_in = _one(rng, (4, 8, 10, 16, 16, 24, 32, 48, 64, 64, 128, 256))
    n_out = _one(rng, [n for n in (1, 3, 5, 8, 10, 16, 24, 32, 64, 128) if n * n_in <= _WEIGHTS])
    source = tensor((n_in,), x)
    reuse = _reuse(rng, legal_reuse_factors(n_in, n_out), n_in * n_out)
    bias = grid(_one(rng, (6, 8, 12)), x.frac + w.frac - _one(rng, (0, 0, 2)))
    node = dense(rng, source, n_out, _result(rng, _sums(x, w, n_in)), weight=w, bias=bias, reuse=reuse)
    return _graph(source, _weighted(rng, node))


def _frame(rng: np.random.Generator, channels: int, x: FixedType) -> tuple[QuantNode, dict[str, int]]:
    """An image and a window over it."""
    side = _one(rng, (4, 7, 8, 14, 16, 28, 32, 56))
    kernel = _one(rng, (1, 1, 3, 3, 3, 5)) if side > 4 else _one(rng, (1, 3))
    source = tensor((side, side, channels), x)
    stride = _one(rng, (1, 1, 2))
    return source, window_attrs(source, kernel, stride, same=bool(rng.integers(3)))


def _draw_conv2d(rng: np.random.Generator) -> QuantGraph:
    x, w = _x_type(rng), _w_type(rng)
    channels = _one(rng, (1, 2, 3, 4, 6, 8, 8, 12, 16, 16, 32, 64))
    source, attrs = _frame(rng, channels, x)
    n_in = channels * attrs["kernel_h"] * attrs["kernel_w"]
    n_out = _one(rng, [n for n in (2, 3, 4, 6, 8, 8, 16, 16, 32, 64) if n * n_in <= _WEIGHTS or n < 4])
    reuse = _reuse(rng, legal_reuse_factors(n_in, n_out), n_in * n_out)
    bias = grid(_one(rng, (8, 10, 16)), x.frac + w.frac - _one(rng, (0, 1, 2)))
    cast = _result(rng, _sums(x, w, n_in))
    node = conv2d(rng, source, n_out, attrs, cast, weight=w, bias=bias, reuse=reuse)
    return _graph(source, _weighted(rng, node))


def _draw_depthwise(rng: np.random.Generator) -> QuantGraph:
    x, w = _x_type(rng), _w_type(rng)
    channels = _one(rng, (2, 3, 4, 6, 8, 16, 16, 32, 64, 128))
    source, attrs = _frame(rng, channels, x)
    positions = attrs["kernel_h"] * attrs["kernel_w"]
    reuse = _reuse(rng, legal_depthwise_reuse_factors(positions, channels), positions * channels)
    bias, cast = grid(10, x.frac + w.frac - 1), _result(rng, _sums(x, w, positions))
    node = depthwise_conv2d(rng, source, attrs, cast, weight=w, bias=bias, reuse=reuse)
    return _graph(source, _weighted(rng, node))


def _map(rng: np.random.Generator, x: FixedType, name: str = "x0") -> QuantNode:
    side = _one(rng, (1, 4, 7, 14))
    return tensor((side, side, _one(rng, (1, 2, 4, 6, 8, 16, 32, 64, 128))), x, name)


def _fed(rng: np.random.Generator, source: QuantNode, node: QuantNode, *others: QuantNode) -> QuantGraph:
    """The node behind a convolution of a pixel, which gives it as many lanes as it has reuse to spare."""
    n = source.channels
    inputs = tensor((*source.shape[:-1], 1), grid(4, 2))
    factors = [factor for factor in legal_reuse_factors(1, n) if n // factor <= 16]
    x = source.type
    attrs = window_attrs(inputs, 1)
    feed = conv2d(
        rng,
        inputs,
        n,
        attrs,
        Cast(x),
        weight=grid(2, 0),
        bias=grid(2, 0),
        reuse=_one(rng, factors),
        name="feed",
    )
    return _graph(inputs, *others, feed, replace(node, inputs=("feed", *node.inputs[1:])))


def _draw_activation(rng: np.random.Generator) -> QuantGraph:
    width = _one(rng, (8, 12, 16, 18, 20, 24))
    source = _map(rng, grid(width, width - _one(rng, (2, 4, 6))))
    out = _one(rng, (2, 4, 6, 8, 8, 8))
    relu = bool(rng.integers(2))
    cast = quantizer(out, out - _one(rng, (0, 1, 2, 3)), signed=not relu)
    return _fed(rng, source, activation(source, cast, "relu" if relu else "linear"))


def _draw_prelu(rng: np.random.Generator) -> QuantGraph:
    width = _one(rng, (6, 8, 8, 12, 16, 20))
    source = _map(rng, grid(width, width - _one(rng, (2, 4))))
    slope = grid(_one(rng, (4, 6, 8, 8)), 6)
    cast = quantizer(8, 5) if rng.integers(3) else Cast(grid(width + 8, width + 2))
    return _fed(rng, source, prelu(rng, source, cast, slope))


def _draw_affine(rng: np.random.Generator) -> QuantGraph:
    width = _one(rng, (6, 8, 12, 16))
    source = _map(rng, grid(width, width - 3))
    node = affine(rng, source, quantizer(8, 4), scale=grid(_one(rng, (6, 8, 10)), 6), bias=grid(10, 6))
    return _fed(rng, source, node)


def _draw_merge(rng: np.random.Generator) -> QuantGraph:
    width, frac = _one(rng, (4, 6, 8, 8, 12)), _one(rng, (2, 3, 4))
    source = _map(rng, grid(width, frac))
    other = tensor(source.shape, grid(_one(rng, (6, 8, 8)), _one(rng, (3, 4, 5))), "x1")
    cast = Cast(grid(14, 6)) if rng.integers(2) else quantizer(8, 4)
    return _fed(rng, source, add(source, other, cast), other)


def _draw_pool(rng: np.random.Generator) -> QuantGraph:
    cases = [case for case in ops()["pool"].cases() if case.node.attrs["kernel_h"] == 2]
    node = cases[int(rng.integers(len(cases)))].node
    side = _one(rng, (8, 16, 28))
    source = tensor((side, side, _one(rng, (4, 8, 16, 32))), grid(_one(rng, (4, 6, 8)), 3))
    attrs = {**node.attrs, **window_attrs(source, 2, 2)}
    shape = (attrs["out_h"], attrs["out_w"], source.channels)
    node = replace(node, shape=shape, attrs=attrs, cast=Cast(source.type))
    return _fed(rng, source, node)


def _draw_distributed(rng: np.random.Generator) -> QuantGraph:
    x, w = _x_type(rng), _w_type(rng)
    n_in, n_out = _one(rng, (4, 8, 16, 16)), _one(rng, (2, 4, 8, 16))
    source = tensor((n_in,), x)
    cast = _result(rng, _sums(x, w, n_in))
    node = dense(rng, source, n_out, cast, weight=w, bias=grid(8, x.frac + w.frac), reuse=1)
    return _graph(source, distributed(Case("", node, (source,))).node)


def _draw_buffer(rng: np.random.Generator) -> QuantGraph:
    """Two branches that join: a convolution delays one of them, a buffer the other."""
    x = grid(_one(rng, (4, 6, 8, 8, 12, 16)), 3)
    side, channels = _one(rng, (4, 8, 14, 28)), _one(rng, (2, 4, 8, 16, 32))
    source = tensor((side, side, channels), x)
    attrs = window_attrs(source, _one(rng, (1, 3, 3)))
    terms = attrs["kernel_h"] * attrs["kernel_w"]
    factors = legal_depthwise_reuse_factors(terms, channels)
    node = depthwise_conv2d(
        rng, source, attrs, quantizer(8, 4), weight=grid(2, 1), bias=grid(6, 3),
        reuse=_reuse(rng, factors, terms * channels), name="branch",
    )  # fmt: skip
    return _graph(source, node, add(source, node, quantizer(8, 3)))


_DRAW: dict[str, Callable[[np.random.Generator], QuantGraph]] = {
    "dense": _draw_dense,
    "conv2d": _draw_conv2d,
    "depthwise": _draw_depthwise,
    "activation": _draw_activation,
    "prelu": _draw_prelu,
    "affine": _draw_affine,
    "merge": _draw_merge,
    "pool": _draw_pool,
    "distributed": _draw_distributed,
    "buffer": _draw_buffer,
}
