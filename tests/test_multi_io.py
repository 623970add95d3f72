# SPDX-License-Identifier: Apache-2.0
"""A network with several inputs and outputs through the whole product: QKeras = golden = C++ = RTL, port by port."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise, product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from hwflow.errors import ConfigError, UserError
from hwflow.frontends.keras_checks import check_supported
from hwflow.ir.graph import QuantGraph
from hwflow.numerics.codes import from_codes
from hwflow.numerics.fixed import Cast
from hwflow.verify.golden import run_golden
from hwflow.verify.vectors import Vectors

pytestmark = [pytest.mark.tf, pytest.mark.sim, pytest.mark.slow]

INPUT = Cast.parse("fixed<6,1>")
FRAMES = 5
#: In the order of ``Model(inputs, outputs)``, which is not the order in which Keras lists the layers.
INPUTS = {"vector": (7,), "image": (6, 6, 3), "mask": (6, 6, 2)}
OUTPUTS = {"score": (4,), "features": (6, 6, 4)}

FACTORY = """
def make():
    from qkeras import QActivation, QConv2D, QDense, quantized_bits
    from tensorflow.keras import Input, Model, layers, utils

    utils.set_random_seed(2)
    def bits(width, integer=0):
        return quantized_bits(width, integer, alpha=1)

    vector, image, mask = (Input(shape, name=name) for name, shape in
                           {"vector": (7,), "image": (6, 6, 3), "mask": (6, 6, 2)}.items())
    x = QConv2D(4, 3, padding="same", kernel_quantizer=bits(4), bias_quantizer=bits(5), name="conv")(image)
    x = QActivation("quantized_bits(5,1,alpha=1)", name="act")(x)
    m = QConv2D(4, 1, kernel_quantizer=bits(4), bias_quantizer=bits(5), name="gate")(mask)
    m = QActivation("quantized_bits(5,1,alpha=1)", name="gated")(m)
    features = QActivation("quantized_bits(5,2,alpha=1)", name="features")(layers.Add(name="join")([x, m]))
    y = QConv2D(2, 3, strides=2, kernel_quantizer=bits(4), use_bias=False, name="down")(features)
    y = QActivation("quantized_bits(5,2,alpha=1)", name="downed")(y)
    y = QDense(4, kernel_quantizer=bits(4), bias_quantizer=bits(5), name="fc")(layers.Flatten(name="flat")(y))
    v = QDense(4, kernel_quantizer=bits(4), bias_quantizer=bits(5), name="vfc")(vector)
    return Model([vector, image, mask], [layers.Add(name="score")([y, v]), features])
