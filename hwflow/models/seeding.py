# SPDX-License-Identifier: Apache-2.0
"""Seeded random weights, for networks whose figures do not depend on the values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import tensorflow as tf


def seed_weights(model: tf.keras.Model, seed: int) -> tf.keras.Model:
    """Fill a model with random weights, in the order of its layers; returns the same model.

    Kernels follow ``N(0, 2 / fan_in)``, biases, shifts and means ``N(0, 0.1**2)``, scales and variances are
    uniform in 0.5 to 1.5, slopes in -0.5 to 0.5. Counters stay as they are.
    """
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([_drawn(rng, weight) for weight in layer.weights])
    return model


def _drawn(rng: np.random.Generator, weight: Any) -> NDArray[Any]:
    name, shape = weight.name.rsplit("/", 1)[-1].partition(":")[0], tuple(weight.shape)
    if name == "depthwise_kernel":
        return rng.normal(0, np.sqrt(2 / np.prod(shape[:2])), shape)
    if name == "kernel":
        return rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
    if name in ("bias", "beta", "moving_mean"):
        return rng.normal(0, 0.1, shape)
    if name in ("gamma", "moving_variance"):
        return rng.uniform(0.5, 1.5, shape)
    if name == "alpha":
        return rng.uniform(-0.5, 0.5, shape)
    return np.asarray(weight.numpy())
