# SPDX-License-Identifier: Apache-2.0
"""Ranges of activations, measured on calibration data."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import tensorflow as tf

_BATCH = 8


def magnitudes(
    model: tf.keras.Model, layers: Sequence[str], inputs: NDArray[np.float32], percentile: float
) -> dict[str, float]:
    """Magnitude below which a given share of a layer's outputs lies.

    Parameters
    ----------
    model : tf.keras.Model
        Float model.
    layers : sequence of str
        Names of the layers to be measured.
    inputs : ndarray of float32, shape (n, ...)
        Calibration inputs.
    percentile : float, %
        Share of the values that lies at or below the result.

    Returns
    -------
    dict of str to float

    Notes
    -----
    Exact, without keeping all values: only the largest of each batch can be among the largest of all.
    """
    import tensorflow as tf

    probe = tf.keras.Model(model.input, [model.get_layer(name).output for name in layers])
    largest: dict[str, NDArray[np.float32]] = {}
    for start in range(0, len(inputs), _BATCH):
        outputs = tf.nest.flatten(probe(inputs[start : start + _BATCH], training=False))
        for name, output in zip(layers, outputs, strict=True):
            values = np.abs(output.numpy()).reshape(-1)
            per_frame = values.size // len(output)
            count = max(1, ceil(per_frame * len(inputs) * (1 - percentile / 100)))
            largest[name] = _top(np.concatenate([largest.get(name, values[:0]), values]), count)
    return {name: float(largest[name].min()) for name in layers}


def _top(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The ``count`` largest values, in any order."""
    return np.partition(values, values.size - count)[-count:] if values.size > count else values
