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


def legacy_tables(exp_size: int, inverse_size: int, cast: Cast) -> tuple[Codes, Codes]:
    """``exp(x)`` over -8..8 and ``1 / x`` over 0..64, zero at zero."""
    arguments = [single(16.0 * (i - exp_size / 2.0) / exp_size) for i in range(exp_size)]
    exps = np.array([expf(x) for x in arguments])
    inputs = [single(64.0 * i / inverse_size) for i in range(inverse_size)]
    inverses = np.array([1.0 / x if x > 0 else 0.0 for x in inputs])
    return cast_values(exps, cast), cast_values(inverses, cast)
