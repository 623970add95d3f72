# SPDX-License-Identifier: Apache-2.0
"""A convolutional network of a few hundred weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwflow.models.seeding import seed_weights

if TYPE_CHECKING:
    import tensorflow as tf


def tiny_cnn(seed: int) -> tf.keras.Model:
    """Two 3x3 convolutions ('same', then stride 2 'valid') and a dense layer, seeded random weights."""
    from qkeras import QActivation, QConv2D, QDense, quantized_bits, quantized_relu
    from tensorflow.keras import Input, Model
    from tensorflow.keras.layers import Flatten

    def quantizers() -> dict[str, quantized_bits]:
        return {
            "kernel_quantizer": quantized_bits(6, 0, alpha=1),
            "bias_quantizer": quantized_bits(8, 0, alpha=1),
        }

    inputs = Input((8, 8, 3), name="input")
    x = QConv2D(4, 3, padding="same", name="conv1", **quantizers())(inputs)
    x = QActivation(quantized_relu(6, 2), name="relu1")(x)
    x = QConv2D(6, 3, strides=2, padding="valid", name="conv2", **quantizers())(x)
    x = QActivation(quantized_relu(6, 2), name="relu2")(x)
    x = Flatten(name="flatten")(x)
    model = Model(inputs, QDense(3, name="dense", **quantizers())(x), name="tiny_cnn")
    return seed_weights(model, seed)
