# SPDX-License-Identifier: Apache-2.0
"""Scales, calibration and repair of quantized networks, and what is folded before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hwflow.cli.app import app
from hwflow.config.schema import PrepareConfig
from hwflow.emit.design import build_design
from hwflow.emit.rtl import write_rtl
from hwflow.errors import UnsupportedLayerError, UserError
from hwflow.formats import Fixed
from hwflow.models import registry
from hwflow.numerics.codes import from_codes
from hwflow.numerics.fixed import Cast, FixedType
from hwflow.prepare import predict_exact, prepare
from hwflow.prepare.build import build
from hwflow.prepare.calibrate import magnitudes, saturation_points
from hwflow.prepare.equalize import equalize, free_groups
from hwflow.prepare.fold import Folding, fold_batchnorm
from hwflow.prepare.grids import channel_scales, offset_grid, to_grid
from hwflow.prepare.net import WEIGHTED, from_keras
from hwflow.prepare.pipeline import activation_ranges, float_net
from hwflow.prepare.quantize import choose_grids, quantized_tensors
from hwflow.prepare.repair import feedback_round, repair
from hwflow.prepare.simulate import Simulation, simulated_weights
from hwflow.verify.csim import Csim
from hwflow.verify.golden import run_golden
from hwflow.verify.rtlsim import RtlSimulator

pytestmark = pytest.mark.tf

INPUT = Cast.parse("fixed<8,1>")


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Smooth random inputs on the grid ``fixed<8,1>``, so that neighbours go together as in real pictures."""
    noise = np.random.default_rng(seed).normal(0, 60, (count, 5, 5, 3))
    smooth = np.repeat(np.repeat(noise, 2, axis=1), 2, axis=2)
    return (np.clip(np.rint(smooth), -128, 127) / 128).astype(np.float32)


def dense_block(seed: int = 1) -> Any:
    """A DenseNet of two blocks for pictures of 10x10 pixels: all layers that take part in folding."""
    import tensorflow as tf

    from hwflow.models.seeding import seed_weights

    layers = tf.keras.layers

    def normalized(x: Any, name: str) -> Any:
        return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(x))

    inputs = layers.Input((10, 10, 3), name="picture")
    x = normalized(layers.Conv2D(8, 3, 1, padding="same", use_bias=False, name="stem")(inputs), "stem")
    x = layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    for number in (1, 2):
        y = normalized(x, f"block{number}_a")
        y = normalized(layers.Conv2D(6, 1, name=f"block{number}_a_conv")(y), f"block{number}_b")
        y = layers.Conv2D(4, 3, padding="same", name=f"block{number}_b_conv")(y)
        x = layers.Concatenate(name=f"block{number}_concat")([x, y])
    x = layers.AveragePooling2D(2, 1, padding="same", name="smooth")(x)
    x = layers.Dense(5, name="embedding")(layers.GlobalAveragePooling2D(name="mean")(x))
    return seed_weights(tf.keras.Model(inputs, x, name="dense_block"), seed)


@pytest.fixture(scope="module")
def network() -> Any:
    return dense_block()


@pytest.fixture(scope="module")
def calibration() -> np.ndarray:
    return pictures(24)


