# SPDX-License-Identifier: Apache-2.0
"""Keras to hls4ml: what is refused, what is resolved, and that every type is exact."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hwflow.errors import ConfigError, UnsupportedLayerError, UserError
from hwflow.numerics.codes import from_codes
from hwflow.numerics.fixed import Cast, FixedType, apply_cast
from hwflow.numerics.quantizers import activation_cast
from hwflow.ops.matvec import sum_type
from hwflow.ops.reuse import legal_depthwise_reuse_factors, legal_reuse_factors, show_legal

if TYPE_CHECKING:
    import tensorflow as tf
    from hls4ml.model.graph import ModelGraph

pytestmark = pytest.mark.tf

INPUT = Cast.parse("fixed<8,1>")


def kernels(bits: int = 6, **more: Any) -> dict[str, Any]:
    """Quantizers of a convolution or dense layer."""
    from qkeras import quantized_bits

    return {
        "kernel_quantizer": quantized_bits(bits, 0, alpha=1),
        "bias_quantizer": quantized_bits(8, 1, alpha=1),
        **more,
    }


def randomize(model: tf.keras.Model, seed: int = 3) -> tf.keras.Model:
    """Random weights; slopes on the grid 2^-5."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            np.rint(rng.normal(0, 40, w.shape)) / 32 if "alpha" in w.name else rng.normal(0, 0.5, w.shape)
            for w in model.weights
        ]
    )
    return model


@pytest.fixture(scope="module")
def net() -> tf.keras.Model:
    """Convolution, PReLU, depthwise, dense; the input is named as hls4ml forbids."""
    from qkeras import QActivation, QConv2D, QDense, QDepthwiseConv2D, quantized_bits
    from tensorflow.keras import Input, Model
    from tensorflow.keras.layers import Flatten, PReLU

    inputs = Input((6, 6, 3), name="input")
    x = QConv2D(4, 3, name="conv", **kernels())(inputs)
    x = PReLU(shared_axes=[1, 2], name="prelu")(x)
    x = QActivation(quantized_bits(8, 3, alpha=1), name="act")(x)
    x = QDepthwiseConv2D(
        3,
        depthwise_quantizer=quantized_bits(6, 0, alpha=1),
        bias_quantizer=quantized_bits(8, 1, alpha=1),
        name="depthwise",
    )(x)
    x = Flatten(name="flat")(x)
    return randomize(Model(inputs, QDense(5, name="dense", **kernels())(x)))


def converted(model: tf.keras.Model, folder: Path, config: Mapping[str, Any] | None = None) -> ModelGraph:
    """The Vitis graph of a model."""
    from hwflow.frontends.keras_hls4ml import convert

    return convert(
        model,
        backend="Vitis",
        hls_config=config or {},
        input_type=INPUT,
        io_type="io_stream",
        clock_period=5.0,
        part="xc7z045ffg900-2",
        project_name="net",
        output_dir=folder / "hls",
    )


def result_types(graph: ModelGraph) -> dict[str, str]:
    """Result type of each node."""
    from hwflow.frontends.hls4ml_types import to_cast

    return {n.name: str(to_cast(n.get_output_variable().type.precision)) for n in graph.get_layers()}


# -- reuse factors -------------------------------------------------------------------------------------------


def test_legal_reuse_factors_equal_hls4ml() -> None:
    from hls4ml.backends import get_backend

    backend = get_backend("Vitis")
    pairs = [(n_in, n_out) for n_in in range(1, 31) for n_out in range(1, 31)]
    for n_in, n_out in [*pairs, (27, 64), (144, 12), (97, 101)]:
        assert legal_reuse_factors(n_in, n_out) == backend.get_valid_reuse_factors(n_in, n_out)


def test_depthwise_reuse_factors_give_whole_multipliers() -> None:
    assert all(9 * 12 % factor == 0 for factor in legal_depthwise_reuse_factors(9, 12))
    assert 108 in legal_depthwise_reuse_factors(9, 12)


def test_a_node_has_the_reuse_factors_of_its_layer(net: tf.keras.Model, tmp_path: Path) -> None:
    from hwflow.frontends.lower import lower
    from hwflow.ops.registry import op, op_for_hls4ml

    model = converted(net, tmp_path)
    graph = lower(model, "net")
    layers = {layer.name: layer for layer in model.get_layers()}
    nodes = graph.by_name()
    factors = {
        node.name: op(node.op).reuse_factors(node, [nodes[name] for name in node.inputs]) for node in graph
    }
    for name, found in factors.items():
        spec = op_for_hls4ml(layers[name].class_name)
        assert spec is not None and found == spec.legal_reuse(layers[name])
    assert {name for name, found in factors.items() if found} >= {"conv", "depthwise"}


