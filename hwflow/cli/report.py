# SPDX-License-Identifier: Apache-2.0
"""``hwflow report``: the report of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded


@guarded
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")], as_json: JsonFlag = False
) -> None:
    """Write report.html of a run folder again, from its records."""
    from hwflow.report import render

    path = render.render_report(run)
    if as_json:
        emit_json({"report": str(path)})
    else:
        echo(str(path))
