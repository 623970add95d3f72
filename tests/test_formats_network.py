# SPDX-License-Identifier: Apache-2.0
"""Every number format on a small trained network: quantizer = golden = hls4ml's C++ = RTL, in every bit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hwflow.emit.design import build_design
from hwflow.emit.rtl import write_rtl
from hwflow.errors import ConfigError, UnsupportedLayerError
from hwflow.formats import parse
from hwflow.ir.graph import QuantGraph
from hwflow.numerics.codes import from_codes
from hwflow.numerics.fixed import Cast, Codes
from hwflow.ops.weightcode import WeightCode
from hwflow.tools.verilator import QUICK
from hwflow.verify.csim import Csim
from hwflow.verify.golden import run_golden
from hwflow.verify.rtlsim import RtlSimulator
from tests.test_activations import converted

if TYPE_CHECKING:
    import tensorflow as tf

pytestmark = [pytest.mark.tf, pytest.mark.slow]

INPUT = Cast.parse("fixed<8,1>")
#: Layers, their format, how the unit is to store it, and the reuse factor.
LAYERS: dict[str, tuple[str, WeightCode, int]] = {
    "codebook": ("codebook<8,fixed<7>>", WeightCode.CODEBOOK, 18),
    "pow2": ("pow2<-6,0>", WeightCode.POW2, 9),
    "minifloat43": ("minifloat<4,3>", WeightCode.MINIFLOAT, 3),
    "binary": ("binary", WeightCode.XNOR, 6),
    "padded": ("binary", WeightCode.BINARY, 9),
    "ternary": ("ternary<0.33>", WeightCode.TERNARY, 24),
    "hybrid": ("hybrid<16,minifloat<4,3>>", WeightCode.CODEBOOK, 8),
    "minifloat52": ("minifloat<5,2>", WeightCode.MINIFLOAT, 16),
    "scaled": ("auto_po2<fixed<4>>", WeightCode.FIXED, 8),
    "real": ("auto<fixed<6>>", WeightCode.FIXED, 8),
    "dynamic": ("fixed<6>", WeightCode.FIXED, 8),
}
CONFIG = {"LayerName": {name: {"ReuseFactor": reuse} for name, (_, _, reuse) in LAYERS.items()}}


def network() -> tf.keras.Model:
    """All formats as layers of one network; trained for a moment, and their parameters chosen anew."""
    import tensorflow as tf
    from qkeras import QActivation, QConv2D, QDense, QDepthwiseConv2D, binary

    from hwflow.formats.keras import FormatQuantizer, refit

    tf.keras.utils.set_random_seed(7)
    rng = np.random.default_rng(7)
    bias = FormatQuantizer("fixed<8,1>")

    def quantizer(name: str, shape: tuple[int, ...]) -> Any:
        spec = LAYERS[name][0]
        return FormatQuantizer(parse(spec).fit(rng.normal(0, 0.3, shape)), spec)

    def conv(x: Any, name: str, kernel: int, padding: str = "valid") -> Any:
        made = quantizer(name, (kernel, kernel, x.shape[-1], 6))
        return QConv2D(6, kernel, padding=padding, kernel_quantizer=made, bias_quantizer=bias, name=name)(x)

    def dense(x: Any, name: str, units: int = 8) -> Any:
        made = quantizer(name, (x.shape[-1], units))
        return QDense(units, kernel_quantizer=made, bias_quantizer=bias, name=name)(x)

    def rounded(x: Any, name: str, spec: str) -> Any:
        return QActivation(FormatQuantizer(spec), name=name)(x)

    x = inputs = tf.keras.Input((8, 8, 2), name="image")
    x = rounded(conv(x, "codebook", 3), "a_mini43", "minifloat<4,3>")
    made = quantizer("pow2", (3, 3, 6, 1))
    x = QDepthwiseConv2D(3, padding="same", depthwise_quantizer=made, bias_quantizer=bias, name="pow2")(x)
    x = rounded(x, "a_fixed", "fixed<8,3>")
    x = QActivation(binary(alpha=1), name="a_binary")(conv(x, "minifloat43", 1))
    x = QActivation(binary(alpha=0.5), name="a_half")(conv(x, "binary", 3))
    x = rounded(conv(x, "padded", 3, "same"), "a_mini31", "minifloat<3,1>")
    x = tf.keras.layers.Flatten(name="flat")(tf.keras.layers.MaxPooling2D(2, name="pool")(x))
    x = rounded(dense(x, "ternary", 4 * 4), "a_mini52", "minifloat<5,2>")
    x = rounded(dense(x, "hybrid"), "a_mini30", "minifloat<3,0>")
    x = rounded(dense(x, "minifloat52"), "a_unsigned", "ufixed<6,3>")
    x = rounded(dense(x, "scaled"), "a_scaled", "fixed<8,4>")
    x = rounded(dense(x, "real"), "a_real", "fixed<8,5>")
    model = tf.keras.Model(inputs, dense(x, "dynamic", 4))
    frames = rng.uniform(-1, 1, (256, 8, 8, 2)).astype(np.float32)
    targets = np.stack([frames[:, :4].mean((1, 2, 3)), frames[:, 4:].mean((1, 2, 3))] * 2, axis=1)
    refit(model)
    model.compile(tf.keras.optimizers.Adam(0.01), "mse")
    model.fit(frames, targets, batch_size=32, epochs=2, verbose=0)
    refit(model)
    return model


@dataclass
class Built:
    """The network, its codes in the golden model, and its C++."""

    model: tf.keras.Model
    graph: QuantGraph
    frames: Codes
    golden: dict[str, Codes]
    csim: Csim


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    from hwflow.frontends.keras_hls4ml import write_project
    from hwflow.frontends.lower import lower

    folder, model = tmp_path_factory.mktemp("formats"), network()
    rtl = converted(model, "Hwflow", "io_stream", folder / "rtl", CONFIG, INPUT)
    hls = converted(model, "Vitis", "io_stream", folder / "hls", CONFIG, INPUT)
    graph, csim = lower(rtl, "net"), Csim(write_project(hls))
    low, high = INPUT.type.range()
    frames = np.random.default_rng(3).integers(low, high, (24, 8, 8, 2), endpoint=True)
    frames[:2] = np.array([low, high])[:, None, None, None]
    return Built(
        model, graph, frames, run_golden(graph, {"image": frames}, keep=[n.name for n in graph]), csim
    )


def test_golden_equals_keras(built: Built) -> None:
    from hwflow.prepare.exact import predict_exact

    names = [node.name for node in built.graph if node.op != "input" and node.name != "flat"]
    values = predict_exact(built.model, from_codes(built.frames, INPUT.type), names)
    for name in names:
        got = from_codes(built.golden[name], built.graph.node(name).type)
        assert np.array_equal(got.reshape(values[name].shape), values[name]), name
        assert np.unique(got).size > 1, f"{name} is not exercised"


def test_csim_equals_golden(built: Built) -> None:
    traced = built.csim.trace(from_codes(built.frames, INPUT.type))
    for node in built.graph:
        if node.name in traced:
            expected = built.golden[node.name]
            assert built.csim.layer_types[node.name] == node.type, node.name
            assert np.array_equal(traced[node.name].reshape(expected.shape), expected), node.name
    assert {*LAYERS, "a_mini43", "a_mini31", "a_mini52", "a_mini30"} <= set(traced)


def test_weights_are_stored_in_their_format(built: Built) -> None:
    design = build_design(built.graph)
    for block in design.blocks:
        if block.node in LAYERS and "WeightCode" in block.parameters:
            assert block.parameters["WeightCode"] == LAYERS[block.node][1], block.node
            stored = parse(LAYERS[block.node][0]).code_bits
            if LAYERS[block.node][1] in (WeightCode.CODEBOOK, WeightCode.MINIFLOAT):
                assert block.parameters["CodeW"] == stored
            elif LAYERS[block.node][1] is not WeightCode.FIXED:
                assert int(block.parameters["WW"]) <= stored


@pytest.mark.sim
def test_rtl_equals_golden(built: Built, tmp_path: Path) -> None:
    write_rtl(build_design(built.graph), tmp_path / "rtl")
    simulator = RtlSimulator(tmp_path / "rtl", tmp_path / "log")
    simulator.build(flags=QUICK)
    traced = simulator.trace({"image": built.frames})
    for node in built.graph:
        expected = built.golden[node.name]
        assert np.array_equal(traced[node.name].reshape(expected.shape), expected), node.name


# -- what is refused -----------------------------------------------------------------------------------------


def single(layer: Any, shape: tuple[int, ...] = (6,)) -> tf.keras.Model:
    import tensorflow as tf

    inputs = tf.keras.Input(shape, name="image")
    return tf.keras.Model(inputs, layer(inputs))


@pytest.mark.parametrize("spec", ["codebook<4>", "pow2<-3,0>", "binary", "ternary", "auto<fixed<4>>"])
def test_formats_of_weights_are_refused_for_activations(spec: str, tmp_path: Path) -> None:
    from qkeras import QActivation, QDense

    from hwflow.formats.keras import FormatQuantizer

    made = FormatQuantizer(parse(spec).fit(np.linspace(-1, 1, 6)))
    models = {"act": QActivation(made, name="act")}
    if not spec.startswith("auto"):
        quantizers = {
            "kernel_quantizer": FormatQuantizer("binary"),
            "bias_quantizer": FormatQuantizer("fixed<8,1>"),
        }
        models["dense"] = QDense(2, activation=made, name="dense", **quantizers)
    for name, layer in models.items():
        with pytest.raises(UnsupportedLayerError) as caught:
            converted(single(layer), "Hwflow", "io_stream", tmp_path, {}, INPUT)
        assert name in str(caught.value) and str(made.format) in str(caught.value)


def test_a_result_type_contradicts_mini_floats(tmp_path: Path) -> None:
    from qkeras import QActivation

    from hwflow.formats.keras import FormatQuantizer

    model = single(QActivation(FormatQuantizer("minifloat<4,3>"), name="act"))
    config = {"LayerName": {"act": {"Precision": {"result": "fixed<8,3>"}}}}
    with pytest.raises(
        ConfigError, match=r"act: Precision.result fixed<8,3,TRN,WRAP> contradicts its format"
    ):
        converted(model, "Hwflow", "io_stream", tmp_path, config, INPUT)


def test_mini_floats_of_too_wide_a_range_are_refused(tmp_path: Path) -> None:
    from qkeras import QDense

    from hwflow.formats.keras import FormatQuantizer

    quantizers = {
        "kernel_quantizer": FormatQuantizer("minifloat<5,10>"),
        "bias_quantizer": FormatQuantizer("fixed<8,1>"),
    }
    model = single(QDense(1, name="dense", **quantizers), (2,))
    model.get_layer("dense").set_weights([np.array([[2.0**-15 * 1.25], [2.0**16]]), np.zeros(1)])
    with pytest.raises(
        ConfigError, match=r"dense: its weight values in minifloat<5,10> need 42 bits"
    ) as caught:
        converted(model, "Hwflow", "io_stream", tmp_path, {}, INPUT)
    assert "fewer exponent bits" in str(caught.value)
