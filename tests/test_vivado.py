# SPDX-License-Identifier: Apache-2.0
"""AMD's tools, played by mock executables: how they are called, what is read of their reports, and what is said
when they are missing, fail, or write something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hwflow.errors import ToolError, ToolNotFoundError
from hwflow.tools import vivado
from hwflow.tools.targets import Resources

UTILIZATION = """\
| Tool Version : Vivado v.2023.2
1. Slice Logic
+-------------------------+------+-------+------------+-----------+-------+
|        Site Type        | Used | Fixed | Prohibited | Available | Util% |
+-------------------------+------+-------+------------+-----------+-------+
| {lut:<23} | 4321 |     0 |          0 |     53200 |  8.12 |
|   LUT as Logic          | 4000 |     0 |          0 |     53200 |  7.52 |
| {ff:<23} | 5432 |     0 |          0 |    106400 |  5.11 |
+-------------------------+------+-------+------------+-----------+-------+
2. Memory
| Block RAM Tile          | 12.5 |     0 |          0 |       140 |  8.93 |
|   RAMB36/FIFO*          |   11 |     0 |          0 |       140 |  7.86 |
|   RAMB18                |    3 |     0 |          0 |       280 |  1.07 |
{uram}3. DSP
| DSPs                    |   64 |     0 |          0 |       220 | 29.09 |
"""
SERIES7 = UTILIZATION.format(lut="Slice LUTs*", ff="Slice Registers", uram="")
ULTRASCALE = UTILIZATION.format(
    lut="CLB LUTs*",
    ff="CLB Registers",
    uram="| URAM                    |    2 |     0 |          0 |        64 |  3.13 |\n",
)
CSYNTH = """\
<profile>
 <PerformanceEstimates>
  <SummaryOfTimingAnalysis><EstimatedClockPeriod>3.650</EstimatedClockPeriod></SummaryOfTimingAnalysis>
  <SummaryOfOverallLatency>
   <Worst-caseLatency>{latency}</Worst-caseLatency><Interval-max>64</Interval-max>
  </SummaryOfOverallLatency>
 </PerformanceEstimates>
 <AreaEstimates><Resources>
  <BRAM_18K>5</BRAM_18K><DSP>33</DSP><FF>1200</FF><LUT>3400</LUT><URAM>0</URAM>
 </Resources></AreaEstimates>
</profile>
"""


@pytest.mark.parametrize(("text", "urams"), [(SERIES7, 0), (ULTRASCALE, 2)], ids=["7 series", "ultrascale"])
def test_vivado_is_scripted_and_its_reports_are_read(
    tmp_path: Path, mock_tools: Any, monkeypatch: pytest.MonkeyPatch, text: str, urams: int
) -> None:
    folder, rtl = tmp_path / "vivado", tmp_path / "rtl"
    rtl.mkdir()
    mock_tools.add("vivado")
    files = {str(folder / "utilization.rpt"): text, str(folder / "slack.txt"): "-0.500\n"}
    monkeypatch.setenv("MOCK_FILES", json.dumps(files))
    found = vivado.implement([rtl / "net.sv"], "net", "xc7z020clg400-1", 4.5, folder, cwd=rtl)
    assert found.resources == Resources(lut=4321, ff=5432, dsp=64, bram=13, bram18=25, uram=urams)
    assert found.fmax_mhz == pytest.approx(200.0)
    argv = mock_tools.calls()[0]["argv"]
    script = Path(argv[argv.index("-source") + 1]).read_text()
    assert "synth_design -top net -part xc7z020clg400-1 -mode out_of_context" in script
    assert f"read_verilog -sv {{{rtl / 'net.sv'}}}" in script
    assert "create_clock -period 4.5 [get_ports clk_i]" in script


@pytest.mark.parametrize("program", vivado.VITIS)
def test_vitis_hls_runs_synthesis_only(
    tmp_path: Path, mock_tools: Any, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    mock_tools.add(program)
    report = tmp_path / "net_prj" / "solution1" / "syn" / "report" / "csynth.xml"
    monkeypatch.setenv("MOCK_FILES", json.dumps({str(report): CSYNTH.format(latency=99)}))
    found = vivado.synthesize_hls(tmp_path, tmp_path / "log")
    assert found == vivado.HlsEstimate(Resources(3400, 1200, 33, 3, 5, 0), 99, 64, 3.65)
    assert "build_prj.tcl" in mock_tools.calls()[0]["argv"]
    options = (tmp_path / "build_opt.tcl").read_text().split()
    assert [options[options.index(name) + 1] for name in ("synth", "csim", "cosim")] == ["1", "0", "0"]


def test_a_latency_that_depends_on_the_data_is_none(tmp_path: Path) -> None:
    (tmp_path / "csynth.xml").write_text(CSYNTH.format(latency="undef"))
    assert vivado.read_csynth(tmp_path / "csynth.xml").latency_cycles is None


@pytest.mark.parametrize("text", [None, "", "<profile/>", CSYNTH.format(latency=1).replace("LUT", "LUX")])
def test_damaged_reports_of_c_synthesis(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "csynth.xml").write_text(text)
    with pytest.raises(ToolError, match=r"csynth\.xml cannot be read"):
        vivado.read_csynth(tmp_path / "csynth.xml")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file"),
        (SERIES7.replace("DSPs", "DSQs"), "DSPs"),
        (SERIES7.replace("4321", "x"), "'x'"),
    ],
)
def test_damaged_utilization_reports(tmp_path: Path, text: str | None, why: str) -> None:
    if text is not None:
        (tmp_path / "u.rpt").write_text(text)
    with pytest.raises(ToolError, match=why):
        vivado.read_utilization(tmp_path / "u.rpt")


def test_missing_and_failing_tools(tmp_path: Path, mock_tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ToolNotFoundError, match="'vivado' is not on PATH"):
        vivado.implement([], "net", "part", 5, tmp_path / "v", cwd=tmp_path)
    with pytest.raises(ToolNotFoundError, match="'vitis-run' is not on PATH"):
        vivado.synthesize_hls(tmp_path, tmp_path / "log")
    mock_tools.add("vivado")
    monkeypatch.setenv("MOCK_EXIT", "1")
    monkeypatch.setenv("MOCK_OUTPUT", "ERROR: [Synth 8-439] module 'net' not found")
    with pytest.raises(ToolError, match="Synth 8-439"):
        vivado.implement([], "net", "part", 5, tmp_path / "v", cwd=tmp_path)
