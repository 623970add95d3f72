# SPDX-License-Identifier: Apache-2.0
"""C simulation equals QKeras in every bit, and fails loudly."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from hwflow.errors import ToolError, ToolNotFoundError, UserError
from hwflow.numerics.codes import from_codes
from hwflow.numerics.fixed import Cast
from hwflow.verify.csim import Csim

if TYPE_CHECKING:
    import tensorflow as tf

pytestmark = [pytest.mark.tf, pytest.mark.slow]

INPUT = Cast.parse("fixed<8,1>")
REUSE = {
    # around every boundary of hls4ml's kernels: below, above and beside the number of channels
    "same3": 9,
    "strided": 180,
    "point": 24,
    "depth_same": 27,
    "depth_strided": 9,
    "dense": 7,
}


def network() -> tf.keras.Model:
    """Every supported layer and quantizer in 28 layers on 8x8 pixels."""
    from qkeras import (
        QActivation,
        QConv2D,
        QDense,
        QDepthwiseConv2D,
        binary,
        quantized_bits,
        quantized_po2,
        quantized_relu,
        ternary,
    )
    from tensorflow.keras import Input, Model
    from tensorflow.keras.layers import Add, Flatten, PReLU, ReLU

    def bits(width: int, integer: int, **more: Any) -> quantized_bits:
        return quantized_bits(width, integer, alpha=1, **more)

    def conv(filters: int, size: int, name: str, kernel: Any = None, **more: Any) -> QConv2D:
        return QConv2D(
            filters,
            size,
            name=name,
            kernel_quantizer=kernel or bits(6, 0),
            bias_quantizer=bits(8, 1),
            **more,
        )

    def depthwise(size: int, name: str, kernel: Any = None, **more: Any) -> QDepthwiseConv2D:
        return QDepthwiseConv2D(
            size, name=name, depthwise_quantizer=kernel or bits(6, 0), bias_quantizer=bits(8, 1), **more
        )

    inputs = Input((8, 8, 3), name="image")
    x = conv(4, 3, "same3", padding="same")(inputs)
    x = PReLU(shared_axes=[1, 2], name="prelu_1")(x)
    block = x = QActivation(bits(8, 2), name="bits_8")(x)
    x = conv(6, 1, "point")(x)
    x = QActivation(quantized_relu(4, 2), name="relu_4")(x)
    x = depthwise(3, "depth_same", padding="same")(x)
    x = PReLU(shared_axes=[1, 2], name="prelu_2")(x)
    x = QActivation(bits(4, 2), name="bits_4")(x)
    x = conv(4, 1, "project")(x)
    x = Add(name="add_quantized")([x, block])
    x = QActivation(bits(8, 3, symmetric=1), name="symmetric")(x)
    x = conv(5, 3, "strided", quantized_bits(4, 0, alpha="auto_po2"), strides=2, padding="same")(x)
    x = QActivation(bits(6, 2, keep_negative=0), name="unsigned")(x)
    x = depthwise(3, "depth_strided", quantized_bits(4, 0, alpha="auto_po2"), strides=2, padding="same")(x)
    x = QActivation(bits(2, 1), name="bits_2")(x)
    left = QConv2D(5, 1, use_bias=False, kernel_quantizer=quantized_po2(4), name="power_of_two")(x)
    right = conv(5, 2, "ternary", ternary(alpha=1), padding="same")(x)
    x = Add(name="add_raw")([left, right])
    x = ReLU(name="relu")(x)
    x = QActivation(quantized_relu(3, 3), name="relu_3")(x)
    x = depthwise(2, "depth_global", padding="valid")(x)
    x = Flatten(name="flat")(x)
    x = QDense(7, kernel_quantizer=binary(alpha=1), bias_quantizer=bits(8, 1), name="binary")(x)
    x = PReLU(name="prelu_vector")(x)
    x = QActivation(bits(8, 3), name="bits_vector")(x)
    outputs = QDense(
        4, kernel_quantizer=bits(6, 0), bias_quantizer=bits(8, 1), activation="relu", name="dense"
    )(x)
    model = Model(inputs, outputs)
    rng = np.random.default_rng(3)
    model.set_weights(
        [
            np.rint(rng.normal(0, 40, w.shape)) / 32 if "alpha" in w.name else rng.normal(0, 0.5, w.shape)
            for w in model.weights
        ]
    )
    return model


@dataclass
class Built:
    """A network with its compiled C++ and stimuli."""

    model: tf.keras.Model
    csim: Csim
    frames: NDArray[np.float64]


@pytest.fixture(scope="module", params=["io_stream", "io_parallel"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(request.param, tmp_path_factory.mktemp("csim"))


def build(io_type: Literal["io_stream", "io_parallel"], folder: Path) -> Built:
    """Convert, write and compile the network."""
    from hwflow.frontends.keras_hls4ml import convert, write_project

    model = network()
    graph = convert(
        model,
        backend="Vitis",
        hls_config={"LayerName": {name: {"ReuseFactor": factor} for name, factor in REUSE.items()}},
        input_type=INPUT,
        io_type=io_type,
        clock_period=5.0,
        part="xc7z045ffg900-2",
        project_name="net",
        output_dir=folder / "hls",
    )
    frames = from_codes(np.random.default_rng(0).integers(-128, 128, (24, 8, 8, 3)), INPUT.type)
    return Built(model, Csim(write_project(graph)), frames)


def keras_layers(model: tf.keras.Model, frames: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Output of every Keras layer (exact: all sums stay below 2^24 units)."""
    from tensorflow.keras import Model

    layers = model.layers[1:]
    outputs = Model(model.inputs, [layer.output for layer in layers]).predict(frames, verbose=0)
    return {layer.name: np.float64(values) for layer, values in zip(layers, outputs, strict=True)}