# folding -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "removed", "alone", "parameters"),
    [("densenet-1.0", 7, 6, 5_056), ("densenet-2.0", 19, 19, 19_008), ("mobilefacenet-tiny", 0, 0, 0)],
)
def test_folding_saves_what_was_published(name: str, removed: int, alone: int, parameters: int) -> None:
    result = CliRunner().invoke(app, ["models", "fold", name, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "name": name,
        "layers_removed": removed,
        "scales_and_offsets": alone,
        "parameters_removed": parameters,
        "parameters": registry.MODELS[name].params - parameters,
    }


def test_folding_is_exact_and_counted(network: Any, calibration: np.ndarray) -> None:
    net = from_keras(network)
    saved = fold_batchnorm(net)
    # three follow a convolution, of which the first brings its biases: 3 x 8 + 4 x 6 + 4 x 6; two keep 2 of 4
    assert saved == Folding(removed=3, alone=2, parameters=3 * 8 + 2 * 4 * 6 + 2 * (8 + 12))
    folded = build(net)
    assert network.count_params() - folded.count_params() == saved.parameters
    assert net.nodes["block2_a_bn"].kind == "depthwise"
    (before,) = predict_exact(network, calibration).values()
    (after,) = predict_exact(folded, calibration).values()
    assert np.abs(before - after).max() <= 1e-6 * np.abs(before).max()


def test_equalisation_stops_at_concatenations(network: Any, calibration: np.ndarray) -> None:
    net = from_keras(network)
    fold_batchnorm(net)
    before = {node.name: node.arrays["kernel"].copy() for node in net if node.kind in WEIGHTED}
    scaled = {tensor for group in free_groups(net) for tensor in group.tensors}
    assert scaled == {f"block{n}_{t}" for n in (1, 2) for t in ("a_bn", "a_relu", "a_conv", "b_relu")}
    equalize(net)
    changed = {name for name, kernel in before.items() if (net.nodes[name].arrays["kernel"] != kernel).any()}
    assert changed == {f"block{n}_{t}" for n in (1, 2) for t in ("a_bn", "a_conv", "b_conv")}
    (a,), (b,) = (predict_exact(m, calibration).values() for m in (network, build(net)))
    assert np.abs(a - b).max() <= 1e-6 * np.abs(a).max()


def test_channels_joined_on_another_axis_are_refused() -> None:
    import tensorflow as tf

    inputs = tf.keras.Input((4, 4, 2))
    rows = tf.keras.layers.Concatenate(axis=1, name="rows")([inputs, inputs])
    with pytest.raises(UnsupportedLayerError, match=r"'rows'.*another axis"):
        from_keras(tf.keras.Model(inputs, rows))


# calibration ---------------------------------------------------------------------------------------


def identity() -> Any:
    import tensorflow as tf

    inputs = tf.keras.Input((1000, 1, 1), name="input")
    return tf.keras.Model(inputs, tf.keras.layers.Activation("linear", name="same")(inputs))


@pytest.mark.parametrize("method", ["mse", "kl"])
def test_a_lone_outlier_is_saturated_and_a_full_range_is_not(method: str) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (16, 1000, 1, 1)).astype(np.float32)
    grid = {"same": FixedType(True, 4, 0)}
    assert saturation_points(identity(), grid, x, method) == {"same": 1.0}
    x[3, 5] = 7.5
    assert magnitudes(identity(), ["same"], x, 100)["same"] == 7.5
    assert saturation_points(identity(), grid, x, method) == {"same": 1.0}
    assert saturation_points(identity(), grid, 0 * x, method) == {"same": 0.0}


def test_more_bits_spend_less_on_saturation() -> None:
    x = np.random.default_rng(0).laplace(0, 1, (16, 1000, 1, 1)).astype(np.float32)
    ends = [
        saturation_points(identity(), {"same": FixedType(True, bits, 0)}, x, "mse")["same"] for bits in (3, 8)
    ]
    assert ends[0] < ends[1]


@pytest.mark.parametrize("method", ["percentile", "max", "mse", "kl"])
def test_every_calibration_gives_every_range(network: Any, calibration: np.ndarray, method: Any) -> None:
    config = PrepareConfig(Calibration=method)
    net, _ = float_net(network, calibration, config)
    ranges = activation_ranges(net, build(net), calibration, config)
    assert list(ranges) == quantized_tensors(net) and min(ranges.values()) > 0


