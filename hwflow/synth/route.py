# SPDX-License-Identifier: Apache-2.0
"""A whole accelerator through synthesis, place and route, and for a known board to its bitstream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwflow.emit.design import Design
from hwflow.emit.rtl import library_source, write_rtl
from hwflow.errors import UserError
from hwflow.synth.board import (
    SHELL_MODULES,
    Board,
    bytes_per_frame,
    choose_baud,
    lpf,
    shell_name,
    shell_source,
)
from hwflow.tools.nextpnr import place_and_route
from hwflow.tools.runner import find_tool, run_tool
from hwflow.tools.targets import Resources, Target
from hwflow.tools.verilator import read_filelist
from hwflow.tools.yosys import synthesize

PACKER = "yowasp-ecppack"
#: Divider of the serial line where no board sets it.
_DIVIDER = 25


@dataclass(frozen=True, slots=True)
class Routed:
    """A design as it lies in a device.

    Parameters
    ----------
    resources : Resources
        After synthesis of the whole, flat, with its serial shell.
    fmax_mhz : float
        Highest frequency of the slowest clock, MHz.
    bitstream : pathlib.Path or None
        Configuration of the device, where a board was named.
    baud : int or None
        Rate of the serial line on the board, baud.
    frame_bytes : tuple of int
        Bytes a frame over the line, in and out.
    seconds : float
        Time of synthesis, place and route, s.
    """

    resources: Resources
    fmax_mhz: float
    bitstream: Path | None
    baud: int | None
    frame_bytes: tuple[int, int]
    seconds: float


def route_design(
    design: Design,
    target: Target,
    folder: Path,
    *,
    clock_mhz: float,
    board: Board | None = None,
    seed: int = 1,
) -> Routed:
    """Synthesize a design flat, behind a serial shell, place and route it, and pack a board's bitstream.

    Parameters
    ----------
    design : Design
        The accelerator, one input and one output.
    target : Target
        FPGA family.
    folder : pathlib.Path
        Receives ``rtl/``, netlist, reports, and with a board its constraints and bitstream.
    clock_mhz : float
        Frequency that place and route aims at, MHz.
    board : Board, optional
        Sets device, pins and rate of the line.
    seed : int
        Seed of the placer.

    Returns
    -------
    Routed

    Raises
    ------
    UserError
        When the design has not one input and one output, is too slow for the line, or misses the board's clock.
    ToolError
        When a tool fails, for example because the design does not fit the device.
    """
    baud = choose_baud(design, board.clock_mhz) if board else None
    divider = round(board.clock_mhz * 1e6 / baud) if board and baud else _DIVIDER
    rtl = folder / "rtl"
    write_rtl(design, rtl)
    files = [path for path in read_filelist(rtl / "filelist.f") if path.stem != "hwf_tap"]
    for name, text in {m: library_source(m) for m in SHELL_MODULES}.items() | {
        (shell_name(design), shell_source(design, divider))
    }:
        path = rtl / f"{name}.sv"
        path.write_text(text)
        files += [path] if path not in files else []
    made = synthesize(
        files, shell_name(design), out=folder, log=folder / "yosys.log", command=target.command, cwd=rtl
    )
    constraints = folder / f"{shell_name(design)}.lpf" if board else None
    if board and constraints:
        constraints.write_text(lpf(board))
    config = folder / f"{shell_name(design)}.config" if board else None
    routed = place_and_route(
        made.netlist, target, report=folder / "route.json", log=folder / "nextpnr.log", clock_mhz=clock_mhz,
        device=board.device if board else (), constraints=constraints, config=config, seed=seed,
    )  # fmt: skip
    fmax = min(routed.fmax_mhz.values())
    if board and fmax < board.clock_mhz:
        raise UserError(
            f"routed, the design reaches {fmax:.1f} MHz; the clock of {board.title} has {board.clock_mhz:g} MHz",
            "larger reuse factors make shorter paths; or try another --seed",
        )
    return Routed(
        target.resources(made.cells), fmax, _packed(config, folder) if config else None, baud,
        bytes_per_frame(design), made.seconds + routed.seconds,
    )  # fmt: skip


def _packed(config: Path, folder: Path) -> Path:
    bitstream = config.with_suffix(".bit")
    argv: list[str | Path] = [find_tool(PACKER, "pip install 'hwflow[synth]'"), config.name, bitstream.name]
    run_tool(argv, log=folder / "ecppack.log", tool="ecppack", cwd=folder)
    return bitstream
