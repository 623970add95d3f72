# SPDX-License-Identifier: Apache-2.0
"""``hwflow verify``: the verification ladder of a design."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwflow.cli.common import JsonFlag, emit_json, guarded, table
from hwflow.cli.run import OutOption, TrustFlag, execute
from hwflow.errors import BudgetError, HwflowError, UserError, VerificationError

if TYPE_CHECKING:
    from hwflow.records import RungRecord
    from hwflow.verify.vectors import Vectors

STEP, RECORD = "verify", "verify.json"


@guarded
def verify(
    design: Annotated[
        Path, typer.Argument(metavar="CONFIG|RUN", help="YAML file of a design, or the folder of its run.")
    ],
    out: OutOption = None,
    find: Annotated[
        bool, typer.Option("--locate", help="Name the first layer of C++ and RTL that differs.")
    ] = False,
    rtl: Annotated[
        Path | None,
        typer.Option(
            "--rtl", metavar="DIR", help="Compare the Verilog that Vitis HLS wrote from the C++ project."
        ),
    ] = None,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Compare QKeras, C++ and RTL with the golden integers, code by code.

    Runs what is not up to date, up to the comparison. Exit code 3 when a code differs. With --locate, C++ and RTL
    run once more, with every layer observed on a frame that differs. With --rtl, a vendor's Verilog of the same
    C++ project runs on the same frames instead. A run folder is taken as it lies there: nothing is made anew, and
    changed files are compared as they are.
    """
    if find and rtl:
        raise UserError(
            "--locate looks into hwflow's own RTL; --rtl compares another one", "give one of them"
        )
    folder = out or (design if design.is_dir() else Path("runs") / design.stem)
    mismatch: HwflowError | None = None
    if design.is_dir():
        _check_run(design, "golden" if rtl else RECORD)
    else:
        try:
            execute(design, folder, last="hls" if rtl else STEP, trust=trust)
        except (VerificationError, BudgetError) as error:
            mismatch = error
    rungs = _located(folder) if find else _vendor(folder, rtl) if rtl else _rungs(folder)
    wrong = [rung for rung in rungs if rung.mismatches]
    if as_json:
        emit_json({"ok": not wrong, "rungs": [rung.model_dump() for rung in rungs]})
    else:
        rows = [
            (r.rung, r.scope, str(r.frames), f"{r.values:,}", str(r.mismatches), r.first_difference)
            for r in rungs
        ]
        table(("rung", "scope", ">frames", ">codes", ">mismatches", "first difference"), rows)
    if wrong and mismatch is None:
        mismatch = VerificationError(f"{wrong[0].rung} differs: first {wrong[0].first_difference}")
    if mismatch:
        typer.echo(f"error: {mismatch}", err=True)
        raise typer.Exit(mismatch.exit_code)


def _check_run(folder: Path, last: str) -> None:
    """A run that got as far as it must."""
    for name in ("manifest.json", "graph/quantgraph.json", last):
        if not (folder / name).exists():
            raise UserError(
                f"{folder} is no run folder that can be compared: it holds no {name}",
                "name the folder that `hwflow run` wrote, or the design's YAML",
            )


def _located(folder: Path) -> list[RungRecord]:
    """The first difference of each implementation that the run has built."""
    from hwflow.flow.hardware import HLS, RTL
    from hwflow.verify.csim import LIBRARY
    from hwflow.verify.locate import locate_csim, locate_rtl

    vectors, log = _vectors(folder), folder / "logs" / "locate.log"
    rungs = locate_csim(vectors, folder / HLS, log) if (folder / HLS / LIBRARY).is_file() else []
    return rungs + locate_rtl(vectors, folder / RTL, log)


def _vendor(folder: Path, rtl: Path) -> list[RungRecord]:
    """The comparison with a vendor's Verilog; what it measures goes to stderr."""
    from hwflow.flow.hardware import HLS
    from hwflow.verify.vendor import verify_vendor

    log = folder / "logs" / "vendor.log"
    rungs, result = verify_vendor(_vectors(folder), folder / HLS, rtl, folder / "vendor", log)
    interval = f", a frame every {result.ii_cycles} cycles" if result.ii_cycles else ""
    typer.echo(f"latency {result.latency_cycles} cycles{interval}", err=True)
    return rungs


def _vectors(folder: Path) -> Vectors:
    """Golden vectors of a run."""
    from hwflow.flow.hardware import GOLDEN, GRAPH
    from hwflow.ir.serialize import load_graph
    from hwflow.verify.vectors import Vectors

    return Vectors(folder / GOLDEN, load_graph(folder / GRAPH))


def _rungs(folder: Path) -> list[RungRecord]:
    """Comparisons of this very run; a run that failed before them may have left older ones."""
    from hwflow.records import read_rungs

    artifacts = json.loads((folder / "manifest.json").read_text())["artifacts"]
    return read_rungs(folder / RECORD) if RECORD in artifacts else []
