# SPDX-License-Identifier: Apache-2.0
"""What a number format is: the values it has, how others are rounded to them, and the bits that storing them takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwflow.errors import UserError
from hwflow.numerics.codes import narrowest_type, to_codes
from hwflow.numerics.fixed import FixedType

Values = NDArray[np.float64]
FormatT = TypeVar("FormatT", bound="Format")

MAX_GRID_BITS = 64
"""Widest grid of a format's values."""


class Format(ABC):
    """A number format.

    ``str`` gives its text form, which :func:`hwflow.formats.parse` reads. Some formats have parameters that depend on
    data (a binary point, centroids, scales): :meth:`fit` chooses them and returns the format that has them.

    Attributes
    ----------
    name : str
        What the text form begins with.
    weights_only : bool
        Whether it needs a memory beside the value, so that no stream of activations can have it.
    """

    name: ClassVar[str]
    weights_only: ClassVar[bool] = True

    @abstractmethod
    def __str__(self) -> str: ...

    @property
    def fitted(self) -> bool:
        """Whether no parameter is left to be chosen from data."""
        return True

    def fit(self: FormatT, values: ArrayLike, *, where: str = "values") -> FormatT:
        """The format with all its parameters chosen for these values.

        Parameters
        ----------
        values : array_like of float
            What is to be quantized; output channels are the last axis.
        where : str
            What the values are, for messages.

        Raises
        ------
        UserError
            When the values are not finite, or the format does not suit them.
        """
        finite(values, self, where)
        return self

    def quantize(self, values: ArrayLike, *, where: str = "values") -> Values:
        """The nearest values of the format.

        Parameters
        ----------
        values : array_like of float
            Any finite values; those beyond the largest one saturate.
        where : str
            What they are, for messages.

        Returns
        -------
        ndarray of float64
            Of the same shape, each on :attr:`grid`.

        Raises
        ------
        UserError
            When a value is not finite, or the format has not been fitted.
        """
        self.require_fitted(where)
        return self._nearest(finite(values, self, where))

    @abstractmethod
    def _nearest(self, values: Values) -> Values:
        """Quantize finite values by the fitted format."""

    @property
    @abstractmethod
    def grid(self) -> FixedType:
        """The narrowest fixed-point type that holds every value of the fitted format."""

    def grid_of(self, values: ArrayLike) -> FixedType:
        """The part of :attr:`grid` that given values of the format need: its unit, in the fewest bits."""
        codes = to_codes(values, self.grid)
        return FixedType.for_range(int(codes.min()), int(codes.max()), self.grid.frac)

    @property
    @abstractmethod
    def code_bits(self) -> int:
        """Bits that one value is stored in."""

    @property
    def table_bits(self) -> int:
        """Bits that are stored once for all values: centroids, scales."""
        return 0

    def stored_bits(self, count: int) -> int:
        """Bits of ``count`` values as they are stored, with what is stored once."""
        return count * self.code_bits + self.table_bits

    def state(self) -> dict[str, Any]:
        """What :meth:`fit` found beyond the text form."""
        return {}

    def with_state(self: FormatT, state: dict[str, Any]) -> FormatT:
        """The format with what :meth:`state` gave."""
        return self

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary, read by :func:`hwflow.formats.from_json`."""
        return {"format": str(self), **self.state()}

    def require_fitted(self, where: str = "values") -> None:
        """Refuse to go on without parameters.

        Raises
        ------
        UserError
            When the format has not been fitted.
        """
        if not self.fitted:
            raise UserError(f"{where}: {self} has no parameters yet", "call its fit(values) first")


class LevelFormat(Format):
    """A format of few values, each of which can be listed."""

    @property
    @abstractmethod
    def levels(self) -> tuple[float, ...]:
        """All values, ascending; equal ones may repeat."""

    @property
    def zero_code(self) -> int:
        """Place of the level from which codes are counted: ties go to even codes."""
        return 0

    def thresholds(self, dtype: type[np.floating[Any]] = np.float64) -> NDArray[Any]:
        """What a value must exceed for each level but the first, in the arithmetic of ``dtype``.

        A value's level is the number of thresholds that are less than it.
        """
        return _thresholds(self.levels, self.zero_code, np.dtype(dtype))

    def _nearest(self, values: Values) -> Values:
        levels = np.asarray(self.levels)
        result: Values = levels[np.searchsorted(self.thresholds(), values, side="left")]
        return result

    @property
    def grid(self) -> FixedType:
        found = narrowest_type(self.levels, MAX_GRID_BITS)
        if found is None:
            raise UserError(
                f"the values of {self} fit no fixed-point type of {MAX_GRID_BITS} bits",
                "choose fewer exponents, or values of a coarser precision",
            )
        return found


@lru_cache(maxsize=256)
def _thresholds(levels: tuple[float, ...], zero: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Midpoints of neighbouring levels; one that belongs to the upper level is lowered to the next number."""
    exact = np.asarray(levels, dtype=np.float64)
    middle = ((exact[:-1] + exact[1:]) / 2).astype(dtype)
    upper_is_even = (np.arange(1, len(levels)) - zero) % 2 == 0
    return np.where(upper_is_even, np.nextafter(middle, dtype.type(-np.inf)), middle)


def finite(values: ArrayLike, what: object, where: str) -> Values:
    """Values as an array.

    Raises
    ------
    UserError
        When there are none, or one is NaN or infinite.
    """
    array = np.asarray(values, dtype=np.float64)
    wrong = int((~np.isfinite(array)).sum())
    if wrong:
        raise UserError(
            f"{where}: {wrong} of {array.size} values are NaN or infinite, which {what} has not",
            "train or export them again",
        )
    if array.size == 0:
        raise UserError(f"{where}: there are no values for {what}", "give at least one")
    return array


def integer_within(what: str, value: int, low: int, high: int) -> None:
    """Refuse a parameter of a format that is out of range.

    Raises
    ------
    UserError
        Names the parameter and its range.
    """
    if not low <= value <= high:
        raise UserError(f"{what} is {value}", f"choose one from {low} to {high}")
