# SPDX-License-Identifier: Apache-2.0
"""Ranges of activations, measured on calibration data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, log2
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwflow.numerics.fixed import FixedType

if TYPE_CHECKING:
    import tensorflow as tf

_BATCH = 8
_SAMPLE = 16
_BINS = 2048
_RARE = 1e-9


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
            known = largest.get(name, values[:0])
            if known.size == count:
                values = values[values > known.min()]
            largest[name] = _top(np.concatenate([known, values]), count)
    return {name: float(largest[name].min()) for name in layers}


def saturation_points(
    model: tf.keras.Model, grids: Mapping[str, FixedType], inputs: NDArray[np.float32], method: str
) -> dict[str, float]:
    """Power of two at which each tensor had best saturate.

    Parameters
    ----------
    model : tf.keras.Model
        Float model.
    grids : mapping of str to FixedType
        Bits and sign that each layer's outputs will have; the range is what is sought.
    inputs : ndarray of float32, shape (n, ...)
        Calibration inputs.
    method : str
        ``mse``, least squared error; or ``kl``, least divergence of the distribution of magnitudes.

    Returns
    -------
    dict of str to float

    Notes
    -----
    Magnitudes are counted in 2048 bins; zeros, which every grid has, are left out. Ranges that end up to four
    octaves below the largest value are tried.

    References
    ----------
    S. Migacz, "8-bit Inference with TensorRT", GTC 2017 (divergence).
    """
    names = list(grids)
    peaks = magnitudes(model, names, inputs, 100)
    counts = {name: np.zeros(_BINS, np.int64) for name in names}
    for start in range(0, len(inputs), _BATCH):
        outputs = outputs_of(model, names, inputs[start : start + _BATCH])
        for name, output in zip(names, outputs, strict=True):
            values = np.abs(output[output != 0])
            counts[name] += np.histogram(values, _BINS, (0, peaks[name] or 1))[0]
    return {name: _best_range(counts[name], peaks[name], grids[name], method) for name in names}


def _best_range(counts: NDArray[np.int64], peak: float, grid: FixedType, method: str) -> float:
    """The power of two with the least error; the larger of equal ones."""
    if peak == 0 or not counts.any():
        return 0.0
    loss = _squared_error if method == "mse" else _divergence
    levels = 2 ** (grid.width - int(grid.signed))
    ends = [2.0 ** (ceil(log2(peak)) - octave) for octave in range(5)]
    return min(ends, key=lambda end: loss(counts, peak, end, levels))


def _squared_error(counts: NDArray[np.int64], peak: float, end: float, levels: int) -> float:
    """Of rounding below the end and saturation beyond."""
    values = (np.arange(counts.size) + 0.5) * peak / counts.size
    error = np.where(values < end, (end / levels) ** 2 / 12, np.square(values - end))
    return float(counts @ error)


def _divergence(counts: NDArray[np.int64], peak: float, end: float, levels: int) -> float:
    """Kullback-Leibler divergence of the distribution, saturated at the end, from its rounded form."""
    inside = min(counts.size, round(counts.size * end / peak))
    wanted = counts[:inside].astype(np.float64)
    cells = (np.arange(inside) + 0.5) * peak / counts.size // (end / levels)
    codes = np.minimum(cells, levels - 1).astype(np.int64)
    used = wanted > 0
    sums, bins = np.bincount(codes, wanted, levels), np.bincount(codes, used, levels)
    found = np.where(used, (sums / np.maximum(bins, 1))[codes], 0.0)
    wanted[-1] += counts[inside:].sum()  # what saturates piles up in the last bin
    p, q = wanted / wanted.sum(), np.maximum(found, _RARE) / max(found.sum(), _RARE)
    return float((p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum())


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
