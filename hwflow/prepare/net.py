# SPDX-License-Identifier: Apache-2.0
"""A float network as plain data, so that preparation can rewrite its weights.

Kernels keep Keras' shapes; slopes and biases are vectors over channels. Everything is float64, so
that scaling loses nothing that float32 weights held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import UnsupportedLayerError

if TYPE_CHECKING:
    import tensorflow as tf

Floats = NDArray[np.float64]
Kind = Literal[
    "input", "conv", "depthwise", "dense", "batchnorm", "prelu", "relu", "add", "concat", "flatten", "maxpool",
    "avgpool", "mean",
]  # fmt: skip

WEIGHTED: tuple[Kind, ...] = ("conv", "depthwise", "dense")
ACTIVATIONS: tuple[Kind, ...] = ("prelu", "relu")
MEANS: tuple[Kind, ...] = ("avgpool", "mean")
MOVES: tuple[Kind, ...] = ("flatten", "maxpool", "concat")
"""Nodes whose values are those of their inputs."""


@dataclass(slots=True)
class Node:
    """One operation; its tensor carries its name.

    Parameters
    ----------
    name : str
        Name of the Keras layer.
    kind : str
        What it computes.
    inputs : list of str
        Names of the nodes it reads.
    shape : tuple of int
        Output shape without the batch axis.
    arrays : dict of str to ndarray of float64
        ``kernel`` and ``bias``; ``slope``; ``scale`` and ``shift`` of a batch normalization.
    attrs : dict
        Keras arguments: ``strides``, ``padding``, ``pool_size``, ``keepdims``.
    stored : int
        Parameters that the Keras layer holds.
    """

    name: str
    kind: Kind
    inputs: list[str]
    shape: tuple[int, ...]
    arrays: dict[str, Floats] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    stored: int = 0

    @property
    def channels(self) -> int:
        """Size of the last axis."""
        return self.shape[-1]


@dataclass(slots=True)
class Net:
    """Nodes by name, each after those it reads.

    Parameters
    ----------
    name : str
        Name of the model.
    nodes : dict of str to Node
        The network.
    output : str
        Name of the node whose tensor is the result.
    """

    name: str
    nodes: dict[str, Node]
    output: str

    def __iter__(self) -> Iterator[Node]:
        return iter(list(self.nodes.values()))

    @property
    def input(self) -> Node:
        """The input node."""
        return next(node for node in self.nodes.values() if node.kind == "input")

    def readers(self, name: str) -> list[Node]:
        """Nodes that read a tensor."""
        return [node for node in self.nodes.values() if name in node.inputs]

    def bypass(self, name: str) -> None:
        """Remove a node with one input; its readers read that input."""
        (source,) = self.nodes.pop(name).inputs
        for node in self.nodes.values():
            node.inputs = [source if read == name else read for read in node.inputs]
        if self.output == name:
            self.output = source


class _Unsupported(Exception):
    """A layer cannot be prepared; the text says why."""


def from_keras(model: tf.keras.Model) -> Net:
    """Read a float Keras model.

    Parameters
    ----------
    model : tf.keras.Model
        Functional or sequential model with one input and one output.

    Raises
    ------
    UnsupportedLayerError
        Lists every layer that cannot be prepared.
    """
    import tensorflow as tf

    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UnsupportedLayerError(
            [f"model {model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} outputs"],
            "prepare a model with one input and one output",
        )
    # a sequential model does not list its input layer, its functional twin does
    twin = tf.keras.Model(model.inputs, model.outputs, name=model.name)
    net = Net(model.name, {}, "")
    tensor_of: dict[str, str] = {}  # Keras layer -> node whose tensor is the layer's output
    findings = []
    for layer in twin.layers:
        try:
            nodes = _read(layer)
        except _Unsupported as why:
            findings.append(f"layer {layer.name!r} ({type(layer).__name__}) {why}")
            continue
        sources = _sources(layer)
        for node in nodes:
            node.inputs = node.inputs or [tensor_of.get(source, "") for source in sources]
            net.nodes[node.name] = node
        # a layer without a node (dropout) hands its input on
        tensor_of[layer.name] = nodes[-1].name if nodes else tensor_of.get(sources[0], "")
    if findings:
        raise UnsupportedLayerError(
            findings,
            "use Conv2D, DepthwiseConv2D, Dense, BatchNormalization, ReLU, PReLU, Add, Concatenate of channels, "
            "MaxPooling2D, AveragePooling2D, GlobalAveragePooling2D and Flatten",
        )
    net.output = tensor_of[model.outputs[0]._keras_history.layer.name]
    return net


def _sources(layer: tf.keras.layers.Layer) -> list[str]:
    """Names of the layers that a layer reads."""
    import tensorflow as tf

    if isinstance(layer, tf.keras.layers.InputLayer):
        return []
    return [tensor._keras_history.layer.name for tensor in tf.nest.flatten(layer.input)]


def _read(layer: tf.keras.layers.Layer) -> list[Node]:
    """Nodes of one layer; ``inputs`` are left empty where they are the layer's own inputs."""
    if len(layer.inbound_nodes) != 1:
        raise _Unsupported("is used several times")
    kind = type(layer).__name__
    if kind in ("Dropout", "SpatialDropout2D"):
        return []
    shape = tuple(layer.output.shape[1:])
    node = Node(layer.name, "input", [], shape, stored=int(layer.count_params()))
    if kind == "InputLayer":
        return [node]
    if kind in ("Conv2D", "DepthwiseConv2D", "Dense"):
        return _read_weighted(layer, node)
    if kind == "BatchNormalization":
        node.kind, node.arrays = "batchnorm", _read_batchnorm(layer)
    elif kind == "PReLU":
        slope = layer.get_weights()[0]
        if slope.size != slope.shape[-1]:
            raise _Unsupported("has a slope for each pixel; use shared_axes=[1, 2]")
        node.kind, node.arrays = "prelu", {"slope": slope.reshape(-1).astype(np.float64)}
    elif kind == "ReLU":
        if layer.max_value is not None or layer.negative_slope or layer.threshold:
            raise _Unsupported("has a maximum, slope or threshold")
        node.kind = "relu"
    elif kind == "Activation":
        return _read_activation(layer, node)
    elif kind in ("Add", "Flatten"):
        node.kind = "add" if kind == "Add" else "flatten"
    elif kind == "Concatenate":
        if layer.axis % (len(shape) + 1) != len(shape):
            raise _Unsupported("joins another axis than the channels")
        node.kind = "concat"
    elif kind in _POOLS:
        if layer.data_format != "channels_last":
            raise _Unsupported("is not channels-last")
        node.kind = _POOLS[kind]
        keys = ("keepdims",) if node.kind == "mean" else ("pool_size", "strides", "padding")
        node.attrs = {key: getattr(layer, key) for key in keys}
    else:
        raise _Unsupported("is not supported")
    return [node]


