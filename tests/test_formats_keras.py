# SPDX-License-Identifier: Apache-2.0
"""Number formats as QKeras quantizers: values, gradients, saving and loading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from hwflow.errors import UserError
from hwflow.formats import parse
from hwflow.models.source import load_source
from hwflow.prepare.exact import predict_exact

if TYPE_CHECKING:
    import tensorflow as tf

pytestmark = [pytest.mark.tf]

SPECS = (
    "fixed<6>",
    "minifloat<4,3>",
    "minifloat<5,2>",
    "pow2<-6,0>",
    "codebook<16>",
    "hybrid<8,minifloat<4,3>>",
    "binary",
    "ternary<0.33>",
    "auto<fixed<8>>",
    "auto_po2<ternary>",
    "auto_po2<fixed<4>,-2>",
)


def network() -> tf.keras.Model:
    """A network of three kinds of layers with weights in three formats, and mini floats between."""
    import tensorflow as tf
    from qkeras import QActivation, QConv2D, QDense, QDepthwiseConv2D

    from hwflow.formats.keras import FormatQuantizer

    rng = np.random.default_rng(3)
    kernels = [rng.normal(0, 0.4, shape) for shape in ((3, 3, 2, 6), (3, 3, 6, 1), (54, 4))]
    specs = ("codebook<8,fixed<7>>", "auto_po2<fixed<4>,-2>", "minifloat<4,3>")
    made = [FormatQuantizer(parse(s).fit(k), s) for s, k in zip(specs, kernels, strict=True)]
    bias = FormatQuantizer("fixed<8,1>")
    x = inputs = tf.keras.Input((5, 5, 2), name="input")
    x = QConv2D(6, 3, kernel_quantizer=made[0], bias_quantizer=bias, name="conv")(x)
    x = QActivation(FormatQuantizer("minifloat<4,3>"), name="mini")(x)
    x = QDepthwiseConv2D(
        3, padding="same", depthwise_quantizer=made[1], bias_quantizer=bias, name="depthwise"
    )(x)
    x = QActivation(FormatQuantizer("fixed<8,3>"), name="fixed")(x)
    x = tf.keras.layers.Flatten(name="flatten")(x)
    x = QDense(4, kernel_quantizer=made[2], bias_quantizer=bias, name="dense")(x)
    model = tf.keras.Model(inputs, x)
    for name, kernel in zip(("conv", "depthwise", "dense"), kernels, strict=True):
        layer = model.get_layer(name)
        layer.set_weights([kernel, rng.normal(0, 0.2, layer.bias.shape)])
    return model


@pytest.mark.parametrize("spec", SPECS)
def test_quantizer_gives_the_values_of_the_format_in_both_precisions(spec: str) -> None:
    import tensorflow as tf

    from hwflow.formats.keras import FormatQuantizer

    values = np.random.default_rng(1).normal(0, 0.5, (3, 3, 4, 8)).astype(np.float32)
    values.flat[:4] = (0.0, 0.5, -0.5, 1.0625)  # some ties
    found = parse(spec).fit(values)
    for dtype in (np.float32, np.float64):
        x = tf.Variable(values.astype(dtype))
        with tf.GradientTape() as tape:
            y = FormatQuantizer(found)(x)
            loss = tf.reduce_sum(y * 3)
        assert np.array_equal(tape.gradient(loss, x).numpy(), np.full(values.shape, 3, dtype))
        expected = found.quantize(values)
        if spec == "auto<fixed<8>>" and dtype is np.float32:  # a quotient by a real scale rounds
            assert (y.numpy() != expected).mean() < 0.01
        else:
            assert np.array_equal(y.numpy(), expected)


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_saved_models_load_and_compute_the_same(tmp_path: Path, suffix: str) -> None:
    model = network()
    frames = np.random.default_rng(5).integers(-32, 32, (3, 5, 5, 2)) / 32.0
    model.save(tmp_path / f"net.{suffix}")
    again = load_source(f"net.{suffix}", base_dir=tmp_path, trust=False, seed=1)
    assert np.array_equal(again.predict(frames, verbose=0), model.predict(frames, verbose=0))
    first, second = (predict_exact(m, frames, ["mini", "dense"]) for m in (model, again))
    for name in first:
        assert np.array_equal(first[name], second[name])
    mini = parse("minifloat<4,3>")
    assert np.array_equal(mini.quantize(first["mini"]), first["mini"]) and np.unique(first["mini"]).size > 20


def test_training_moves_weights_and_refit_their_formats() -> None:
    from hwflow.formats.keras import refit

    model = network()
    frames = np.random.default_rng(5).normal(0, 1, (64, 5, 5, 2)).astype(np.float32)
    model.compile("sgd", "mse")
    before = model.get_layer("conv").kernel_quantizer_internal.format
    losses = []
    for _ in range(3):
        losses += model.fit(frames, np.ones((64, 4)), epochs=2, verbose=0).history["loss"]
        refit(model)
    after = model.get_layer("conv").kernel_quantizer_internal.format
    kernel = model.get_layer("conv").kernel.numpy()
    assert losses[-1] < losses[0] and after != before and after == parse("codebook<8,fixed<7>>").fit(kernel)


def test_an_unfitted_format_is_no_quantizer() -> None:
    from hwflow.formats.keras import FormatQuantizer

    with pytest.raises(UserError, match="codebook<16> has no parameters yet") as caught:
        FormatQuantizer("codebook<16>")
    assert "fit" in caught.value.remedy


def test_scales_must_be_those_of_the_weights() -> None:
    import tensorflow as tf

    from hwflow.formats.keras import FormatQuantizer

    made = FormatQuantizer(parse("auto_po2<fixed<4>>").fit(np.ones((3, 4))))
    with pytest.raises(UserError, match=r"4 scales for weights of shape \(4, 3\)") as caught:
        made(tf.ones((4, 3)))
    assert "axis -2" in caught.value.remedy
