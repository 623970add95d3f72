# SPDX-License-Identifier: Apache-2.0
"""Where fetched and derived data is kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir(*parts: str) -> Path:
    """A folder inside the cache, created on demand.

    Parameters
    ----------
    *parts : str
        Names of nested folders.

    Returns
    -------
    pathlib.Path
        ``$HWFLOW_CACHE/<parts>``, or ``~/.cache/hwflow/<parts>`` where the variable is not set.
    """
    root = os.environ.get("HWFLOW_CACHE")
    folder = (Path(root) if root else Path.home() / ".cache" / "hwflow").joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
