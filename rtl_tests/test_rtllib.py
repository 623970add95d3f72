# SPDX-License-Identifier: Apache-2.0
"""The shared SystemVerilog modules under every stall pattern, with the cycles their headers claim."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwflow.emit.rtl import library_path
from hwflow.verify.bench.simulate import Bench
from rtl_tests import library
from rtl_tests.units import HERE, simulate, simulate_units


@pytest.mark.sim
@pytest.mark.xdist_group("rtllib")
def test_stream_modules(sim_build: Path, sim_env: None, seed: int, rerun: str) -> None:
    simulate_units(library.units(seed), library.MODULES, "rtllib", sim_build, seed, rerun)


@pytest.mark.sim
@pytest.mark.xdist_group("rtllib")
def test_cast_tlast_tap(sim_build: Path, sim_env: None, seed: int, rerun: str) -> None:
    work = sim_build / "bare"
    work.mkdir(exist_ok=True)
    expected = work / "beats.json"
    bench = Bench(
        sources=[*(library_path(m) for m in ("hwf_cast", "hwf_tlast", "hwf_tap")), HERE / "bench_bare.sv"],
        top="bench_bare", module="rtl_tests.cocotb_bare", build=work / "build", work=work, seed=seed,
        plusargs=[f"+hwf_tap={work}"], env={"HWF_TAP_BEATS": str(expected)}, build_args=["--no-timing"],
    )  # fmt: skip
    assert simulate(bench, "hwf_cast, hwf_tlast, hwf_tap", rerun) == 4
    beats = json.loads(expected.read_text())
    # 40 bits take two 32-bit words each. What other tests of this simulation sent comes first.
    words = b"".join(beat.to_bytes(8, "little") for beat in beats)
    assert len(beats) > 20
    assert (work / "probe.bin").read_bytes().endswith(words)
