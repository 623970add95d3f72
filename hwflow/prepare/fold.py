# SPDX-License-Identifier: Apache-2.0
"""Folding batch normalization into the layer before it, or into a scale and an offset a channel.

References
----------
B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
CVPR 2018. A normalization that follows no layer of its own becomes a 1x1 depthwise convolution, as in a thesis on
quantized DenseNets for face recognition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwflow.errors import UnsupportedLayerError
from hwflow.prepare.net import WEIGHTED, Net, Node, from_keras

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True, slots=True)
class Folding:
    """What folding saves.

    Parameters
    ----------
    removed : int
        Normalizations that are gone.
    alone : int
        Normalizations that became a scale and an offset a channel.
    parameters : int
        Parameters fewer than before.
    """

    removed: int
    alone: int
    parameters: int


def count_folding(model: tf.keras.Model) -> Folding:
    """What folding would save in a float Keras model, which stays as it is.

    Raises
    ------
    UnsupportedLayerError
        As :func:`~hwflow.prepare.net.from_keras` and :func:`fold_batchnorm`.
    """
    return fold_batchnorm(from_keras(model))


def fold_batchnorm(net: Net) -> Folding:
    """Fold every batch normalization.

    One that is the only reader of a convolution or dense layer moves into it: four parameters a channel go where
    that layer has biases. Another one of pictures becomes a 1x1 depthwise convolution, which keeps two of four.

    Raises
    ------
    UnsupportedLayerError
        Lists the batch normalizations of vectors that follow something else.
    """
    findings = []
    removed = alone = saved = 0
    for node in net:
        if node.kind != "batchnorm":
            continue
        source = net.nodes[node.inputs[0]]
        if source.kind in WEIGHTED and len(net.readers(source.name)) == 1:
            before = source.stored + node.stored
            _fold_into(source, node)
            net.bypass(node.name)
            saved += before - source.stored
            removed += 1
        elif len(node.shape) == 3:
            before = node.stored
            _make_depthwise(node)
            saved += before - node.stored
            alone += 1
        else:
            findings.append(f"batch normalization {node.name!r} does not follow a layer of its own")
    if findings:
        raise UnsupportedLayerError(findings, "put it right behind a convolution or dense layer")
    return Folding(removed, alone, saved)


def _fold_into(layer: Node, normalization: Node) -> None:
    scale, kernel = normalization.arrays["scale"], layer.arrays["kernel"]
    layer.arrays["kernel"] = kernel * (scale[:, None] if layer.kind == "depthwise" else scale)
    layer.arrays["bias"] = layer.arrays["bias"] * scale + normalization.arrays["shift"]
    layer.stored = _size(layer)


def _make_depthwise(node: Node) -> None:
    node.kind = "depthwise"
    node.attrs = {"strides": (1, 1), "padding": "valid"}
    node.arrays = {
        "kernel": node.arrays["scale"].reshape(1, 1, -1, 1),
        "bias": node.arrays["shift"],
    }
    node.stored = _size(node)


def _size(node: Node) -> int:
    return sum(values.size for values in node.arrays.values())
