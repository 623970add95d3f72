# SPDX-License-Identifier: Apache-2.0
"""dlib's face recognition ResNet as a Keras model: the teacher of the small DenseNets.

The published file is read without dlib. It lists the layers from the input to the output, each as its name
followed by its parameters: integers in a variable number of bytes, tensors as IEEE binary32 blocks.

References
----------
D. E. King, "Dlib-ml: A Machine Learning Toolkit", Journal of Machine Learning Research 10 (2009). The network:
29 convolutions, a version of the ResNet-34 of K. He et al., "Deep Residual Learning for Image Recognition",
CVPR 2016, with half the filters; its weights are in the public domain (CC0).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf

SIZE, EMBEDDING = 150, 128
MEAN = (122.782, 117.001, 104.298)
"""Mean of red, green and blue that the network subtracts before it divides by 256."""

#: Residual blocks from the input to the output: filters, and whether the block halves the resolution.
BLOCKS = (
    *[(32, False)] * 3,
    (64, True),
    *[(64, False)] * 3,
    (128, True),
    *[(128, False)] * 2,
    (256, True),
    *[(256, False)] * 2,
    (256, True),
)

#: A layer's name, for the dense one its numbers of outputs and inputs, and the version of the tensor that follows.
_LAYER = re.compile(rb"(?P<name>con_4|affine_|fc_2)(?:(?<=fc_2)(?:\x01.|\x02..){2})?\x01\x02", re.DOTALL)
Floats = NDArray[np.float32]


def build() -> tf.keras.Model:
    """Build the network with Keras' default initial weights.

    Returns
    -------
    tf.keras.Model
        From ``(150, 150, 3)`` pixels of 0 to 255, RGB, to the embedding of 128 values. Distances between
        embeddings are Euclidean.
    """
    import tensorflow as tf
    from tensorflow.keras import Input, Model, layers

    def conv(x: Any, filters: int, kernel: int, stride: int) -> Any:
        return layers.Conv2D(filters, kernel, stride, padding="same" if stride == 1 else "valid")(x)

    def padded(x: Any, like: Any) -> Any:
        """dlib adds tensors of different sizes as if zeros filled the smaller one up."""
        missing = [max(b - a, 0) for a, b in zip(x.shape[1:], like.shape[1:], strict=True)]
        return tf.pad(x, [(0, 0), *((0, count) for count in missing)]) if any(missing) else x

    inputs = Input((SIZE, SIZE, 3), name="input")
    x = (inputs - np.array(MEAN, np.float32)) / 256.0
    x = layers.MaxPooling2D(3, 2)(layers.ReLU()(conv(x, 32, 7, 2)))
    for filters, halves in BLOCKS:
        y = layers.ReLU()(conv(x, filters, 3, 2 if halves else 1))
        y = conv(y, filters, 3, 1)
        if halves:
            x = layers.AveragePooling2D(2)(x)
        x = layers.ReLU()(padded(x, y) + padded(y, x))
    x = layers.GlobalAveragePooling2D()(x)
    return Model(inputs, layers.Dense(EMBEDDING, use_bias=False, name="embedding")(x), name="dlib_resnet")


def from_dat(path: Path) -> tf.keras.Model:
    """Read dlib's published network; the affine layer behind each convolution is folded into it.

    Parameters
    ----------
    path : pathlib.Path
        ``dlib_face_recognition_resnet_model_v1.dat``.

    Returns
    -------
    tf.keras.Model
        See :func:`build`.

    Raises
    ------
    UserError
        When the file is not that network.
    """
    model = build()
    targets = [layer for layer in model.layers if layer.weights]
    sources = list(_folded(path.read_bytes()))
    shapes = [[tuple(tensor.shape) for tensor in tensors] for tensors in sources]
    if shapes != [[tuple(weight.shape) for weight in layer.weights] for layer in targets]:
        raise UserError(f"{path} does not hold dlib's face recognition network", "fetch the model again")
    for layer, tensors in zip(targets, sources, strict=True):
        layer.set_weights(tensors)
    return model


def _folded(data: bytes) -> Iterator[list[Floats]]:
    """Keras weights of each convolution and of the last layer."""
    pending: Floats | None = None
    channels = 3
    for name, values in _parameters(data):
        if name == "con_4":
            pending = values
        elif name == "affine_" and pending is not None:
            scale, shift = np.split(values, 2)
            filters = scale.size
            taps = (pending.size - filters) // (filters * channels)
            size = round(taps**0.5)
            # dlib keeps (filters, channels, rows, columns), the biases behind them
            kernel = pending[:-filters].reshape(filters, channels, size, size).transpose(2, 3, 1, 0)
            yield [kernel * scale, pending[-filters:] * scale + shift]
            pending, channels = None, filters
        else:
            yield [values.reshape(-1, EMBEDDING)]


def _parameters(data: bytes) -> Iterator[tuple[str, Floats]]:
    """Layers that have parameters, in the order of the file."""
    position = 0
    while found := _LAYER.search(data, position):
        position, sizes = found.end(), []
        for _ in range(4):  # samples, channels, rows, columns
            count = data[position] & 0x0F
            sizes.append(int.from_bytes(data[position + 1 : position + 1 + count], "little"))
            position += 1 + count
        size = int(np.prod(sizes))
        yield found["name"].decode(), np.frombuffer(data, "<f4", size, position).astype(np.float32)
        position += 4 * size
