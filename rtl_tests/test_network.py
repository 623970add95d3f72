# SPDX-License-Identifier: Apache-2.0
"""A small whole network under cocotb, played by the bench that travels with emitted RTL."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hwflow.emit.design import build_design
from hwflow.emit.rtl import write_rtl
from hwflow.numerics.fixed import Codes
from hwflow.ops.casekit import random_codes
from hwflow.verify.bench.emit import write_bench
from hwflow.verify.golden import run_golden
from rtl_tests.networks import tiny_mobilefacenet

PATTERNS = "none random bursty lazy"


def emit(folder: Path, seed: int) -> tuple[Path, Codes]:
    """Emit network and bench; returns the bench's folder and the golden codes."""
    design = build_design(tiny_mobilefacenet())
    (name,), (out,) = design.graph.inputs, design.graph.outputs
    source = design.graph.node(name)
    codes = random_codes(np.random.default_rng(seed), (4, *source.shape), source.type)
    golden = run_golden(design.graph, {name: codes})
    write_rtl(design, folder)
    write_bench(folder, folder / "tb", {name: codes}, golden)
    return folder / "tb", golden[out]


def make(bench: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run make as an engineer would, where hwflow is not installed."""
    poison = bench / "poison"
    poison.mkdir(exist_ok=True)
    (poison / "hwflow.py").write_text("raise ImportError('the bench must not need hwflow')\n")
    env = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "PYTEST_CURRENT_TEST")}
    return subprocess.run(
        ["make", "-C", str(bench), f"PYTHON={sys.executable}", *words], text=True, capture_output=True, check=False,
        env=env | {"PYTHONPATH": str(poison)},
    )  # fmt: skip


@pytest.mark.sim
@pytest.mark.xdist_group("network")
def test_emitted_bench(sim_build: Path, seed: int) -> None:
    bench, golden = emit(sim_build / "network", seed)
    result = make(bench, f"SEED={seed}", f"PATTERNS={PATTERNS}")
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    log = (bench / "build" / "sim" / "test.log").read_text()
    assert f"PASS={len(PATTERNS.split())} FAIL=0" in log
    assert "4 frames equal" in log

    # A wrong golden value must be found, named, and shown in a waveform.
    vectors = bench / "vectors" / "m_axis.hex"
    right = vectors.read_text()
    lines = right.splitlines()
    lines[len(lines) // 4 + 1] = f"{int(lines[len(lines) // 4 + 1], 16) ^ 1:0{len(lines[0])}x}"
    vectors.write_text("\n".join(lines) + "\n")
    result = make(bench, f"SEED={seed}", "PATTERNS=none")
    vectors.write_text(right)
    values = golden[0].size // (len(lines) // 4)
    assert result.returncode != 0
    assert f"m_axis: frame 1, value {values}" in result.stderr, result.stderr[-2000:]
    assert f"run again: make SEED={seed}" in result.stderr
    waves = (bench / "build" / "sim.vcd").read_text()
    preset = (bench / "waves.gtkw").read_text()
    shown = re.findall(r"^tiny_mobilefacenet\.(\w+)", preset, re.MULTILINE)
    assert {"clk_i", "s_axis_tdata", "m_axis_tvalid", "t_conv1_tready"} <= set(shown)
    assert all(f" {signal} " in waves for signal in shown)
