# SPDX-License-Identifier: Apache-2.0
"""``hwflow synth``: what an accelerator takes of an FPGA family, measured layer by layer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.converted import PROJECT, SourceArgument, converted, with_project
from hwflow.cli.run import TrustFlag, show_progress
from hwflow.errors import UserError

if TYPE_CHECKING:
    from hwflow.synth.modules import DesignResult, ModuleResult
    from hwflow.synth.route import Routed
    from hwflow.tools.targets import Resources

FOLDER = "synth"
#: Vivado's name of the part that designs have where they name none.
PART = "xc7z045ffg900-2"


class Tool(str, Enum):
    """Who synthesizes."""

    YOSYS = "yosys"
    VIVADO = "vivado"
    VITIS = "vitis"


@guarded
def synth(
    source: SourceArgument,
    target: Annotated[
        str,
        typer.Option("--target", metavar="FAMILY", help="xc7, xcup, xcup-uram, ecp5, ice40, gowin or nexus."),
    ] = "xc7",
    route: Annotated[
        bool, typer.Option("--route", help="Also place and route the whole design, behind a serial shell.")
    ] = False,
    bitstream: Annotated[
        bool, typer.Option("--bitstream", help="Route for --board and pack its bitstream.")
    ] = False,
    board: Annotated[
        str, typer.Option("--board", metavar="BOARD", help="Board of --bitstream.")
    ] = "ulx3s-85f",
    clock: Annotated[
        float, typer.Option("--clock", min=1, help="Frequency that place and route aims at, MHz.")
    ] = 100.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the placer.")] = 1,
    tool: Annotated[
        Tool,
        typer.Option("--tool", help="yosys; or AMD's vivado (SystemVerilog) or vitis (C++), if installed."),
    ] = Tool.YOSYS,
    part: Annotated[
        str, typer.Option("--part", metavar="PART", help="Part that Vivado implements for.")
    ] = PART,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Syntheses at the same time.  [default: all cores]")
    ] = None,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Synthesize an accelerator with Yosys, module by module.

    Equal modules are synthesized once, and unchanged ones not again. Shows look-up tables, flip-flops,
    multipliers and block memories by layer and in all, and which known parts of the family hold them.
    With --route or --bitstream the whole design is also synthesized flat, placed and routed with nextpnr.
    With --tool vivado the SystemVerilog is implemented out of context, with --tool vitis the C++ project goes through
    C synthesis; their own reports are read.
    """
    if tool is not Tool.YOSYS:
        record = _vendor(tool, source, trust=trust, part=part, clock=clock)
        if as_json:
            emit_json(record)
        else:
            echo("\n".join(f"{name}: {value}" for name, value in record.items()))
        return
    from hwflow.cost.parts import fits, parts
    from hwflow.emit.design import build_design
    from hwflow.synth.board import find_board
    from hwflow.synth.modules import synthesize_design
    from hwflow.tools import targets

    family = targets.target(target)
    on = find_board(board) if bitstream else None
    if on and on.target != target:
        raise UserError(
            f"the board {board} has {on.family.title}, not {family.title}", f"add --target {on.target}"
        )
    run, graph = converted(source, trust=trust)
    design = build_design(graph)
    with ExitStack() as stack:
        progress = show_progress(stack)

        def track(results: Iterable[ModuleResult], count: int) -> Iterable[ModuleResult]:
            return progress.track(results, count, "modules")

        result = synthesize_design(
            design,
            family,
            logs=run / "logs" / FOLDER,
            jobs=jobs or len(os.sched_getaffinity(0)),
            track=track,
        )
    routed = None
    if route or on:
        from hwflow.synth.route import route_design

        place = run / FOLDER / (board if on else target)
        routed = route_design(design, family, place, clock_mhz=clock, board=on, seed=seed)
    held = {part.part: fits(part, result.total) for part in parts().values() if part.target == target}
    record = {
        "target": target,
        "command": family.command,
        "total": asdict(result.total),
        "layers": {name: asdict(found) for name, found in result.layers.items()},
        "parts": held,
        "seconds": result.seconds,
        "routed": routed and {**asdict(routed), "bitstream": routed.bitstream and str(routed.bitstream)},
    }
    path = run / FOLDER / f"{target}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
    if as_json:
        emit_json(record)
        return
    _show(result, held)
    if routed:
        _show_routed(routed, board)
    echo(f"{family.title}; record: {path}")


def _vendor(tool: Tool, source: Path, *, trust: bool, part: str, clock: float) -> dict[str, Any]:
    """What a tool of AMD says; the record is kept in the run folder."""
    from hwflow.tools import vivado

    if tool is Tool.VIVADO:
        from hwflow.emit.design import build_design
        from hwflow.emit.rtl import write_rtl
        from hwflow.tools.verilator import read_filelist

        run, graph = converted(source, trust=trust)
        place = run / FOLDER / tool.value
        write_rtl(build_design(graph), place / "rtl")
        files = [path for path in read_filelist(place / "rtl" / "filelist.f") if path.stem != "hwf_tap"]
        found = vivado.implement(files, graph.name, part, 1000 / clock, place, cwd=place / "rtl")
        record = {"tool": tool.value, "part": part, **asdict(found)}
    else:
        run = with_project(source, trust=trust)
        estimate = vivado.synthesize_hls(run / PROJECT, run / "logs" / FOLDER / "vitis.log")
        record = {"tool": tool.value, "kind": "estimate of C synthesis", **asdict(estimate)}
    path = run / FOLDER / f"{tool.value}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
    return record


def _row(name: str, found: Resources) -> tuple[str, ...]:
    blocks = found.bram if found.bram18 is None else found.bram18
    return (name, *(f"{count:,}" for count in (found.lut, found.ff, found.dsp, blocks, found.uram)))


def _show(result: DesignResult, held: dict[str, bool | None]) -> None:
    rows = [_row(name, found) for name, found in result.layers.items()]
    table(("layer", ">LUT", ">FF", ">DSP", ">BRAM18", ">URAM"), [*rows, _row("in all", result.total)])
    words = {True: "fits", False: "too small", None: "not known: figures of the part are missing"}
    for name, verdict in held.items():
        echo(f"{name}: {words[verdict]}")


def _show_routed(routed: Routed, board: str) -> None:
    echo(f"routed with its serial shell: {routed.fmax_mhz:.1f} MHz")
    if routed.bitstream:
        n_in, n_out = routed.frame_bytes
        echo(
            f"bitstream for {board}: {routed.bitstream}; a frame is {n_in:,} bytes to the board and {n_out:,} back, "
            f"{routed.baud:,} baud, 8N1"
        )
