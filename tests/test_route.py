# SPDX-License-Identifier: Apache-2.0
"""From a design to a board's bitstream: rate of the line, constraints, command lines, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwflow.emit.design import Design, build_design
from hwflow.errors import ConfigError, UserError
from hwflow.ops.casekit import case_graph
from hwflow.ops.registry import op
from hwflow.synth import route
from hwflow.synth.board import (
    SHELL_MODULES,
    boards,
    bytes_per_frame,
    choose_baud,
    find_board,
    lpf,
    shell_name,
)
from hwflow.tools.targets import TARGETS
from hwflow.tools.yosys import SynthResult

ULX3S = boards()["ulx3s-85f"]


@pytest.fixture(scope="module")
def design() -> Design:
    return build_design(case_graph(op("dense").cases()[0]))


def slowed(design: Design, cycles: int) -> Design:
    """The same with another interval."""
    return replace(design, plan=replace(design.plan, ii_bound=cycles))


def test_the_line_is_as_fast_as_the_accelerator_allows(design: Design) -> None:
    n_in, _ = bytes_per_frame(design)
    rates = [choose_baud(slowed(design, cycles), 25) for cycles in (1, 25 * n_in * 10, 200 * n_in * 10)]
    # 25 MHz / 3 Mbaud is no whole divider; at 1 Mbaud a frame takes 250 cycles a byte, less than the interval's 1.02
    assert rates[0] == 1_000_000
    assert rates[0] > rates[1] > rates[2] == 115_200
    with pytest.raises(UserError, match="longer than the line needs"):
        choose_baud(slowed(design, 300 * n_in * 10), 25)


@pytest.mark.parametrize("clock_mhz", [12, 25, 27, 48, 100])
def test_dividers_are_near_enough(design: Design, clock_mhz: float) -> None:
    baud = choose_baud(slowed(design, 1), clock_mhz)
    cycles = clock_mhz * 1e6 / baud
    assert round(cycles) >= 4
    assert abs(round(cycles) / cycles - 1) < 0.02


def test_boards(design: Design) -> None:
    for board in boards().values():
        assert set(board.pins) == {"clk_i", "rst_ni", "rxd_i", "txd_o", "overrun_o"}
        assert board.family.router
    with pytest.raises(ConfigError, match="'ulx3s-86f' is not known") as refused:
        find_board("ulx3s-86f")
    assert "ulx3s-85f" in refused.value.remedy
    assert 'LOCATE COMP "clk_i" SITE "G2";' in lpf(ULX3S)
    assert 'FREQUENCY PORT "clk_i" 25 MHZ;' in lpf(ULX3S)


def test_a_serial_line_has_one_end(design: Design) -> None:
    with pytest.raises(UserError, match="2 inputs and 1 outputs"):
        bytes_per_frame(replace(design, inputs=design.inputs * 2))


def routed(
    design: Design, folder: Path, mock_tools: Any, monkeypatch: pytest.MonkeyPatch, mhz: float
) -> route.Routed:
    """A run in which Yosys, nextpnr and the packer are played."""
    mock_tools.add(TARGETS["ecp5"].router, route.PACKER)
    report = {"fmax": {"clk": {"achieved": mhz}, "other": {"achieved": 300}}, "utilization": {}}
    monkeypatch.setenv("MOCK_REPORT", json.dumps(report))

    def synthesize(files: list[Path], top: str, *, out: Path, **_: Any) -> SynthResult:
        assert top == shell_name(design)
        assert {path.stem for path in files} >= {*SHELL_MODULES, top, design.name}
        assert all(path.exists() for path in files)
        return SynthResult({"LUT4": 3}, out / f"{top}.json", out / "stat", 1.0)

    monkeypatch.setattr(route, "synthesize", synthesize)
    return route.route_design(design, TARGETS["ecp5"], folder, clock_mhz=50, board=ULX3S)


def test_a_board_gets_its_bitstream(
    design: Design, tmp_path: Path, mock_tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = routed(design, tmp_path, mock_tools, monkeypatch, 60)
    assert (found.fmax_mhz, found.resources.lut, found.baud) == (60, 3, choose_baud(design, 25))
    place, pack = mock_tools.calls()
    name = shell_name(design)
    assert found.bitstream == tmp_path / f"{name}.bit"
    assert {"--85k", "CABGA381", "--lpf", f"{name}.lpf", "--textcfg", f"{name}.config"} <= set(place["argv"])
    assert "--lpf-allow-unconstrained" not in place["argv"]
    assert pack["argv"] == [f"{name}.config", f"{name}.bit"]
    assert f".Divider({25_000_000 // found.baud})" in (tmp_path / "rtl" / f"{name}.sv").read_text()


def test_a_design_too_slow_for_the_board(
    design: Design, tmp_path: Path, mock_tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"reaches 20\.0 MHz"):
        routed(design, tmp_path, mock_tools, monkeypatch, 20)