"""


def network() -> Any:
    namespace: dict[str, Any] = {}
    exec(FACTORY, namespace)
    return namespace["make"]()


def stimuli(seed: int = 3, frames: int = FRAMES) -> list[NDArray[np.float64]]:
    rng, (low, high) = np.random.default_rng(seed), INPUT.type.range()
    return [
        from_codes(rng.integers(low, high, (frames, *shape), endpoint=True), INPUT.type)
        for shape in INPUTS.values()
    ]


def convert(model: Any, backend: Literal["Vitis", "Hwflow"], folder: Path, io_type: Any = "io_stream") -> Any:
    from hwflow.frontends.keras_hls4ml import convert

    return convert(
        model, backend=backend, hls_config={"LayerName": {"conv": {"ReuseFactor": 27}, "vfc": {"ReuseFactor": 7}}},
        input_type=INPUT, io_type=io_type, clock_period=5, part="xc7z045ffg900-2", project_name="net",
        output_dir=folder,
    )  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Any:
    return network()


@pytest.fixture(scope="module")
def exact(model: Any) -> dict[str, NDArray[np.float64]]:
    from hwflow.prepare import predict_exact

    return predict_exact(model, stimuli())


@pytest.fixture(scope="module")
def rtl(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    graph = convert(model, "Hwflow", tmp_path_factory.mktemp("multi") / "rtl")
    graph.compile()
    return graph


def lowered(rtl: Any) -> QuantGraph:
    from hwflow.ir.serialize import load_graph

    return load_graph(Path(rtl.config.get_output_dir()))


def codes_of(graph: QuantGraph) -> dict[str, Any]:
    vectors = zip(graph.inputs, stimuli(), strict=True)
    return {name: np.rint(values * 2.0**INPUT.type.frac).astype(np.int64) for name, values in vectors}


def test_ports_keep_the_order_of_the_model(rtl: Any) -> None:
    graph = lowered(rtl)
    assert graph.inputs == tuple(INPUTS)
    assert graph.outputs == tuple(OUTPUTS)


def test_golden_model_equals_qkeras(rtl: Any, exact: dict[str, NDArray[np.float64]]) -> None:
    graph = lowered(rtl)
    golden = run_golden(graph, codes_of(graph))
    assert list(exact) == list(OUTPUTS)
    for name, values in exact.items():
        assert np.array_equal(from_codes(golden[name], graph.node(name).type), values), name
        assert len(np.unique(values)) > 8


def test_predict_and_trace_take_and_give_lists(rtl: Any, exact: dict[str, NDArray[np.float64]]) -> None:
    x = [values.astype(np.float32) for values in stimuli()]
    outputs = rtl.predict(x)
    assert isinstance(outputs, list) and len(outputs) == 2
    traced, layers = rtl.trace(x)
    for got, again, (name, values) in zip(outputs, traced, exact.items(), strict=True):
        assert got.dtype == np.float32 and got.shape == (FRAMES, values[0].size)
        assert np.array_equal(got, values.reshape(FRAMES, -1))
        assert np.array_equal(got, again)
        assert np.array_equal(layers[name], values)
    single = rtl.predict([values[:1] for values in x])
    assert [part.shape for part in single] == [(4,), (144,)]
    assert all(np.array_equal(part, whole[0]) for part, whole in zip(single, outputs, strict=True))


@pytest.mark.parametrize("io_type", ["io_stream", "io_parallel"])
def test_cpp_equals_qkeras(
    model: Any, exact: dict[str, NDArray[np.float64]], io_type: Any, tmp_path: Path
) -> None:
    from hwflow.frontends.keras_hls4ml import write_project
    from hwflow.verify.csim import QUICK, Csim

    project = write_project(
        convert(model, "Vitis", tmp_path / "hls", io_type), stimuli(), list(exact.values())
    )
    csim = Csim(project, flags=QUICK)
    outputs = csim.outputs(stimuli())
    for codes, type_, (name, values) in zip(outputs, csim.output_types, exact.items(), strict=True):
        assert np.array_equal(from_codes(codes, type_), values), name
    layers = csim.trace(stimuli())
    assert np.array_equal(from_codes(layers["features"], csim.layer_types["features"]), exact["features"])
    interface = json.loads((project / "interface.json").read_text())
    assert [port["argument"] for port in interface["inputs"]] == list(INPUTS)
    # A line of the test bench's data holds all ports of a frame.
    for name, arrays in (("tb_input_features", stimuli()), ("tb_output_predictions", list(exact.values()))):
        lines = (project / f"tb_data/{name}.dat").read_text().splitlines()
        assert len(lines) == FRAMES
        frame = [value for array in arrays for value in array[1].ravel()]
        assert [float(word) for word in lines[1].split()] == frame
    with pytest.raises(UserError, match="2 arrays of frames, the network has 3 inputs"):
        csim.outputs(stimuli()[:2])
    with pytest.raises(UserError, match="equal for all inputs"):
        csim.outputs([stimuli()[0][:2], *stimuli()[1:]])


def test_ports_are_independent_under_stalls(rtl: Any) -> None:
    simulator, graph = rtl.hwflow_runtime._simulator, lowered(rtl)
    codes = codes_of(graph)
    golden = run_golden(graph, codes)
    free = simulator.run(codes)
    for idle, stall, seed in product((0, 700), (0, 900), (1, 2)):
        result = simulator.run(codes, idle=idle, stall=stall, seed=seed)
        for name in graph.outputs:
            assert np.array_equal(result.outputs[name], golden[name]), (name, idle, stall, seed)
        assert result.latency_cycles >= free.latency_cycles
    assert free.ii_cycles <= 1.02 * simulator.interface["ii_bound_cycles"]
    with pytest.raises(UserError, match="no codes given for input 'mask'"):
        simulator.run({name: codes[name] for name in ("vector", "image")})
    with pytest.raises(UserError, match="inputs vector, image, mask; give codes for each"):
        simulator.run(codes["image"])
    with pytest.raises(UserError, match="different numbers of frames"):
        simulator.run(codes | {"mask": codes["mask"][:2]})


def test_a_frame_ends_with_its_last_output(rtl: Any) -> None:
    """Latency and interval count the slower output, whichever port it is."""
    simulator, graph = rtl.hwflow_runtime._simulator, lowered(rtl)
    report: list[dict[str, Any]] = []
    simulate = simulator._simulate

    def kept(*arguments: Any) -> Any:
        outputs, found = simulate(*arguments)
        report.append(found)
        return outputs, found

    simulator._simulate = kept
    try:
        result = simulator.run(codes_of(graph))
    finally:
        del simulator._simulate
    ends = report[0]["last_out"]
    assert ends == sorted(ends) and len(ends) == FRAMES
    assert result.latency_cycles == ends[0] - report[0]["first_in"][0] + 1
    assert result.ii_cycles == max(b - a for a, b in pairwise(ends))


def test_emitted_bench_drives_every_port(rtl: Any, tmp_path: Path) -> None:
    from hwflow.verify.bench.emit import write_bench

    graph = lowered(rtl)
    codes = {name: values[:2] for name, values in codes_of(graph).items()}
    bench = tmp_path / "tb"
    write_bench(Path(rtl.config.get_output_dir()) / "rtl", bench, codes, run_golden(graph, codes))
    assert {path.stem for path in (bench / "vectors").iterdir()} == {
        *("s_axis_0", "s_axis_1", "s_axis_2", "m_axis_0", "m_axis_1"),
    }
    env = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "PYTEST_CURRENT_TEST")}
    command = ["make", "-C", str(bench), f"PYTHON={sys.executable}", "PATTERNS=none random"]
    done = subprocess.run(command, text=True, capture_output=True, check=False, env=env)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_a_design_runs_from_model_to_report(tmp_path: Path) -> None:
    from hwflow.config.load import load_config
    from hwflow.flow.runner import Flow
    from hwflow.flow.steps import STEPS
    from hwflow.ir.serialize import load_graph
    from hwflow.report.render import render_report

    (tmp_path / "two_ports.py").write_text(FACTORY)
    design = tmp_path / "design.yaml"
    text = (
        "Hwflow: {{Model: {{Source: 'two_ports:make'}}, Data: {{Kind: {kind}, InputType: '{type}'}}, "
        "Verify: {{Frames: 3}}}}"
    )
    design.write_text(text.format(kind="random", type=INPUT))
    run = tmp_path / "run"
    result = Flow(STEPS, finish=render_report).run(
        load_config(design), config_path=design, out=run, trust=True
    )
    figures = {metric.name: metric.value for metric in result.metrics}
    assert [figures[f"verify.{rung}.mismatches"] for rung in ("qkeras", "csim", "rtl")] == [0, 0, 0]
    vectors = Vectors(run / "golden", load_graph(run / "graph"))
    assert sorted(path.name for path in (run / "golden").glob("*put*.npy")) == [
        *("input_0.npy", "input_1.npy", "input_2.npy", "output_0.npy", "output_1.npy"),
    ]
    assert [values.shape for values in vectors.inputs().values()] == [
        (3, *shape) for shape in INPUTS.values()
    ]
    assert not np.array_equal(vectors.inputs()["image"].ravel()[:6], vectors.inputs()["vector"].ravel()[:6])
    page = (run / "report.html").read_text()
    assert all(f"{port}_{{tdata" in page for port in ("s_axis_0", "s_axis_2", "m_axis_1"))
    rungs = json.loads((run / "verify.json").read_text())
    assert {row["tensors"] for row in rungs if row["scope"] == "output"} == {2}

    design.write_text(text.format(kind="orl", type=INPUT))
    with pytest.raises(ConfigError, match="the model has 3 inputs and 2 outputs"):
        Flow(STEPS).run(load_config(design), config_path=design, out=tmp_path / "faces", trust=True)


def test_ports_that_cannot_be_are_found_by_check() -> None:
    from tensorflow.keras import Input, Model, layers

    a, b = Input((4,), name="a"), Input((4,), name="b")
    y = layers.ReLU(name="relu")(a)
    assert any("its input 'b' feeds no layer" in text for text in check_supported(Model([a, b], y)))
    assert any("'relu' makes 2 of its outputs" in text for text in check_supported(Model(a, [y, y])))
    assert any("its input 'a' is an output, too" in text for text in check_supported(Model(a, [y, a])))
    assert check_supported(Model([a, b], [y, layers.ReLU(name="other")(b)])) == []
