# SPDX-License-Identifier: Apache-2.0
"""Every activation: hls4ml's C++ = golden = RTL for all codes of a 9-bit input, and QKeras where it is exact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from hwflow.emit.design import build_design
from hwflow.emit.rtl import write_rtl
from hwflow.errors import ConfigError, UserError
from hwflow.ir.graph import QuantGraph
from hwflow.numerics.codes import from_codes
from hwflow.numerics.fixed import Cast, Codes
from hwflow.ops.piecewise.functions import quantizer_pieces
from hwflow.tools.verilator import QUICK
from hwflow.verify.csim import QUICK as QUICK_CPP
from hwflow.verify.csim import Csim
from hwflow.verify.golden import run_golden
from hwflow.verify.rtlsim import RtlSimulator

if TYPE_CHECKING:
    import tensorflow as tf
    from hls4ml.model.graph import ModelGraph

pytestmark = [pytest.mark.tf, pytest.mark.slow]

INPUT = Cast.parse("fixed<9,4>")
SHAPE = (4, 4, 4)
TABLES = ("sigmoid", "tanh", "softplus", "softsign", "elu", "selu")
#: How far a function is from Keras' own, whose constants have a narrower type here.
_COARSE = {"f_hard_sigmoid": 2.0**-12 * 1.01, "leaky_rounded": 8 * (0.3 - 0.28125) + 1e-6}
#: hls4ml copies a stream seven times at most.
FAN = 7
CONFIG = {
    "Model": {"Precision": "fixed<20,8>"},
    "LayerName": {
        # Tables fine enough to show the last bit of single precision, and of odd sizes.
        **{
            f"{name}_fine": {
                "TableSize": size,
                "Precision": {"table": "fixed<36,8,RND>", "result": "fixed<38,9>"},
            }
            for name, size in zip(TABLES, (1000, 512, 2048, 100, 300, 256), strict=True)
        },
        "elu_slope": {"Precision": {"param": "ufixed<6,1>", "result": "auto"}},
        "softmax_latency": {"Implementation": "latency"},
        "softmax_argmax": {"Implementation": "argmax"},
        "softmax_types": {
            "TableSize": 256,
            "Precision": {
                "exp_table": "fixed<12,3>",
                "inv_table": "fixed<14,6,RND,SAT>",
                "inv_inp": "ufixed<15,5,RND_CONV,SAT>",
                "accum": "fixed<15,7>",
                "result": "ufixed<9,1,RND>",
            },
        },
        "leaky_rounded": {"Precision": {"param": "fixed<6,1>"}},
    },
}


def network() -> tf.keras.Model:
    """All activations on the same values, as layers and built into layers."""
    from qkeras import (
        QActivation,
        QConv2D,
        QDense,
        binary,
        quantized_bits,
        quantized_relu,
        quantized_sigmoid,
        quantized_tanh,
        ternary,
    )
    from tensorflow.keras import Input, Model, layers

    def bits(width: int, integer: int) -> quantized_bits:
        return quantized_bits(width, integer, alpha=1)

    def weights(**more: Any) -> dict[str, Any]:
        return {"kernel_quantizer": bits(5, 0), "bias_quantizer": bits(6, 0), **more}

    functions = (*TABLES, "hard_sigmoid", "relu6", "leaky_relu", "relu", "linear", "softmax")
    flat = layers.Flatten(name="flat")
    made = [
        *(layers.Activation(name, name=f"f_{name}") for name in functions),
        *(layers.Activation(name, name=f"{name}_fine") for name in TABLES),
        layers.ReLU(3.5, 0.125, 0.25, name="relu_all"),
        layers.LeakyReLU(0.3, name="leaky"),
        layers.LeakyReLU(0.3, name="leaky_rounded"),
        layers.ThresholdedReLU(0.7, name="thresholded"),
        layers.ELU(0.7, name="elu_slope"),
        layers.PReLU(name="prelu_element"),
        layers.PReLU(shared_axes=[1], name="prelu_row"),
        layers.PReLU(shared_axes=[1, 2], name="prelu_channel"),
        *(layers.Softmax(name=f"softmax_{kind}") for kind in ("latency", "argmax", "types")),
        QActivation(quantized_relu(6, 2, negative_slope=0.25), name="q_leaky"),
        QActivation(quantized_tanh(6), name="q_tanh"),
        QActivation(quantized_tanh(6, symmetric=True), name="q_tanh_symmetric"),
        QActivation(quantized_tanh(6, use_real_tanh=True), name="real_tanh"),
        QActivation(quantized_sigmoid(5), name="q_sigmoid"),
        QActivation(quantized_sigmoid(5, use_real_sigmoid=True), name="real_sigmoid"),
        QActivation(binary(alpha=1), name="q_binary"),
        QActivation(binary(use_01=True, alpha=0.5), name="q_binary_01"),
        QActivation(ternary(alpha=1), name="q_ternary"),
        QActivation(ternary(threshold=1.3, alpha=2), name="q_ternary_threshold"),
        QActivation("binary_tanh", name="q_binary_tanh"),
        QConv2D(3, 1, name="conv", activation="softplus", **weights()),
        flat,
    ]
    image = Input(SHAPE, name="image")
    fans = [QActivation(bits(9, 3), name=f"fan{i}")(image) for i in range(-(-len(made) // FAN))]
    made.sort(key=lambda layer: layer is flat)
    outputs = [layer(fans[i // FAN]) for i, layer in enumerate(made)]
    vector = outputs.pop()
    outputs += [
        QDense(5, name="dense_tanh", activation=quantized_tanh(5), **weights())(vector),
        QDense(4, name="dense_ternary", activation=ternary(alpha=1), **weights())(vector),
        QDense(6, name="dense_softmax", activation="softmax", **weights())(vector),
        QDense(6, name="dense_elu", activation="elu", **weights())(vector),
    ]
    model = Model(image, outputs)
    rng = np.random.default_rng(3)
    model.set_weights(
        [
            np.rint(rng.normal(0, 40, w.shape)) / 32 if "alpha" in w.name else rng.normal(0, 0.3, w.shape)
            for w in model.weights
        ]
    )
    return model


def converted(
    model: tf.keras.Model,
    backend: Literal["Vitis", "Hwflow"],
    io_type: Literal["io_stream", "io_parallel"],
    folder: Path,
    config: Any = CONFIG,
    input_type: Cast = INPUT,
) -> ModelGraph:
    from hwflow.frontends.keras_hls4ml import convert

    return convert(
        model, backend=backend, hls_config=config, input_type=input_type, io_type=io_type, clock_period=5,
        part="xc7z045ffg900-2", project_name="net", output_dir=folder,
    )  # fmt: skip


@dataclass
class Built:
    """The network, its codes in the golden model, and its C++."""

    model: tf.keras.Model
    graph: QuantGraph
    frames: Codes
    golden: dict[str, Codes]
    csim: Csim
    io_type: str


@pytest.fixture(scope="module", params=["io_stream", "io_parallel"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    from hwflow.frontends.keras_hls4ml import write_project
    from hwflow.frontends.lower import lower

    folder, model = tmp_path_factory.mktemp("activations"), network()
    graph = lower(converted(model, "Hwflow", request.param, folder / "rtl"), "net")
    csim = Csim(write_project(converted(model, "Vitis", request.param, folder / "hls")), flags=QUICK_CPP)
    low, high = INPUT.type.range()
    every = np.arange(low, high + 1)
    rng = np.random.default_rng(1)
    small = np.clip(rng.integers(low, high, 4 * every.size, endpoint=True) // 4, low, high)
    frames = np.concatenate([every, rng.permutation(every), small]).reshape(-1, *SHAPE)
    golden = run_golden(graph, {"image": frames}, keep=[node.name for node in graph])
    return Built(model, graph, frames, golden, csim, request.param)


def test_csim_equals_golden_for_every_code(built: Built) -> None:
    traced = built.csim.trace(from_codes(built.frames, INPUT.type))
    compared = set()
    for node in built.graph:
        if node.name not in traced:
            continue
        expected = built.golden[node.name]
        assert built.csim.layer_types[node.name] == node.type, node.name
        assert np.array_equal(traced[node.name].reshape(expected.shape), expected), node.name
        assert len(np.unique(expected)) > 1, f"{node.name} is not exercised"
        compared.add(node.name)
    assert {node.name for node in built.graph} - compared <= {"image", "flat"}


def test_golden_equals_keras(built: Built) -> None:
    """In every bit where the function is one of straight pieces, within the steps of the table elsewhere."""
    values = built.model.predict(from_codes(built.frames, INPUT.type), verbose=0)
    for name, output, expected in zip(built.model.output_names, built.graph.outputs, values, strict=True):
        node = built.graph.node(output)
        got = from_codes(built.golden[node.name], node.type)
        if name in _COARSE or name.startswith("real_"):
            assert np.abs(got - expected).max() <= _COARSE.get(name, 2.0**-5), name
        elif node.op in ("piecewise", "activation", "prelu"):
            assert np.allclose(got, expected, rtol=1e-6, atol=0), name  # float32 rounds long products
        elif node.op == "lookup" and name.startswith("f_"):
            # In streams hls4ml rounds the slope of selu to the grid of the input.
            assert np.abs(got - expected).max() <= (2.0**-3 if name == "f_selu" else 2.0**-6), name
        elif name == "softmax_argmax":
            assert (got.argmax(-1) == expected.argmax(-1)).all()


@pytest.mark.sim
def test_rtl_equals_golden_for_every_code(built: Built, tmp_path: Path) -> None:
    write_rtl(build_design(built.graph), tmp_path / "rtl")
    simulator = RtlSimulator(tmp_path / "rtl", tmp_path / "log")
    simulator.build(flags=QUICK)
    traced = simulator.trace({"image": built.frames})
    for node in built.graph:
        expected = built.golden[node.name]
        assert np.array_equal(traced[node.name].reshape(expected.shape), expected), node.name


# -- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "config", "input_type", "message"),
    [
        ("sigmoid", {"TableSize": 1}, "fixed<9,4>", "TableSize 1 is no table"),
        ("sigmoid", {"TableSize": 1000}, "fixed<9,12>", "no multiple of 16"),
        ("tanh", {}, "fixed<31,29>", "overflows hls4ml's 32-bit table index"),
        ("selu", {}, "fixed<9,1>", "cannot hold it"),
        ("softmax", {"TableSize": 1000}, "fixed<9,4>", "no power of two"),
        ("softmax", {"Precision": {"inv_inp": "fixed<6,3>"}}, "fixed<12,4>", "too few bits to address"),
        (
            "softmax",
            {"Precision": {"accum": "fixed<9,3,TRN,SAT_ZERO>"}},
            "fixed<9,4>",
            "overflow within the sum",
        ),
    ],
)
def test_settings_the_cpp_cannot_take(
    layer: str, config: dict[str, Any], input_type: str, message: str, tmp_path: Path
) -> None:
    from tensorflow.keras import Input, Model, layers

    inputs = Input((4,), name="image")
    model = Model(inputs, layers.Activation(layer, name="act")(inputs))
    with pytest.raises(ConfigError) as caught:
        converted(
            model, "Hwflow", "io_stream", tmp_path, {"LayerName": {"act": config}}, Cast.parse(input_type)
        )
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("quantizer", "options", "message"),
    [
        ("binary", {"alpha": "auto"}, "depends on the data"),
        ("ternary", {"threshold": -1.0}, "is not positive"),
        ("quantized_relu", {"bits": 4, "integer": 2, "negative_slope": 0.03125}, "is not on its grid"),
    ],
)
def test_quantizers_that_are_no_pieces(quantizer: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        quantizer_pieces(quantizer, options)


def test_functions_without_hardware_are_named() -> None:
    from qkeras import QActivation, stochastic_binary, stochastic_ternary
    from tensorflow.keras import Input, Model, layers

    from hwflow.frontends.keras_checks import check_supported

    x = inputs = Input((4, 4), name="image")
    x = layers.Activation("gelu", name="smooth")(x)
    x = QActivation(stochastic_ternary(alpha=1), name="random")(x)
    x = QActivation(stochastic_binary(alpha=1), name="coin")(x)
    x = QActivation("hard_tanh", name="bare")(x)
    model = Model(inputs, layers.Softmax(axis=1, name="across")(x))
    named = {finding.split()[0] for finding in check_supported(model)}
    assert named == {"smooth", "random", "coin", "bare", "across"}
