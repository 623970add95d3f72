# SPDX-License-Identifier: Apache-2.0
"""``hwflow verify --locate`` names the layer whose hardware or C++ was broken, down to the element."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from hwflow.cli.app import app
from hwflow.errors import EXIT_MISMATCH, EXIT_USER
from hwflow.ir.serialize import load_graph
from hwflow.numerics.fixed import Codes
from hwflow.verify.compare import Tensor
from hwflow.verify.golden import run_golden
from hwflow.verify.locate import Implementation, locate
from hwflow.verify.vectors import Vectors, first_frames

pytestmark = [pytest.mark.tf, pytest.mark.sim, pytest.mark.slow]

#: The layer that the tests break.
LAYER = "dense2"
FACTORY = """
def make(seed):
    from qkeras import QActivation, QDense, quantized_bits
    from tensorflow.keras import Sequential, utils
    utils.set_random_seed(seed)
    def dense(size, number, **more):
        quantizer = quantized_bits(5, 0, alpha=1)
        return QDense(size, kernel_quantizer=quantizer, bias_quantizer=quantizer, name=f"dense{number}", **more)
    def act(number):
        return QActivation("quantized_bits(6,2,alpha=1)", name=f"act{number}")
    return Sequential([dense(6, 1, input_shape=(5,)), act(1), dense(6, 2), act(2), dense(3, 3)])
