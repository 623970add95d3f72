# SPDX-License-Identifier: Apache-2.0
"""Comparing tensors bit for bit and naming the first difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwflow.errors import InternalError
from hwflow.numerics.fixed import Codes, FixedType
from hwflow.records import RungRecord


@dataclass(frozen=True, slots=True)
class Tensor:
    """Codes with their grid.

    Parameters
    ----------
    codes : ndarray of int64, shape (frames, ...)
        Integer codes.
    type : FixedType
        Their grid.
    """

    codes: Codes
    type: FixedType


def compare(rung: str, scope: str, golden: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> RungRecord:
    """Compare tensors of two implementations.

    Parameters
    ----------
    rung : str
        Name of the implementation compared with the golden model.
    scope : str
        ``output`` or ``layers``.
    golden : mapping of str to Tensor
        Expected tensors in dataflow order; those that ``other`` lacks are left out.
    other : mapping of str to Tensor
        Tensors to check.

    Returns
    -------
    RungRecord
        With the first layer and element that differ.

    Raises
    ------
    InternalError
        When the two have no tensor in common, or shapes differ.
    """
    names = [name for name in golden if name in other]
    if not names:
        raise InternalError(f"{rung}: nothing to compare with the golden model")
    values = mismatches = frames = 0
    first = ""
    for name in names:
        expected, got = _aligned(golden[name], other[name], f"{rung}: {name}")
        wrong = expected != got
        values += expected.size
        frames = max(frames, expected.shape[0])
        mismatches += int(wrong.sum())
        if not first and wrong.any():
            first = _describe(
                name, expected, got, np.argwhere(wrong)[0], max(golden[name].type.frac, other[name].type.frac)
            )
    return RungRecord(
        rung=rung,
        scope=scope,
        frames=frames,
        values=values,
        mismatches=mismatches,
        first_difference=first,
        tensors=len(names),
    )


def _aligned(golden: Tensor, other: Tensor, where: str) -> tuple[Codes, Codes]:
    """Both tensors on the finer grid, in the golden shape."""
    if golden.codes.size != other.codes.size:
        raise InternalError(f"{where}: {other.codes.shape} values against {golden.codes.shape}")
    frac = max(golden.type.frac, other.type.frac)
    expected = golden.codes << (frac - golden.type.frac)
    return expected, other.codes.reshape(golden.codes.shape) << (frac - other.type.frac)


def _describe(name: str, expected: Codes, got: Codes, index: Sequence[int], frac: int) -> str:
    place = tuple(int(i) for i in index)
    want, have = int(expected[place]), int(got[place])
    return (
        f"layer {name}, frame {place[0]}, element {list(place[1:])}: "
        f"expected code {want} ({want * 2.0**-frac:g}), got {have} ({have * 2.0**-frac:g})"
    )
