# SPDX-License-Identifier: Apache-2.0
"""Codes of real values are exact or an error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwflow.errors import UserError
from hwflow.numerics.codes import cast_values, from_codes, narrowest_type, to_codes
from hwflow.numerics.fixed import Cast, FixedType, Overflow, Rounding

GRIDS = st.builds(FixedType, st.booleans(), st.integers(1, 53), st.integers(-20, 40))


@given(GRIDS, st.data())
def test_round_trip(grid: FixedType, data: st.DataObject) -> None:
    codes = data.draw(st.lists(st.integers(*grid.range()), min_size=1))
    assert np.array_equal(to_codes(from_codes(codes, grid), grid), codes)


@pytest.mark.parametrize(
    ("value", "reason"),
    [(0.3, "not on the grid"), (8.0, "out of range"), (-8.25, "out of range"), (np.nan, "not finite")],
)
def test_values_off_the_grid_are_refused(value: float, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        to_codes([0.25, value], FixedType(True, 6, 2))


@given(GRIDS, st.data())
def test_narrowest_type_holds_the_values_and_no_narrower_one_does(
    grid: FixedType, data: st.DataObject
) -> None:
    values = from_codes(data.draw(st.lists(st.integers(*grid.range()), min_size=1)), grid)
    found = narrowest_type(values, 53)
    assert found is not None
    to_codes(values, found)
    if found.width > 1:
        for frac in (found.frac, found.frac - 1):
            with pytest.raises(UserError):
                to_codes(values, FixedType(found.signed, found.width - 1, frac))


@given(st.floats(-100, 100), st.sampled_from(Rounding), st.sampled_from(Overflow))
def test_cast_values_rounds_like_real_numbers(value: float, rounding: Rounding, overflow: Overflow) -> None:
    cast = Cast(FixedType(True, 9, 2), rounding, overflow)
    got = int(cast_values(value, cast))
    expected = {
        Rounding.TRN: np.floor(value * 4),
        Rounding.TRN_ZERO: np.trunc(value * 4),
        Rounding.RND: np.floor(value * 4 + 0.5),
        Rounding.RND_CONV: np.rint(value * 4),
        Rounding.RND_MIN_INF: np.ceil(value * 4 - 0.5),
        Rounding.RND_ZERO: np.sign(value) * np.ceil(abs(value) * 4 - 0.5),
        Rounding.RND_INF: np.sign(value) * np.floor(abs(value) * 4 + 0.5),
    }[rounding]
    if -256 <= expected <= 255 and not (overflow is Overflow.SAT_SYM and expected == -256):
        assert got == expected


def test_what_lies_far_below_the_grid_decides_a_tie() -> None:
    cast = Cast(FixedType(True, 9, 2), Rounding.RND_CONV)
    assert cast_values([0.125, 0.125 + 2.0**-40, 0.375 - 2.0**-40], cast).tolist() == [0, 1, 1]
