# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

MOCK = Path(__file__).parent / "mock_tools" / "mock_tool"


class MockTools:
    """Mock executables, first on PATH, and the record of their calls."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._record = folder.parent / "calls.jsonl"
        folder.mkdir()
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("MOCK_RECORD", str(self._record))

    def add(self, *names: str) -> None:
        """Make mock executables of these names."""
        for name in names:
            (self.folder / name).symlink_to(MOCK)

    def calls(self) -> list[dict[str, Any]]:
        """Calls so far: tool, argv, env."""
        return (
            [json.loads(line) for line in self._record.read_text().splitlines()]
            if self._record.exists()
            else []
        )


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Take back what a command line set up for its process: handlers, level, and no propagation."""
    logger = logging.getLogger("hwflow")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


@pytest.fixture
def mock_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MockTools:
    return MockTools(tmp_path / "bin", monkeypatch)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file below the test's folder."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_file
