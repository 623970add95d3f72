# SPDX-License-Identifier: Apache-2.0
"""Layers whose activations are all +m or -m: with binary weights their products are comparisons of signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.numerics.fixed import apply_cast
from hwflow.ops.base import Window

#: Operations that only move values, or choose among them.
_MOVES = ("reshape", "permute", "upsample", "concat", "pool")


def with_bipolar(graph: QuantGraph) -> QuantGraph:
    """The graph with an attribute ``bipolar`` at every layer with weights that reads values of one magnitude only.

    Parameters
    ----------
    graph : QuantGraph
        Any graph.

    Returns
    -------
    QuantGraph
        The same values. The attribute is the magnitude as a code, a power of two. Layers with padding do not get it, as
        they read zeros too.
    """
    magnitudes: dict[str, int] = {}
    nodes = []
    for node in graph:
        inputs = [magnitudes[name] for name in node.inputs]
        magnitudes[node.name] = _magnitude(node, [graph.node(name) for name in node.inputs], inputs)
        if "weight" in node.params and inputs[0] and not _is_padded(node):
            node = replace(node, attrs={**node.attrs, "bipolar": inputs[0]})
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


def _magnitude(node: QuantNode, sources: Sequence[QuantNode], inputs: Sequence[int]) -> int:
    """Code of the one magnitude of a node's values; 0 where there are several, or it is no power of two."""
    if node.op == "piecewise" and not node.params["slope"].codes.any():
        offset = node.params["offset"]
        sizes = set(np.abs(apply_cast(offset.codes, offset.type.frac, node.cast)).tolist())
        size = int(sizes.pop())
        return size if not sizes and size.bit_count() == 1 else 0
    moved = node.op in _MOVES and node.attrs.get("function", "max") == "max"
    if not moved or len(set(inputs)) != 1 or any(source.type.frac != node.type.frac for source in sources):
        return 0
    low, high = node.type.range()
    return inputs[0] if low <= -inputs[0] and inputs[0] <= high else 0


def _is_padded(node: QuantNode) -> bool:
    """Whether the window of a layer reaches beyond the frame."""
    if "kernel_h" not in node.attrs:
        return False
    window = Window.of(node)
    bottom = (window.out_h - 1) * window.stride_h + window.kernel_h - window.pad_top
    right = (window.out_w - 1) * window.stride_w + window.kernel_w - window.pad_left
    return max(window.pad_top, window.pad_left, bottom - window.in_h, right - window.in_w) > 0
