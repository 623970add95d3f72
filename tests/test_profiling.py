# SPDX-License-Identifier: Apache-2.0
"""hls4ml's own profiling works on the backend: it draws weights, activations and differences of the RTL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.tf, pytest.mark.sim]


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any, Any]]:
    """Keras model, RTL model and frames on the input grid; figures go nowhere."""
    import hls4ml
    import matplotlib
    import matplotlib.pyplot as plt
    from qkeras import QActivation, QConv2D, QDense, quantized_bits
    from tensorflow.keras import Input, Model, layers, utils

    matplotlib.use("Agg")
    utils.set_random_seed(6)

    def bits(width: int) -> Any:
        return quantized_bits(width, 0, alpha=1)

    inputs = Input((5, 5, 2), name="pixels")
    x = QConv2D(3, 3, kernel_quantizer=bits(4), bias_quantizer=bits(5), activation="relu", name="conv")(
        inputs
    )
    x = QActivation("quantized_bits(6,2,alpha=1)", name="act")(x)
    x = layers.Flatten(name="flat")(x)
    model = Model(inputs, QDense(4, kernel_quantizer=bits(4), bias_quantizer=bits(5), name="fc")(x))
    model.set_weights([np.random.default_rng(1).normal(0, 0.4, w.shape) for w in model.weights])
    config = hls4ml.utils.config_from_keras_model(model, granularity="name", backend="Hwflow")
    config["LayerName"]["pixels"]["Precision"]["result"] = "fixed<6,1>"
    rtl = hls4ml.converters.convert_from_keras_model(
        model,
        hls_config=config,
        backend="Hwflow",
        output_dir=str(tmp_path_factory.mktemp("profiling") / "rtl"),
    )
    rtl.compile()
    frames = np.random.default_rng(2).integers(-32, 32, (6, 5, 5, 2)).astype(np.float32) / 32
    yield model, rtl, frames
    plt.close("all")


def _labels(figure: Any) -> list[str]:
    """What the boxes of a plot stand for."""
    axes = figure.axes[0]
    texts = [*axes.get_yticklabels(), *axes.get_xticklabels()]
    return [text.get_text() for text in texts if text.get_text()]


def test_numerical_draws_keras_and_rtl(
    profiled: tuple[Any, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hls4ml.model import profiling

    model, rtl, frames = profiled
    monkeypatch.chdir(tmp_path)
    before, after, keras, hardware = profiling.numerical(model=model, hls_model=rtl, X=frames)
    for weights in (before, after):
        assert {"conv/w", "conv/b", "fc/w", "fc/b"} <= set(_labels(weights))
    assert {"conv", "act", "flat", "fc"} <= set(_labels(keras))
    assert {"conv", "conv_relu", "act", "fc"} <= set(_labels(hardware))
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_layers_of_keras_and_rtl_have_the_same_names_and_values(profiled: tuple[Any, Any, Any]) -> None:
    from hls4ml.model import profiling

    model, rtl, frames = profiled
    expected = profiling.get_ymodel_keras(model, frames)
    _, traced = rtl.trace(frames)
    assert set(expected) == set(traced)
    for name, values in traced.items():
        assert np.array_equal(values, expected[name]), name
        assert np.ptp(values) > 0, name


@pytest.mark.parametrize("plot", ["norm_diff", "dist_diff"])
def test_compare_draws_no_difference(profiled: tuple[Any, Any, Any], plot: str) -> None:
    from hls4ml.model import profiling

    model, rtl, frames = profiled
    with np.errstate(invalid="ignore"):  # hls4ml divides by the norm of the difference, which is zero
        figure = profiling.compare(model, rtl, frames, plot_type=plot)
    axes = figure.axes[0]
    assert {"conv", "conv_relu", "act", "flat", "fc"} == set(_labels(figure)) - {
        text.get_text() for text in axes.get_yticklabels()
    }
    if plot == "norm_diff":
        assert [bar.get_height() for bar in axes.patches] == [0] * 5
        with np.errstate(invalid="ignore"):
            other = profiling.compare(model, rtl, frames * 3, plot_type=plot)
        assert (
            max(bar.get_height() for bar in other.axes[0].patches) > 0
        )  # the border saturates nothing: it wraps
