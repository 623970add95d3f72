# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 with a 128-value embedding, as a float Keras model.

References
----------
M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018; topology by
``tf.keras.applications``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

EMBEDDING = 128


def mobilenet_v2(size: int, alpha: float) -> tf.keras.Model:
    """Build the network with random initial weights.

    Parameters
    ----------
    size : int
        Input height and width, pixels.
    alpha : float
        Width multiplier.

    Returns
    -------
    tf.keras.Model
        From ``(size, size, 3)`` normalised pixels to the raw embedding of 128 values.
    """
    from tensorflow.keras import Input, Model, applications, layers

    inputs = Input((size, size, 3), name="input")
    trunk = applications.MobileNetV2(
        input_tensor=inputs, alpha=alpha, include_top=False, weights=None, pooling="avg"
    )
    return Model(inputs, layers.Dense(EMBEDDING, name="embedding")(trunk.output), name="mobilenet_v2")
