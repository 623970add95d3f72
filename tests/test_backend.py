# SPDX-License-Identifier: Apache-2.0
"""The hls4ml backend: what is written for hls4ml runs on RTL and gives what its C++ gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwflow.errors import UnsupportedLayerError, UserError
from hwflow.numerics.codes import to_codes
from hwflow.numerics.fixed import Cast, FixedType

pytestmark = [pytest.mark.tf, pytest.mark.sim]

FRAMES = 6


def _inputs(shape: tuple[int, ...], count: int = FRAMES) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Frames that are not on the input grid: the border casts them, as the C++ does."""
    return np.random.default_rng(5).uniform(-1.2, 1.2, (count, *shape)).astype(np.float32)


def _network() -> Any:
    """Convolutions, a depthwise one, per-channel PReLU, a residual, a dense layer; seeded weights."""
    import tensorflow as tf
    from qkeras import QActivation, QConv2D, QDense, QDepthwiseConv2D, quantized_bits
    from tensorflow.keras import Input, Model, layers

    def bits(width: int, integer: int = 0) -> Any:
        return quantized_bits(width, integer, alpha=1)

    def act(name: str) -> Any:
        return QActivation("quantized_bits(6,1,alpha=1)", name=name)

    tf.keras.utils.set_random_seed(3)
    x = inputs = Input((8, 8, 3), name="pixels")
    x = act("q1")(
        QConv2D(6, 3, padding="same", kernel_quantizer=bits(4), bias_quantizer=bits(6), name="c1")(x)
    )
    y = QDepthwiseConv2D(3, padding="same", depthwise_quantizer=bits(5), bias_quantizer=bits(6), name="d1")(x)
    y = layers.PReLU(shared_axes=[1, 2], name="p1")(y)
    x = act("q2")(layers.Add(name="add")([y, x]))
    x = act("q3")(QConv2D(4, 3, strides=2, kernel_quantizer=bits(4), use_bias=False, name="c2")(x))
    x = layers.Flatten(name="flat")(x)
    x = QDense(5, kernel_quantizer=bits(5), bias_quantizer=bits(6), name="fc")(x)
    model = Model(inputs, x)
    slopes = np.random.default_rng(1).integers(-24, 24, (1, 1, 6)) / 16
    model.get_layer("p1").set_weights([slopes.astype(np.float32)])
    return model


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The small CNN as a user of hls4ml converts it, and the same through hls4ml's own C++."""
    import hls4ml

    from hwflow.frontends.keras_hls4ml import convert

    model = _network()
    folder = tmp_path_factory.mktemp("backend")
    config = hls4ml.utils.config_from_keras_model(model, granularity="name", backend="Hwflow")
    config["LayerName"]["pixels"]["Precision"]["result"] = "fixed<8,1>"
    config["LayerName"]["c1"] |= {"ReuseFactor": 54, "ParallelizationFactor": 2}
    config["LayerName"]["d1"]["ReuseFactor"] = 6
    config["LayerName"]["c2"]["ReuseFactor"] = 9
    rtl = hls4ml.converters.convert_from_keras_model(
        model, hls_config=config, backend="Hwflow", io_type="io_stream", output_dir=str(folder / "rtl")
    )
    cpp = convert(
        model,
        backend="Vitis",
        hls_config={},
        input_type=Cast(FixedType(True, 8, 7)),
        io_type="io_stream",
        clock_period=5,
        part="xc7z045ffg900-2",
        project_name="net",
        output_dir=folder / "cpp",
    )
    rtl.compile()
    cpp.compile()
    return rtl, cpp


def test_predict_equals_the_cpp_in_value_and_shape(converted: tuple[Any, Any]) -> None:
    rtl, cpp = converted
    x = _inputs(tuple(rtl.get_input_variables()[0].shape))
    expected, got = cpp.predict(x), rtl.predict(x)
    assert got.shape == expected.shape and got.dtype == expected.dtype
    assert np.array_equal(got, expected)
    assert np.ptp(got) > 0


def test_a_parallelization_factor_is_as_many_times_the_multipliers(converted: tuple[Any, Any]) -> None:
    from hwflow.emit.design import build_design
    from hwflow.ir.serialize import load_graph

    graph = load_graph(Path(converted[0].config.get_output_dir()))
    folding = build_design(graph).plan.folding["c1"]
    assert graph.node("c1").reuse_factor == 54
    assert (folding.cycles, folding.multipliers) == (27, 2 * 3 * 3 * 3 * 6 // 54)


def test_predict_of_one_frame_has_hls4mls_shape(converted: tuple[Any, Any]) -> None:
    rtl, cpp = converted
    x = _inputs(tuple(rtl.get_input_variables()[0].shape), 1)
    assert np.array_equal(rtl.predict(x), cpp.predict(x))
    assert rtl.predict(x).shape == cpp.predict(x).shape


def test_trace_gives_every_layer(converted: tuple[Any, Any]) -> None:
    rtl, _ = converted
    x = _inputs(tuple(rtl.get_input_variables()[0].shape), 2)
    output, layers = rtl.trace(x)
    assert np.array_equal(output, rtl.predict(x))
    golden = _golden(rtl, x)
    assert set(layers) == set(golden)
    for name, values in layers.items():
        assert np.array_equal(values, golden[name]), name


def _golden(rtl: Any, x: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    from hwflow.ir.serialize import load_graph
    from hwflow.numerics.codes import cast_values, from_codes
    from hwflow.verify.golden import run_golden

    graph = load_graph(Path(rtl.config.get_output_dir()))
    codes = cast_values(x, Cast(graph.node(graph.inputs[0]).type))
    results = run_golden(graph, {graph.inputs[0]: codes}, keep=[node.name for node in graph if node.inputs])
    return {name: from_codes(values, graph.node(name).type) for name, values in results.items()}


def test_outputs_lie_on_the_grid(converted: tuple[Any, Any]) -> None:
    rtl, _ = converted
    (variable,) = rtl.get_output_variables()
    grid = Cast.parse(str(variable.type.precision)).type
    to_codes(rtl.predict(_inputs(tuple(rtl.get_input_variables()[0].shape))), grid)


@pytest.mark.synth
def test_build_counts_cells(converted: tuple[Any, Any]) -> None:
    rtl, _ = converted
    report = rtl.build()
    assert sum(report["cells"].values()) > 100
    assert Path(report["netlist"]).is_file()


def test_predict_before_compile_says_so(tmp_path: Path) -> None:
    import hls4ml

    model = _network()
    config = hls4ml.utils.config_from_keras_model(model, granularity="name", backend="Hwflow")
    rtl = hls4ml.converters.convert_from_keras_model(
        model, hls_config=config, backend="Hwflow", output_dir=str(tmp_path / "x")
    )
    with pytest.raises(UserError, match="not compiled"):
        rtl.predict(np.zeros((1, 8, 8, 3), np.float32))


def test_unsupported_layers_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    import hls4ml
    from tensorflow.keras import Input, Model, layers

    inputs = Input((8, 3), name="x")
    model = Model(inputs, layers.LSTM(3, name="recurrent")(inputs))
    config = hls4ml.utils.config_from_keras_model(model, granularity="name", backend="Hwflow")
    with pytest.raises(UnsupportedLayerError, match="recurrent"):
        hls4ml.converters.convert_from_keras_model(
            model, hls_config=config, backend="Hwflow", output_dir=str(tmp_path / "x")
        )
    assert not (tmp_path / "x").exists()
