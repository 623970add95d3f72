# SPDX-License-Identifier: Apache-2.0
"""Fixed-point grids that fit given values."""

from __future__ import annotations

from math import ceil, log2

import numpy as np

from hwflow.numerics.fixed import FixedType
from hwflow.prepare.net import Floats


def to_grid(values: Floats, grid: FixedType) -> Floats:
    """Round half to even to a grid, saturating: what QKeras does."""
    low, high = grid.range()
    result: Floats = np.clip(np.rint(np.ldexp(values, grid.frac)), low, high) * 2.0**-grid.frac
    return result


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


def bias_grid(values: Floats, frac: int) -> FixedType:
    """Grid of the accumulator, wide enough for every bias."""
    frac = max(frac, 0)
    codes = np.rint(np.ldexp(values, frac))
    narrow = FixedType.for_range(int(codes.min(initial=-1)), int(codes.max(initial=0)), frac)
    return FixedType(True, max(narrow.width, frac + 1), frac)
