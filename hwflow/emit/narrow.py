# SPDX-License-Identifier: Apache-2.0
"""Interval analysis over a graph: proven ranges, and types narrowed to them without changing a code."""

from __future__ import annotations

from dataclasses import replace

from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.numerics.fixed import Cast, FixedType
from hwflow.ops.base import Interval
from hwflow.ops.registry import op


def ranges(graph: QuantGraph) -> dict[str, Interval]:
    """Range of every node's codes after its cast."""
    found: dict[str, Interval] = {}
    for node in graph:
        spec = op(node.op)
        exact = spec.interval(node, [found[name] for name in node.inputs])
        found[node.name] = exact if node.op == "input" else exact.cast(node)
    return found


def narrow(graph: QuantGraph) -> QuantGraph:
    """Give every tensor the narrowest type on its own grid that holds its proven range.

    Only types into which exact results fit are narrowed, so every code stays what it was.

    Parameters
    ----------
    graph : QuantGraph
        Any graph.

    Returns
    -------
    QuantGraph
        The same values in fewer bits.
    """
    found: dict[str, Interval] = {}
    narrowed: dict[str, QuantNode] = {}
    for node in graph:
        exact = op(node.op).interval(node, [found[name] for name in node.inputs])
        if node.op == "input":
            found[node.name], narrowed[node.name] = exact, node
            continue
        found[node.name] = exact.cast(node)
        if op(node.op).modules and not op(node.op).moves:
            narrowed[node.name] = _tightened(node, exact, found[node.name])
        else:
            # Wires, or a change of places: the codes keep the type in which their source makes them.
            narrowed[node.name] = replace(node, cast=narrowed[node.inputs[0]].cast)
    return QuantGraph(graph.name, tuple(narrowed.values()), graph.outputs)


def _tightened(node: QuantNode, exact: Interval, result: Interval) -> QuantNode:
    """The node with the narrowest type of its range, where exact results fit into its present one."""
    tight = FixedType.for_range(int(result.low.min()), int(result.high.max()), node.type.frac)
    if exact.fits(node) and tight.width < node.type.width:
        return replace(node, cast=Cast(tight, node.cast.rounding))
    return node
