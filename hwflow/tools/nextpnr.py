# SPDX-License-Identifier: Apache-2.0
"""Place and route with nextpnr from its pip wheels, for every family that has an open one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwflow.errors import ToolError, UserError
from hwflow.tools.runner import find_tool, run_tool
from hwflow.tools.targets import TARGETS, Target


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
    target: Target,
    *,
    report: Path,
    log: Path,
    clock_mhz: float,
    device: Sequence[str] = (),
    constraints: Path | None = None,
    config: Path | None = None,
    seed: int = 1,
    timeout: float | None = None,
) -> RouteResult:
    """Place and route a netlist that the target's synthesis command made.

    Parameters
    ----------
    netlist : pathlib.Path
        Yosys JSON.
    target : Target
        FPGA family.
    report : pathlib.Path
        File for nextpnr's report.
    log : pathlib.Path
        Where the output goes.
    clock_mhz : float
        Target frequency, MHz; missing it is a result, not an error.
    device : sequence of str
        Arguments that name device and package; the target's own where empty.
    constraints : pathlib.Path, optional
        Pins, in the family's own format; without it pins are placed freely.
    config : pathlib.Path, optional
        Receives the placed and routed design in the family's text format (ECP5 only).
    seed : int
        Seed of the placer.
    timeout : float, optional
        Longest run, s.

    Returns
    -------
    RouteResult

    Raises
    ------
    UserError
        When there is no open place and route for the family.
    """
    if not target.router:
        routed = ", ".join(name for name, other in TARGETS.items() if other.router)
        raise UserError(
            f"there is no open place and route for {target.title}",
            f"choose one of {routed}, or give the RTL folder to the vendor's tool",
        )
    # The WebAssembly build sees the working folder, but a /tmp of its own: all paths are relative.
    folder = netlist.parent

    def here(path: Path) -> str:
        return os.path.relpath(path, folder)

    argv: list[str | Path] = [find_tool(target.router, target.router_remedy), "--json", here(netlist)]
    argv += [*(device or target.device), "--freq", f"{clock_mhz:g}", "--seed", str(seed)]
    argv += ["--timing-allow-fail", "--report", here(report)]
    argv += [target.pins, here(constraints)] if constraints else target.free_pins
    argv += ["--textcfg", here(config)] if config else []
    result = run_tool(argv, log=log, tool="nextpnr", cwd=folder, timeout=timeout)
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
        raise ToolError(
            "nextpnr", ["--report"], 0, log, [f"report {report} cannot be read: {error}"]
        ) from error