_POOLS: dict[str, Kind] = {
    "MaxPooling2D": "maxpool",
    "AveragePooling2D": "avgpool",
    "GlobalAveragePooling2D": "mean",
}


def _read_weighted(layer: tf.keras.layers.Layer, node: Node) -> list[Node]:
    kind = type(layer).__name__
    if kind != "Dense":
        node.attrs = {"strides": layer.strides, "padding": layer.padding}
        if layer.data_format != "channels_last" or layer.dilation_rate != (1, 1) or layer.groups != 1:
            raise _Unsupported("is dilated, grouped or not channels-last")
        if kind == "DepthwiseConv2D" and layer.depth_multiplier != 1:
            raise _Unsupported("has a depth multiplier other than 1")
    kinds: dict[str, Kind] = {"Conv2D": "conv", "DepthwiseConv2D": "depthwise", "Dense": "dense"}
    node.kind = kinds[kind]
    weights = [weight.astype(np.float64) for weight in layer.get_weights()]
    node.arrays = {"kernel": weights[0], "bias": weights[1] if layer.use_bias else np.zeros(node.channels)}
    return [node, *_read_activation(layer, Node(f"{node.name}_relu", "relu", [node.name], node.shape))]


def _read_activation(layer: tf.keras.layers.Layer, node: Node) -> list[Node]:
    """The ReLU node of a layer with an activation, or none where that is linear."""
    name = layer.activation.__name__
    if name not in ("linear", "relu"):
        raise _Unsupported(f"has activation {name!r}")
    node.kind = "relu"
    return [node] if name == "relu" else []


def _read_batchnorm(layer: tf.keras.layers.Layer) -> dict[str, Floats]:
    if list(layer.axis) != [len(layer.output.shape) - 1]:
        raise _Unsupported("normalizes another axis than the last")
    mean, variance = (np.asarray(w, np.float64) for w in (layer.moving_mean, layer.moving_variance))
    scale = 1 / np.sqrt(variance + layer.epsilon)
    if layer.gamma is not None:
        scale = scale * np.asarray(layer.gamma, np.float64)
    shift = -mean * scale
    if layer.beta is not None:
        shift = shift + np.asarray(layer.beta, np.float64)
    return {"scale": scale, "shift": shift}
