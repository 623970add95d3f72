# SPDX-License-Identifier: Apache-2.0
"""Vivado and Vitis HLS, where they are installed: runs, and what their reports say.

Reports: utilization (AMD UG906, ``report_utilization``), slack (UG835, ``get_timing_paths``), and the XML of C
synthesis (UG1399, ``csynth.xml``). Nothing else of hwflow needs these tools.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from hwflow.errors import ToolError, ToolNotFoundError
from hwflow.tools.runner import find_tool, run_tool
from hwflow.tools.targets import Resources

VIVADO = "vivado"
#: Vitis HLS by its own name up to 2024.1, and as part of Vitis since.
VITIS = ("vitis_hls", "vitis-run")
_INSTALL = "AMD's tools are no part of hwflow: install them and put their bin folder on PATH"
#: First words of the rows of Vivado's report, 7 series and UltraScale.
_LUT, _FF = ("Slice LUTs", "CLB LUTs"), ("Slice Registers", "CLB Registers")
_BRAM, _URAM, _DSP = ("Block RAM Tile",), ("URAM",), ("DSPs",)


@dataclass(frozen=True, slots=True)
class Implemented:
    """What Vivado made of a design.

    Parameters
    ----------
    resources : Resources
        After place and route, out of context.
    fmax_mhz : float
        One over (clock period less slack), MHz.
    seconds : float
        Wall-clock time, s.
    """

    resources: Resources
    fmax_mhz: float
    seconds: float


@dataclass(frozen=True, slots=True)
class HlsEstimate:
    """What Vitis HLS says about the C++ project before implementation.

    Parameters
    ----------
    resources : Resources
        Its estimate.
    latency_cycles : int or None
        Worst case; None where the tool cannot tell.
    ii_cycles : int or None
        Largest interval of frames; None where the tool cannot tell.
    clock_ns : float
        Estimated clock period, ns.
    """

    resources: Resources
    latency_cycles: int | None
    ii_cycles: int | None
    clock_ns: float


def implement(
    files: Sequence[Path], top: str, part: str, clock_ns: float, folder: Path, *, cwd: Path
) -> Implemented:
    """Synthesize, place and route SystemVerilog with Vivado, out of context.

    Parameters
    ----------
    files : sequence of pathlib.Path
        Sources.
    top : str
        Top module, with the clock port ``clk_i``.
    part : str
        Full part name, for example ``xc7z020clg400-1``.
    clock_ns : float
        Clock period, ns.
    folder : pathlib.Path
        Receives script, log and reports.
    cwd : pathlib.Path
        Folder that ``$readmemh`` paths start from.

    Raises
    ------
    ToolNotFoundError
        Without Vivado.
    ToolError
        When it fails, or its reports cannot be read.
    """
    program = find_tool(VIVADO, _INSTALL)
    folder.mkdir(parents=True, exist_ok=True)
    usage, slack, log = folder / "utilization.rpt", folder / "slack.txt", folder / "vivado.log"
    script = folder / "implement.tcl"
    lines = [
        f"read_verilog -sv {{{path.resolve()}}}" for path in files
    ] + [
        f"synth_design -top {top} -part {part} -mode out_of_context",
        f"create_clock -period {clock_ns:g} [get_ports clk_i]",
        "opt_design", "place_design", "phys_opt_design", "route_design",
        f"report_utilization -file {{{usage.resolve()}}}",
        f"set out [open {{{slack.resolve()}}} w]",
        "puts $out [get_property SLACK [get_timing_paths -max_paths 1 -setup]]",
        "close $out",
    ]  # fmt: skip
    script.write_text("\n".join(lines) + "\n")
    argv: list[str | Path] = [program, "-mode", "batch", "-nojournal", "-nolog", "-source", script.resolve()]
    done = run_tool(argv, log=log, tool=VIVADO, cwd=cwd)
    return Implemented(
        read_utilization(usage, log), 1000 / (clock_ns - _read_slack(slack, log)), done.seconds
    )


def read_utilization(report: Path, log: Path | None = None) -> Resources:
    """Resources from the file of ``report_utilization``.

    Raises
    ------
    ToolError
        When the file is missing or a row is not in it.
    """

    def wrong(why: str) -> ToolError:
        return ToolError(VIVADO, ["report_utilization"], 0, log, [f"report {report} cannot be read: {why}"])

    try:
        rows = [line.split("|") for line in report.read_text().splitlines() if line.startswith("|")]
    except OSError as error:
        raise wrong(error.strerror or str(error)) from error
    used: dict[str, str] = {}
    for cells in (row for row in rows if len(row) > 3):
        used.setdefault(cells[1].strip().rstrip("*"), cells[2].strip())

    def count(names: Sequence[str], default: str | None = None) -> float:
        text = next((used[name] for name in names if name in used), default)
        if text is None:
            raise wrong(f"it has no row {' or '.join(map(repr, names))}")
        try:
            return float(text)
        except ValueError as error:
            raise wrong(f"row {names[0]!r} holds {text!r}") from error

    tiles = count(_BRAM)
    return Resources(
        lut=int(count(_LUT)),
        ff=int(count(_FF)),
        dsp=int(count(_DSP)),
        bram=ceil(tiles),
        bram18=round(2 * tiles),
        uram=int(count(_URAM, "0")),
    )


def _read_slack(path: Path, log: Path) -> float:
    try:
        return float(path.read_text())
    except (OSError, ValueError) as error:
        raise ToolError(
            VIVADO, ["get_timing_paths"], 0, log, [f"slack {path} cannot be read: {error}"]
        ) from error


def synthesize_hls(project: Path, log: Path) -> HlsEstimate:
    """Run C synthesis of an hls4ml project with Vitis HLS, and read its report.

    Parameters
    ----------
    project : pathlib.Path
        Folder that hls4ml wrote, with ``build_prj.tcl``.
    log : pathlib.Path
        Where the output goes.

    Raises
    ------
    ToolNotFoundError
        Without Vitis HLS.
    ToolError
        When it fails, or its report cannot be read.
    """
    options = "\n".join(
        f"    {name} {int(name in ('reset', 'synth'))}"
        for name in ("reset", "csim", "synth", "cosim", "validation", "export", "vsynth", "fifo_opt")
    )
    (project / "build_opt.tcl").write_text(f"array set opt {{\n{options}\n}}\n")
    try:
        argv: list[str | Path] = [find_tool(VITIS[0], _INSTALL), "-f", "build_prj.tcl"]
    except ToolNotFoundError:
        argv = [find_tool(VITIS[1], _INSTALL), "--mode", "hls", "--tcl", "build_prj.tcl"]
    run_tool(argv, log=log, tool="vitis_hls", cwd=project)
    found = sorted(project.glob("*_prj/*/syn/report/csynth.xml"))
    return read_csynth(found[0] if found else project / "csynth.xml", log)


def read_csynth(report: Path, log: Path | None = None) -> HlsEstimate:
    """Estimate from the XML report of C synthesis.

    Raises
    ------
    ToolError
        When the file is missing or is not such a report.
    """
    try:
        root = ElementTree.parse(report).getroot()

        def text(path: str) -> str:
            found = root.findtext(path)
            if found is None:
                raise ValueError(f"it has no {path}")
            return found

        def cycles(path: str) -> int | None:
            found = text(path)
            return int(found) if found.isdecimal() else None  # "undef" where loops are unbounded

        area = {child.tag: int(child.text or 0) for child in root.find("AreaEstimates/Resources") or ()}
        overall = "PerformanceEstimates/SummaryOfOverallLatency"
        return HlsEstimate(
            Resources(
                area["LUT"], area["FF"], area.get("DSP", area.get("DSP48E", 0)), -(-area["BRAM_18K"] // 2),
                area["BRAM_18K"], area.get("URAM", 0),
            ),
            cycles(f"{overall}/Worst-caseLatency"),
            cycles(f"{overall}/Interval-max"),
            float(text("PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod")),
        )  # fmt: skip
    except (OSError, ElementTree.ParseError, ValueError, KeyError) as error:
        raise ToolError(
            "vitis_hls", ["csynth"], 0, log, [f"report {report} cannot be read: {error}"]
        ) from error