# scales --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("power_of_two", [True, False])
def test_channel_scales_follow_their_channels(power_of_two: bool) -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 1, (3, 3, 16, 4)) * [1, 0.3, 0.07, 0]
    scales = channel_scales(kernel, 4, 3, power_of_two=power_of_two, precision=8)
    assert (np.diff(scales[:3]) < 0).all() and (scales > 0).all()
    codes = scales / scales.min() if power_of_two else scales / 2.0 ** (np.ceil(np.log2(scales.max())) - 8)
    assert np.array_equal(codes, np.rint(codes))
    if power_of_two:
        assert np.array_equal(np.log2(scales), np.rint(np.log2(scales)))
    grid = FixedType(True, 4, 3)
    one = np.full(4, scales[0])
    errors = [np.square(to_grid(kernel / s, grid) * s - kernel).sum() for s in (scales, one)]
    assert errors[0] < 0.8 * errors[1]


def test_offsets_hold_the_largest() -> None:
    values = np.array([3.0, -4.0, 0.001])
    grid = offset_grid(values, 16)
    assert np.abs(to_grid(values, grid) - values).max() <= 2.0 ** -(grid.frac + 1)
    assert offset_grid(0 * values, 16).frac > 0


def errors_of(network: Any, calibration: np.ndarray, **settings: Any) -> float:
    """Mean squared error of the outputs on other pictures than those of the calibration."""
    prepared = prepare(network, calibration, PrepareConfig(WeightBits=4, OutputBits=16, **settings)).model
    x = pictures(40, seed=9)
    (a,), (b,) = (predict_exact(m, x).values() for m in (network, prepared))
    return float(np.square(a - b).mean())


def test_each_repair_lowers_the_error(network: Any, calibration: np.ndarray) -> None:
    plain = errors_of(network, calibration)
    corrected = errors_of(network, calibration, BiasCorrection=True)
    adaptive = errors_of(network, calibration, Rounding="adaptive")
    both = errors_of(network, calibration, Rounding="adaptive", BiasCorrection=True)
    assert corrected < 0.9 * plain and adaptive < 0.9 * plain and both < 0.7 * plain


def test_wrong_formats_are_named(network: Any, calibration: np.ndarray) -> None:
    for settings, message in (
        ({"WeightFormat": "codebok<16>"}, "did you mean 'codebook'"),
        ({"WeightFormat": "minifloat<9,3>"}, "choose one from 1 to 5"),
        ({"WeightFormat": "codebook<64>"}, "centroids for"),
        ({"WeightFormat": "codebook<4>", "Scale": "channel"}, "Scale 'channel' is for fixed point"),
    ):
        with pytest.raises(UserError, match=message):
            prepare(network, calibration, PrepareConfig(**settings))


# repair --------------------------------------------------------------------------------------------


def test_feedback_rounding_beats_rounding_to_nearest() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (400, 6)) @ rng.normal(0, 1, (6, 24)) + 0.1 * rng.normal(0, 1, (400, 24))
    moments = (x.T @ x / len(x))[None]
    weights, grid = rng.normal(0, 0.3, (1, 24, 10)), Fixed(4, 1)
    rounded = feedback_round(weights, moments, grid)
    assert np.array_equal(grid.quantize(rounded), rounded)
    error, nearest = (np.square(x @ (w - weights)[0]).mean() for w in (rounded, grid.quantize(weights)))
    assert error < 0.3 * nearest
    apart = feedback_round(weights, np.eye(24)[None], grid)
    assert np.array_equal(apart, grid.quantize(weights))  # independent inputs make up for nothing


def test_bias_correction_takes_the_mean_error_out(network: Any, calibration: np.ndarray) -> None:
    config = PrepareConfig(WeightBits=3, BiasCorrection=True)
    net, _ = float_net(network, calibration, config)
    reference = build(net)
    scheme = choose_grids(net, activation_ranges(net, reference, calibration, config), config)
    plain = build(net, scheme)
    repair(net, scheme, calibration, config)
    (a,), (b,), (c,) = (
        predict_exact(m, calibration).values() for m in (reference, plain, build(net, scheme))
    )
    assert np.abs((c - a).mean(axis=0)).max() < 0.1 * np.abs((b - a).mean(axis=0)).max()


