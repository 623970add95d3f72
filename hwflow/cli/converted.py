# SPDX-License-Identifier: Apache-2.0
"""The integer network that a command works on: of a design that is converted first, or of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwflow.cli.run import execute
from hwflow.errors import ConfigError

if TYPE_CHECKING:
    from hwflow.ir.graph import QuantGraph

CONVERTED, GRAPH = "convert", "graph"
#: The same of the C++ project: step and folder.
WRITTEN, PROJECT = "hls", "hls"

SourceArgument = Annotated[
    Path, typer.Argument(metavar="CONFIG|RUN", help="YAML file of a design, or the folder of a run.")
]


def converted(source: Path, *, trust: bool) -> tuple[Path, QuantGraph]:
    """Run folder and network of a design or a run.

    Raises
    ------
    ConfigError
        When the run holds no converted network.
    """
    from hwflow.ir.serialize import load_graph

    run = source if source.is_dir() else Path("runs") / source.stem
    if not source.is_dir():
        execute(source, run, last=CONVERTED, trust=trust)
    elif not (run / GRAPH).is_dir():
        raise ConfigError(
            f"{run} holds no converted network",
            f"run `hwflow run CONFIG --until {CONVERTED} --out {run}` first",
        )
    return run, load_graph(run / GRAPH)


def with_project(source: Path, *, trust: bool) -> Path:
    """Run folder of a design or a run, with its C++ project.

    Raises
    ------
    ConfigError
        When the run holds none.
    """
    run = source if source.is_dir() else Path("runs") / source.stem
    if not source.is_dir():
        execute(source, run, last=WRITTEN, trust=trust)
    elif not (run / PROJECT).is_dir():
        raise ConfigError(
            f"{run} holds no C++ project", f"run `hwflow run CONFIG --until {WRITTEN} --out {run}` first"
        )
    return run
