# SPDX-License-Identifier: Apache-2.0
"""Softmax tables as hls4ml's C++ fills them (``nnet_activation.h``): the same steps in the same precisions."""

from __future__ import annotations

import math

import numpy as np

from hwflow.numerics.codes import cast_values
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.numerics.libm import expf, single


def addressed(size: int, grid: FixedType) -> list[float]:
    """Values, as ``float``, that the entries of a table stand for which the top bits of a grid's codes address."""
    step = 1 << (grid.width - (size - 1).bit_length())
    codes = [entry * step for entry in range(size)]
    if grid.signed:
        codes = [code - (1 << grid.width) if code >> (grid.width - 1) else code for code in codes]
    return [single(math.ldexp(code, -grid.frac)) for code in codes]


def exp_table(size: int, grid: FixedType, cast: Cast, *, negative: bool) -> Codes:
    """``exp(x)``, or ``exp(-x)``, for the top bits of codes of a grid."""
    values = [expf(-x if negative else x) for x in addressed(size, grid)]
    return cast_values(np.array(values), cast)


def inverse_table(size: int, grid: FixedType, cast: Cast) -> Codes:
    """``1 / x`` for the top bits of codes of a grid; infinity at zero."""
    values = [single(1.0 / x) if x else math.inf for x in addressed(size, grid)]
    return cast_values(np.array(values), cast)
