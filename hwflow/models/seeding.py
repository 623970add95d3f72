# SPDX-License-Identifier: Apache-2.0
"""Seeded random weights, for networks whose figures do not depend on the values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf


def seed_weights(model: tf.keras.Model, seed: int) -> tf.keras.Model:
    """Fill kernels by ``N(0, 2 / fan_in)`` and biases by ``N(0, 0.1**2)``, in the order of the layers.

    Returns the same model. Layers other than convolutions and dense ones hold no weights here.
    """
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.weights
            scale = np.sqrt(2 / np.prod(kernel.shape[:-1]))
            layer.set_weights([rng.normal(0, scale, kernel.shape), rng.normal(0, 0.1, bias.shape)])
    return model
