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
_SAMPLE = 16


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
    largest: dict[str, NDArray[np.float64]] = {}
    for start in range(0, len(inputs), _BATCH):
        outputs = outputs_of(model, layers, inputs[start : start + _BATCH])
        for name, output in zip(layers, outputs, strict=True):
            values = np.abs(output).reshape(-1)
            total = values.size // len(output) * len(inputs)
            count = max(1, round(total * (100 - percentile) / 100))
            largest[name] = _top(np.concatenate([largest.get(name, values[:0]), values]), count)
    return {name: float(largest[name].min()) for name in layers}


def channel_magnitudes(
    model: tf.keras.Model, layers: Sequence[str], inputs: NDArray[np.float32]
) -> dict[str, NDArray[np.float64]]:
    """Magnitude of each channel of a layer's outputs: the 99.9th percentile on a sample of the inputs.

    Parameters
    ----------
    model : tf.keras.Model
        Float model.
    layers : sequence of str
        Names of the layers to be measured.
    inputs : ndarray of float32, shape (n, ...)
        Calibration inputs; every few of them are used.

    Returns
    -------
    dict of str to ndarray of float64, shape (channels,)
    """
    sample = inputs[:: ceil(len(inputs) / _SAMPLE)]
    return {
        name: np.percentile(np.abs(output).reshape(-1, output.shape[-1]), 99.9, axis=0)
        for name, output in zip(layers, outputs_of(model, layers, sample), strict=True)
    }


def outputs_of(
    model: tf.keras.Model, layers: Sequence[str], inputs: NDArray[np.float32]
) -> list[NDArray[np.float64]]:
    """Outputs of some layers.

    Parameters
    ----------
    model : tf.keras.Model
        Model with one input.
    layers : sequence of str
        Names of the layers.
    inputs : ndarray of float32, shape (n, ...)
        Inputs, computed at once.

    Returns
    -------
    list of ndarray of float64
    """
    import tensorflow as tf

    probe = tf.keras.Model(model.input, [model.get_layer(name).output for name in layers])
    return [output.numpy().astype(np.float64) for output in tf.nest.flatten(probe(inputs, training=False))]


def _top(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The ``count`` largest values, in any order."""
    return np.partition(values, values.size - count)[-count:] if values.size > count else values
