# SPDX-License-Identifier: Apache-2.0
"""A hybrid binary face network for microcontrollers: binary residual blocks between 8-bit layers, in QKeras.

Table 2 of the publication gives resolutions, channels and bits; it leaves the inside of the blocks open. Here a

- residual block is sign, one binary 3x3 convolution, batch normalization, and the addition of its input (through
  a binary 1x1 convolution where the number of channels changes);
- transition block is a depthwise 3x3 convolution of stride 2 and a pointwise one, each 8 bits with batch
  normalization, a ReLU between them.

That makes about 24 million multiply-accumulates; about 26 million were published, in a count that also takes in
additions of biases and ReLUs.

References
----------
S. Moro, C. Marchisio, V. D'Alto, "Face Recognition with hybrid binary network", STMicroelectronics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

SIZE, EMBEDDING, HEAD = 96, 128, 1280
#: Channels behind each residual block, and behind the transition that follows it.
BLOCKS = ((24, 24), (24, 64), (64, 64), (64, 128))
LAST = 128


def hybrid_binary(activation_bits: int = 8) -> tf.keras.Model:
    """Build the network with QKeras' default initial weights.

    Parameters
    ----------
    activation_bits : int
        Bits of the activations outside the binary convolutions.

    Returns
    -------
    tf.keras.Model
        From ``(96, 96, 3)`` normalised pixels to the raw embedding of 128 values.
    """
    from qkeras import QActivation, QConv2D, QDense, QDepthwiseConv2D, binary, quantized_bits, quantized_relu
    from tensorflow.keras import Input, Model, layers

    def weights() -> Any:
        return quantized_bits(8, 0, alpha=1)

    def norm(x: Any, name: str) -> Any:
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        return QActivation(quantized_bits(activation_bits, 3, alpha=1), name=f"{name}_q")(x)

    def relu(x: Any, name: str) -> Any:
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        return QActivation(quantized_relu(activation_bits, 3), name=f"{name}_relu")(x)

    def conv(
        x: Any, channels: int, name: str, *, kernel: int = 1, stride: int = 1, one_bit: bool = False
    ) -> Any:
        quantizer = binary(alpha=1) if one_bit else weights()
        return QConv2D(
            channels, kernel, stride, padding="same", use_bias=False, kernel_quantizer=quantizer, name=name
        )(x)

    def depthwise(x: Any, name: str, *, kernel: int = 3, stride: int = 1, padding: str = "same") -> Any:
        return QDepthwiseConv2D(
            kernel, stride, padding=padding, use_bias=False, depthwise_quantizer=weights(), name=name
        )(x)

    def residual(x: Any, channels: int, name: str) -> Any:
        signs = QActivation(binary(alpha=1), name=f"{name}_sign")(x)
        y = norm(conv(signs, channels, f"{name}_conv", kernel=3, one_bit=True), f"{name}_conv")
        if x.shape[-1] != channels:
            x = norm(conv(signs, channels, f"{name}_shortcut", one_bit=True), f"{name}_shortcut")
        y = layers.Add(name=f"{name}_add")([y, x])
        return QActivation(quantized_bits(activation_bits, 3, alpha=1), name=f"{name}_q")(y)

    def transition(x: Any, channels: int, name: str) -> Any:
        x = relu(depthwise(x, f"{name}_dw", stride=2), f"{name}_dw")
        return norm(conv(x, channels, f"{name}_pw"), f"{name}_pw")

    inputs = Input((SIZE, SIZE, 3), name="input")
    x = relu(conv(inputs, 16, "stem_conv", kernel=3, stride=2), "stem_conv")
    x = relu(depthwise(x, "stem_dw"), "stem_dw")
    x = norm(conv(x, 16, "stem_pw"), "stem_pw")
    for number, (inside, behind) in enumerate(BLOCKS, start=1):
        x = transition(residual(x, inside, f"residual{number}"), behind, f"transition{number}")
    x = residual(x, LAST, f"residual{len(BLOCKS) + 1}")
    x = QActivation(quantized_relu(activation_bits, 3), name="head_relu")(x)
    x = relu(conv(x, HEAD, "head_pw"), "head_pw")
    x = norm(depthwise(x, "head_dw", kernel=x.shape[1], padding="valid"), "head_dw")
    x = layers.Flatten(name="flatten")(x)
    x = QDense(
        EMBEDDING, kernel_quantizer=weights(), bias_quantizer=quantized_bits(16, 3, alpha=1), name="embedding"
    )(x)
    return Model(inputs, x, name="hybrid_binary")
