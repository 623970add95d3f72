# SPDX-License-Identifier: Apache-2.0
"""Between hls4ml's precision types and hwflow's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwflow.numerics.fixed import Cast

if TYPE_CHECKING:
    from hls4ml.model.types import FixedPrecisionType


def to_cast(precision: Any) -> Cast:
    """The cast an hls4ml fixed-point or integer precision stands for.

    Raises
    ------
    UserError
        When it is none of the two (binary, exponent, float or not yet known).
    """
    return Cast.parse(str(precision))


def to_precision(cast: Cast) -> FixedPrecisionType:
    """The hls4ml precision of a cast.

    Notes
    -----
    Always a ``FixedPrecisionType``: hls4ml reads a 2-bit ``IntegerPrecisionType`` weight as ternary and
    then multiplies wrongly by -2.
    """
    from hls4ml.model.types import FixedPrecisionType

    grid = cast.type
    return FixedPrecisionType(grid.width, grid.integer, grid.signed, cast.rounding.value, cast.overflow.value)
