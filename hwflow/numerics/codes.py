# SPDX-License-Identifier: Apache-2.0
"""Between floating-point values and integer codes, exactly or not at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwflow.errors import UserError
from hwflow.numerics.fixed import Cast, Codes, FixedType, apply_cast

_GUARD_BITS = 8
_FINEST_GRID = 60  # bits below the point that are looked at for the common grid of values


def to_codes(values: ArrayLike, grid: FixedType) -> Codes:
    """Integer codes of values that lie on a grid.

    Parameters
    ----------
    values : array_like of float
        Real values.
    grid : FixedType
        Their grid.

    Returns
    -------
    ndarray of int64
        ``values * 2**grid.frac``.

    Raises
    ------
    UserError
        When a value is not finite, not on the grid or out of its range.

    Examples
    --------
    >>> to_codes([0.5, -0.25], FixedType(True, 4, 2)).tolist()
    [2, -1]
    """
    scaled = np.ldexp(np.asarray(values, dtype=np.float64), grid.frac)
    low, high = grid.range()
    for wrong, why in (
        (~np.isfinite(scaled), "is not finite"),
        (scaled != np.rint(scaled), f"is not on the grid 2^{-grid.frac}"),
        ((scaled < low) | (scaled > high), "is out of range"),
    ):
        if wrong.any():
            first = np.ldexp(scaled[wrong].flat[0], -grid.frac)
            raise UserError(
                f"{int(wrong.sum())} of {scaled.size} values do not fit {grid}; the first, {first!r}, {why}",
                "round the values to the grid and clip them to its range first",
            )
    return scaled.astype(np.int64)


def from_codes(codes: ArrayLike, grid: FixedType) -> NDArray[np.float64]:
    """Real values of integer codes (exact while a code needs at most 53 bits).

    Examples
    --------
    >>> from_codes([2, -1], FixedType(True, 4, 2)).tolist()
    [0.5, -0.25]
    """
    return np.ldexp(np.asarray(codes, dtype=np.float64), -grid.frac)


def narrowest_type(values: ArrayLike, max_width: int) -> FixedType | None:
    """Narrowest fixed-point type that holds every value exactly.

    Parameters
    ----------
    values : array_like of float
        Real values.
    max_width : int
        Widest type to look for.

    Returns
    -------
    FixedType or None
        None when no type of at most ``max_width`` bits holds the values.

    Examples
    --------
    >>> narrowest_type([0.75, -0.5], 8)
    FixedType(signed=True, width=3, frac=2)
    >>> narrowest_type([0.1], 16) is None
    True
    """
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        return None
    used = array[array != 0.0]
    if used.size == 0:
        return FixedType(False, 1, 0)
    mantissas, exponents = np.frexp(used)
    integers = np.ldexp(mantissas, 53).astype(np.int64)
    trailing = np.log2((integers & -integers).astype(np.float64)).astype(np.int64)
    frac = int((53 - trailing - exponents).max())
    if frac > _FINEST_GRID or int(exponents.max()) + frac > max_width:
        return None
    scaled = np.ldexp(array, frac)
    found = FixedType.for_range(int(scaled.min()), int(scaled.max()), frac)
    return found if found.width <= max_width else None


def cast_values(values: ArrayLike, cast: Cast) -> Codes:
    """Codes that ``ap_fixed`` would store for real values.

    Parameters
    ----------
    values : array_like of float
        Real values, also between grid points.
    cast : Cast
        Target type, rounding and overflow.

    Returns
    -------
    ndarray of int64

    Examples
    --------
    >>> cast_values([0.3, -0.3], Cast(FixedType(True, 4, 2))).tolist()
    [1, -2]
    """
    scaled = np.ldexp(np.asarray(values, dtype=np.float64), cast.type.frac + _GUARD_BITS)
    limit = 2.0**62
    floor = np.floor(np.clip(scaled, -limit, limit))
    sticky = (floor != scaled).astype(np.int64)  # whatever lies below the guard bits breaks ties
    return apply_cast(floor.astype(np.int64) | sticky, cast.type.frac + _GUARD_BITS, cast)