def test_every_layer_equals_qkeras(built: Built) -> None:
    expected = keras_layers(built.model, built.frames)
    expected["dense_relu"] = expected.pop("dense")  # the layer without its activation is no Keras layer
    traced = built.csim.trace(built.frames)
    types = built.csim.layer_types
    assert set(expected) - set(traced) <= {"flat"}  # a stream is flat anyway
    assert set(traced) - set(expected) == {"dense"}
    for name, values in expected.items():
        if name in traced:
            assert np.array_equal(from_codes(traced[name], types[name]), values), name
            assert len(np.unique(values)) > 2, f"{name} is not exercised"


def test_output_equals_qkeras_and_keeps_the_batch_axis(built: Built) -> None:
    expected = np.float64(built.model.predict(built.frames, verbose=0))
    assert np.array_equal(from_codes(built.csim.run(built.frames), built.csim.output_type), expected)
    one = built.csim.run(built.frames[:1])
    assert np.array_equal(from_codes(one, built.csim.output_type), expected[:1])
    assert built.csim.seconds_per_frame is not None and built.csim.seconds_per_frame > 0


def test_library_is_compiled_again_only_when_a_source_changed(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "hls"
    shutil.copytree(built.csim.project, project, ignore=shutil.ignore_patterns("csim.*"))
    expected = built.csim.run(built.frames[:2])
    monkeypatch.setattr(Csim, "_compile", None)  # would be called
    assert Csim(built.csim.project).build_seconds == 0
    elsewhere = Csim(project)  # the same sources in another folder
    assert elsewhere.build_seconds == 0
    assert np.array_equal(elsewhere.run(built.frames[:2]), expected)
    source = project / "firmware" / "net.cpp"
    source.write_text(f"{source.read_text()}// changed\n")
    with pytest.raises(TypeError, match="not callable"):
        Csim(project)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((8, 8, 3)), "the network needs"),
        (np.zeros((0, 8, 8, 3)), "at least 1"),
        (np.full((1, 8, 8, 3), 0.3), "not on the grid"),
        (np.full((1, 8, 8, 3), 1.0), "out of range"),
    ],
)
def test_wrong_frames_are_refused(built: Built, frames: NDArray[np.float64], message: str) -> None:
    with pytest.raises(UserError, match=message):
        built.csim.run(frames)


def test_missing_compiler_is_named(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwflow.tools.runner.shutil.which", lambda *_, **__: None)
    with pytest.raises(ToolNotFoundError, match="install g"):
        Csim(built.csim.project)


def test_broken_source_and_crash_are_tool_errors(built: Built, tmp_path: Path) -> None:
    project = tmp_path / "hls"
    shutil.copytree(built.csim.project, project)
    source = project / "firmware" / "net.cpp"
    source.write_text("#error broken on purpose\n")
    with pytest.raises(ToolError, match="broken on purpose"):
        Csim(project)
    signature = (project / "firmware" / "net.h").read_text().split("void net(")[1].split(");")[0]
    source.write_text(f'#include "net.h"\n#include <cstdlib>\nvoid net({signature}) {{ std::abort(); }}\n')
    with pytest.raises(ToolError, match="csim failed with exit code -6"):
        Csim(project).run(built.frames[:1])
