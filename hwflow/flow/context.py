# SPDX-License-Identifier: Apache-2.0
"""What a step of a run is given."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from hwflow.config.schema import DesignConfig
from hwflow.errors import HwflowError
from hwflow.flow.progress import LogProgress, Progress
from hwflow.records import Metric

T = TypeVar("T")


@dataclass(slots=True)
class Context:
    """A design and the folder its run writes to.

    Parameters
    ----------
    config : DesignConfig
        The design.
    base_dir : pathlib.Path
        Folder of the design's file; relative paths in the design start there.
    run_dir : pathlib.Path
        The run folder.
    trust : bool
        Whether code that comes with a model may run.
    progress : Progress
        Where to show how far a step is.
    """

    config: DesignConfig
    base_dir: Path
    run_dir: Path
    trust: bool = False
    progress: Progress = field(default_factory=LogProgress)
    step: str = ""
    metrics: list[Metric] = field(default_factory=list)
    deferred: list[HwflowError] = field(default_factory=list)
    _kept: dict[str, Any] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """Seed of every random draw."""
        return self.config.Hwflow.Seed

    @property
    def log(self) -> Path:
        """File that the present step's tools write their output to."""
        return self.run_dir / "logs" / f"{self.step}.log"

    @property
    def logger(self) -> logging.Logger:
        """Logger of the present step."""
        return logging.getLogger(f"hwflow.flow.{self.step}")

    def record(self, metrics: Iterable[Metric]) -> None:
        """Add metrics of the present step; they end up in ``metrics.json``."""
        self.metrics.extend(metrics)

    def fail_at_end(self, error: HwflowError) -> None:
        """Let the remaining steps run, so that the report tells of the failure, and raise it then."""
        self.deferred.append(error)

    def track(self, items: Iterable[T], total: int, description: str) -> Iterator[T]:
        """Show the advance of a loop."""
        return self.progress.track(items, total, description)

    def keep(self, name: str, load: Callable[[], T]) -> T:
        """An object that several steps use, loaded by the first one in this process that asks."""
        if name not in self._kept:
            self._kept[name] = load()
        return cast(T, self._kept[name])

    def renew(self, name: str, value: object) -> None:
        """Let :meth:`keep` give an object that the present step has just made."""
        self._kept[name] = value
