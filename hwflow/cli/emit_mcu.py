# SPDX-License-Identifier: Apache-2.0
"""``hwflow emit-mcu``: a network as C99 for microcontrollers, checked and measured where the tools are there."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.converted import SourceArgument, converted
from hwflow.cli.run import TrustFlag
from hwflow.errors import BudgetError, ToolError, VerificationError

if TYPE_CHECKING:
    from hwflow.cost.mcu import McuEstimate
    from hwflow.ir.graph import QuantGraph
    from hwflow.mcu.emit import Golden
    from hwflow.mcu.lower import Program
    from hwflow.records import Metric

FOLDER, RECORD = "mcu", "mcu.json"
_BOARD_BYTES = (4 << 20) - (64 << 10)  # flash and RAM of the board QEMU models, less its stack


@dataclass(frozen=True, slots=True)
class Measured:
    """What compiling and running told; None where it was not done, for the reason given.

    Parameters
    ----------
    flash, ram, instructions : int or None
        From the ELF, and from QEMU.
    compared : list of str
        Where the C ran bit-exact.
    notes : list of str
        What was left out, and why.
    """

    flash: int | None
    ram: int | None
    instructions: int | None
    compared: list[str]
    notes: list[str]


@guarded
def emit_mcu(
    source: SourceArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where to write.  [default: mcu/ in the run folder]"),
    ] = None,
    target: Annotated[
        str,
        typer.Option("--target", metavar="NAME", help="Microcontroller, or a YAML file that describes one."),
    ] = "STM32H743ZI",
    runtime: Annotated[
        str, typer.Option("--runtime", metavar="NAME", help="Published runtime whose speed is assumed.")
    ] = "",
    frames: Annotated[int, typer.Option("--frames", min=1, help="Random frames of the check.")] = 2,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a network as C99 for microcontrollers.

    The folder holds the C, a Makefile for this machine and for Cortex-M, and a check with golden vectors, which
    runs here and on QEMU's Cortex-M7 where the tools are there. Exit code 3 when a code differs, 5 when the
    network does not fit the target.
    """
    from hwflow.cost.mcu import estimate, load_mcu
    from hwflow.mcu.emit import emit, identifier
    from hwflow.mcu.lower import lower
    from hwflow.records import write_metrics

    mcu = load_mcu(target)
    run, graph = converted(source, trust=trust)
    program = lower(graph)
    predicted = estimate(graph, mcu, runtime, program)
    folder = out or run / FOLDER
    golden = _golden(graph, frames)
    name = identifier(graph.name)
    emit(program, folder, golden, name=name)
    measured = _measure(program, folder, name, golden)
    metrics = [*predicted.metrics(), *_metrics(measured)]
    write_metrics(folder / RECORD, metrics)
    if as_json:
        emit_json(
            {
                "folder": str(folder),
                "target": mcu.name,
                "metrics": [metric.model_dump() for metric in metrics],
                "latency_error": predicted.latency.error,
                "latency_error_90": predicted.latency.error_90,
                "latency_ms_by_type": predicted.latency.by_type,
                "bit_exact": measured.compared,
                "notes": measured.notes,
                "misfits": list(predicted.misfits),
            }
        )
    else:
        _show(predicted, measured, folder)
    if predicted.misfits:
        lines = "".join(f"\n  - {line}" for line in predicted.misfits)
        raise BudgetError(
            f"the network does not fit {mcu.name}:{lines}", "choose fewer bits, or a larger target"
        )


def _golden(graph: QuantGraph, frames: int) -> Golden:
    """Random codes of the inputs and what must come out."""
    import numpy as np

    from hwflow.mcu.emit import Golden
    from hwflow.ops.casekit import random_codes
    from hwflow.verify.golden import run_golden

    rng = np.random.default_rng(1)
    inputs = {
        name: random_codes(rng, (frames, *graph.node(name).shape), graph.node(name).type)
        for name in graph.inputs
    }
    return Golden(inputs, run_golden(graph, inputs))