"""


def hwflow(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def located(run: Path) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and records of ``verify --locate`` on a run folder."""
    result = hwflow("verify", run, "--locate", "--json")
    return result.exit_code, json.loads(result.stdout)["rungs"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, ``run`` beside its ``design.yaml``."""
    folder = tmp_path_factory.mktemp("locate")
    (folder / "three_layers.py").write_text(FACTORY)
    (folder / "design.yaml").write_text(
        "ProjectName: net\nHLSConfig: {Model: {ReuseFactor: 6}, LayerName: {dense1: {ReuseFactor: 5}}}\n"
        "Hwflow: {Model: {Source: 'three_layers:make', Trust: true}, Data: {InputType: 'ap_fixed<6,1>'},"
        " Verify: {Frames: 12}}\n"
    )
    result = hwflow("verify", folder / "design.yaml", "--out", folder / "run")
    assert result.exit_code == 0, result.output
    return folder / "run"


def first(record: dict[str, Any]) -> tuple[str, int, list[int], int, int, float, float]:
    """Layer, frame, element, expected and got code, expected and got value."""
    pattern = (
        r"layer (\w+), frame (\d+), element (\[.*\]): "
        r"expected code (-?\d+) \((0x\w+) = (\S+)\), got (-?\d+) \((0x\w+) = (\S+)\)"
    )
    found = re.fullmatch(pattern, record["first_difference"])
    assert found, record["first_difference"]
    for code, bits in ((found[4], found[5]), (found[7], found[8])):
        assert int(bits, 16) == int(code) & ((1 << 4 * (len(bits) - 2)) - 1) or int(code) < 0
    return (
        found[1],
        int(found[2]),
        json.loads(found[3]),
        int(found[4]),
        int(found[7]),
        float(found[6]),
        float(found[9]),
    )


def test_nothing_differs(run: Path) -> None:
    code, rungs = located(run)
    assert code == 0
    assert [(r["rung"], r["scope"], r["mismatches"]) for r in rungs] == [
        ("csim", "layers", 0), ("rtl", "layers", 0), ("rtl under random stalls", "layers", 0),
    ]  # fmt: skip


def test_a_broken_memory_image_of_a_layer_is_found(run: Path) -> None:
    graph = load_graph(run / "graph")
    before, _ = (run / "rtl/net.sv").read_text().split(f") u_t_{LAYER} (")
    memory = run / "rtl" / re.findall(r'"(mem/\S*weight\S*)"', before)[-1]
    right = memory.read_text()
    lines = right.splitlines()
    lines[0] = f"{int(lines[0], 16) ^ 1:0{len(lines[0])}x}"
    memory.write_text("\n".join(lines) + "\n")
    try:
        code, rungs = located(run)
        text = hwflow("verify", run, "--locate")
    finally:
        memory.write_text(right)
    assert code == text.exit_code == EXIT_MISMATCH
    assert f"first layer {LAYER}, frame" in text.stderr
    csim, free, stalled = rungs
    assert csim["mismatches"] == 0
    for record in (free, stalled):
        layer, frame, element, expected, got, value, other = first(record)
        assert layer == LAYER
        node = graph.node(layer)
        codes = run_golden(graph, Vectors(run / "golden", graph).inputs(), keep=[layer])[layer]
        assert codes[frame][tuple(element)] == expected != got
        assert (value, other) == pytest.approx(
            (expected * 2.0**-node.type.frac, got * 2.0**-node.type.frac), rel=1e-5
        )


def test_a_broken_weight_of_the_cpp_is_found(run: Path) -> None:
    weights = next(path for path in (run / "hls/firmware/weights").glob("w*.txt") if _is_of(run, path, LAYER))
    right = weights.read_text()
    values = right.split(",")
    values[0] = str(float(values[0]) + 2.0**-3)
    weights.write_text(",".join(values))
    try:
        code, rungs = located(run)
    finally:
        weights.write_text(right)
    assert code == EXIT_MISMATCH
    assert first(rungs[0])[0] == LAYER
    assert [record["mismatches"] for record in rungs[1:]] == [0, 0]


def _is_of(run: Path, weights: Path, layer: str) -> bool:
    """Whether the layer reads that file, by the C++ that loads it."""
    source = (run / "hls/firmware/net.cpp").read_text()
    call = re.search(rf"nnet::dense<[^;]*?\b{weights.stem}\b[^;]*;[^\n]*// {layer}\n", source)
    return call is not None


def test_a_design_runs_first_and_heals_what_was_broken(run: Path) -> None:
    memory = next((run / "rtl/mem").glob("weight*"))
    memory.write_text(memory.read_text().replace("0", "1"))
    result = hwflow("verify", run.parent / "design.yaml", "--out", run, "--locate", "--json")
    assert result.exit_code == 0, result.output
    assert {record["mismatches"] for record in json.loads(result.stdout)["rungs"]} == {0}


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    result = hwflow("verify", tmp_path, "--locate")
    assert result.exit_code == EXIT_USER
    assert "it holds no manifest.json" in result.stderr


@pytest.mark.parametrize("needs_history", [False, True])
def test_a_late_frame_is_traced_alone_then_with_those_before_it(run: Path, needs_history: bool) -> None:
    """An implementation that is wrong in frame 3, always or only after other frames."""
    graph = load_graph(run / "graph")
    vectors = Vectors(run / "golden", graph)
    third = next(iter(first_frames(vectors.inputs(), 4, 3).values()))
    traced: list[int] = []

    def layers(inputs: Any) -> dict[str, Tensor]:
        codes: dict[str, Codes] = run_golden(graph, inputs, keep=[node.name for node in graph])
        frames = next(iter(inputs.values()))
        traced.append(len(frames))
        if np.array_equal(frames[-1:], third) or len(frames) > 4:
            if len(frames) > 1 or not needs_history:
                place = min(3, len(frames) - 1)
                for name in (LAYER, *graph.outputs):
                    codes[name][place, 2] += 1
        return {name: Tensor(values, graph.node(name).type) for name, values in codes.items()}

    broken = Implementation("rtl", lambda codes: {n: layers(codes)[n] for n in graph.outputs}, layers)
    record = locate(graph, vectors.inputs(), vectors.outputs(), broken)
    assert record.first_difference.startswith(f"layer {LAYER}, frame 3, element [2]: ")
    assert traced[1:] == ([1, 4] if needs_history else [1])
