# SPDX-License-Identifier: Apache-2.0
"""Every module imports, and the examples in its documentation hold."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import hwflow

IN_SIMULATION = ("hwflow.verify.bench.accelerator",)  # cocotb imports it inside a running simulation
MODULES = [
    info.name for info in pkgutil.walk_packages(hwflow.__path__, "hwflow.") if info.name not in IN_SIMULATION
]


@pytest.mark.parametrize("name", MODULES)
def test_documented_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


@pytest.mark.tf
def test_hls4ml_knows_the_backend_whatever_is_imported_first() -> None:
    code = (
        "import hwflow.backend.backend, hls4ml.backends, sys;"
        "sys.exit('hwflow' not in hls4ml.backends.get_available_backends())"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_importing_hwflow_and_its_command_line_is_light() -> None:
    code = (
        "import sys, hwflow, hwflow.cli.app;"
        "heavy = {'tensorflow', 'hls4ml', 'cocotb', 'cv2', 'numpy', 'pydantic'} & set(sys.modules);"
        "sys.exit(f'loaded: {sorted(heavy)}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
