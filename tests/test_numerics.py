# SPDX-License-Identifier: Apache-2.0
"""Casts against a naive ``ap_fixed`` in exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwflow.errors import UserError
from hwflow.numerics.fixed import Cast, FixedType, Overflow, Rounding, apply_cast
from tests import naive

MODES = [(rounding, overflow) for rounding in Rounding for overflow in Overflow]
WIDE = st.integers(-(2**40), 2**40)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(("rounding", "overflow"), MODES)
@pytest.mark.parametrize("frac", [-1, 2, 5, 9])
def test_every_code_in_every_mode(rounding: Rounding, overflow: Overflow, signed: bool, frac: int) -> None:
    cast = Cast(FixedType(signed, 4, 2), rounding, overflow)
    codes = np.arange(-300, 300)
    expected = [naive.cast(Fraction(code) / Fraction(2) ** frac, cast) for code in codes.tolist()]
    assert apply_cast(codes, frac, cast).tolist() == expected


@given(
    codes=st.lists(WIDE, min_size=1, max_size=20),
    frac=st.integers(-6, 20),
    type_=st.builds(FixedType, st.booleans(), st.integers(1, 40), st.integers(-8, 14)),
    mode=st.sampled_from(MODES),
)
def test_any_grids(codes: list[int], frac: int, type_: FixedType, mode: tuple[Rounding, Overflow]) -> None:
    cast = Cast(type_, *mode)
    result = apply_cast(np.array(codes), frac, cast)
    assert result.tolist() == [naive.cast(Fraction(code) / Fraction(2) ** frac, cast) for code in codes]
    low, high = type_.range()
    assert low <= result.min()
    assert result.max() <= high


@given(codes=st.lists(WIDE, min_size=1, max_size=20), mode=st.sampled_from(MODES))
def test_a_cast_onto_its_own_grid_changes_nothing(codes: list[int], mode: tuple[Rounding, Overflow]) -> None:
    cast = Cast(FixedType(True, 12, 3), *mode)
    once = apply_cast(np.array(codes), 7, cast)
    assert np.array_equal(apply_cast(once, 3, cast), once)


@given(low=WIDE, high=WIDE, frac=st.integers(-5, 5))
def test_for_range_is_the_narrowest(low: int, high: int, frac: int) -> None:
    low, high = min(low, high), max(low, high)
    found = FixedType.for_range(low, high, frac)
    assert found.range()[0] <= low
    assert high <= found.range()[1]
    if found.width > 1:
        narrower = FixedType(found.signed, found.width - 1, frac).range()
        assert low < narrower[0] or high > narrower[1]


@given(st.builds(Cast, st.builds(FixedType, st.booleans(), st.integers(1, 64), st.integers(-9, 70)),
                 st.sampled_from(Rounding), st.sampled_from(Overflow)))  # fmt: skip
def test_text_form_reads_back(cast: Cast) -> None:
    assert Cast.parse(str(cast)) == cast
    assert FixedType.from_json(cast.type.to_json()) == cast.type


@pytest.mark.parametrize(
    "text", ["float", "ap_fixed<8>x", "ap_fixed<a,2>", "ap_fixed<8,4,AP_UP>", "ap_fixed<99,4>"]
)
def test_bad_precision_is_refused(text: str) -> None:
    with pytest.raises(UserError) as error:
        Cast.parse(text)
    assert error.value.remedy


@pytest.mark.parametrize(("rounding", "overflow"), MODES)
@pytest.mark.parametrize(
    ("frac", "grid"),
    [(70, FixedType(True, 5, 2)), (65, FixedType(False, 3, 1)), (-40, FixedType(True, 20, 5)),
     (0, FixedType(False, 24, 55)), (3, FixedType(True, 53, 60)), (5, FixedType(True, 64, 62))],
)  # fmt: skip
def test_shifts_beyond_64_bits_are_exact(
    frac: int, grid: FixedType, rounding: Rounding, overflow: Overflow
) -> None:
    cast = Cast(grid, rounding, overflow)
    codes = np.array([0, 1, -1, 3, -3, 2**40 + 1, -(2**40) - 1, 2**62, 2**62 + 1, 2**63 - 1, -(2**63)])
    expected = [naive.cast(Fraction(code) / Fraction(2) ** frac, cast) for code in codes.tolist()]
    assert apply_cast(codes, frac, cast).tolist() == expected


def test_codes_that_64_bits_do_not_hold_are_refused() -> None:
    with pytest.raises(UserError, match="63 are supported"):
        apply_cast(np.array([2**62]), 0, Cast(FixedType(False, 64, 1), Rounding.TRN, Overflow.SAT))
