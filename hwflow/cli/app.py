# SPDX-License-Identifier: Apache-2.0
"""The ``hwflow`` command. Heavy imports happen inside the commands, so that ``--help`` is quick."""

from __future__ import annotations

import gc
import os
import signal
import warnings
from typing import Annotated

import typer

import hwflow
from hwflow import log
from hwflow.cli import (
    check,
    compare,
    doctor,
    emit_mcu,
    estimate,
    evaluate,
    explain,
    explore,
    fuzz,
    late,
    models,
    package,
    report,
    run,
    search,
    study,
    synth,
    train,
    tune,
    verify,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From quantized Keras networks to bit-exact, vendor-free streaming hardware.",
    epilog="Exit codes: 0 ok, 1 wrong input, 2 usage, 3 mismatch, 4 tool failure, 5 over budget, 70 fault.",
)
app.command("run")(run.run)
app.command("verify")(verify.verify)
app.command("report")(report.report)
app.command("estimate")(estimate.estimate)
app.command("explain")(explain.explain)
app.command("synth")(synth.synth)
app.command("compare")(compare.compare)
app.command("tune")(tune.tune)
app.command("train")(train.train)
app.command("explore")(explore.explore)
app.command("search")(search.search)
app.command("study")(study.study)
app.command("emit-mcu")(emit_mcu.emit_mcu)
app.command("package")(package.package)
app.command("evaluate")(evaluate.evaluate)
app.command("check")(check.check)
app.command("fuzz")(fuzz.fuzz)
app.add_typer(models.app, name="models")
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hwflow {hwflow.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="Show every detail.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings and errors only.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's remarks about its own build
    if not verbose:  # remarks of Keras to the authors of Keras programs
        warnings.filterwarnings("ignore", category=UserWarning, module=r"(tensorflow|keras|qkeras)\b")
    log.setup_console(-1 if quiet else verbose)


#: Objects made between two searches for garbage: importing TensorFlow makes a million that stay, and Python's
#: own default spends a fifth of that time looking for some that do not.
_COLLECT_AFTER = (200_000, 20, 50)


def main() -> None:
    """Entry point of the ``hwflow`` script."""
    gc.set_threshold(*_COLLECT_AFTER)
    late.install()
    signal.signal(signal.SIGTERM, _terminated)
    app()


def _terminated(number: int, _: object) -> None:
    """End as Ctrl-C does: programs that were started end with us."""
    raise KeyboardInterrupt
