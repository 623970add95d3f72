# SPDX-License-Identifier: Apache-2.0
"""The golden model on whole networks, against a naive evaluation of the specification."""

from __future__ import annotations

import numpy as np
import pytest

from hwflow.emit.narrow import narrow, ranges
from hwflow.errors import UserError
from hwflow.ir.graph import QuantGraph
from hwflow.numerics.fixed import Codes
from hwflow.ops.casekit import random_codes
from hwflow.verify.golden import run_golden
from rtl_tests.networks import random_network, tiny_mobilefacenet
from tests import naive

NETWORKS = {"tiny": tiny_mobilefacenet(), **{f"random{seed}": random_network(seed) for seed in range(12)}}


def frames(graph: QuantGraph, count: int) -> dict[str, Codes]:
    rng = np.random.default_rng(3)
    return {
        name: random_codes(rng, (count, *graph.node(name).shape), graph.node(name).type)
        for name in graph.inputs
    }


@pytest.mark.parametrize("graph", NETWORKS.values(), ids=NETWORKS)
def test_every_tensor_equals_naive_evaluation(graph: QuantGraph) -> None:
    data = frames(graph, 1)
    got = run_golden(graph, data, keep=[node.name for node in graph])
    expected = naive.run(graph, {name: codes[0] for name, codes in data.items()})
    assert got.keys() == expected.keys()
    for name, codes in expected.items():
        assert np.array_equal(got[name][0], codes), name


@pytest.mark.parametrize("graph", NETWORKS.values(), ids=NETWORKS)
def test_narrowing_and_ranges_hold_in_networks(graph: QuantGraph) -> None:
    data, names = frames(graph, 8), [node.name for node in graph]
    got, found, small = run_golden(graph, data, keep=names), ranges(graph), narrow(graph)
    narrowed = run_golden(small, data, keep=names)
    for name in names:
        assert np.array_equal(narrowed[name], got[name]), name
        assert (got[name] >= found[name].low).all(), name
        assert (got[name] <= found[name].high).all(), name
    # What is only wires has the type of what drives it.
    for node in small:
        if node.op == "reshape":
            assert node.type == small.node(node.inputs[0]).type


def test_outputs_and_kept_nodes_only() -> None:
    graph = tiny_mobilefacenet()
    done: list[str] = []
    assert list(run_golden(graph, frames(graph, 1), progress=done.append)) == list(graph.outputs)
    assert done == [node.name for node in graph]
    assert list(run_golden(graph, frames(graph, 1), keep=["act3"])) == ["act3"]


def test_wrong_inputs_are_refused() -> None:
    graph = tiny_mobilefacenet()
    codes = frames(graph, 1)["input"]
    for wrong in ({}, {"input": codes[:, 1:]}, {"input": codes * 2}):
        with pytest.raises(UserError, match="input"):
            run_golden(graph, wrong)
