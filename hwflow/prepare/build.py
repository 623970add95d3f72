# SPDX-License-Identifier: Apache-2.0
"""Keras models of a network: float, or quantized by QKeras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwflow.numerics.fixed import FixedType
from hwflow.prepare.grids import to_grid
from hwflow.prepare.net import WEIGHTED, Net, Node

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True, slots=True)
class Scheme:
    """Fixed-point grids of a quantized network.

    Parameters
    ----------
    activations : dict of str to FixedType
        Grid of each quantized tensor, by the node that makes it.
    weights, biases : dict of str to FixedType
        Grids of the convolutions and dense layers.
    slopes : dict of str to FixedType
        Grids of the PReLUs.
    """

    activations: dict[str, FixedType]
    weights: dict[str, FixedType]
    biases: dict[str, FixedType]
    slopes: dict[str, FixedType]


def quantizer(grid: FixedType) -> Any:
    """The ``quantized_bits`` of a signed grid.

    QKeras cannot write a negative number of integer bits; a grid whose range lies below one half gets
    unused high bits instead.
    """
    from qkeras import quantized_bits

    integer = max(grid.integer - 1, 0)
    return quantized_bits(grid.frac + integer + 1, integer, keep_negative=1, alpha=1)


def build(net: Net, scheme: Scheme | None = None) -> tf.keras.Model:
    """Build the Keras model of a network.

    Parameters
    ----------
    net : Net
        Folded network.
    scheme : Scheme or None
        Grids of a quantized model; without them the model is a float one.

    Returns
    -------
    tf.keras.Model
        Layers carry the names of the nodes; quantizers of activations are called ``<node>_q``. The
        weights of a quantized model lie on their grids.
    """
    import tensorflow as tf
    from qkeras import QActivation

    tensors: dict[str, Any] = {}
    for node in net:
        inputs = [tensors[name] for name in node.inputs]
        x = _layer(node, scheme)(inputs[0] if len(inputs) == 1 else inputs) if inputs else None
        if node.kind == "input":
            x = inputs_tensor = tf.keras.Input(node.shape, name="input")
        elif scheme and node.name in scheme.activations and node.kind != "relu":
            x = QActivation(quantizer(scheme.activations[node.name]), name=f"{node.name}_q")(x)
        tensors[node.name] = x
    model = tf.keras.Model(inputs_tensor, tensors[net.output], name=net.name)
    for node in net:
        weights = _weights(node, scheme)
        if weights:
            layer = model.get_layer(node.name)
            layer.set_weights([w.reshape(v.shape) for w, v in zip(weights, layer.weights, strict=True)])
    return model


def _layer(node: Node, scheme: Scheme | None) -> Any:
    """Keras layer of a node."""
    from tensorflow.keras import layers

    if node.kind == "add":
        return layers.Add(name=node.name)
    if node.kind == "flatten":
        return layers.Flatten(name=node.name)
    if node.kind == "prelu":
        return layers.PReLU(shared_axes=list(range(1, len(node.shape))), name=node.name)
    if node.kind == "relu":
        return _relu(node, scheme)
    return _weighted(node, scheme)


def _relu(node: Node, scheme: Scheme | None) -> Any:
    from qkeras import QActivation, quantized_relu
    from tensorflow.keras import layers

    if scheme is None or node.name not in scheme.activations:
        return layers.ReLU(name=node.name)
    grid = scheme.activations[node.name]
    return QActivation(quantized_relu(grid.width, grid.integer), name=node.name)


def _weighted(node: Node, scheme: Scheme | None) -> Any:
    import qkeras
    from tensorflow.keras import layers

    library = qkeras if scheme else layers
    prefix = "Q" if scheme else ""
    kernel = "depthwise" if node.kind == "depthwise" else "kernel"
    arguments: dict[str, Any] = {"name": node.name}
    if scheme:
        arguments[f"{kernel}_quantizer"] = quantizer(scheme.weights[node.name])
        arguments["bias_quantizer"] = quantizer(scheme.biases[node.name])
    if node.kind == "dense":
        return getattr(library, f"{prefix}Dense")(node.channels, **arguments)
    arguments |= {"kernel_size": node.arrays["kernel"].shape[:2], **node.attrs}
    if node.kind == "depthwise":
        return getattr(library, f"{prefix}DepthwiseConv2D")(**arguments)
    return getattr(library, f"{prefix}Conv2D")(node.channels, **arguments)


def _weights(node: Node, scheme: Scheme | None) -> list[NDArray[np.float64]]:
    """Weights of a node in Keras' order, on their grids where there are any."""
    if node.kind == "prelu":
        slope = node.arrays["slope"]
        return [to_grid(slope, scheme.slopes[node.name]) if scheme else slope]
    if node.kind in WEIGHTED:
        kernel, bias = node.arrays["kernel"], node.arrays["bias"]
        if scheme:
            kernel = to_grid(kernel, scheme.weights[node.name])
            bias = to_grid(bias, scheme.biases[node.name])
        return [kernel, bias]
    return []
