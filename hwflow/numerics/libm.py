# SPDX-License-Identifier: Apache-2.0
"""Single-precision functions of the C library, for what C++ computes with ``float``.

The overloads of ``<cmath>`` for ``float`` are ``expf`` and ``tanhf``. They round differently from double precision
rounded once more, and from numpy's vectorized functions.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache


@cache
def _function(name: str) -> Callable[[float], float]:
    """A ``float name(float)`` of the library that this process runs on."""
    function = getattr(ctypes.CDLL(None), name)
    function.argtypes = [ctypes.c_float]
    function.restype = ctypes.c_float
    return function  # type: ignore[no-any-return]


def single(value: float) -> float:
    """A value rounded to single precision.

    Examples
    --------
    >>> single(0.1)
    0.10000000149011612
    """
    return ctypes.c_float(value).value


def expf(value: float) -> float:
    """``expf``; infinity beyond the range of ``float``.

    Examples
    --------
    >>> expf(0.0), expf(100.0)
    (1.0, inf)
    """
    return _function("expf")(value)


def tanhf(value: float) -> float:
    """``tanhf``.

    Examples
    --------
    >>> tanhf(0.0)
    0.0
    """
    return _function("tanhf")(value)