def test_long_list_of_legal_factors_is_shortened_around_the_value() -> None:
    text = show_legal(list(range(1, 200)), 100)
    assert text.startswith("… 85,") and text.endswith("114 …")


def test_all_illegal_reuse_factors_are_named_with_the_legal_ones(net: tf.keras.Model, tmp_path: Path) -> None:
    config = {"LayerName": {"conv": {"ReuseFactor": 5}, "depthwise": {"ReuseFactor": 8}}}
    with pytest.raises(ConfigError) as caught:
        converted(net, tmp_path, config)
    assert "conv: ReuseFactor 5 is not legal; legal are 1, 3, 9, 27, 54, 108" in str(caught.value)
    assert "depthwise: ReuseFactor 8 is not legal; legal are 1, 2, 3, 4, 6, 9, 12, 18, 36" in str(
        caught.value
    )
    assert not (tmp_path / "hls").exists()


@pytest.mark.parametrize(
    ("layer", "values", "message"),
    [
        (
            "conv",
            {"ReuseFactor": 54, "ParallelizationFactor": 4},
            r"conv: ParallelizationFactor 4 is not legal; those that divide ReuseFactor 54 are: 1, 2, 3, 6, 9, 18,",
        ),
        ("conv", {"ParallelizationFactor": 2}, r"divide ReuseFactor 1 are: 1\b"),
        ("dense", {"ReuseFactor": 80, "ParallelizationFactor": 2}, "dense: .* 2 is for convolutions"),
        ("conv", {"ParallelizationFactor": True}, "ParallelizationFactor: True is not a positive integer"),
        ("conv", {"ParallelisationFactor": 2}, "did you mean 'ParallelizationFactor'"),
    ],
)
def test_an_illegal_parallelization_factor_is_refused_with_the_legal_ones(
    net: tf.keras.Model, tmp_path: Path, layer: str, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        converted(net, tmp_path, {"LayerName": {layer: values}})


def test_reuse_factors_reach_hls4ml_unchanged(net: tf.keras.Model, tmp_path: Path) -> None:
    config = {
        "Model": {"ReuseFactor": 4},
        "LayerType": {"QConv2D": {"ReuseFactor": 3}, "Dense": {"ReuseFactor": 16}},
        "LayerName": {"dense": {"ReuseFactor": 80}},
    }
    nodes = converted(net, tmp_path, config).graph
    found = {name: nodes[name].get_attr("reuse_factor") for name in ("conv", "depthwise", "dense")}
    assert found == {"conv": 3, "depthwise": 4, "dense": 80}
    assert {nodes[name].get_attr("strategy") for name in found} == {"resource"}


def test_conversion_leaves_hls4ml_as_it_was(net: tf.keras.Model, tmp_path: Path) -> None:
    from hls4ml.backends import get_backend
    from hls4ml.model.flow import get_flow

    before = list(get_flow("convert").optimizers)
    converted(net, tmp_path)
    assert get_flow("convert").optimizers == before
    for backend in ("Vivado", "Vitis"):
        assert "get_valid_reuse_factors" not in vars(get_backend(backend))


def test_conversion_does_not_try_every_reuse_factor(
    net: tf.keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hls4ml.backends import FPGABackend

    monkeypatch.delattr(FPGABackend, "get_valid_reuse_factors")
    converted(net, tmp_path)


# -- configuration -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"LayerNames": {}}, "HLSConfig: unknown 'LayerNames'; did you mean 'LayerName'"),
        ({"Model": {"ReuseFacto": 1}}, "HLSConfig.Model: unknown 'ReuseFacto'; did you mean 'ReuseFactor'?"),
        ({"LayerName": {"cony": {}}}, "HLSConfig.LayerName: unknown 'cony'; did you mean 'conv'?"),
        (
            {"LayerType": {"Conv2": {}}},
            "HLSConfig.LayerType: unknown 'Conv2'; did you mean 'Conv2D' or 'QConv2D'",
        ),
        ({"LayerName": {"conv": {"Precision": {"resul": "auto"}}}}, "unknown 'resul'; did you mean 'result'"),
        (
            {"LayerName": {"conv": {"Precision": {"result": "fixd<1>"}}}},
            "'fixd<1>' is not a fixed-point type",
        ),
        (
            {"LayerName": {"conv": {"Strategy": "Fast"}}},
            "'Fast' is not supported; choose Latency or Resource or distributed_arithmetic",
        ),
        ({"Model": {"ReuseFactor": 0}}, "0 is not a positive integer"),
        ({"LayerName": {"conv": 3}}, "HLSConfig.LayerName.conv is not a mapping"),
        ({"LayerName": {"conv": {"Precision": {"weight": "fixed<9,2>"}}}}, "contradicts the quantizer"),
        ({"LayerName": {"conv": {"Precision": {"accum": "fixed<10,4>"}}}}, "cannot hold its exact sums"),
        ({"LayerName": {"flat": {"Precision": {"result": "fixed<4,4>"}}}}, "the layer only moves values"),
    ],
)
def test_wrong_configuration_is_an_error(
    net: tf.keras.Model, tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        converted(net, tmp_path, config)
    assert message in str(caught.value)


def test_named_types_are_taken(net: tf.keras.Model, tmp_path: Path) -> None:
    config = {
        "Model": {"Precision": "fixed<16,6>"},
        "LayerType": {"QConv2D": {"Precision": {"result": "fixed<12,5,RND,SAT>"}}},
        "LayerName": {"input": {"Precision": "fixed<7,1>"}, "act": {"Precision": {"result": "fixed<6,4>"}}},
    }
    types = result_types(converted(net, tmp_path, config))
    assert types["input_tensor"] == "fixed<7,1,TRN,WRAP>"
    assert types["conv"] == "fixed<12,5,RND,SAT>"
    assert types["act"] == "fixed<6,4,TRN,WRAP>"


def test_a_generated_configuration_may_name_the_codes_of_a_quantizer(tmp_path: Path) -> None:
    from hls4ml.utils import config_from_keras_model
    from qkeras import QDense, binary, quantized_po2
    from tensorflow.keras import Input, Model

    x = inputs = Input((4,), name="in")
    for name, quantizer in {"signs": binary(alpha=1), "shifts": quantized_po2(4, max_value=2)}.items():
        x = QDense(3, name=name, **kernels() | {"kernel_quantizer": quantizer})(x)
    model = Model(inputs, x)
    config = config_from_keras_model(model, granularity="name")
    assert config["LayerName"]["signs"]["Precision"]["weight"] == "uint<1>"
    assert result_types(converted(model, tmp_path, config)).keys() >= {"signs", "shifts"}


def test_hls4mls_own_configuration_and_entry_point_give_the_same_types(
    net: tf.keras.Model, tmp_path: Path
) -> None:
    from hls4ml.converters import convert_from_keras_model
    from hls4ml.utils import config_from_keras_model

    from hwflow.frontends.hls4ml_ext import EXACT_FLOW
    from hwflow.frontends.keras_hls4ml import _RenamedModel

    expected = result_types(converted(net, tmp_path))
    model = _RenamedModel(net)  # the model named its input 'input', which plain hls4ml cannot take
    for config in (
        config_from_keras_model(_Arch(model), granularity="name", backend="Vitis"),
        {"Model": {"Precision": "fixed<16,6>", "ReuseFactor": 1}, "LayerName": {}},
    ):
        config["LayerName"].setdefault("input_tensor", {})["Precision"] = {"result": str(INPUT)}
        config["Flows"] = [EXACT_FLOW, "vitis:ip"]
        graph = convert_from_keras_model(
            model, hls_config=config, backend="Vitis", io_type="io_stream", output_dir=str(tmp_path / "h")
        )
        assert result_types(graph) == expected


class _Arch:
    """A renamed model as ``config_from_keras_model`` wants it."""

    def __init__(self, model: Any) -> None:
        self.to_json, self.get_layer = model.to_json, model.get_layer


# -- types ---------------------------------------------------------------------------------------------------


def test_types_of_every_layer(net: tf.keras.Model, tmp_path: Path) -> None:
    types = result_types(converted(net, tmp_path))
    assert types["act"] == "fixed<8,4,RND_CONV,SAT>"
    assert types["flat"] == types["depthwise"]
    assert not any("<16,6," in text for text in types.values())


def test_accumulator_is_the_narrowest_that_holds_every_sum() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        weights = rng.integers(-8, 8, (3, 2))
        biases = rng.integers(-32, 32, 2)
        grid = FixedType(bool(rng.integers(2)), 3, 2)
        found = sum_type(weights, (0,), FixedType(True, 4, 1), grid, biases, FixedType(True, 6, 4))
        low, high = grid.range()
        corners = np.array(np.meshgrid(*[[low, high]] * 3)).reshape(3, -1)
        sums = (weights.T @ corners) * 2 + biases[:, None]
        exact = FixedType.for_range(int(sums.min()), int(sums.max()), 4)
        assert found == exact


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("integer", [0, 1, 3])
@pytest.mark.parametrize("options", [{}, {"symmetric": 1}, {"keep_negative": 0}])
def test_activation_cast_equals_quantized_bits(bits: int, integer: int, options: dict[str, Any]) -> None:
    from qkeras import quantized_bits

    quantizer = quantized_bits(bits, integer, alpha=1, **options)
    assert_cast_equals(quantizer, activation_cast("quantized_bits", quantizer.get_config()))


@pytest.mark.parametrize(("bits", "integer"), [(8, 2), (4, 0), (2, 2), (1, 1)])
def test_activation_cast_equals_quantized_relu(bits: int, integer: int) -> None:
    from qkeras import quantized_relu

    quantizer = quantized_relu(bits, integer)
    assert_cast_equals(quantizer, activation_cast("quantized_relu", quantizer.get_config()), positive=True)


def assert_cast_equals(quantizer: Any, cast: Cast, positive: bool = False) -> None:
    """Every value of a fine grid around the range, so all ties and both ends."""
    frac = max(cast.type.frac, 0) + 3
    codes = np.arange(-(2**13), 2**13)
    values = from_codes(codes, FixedType(True, 32, frac))
    expected = np.asarray(quantizer(np.float32(values)), np.float64)
    got = apply_cast(np.maximum(codes, 0) if positive else codes, frac, cast)
    assert np.array_equal(from_codes(got, cast.type), expected)


@pytest.mark.parametrize(
    ("quantizer", "options", "reason"),
    [
        ("quantized_sigmoid", {"symmetric": 1}, "one step above zero"),
        ("quantized_relu", {"use_sigmoid": 1}, "use_sigmoid"),
        ("quantized_bits", {"alpha": "auto"}, "depends on the data"),
        ("quantized_bits", {"bits": 1, "alpha": 1}, "1-bit signed"),
        ("quantized_bits", {"alpha": 1, "qnoise_factor": 0.5}, "qnoise_factor"),
        ("quantized_po2", {}, "is not a fixed-point cast"),
    ],
)
def test_activation_quantizers_that_are_no_cast(quantizer: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        activation_cast(quantizer, {"bits": 8, "integer": 2, **options})


def test_power_of_two_scales_move_into_the_type_and_free_scales_are_refused(tmp_path: Path) -> None:
    from qkeras import QDense, quantized_bits
    from tensorflow.keras import Input, Model

    from hwflow.frontends.keras_checks import check_supported
    from hwflow.numerics.codes import to_codes

    inputs = Input((12,), name="features")
    scales = {"auto_po2": "po2", "auto": "free"}
    for alpha, name in scales.items():
        layer = QDense(6, name=name, kernel_quantizer=quantized_bits(4, 0, alpha=alpha), use_bias=False)
        model = randomize(Model(inputs, layer(inputs)))
        if alpha == "auto":
            assert "is no power of two (alpha='auto')" in check_supported(model)[0]
            with pytest.raises(UnsupportedLayerError):
                converted(model, tmp_path)
            continue
        graph = converted(model, tmp_path)
        assert [node.class_name for node in graph.get_layers()] == ["Input", "Dense"]  # no scaling layer
        weight = graph.graph[name].weights["weight"]
        values = np.asarray(layer.kernel_quantizer_internal(layer.kernel), np.float64).T  # Resource layout
        precision = weight.type.precision
        to_codes(values, FixedType(precision.signed, precision.width, precision.fractional))
        assert np.array_equal(weight.data, values)


# -- what is supported ---------------------------------------------------------------------------------------


def test_all_unsupported_layers_are_listed_at_once(tmp_path: Path) -> None:
    from qkeras import QActivation, QConv2D, QDepthwiseConv2D, quantized_bits, quantized_relu
    from tensorflow.keras import Input, Model
    from tensorflow.keras.layers import BatchNormalization, Conv2D, Dropout, PReLU, Softmax

    x = inputs = Input((8, 8, 3), name="image")
    x = Conv2D(4, 3, name="plain")(x)
    x = BatchNormalization(name="bn")(x)
    x = QConv2D(4, 3, dilation_rate=2, name="dilated", **kernels())(x)
    x = PReLU(name="own_slopes")(x)
    x = QActivation(quantized_relu(8, 2, use_sigmoid=1), name="curved")(x)
    x = QDepthwiseConv2D(
        1, depthwise_quantizer=quantized_bits(4, 0, alpha="auto"), use_bias=False, name="scaled"
    )(x)
    x = Dropout(0.5, name="fine")(x)
    model = randomize(Model(inputs, Softmax(axis=1, name="across")(x)))
    with pytest.raises(UnsupportedLayerError) as caught:
        converted(model, tmp_path)
    named = {finding.split()[0] for finding in caught.value.findings}
    assert named == {"plain", "bn", "dilated", "curved", "scaled", "across"}


def test_float_layers_are_taken_with_a_precision(tmp_path: Path) -> None:
    from tensorflow.keras import Input, Model
    from tensorflow.keras.layers import Dense

    inputs = Input((4,), name="features")
    model = randomize(Model(inputs, Dense(3, name="plain")(inputs)))
    config = {"LayerName": {"plain": {"Precision": {"weight": "fixed<6,2>", "bias": "fixed<5,1>"}}}}
    weight = converted(model, tmp_path, config).graph["plain"].weights["weight"]
    assert np.array_equal(weight.data, np.floor(model.get_weights()[0].T.astype(float) * 16) / 16)


def test_nan_weights_are_refused(net: tf.keras.Model) -> None:
    from hwflow.frontends.keras_checks import check_supported

    kept = net.get_weights()
    broken = [w.copy() for w in kept]
    broken[0].flat[7] = math.nan
    net.set_weights(broken)
    findings = check_supported(net)
    net.set_weights(kept)
    assert any("weights of layer 'conv' are not finite" in finding for finding in findings)


# -- the written project -------------------------------------------------------------------------------------


def test_project_is_complete_portable_and_the_same_every_time(net: tf.keras.Model, tmp_path: Path) -> None:
    from hwflow.frontends.keras_hls4ml import write_project

    frames = np.zeros((2, 6, 6, 3))
    written = []
    for name in ("first", "second"):
        folder = write_project(converted(net, tmp_path / name), frames, np.zeros((2, 5)))
        files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        written.append({path: hashlib.sha256(data).hexdigest() for path, data in files.items()})
        assert not [path for path, data in files.items() if str(tmp_path).encode() in data]
    assert written[0] == written[1]
    for needed in (
        "build_prj.tcl",
        "project.tcl",
        "net_test.cpp",
        "firmware/net.cpp",
        "firmware/nnet_utils/nnet_hwflow_prelu.h",
        "tb_data/tb_input_features.dat",
        "tb_data/tb_output_predictions.dat",
    ):
        assert Path(needed) in written[0]


@pytest.mark.parametrize("readers", [7, 8])
def test_a_stream_with_more_readers_than_the_cpp_copies_is_refused(readers: int, tmp_path: Path) -> None:
    from qkeras import QActivation
    from tensorflow.keras import Input, Model

    from hwflow.frontends.keras_hls4ml import write_project

    inputs = Input((4,), name="x")
    shared = QActivation("quantized_bits(6,1,alpha=1)", name="shared")(inputs)
    outputs = [
        QActivation(f"quantized_bits({3 + i},0,alpha=1)", name=f"a{i}")(shared) for i in range(readers)
    ]
    model = Model(inputs, outputs)
    if readers == 7:
        write_project(converted(model, tmp_path))
        assert "clone_stream" in (tmp_path / "hls" / "firmware" / "net.cpp").read_text()
    else:
        with pytest.raises(ConfigError, match=r"shared: its result is read 8 times, .* 7 times at most; use"):
            converted(model, tmp_path)


@pytest.mark.parametrize(
    ("width", "needed"), [(30, "63 are computed at most"), (44, "need more than 63 bits")]
)
def test_results_too_wide_name_the_precisions_to_lower(width: int, needed: str, tmp_path: Path) -> None:
    from tensorflow.keras import Input, Model
    from tensorflow.keras.layers import Conv1D, Softmax

    inputs = Input((6, 3), name="x")
    x = Conv1D(4, 3, name="second")(Conv1D(4, 3, name="first")(inputs))
    model = Model(inputs, Softmax(name="last")(x))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 1, weight.shape) for weight in model.get_weights()])
    config = {
        "Model": {"Precision": f"fixed<{width},8>"},
        "LayerName": {
            "second": {"Precision": {"weight": f"fixed<{width + 4},4>"}},
            "last": {"Strategy": "legacy"},
        },
    }
    with pytest.raises(ConfigError) as caught:
        converted(model, tmp_path, config)
    found = str(caught.value)
    assert re.search(
        rf"second: its exact results .*{needed}; lower Precision.result of 'first_linear' \({width} bits\) or ",
        found,
    )
    assert "or Precision.weight (" in found
    assert "last: the legacy softmax is not supported; use Strategy stable or latency" in found
