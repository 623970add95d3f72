# SPDX-License-Identifier: Apache-2.0
"""GNU tools for Arm Cortex-M: build an emitted folder, read sizes from the ELF."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from hwflow.errors import InternalError
from hwflow.tools.runner import find_tool, run_tool

GCC = "arm-none-eabi-gcc"
REMEDY = "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"
_FLASH = (".text", ".rodata", ".ARM.exidx", ".data")
_RAM = (".data", ".bss")


@dataclass(frozen=True, slots=True)
class ElfSizes:
    """Memory of a linked program.

    Parameters
    ----------
    flash : int
        Code, constants and initial values, bytes.
    ram : int
        Static data, bytes; the stack is not part of it.
    """

    flash: int
    ram: int


def build(folder: Path, target: str) -> Path:
    """Build one target of an emitted folder's Makefile for the Cortex-M7.

    Parameters
    ----------
    folder : pathlib.Path
        Emitted folder.
    target : str
        ``app.elf`` or ``check.elf``.

    Raises
    ------
    ToolNotFoundError
        When the compiler or make is missing.
    ToolError
        When the C does not compile or does not fit the board.
    """
    find_tool(GCC, REMEDY)
    make = find_tool("make", "apt-get install make")
    # The job server of a surrounding make is of no use here.
    run_tool([make, target], log=folder / "arm.log", tool=GCC, cwd=folder, env={"MAKEFLAGS": ""})
    return folder / target


def elf_sizes(elf: Path) -> ElfSizes:
    """Flash and static RAM of an ELF, by sections."""
    sections: dict[str, int] = {}
    for line in _output("arm-none-eabi-size", "-A", elf).splitlines():
        words = line.split()
        if len(words) == 3 and words[0].startswith("."):
            sections[words[0]] = int(words[1])
    if ".text" not in sections:
        raise InternalError(f"{elf} has no section .text")
    return ElfSizes(
        sum(sections.get(name, 0) for name in _FLASH), sum(sections.get(name, 0) for name in _RAM)
    )


def symbol_sizes(elf: Path) -> dict[str, int]:
    """Bytes of every symbol that has a size, by name."""
    found: dict[str, int] = {}
    for line in _output("arm-none-eabi-nm", "-S", elf).splitlines():
        words = line.split()
        if len(words) == 4:
            found[words[3]] = found.get(words[3], 0) + int(words[1], 16)
    return found


def _output(tool: str, *arguments: str | Path) -> str:
    argv = [find_tool(tool, REMEDY), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
