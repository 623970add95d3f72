# SPDX-License-Identifier: Apache-2.0
"""Rules for all tests: TensorFlow in one worker only, and nothing skipped in continuous integration."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

# Machines are shared and slow at times; speed is not what these tests are about.
settings.register_profile(
    "hwflow", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("hwflow")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that load TensorFlow to one xdist worker: each process takes gigabytes."""
    for item in items:
        if item.get_closest_marker("tf"):
            item.add_marker(pytest.mark.xdist_group("tf"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure when ``CI`` is set, where everything must be there."""
    report = yield
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
