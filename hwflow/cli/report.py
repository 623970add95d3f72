# SPDX-License-Identifier: Apache-2.0
"""``hwflow report``: the report of a run, or of several runs and studies side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded

#: Where the report of several folders goes.
SEVERAL = Path("runs") / "report"


@guarded
def report(
    places: Annotated[
        list[Path], typer.Argument(metavar="RUN|STUDY", help="Folders of runs and of studies.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help=f"Where to write: else into the folder; of several, {SEVERAL}."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write report.html, a page that needs nothing else, and beside it report/ with Markdown, CSV and SVG.

    Of one run: verdict, cost, layers, faces. Of a study, or of several folders: the designs side by side, with those
    that no other one beats.
    """
    from hwflow.report import render
    from hwflow.report.folder import is_study

    if len(places) == 1 and out is None and not is_study(places[0]):
        path = render.render_report(places[0])
    else:
        path = render.render_designs(places, out or (places[0] if len(places) == 1 else SEVERAL))
    if as_json:
        emit_json({"report": str(path)})
    else:
        echo(str(path))
