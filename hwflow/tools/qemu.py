# SPDX-License-Identifier: Apache-2.0
"""Run an emitted check on QEMU's Cortex-M7 (board MPS2 AN500) and read what it tells.

Debian's QEMU ships no TCG plugin, so instructions are counted through the board's timer under ``-icount shift=0``:
one instruction is a nanosecond of virtual time, the timer's resolution is 40 of them. QEMU counts instructions, not
cycles: it models neither caches nor pipelines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hwflow.errors import InternalError, ToolError
from hwflow.tools.arm import build
from hwflow.tools.runner import find_tool, run_tool

QEMU = "qemu-system-arm"
REMEDY = "apt-get install qemu-system-arm"
_LINE = re.compile(r"^(\w+) (instructions|frames|differing|stack) (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check told of one network.

    Parameters
    ----------
    frames, differing : int
        Frames run, and frames of which an output byte differs.
    instructions : int
        Instructions of the first frame, to 40.
    """

    frames: int
    differing: int
    instructions: int


@dataclass(frozen=True, slots=True)
class CheckRun:
    """A check that ran to its end.

    Parameters
    ----------
    networks : dict of str to CheckResult
        By the network's prefix.
    stack : int
        Bytes of stack that were ever used, by painting it beforehand.
    """

    networks: dict[str, CheckResult]
    stack: int


def run_check(folder: Path, *, timeout: float | None = None) -> CheckRun:
    """Build an emitted folder's check for the Cortex-M7 and run it on QEMU.

    Raises
    ------
    ToolNotFoundError
        When a program is missing.
    ToolError
        When the program faults or does not end in time. A frame that differs is no error here.
    """
    qemu = find_tool(QEMU, REMEDY)
    elf = build(folder, "check.elf")
    log = folder / "qemu.log"
    log.unlink(missing_ok=True)
    argv: list[str | Path] = [
        qemu,
        "-M",
        "mps2-an500",
        "-display",
        "none",
        "-serial",
        "none",
        "-monitor",
        "none",
    ]
    argv += ["-semihosting-config", "enable=on,target=native", "-icount", "shift=0", "-kernel", elf.name]
    try:
        run_tool(argv, log=log, tool=QEMU, cwd=folder, timeout=timeout)
    except ToolError as error:
        if error.exit_code_of_tool != 1:  # 1 is what a check returns when a frame differs
            raise
    found: dict[str, dict[str, int]] = {}
    for name, what, value in _LINE.findall(log.read_text(errors="replace")):
        found.setdefault(name, {})[what] = int(value)
    stack = found.pop("board", {}).get("stack")
    if stack is None:
        raise InternalError(f"the check did not run to its end; see {log}")
    return CheckRun(
        {
            name: CheckResult(one["frames"], one["differing"], one.get("instructions", 0))
            for name, one in found.items()
        },
        stack,
    )
