# SPDX-License-Identifier: Apache-2.0
"""Run an emitted check on QEMU's Cortex-M7 (board MPS2 AN500) and read what it tells.

Debian's QEMU ships no TCG plugin, so instructions are counted through the board's timer under ``-icount shift=0``:
one instruction is a nanosecond of virtual time, the timer's resolution is 40 of them. QEMU counts instructions, not
cycles: it models neither caches nor pipelines.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from hwflow.errors import InternalError, ToolError
from hwflow.tools.arm import build
from hwflow.tools.runner import find_tool, run_tool

QEMU = "qemu-system-arm"
REMEDY = "apt-get install qemu-system-arm"
_LINE = re.compile(r"^(\w+) (instructions|frames|differing) (\d+)$", re.MULTILINE)
_DONE = re.compile(r"^done$", re.MULTILINE)
#: Board, no windows; the check's text comes through semihosting.
_ARGV = (
    *("-M", "mps2-an500", "-display", "none", "-serial", "none", "-monitor", "none"),
    *("-semihosting-config", "enable=on,target=native", "-icount", "shift=0"),
)
_STACK_POINTER = re.compile(rb"R13=([0-9a-f]{8})")
#: Blocks of instructions whose stack pointer is looked at: tens of seconds.
_BLOCKS = 3_000_000


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


def run_check(folder: Path, *, timeout: float | None = None) -> dict[str, CheckResult]:
    """Build an emitted folder's check for the Cortex-M7 and run it on QEMU.

    Returns
    -------
    dict of str to CheckResult
        By the network's prefix.

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
    try:
        run_tool([qemu, *_ARGV, "-kernel", elf.name], log=log, tool=QEMU, cwd=folder, timeout=timeout)
    except ToolError as error:
        if error.exit_code_of_tool != 1:  # 1 is what a check returns when a frame differs
            raise
    found: dict[str, dict[str, int]] = {}
    text = log.read_text(errors="replace")
    for name, what, value in _LINE.findall(text):
        found.setdefault(name, {})[what] = int(value)
    if not _DONE.search(text):
        raise InternalError(f"the check did not run to its end; see {log}")
    return {
        name: CheckResult(one["frames"], one["differing"], one.get("instructions", 0))
        for name, one in found.items()
    }


def deepest_stack(elf: Path, enough: int | None = None) -> int:
    """Bytes of stack that a program uses at its deepest, by the stack pointer at each block of its instructions.

    Painted memory would tell less: the words a function reserves and does not write.

    Parameters
    ----------
    elf : pathlib.Path
        The program; its vector table begins with the top of the stack.
    enough : int, optional
        What it cannot exceed: where it is reached, the rest of the program need not run. Without it, as after some
        millions of blocks, the figure is that of what has run.

    Raises
    ------
    ToolNotFoundError
        When QEMU is missing.
    """
    argv = [
        str(find_tool(QEMU, REMEDY)),
        *_ARGV,
        "-kernel",
        str(elf),
        "-d",
        "cpu,nochain",
        "-D",
        "/dev/stdout",
    ]
    top = low = 0
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        pointers = (int(found[1], 16) for line in process.stdout if (found := _STACK_POINTER.search(line)))
        for pointer in islice(pointers, _BLOCKS):
            top = top or pointer
            low = min(low or pointer, pointer)
            if enough is not None and top - low >= enough:
                break
        process.kill()
    return top - low
