# SPDX-License-Identifier: Apache-2.0
"""``manifest.json``: what made a run, so that anyone can make it again."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hwflow.config.load import resolve
from hwflow.config.schema import DesignConfig
from hwflow.files import write_text
from hwflow.flow.folder import FORMAT, Stamp
from hwflow.tools.paths import package_dir
from hwflow.tools.versions import versions

NAME = "manifest.json"


def build_manifest(
    config: DesignConfig,
    *,
    argv: Sequence[str],
    config_sha256: str,
    stamps: Mapping[str, Stamp],
    status: str,
    started: datetime,
) -> dict[str, Any]:
    """Everything that decides a run's result, and apart from it what does not.

    Parameters
    ----------
    config : DesignConfig
        The design.
    argv : sequence of str
        Command line.
    config_sha256 : str
        Checksum of the design's file.
    stamps : mapping
        Stamps of the steps that are done.
    status : str
        ``complete``, ``partial`` (stopped by ``--until``), ``running`` or ``failed: …``.
    started : datetime.datetime
        When the run began.

    Returns
    -------
    dict
        JSON values. All but ``when_and_where`` and ``status`` are equal for equal runs.
    """
    return {
        "schema": FORMAT,
        "status": status,
        "argv": list(argv),
        "versions": versions(),
        "platform": {"system": platform.system(), "machine": platform.machine()},
        "git": git_state(package_dir().parent),
        "seeds": {"run": config.Hwflow.Seed},
        "config": {"sha256": config_sha256, "resolved": resolve(config)},
        "artifacts": {name: digest for stamp in stamps.values() for name, digest in stamp.files.items()},
        "when_and_where": {
            "started": started.isoformat(timespec="seconds"),
            "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "host": platform.node(),
            "cores": os.cpu_count(),
            "step_seconds": {name: stamp.seconds for name, stamp in stamps.items()},
        },
    }


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write ``manifest.json``; a reader sees the old one or the new one, never a part."""
    write_text(folder / NAME, json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and cleanliness of the checkout that hwflow runs from, ``None`` when it is none."""
    if not (folder / ".git").exists():
        return None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(changes)}


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
