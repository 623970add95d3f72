# SPDX-License-Identifier: Apache-2.0
"""MobileFaceNet as a float Keras model: one topology builder for the real and the tiny network.

References
----------
S. Chen, Y. Liu, X. Gao, Z. Han, "MobileFaceNets: Efficient CNNs for Accurate Real-Time Face
Verification on Mobile Devices", CCBR 2018. The published weights that are read here differ from
the paper: a linear 1x1 convolution follows the first depthwise one, a second linear 1x1
convolution precedes the embedding, which has 192 values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """Inverted residual: 1x1 expand, 3x3 depthwise, linear 1x1 project, and an add where shapes allow.

    Parameters
    ----------
    expand : int
        Channels of the depthwise convolution.
    out : int
        Channels of the result.
    stride : int
        Stride of the depthwise convolution.
    """

    expand: int
    out: int
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Topology:
    """Sizes of a MobileFaceNet.

    Parameters
    ----------
    size : int
        Input height and width, pixels.
    stem : int
        Channels of the stem.
    blocks : tuple of Bottleneck
        Bottlenecks in order; one with stride 1 and unchanged channels is residual.
    head : int
        Channels of the head and of the global depthwise convolution.
    embedding : int
        Length of the embedding.
    """

    size: int
    stem: int
    blocks: tuple[Bottleneck, ...]
    head: int
    embedding: int


FULL = Topology(
    size=112,
    stem=64,
    blocks=(
        Bottleneck(128, 64, 2),
        *[Bottleneck(128, 64)] * 4,
        Bottleneck(256, 128, 2),
        *[Bottleneck(256, 128)] * 6,
        Bottleneck(512, 128, 2),
        *[Bottleneck(256, 128)] * 2,
    ),
    head=512,
    embedding=192,
)

TINY = Topology(
    size=16,
    stem=4,
    blocks=(Bottleneck(8, 4, 2), Bottleneck(8, 4), Bottleneck(12, 8, 2), Bottleneck(12, 8)),
    head=16,
    embedding=8,
)


def build(topology: Topology, name: str) -> tf.keras.Model:
    """Build the network with Keras' default initial weights.

    Parameters
    ----------
    topology : Topology
        Sizes.
    name : str
        Name of the model.

    Returns
    -------
    tf.keras.Model
        Functional model from ``(size, size, 3)`` normalised pixels to the raw embedding
        (not scaled to unit length).
    """
    from tensorflow.keras import Input, Model, layers

    def prelu(x: Any, name: str) -> Any:
        return layers.PReLU(shared_axes=[1, 2], name=f"{name}_prelu")(x)

    def conv(x: Any, channels: int, name: str, kernel: int = 1, stride: int = 1) -> Any:
        return layers.Conv2D(channels, kernel, stride, padding="same", name=name)(x)

    def depthwise(x: Any, name: str, stride: int = 1) -> Any:
        return layers.DepthwiseConv2D(3, stride, padding="same", name=name)(x)

    inputs = Input((topology.size, topology.size, 3), name="input")
    x = prelu(conv(inputs, topology.stem, "stem_conv", kernel=3, stride=2), "stem_conv")
    x = prelu(depthwise(x, "stem_dw"), "stem_dw")
    x = conv(x, topology.stem, "stem_linear")
    for number, block in enumerate(topology.blocks, start=1):
        prefix, shortcut = f"block{number}", x
        x = prelu(conv(x, block.expand, f"{prefix}_expand"), f"{prefix}_expand")
        x = prelu(depthwise(x, f"{prefix}_dw", block.stride), f"{prefix}_dw")
        x = conv(x, block.out, f"{prefix}_project")
        if block.stride == 1 and block.out == shortcut.shape[-1]:
            x = layers.Add(name=f"{prefix}_add")([x, shortcut])
    x = prelu(conv(x, topology.head, "head_conv"), "head_conv")
    x = layers.DepthwiseConv2D(x.shape[1], padding="valid", name="head_gdc")(x)
    x = conv(x, topology.head, "head_linear")
    x = conv(x, topology.embedding, "embedding")
    return Model(inputs, layers.Flatten(name="flatten")(x), name=name)


def weighted_layers(model: tf.keras.Model) -> list[tf.keras.layers.Layer]:
    """Layers that hold weights, in the order of execution."""
    return [layer for layer in model.layers if layer.weights]


def from_tflite(path: Path) -> tf.keras.Model:
    """Convert the published TFLite network.

    Parameters
    ----------
    path : pathlib.Path
        The TFLite file.

    Returns
    -------
    tf.keras.Model
        The network for inputs ``(pixel - 127.5) / 128``, RGB.

    Raises
    ------
    UserError
        When the file is not that network.
    """
    model = build(FULL, "mobilefacenet")
    layers = weighted_layers(model)
    constants = list(_constants(path))
    if [len(layer.weights) for layer in layers] != [len(tensors) for tensors in constants]:
        raise UserError(f"{path} does not hold the MobileFaceNet topology", "fetch the model again")
    for layer, tensors in zip(layers, constants, strict=True):
        layer.set_weights([t.reshape(w.shape) for t, w in zip(tensors, layer.weights, strict=True)])
    return model


def _constants(path: Path) -> Iterator[list[Floats]]:
    """Keras weights of each convolution and PReLU of a TFLite file, in the order of execution.

    PReLU is stored as ``relu(x) + c * (x - |x|)``: the constant of each multiplication is half a slope.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes())
    graph = model.subgraphs[0]
    ops = schema.BuiltinOperator

    def constant(index: int) -> Floats:
        tensor = graph.tensors[index]
        data = np.frombuffer(model.buffers[tensor.buffer].data, np.float32)
        return data.reshape(tensor.shape)

    for op in graph.operators:
        kind = model.operatorCodes[op.opcodeIndex]
        # the wide field was added later: older files fill the narrow one only
        code = max(kind.builtinCode, kind.deprecatedBuiltinCode)
        if code in (ops.CONV_2D, ops.DEPTHWISE_CONV_2D):
            yield [constant(op.inputs[1]).transpose(1, 2, 3, 0), constant(op.inputs[2])]
        elif code == ops.MUL:
            yield [2 * constant(op.inputs[0])]


def tiny(seed: int) -> tf.keras.Model:
    """The small network of the same topology, with seeded random weights.

    Slopes reach beyond one in magnitude and below zero, as those of the real network do.
    """
    from tensorflow.keras import layers

    model = build(TINY, "mobilefacenet_tiny")
    rng = np.random.default_rng(seed)
    for layer in weighted_layers(model):
        if isinstance(layer, layers.PReLU):
            layer.set_weights([rng.uniform(-1.5, 1.5, layer.alpha.shape)])
            continue
        kernel, bias = layer.weights
        depthwise = isinstance(layer, layers.DepthwiseConv2D)
        fan_in = np.prod(kernel.shape[: 2 if depthwise else 3])
        layer.set_weights([rng.normal(0, fan_in**-0.5, kernel.shape), rng.normal(0, 0.1, bias.shape)])
    return model
