# SPDX-License-Identifier: Apache-2.0
"""Mini floating point: a sign, a few bits of exponent, a few of mantissa."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from hwflow.formats.base import LevelFormat, integer_within
from hwflow.numerics.codes import to_codes
from hwflow.numerics.fixed import FixedType


@dataclass(frozen=True, slots=True)
class MiniFloat(LevelFormat):
    """``minifloat<E,M>``: ``(-1)^s * (1 + m / 2^M) * 2^(e - bias)`` with ``bias = 2^(E-1) - 1``.

    Parameters
    ----------
    exponent : int
        Bits E of the exponent.
    mantissa : int
        Bits M of the mantissa.

    Notes
    -----
    [Calzoni 2020], section 3.2.1: no denormal values, no infinity, no NaN, so that every exponent is an ordinary one.
    Zero is left open there; here it is the code with e = 0 and m = 0, which would otherwise be ``2^-bias``. Values
    are rounded to the nearest, half to the even code, and saturate.
    """

    exponent: int
    mantissa: int

    name: ClassVar[str] = "minifloat"
    weights_only: ClassVar[bool] = False

    def __post_init__(self) -> None:
        integer_within(f"{self.name}: the number of exponent bits", self.exponent, 1, 5)
        integer_within(f"{self.name}: the number of mantissa bits", self.mantissa, 0, 10)

    def __str__(self) -> str:
        return f"{self.name}<{self.exponent},{self.mantissa}>"

    @property
    def bias(self) -> int:
        """What is subtracted from the stored exponent."""
        return (1 << (self.exponent - 1)) - 1

    @property
    def frac(self) -> int:
        """Fractional bits of the grid that holds every value."""
        return self.bias + self.mantissa

    @property
    def levels(self) -> tuple[float, ...]:
        return _levels(self.exponent, self.mantissa)

    @property
    def zero_code(self) -> int:
        return (1 << (self.exponent + self.mantissa)) - 1

    def grid_of(self, values: ArrayLike) -> FixedType:
        """Grid of some values: its unit is the last bit of the mantissa at the smallest exponent among them."""
        codes = to_codes(values, self.grid)
        used = np.abs(codes[codes != 0])
        spare = 0 if used.size == 0 else int(used.min()).bit_length() - 1 - self.mantissa
        return FixedType.for_range(int(codes.min()) >> spare, int(codes.max()) >> spare, self.frac - spare)

    @property
    def grid(self) -> FixedType:
        largest = ((2 << self.mantissa) - 1) << ((1 << self.exponent) - 1)
        return FixedType.for_range(-largest, largest, self.frac)

    @property
    def code_bits(self) -> int:
        return 1 + self.exponent + self.mantissa


@lru_cache(maxsize=64)
def _levels(exponent: int, mantissa: int) -> tuple[float, ...]:
    codes = np.arange(1, 1 << (exponent + mantissa))
    size = (1 << mantissa) + (codes & ((1 << mantissa) - 1))
    positive = np.ldexp(size.astype(np.float64), (codes >> mantissa) - ((1 << (exponent - 1)) - 1) - mantissa)
    return (*(-positive[::-1]).tolist(), 0.0, *positive.tolist())
