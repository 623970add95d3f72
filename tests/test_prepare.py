# SPDX-License-Identifier: Apache-2.0
"""Preparation of float models, and exact evaluation of quantized ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwflow.config.schema import LayerBits, PrepareConfig
from hwflow.errors import ConfigError, ToolError, ToolNotFoundError, UnsupportedLayerError, UserError
from hwflow.models import registry
from hwflow.numerics.fixed import Cast, FixedType
from hwflow.prepare import predict_exact, prepare
from hwflow.prepare.build import build
from hwflow.prepare.calibrate import magnitudes, outputs_of
from hwflow.prepare.equalize import (
    equalize,
    fill_grids,
    free_groups,
    input_range,
    normalize_slopes,
    output_range,
)
from hwflow.prepare.fold import fold_batchnorm
from hwflow.prepare.grids import activation_grid, best_grid, bias_grid, to_grid
from hwflow.prepare.net import WEIGHTED, from_keras

pytestmark = pytest.mark.tf


def grid_inputs(shape: tuple[int, ...], count: int, seed: int = 0) -> np.ndarray:
    """Random inputs on the grid ``fixed<8,1>``."""
    codes = np.random.default_rng(seed).integers(-128, 128, (count, *shape))
    return (codes / 128).astype(np.float32)


def differ(a: Any, b: Any, x: np.ndarray) -> float:
    """Largest difference of two models, relative to the largest output."""
    first, second = a.predict(x, verbose=0), b.predict(x, verbose=0)
    return float(np.abs(first - second).max() / np.abs(first).max())


@pytest.fixture(scope="module")
def tiny() -> Any:
    return registry.load("mobilefacenet-tiny")


@pytest.fixture(scope="module")
def calibration() -> np.ndarray:
    return grid_inputs((16, 16, 3), 24)


@pytest.fixture(scope="module")
def prepared(tiny: Any, calibration: np.ndarray) -> Any:
    return prepare(tiny, calibration, PrepareConfig())


def batchnorm_model() -> Any:
    """Every layer kind, with batch normalization that does something."""
    import tensorflow as tf

    layers, rng = tf.keras.layers, np.random.default_rng(0)
    inputs = layers.Input((6, 6, 2), name="picture")
    x = layers.BatchNormalization(name="bn1")(layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs))
    x = layers.BatchNormalization(scale=False, name="bn2")(
        layers.DepthwiseConv2D(3, padding="same", name="dw")(x)
    )
    x = skip = layers.ReLU(name="relu")(x)
    x = layers.Conv2D(4, 1, activation="relu", name="inner")(x)
    x = layers.Conv2D(4, 1, name="outer")(x)
    x = layers.Add(name="add")([x, skip])
    x = layers.Dropout(0.5, name="dropout")(layers.Flatten(name="flatten")(x))
    x = layers.Dense(5, name="dense")(x)
    model = tf.keras.Model(inputs, layers.BatchNormalization(name="bn3")(x), name="with_bn")
    for layer in model.layers:
        if layer.name.startswith("bn"):
            layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
        elif layer.weights:  # Keras starts with biases of zero
            layer.set_weights([w + rng.uniform(-0.3, 0.3, w.shape) for w in layer.get_weights()])
    return model


def test_batch_normalization_folds_away() -> None:
    model = batchnorm_model()
    net = from_keras(model)
    fold_batchnorm(net)
    assert not any(node.kind == "batchnorm" for node in net)
    assert differ(model, build(net), grid_inputs((6, 6, 2), 5)) < 1e-5


def test_lonely_batch_normalization_is_refused() -> None:
    import tensorflow as tf

    inputs = tf.keras.Input((3,))
    model = tf.keras.Model(inputs, tf.keras.layers.BatchNormalization(name="alone")(inputs))
    with pytest.raises(UnsupportedLayerError, match="'alone'"):
        fold_batchnorm(from_keras(model))


def test_equalisation_keeps_the_function(tiny: Any, calibration: np.ndarray) -> None:
    for model, x in ((tiny, calibration), (batchnorm_model(), grid_inputs((6, 6, 2), 5))):
        net = from_keras(model)
        fold_batchnorm(net)
        normalize_slopes(net)
        equalize(net)
        fill_grids(net, {node.name: 8 for node in net if node.kind in WEIGHTED})
        assert differ(model, build(net), x) < 1e-4
        assert all(np.abs(node.arrays["slope"]).max() <= 1 for node in net if node.kind == "prelu")


def test_the_output_is_never_scaled() -> None:
    import tensorflow as tf

    inputs = tf.keras.Input((3,))
    first = tf.keras.layers.Dense(4, name="first")(inputs)
    model = tf.keras.Model(
        inputs, tf.keras.layers.Add()([first, tf.keras.layers.Dense(4, name="second")(first)])
    )
    assert free_groups(from_keras(model)) == []


def test_equalisation_evens_out_ranges(tiny: Any) -> None:
    net = from_keras(tiny)
    before = {node.name: output_range(node) for node in net if node.kind in WEIGHTED}
    equalize(net)
    groups = free_groups(net)
    assert len(groups) == len(before) - 1 - 2  # the last is fixed, two residual adds join two groups each
    for group in groups:
        written = np.max([output_range(node) for node in group.writers], axis=0)
        read = np.max([input_range(node, group.channels) for node in group.readers], axis=0)
        assert np.abs(np.log(written / read)).max() < 0.01
    assert not np.array_equal(output_range(net.nodes["stem_conv"]), before["stem_conv"])


def test_steep_slopes_that_cannot_be_flipped_stay(calibration: np.ndarray) -> None:
    import tensorflow as tf

    inputs = tf.keras.Input((4, 4, 2))
    x = skip = tf.keras.layers.Conv2D(2, 1, name="conv")(inputs)
    x = tf.keras.layers.PReLU(shared_axes=[1, 2], name="steep")(x)
    model = tf.keras.Model(inputs, tf.keras.layers.Add()([x, skip]))
    model.get_layer("steep").set_weights([np.full((1, 1, 2), -3.0)])
    net = from_keras(model)
    normalize_slopes(net)
    assert net.nodes["steep"].arrays["slope"].tolist() == [-3.0, -3.0]


def test_layers_that_cannot_be_prepared_are_all_listed() -> None:
    import tensorflow as tf

    layers = tf.keras.layers
    inputs = tf.keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, dilation_rate=2, name="dilated")(inputs)
    x = layers.Conv2D(4, 1, activation="tanh", name="curved")(x)
    x = layers.PReLU(name="pixelwise")(x)
    x = layers.UpSampling2D(name="grown")(x)
    with pytest.raises(UnsupportedLayerError) as caught:
        from_keras(tf.keras.Model(inputs, x))
    assert [finding.split("'")[1] for finding in caught.value.findings] == [
        "dilated",
        "curved",
        "pixelwise",
        "grown",
    ]


def test_magnitudes_are_the_percentile_of_all_values() -> None:
    import tensorflow as tf

    inputs = tf.keras.Input((10, 10, 1), name="input")
    model = tf.keras.Model(inputs, tf.keras.layers.ReLU(name="same")(inputs))
    x = np.abs(np.random.default_rng(0).permutation(2000).reshape(20, 10, 10, 1)).astype(np.float32)
    # of the values 0..1999 the largest percent are the 20 from 1980
    assert magnitudes(model, ["same"], x, 99) == {"same": 1980.0}
    assert magnitudes(model, ["same"], x, 100) == {"same": 1999.0}


@pytest.mark.parametrize(
    ("magnitude", "signed", "expected"),
    [
        (1.0, True, "fixed<8,1>"),
        (1.01, True, "fixed<8,2>"),
        (3.0, False, "ufixed<8,2>"),
        (0.1, True, "fixed<8,1>"),
    ],
)
def test_activation_grids(magnitude: float, signed: bool, expected: str) -> None:
    assert str(activation_grid(magnitude, 8, signed)) == expected


def test_weight_grids_have_the_least_error() -> None:
    assert best_grid(np.array([0.5, -1.0, 0.25]), 4) == FixedType(True, 4, 3)
    # one outlier a little above the range is cheaper than half the resolution for all others
    values = np.append(np.linspace(-1, 1, 999), 1.02)
    assert best_grid(values, 8).frac == 7
    assert best_grid(np.array([0.01, -0.02]), 8).frac == 12
    assert best_grid(np.zeros(3), 8) == FixedType(True, 8, 7)


def test_grids_round_half_to_even_and_saturate() -> None:
    grid = FixedType(True, 4, 1)
    assert to_grid(np.array([0.25, 0.75, -0.25, -0.75, 9, -9]), grid).tolist() == [0, 1, 0, -1, 3.5, -4]


def test_bias_grids_hold_every_bias() -> None:
    grid = bias_grid(np.array([3.0, -0.001]), 10)
    assert grid.frac == 10 and grid.range()[1] >= 3 * 1024


def test_prepared_layers_have_the_promised_form(tiny: Any, prepared: Any, calibration: np.ndarray) -> None:
    names = [layer.name for layer in prepared.model.layers]
    kinds = {layer.name: type(layer).__name__ for layer in prepared.model.layers}
    assert names[0] == "input" and names[-2:] == ["embedding_q", "flatten"]
    for layer in tiny.layers:
        expected = {"Conv2D": "QConv2D", "DepthwiseConv2D": "QDepthwiseConv2D"}
        assert kinds[layer.name] == expected.get(type(layer).__name__, type(layer).__name__ or "")
        if layer.name.endswith(("_prelu", "_add")):
            assert kinds[f"{layer.name}_q"] == "QActivation"
    assert "block2_project_q" not in names  # feeds an addition: stays exact
    assert "block1_project_q" in names  # feeds a convolution too
    assert "stem_conv_q" not in names  # feeds a PReLU
    quantizer = prepared.model.get_layer("embedding_q").quantizer
    assert quantizer.bits == 16 and quantizer.alpha == 1
    for layer in prepared.model.layers:
        for q, weight in zip(getattr(layer, "quantizers", []), layer.get_weights(), strict=False):
            assert q.alpha == 1 and not q.symmetric
            assert np.array_equal(q(weight).numpy(), weight)  # on the grid already


def test_report_tells_types_and_noise(prepared: Any, calibration: np.ndarray) -> None:
    layers = prepared.report["layers"]
    assert prepared.report["calibration_frames"] == len(calibration)
    assert layers["stem_conv"]["weight_type"].startswith("fixed<8,")
    assert layers["block1_dw_prelu"]["slope_type"].startswith("fixed<8,")
    assert all(entry["sqnr_db"] > 10 for entry in layers.values() if "sqnr_db" in entry)
    for name, entry in layers.items():
        if "weight_type" in entry:  # eight bits, even where QKeras' quantizer is wider
            kernel = prepared.model.get_layer(name).get_weights()[0]
            grid = Cast.parse(entry["weight_type"]).type
            assert np.array_equal(to_grid(kernel.astype(np.float64), grid), kernel)


def test_embeddings_stay_close(tiny: Any, prepared: Any, calibration: np.ndarray) -> None:
    x = grid_inputs((16, 16, 3), 16, seed=9)
    a, b = tiny.predict(x, verbose=0), prepared.model.predict(x, verbose=0)
    cosine = np.sum(a * b, axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() > 0.97


def test_relu_networks_get_quantized_relu() -> None:
    prepared = prepare(batchnorm_model(), grid_inputs((6, 6, 2), 8), PrepareConfig(ActivationBits=6))
    relu = prepared.model.get_layer("relu").quantizer
    assert type(relu).__name__ == "quantized_relu" and relu.bits == 6
    assert "dense_q" == prepared.model.layers[-1].name
    assert prepared.report["layers"]["relu"]["activation_type"].startswith("ufixed<6,")


def test_exceptions_by_layer_are_obeyed(tiny: Any, calibration: np.ndarray) -> None:
    config = PrepareConfig(
        Layers={
            "block1_dw": LayerBits(WeightBits=4),
            "block1_dw_prelu": LayerBits(ActivationBits=6),
            "embedding": LayerBits(ActivationBits=12),
        }
    )
    layers = prepare(tiny, calibration, config).report["layers"]
    assert layers["block1_dw"]["weight_type"].startswith("fixed<4,")
    assert layers["block1_dw_prelu"]["activation_type"].startswith("fixed<6,")
    assert layers["embedding"]["activation_type"].startswith("fixed<12,")
    assert layers["block1_expand"]["weight_type"].startswith("fixed<8,")


@pytest.mark.parametrize(
    ("layer", "bits", "message"),
    [
        ("stem_cnov", LayerBits(WeightBits=4), "did you mean 'stem_conv'"),
        ("block2_add", LayerBits(WeightBits=4), "has no weights"),
        ("stem_conv", LayerBits(ActivationBits=4), "not quantized.*\n.*stem_conv_prelu"),
        ("stem_conv", LayerBits(WeightBits=1), "1-bit weights"),
        ("block2_add", LayerBits(WeightFormat="codebook<4>"), "has no weights"),
    ],
)
def test_wrong_exceptions_are_named(
    tiny: Any, calibration: np.ndarray, layer: str, bits: LayerBits, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        prepare(tiny, calibration, PrepareConfig(Layers={layer: bits}))


def test_bad_calibration_and_weights_are_refused(tiny: Any, calibration: np.ndarray) -> None:
    nan = calibration.copy()
    nan[1, 2, 3, 0] = np.nan
    for data, message in (
        (calibration[:0], "do not fit"),
        (calibration[:, :8], "do not fit"),
        (nan, "NaN"),
        (calibration + np.float32(0.003), "input grid"),
        (calibration * 2, "input grid"),
    ):
        with pytest.raises(UserError, match=message):
            prepare(tiny, data, PrepareConfig())
    broken = registry.load("mobilefacenet-tiny")
    broken.get_layer("head_gdc").set_weights([w * np.inf for w in broken.get_layer("head_gdc").get_weights()])
    with pytest.raises(UserError, match="head_gdc"):
        prepare(broken, calibration, PrepareConfig())


def test_preparing_twice_gives_the_same_weights(tiny: Any, prepared: Any, calibration: np.ndarray) -> None:
    again = prepare(tiny, calibration, PrepareConfig())
    assert again.report == prepared.report
    pairs = zip(again.model.get_weights(), prepared.model.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


# exact evaluation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["jet-mlp", "tiny-cnn", "mobilefacenet-tiny"])
def test_small_networks_are_exact_in_float32_already(name: str, prepared: Any) -> None:
    model = prepared.model if name == "mobilefacenet-tiny" else registry.load(name)
    x = grid_inputs(model.input_shape[1:], 5)
    names = [layer.name for layer in model.layers]
    exact = predict_exact(model, x, names, batch_size=2)
    for layer, expected in zip(names, outputs_of(model, names, x), strict=True):
        assert exact[layer].dtype == np.float64
        assert np.array_equal(exact[layer], expected), layer


@pytest.mark.parametrize("slope", [0.0, 0.25])
def test_sums_beyond_float32_stay_exact(slope: float) -> None:
    import tensorflow as tf
    from qkeras import QActivation, QDense, quantized_bits, quantized_relu

    inputs = tf.keras.Input((64,), name="input")
    x = QDense(16, kernel_quantizer=quantized_bits(16, 0, alpha=1), use_bias=False, name="dense")(inputs)
    model = tf.keras.Model(inputs, QActivation(quantized_relu(24, 4, negative_slope=slope), name="relu")(x))
    rng = np.random.default_rng(0)
    codes, weights = rng.integers(-(2**15), 2**15, (8, 64)), rng.integers(-(2**15), 2**15, (64, 16))
    model.get_layer("dense").set_weights([weights / 2**15])
    found = predict_exact(model, codes / 2**15, ["dense", "relu"])
    sums = codes @ weights
    assert np.array_equal(found["dense"] * 2**30, sums)
    bits = 24 - (slope > 0)
    rounded = np.rint(sums / 2 ** (30 - (bits - 4)))  # exact: far below 2**53
    negative = np.rint(sums * slope / 2 ** (30 - (bits - 4)))
    expected = np.where(sums > 0, np.minimum(rounded, 2**bits - 1), np.maximum(negative, -slope * 2**bits))
    assert np.array_equal(found["relu"] * 2 ** (bits - 4), expected)
    assert not np.array_equal(
        outputs_of(model, ["dense"], (codes / 2**15).astype(np.float32))[0], found["dense"]
    )


def test_exact_evaluation_leaves_keras_as_it_was() -> None:
    from tensorflow.keras import backend

    model = registry.load("jet-mlp")
    predict_exact(model, grid_inputs((16,), 1))
    assert backend.floatx() == "float32"
    assert model.predict(grid_inputs((16,), 1), verbose=0).dtype == np.float32
    with pytest.raises(UserError, match="did you mean 'relu1'"):
        predict_exact(model, grid_inputs((16,), 1), ["relu11"])
    with pytest.raises(ValueError):
        predict_exact(model, grid_inputs((15,), 1))
    assert backend.floatx() == "float32"


# the real network ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_mobilefacenet_keeps_its_accuracy_in_eight_bits() -> None:
    from hwflow.faces.align import align, to_input
    from hwflow.faces.orl import load_orl
    from hwflow.faces.verification import evaluate, paired_cosine

    pytest.importorskip("cv2")
    try:
        model, faces = registry.load("mobilefacenet"), load_orl()
    except (ToolError, ToolNotFoundError) as error:
        pytest.skip(str(error))
    pixels = align(faces.images, "yunet").images
    x = to_input(pixels)
    evaluated = faces.people > 10
    prepared = prepare(model, x[~evaluated][::4], PrepareConfig()).model
    found = prepared.predict(x[evaluated], batch_size=20, verbose=0)
    expected = model.predict((pixels[evaluated].astype(np.float32) - 127.5) / 128, verbose=0)
    assert paired_cosine(found, expected).min() >= 0.97
    assert evaluate(found, faces.people[evaluated]).accuracy >= 0.993


def test_channels_that_matter_least_are_taken_out(tiny: Any, calibration: np.ndarray) -> None:
    """Layers become smaller; where the channels taken out are dead, the function stays."""
    from hwflow.prepare.prune import prune, spans

    net = from_keras(tiny)
    fold_batchnorm(net)
    dead = {}
    for span in spans(net):
        chosen = np.arange(span.writer.channels) % 4 == 1
        span.reader.arrays["kernel"][:, :, chosen] *= 1e-9
        dead[span.writer.name] = int(chosen.sum())
    assert "block1_expand" in dead
    assert "block2_project" not in dead, "an addition ties its channels to others"
    before, counts = build(net), {name: net.nodes[name].channels for name in dead}
    prune(net, 0.25, calibration)
    after = build(net)
    assert {name: counts[name] - net.nodes[name].channels for name in dead} == dead
    assert after.count_params() < before.count_params()
    assert differ(before, after, calibration) < 1e-5


def test_a_pruned_network_is_quantized(tiny: Any, calibration: np.ndarray, prepared: Any) -> None:
    full, half = prepared.model, prepare(tiny, calibration, PrepareConfig(Prune=0.5)).model
    assert half.get_layer("block1_expand").filters == full.get_layer("block1_expand").filters // 2
    assert half.output_shape == full.output_shape


def test_nothing_to_prune(calibration: np.ndarray) -> None:
    import tensorflow as tf

    inputs = tf.keras.Input((16, 16, 3))
    model = tf.keras.Model(inputs, tf.keras.layers.Conv2D(2, 3)(inputs))
    with pytest.raises(ConfigError, match="no channels between two convolutions"):
        prepare(model, calibration, PrepareConfig(Prune=0.5))
