# SPDX-License-Identifier: Apache-2.0
"""The two small DenseNets for 80x80 faces that were distilled from a ResNet-34, as float Keras models.

A 7x7 convolution of stride 2 and a max pooling of stride 2 are followed by dense blocks: batch normalization,
ReLU, a 1x1 convolution to 128 channels, batch normalization, ReLU, a 3x3 convolution to 32 channels, which are
concatenated to the block's input. DenseNet 1.0 has six of them; DenseNet 2.0 six, a transition (batch
normalization, ReLU, 1x1 convolution to 128, average pooling by 2), twelve more, and a 1x1 convolution to 256.
Both end in a global average pooling and a dense layer of 128 values. Convolutions have biases.

References
----------
G. Huang et al., "Densely Connected Convolutional Networks", CVPR 2017. The reduced versions, their batch
normalizations (13 and 38) and convolutions (13 and 39) follow a thesis on quantized DenseNets for face
recognition; activation of the last convolution and of the transition are our reading of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

SIZE = 80
STEM, GROWTH, BOTTLENECK, TRANSITION, EMBEDDING = 64, 32, 128, 128, 128


def densenet(blocks: tuple[int, ...], *, tail: int = 0, name: str) -> tf.keras.Model:
    """Build a DenseNet with Keras' default initial weights.

    Parameters
    ----------
    blocks : tuple of int
        Dense blocks of each sequence; a transition lies between two sequences.
    tail : int
        Channels of a 1x1 convolution behind the last block; 0 for none.
    name : str
        Name of the model.

    Returns
    -------
    tf.keras.Model
        From ``(80, 80, 3)`` normalised pixels to the raw embedding of 128 values.
    """
    from tensorflow.keras import Input, Model, layers

    def normalized(x: Any, name: str) -> Any:
        return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(x))

    inputs = Input((SIZE, SIZE, 3), name="input")
    x = layers.Conv2D(STEM, 7, 2, padding="same", name="stem_conv")(inputs)
    x = normalized(x, "stem")
    x = layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    number = 0
    for sequence, count in enumerate(blocks):
        if sequence:
            x = normalized(x, f"transition{sequence}")
            x = layers.Conv2D(TRANSITION, 1, name=f"transition{sequence}_conv")(x)
            x = layers.AveragePooling2D(2, name=f"transition{sequence}_pool")(x)
        for _ in range(count):
            number += 1
            y = normalized(x, f"block{number}_a")
            y = layers.Conv2D(BOTTLENECK, 1, name=f"block{number}_a_conv")(y)
            y = normalized(y, f"block{number}_b")
            y = layers.Conv2D(GROWTH, 3, padding="same", name=f"block{number}_b_conv")(y)
            x = layers.Concatenate(name=f"block{number}_concat")([x, y])
    if tail:
        x = layers.ReLU(name="tail_relu")(layers.Conv2D(tail, 1, name="tail_conv")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return Model(inputs, layers.Dense(EMBEDDING, name="embedding")(x), name=name)


def densenet_1_0() -> tf.keras.Model:
    """The smaller network: 381,888 parameters."""
    return densenet((6,), name="densenet_1_0")


def densenet_2_0() -> tf.keras.Model:
    """The larger network: 1,479,104 parameters."""
    return densenet((6, 12), tail=256, name="densenet_2_0")
