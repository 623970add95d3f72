# SPDX-License-Identifier: Apache-2.0
"""Every SystemVerilog file is clean in Verilator and goes through Yosys for two FPGA families."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hwflow.emit.design import build_design
from hwflow.emit.rtl import library_path, write_rtl
from hwflow.ops.adder_graph_sv import ADDER_GRAPH_MODULES
from hwflow.ops.registry import op, ops
from hwflow.tools.paths import package_dir, sim_dir
from hwflow.tools.verilator import lint, read_filelist
from hwflow.tools.yosys import synthesize
from rtl_tests import library
from rtl_tests.networks import tiny_mobilefacenet
from rtl_tests.units import HERE, TOP, Unit, op_units, write_units

WAIVERS = sim_dir() / "verilator" / "waivers.vlt"
#: Module to the modules it instantiates; a simulation-only one is not synthesized.
MODULES = {
    "hwf_fifo": ("hwf_fifo",),
    "hwf_dwc": ("hwf_dwc",),
    "hwf_fork": ("hwf_fork",),
    "hwf_uart": ("hwf_uart",),
    "hwf_skip": ("hwf_skip",),
    "hwf_window": ("hwf_window",),
    "hwf_window_parallel": ("hwf_window_parallel",),
    "hwf_mvu": ("hwf_rom", "hwf_table", "hwf_mvu", "hwf_cast"),
}
TARGETS = {"ecp5": "synth_ecp5", "xc7": "synth_xilinx -family xc7"}
#: Stands for the modules of adder graphs, which have no file.
GENERATED = "hwf_da"
#: Parameter points synthesized a module, evenly chosen; all of them are linted and simulated.
SYNTHESIZED = 4


def points() -> dict[str, tuple[Sequence[str], list[Unit]]]:
    """By top module: its source modules and its parameter points."""
    found: dict[str, tuple[Sequence[str], list[Unit]]] = {
        top: (modules, [unit for unit in library.units(1) if unit.module == top])
        for top, modules in MODULES.items()
    }
    for name, spec in ops().items():
        for unit in op_units(op(name), 1) if spec.modules else []:
            if unit.sources:
                found.setdefault(GENERATED, (ADDER_GRAPH_MODULES, []))[1].append(unit)
            else:
                found.setdefault(unit.module, (spec.modules, []))[1].append(unit)
    return found


POINTS = points()


def test_every_file_is_covered() -> None:
    files = {path.stem for path in package_dir().rglob("*.sv")}
    bare = {"hwf_cast", "hwf_tlast", "hwf_tap"}  # by bench_bare.sv
    bare |= {"hwf_rom", "hwf_table"}  # by the modules that instantiate them
    bare |= {"hwf_axil", "hwf_frame_gate", "hwf_supervisor"}  # by test_control.py
    assert files == POINTS.keys() - {GENERATED} | bare


@pytest.mark.sim
@pytest.mark.parametrize("module", POINTS)
def test_lint(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules, units = POINTS[module]
    monkeypatch.chdir(tmp_path)
    files = [*map(library_path, dict.fromkeys(modules)), *write_units(units, tmp_path)]
    lint(files, TOP, log=tmp_path / "lint.log", waivers=[WAIVERS])


@pytest.mark.sim
def test_lint_bare(tmp_path: Path) -> None:
    files = [*(library_path(m) for m in ("hwf_cast", "hwf_tlast", "hwf_tap")), HERE / "bench_bare.sv"]
    lint(files, "bench_bare", log=tmp_path / "lint.log", waivers=[WAIVERS])


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("network")
    write_rtl(build_design(tiny_mobilefacenet(cycles=4000)), folder)
    return folder


@pytest.mark.sim
def test_lint_network(network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(network)
    files = read_filelist(Path("filelist.f"))
    lint(files, "tiny_mobilefacenet", log=tmp_path / "lint.log", waivers=[WAIVERS])


@pytest.mark.synth
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("module", POINTS)
def test_synthesis(module: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules, units = POINTS[module]
    monkeypatch.chdir(tmp_path)  # memory files are read from here
    sources = write_units(units[:: -(-len(units) // SYNTHESIZED)], tmp_path)
    files = [*map(library_path, dict.fromkeys(modules)), *sources]
    result = synthesize(files, TOP, out=tmp_path, log=tmp_path / "yosys.log", command=TARGETS[target])
    assert sum(result.cells.values()) > 0


@pytest.mark.synth
@pytest.mark.parametrize("target", TARGETS)
def test_network_synthesis(
    network: Path, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(network)
    files, top = read_filelist(network / "filelist.f"), "tiny_mobilefacenet"
    result = synthesize(files, top, out=tmp_path, log=tmp_path / "yosys.log", command=TARGETS[target])
    multiplier = "MULT18X18D" if target == "ecp5" else "DSP48E1"
    assert result.cells[multiplier] > 0
