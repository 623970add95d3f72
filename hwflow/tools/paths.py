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


def cache_dir(kind: str) -> Path:
    """Folder for things that can be made again, shared by all runs of a user.

    Parameters
    ----------
    kind : str
        Subfolder, for example ``verilator``.

    Notes
    -----
    ``HWFLOW_CACHE``, else ``XDG_CACHE_HOME/hwflow``, else ``~/.cache/hwflow``.
    """
    base = os.environ.get("HWFLOW_CACHE")
    if base is None:
        base = str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hwflow")
    folder = Path(base) / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder
