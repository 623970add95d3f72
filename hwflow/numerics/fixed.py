# SPDX-License-Identifier: Apache-2.0
"""Fixed-point types, rounding and overflow on integer codes.

A *code* is an integer; the real number it stands for is ``code * 2**-frac``. The modes are
those of the Vitis HLS / AC ``ap_fixed`` types (AMD UG1399, "Arbitrary Precision Fixed-Point
Data Types"), which hls4ml's C++ uses, so that a cast here equals a cast there in every bit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import UserError

Codes = NDArray[np.int64]


class Rounding(str, Enum):
    """Quantization modes of ``ap_fixed`` (what happens to bits below the grid)."""

    TRN = "TRN"
    TRN_ZERO = "TRN_ZERO"
    RND = "RND"
    RND_ZERO = "RND_ZERO"
    RND_INF = "RND_INF"
    RND_MIN_INF = "RND_MIN_INF"
    RND_CONV = "RND_CONV"


class Overflow(str, Enum):
    """Overflow modes of ``ap_fixed`` (what happens to values beyond the range)."""

    WRAP = "WRAP"
    SAT = "SAT"
    SAT_ZERO = "SAT_ZERO"
    SAT_SYM = "SAT_SYM"


class WidthError(UserError):
    """A type with no bits, or with more than 64."""


@dataclass(frozen=True, slots=True, order=True)
class FixedType:
    """A two's complement or unsigned fixed-point grid.

    Parameters
    ----------
    signed : bool
        Two's complement when true.
    width : int
        Total bits, sign included, 1 to 64.
    frac : int
        Fractional bits; may be negative or larger than ``width``.

    Examples
    --------
    >>> FixedType(True, 8, 4).range()
    (-128, 127)
    >>> str(FixedType(False, 8, 5))
    'ufixed<8,3>'
    """

    signed: bool
    width: int
    frac: int

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 64:
            raise WidthError(
                f"fixed-point width {self.width} is outside 1..64 bits",
                "choose a precision of at most 64 bits for this value",
            )

    @property
    def integer(self) -> int:
        """Integer bits, sign included (the second argument of ``ap_fixed``)."""
        return self.width - self.frac

    def range(self) -> tuple[int, int]:
        """Smallest and largest code."""
        if self.signed:
            return -(1 << (self.width - 1)), (1 << (self.width - 1)) - 1
        return 0, (1 << self.width) - 1

    def __str__(self) -> str:
        return f"{'' if self.signed else 'u'}fixed<{self.width},{self.integer}>"

    def to_json(self) -> list[int]:
        """``[signed, width, frac]`` as integers."""
        return [int(self.signed), self.width, self.frac]

    @classmethod
    def from_json(cls, data: list[int]) -> FixedType:
        """Inverse of :meth:`to_json`."""
        return cls(bool(data[0]), data[1], data[2])

    @classmethod
    def for_range(cls, low: int, high: int, frac: int) -> FixedType:
        """Narrowest type that holds every code in ``low..high`` on the grid ``2**-frac``.

        Examples
        --------
        >>> FixedType.for_range(-3, 4, 2)
        FixedType(signed=True, width=4, frac=2)
        >>> FixedType.for_range(0, 4, 2)
        FixedType(signed=False, width=3, frac=2)
        """
        if low >= 0:
            return cls(False, max(1, int(high).bit_length()), frac)
        bits = max(max(int(high), 0).bit_length(), int(-low - 1).bit_length())
        return cls(True, bits + 1, frac)


_AP = re.compile(
    r"^(?:ap_)?(?P<u>u)?(?P<kind>fixed|int)<(?P<args>[^>]*)>$",
)


@dataclass(frozen=True, slots=True)
class Cast:
    """A target type with the way values get there.

    Parameters
    ----------
    type : FixedType
        Target grid and range.
    rounding : Rounding
        Mode for bits below the grid.
    overflow : Overflow
        Mode for values beyond the range.
    """

    type: FixedType
    rounding: Rounding = Rounding.TRN
    overflow: Overflow = Overflow.WRAP

    def __str__(self) -> str:
        t = self.type
        return (
            f"{'' if t.signed else 'u'}fixed<{t.width},{t.integer},"
            f"{self.rounding.value},{self.overflow.value}>"
        )

    @classmethod
    def parse(cls, text: str) -> Cast:
        """Read ``ap_fixed<W,I,Q,O>``, ``ap_ufixed``, ``ap_int<W>``, ``ap_uint`` or without ``ap_``.

        Raises
        ------
        UserError
            When the text is not of that form.

        Examples
        --------
        >>> str(Cast.parse("ap_fixed<8, 4, AP_RND_CONV, AP_SAT>"))
        'fixed<8,4,RND_CONV,SAT>'
        """
        match = _AP.match(text.replace(" ", ""))
        if not match:
            raise UserError(
                f"precision {text!r} is not a fixed-point type",
                "write it like ap_fixed<16,6>, ap_ufixed<8,0,RND_CONV,SAT> or ap_int<4>",
            )
        args = match["args"].split(",")
        try:
            width = int(args[0])
            integer = int(args[1]) if match["kind"] == "fixed" else width
            modes = args[2 if match["kind"] == "fixed" else 1 :]
            rounding = Rounding(modes[0].removeprefix("AP_")) if modes else Rounding.TRN
            overflow = Overflow(modes[1].removeprefix("AP_")) if len(modes) > 1 else Overflow.WRAP
        except (ValueError, IndexError) as error:
            raise UserError(
                f"precision {text!r} cannot be read: {error}",
                "write it like ap_fixed<16,6> or ap_ufixed<8,0,RND_CONV,SAT>",
            ) from error
        return cls(FixedType(match["u"] is None, width, width - integer), rounding, overflow)


def apply_cast(codes: Codes, frac: int, cast: Cast) -> Codes:
    """Bring exact codes on the grid ``2**-frac`` to the target type.

    Parameters
    ----------
    codes : ndarray of int64
        Exact values on the source grid.
    frac : int
        Fractional bits of the source grid.
    cast : Cast
        Target type, rounding and overflow.

    Returns
    -------
    ndarray of int64
        Codes on the target grid, inside the target range.

    Notes
    -----
    Rounding comes first, then overflow, as in ``ap_fixed``.

    Examples
    --------
    >>> apply_cast(np.array([5, 6, 7, -6]), 2, Cast(FixedType(True, 4, 0), Rounding.RND_CONV)).tolist()
    [1, 2, 2, -2]
    """
    rounded = overflow_codes(round_codes(codes, frac - cast.type.frac, cast.rounding), cast)
    try:
        return rounded.astype(np.int64, copy=False)
    except OverflowError as error:
        raise UserError(f"a code of {cast.type} needs 64 bits without sign; 63 are supported") from error


def round_codes(codes: Codes, shift: int, mode: Rounding) -> Codes:
    """Drop ``shift`` low bits under a rounding mode (a negative shift appends zeros).

    Parameters
    ----------
    codes : ndarray of int64
        Exact codes.
    shift : int
        Number of bits to drop.
    mode : Rounding
        What happens to them.

    Returns
    -------
    ndarray of int64
        Of Python integers where 64 bits do not hold what is shifted.
    """
    codes = np.asarray(codes, dtype=np.int64)
    if shift > 62 or (shift < 0 and codes.size and _bits(codes) - shift > 63):
        codes = codes.astype(object)
    if shift <= 0:
        return codes << -shift
    floor = codes >> shift
    if mode is Rounding.TRN:
        return floor
    rest = codes - (floor << shift)
    half = 1 << (shift - 1)
    up: NDArray[np.bool_]
    if mode is Rounding.TRN_ZERO:
        up = (codes < 0) & (rest != 0)
    elif mode is Rounding.RND:
        up = rest >= half
    elif mode is Rounding.RND_MIN_INF:
        up = rest > half
    elif mode is Rounding.RND_ZERO:
        up = (rest > half) | ((rest == half) & (codes < 0))
    elif mode is Rounding.RND_INF:
        up = (rest > half) | ((rest == half) & (codes >= 0))
    else:
        up = (rest > half) | ((rest == half) & ((floor & 1) == 1))
    return floor + up.astype(np.int64)


def _bits(codes: Codes) -> int:
    """Bits of the largest magnitude."""
    return max(int(codes.max()), -int(codes.min()) - 1).bit_length()


def overflow_codes(codes: Codes, cast: Cast) -> Codes:
    """Bring codes of the target grid into the target range."""
    low, high = cast.type.range()
    if cast.overflow is Overflow.WRAP:
        width = cast.type.width
        if width == 64 and codes.dtype != object:
            return codes
        wrapped = codes & ((1 << width) - 1)
        if cast.type.signed:
            wrapped = wrapped - ((wrapped >> (width - 1)) << width)
        return wrapped
    if cast.overflow is Overflow.SAT_ZERO:
        return np.where((codes < low) | (codes > high), 0, codes)
    if cast.overflow is Overflow.SAT_SYM and cast.type.signed:
        low = -high
    return np.clip(codes, low, high)
