# SPDX-License-Identifier: Apache-2.0
"""``hwflow train``: the model of a design, distilled and trained as its configuration says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.run import TrustFlag, execute
from hwflow.errors import ConfigError


@guarded
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file of a design that trains.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Run folder.  [default: runs/<name of CONFIG>]"),
    ] = None,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Distil a design's float model, quantize it, train it to give the embeddings of the float one.

    What the design has no section for is left out. A training that was interrupted goes on after its last whole
    epoch. `hwflow run CONFIG` then takes the trained network through C++ and RTL.
    """
    from hwflow.config.load import load_config
    from hwflow.flow.distillation import DISTILLATION
    from hwflow.flow.model import PREPARED, SOURCE, TRAINING
    from hwflow.train.logs import read_log

    model = load_config(config).Hwflow.Model
    if model.Train is None and model.Distill is None:
        raise ConfigError(
            f"{config} says nothing of training",
            "add a section Hwflow/Model/Train, even an empty one: {}, or Hwflow/Model/Distill with a Teacher",
        )
    run = out or Path("runs") / config.stem
    execute(config, run, last="prepare", trust=trust)
    trainings = [
        (key, title, run / folder, read_log(run / folder))
        for key, title, folder, section in (
            ("distillation", "teacher", DISTILLATION, model.Distill),
            ("epochs", "float", TRAINING, model.Train),
        )
        if section is not None
    ]
    path = run / (SOURCE if model.Prepare is None else PREPARED)
    if as_json:
        emit_json(
            {"model": str(path), **{key: [asdict(epoch) for epoch in log] for key, _, _, log in trainings}}
        )
        return
    for _, title, _, log in trainings:
        rows = [(f"{e.number}", f"{e.loss:.5f}", f"{e.cosine:.5f}", f"{e.learning_rate:.2g}") for e in log]
        table((">epoch", ">loss", f">cosine to {title}", ">learning rate"), rows)
    echo(f"trained model: {path}; {', '.join(f'log: {folder}' for _, _, folder, _ in trainings)}")
