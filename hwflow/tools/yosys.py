# SPDX-License-Identifier: Apache-2.0
"""Yosys from its pip wheel (``pyosys``), run in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwflow.errors import ToolError, ToolNotFoundError
from hwflow.tools.runner import run_tool

REMEDY = "pip install 'hwflow[synth]'"

# libyosys ends the process on an error, so it must not run inside ours.
_DRIVER = """\
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in open(sys.argv[1]).read().splitlines():
    libyosys.run_pass(command, design)
"""


@dataclass(frozen=True, slots=True)
class SynthResult:
    """What synthesis made of a design.

    Parameters
    ----------
    cells : mapping of str to int
        Number of cells by type, over the whole hierarchy.
    netlist : pathlib.Path
        Mapped netlist as Yosys JSON.
    stat : pathlib.Path
        Yosys' own count, as JSON.
    seconds : float
        Wall-clock time, s.
    """

    cells: Mapping[str, int]
    netlist: Path
    stat: Path
    seconds: float


def run_yosys(
    commands: Sequence[str], *, script: Path, log: Path, cwd: Path | None = None, timeout: float | None = None
) -> float:
    """Run Yosys commands in a fresh process.

    Parameters
    ----------
    commands : sequence of str
        Yosys commands, one each.
    script : pathlib.Path
        File that the commands are written to; ``yosys -s`` can repeat it.
    log : pathlib.Path
        Where the output goes.
    cwd : pathlib.Path, optional
        Working folder; ``$readmemh`` paths start there.
    timeout : float, optional
        Longest run, s.

    Returns
    -------
    float
        Wall-clock time, s.
    """
    if importlib.util.find_spec("pyosys") is None:
        raise ToolNotFoundError("the package pyosys is not installed", REMEDY)
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text("\n".join(commands) + "\n")
    argv: list[str | Path] = [sys.executable, "-c", _DRIVER, script.resolve()]
    return run_tool(argv, log=log, tool="yosys", cwd=cwd, timeout=timeout).seconds


def read_slang(files: Sequence[Path], top: str, params: Mapping[str, int | str] | None = None) -> str:
    """Yosys command that reads SystemVerilog with its slang front end, as for synthesis."""
    values = " ".join(
        f'-G {k}="{v}"' if isinstance(v, str) else f"-G {k}={int(v)}" for k, v in (params or {}).items()
    )
    names = " ".join(str(path) for path in files)
    return f"read_slang -D SYNTHESIS --top {top} {values} {names}"


def synthesize(
    files: Sequence[Path],
    top: str,
    *,
    out: Path,
    log: Path,
    command: str = "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf",
    params: Mapping[str, int | str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> SynthResult:
    """Synthesize SystemVerilog and count the cells.

    Parameters
    ----------
    files : sequence of pathlib.Path
        Source files, packages first.
    top : str
        Top module.
    out : pathlib.Path
        Folder for script, netlist and count.
    log : pathlib.Path
        Where the output goes.
    command : str
        A Yosys ``synth_*`` command without ``-top``.
    params : mapping, optional
        Values of the top module's parameters.
    cwd : pathlib.Path, optional
        Working folder; ``$readmemh`` paths start there.
    timeout : float, optional
        Longest run, s.

    Returns
    -------
    SynthResult

    Raises
    ------
    ToolError
        When the sources cannot be read or synthesized.
    """
    out.mkdir(parents=True, exist_ok=True)
    netlist, stat = out / f"{top}.json", out / f"{top}.stat.json"
    words = command.split()
    commands = [
        read_slang([path.resolve() for path in files], top, params),
        "hierarchy -check",
        " ".join([words[0], "-top", top, *words[1:]]),
        "check -assert",
        f"write_json {netlist.resolve()}",
        f"tee -q -o {stat.resolve()} stat -json",
    ]
    seconds = run_yosys(commands, script=out / f"{top}.ys", log=log, cwd=cwd, timeout=timeout)
    return SynthResult(read_cells(stat, log), netlist, stat, seconds)


def read_cells(stat: Path, log: Path | None = None) -> dict[str, int]:
    """Cells by type from the file of ``stat -json``.

    Raises
    ------
    ToolError
        When the file is missing or is not such a report.
    """
    try:
        cells = json.loads(stat.read_text())["design"]["num_cells_by_type"]
        return {str(name): int(count) for name, count in sorted(cells.items())}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolError(
            "yosys", ["stat", "-json"], 0, log, [f"report {stat} cannot be read: {error}"]
        ) from error
