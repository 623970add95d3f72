# SPDX-License-Identifier: Apache-2.0
"""Keras models of a network: float, or quantized by QKeras."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hwflow.formats import Fixed, Format
from hwflow.numerics.fixed import FixedType
from hwflow.prepare.grids import to_grid
from hwflow.prepare.net import WEIGHTED, Floats, Net, Node

if TYPE_CHECKING:
    import tensorflow as tf


_EPSILON = 2.0**-10


@dataclass(frozen=True, slots=True)
class Scheme:
    """Number formats of a quantized network.

    Parameters
    ----------
    activations : dict of str to Format
        Format of each quantized tensor, by the node that makes it: fixed point or mini float.
    weights : dict of str to Format
        Formats of the kernels of convolutions and dense layers.
    biases : dict of str to FixedType
        Grids of their biases.
    slopes : dict of str to FixedType
        Grids of the PReLUs.
    scales : dict of str to ndarray of float64, shape (channels,)
        What the sums of a layer are multiplied by, where its weights have a scale a channel; the bias is added
        behind, and the format of the weights is that of the kernel over the scales.
    """

    activations: dict[str, Format]
    weights: dict[str, Format]
    biases: dict[str, FixedType]
    slopes: dict[str, FixedType]
    scales: dict[str, Floats] = field(default_factory=dict)


def quantizer(format_: Format | FixedType) -> Any:
    """The QKeras quantizer of a format: ``quantized_bits`` of signed fixed point, else hwflow's own.

    QKeras cannot write a negative number of integer bits; a grid whose range lies below one half gets
    unused high bits instead.
    """
    from qkeras import quantized_bits

    if not isinstance(format_, FixedType | Fixed):
        from hwflow.formats.keras import FormatQuantizer

        return FormatQuantizer(format_)
    grid = format_.grid if isinstance(format_, Fixed) else format_
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
        if scheme and node.name in scheme.scales:
            x = _scale_layer(node)(x)
        if scheme and node.name in scheme.activations and not _is_relu_quantizer(node, scheme):
            x = QActivation(quantizer(scheme.activations[node.name]), name=f"{node.name}_q")(x)
        tensors[node.name] = x
    model = tf.keras.Model(inputs_tensor, tensors[net.output], name=net.name)
    for node in net:
        for name, weights in _weights(node, scheme).items():
            layer = model.get_layer(name)
            layer.set_weights([w.reshape(v.shape) for w, v in zip(weights, layer.weights, strict=True)])
    return model


def _layer(node: Node, scheme: Scheme | None) -> Any:
    """Keras layer of a node."""
    from tensorflow.keras import layers

    if node.kind in _PLAIN:
        return getattr(layers, _PLAIN[node.kind])(name=node.name, **node.attrs)
    if node.kind == "prelu":
        return layers.PReLU(shared_axes=list(range(1, len(node.shape))), name=node.name)
    if node.kind == "relu":
        return _relu(node, scheme)
    return _weighted(node, scheme)


_PLAIN = {
    "add": "Add",
    "concat": "Concatenate",
    "flatten": "Flatten",
    "maxpool": "MaxPooling2D",
    "avgpool": "AveragePooling2D",
    "mean": "GlobalAveragePooling2D",
}


def _is_relu_quantizer(node: Node, scheme: Scheme) -> bool:
    """Whether one layer rectifies and quantizes: to fixed point."""
    return node.kind == "relu" and isinstance(scheme.activations.get(node.name), Fixed)


def _relu(node: Node, scheme: Scheme | None) -> Any:
    from qkeras import QActivation, quantized_relu
    from tensorflow.keras import layers

    if scheme is None or not _is_relu_quantizer(node, scheme):
        return layers.ReLU(name=node.name)
    grid = scheme.activations[node.name].grid
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
        if node.name in scheme.scales:
            arguments["use_bias"] = False
        else:
            arguments["bias_quantizer"] = quantizer(scheme.biases[node.name])
    if node.kind == "dense":
        return getattr(library, f"{prefix}Dense")(node.channels, **arguments)
    arguments |= {"kernel_size": node.arrays["kernel"].shape[:2], **node.attrs}
    if node.kind == "depthwise":
        return getattr(library, f"{prefix}DepthwiseConv2D")(**arguments)
    return getattr(library, f"{prefix}Conv2D")(node.channels, **arguments)


def _scale_layer(node: Node) -> Any:
    """Scale and offset a channel; with this epsilon a variance of ``1 - epsilon`` is divided by exactly 1."""
    from tensorflow.keras import layers

    return layers.BatchNormalization(epsilon=_EPSILON, name=f"{node.name}_scale")


def _weights(node: Node, scheme: Scheme | None) -> dict[str, list[Floats]]:
    """Weights of the Keras layers of a node in Keras' order, on their grids where there are any."""
    if node.kind not in (*WEIGHTED, "prelu"):
        return {}
    values = stored_values(node, scheme)
    if scheme is None or node.name not in scheme.scales:
        return {node.name: values}
    kernel, bias = values
    scale = scheme.scales[node.name]
    ones = np.ones_like(scale)
    return {
        node.name: [kernel / over_outputs(node, scale)],
        f"{node.name}_scale": [scale, bias, 0 * ones, (1 - _EPSILON) * ones],
    }


def stored_values(node: Node, scheme: Scheme | None) -> list[Floats]:
    """Kernel and bias of a layer, or slopes of a PReLU; rounded to what a scheme can store."""
    if node.kind == "prelu":
        slope = node.arrays["slope"]
        return [to_grid(slope, scheme.slopes[node.name]) if scheme else slope]
    kernel, bias = node.arrays["kernel"], node.arrays["bias"]
    if scheme is None:
        return [kernel, bias]
    scale = over_outputs(node, scheme.scales.get(node.name, np.ones(node.channels)))
    return [
        scheme.weights[node.name].quantize(kernel / scale, where=node.name) * scale,
        to_grid(bias, scheme.biases[node.name]),
    ]


def over_outputs(node: Node, values: Floats) -> Floats:
    """Values a channel, shaped to be multiplied with the kernel of a layer."""
    return values[:, None] if node.kind == "depthwise" else values
