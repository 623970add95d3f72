# SPDX-License-Identifier: Apache-2.0
"""QuantGraph as versioned JSON beside an ``.npz`` of its parameters (format: ``spec.md``)."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from hwflow.errors import UserError
from hwflow.ir.graph import FORMAT_VERSION, QuantGraph, QuantNode, QuantParam
from hwflow.numerics.fixed import Cast, FixedType, Overflow, Rounding


def graph_to_dict(graph: QuantGraph) -> dict[str, Any]:
    """The JSON form of a graph, parameters as types and content hashes."""
    return {
        "format": "hwflow-quantgraph",
        "version": FORMAT_VERSION,
        "name": graph.name,
        "outputs": list(graph.outputs),
        "nodes": [
            {
                "name": node.name,
                "op": node.op,
                "inputs": list(node.inputs),
                "shape": list(node.shape),
                "type": node.cast.type.to_json(),
                "rounding": node.cast.rounding.value,
                "overflow": node.cast.overflow.value,
                "attrs": dict(sorted(node.attrs.items())),
                "reuse_factor": node.reuse_factor,
                "params": {
                    key: {
                        "type": param.type.to_json(),
                        "shape": list(param.codes.shape),
                        "sha256": hashlib.sha256(param.codes.tobytes()).hexdigest(),
                    }
                    for key, param in sorted(node.params.items())
                },
            }
            for node in graph
        ],
    }


def graph_hash(graph: QuantGraph) -> str:
    """SHA-256 over structure and parameters."""
    return hashlib.sha256(json.dumps(graph_to_dict(graph), sort_keys=True).encode()).hexdigest()


def save_graph(graph: QuantGraph, folder: Path) -> None:
    """Write ``quantgraph.json`` and ``quantgraph.npz`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        f"{node.name}/{key}": param.codes for node in graph for key, param in sorted(node.params.items())
    }
    np.savez_compressed(folder / "quantgraph.npz", **arrays)
    text = json.dumps(graph_to_dict(graph), indent=1, sort_keys=True)
    (folder / "quantgraph.json").write_text(text + "\n")


def load_graph(folder: Path) -> QuantGraph:
    """Read what :func:`save_graph` wrote.

    Raises
    ------
    UserError
        When the files are missing, of another version, or do not belong together.
    """
    path = folder / "quantgraph.json"
    try:
        data = json.loads(path.read_text())
        with np.load(folder / "quantgraph.npz") as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"cannot read the QuantGraph in {folder}: {error}", "run the flow again") from error
    if data.get("format") != "hwflow-quantgraph" or data.get("version") != FORMAT_VERSION:
        raise UserError(
            f"{path} is no QuantGraph of version {FORMAT_VERSION}",
            "it was written by another hwflow; run the flow again with --fresh",
        )
    nodes = []
    for row in data["nodes"]:
        params = {}
        for key, meta in row["params"].items():
            codes = arrays[f"{row['name']}/{key}"]
            if hashlib.sha256(codes.tobytes()).hexdigest() != meta["sha256"]:
                raise UserError(
                    f"{folder}: parameter {key} of {row['name']} is damaged", "run the flow again"
                )
            params[key] = QuantParam(codes, FixedType.from_json(meta["type"]))
        cast = Cast(FixedType.from_json(row["type"]), Rounding(row["rounding"]), Overflow(row["overflow"]))
        nodes.append(
            QuantNode(
                row["name"],
                row["op"],
                tuple(row["inputs"]),
                tuple(row["shape"]),
                cast,
                row["attrs"],
                params,
                row["reuse_factor"],
            )
        )
    return QuantGraph(data["name"], tuple(nodes), tuple(data["outputs"]))
