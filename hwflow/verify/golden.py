# SPDX-License-Identifier: Apache-2.0
"""The golden model: a QuantGraph computed in integers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np

from hwflow.errors import UserError
from hwflow.ir.graph import QuantGraph
from hwflow.numerics.fixed import Codes
from hwflow.ops.registry import op


def run_golden(
    graph: QuantGraph,
    inputs: Mapping[str, Codes],
    keep: Collection[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Codes]:
    """Compute a graph on integer codes.

    Parameters
    ----------
    graph : QuantGraph
        The network.
    inputs : mapping of str to ndarray of int64, shape (n, ...shape)
        Codes of each input node.
    keep : collection of str, optional
        Nodes to return; the outputs by default.
    progress : callable, optional
        Called with the name of each node once it is done.

    Returns
    -------
    dict of str to ndarray of int64, shape (n, ...shape)

    Raises
    ------
    UserError
        When an input is missing, has the wrong shape, or leaves its grid.
    """
    wanted = set(graph.outputs if keep is None else keep)
    nodes = graph.by_name()
    readers = {name: len(uses) for name, uses in graph.consumers().items()}
    live: dict[str, Codes] = {}
    results: dict[str, Codes] = {}
    for node in graph:
        if node.op == "input":
            codes = _checked(graph, node.name, inputs)
        else:
            codes = op(node.op).reference(node, [(live[name], nodes[name].type) for name in node.inputs])
        for name in node.inputs:
            readers[name] -= 1
            if not readers[name]:
                live.pop(name, None)
        live[node.name] = codes
        if node.name in wanted:
            results[node.name] = codes
        if progress is not None:
            progress(node.name)
    return results


def _checked(graph: QuantGraph, name: str, inputs: Mapping[str, Codes]) -> Codes:
    node = graph.node(name)
    if name not in inputs:
        raise UserError(f"no codes given for input {name!r}")
    codes = np.asarray(inputs[name], dtype=np.int64)
    if codes.shape[1:] != node.shape:
        raise UserError(f"input {name!r} takes frames of shape {node.shape}, got {codes.shape[1:]}")
    low, high = node.type.range()
    if codes.size and (codes.min() < low or codes.max() > high):
        raise UserError(f"codes of input {name!r} leave {low}..{high} ({node.type})")
    return codes
