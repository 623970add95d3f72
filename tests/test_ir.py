# SPDX-License-Identifier: Apache-2.0
"""QuantGraph: files that read back identically, and damage that is noticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwflow.emit.design import build_design
from hwflow.errors import InternalError, UserError
from hwflow.ir.graph import QuantGraph, QuantParam
from hwflow.ir.serialize import graph_hash, graph_to_dict, load_graph, save_graph
from hwflow.numerics.fixed import FixedType
from hwflow.ops.casekit import case_graph
from hwflow.ops.registry import ops
from rtl_tests.networks import random_network, tiny_mobilefacenet

GRAPHS = {
    **{
        f"{name}-{case.name}": case_graph(case)
        for name, spec in ops().items()
        for case in spec.cases()
        if case.inputs
    },
    "network": tiny_mobilefacenet(),
    "random": random_network(1),
}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_files_read_back_identically(graph: QuantGraph, tmp_path: Path) -> None:
    save_graph(graph, tmp_path)
    loaded = load_graph(tmp_path)
    assert graph_to_dict(loaded) == graph_to_dict(graph)
    assert graph_hash(loaded) == graph_hash(graph)
    for one, other in zip(loaded, graph, strict=True):
        assert (one.cast, one.shape, one.inputs) == (other.cast, other.shape, other.inputs)
        assert all(np.array_equal(one.params[key].codes, other.params[key].codes) for key in other.params)
    texts = (tmp_path / "quantgraph.json").read_bytes()
    save_graph(loaded, tmp_path / "again")
    assert (tmp_path / "again" / "quantgraph.json").read_bytes() == texts


def test_an_operation_of_another_version_is_the_users_error(tmp_path: Path) -> None:
    save_graph(tiny_mobilefacenet(), tmp_path)
    path = tmp_path / "quantgraph.json"
    path.write_text(path.read_text().replace('"op": "merge"', '"op": "add"'))
    with pytest.raises(UserError, match=r"no operation 'add'[^$]*another version"):
        build_design(load_graph(tmp_path))


def test_hash_covers_parameters_and_structure() -> None:
    graph = tiny_mobilefacenet()
    other = random_network(1)
    assert graph_hash(graph) == graph_hash(tiny_mobilefacenet())
    assert graph_hash(graph) != graph_hash(other)
    data = graph_to_dict(graph)
    assert {row["op"] for row in data["nodes"]} >= {
        "input",
        "conv2d",
        "depthwise_conv2d",
        "merge",
        "prelu",
        "reshape",
    }


def _older(data: dict[str, Any]) -> None:
    data["version"] = 0


def _other_format(data: dict[str, Any]) -> None:
    data["format"] = "something"


def _other_weights(data: dict[str, Any]) -> None:
    node = next(row for row in data["nodes"] if row["params"])
    next(iter(node["params"].values()))["sha256"] = "0" * 64


@pytest.mark.parametrize("damage", [_older, _other_format, _other_weights])
def test_damaged_files_are_refused(damage: Callable[[dict[str, Any]], None], tmp_path: Path) -> None:
    save_graph(tiny_mobilefacenet(), tmp_path)
    path = tmp_path / "quantgraph.json"
    data = json.loads(path.read_text())
    damage(data)
    path.write_text(json.dumps(data))
    with pytest.raises(UserError) as error:
        load_graph(tmp_path)
    assert "run the flow again" in error.value.remedy


@pytest.mark.parametrize("name", ["quantgraph.json", "quantgraph.npz"])
def test_missing_or_cut_files_are_refused(name: str, tmp_path: Path) -> None:
    save_graph(tiny_mobilefacenet(), tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError):
        load_graph(tmp_path)
    path.unlink()
    with pytest.raises(UserError):
        load_graph(tmp_path)


def test_parameters_stay_in_range_and_cannot_be_written() -> None:
    with pytest.raises(InternalError):
        QuantParam(np.array([8]), FixedType(True, 4, 0))
    with pytest.raises(ValueError, match="read-only"):
        QuantParam(np.array([7]), FixedType(True, 4, 0)).codes[0] = 1


def test_consumers_and_lookup() -> None:
    graph = tiny_mobilefacenet()
    readers = graph.consumers()
    forks = [name for name, uses in readers.items() if len(uses) > 1]
    assert len(forks) == 1
    assert readers[graph.outputs[0]] == []
    with pytest.raises(InternalError):
        graph.node("nothing")