def test_repair_is_the_same_every_time(network: Any, calibration: np.ndarray) -> None:
    config = PrepareConfig(WeightBits=5, Rounding="adaptive", BiasCorrection=True, Scale="channel")
    first, again = (prepare(network, calibration, config) for _ in range(2))
    assert first.report == again.report
    pairs = zip(first.model.get_weights(), again.model.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("scale", ["layer", "channel_po2", "channel"])
def test_simulation_is_the_model(network: Any, calibration: np.ndarray, scale: Any) -> None:
    """Equal but for values that float32 sums put on the other side of a rounding."""
    config = PrepareConfig(Scale=scale)
    net, _ = float_net(network, calibration, config)
    scheme = choose_grids(net, activation_ranges(net, build(net), calibration, config), config)
    found = Simulation(net, batch_size=7).run(calibration, simulated_weights(net, scheme), scheme.activations)
    (exact,) = predict_exact(build(net, scheme), calibration).values()
    step = 2.0 ** -scheme.activations["embedding"].grid.frac
    assert np.abs(found - exact).max() <= 3e-3 * np.abs(exact).max() + step
    (plain,) = predict_exact(network, calibration).values()
    unquantized = Simulation(net).run(calibration, simulated_weights(net), {})
    assert np.abs(unquantized - plain).max() <= 1e-5 * np.abs(plain).max()


# hardware ------------------------------------------------------------------------------------------


@pytest.mark.sim
@pytest.mark.slow
def test_repaired_networks_are_exact_on_every_rung(
    network: Any, calibration: np.ndarray, tmp_path: Path
) -> None:
    """QKeras in float64 = golden model = hls4ml's C++ = RTL."""
    from hwflow.frontends.keras_hls4ml import convert, write_project
    from hwflow.frontends.lower import lower

    x = pictures(6, seed=4)
    repaired: dict[str, Any] = {"Rounding": "adaptive", "BiasCorrection": True, "WeightBits": 5}
    for settings in (
        {"WeightFormat": "minifloat<4,3>", "ActivationFormat": "minifloat<4,3>"},
        {"WeightFormat": "codebook<8>"},
        {"Calibration": "kl", "Scale": "channel_po2"},
        {"Calibration": "mse", "Scale": "channel"},
    ):
        model = prepare(network, calibration, PrepareConfig(**repaired, **settings)).model
        arguments: dict[str, Any] = {
            "hls_config": {}, "input_type": INPUT, "io_type": "io_stream", "clock_period": 5.0,
            "part": "xc7z045ffg900-2", "project_name": "net",
        }  # fmt: skip
        graph = lower(convert(model, backend="Hwflow", output_dir=tmp_path / "hw", **arguments), "net")
        (name,), codes = graph.outputs, np.rint(x * 128).astype(np.int64)
        golden = run_golden(graph, {graph.inputs[0]: codes})[name]
        (exact,) = predict_exact(model, x).values()
        assert np.array_equal(from_codes(golden, graph.node(name).type), exact), settings
        assert {node.op for node in graph} >= {"concat", "pool", "depthwise_conv2d"}
        assert ("affine" in {node.op for node in graph}) == ("Scale" in settings)
    frames = from_codes(codes, INPUT.type)
    csim = Csim(write_project(convert(model, backend="Vitis", output_dir=tmp_path / "hls", **arguments)))
    (values,) = csim.outputs(frames)
    assert np.array_equal(values.reshape(golden.shape), golden)
    design = build_design(graph)
    write_rtl(design, tmp_path / "rtl")
    simulator = RtlSimulator(tmp_path / "rtl", tmp_path / "sim.log")
    simulator.build()
    for idle, stall in ((0, 0), (300, 300)):
        assert np.array_equal(simulator.run(codes, idle=idle, stall=stall).codes, golden)
