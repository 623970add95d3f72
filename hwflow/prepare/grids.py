# SPDX-License-Identifier: Apache-2.0
"""Fixed-point grids that fit given values."""

from __future__ import annotations

from math import ceil, log2

import numpy as np

from hwflow.formats import Fixed
from hwflow.numerics.fixed import FixedType
from hwflow.prepare.net import Floats

_SHARES = np.linspace(0.4, 1, 31)


def to_grid(values: Floats, grid: FixedType) -> Floats:
    """Round half to even to a grid, saturating: what QKeras does."""
    low, high = grid.range()
    result: Floats = np.clip(np.rint(np.ldexp(values, grid.frac)), low, high) * 2.0**-grid.frac
    return result


def as_format(grid: FixedType) -> Fixed:
    """A grid as a number format."""
    return Fixed(grid.width, grid.integer, grid.signed)


def activation_grid(magnitude: float, bits: int, signed: bool) -> FixedType:
    """Grid with the least power-of-two range that holds a magnitude; QKeras wants one of at least 1."""
    integer = max(0, ceil(log2(magnitude))) if magnitude > 0 else 0
    return FixedType(signed, bits, bits - integer - int(signed))


def best_grid(values: Floats, bits: int) -> FixedType:
    """Signed grid with the least squared error, saturation included."""
    peak = float(np.abs(values).max(initial=0))
    if peak == 0:
        return FixedType(True, bits, bits - 1)
    widest = bits - 1 - ceil(log2(peak))
    grids = [FixedType(True, bits, frac) for frac in (widest, widest + 1)]
    return min(grids, key=lambda grid: float(np.square(to_grid(values, grid) - values).sum()))


def channel_scales(kernel: Floats, bits: int, axis: int, *, power_of_two: bool, precision: int) -> Floats:
    """Scale of each output channel with the least squared error of weights on the grid of ``bits`` fractions.

    Parameters
    ----------
    kernel : ndarray of float64
        Weights.
    bits : int
        Bits of a weight, whose grid is -1 to just below 1.
    axis : int
        Axis of the output channels.
    power_of_two : bool
        Whether scales are powers of two, or integers of ``precision`` bits on a common grid.
    precision : int
        Bits of a free scale.

    Returns
    -------
    ndarray of float64, shape (channels,)
    """
    rows = np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1)
    grid = FixedType(True, bits, bits - 1)
    peak = np.abs(rows).max(axis=1)
    peak = np.where(peak > 0, peak, 1.0)
    if power_of_two:
        tried = [2.0 ** np.ceil(np.log2(peak)) * share for share in (1.0, 0.5)]
    else:
        widest = peak / (1 - 2.0 ** (1 - bits))
        step = 2.0 ** (ceil(log2(widest.max())) - precision)
        tried = [np.maximum(np.rint(widest * share / step), 1) * step for share in _SHARES]
    errors = [np.square(to_grid(rows / s[:, None], grid) * s[:, None] - rows).sum(axis=1) for s in tried]
    chosen: Floats = np.choose(np.argmin(errors, axis=0), tried)
    return chosen


def offset_grid(values: Floats, bits: int) -> FixedType:
    """Grid of offsets a channel, which are added behind a scale: ``bits`` bits that hold the largest."""
    peak = float(np.abs(values).max(initial=0))
    integer = ceil(log2(peak)) + 1 if peak > 0 else 1
    return FixedType(True, bits + 1, bits - integer)


def bias_grid(values: Floats, frac: int) -> FixedType:
    """Grid of the accumulator, wide enough for every bias."""
    frac = max(frac, 0)
    codes = np.rint(np.ldexp(values, frac))
    narrow = FixedType.for_range(int(codes.min(initial=-1)), int(codes.max(initial=0)), frac)
    return FixedType(True, max(narrow.width, frac + 1), frac)
