# SPDX-License-Identifier: Apache-2.0
"""``hwflow package``: a verified accelerator as a folder for an engineer's project."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded
from hwflow.cli.converted import SourceArgument
from hwflow.cli.run import TrustFlag, execute

FOLDER = "package"


class Control(str, Enum):
    """Whether there are registers."""

    NONE = "none"
    AXI_LITE = "axi-lite"


class TData(str, Enum):
    """Width of the streams."""

    BYTES = "bytes"
    DMA = "dma"


@guarded
def package(
    source: SourceArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder to write; new or empty.  [default: RUN/package]"),
    ] = None,
    control: Annotated[
        Control, typer.Option("--control", help="Control and status registers behind AXI4-Lite.")
    ] = Control.NONE,
    tdata: Annotated[
        TData,
        typer.Option("--tdata", help="Streams of whole bytes, or of the power of two above, as DMA has it."),
    ] = TData.BYTES,
    verilog: Annotated[
        bool, typer.Option("--verilog", help="Also all of it as one module of plain Verilog (needs Yosys).")
    ] = False,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Beginning of names.  [default: that of the design]")
    ] = "",
    vendor: Annotated[str, typer.Option("--vendor", metavar="NAME", help="Vendor in catalogues.")] = "hwflow",
    library: Annotated[str, typer.Option("--library", metavar="NAME", help="Library in catalogues.")] = "ip",
    version: Annotated[
        str, typer.Option("--ip-version", metavar="VERSION", help="Version in catalogues.")
    ] = "1.0",
    frames: Annotated[
        int,
        typer.Option("--frames", min=1, help="Golden frames of the test bench, at most those of the run."),
    ] = 2,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Package an accelerator for a hardware project.

    RTL with AXI-Stream ports and a file list, a self-checking test bench with golden vectors that needs no Python, a
    FuseSoC core file, IP-XACT, a packaging script for Vivado, a LiteX module, drivers in Python (PYNQ) and C, and the
    interface in words. The SystemVerilog is for Verilator and synthesis tools; --verilog adds what Icarus 11 takes.
    """
    from hwflow.package.content import STEP, Options, check_options, read_run
    from hwflow.package.write import check_place, write_package

    options = Options(
        name=name,
        control=control is Control.AXI_LITE,
        bus=tdata.value,
        verilog=verilog,
        vendor=vendor,
        library=library,
        version=version,
        frames=frames,
    )
    run = source if source.is_dir() else Path("runs") / source.stem
    place = out or run / FOLDER
    check_options(options)
    check_place(place)
    if not source.is_dir():
        execute(source, run, last=STEP, trust=trust, only_needed=True)
    content = read_run(run, options)
    write_package(content, place, run / "logs" / f"{FOLDER}.log")
    if as_json:
        emit_json({"package": str(place), "top": content.top, "frames": content.frames})
        return
    echo(f"top module {content.top}, {content.frames} golden frames; read {place / 'INTERFACE.md'}")
    echo(f"written to {place}")
