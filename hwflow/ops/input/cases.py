# SPDX-License-Identifier: Apache-2.0
"""Parameter points of the input."""

from __future__ import annotations

from hwflow.ops.base import Case
from hwflow.ops.casekit import grid, tensor


def cases() -> tuple[Case, ...]:
    """An image, a wide map and a vector."""
    return (
        Case("image", tensor((4, 5, 3), grid(8, 8, signed=False))),
        Case("map", tensor((2, 3, 8), grid(6, 3))),
        Case("vector", tensor((16,), grid(16, 8))),
    )
