# SPDX-License-Identifier: Apache-2.0
"""Every operation's module at every case, against the golden model, beat by beat."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwflow.ops.registry import op, ops
from rtl_tests.units import op_units, simulate_units


def _with_hardware() -> list[str]:
    return [name for name, spec in ops().items() if spec.modules]


@pytest.mark.sim
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.xdist_group(n)) for n in _with_hardware()]
)
def test_module_equals_golden_model(name: str, sim_build: Path, sim_env: None, seed: int, rerun: str) -> None:
    units = op_units(op(name), seed)
    assert units
    simulate_units(units, op(name).modules, name, sim_build, seed, rerun)
