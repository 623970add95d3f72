# SPDX-License-Identifier: Apache-2.0
"""Fixed point; dynamic where the binary point of each tensor follows from its values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from hwflow.errors import UserError
from hwflow.formats.base import Format, Values, finite, integer_within
from hwflow.numerics.fixed import FixedType

#: Where the binary point goes: as low as no value saturates, or where the squared error is least.
RULES = ("range", "mse")
_TRIED = 6  # binary points that the second rule tries from the first one's on


@dataclass(frozen=True, slots=True)
class Fixed(Format):
    """``fixed<W,I>``, or ``ufixed`` without sign; ``fixed<W>`` and ``fixed<W,mse>`` choose I by the values.

    Parameters
    ----------
    width : int
        Bits, sign included.
    integer : int or None
        Integer bits, sign included; None until fitted.
    signed : bool
        Two's complement when true.
    rule : str
        ``range``: the largest value does not saturate (before rounding up), ``mse``: least squared error.

    Notes
    -----
    Rounds half to even and saturates. [Calzoni 2020], section 3.2.2: values of a layer share the binary point, weights,
    inputs and outputs each have their own.
    """

    width: int
    integer: int | None = None
    signed: bool = True
    rule: Literal["range", "mse"] = "range"

    name: ClassVar[str] = "fixed"
    weights_only: ClassVar[bool] = False

    def __post_init__(self) -> None:
        integer_within("fixed: the number of bits", self.width, 1 + self.signed, 32)
        if self.rule not in RULES:
            raise UserError(f"fixed: the rule {self.rule!r} is unknown", f"choose one of {', '.join(RULES)}")

    def __str__(self) -> str:
        rule = "" if self.rule == "range" else f",{self.rule}"
        return f"{'' if self.signed else 'u'}fixed<{self.width}{rule if self.integer is None else f',{self.integer}'}>"

    @property
    def fitted(self) -> bool:
        return self.integer is not None

    def fit(self, values: ArrayLike, *, where: str = "values") -> Fixed:
        array = finite(values, self, where)
        if self.integer is not None:
            return self
        if not self.signed and float(array.min()) < 0:
            raise UserError(f"{where}: there are values below zero, which {self} has not", "use fixed")
        # The smallest power of two that the largest magnitude does not exceed; 2^k itself only fits below zero.
        high, low = max(float(array.max()), 0.0), max(-float(array.min()), 0.0)
        needed = max(_above(high), int(np.ceil(np.log2(low))) if low > 0 else _LOWEST, _LOWEST) + self.signed
        if not array.any():
            needed = int(self.signed)  # a point far to the left would only widen sums
        candidates = [
            replace(self, integer=needed - back) for back in range(_TRIED if self.rule == "mse" else 1)
        ]
        best = min(candidates, key=lambda one: float(np.square(one._nearest(array) - array).sum()))
        return replace(best, rule="range")

    def _nearest(self, values: Values) -> Values:
        low, high = self.grid.range()
        result: Values = np.ldexp(
            np.clip(np.rint(np.ldexp(values, self.grid.frac)), low, high), -self.grid.frac
        )
        return result

    @property
    def grid(self) -> FixedType:
        self.require_fitted("fixed-point grid")
        return FixedType(self.signed, self.width, self.width - (self.integer or 0))

    @property
    def code_bits(self) -> int:
        return self.width


_LOWEST = -31  # integer bits, less the sign, of values near zero


def _above(magnitude: float) -> int:
    """Smallest k with ``magnitude < 2**k``."""
    return max(int(np.frexp(magnitude)[1]), _LOWEST) if magnitude > 0 else _LOWEST
