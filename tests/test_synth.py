# SPDX-License-Identifier: Apache-2.0
"""Resources of designs: cells counted by family, modules synthesized once and summed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwflow.emit.design import Design, build_design
from hwflow.emit.rtl import write_rtl
from hwflow.errors import UserError
from hwflow.ops.casekit import grid
from hwflow.synth import modules
from hwflow.synth.modules import module_job, synthesize_design, synthesize_module
from hwflow.tools.targets import TARGETS, Resources, target
from hwflow.tools.verilator import read_filelist
from hwflow.tools.yosys import synthesize
from rtl_tests.networks import Builder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWFLOW_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def design() -> Design:
    net = Builder(np.random.default_rng(2), 2000)
    x = net.quantize(net.prelu(net.conv(net.input((8, 8, 3), grid(8, 7)), 8, 3, 2)))
    y = net.quantize(net.depthwise(x, 3))
    net.add(x, y)
    return build_design(net.graph("little"))


def test_cells_count_as_resources() -> None:
    cells = {"LUT3": 5, "LUT6": 2, "RAM32M": 1, "SRL16E": 3, "FDRE": 7, "FDSE": 1, "DSP48E1": 2, "CARRY4": 9}
    cells |= {"RAMB36E1": 2, "RAMB18E1": 1}
    assert TARGETS["xc7"].resources(cells) == Resources(lut=14, ff=8, dsp=2, bram=3, bram18=5)
    assert TARGETS["ice40"].resources({"SB_RAM40_4K": 4, "SB_LUT4": 1, "SB_DFFESR": 2}) == Resources(
        lut=1, ff=2, bram=4, bram18=None
    )


def test_resources_add_up() -> None:
    one = Resources(1, 2, 3, 4, 5, 6)
    assert one + one == Resources(2, 4, 6, 8, 10, 12)
    assert (one + Resources(bram18=None)).bram18 is None


def test_an_unknown_target_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"did you mean 'xc7'"):
        target("xc8")


def test_the_key_follows_what_the_result_depends_on(design: Design) -> None:
    block = next(block for block in design.blocks if block.module == "hwf_conv2d")
    job, xc7 = module_job(block, design), TARGETS["xc7"]
    assert {"hwf_conv2d", "hwf_mvu", "hwf_window", "hwf_cast"} <= job.sources.keys()
    assert len(job.memories) == 2
    assert job.key(xc7) == module_job(block, design).key(xc7)
    file = next(iter(job.memories))
    changed = modules.ModuleJob(job.module, job.parameters, {**job.memories, file: "0\n"}, job.sources)
    assert len({job.key(xc7), job.key(TARGETS["ecp5"]), changed.key(xc7)}) == 3


@pytest.mark.synth
def test_a_module_is_synthesized_once(
    design: Design, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = next(block for block in design.blocks if block.module == "hwf_fork")
    job, log = module_job(block, design), tmp_path / "yosys.log"
    first = synthesize_module(job, TARGETS["ecp5"], log)
    assert first.resources.ff > 0
    monkeypatch.setattr(modules, "synthesize", None)  # the second time nothing runs
    assert synthesize_module(job, TARGETS["ecp5"], log) == first


@pytest.mark.synth
def test_modules_apart_come_close_to_the_whole(
    design: Design, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ecp5 = TARGETS["ecp5"]
    apart = synthesize_design(design, ecp5, logs=tmp_path / "logs", jobs=2)
    write_rtl(design, tmp_path / "rtl")
    monkeypatch.chdir(tmp_path / "rtl")
    files = [path for path in read_filelist(Path("filelist.f")) if path.stem != "hwf_tap"]
    cells = synthesize(
        files, design.name, out=tmp_path, log=tmp_path / "flat.log", command=ecp5.command
    ).cells
    whole = ecp5.resources(cells)
    assert apart.total.dsp == whole.dsp > 0
    assert apart.total.lut == pytest.approx(whole.lut, rel=0.08)
    assert apart.total.ff == pytest.approx(whole.ff, rel=0.02)
    assert set(apart.layers) <= {node.name for node in design.graph}
    assert sum((r.lut for r in apart.layers.values()), 0) == apart.total.lut
