# SPDX-License-Identifier: Apache-2.0
"""Layers of QKeras and Keras through hls4ml: Keras = golden = C++ = RTL, in both of hls4ml's I/O types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from hwflow.errors import ConfigError, UnsupportedLayerError
from hwflow.ir.graph import QuantGraph
from hwflow.numerics.codes import cast_values, from_codes
from hwflow.numerics.fixed import Cast, Codes

if TYPE_CHECKING:
    import tensorflow as tf

pytestmark = [pytest.mark.tf, pytest.mark.slow]

INPUT = Cast.parse("fixed<8,1>")
FRAMES = 6


def bits(width: int, integer: int = 0) -> Any:
    """A quantizer without a scale."""
    from qkeras import quantized_bits

    return quantized_bits(width, integer, alpha=1)


def kernels(width: int = 5, kernel: str = "kernel") -> dict[str, Any]:
    """Quantizers of a layer with weights."""
    return {f"{kernel}_quantizer": bits(width), "bias_quantizer": bits(6, 1)}


def act(x: Any, name: str, width: int = 6, integer: int = 1) -> Any:
    """A quantized activation."""
    from qkeras import QActivation

    return QActivation(bits(width, integer), name=name)(x)


def rows() -> tf.keras.Model:
    """One-dimensional layers: every padding, strides, pointwise, dense on a sequence, separable."""
    from qkeras import QConv1D, QDense, QSeparableConv1D
    from tensorflow.keras import Input, Model
    from tensorflow.keras.layers import Flatten

    x = inputs = Input((12, 3), name="x")
    x = act(QConv1D(4, 3, padding="causal", name="causal", **kernels())(x), "a1")
    x = act(QConv1D(4, 3, padding="causal", strides=2, name="causal_s2", **kernels())(x), "a2")
    x = act(QConv1D(6, 3, padding="same", name="same", **kernels())(x), "a3")
    x = act(QConv1D(5, 1, strides=2, name="point_s2", **kernels())(x), "a4")
    x = act(QDense(4, name="dense_rows", **kernels())(x), "a5")
    separable = {"depthwise_quantizer": bits(5), "pointwise_quantizer": bits(4), "bias_quantizer": bits(6, 1)}
    x = act(QSeparableConv1D(6, 2, depth_multiplier=2, name="separable", **separable)(x), "a6")
    return Model(inputs, QDense(3, name="out", **kernels())(Flatten(name="flat")(x)))


def frames() -> tf.keras.Model:
    """Two-dimensional layers: depth multiplier, folded and standalone normalization, dense on an image, merges."""
    import qkeras as q
    from tensorflow.keras import Input, Model
    from tensorflow.keras import layers as k

    x = inputs = Input((7, 8, 3), name="x")
    depth = kernels(kernel="depthwise")
    x = act(q.QDepthwiseConv2D(3, depth_multiplier=2, padding="same", name="times2", **depth)(x), "a1")
    folded = {"kernel_quantizer": bits(5, 1), "bias_quantizer": bits(6, 1)}
    x = act(q.QConv2DBatchnorm(4, 3, strides=2, padding="same", name="folded", **folded)(x), "a2")
    folded = {"depthwise_quantizer": bits(5, 1), "bias_quantizer": bits(6, 1)}
    x = act(q.QDepthwiseConv2DBatchnorm(2, name="folded_depthwise", **folded)(x), "a3")
    x = act(q.QDense(4, name="dense_frame", **kernels())(x), "a4", 7, 2)
    y = act(q.QConv2D(4, 1, name="point", **kernels())(x), "a5", 5, 1)
    z = act(q.QConv2D(4, 2, padding="same", name="wide", **kernels())(x), "a6", 6, 0)
    added = k.Add(name="add")([x, y, z])
    less = k.Subtract(name="subtract")([added, y])
    times = k.Multiply(name="multiply")([x, y, z])
    high = k.Maximum(name="maximum")([x, y, z])
    low = k.Minimum(name="minimum")([high, z])
    x = act(k.Average(name="average")([less, times, high, low]), "a7", 8, 3)
    powers = {"gamma_quantizer": bits(4, 1), "beta_quantizer": bits(4, 1), "mean_quantizer": bits(4, 1)}
    powers["variance_quantizer"] = q.quantized_relu_po2(3)
    x = act(q.QBatchNormalization(name="normal", epsilon=0.0, **powers)(x), "a8", 8, 3)
    x = k.Flatten(name="flat")(x)
    u = act(q.QDense(6, name="left", **kernels())(x), "a9")
    v = act(q.QDense(6, name="right", **kernels())(x), "a10", 5, 1)
    return Model(inputs, k.Dot(axes=1, name="dot")([u, v]))


def randomized(model: tf.keras.Model) -> tf.keras.Model:
    """Random weights; a normalization whose factor is a power of two."""
    rng = np.random.default_rng(3)
    model.set_weights(
        [
            rng.uniform(0.5, 2, w.shape) if "variance" in w.name else rng.normal(0, 0.5, w.shape)
            for w in model.weights
        ]
    )
    if any(layer.name == "normal" for layer in model.layers):
        gamma, beta, mean = [0.5, 1, -0.5, 1], [0.5, -0.25, 1, 0], [0, 0.5, -0.5, 0.25]
        model.get_layer("normal").set_weights([np.array(v) for v in (gamma, beta, mean, [1, 4, 0.25, 1])])
    return model


def graph(
    model: tf.keras.Model,
    backend: Literal["Vitis", "Hwflow"],
    io_type: Literal["io_stream", "io_parallel"],
    folder: Path,
    config: Mapping[str, Any] | None = None,
    input_type: Cast = INPUT,
) -> Any:
    """A converted model."""
    from hwflow.frontends.keras_hls4ml import convert

    return convert(
        model,
        backend=backend,
        hls_config=config or {},
        input_type=input_type,
        io_type=io_type,
        clock_period=5.0,
        part="xc7z045ffg900-2",
        project_name="net",
        output_dir=folder / backend,
    )


@dataclass
class Net:
    """A network with stimuli and the golden codes of every layer."""

    model: tf.keras.Model
    graph: QuantGraph
    codes: Codes
    golden: dict[str, Codes]

    @property
    def frames(self) -> NDArray[np.float64]:
        return from_codes(self.codes, INPUT.type)

    def values(self, name: str) -> NDArray[np.float64]:
        """Golden values of a layer."""
        return from_codes(self.golden[name], self.graph.node(name).type)


REUSE = {"causal": 9, "same": 24, "point_s2": 3, "times2": 9, "folded": 54, "point": 16, "out": 1}
AT_ONCE = {"causal": 3, "same": 3, "point_s2": 3, "folded": 2}


def config_of(model: tf.keras.Model) -> dict[str, Any]:
    """Some layers folded, so that both kinds of windows occur."""
    names = {layer.name for layer in model.layers}
    return {
        "LayerName": {
            name: {"ReuseFactor": rf, "ParallelizationFactor": AT_ONCE.get(name, 1)}
            for name, rf in REUSE.items()
            if name in names
        }
    }


@pytest.fixture(scope="module", params=[rows, frames], ids=["rows", "frames"])
def net(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Net:
    from hwflow.frontends.lower import lower
    from hwflow.verify.golden import run_golden

    build: Callable[[], tf.keras.Model] = request.param
    model = randomized(build())
    lowered = lower(
        graph(model, "Hwflow", "io_stream", tmp_path_factory.mktemp("net"), config_of(model)), "net"
    )
    codes = np.random.default_rng(0).integers(-128, 128, (FRAMES, *model.input_shape[1:]))
    golden = run_golden(lowered, {"x": codes}, keep=[node.name for node in lowered])
    return Net(model, lowered, codes, golden)


def test_golden_equals_keras_in_every_layer(net: Net) -> None:
    from tensorflow.keras import Model

    layers = [layer for layer in net.model.layers[1:] if layer.name in net.golden]
    assert len(layers) >= len(net.model.layers) - 2  # a separable convolution is two of ours
    outputs = Model(net.model.inputs, [layer.output for layer in layers]).predict(net.frames, verbose=0)
    for layer, values in zip(layers, outputs, strict=True):
        assert np.array_equal(net.values(layer.name), np.float64(values)), layer.name
        assert len(np.unique(values)) > 2, f"{layer.name} is not exercised"


@pytest.mark.parametrize("io_type", ["io_stream", "io_parallel"])
def test_cpp_equals_golden_in_every_layer(
    net: Net, io_type: Literal["io_stream", "io_parallel"], tmp_path: Path
) -> None:
    from hwflow.frontends.keras_hls4ml import write_project
    from hwflow.verify.csim import QUICK, Csim

    csim = Csim(
        write_project(graph(net.model, "Vitis", io_type, tmp_path, config_of(net.model))), flags=QUICK
    )
    traced = csim.trace(net.frames)
    names = net.golden.keys() & traced.keys()
    assert len(names) >= len(net.golden) - 2  # without the input, and a flatten where it computes nothing
    for name in names:
        values = from_codes(traced[name], csim.layer_types[name]).reshape(net.golden[name].shape)
        assert np.array_equal(values, net.values(name)), name


@pytest.mark.sim
def test_rtl_equals_golden_at_its_rate(net: Net, tmp_path: Path) -> None:
    from hwflow.emit.design import build_design
    from hwflow.emit.rtl import write_rtl
    from hwflow.tools.verilator import QUICK
    from hwflow.verify.rtlsim import RtlSimulator

    design = build_design(net.graph)
    write_rtl(design, tmp_path / "rtl")
    simulator = RtlSimulator(tmp_path / "rtl", tmp_path / "verilator.log")
    simulator.build(flags=QUICK)
    (output,) = net.graph.outputs
    for idle, stall in ((0, 0), (300, 400)):
        result = simulator.run(net.codes, idle=idle, stall=stall)
        assert np.array_equal(result.codes, net.golden[output])
    cycles = simulator.run(net.codes).ii_cycles
    assert cycles is not None and cycles <= 1.02 * design.plan.ii_bound
    for name, at_once in AT_ONCE.items():
        if name in design.plan.folding:
            folding, products = design.plan.folding[name], net.graph.node(name).params["weight"].codes.size
            assert (folding.cycles, folding.multipliers) == (
                REUSE[name] // at_once,
                at_once * products // REUSE[name],
            )


# -- float models, as hls4ml's own tests write them -----------------------------------------------------------


def plain() -> tf.keras.Model:
    """A float network with what hls4ml fuses and splits."""
    from tensorflow.keras import Input, Model
    from tensorflow.keras import layers as k

    x = inputs = Input((8, 8, 3), name="image")
    x = k.Conv2D(4, 3, padding="same", name="conv")(x)
    x = k.ReLU(name="relu")(k.BatchNormalization(name="bn_conv")(x))
    x = k.BatchNormalization(name="bn_depthwise")(k.DepthwiseConv2D(3, name="depthwise")(x))
    x = k.PReLU(shared_axes=[1, 2], name="prelu")(x)
    x = k.SeparableConv2D(5, 2, name="separable", activation="relu")(x)
    x = k.Add(name="add")([x, k.Conv2D(5, 1, name="point")(x)])
    x = k.Dense(4, name="out")(k.Flatten(name="flat")(x))
    model = Model(inputs, x)
    rng = np.random.default_rng(1)
    positive = ("variance", "gamma")
    model.set_weights(
        [
            rng.uniform(0.5, 1.5, w.shape)
            if any(name in w.name for name in positive)
            else rng.normal(0, 0.25, w.shape)
            for w in model.weights
        ]
    )
    return model


@pytest.mark.parametrize("granularity", ["model", "type", "name"])
def test_float_model_as_hls4mls_own_tests_convert_it(granularity: str, tmp_path: Path) -> None:
    """Near Keras, and the types of our C++ conversion from the same configuration (whose C++ equals them)."""
    import hls4ml

    from hwflow.frontends.lower import lower
    from hwflow.verify.golden import run_golden

    model = plain()
    config = hls4ml.utils.config_from_keras_model(model, granularity=granularity, backend="Hwflow")
    converted = hls4ml.converters.convert_from_keras_model(
        model, hls_config=config, backend="Hwflow", io_type="io_parallel", output_dir=str(tmp_path / "rtl")
    )
    lowered = lower(converted, "net")
    cpp = graph(model, "Vitis", "io_stream", tmp_path, config, Cast.parse("fixed<16,6>"))
    names = [node.name for node in lowered if node.op not in ("input", "reshape")]
    for name in names:
        assert str(lowered.node(name).cast) == str(Cast.parse(str(_precision(cpp.graph[name])))), name
    assert ("bn_conv" in names) == (granularity == "model")  # fused where its types are hls4ml's to choose
    x = np.random.default_rng(0).uniform(-1, 1, (20, 8, 8, 3))
    codes = run_golden(lowered, {"image": cast_values(x, lowered.node("image").cast)})["out"]
    values, expected = from_codes(codes, lowered.node("out").type), model.predict(x, verbose=0)
    np.testing.assert_allclose(values, expected, rtol=0, atol=2e-2)


def _precision(layer: Any) -> Any:
    return layer.get_output_variable().type.precision


@pytest.mark.parametrize("accum", ["fixed<16,6>", "fixed<60,30>"])
def test_accumulators_are_exact_or_refused(accum: str, tmp_path: Path) -> None:
    import hls4ml

    model = plain()
    config = hls4ml.utils.config_from_keras_model(model, granularity="name", backend="Hwflow")
    config["LayerName"]["conv"]["Precision"]["accum"] = accum

    def converted() -> Any:
        return hls4ml.converters.convert_from_keras_model(
            model, hls_config=config, backend="Hwflow", output_dir=str(tmp_path / "rtl")
        )

    if accum == "fixed<60,30>":
        assert str(converted().graph["conv"].types["accum_t"].precision).startswith("fixed<60,30")
    else:
        with pytest.raises(ConfigError, match=r"conv: Precision\.accum .* cannot hold its exact sums"):
            converted()


def test_halves_of_a_separable_convolution_are_configured_under_its_name(tmp_path: Path) -> None:
    model = randomized(rows())
    config = {
        "LayerType": {"QSeparableConv1D": {"Precision": {"result": "fixed<9,4>"}}},
        "LayerName": {"separable": {"DepthwiseReuseFactor": 4, "PointwiseReuseFactor": 24}},
    }
    nodes = graph(model, "Hwflow", "io_stream", tmp_path, config).graph
    halves = [nodes[f"separable_{half}"] for half in ("depthwise", "pointwise")]
    assert [half.get_attr("reuse_factor") for half in halves] == [4, 24]
    assert str(_precision(halves[1])).startswith("fixed<9,4")
    assert not str(_precision(halves[0])).startswith("fixed<9,4")


def test_what_stays_out_is_refused_with_its_reason(tmp_path: Path) -> None:
    from tensorflow.keras import Input, Model
    from tensorflow.keras import layers as k

    image, other = Input((4, 4, 2), name="image"), Input((1, 1, 2), name="other")
    x = k.Add(name="broadcast")([image, other])
    x = k.Average(name="thirds")([x, image, image])
    x = k.BatchNormalization(axis=1, name="rows")(x)
    x = k.BatchNormalization(name="free")(x)
    x = k.Conv2D(2, 3, dilation_rate=2, padding="same", name="dilated")(x)
    x = k.Conv2D(2, 1, use_bias=False, name="no_bias")(x)
    model = Model([image, other], x)
    model.get_layer("free").set_weights([np.array([1, 1e-3])] * 4)
    with pytest.raises(UnsupportedLayerError) as caught:
        graph(model, "Hwflow", "io_stream", tmp_path)
    text = str(caught.value)
    for reason in (
        "broadcast (Add): inputs of different shapes",
        "thirds (Average): the mean of 3 tensors",
        "rows (BatchNormalization): it normalizes axis (1,)",
        "free (BatchNormalization): its scales fit no fixed-point type",
        "dilated (Conv2D): dilation_rate (2, 2)",
        "hls4ml takes 'no_bias/kernel:0' for the bias of layer 'no_bias'",
    ):
        assert reason in text
