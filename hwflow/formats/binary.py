# SPDX-License-Identifier: Apache-2.0
"""Two values, -1 and +1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwflow.formats.base import LevelFormat


@dataclass(frozen=True, slots=True)
class Binary(LevelFormat):
    """``binary``: +1 from zero on, -1 below, as QKeras' ``binary`` with ``alpha=1``."""

    name: ClassVar[str] = "binary"

    def __str__(self) -> str:
        return self.name

    @property
    def levels(self) -> tuple[float, ...]:
        return (-1.0, 1.0)

    def thresholds(self, dtype: type[np.floating[Any]] = np.float64) -> NDArray[Any]:
        return np.array([-np.finfo(dtype).tiny], dtype)  # zero is above; TensorFlow has no smaller numbers

    @property
    def code_bits(self) -> int:
        return 1
