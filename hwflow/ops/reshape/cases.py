# SPDX-License-Identifier: Apache-2.0
"""Parameter points of flatten and reshape."""

from __future__ import annotations

from hwflow.ops.base import Case
from hwflow.ops.casekit import grid, reshape, tensor


def cases() -> tuple[Case, ...]:
    """Flatten, and shapes whose channels do and do not repeat."""
    source = tensor((2, 3, 4), grid(8, 4))
    shapes = {"flatten": (24,), "merge": (3, 8), "regroup": (4, 6), "split": (12, 2)}
    return tuple(Case(name, reshape(source, shape), (source,)) for name, shape in shapes.items())
