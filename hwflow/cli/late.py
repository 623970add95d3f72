# SPDX-License-Identifier: Apache-2.0
"""Modules that TensorFlow and Keras import in case they are needed, which is hardly ever: loaded when they are used.

They take a twentieth to a tenth of the time that loading TensorFlow takes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

#: What Keras takes tables and augments pictures with; TensorFlow's older interfaces within its older interfaces.
LATE = frozenset(
    [
        *("pandas", "scipy.linalg", "scipy.ndimage"),
        *(f"tensorflow._api.v2.compat.{old}.{part}" for old in ("v1", "v2") for part in ("compat", "lite")),
    ]
)


class _Late:
    """Finds the modules of :data:`LATE`; an attribute that is looked up loads them."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in LATE else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def install() -> None:
    """Put off what is imported from now on."""
    sys.meta_path.insert(0, _Late)
