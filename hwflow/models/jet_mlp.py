# SPDX-License-Identifier: Apache-2.0
"""The jet-tagging perceptron 16-64-32-32-5 that hls4ml and its relatives measure themselves with.

References
----------
J. Duarte et al., "Fast inference of deep neural networks in FPGAs for particle physics",
JINST 13 (2018) P07027.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwflow.models.seeding import seed_weights

if TYPE_CHECKING:
    import tensorflow as tf


def jet_mlp(seed: int) -> tf.keras.Model:
    """Six-bit perceptron with seeded random weights and linear outputs."""
    from qkeras import QActivation, QDense, quantized_bits, quantized_relu
    from tensorflow.keras import Input, Model

    def dense(units: int, name: str) -> QDense:
        return QDense(
            units,
            kernel_quantizer=quantized_bits(6, 0, alpha=1),
            bias_quantizer=quantized_bits(6, 0, alpha=1),
            name=name,
        )

    x = inputs = Input((16,), name="input")
    for number, units in enumerate((64, 32, 32), start=1):
        x = dense(units, f"dense{number}")(x)
        x = QActivation(quantized_relu(6), name=f"relu{number}")(x)
    model = Model(inputs, dense(5, "output")(x), name="jet_mlp")
    return seed_weights(model, seed)
