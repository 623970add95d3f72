# SPDX-License-Identifier: Apache-2.0
"""Signed powers of two: a multiplication is a shift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hwflow.errors import UserError
from hwflow.formats.base import LevelFormat, integer_within


@dataclass(frozen=True, slots=True)
class Pow2(LevelFormat):
    """``pow2<min,max>``: ``+-2^e`` with ``min <= e <= max``, or zero.

    Parameters
    ----------
    low, high : int
        Smallest and largest exponent.

    Notes
    -----
    [Calzoni 2020], section 3.2.3, stores a sign and an exponent and has no zero; here one more code is zero, so that
    ``pow2<-6,0>`` is stored in four bits. The nearest value is taken; half way to zero is zero.
    """

    low: int
    high: int

    name: ClassVar[str] = "pow2"

    def __post_init__(self) -> None:
        integer_within("pow2: the smallest exponent", self.low, -40, 40)
        integer_within("pow2: the largest exponent", self.high, -40, 40)
        if not self.low <= self.high <= self.low + 30:
            raise UserError(
                f"pow2<{self.low},{self.high}>: the exponents span {self.high - self.low + 1} values",
                "give the smallest exponent first, and 31 of them at most",
            )

    def __str__(self) -> str:
        return f"pow2<{self.low},{self.high}>"

    @property
    def levels(self) -> tuple[float, ...]:
        positive = [2.0**e for e in range(self.low, self.high + 1)]
        return (*(-value for value in reversed(positive)), 0.0, *positive)

    @property
    def zero_code(self) -> int:
        return self.high - self.low + 1

    @property
    def code_bits(self) -> int:
        return 1 + (self.high - self.low + 1).bit_length()
