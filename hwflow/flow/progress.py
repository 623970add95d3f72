# SPDX-License-Identifier: Apache-2.0
"""What a user sees while a run goes on; always on stderr."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Protocol, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Progress(Protocol):
    """Shows the steps of a run and the advance of long loops."""

    def step(self, number: int, total: int, name: str) -> None:
        """A step begins."""

    def done(self, name: str, seconds: float, *, reused: bool) -> None:
        """A step ended well."""

    def track(self, items: Iterable[T], total: int, description: str) -> Iterator[T]:
        """Pass items through, showing how many have gone by."""


class LogProgress:
    """Progress as log messages, for pipes and tests."""

    def step(self, number: int, total: int, name: str) -> None:
        """Nothing: the message comes when the step is done."""

    def done(self, name: str, seconds: float, *, reused: bool) -> None:
        """One line a step."""
        logger.info("%-8s %s", name, "up to date" if reused else f"{seconds:.1f} s")

    def track(self, items: Iterable[T], total: int, description: str) -> Iterator[T]:
        """Items as they come."""
        logger.debug("%s: %d", description, total)
        yield from items


class BarProgress:
    """Progress bars of rich; use it as a context manager."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bars.add_task("start", total=None)

    def __enter__(self) -> BarProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def step(self, number: int, total: int, name: str) -> None:
        """Move the main bar."""
        self._bars.update(self._task, description=name, completed=number, total=total)

    def done(self, name: str, seconds: float, *, reused: bool) -> None:
        """One line a step, above the bars."""
        text = "[dim]up to date[/dim]" if reused else f"{seconds:.1f} s"
        self._bars.console.print(f"  [green]✓[/green] {name:<8} {text}", highlight=False)

    def track(self, items: Iterable[T], total: int, description: str) -> Iterator[T]:
        """A bar of its own while the loop runs."""
        task = self._bars.add_task(f"  {description}", total=total)
        try:
            for item in items:
                yield item
                self._bars.advance(task)
        finally:
            self._bars.remove_task(task)
