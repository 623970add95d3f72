# SPDX-License-Identifier: Apache-2.0
"""Where hwflow's own files and caches lie."""

from __future__ import annotations

import os
from pathlib import Path

import hwflow
from hwflow.errors import InternalError


def package_dir() -> Path:
    """Folder of the installed package."""
    return Path(hwflow.__file__).resolve().parent


def sim_dir() -> Path:
    """Folder with the Verilator harness, waivers and wave presets.

    A wheel carries it as ``hwflow/_sim``; in a source checkout it is ``sim/`` beside ``hwflow/``.
    """
    package = package_dir()
    for folder in (package / "_sim", package.parent / "sim"):
        if folder.is_dir():
            return folder
    raise InternalError(
        f"the simulation harness is missing beside {package}",
        "install hwflow again; its wheel holds hwflow/_sim",
    )


def cache_dir(*parts: str) -> Path:
    """A folder for things that can be made again, shared by all runs of a user; created on demand.

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
