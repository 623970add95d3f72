# SPDX-License-Identifier: Apache-2.0
"""``hwflow study``: accuracy of many designs, trained or not, as tables and figures."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.run import TrustFlag, show_progress
from hwflow.errors import ConfigError

RESULT, TEXT, SHEET = "results.json", "results.md", "results.csv"


@guarded
def study(
    config: Annotated[Path, typer.Argument(metavar="STUDY", help="YAML file of a study.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of the study.  [default: runs/<name of STUDY>]"),
    ] = None,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Quantize, train and score the designs of a study on one face set.

    Designs that were scored before are read from the folder, and a training that was interrupted goes on, so that the
    same command ends what was begun; delete the folder to begin anew. It holds results.json, results.csv, results.md
    and the study's figures; each design's evaluation, embeddings and training log lie below cells/.
    """
    from hwflow.files import write_text
    from hwflow.study.runner import Runner
    from hwflow.study.schema import load_study
    from hwflow.study.show import comma_separated, draw, label, markdown, rows, shown, titles

    settings = load_study(config)
    if not (config.parent / settings.Base).is_file():
        raise ConfigError(
            f"{config}: Base names {settings.Base}, but there is no {config.parent / settings.Base}",
            "give the path from the study",
        )
    folder = out or Path("runs") / config.stem
    with ExitStack() as stack:
        runner = Runner(settings, config, folder, trust=trust, progress=show_progress(stack))
        cells = runner.run()
    records = [runner.evaluation(cell) for cell in cells]
    result = {
        "study": config.stem,
        "dataset": records[0].dataset,
        "note": records[0].note,
        "pairs": records[0].pairs,
        "cells": [cell.model_dump() for cell in cells],
        "definition": settings.model_dump(mode="json"),
    }
    write_text(folder / RESULT, json.dumps(result, indent=1) + "\n")
    write_text(folder / SHEET, comma_separated(cells, settings))
    write_text(folder / TEXT, markdown(settings, cells, records[0]))
    for name in settings.Figures:
        draw(name, settings, cells, records, folder)
    if as_json:
        emit_json(result)
        return
    heads = [f">{title}" for title in titles(settings)]
    lines = [
        (label(row.choices, settings), *(shown(row, name) for name in settings.Columns))
        for row in rows(cells)
    ]
    table(("design", *heads), lines)
    echo(f"table, figures and records: {folder}")
