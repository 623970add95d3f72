# SPDX-License-Identifier: Apache-2.0
"""Seeds and tools of the RTL tests."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from hwflow.tools.verilator import verilator_env

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--hwf-seed``: another seed for data, stalls and start values."""
    parser.addoption("--hwf-seed", type=int, default=1, help="seed of the RTL tests (default 1)")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A seed of this test, from ``--hwf-seed`` and the test's name."""
    text = f"{request.config.getoption('--hwf-seed')}/{request.node.name}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little") & 0x7FFFFFFF


@pytest.fixture
def sim_env(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verilator and its makefiles find their way."""
    for name, value in verilator_env().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def rerun(request: pytest.FixtureRequest) -> str:
    """The command that repeats this test."""
    name = request.node.nodeid.split("@")[0]  # xdist appends the group
    return f"pytest '{name}' --hwf-seed {request.config.getoption('--hwf-seed')}"


@pytest.fixture(scope="session")
def sim_build() -> Path:
    """Folder of simulators; it stays, so that an unchanged module is not built again."""
    folder = Path(os.environ.get("HWF_SIM_BUILD", ROOT / "sim_build"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
