# SPDX-License-Identifier: Apache-2.0
"""``hwflow synth``: what an accelerator takes of an FPGA family, measured layer by layer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.converted import SourceArgument, converted
from hwflow.cli.run import TrustFlag, show_progress

if TYPE_CHECKING:
    from hwflow.synth.modules import DesignResult, ModuleResult
    from hwflow.tools.targets import Resources

FOLDER = "synth"


@guarded
def synth(
    source: SourceArgument,
    target: Annotated[
        str, typer.Option("--target", metavar="FAMILY", help="xc7, xcup, ecp5, ice40, gowin or nexus.")
    ] = "xc7",
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Syntheses at the same time.  [default: all cores]")
    ] = None,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Synthesize an accelerator with Yosys, module by module.

    Equal modules are synthesized once, and unchanged ones not again. Shows look-up tables, flip-flops,
    multipliers and block memories by layer and in all, and which known parts of the family hold them.
    """
    from hwflow.cost.parts import fits, parts
    from hwflow.emit.design import build_design
    from hwflow.synth.modules import synthesize_design
    from hwflow.tools import targets

    family = targets.target(target)
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
    held = {part.part: fits(part, result.total) for part in parts().values() if part.target == target}
    record = {
        "target": target,
        "command": family.command,
        "total": asdict(result.total),
        "layers": {name: asdict(found) for name, found in result.layers.items()},
        "parts": held,
        "seconds": result.seconds,
    }
    path = run / FOLDER / f"{target}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
    if as_json:
        emit_json(record)
        return
    _show(result, held)
    echo(f"{family.title}; record: {path}")


def _row(name: str, found: Resources) -> tuple[str, ...]:
    blocks = found.bram if found.bram18 is None else found.bram18
    return (name, *(f"{count:,}" for count in (found.lut, found.ff, found.dsp, blocks, found.uram)))


def _show(result: DesignResult, held: dict[str, bool | None]) -> None:
    rows = [_row(name, found) for name, found in result.layers.items()]
    table(("layer", ">LUT", ">FF", ">DSP", ">BRAM18", ">URAM"), [*rows, _row("in all", result.total)])
    words = {True: "fits", False: "too small", None: "not known: figures of the part are missing"}
    for name, verdict in held.items():
        echo(f"{name}: {words[verdict]}")
