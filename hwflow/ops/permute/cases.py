# SPDX-License-Identifier: Apache-2.0
"""Parameter points of the permutation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

from hwflow.ir.graph import QuantNode
from hwflow.ops.base import Case
from hwflow.ops.casekit import grid, tensor


def permute(source: QuantNode, perm: Sequence[int], name: str = "y") -> QuantNode:
    """The axes in another order."""
    shape = tuple(source.shape[axis] for axis in perm)
    return QuantNode(name, "permute", (source.name,), shape, source.cast, {"perm": list(perm)})


def cases() -> tuple[Case, ...]:
    """Every order of three axes, with one and with several lanes; two and four axes."""
    points: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
        ("image", (4, 5, 3), perm) for perm in permutations(range(3)) if perm != (0, 1, 2)
    ]
    points += [("map", (3, 4, 6), perm) for perm in ((2, 0, 1), (1, 0, 2), (0, 2, 1))]
    points += [
        ("rows", (6, 8), (1, 0)),
        ("cube", (2, 3, 2, 4), (3, 1, 2, 0)),
        ("cube", (2, 3, 2, 4), (0, 2, 1, 3)),
    ]
    cases = []
    for kind, shape, perm in points:
        source = tensor(shape, grid(6, 2))
        cases.append(Case("-".join([kind, *map(str, perm)]), permute(source, perm), (source,)))
    return tuple(cases)
