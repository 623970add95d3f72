# SPDX-License-Identifier: Apache-2.0
"""``hwflow verify``: the verification ladder of a design."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hwflow.cli.common import JsonFlag, emit_json, guarded, table
from hwflow.cli.run import ConfigArgument, OutOption, TrustFlag, execute
from hwflow.errors import VerificationError

if TYPE_CHECKING:
    from hwflow.records import RungRecord

STEP, RECORD = "verify", "verify.json"


@guarded
def verify(
    config: ConfigArgument, out: OutOption = None, trust: TrustFlag = False, as_json: JsonFlag = False
) -> None:
    """Compare QKeras, C++ and RTL with the golden integers, code by code.

    Runs what is not up to date, up to the comparison. Exit code 3 when a code differs.
    """
    folder = out or Path("runs") / config.stem
    mismatch: VerificationError | None = None
    try:
        execute(config, folder, last=STEP, trust=trust)
    except VerificationError as error:
        mismatch = error
    rungs = _rungs(folder)
    if as_json:
        emit_json({"ok": mismatch is None, "rungs": [rung.model_dump() for rung in rungs]})
    else:
        rows = [
            (r.rung, r.scope, str(r.frames), f"{r.values:,}", str(r.mismatches), r.first_difference)
            for r in rungs
        ]
        table(("rung", "scope", ">frames", ">codes", ">mismatches", "first difference"), rows)
    if mismatch:
        typer.echo(f"error: {mismatch}", err=True)
        raise typer.Exit(mismatch.exit_code)


def _rungs(folder: Path) -> list[RungRecord]:
    """Comparisons of this very run; a run that failed before them may have left older ones."""
    from hwflow.records import read_rungs

    artifacts = json.loads((folder / "manifest.json").read_text())["artifacts"]
    return read_rungs(folder / RECORD) if RECORD in artifacts else []
