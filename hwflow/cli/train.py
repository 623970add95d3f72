# SPDX-License-Identifier: Apache-2.0
"""``hwflow train``: the quantized model of a design, trained as its configuration says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.run import TrustFlag, execute
from hwflow.errors import ConfigError

PREPARED = "prepare"


@guarded
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file of a design with Model/Train.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Run folder.  [default: runs/<name of CONFIG>]"),
    ] = None,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Quantize a design's model and train it to give the embeddings of the float one.

    A training that was interrupted goes on after its last whole epoch. `hwflow run CONFIG` then takes the trained
    network through C++ and RTL.
    """
    from hwflow.config.load import load_config
    from hwflow.flow.model import PREPARED as MODEL
    from hwflow.flow.model import TRAINING
    from hwflow.train.loop import read_log

    if load_config(config).Hwflow.Model.Train is None:
        raise ConfigError(
            f"{config} says nothing of training", "add a section Hwflow/Model/Train, even an empty one: {}"
        )
    run = out or Path("runs") / config.stem
    execute(config, run, last=PREPARED, trust=trust)
    epochs = read_log(run / TRAINING)
    if as_json:
        emit_json({"model": str(run / MODEL), "epochs": [asdict(epoch) for epoch in epochs]})
        return
    rows = [(f"{e.number}", f"{e.loss:.5f}", f"{e.cosine:.5f}", f"{e.learning_rate:.2g}") for e in epochs]
    table((">epoch", ">loss", ">cosine to float", ">learning rate"), rows)
    echo(f"trained model: {run / MODEL}; log: {run / TRAINING}")
