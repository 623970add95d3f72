# SPDX-License-Identifier: Apache-2.0
"""Three values, -1, 0 and +1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import UserError
from hwflow.formats.base import LevelFormat


@dataclass(frozen=True, slots=True)
class Ternary(LevelFormat):
    """``ternary``: the nearest of -1, 0 and +1; ``ternary<T>``: zero up to a magnitude of T.

    Parameters
    ----------
    threshold : float
        Largest magnitude that becomes zero, above 0 and below 1.
    """

    threshold: float = 0.5

    name: ClassVar[str] = "ternary"

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise UserError(f"ternary: the threshold is {self.threshold}", "choose one between 0 and 1")

    def __str__(self) -> str:
        return self.name if self.threshold == 0.5 else f"{self.name}<{self.threshold!r}>"

    @property
    def levels(self) -> tuple[float, ...]:
        return (-1.0, 0.0, 1.0)

    def thresholds(self, dtype: type[np.floating[Any]] = np.float64) -> NDArray[Any]:
        top = np.asarray(self.threshold, dtype)
        return np.array([np.nextafter(-top, dtype(-2)), top], dtype)

    @property
    def code_bits(self) -> int:
        return 2
