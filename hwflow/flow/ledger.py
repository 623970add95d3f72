# SPDX-License-Identifier: Apache-2.0
"""Designs that were verified, by the content of all that went into them.

A design is known by a fingerprint of its keys, the files it names, hwflow's own files and the versions of all
tools. What the fingerprint says is kept in the user's cache, so that it outlives run folders and can be carried from
one CI job to the next.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from hwflow.config.load import resolve
from hwflow.config.schema import DesignConfig
from hwflow.files import write_text
from hwflow.flow.runner import tree_hash
from hwflow.records import Metric, RungRecord
from hwflow.tools.paths import cache_dir, package_dir, sim_dir
from hwflow.tools.versions import versions


class Verified(BaseModel):
    """What is remembered of a design that passed.

    Parameters
    ----------
    written : str
        When, ISO 8601.
    rungs : list of RungRecord
        Comparisons that were made.
    metrics : list of Metric
        Figures of its run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    written: str
    rungs: list[RungRecord]
    metrics: list[Metric]


def fingerprint(config: DesignConfig, base_dir: Path, *, trust: bool = False) -> str | None:
    """Hash of all that decides what a run of a design finds.

    Parameters
    ----------
    config : DesignConfig
        The design.
    base_dir : pathlib.Path
        Folder that its paths start in.
    trust : bool
        Whether its model may run code.

    Returns
    -------
    str or None
        ``None`` where the model comes from a factory, whose code may read anything.
    """
    source = config.Hwflow.Model.Source
    if ":" in source and not (base_dir / source).is_file():
        return None
    resolved = resolve(config)
    content = {
        "design": resolved,
        "files": {text: tree_hash(base_dir / text) for text in sorted(set(_paths(resolved, base_dir)))},
        "hwflow": [tree_hash(package_dir()), tree_hash(sim_dir())],
        "versions": versions(),
        "machine": platform.machine(),
        "trust": trust,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _paths(value: Any, base_dir: Path) -> Iterator[str]:
    """Every text of a design that names a file or folder."""
    if isinstance(value, dict):
        for entry in value.values():
            yield from _paths(entry, base_dir)
    elif isinstance(value, list):
        for entry in value:
            yield from _paths(entry, base_dir)
    elif isinstance(value, str) and value and _exists(base_dir / value):
        yield value


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long for a name, or no name at all
        return False


def remember(digest: str, rungs: Sequence[RungRecord], metrics: Sequence[Metric]) -> None:
    """Note that a design passed."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    record = Verified(written=now, rungs=list(rungs), metrics=list(metrics))
    write_text(_file(digest), record.model_dump_json(indent=1) + "\n")


def recall(digest: str) -> Verified | None:
    """What is remembered of a design, ``None`` when it has not passed or the note is damaged."""
    path = _file(digest)
    try:
        return Verified.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _file(digest: str) -> Path:
    return cache_dir("verified") / f"{digest}.json"