def _measure(program: Program, folder: Path, name: str, golden: Golden) -> Measured:
    """Compile and run where the tools are there.

    Raises
    ------
    VerificationError
        When a code differs.
    """
    from hwflow.cost.mcu_kernels import stack_bytes
    from hwflow.mcu.emit import sizes
    from hwflow.tools import arm, qemu
    from hwflow.tools.runner import run_tool

    frames = len(next(iter(golden.inputs.values())))
    compared: list[str] = []
    notes: list[str] = []
    if shutil.which("cc") and shutil.which("make"):
        log = folder / "host.log"
        try:
            run_tool(["make", "check"], log=log, tool="check", cwd=folder, env={"MAKEFLAGS": ""})
        except ToolError as error:
            if " differing " in log.read_text():
                raise VerificationError(f"the C differs from the golden model; see {log}") from error
            raise
        compared.append("this machine")
    else:
        notes.append("not compiled here: cc or make is missing; apt-get install gcc make")
    flash = ram = instructions = None
    if not shutil.which(arm.GCC):
        notes.append(f"not compiled for Cortex-M: {arm.GCC} is missing; {arm.REMEDY}")
    elif max(sizes(program).constants, program.plan.peak) > _BOARD_BYTES:
        notes.append(
            "not compiled for Cortex-M: it is larger than the memories of the board that QEMU models"
        )
    else:
        found = arm.elf_sizes(arm.build(folder, "app.elf"))
        flash, ram = found.flash, found.ram
        if not shutil.which(qemu.QEMU):
            notes.append(f"not run on a Cortex-M7: {qemu.QEMU} is missing; {qemu.REMEDY}")
        else:
            check = qemu.run_check(folder)[name]
            if check.differing or check.frames != frames:
                raise VerificationError(
                    f"on the Cortex-M7 {check.differing} of {check.frames} frames differ; see {folder / 'qemu.log'}"
                )
            stack = qemu.deepest_stack(folder / "app.elf", stack_bytes(program))
            ram, instructions = ram + stack, check.instructions
            compared.append("Cortex-M7 (QEMU)")
    return Measured(flash, ram, instructions, compared, notes)


def _metrics(measured: Measured) -> list[Metric]:
    """Measured figures as records."""
    from hwflow.records import Metric

    reason = "; ".join(measured.notes)
    figures = (
        ("flash_bytes", measured.flash, "B", "app.elf"),
        ("ram_bytes", measured.ram, "B", "app.elf"),
        ("instructions", measured.instructions, "1", "qemu.log"),
    )
    return [
        Metric(
            name=f"mcu.cortex-m7.{name}",
            value=value,
            unit=unit,
            kind="measured",
            source=source,
            reason=reason if value is None else "",
        )
        for name, value, unit, source in figures
    ]


def _show(predicted: McuEstimate, measured: Measured, folder: Path) -> None:
    def row(title: str, estimate: int, found: int | None, unit: str) -> tuple[str, str, str, str, str]:
        error = "" if found is None else f"{100 * (estimate / found - 1):+.1f} %"
        return title, f"{estimate:,}", "" if found is None else f"{found:,}", error, unit

    sizes = predicted.sizes
    table(
        ("figure", ">estimated", ">measured", ">error", "unit"),
        [
            row("flash", predicted.flash, measured.flash, "bytes"),
            ("  weights", f"{sizes.weights:,}", "", "", "bytes"),
            ("  biases and tables", f"{sizes.biases + sizes.tables:,}", "", "", "bytes"),
            ("  layer descriptions", f"{sizes.descriptions:,}", "", "", "bytes"),
            ("  code", f"{predicted.code:,}", "", "", "bytes"),
            row("RAM", predicted.ram, measured.ram, "bytes"),
            ("  arena", f"{sizes.arena:,}", "", "", "bytes"),
            row("instructions", predicted.instructions, measured.instructions, "a frame, Cortex-M7"),
            ("MACs", f"{predicted.macs:,}", "", "", "a frame"),
            ("MACC as ST counts", f"{predicted.st_macc:,}", "", "", "a frame"),
        ],
    )
    latency = predicted.latency
    if latency.ms is None:
        echo(f"latency on {predicted.target}: no figure, {latency.basis}")
    else:
        shares = ", ".join(
            f"{name} {ms:.3g}" for name, ms in latency.by_type.items() if ms >= 0.005 * latency.ms
        )
        echo(
            f"latency on {predicted.target}: {latency.ms:.3g} ms, median error ±{100 * latency.error:.0f} %, "
            f"nine in ten within ±{100 * latency.error_90:.0f} % ({latency.basis})"
        )
        echo(f"  of it, ms: {shares}")
    if measured.compared:
        echo(f"bit-exact to the golden model on {' and '.join(measured.compared)}")
    for note in measured.notes:
        echo(note)
    echo(f"written to {folder}")
