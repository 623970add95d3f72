# SPDX-License-Identifier: Apache-2.0
"""Comparing tensors bit for bit and naming the first difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwflow.errors import InternalError
from hwflow.ir.graph import QuantGraph
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


def typed(graph: QuantGraph, codes: Mapping[str, Codes]) -> dict[str, Tensor]:
    """Codes of a graph's nodes with the grids they have there."""
    return {name: Tensor(values, graph.node(name).type) for name, values in codes.items()}


def compare(
    rung: str, scope: str, golden: Mapping[str, Tensor], other: Mapping[str, Tensor], *, first_frame: int = 0
) -> RungRecord:
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
    first_frame : int
        Number of the first of these frames in the run.

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
        expected, got = aligned(golden[name], other[name], f"{rung}: {name}")
        wrong = expected != got
        values += expected.size
        frames = max(frames, expected.shape[0])
        mismatches += int(wrong.sum())
        if not first and wrong.any():
            place = np.argwhere(wrong)[0].tolist()
            grid = _common(golden[name].type, other[name].type)
            codes = (_text(int(values[tuple(place)]), grid) for values in (expected, got))
            first = (
                f"layer {name}, frame {first_frame + place[0]}, element {place[1:]}: "
                "expected code {}, got {}".format(*codes)
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


def aligned(golden: Tensor, other: Tensor, where: str) -> tuple[Codes, Codes]:
    """Codes of both tensors on the finer grid, in the golden shape."""
    if golden.codes.size != other.codes.size:
        raise InternalError(f"{where}: {other.codes.shape} values against {golden.codes.shape}")
    frac = _common(golden.type, other.type).frac
    expected = golden.codes << (frac - golden.type.frac)
    return expected, other.codes.reshape(golden.codes.shape) << (frac - other.type.frac)


def _common(a: FixedType, b: FixedType) -> FixedType:
    """The grid on which two tensors are compared."""
    frac = max(a.frac, b.frac)
    return FixedType(a.signed or b.signed, max(t.width + frac - t.frac for t in (a, b)), frac)


def _text(code: int, grid: FixedType) -> str:
    """A code with its bits and its value."""
    digits = -(-grid.width // 4)
    return f"{code} (0x{code & ((1 << grid.width) - 1):0{digits}x} = {code * 2.0**-grid.frac:g})"
