# SPDX-License-Identifier: Apache-2.0
"""``hwflow run``: a design from its YAML to a verified accelerator."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwflow.cli.batch import LAST_STEP, Outcome, outcome, run_folders
from hwflow.cli.common import (
    JsonFlag,
    echo,
    emit_json,
    error_record,
    guarded,
    show_error,
    table,
    told_error,
)
from hwflow.errors import BudgetError, UserError, VerificationError

if TYPE_CHECKING:
    from hwflow.flow.progress import Progress
    from hwflow.flow.runner import RunResult
    from hwflow.records import Metric, RungRecord

REPORT = "report.html"
#: Beginnings of the figures of all targets, which a command of its own shows side by side.
_COST = ("cost.", "mcu.")

ConfigArgument = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file of a design.")]
TrustFlag = Annotated[
    bool, typer.Option("--trust", help="Allow model files and factories that execute code.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Run folder.  [default: runs/<name of CONFIG>]")
]


@guarded
def run(
    configs: Annotated[
        list[Path], typer.Argument(metavar="CONFIG...", help="YAML files of designs.", show_default=False)
    ],
    out: OutOption = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="STEP", help="Run STEP and all after it in any case.")
    ] = None,
    last: Annotated[str | None, typer.Option("--until", metavar="STEP", help="Stop after STEP.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget an earlier run in the run folder.")] = False,
    changed: Annotated[
        bool, typer.Option("--changed", help="Leave out designs that passed with the very same inputs.")
    ] = False,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="JUnit XML of all designs, for CI systems."),
    ] = None,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Quantize, convert, emit, simulate and verify designs.

    Steps whose inputs have not changed are left out. A run folder holds the C++ project, the
    SystemVerilog, all figures (metrics.json), the report (report.html) and its short form for CI
    systems (junit.xml). With --changed, a design is left out altogether when it passed before with the
    same keys, model file, hwflow and tools, in whatever folder; results are remembered in the user's
    cache. Of several designs all are run; the exit code is that of the first one that failed.
    """
    from hwflow.report.junit import write_junit

    if changed and (first or last or fresh):
        raise UserError("--changed says by itself what runs", "leave out --from, --until and --fresh")
    if junit is not None and not junit.parent.is_dir():
        raise UserError(f"there is no folder {junit.parent} for {junit}", "make it, or name another file")
    several, done = len(configs) > 1 or changed, list[Outcome]()
    try:
        for config, folder in run_folders(configs, out).items():
            attempt = partial(execute, config, folder, first=first, last=last, fresh=fresh, trust=trust)
            done.append(outcome(config, folder, attempt, trust=trust, changed=changed))
            if several and not as_json:
                _tell(done[-1])
    finally:
        if junit is not None:
            write_junit(junit, [one.suite for one in done])
    error = next((one.error for one in done if one.error), None)
    if several:
        if as_json:
            emit_json([_record(one) for one in done])
        if error is not None:
            raise typer.Exit(error.exit_code)
    elif error is not None:
        if isinstance(error, BudgetError | VerificationError):
            typer.echo(f"report: {done[0].folder / REPORT}", err=True)
        raise error
    elif as_json:
        emit_json(_record(done[0]))
    elif done[0].result is not None:
        _show(done[0].result)


def _record(one: Outcome) -> dict[str, Any]:
    """What became of a design, as JSON."""
    record: dict[str, Any] = {
        "config": str(one.config),
        "run": str(one.folder.absolute()),
        "state": one.state,
        "metrics": [metric.model_dump() for metric in one.suite.metrics],
    }
    if one.result is not None:
        record |= {"reused": one.result.reused, "step_seconds": one.result.seconds}
    return record | (error_record(one.error) if one.error is not None else {})


def _tell(one: Outcome) -> None:
    """What became of one of several designs."""
    if one.error is not None:
        show_error(one.error, as_json=False)
        echo(f"{one.config}: failed")
        return
    passed = f"unchanged, passed {one.since}" if one.since else f"done, {one.folder / REPORT}"
    echo(f"{one.config}: {passed}; {verdict(one.suite.rungs)}")


def execute(
    config: Path,
    out: Path,
    *,
    first: str | None = None,
    last: str | None = None,
    fresh: bool = False,
    trust: bool = False,
    only_needed: bool = False,
    train: bool = True,
) -> RunResult:
    """Run the steps of a design with progress on stderr; with ``only_needed`` just those that ``last`` needs.

    Without ``train`` the network is as quantization leaves it.
    """
    from hwflow.config.load import load_config
    from hwflow.config.schema import untrained
    from hwflow.flow.runner import Flow
    from hwflow.flow.steps import STEPS, needed_first

    design = load_config(config)
    if not train:
        model = untrained(design.Hwflow.Model)
        design = design.model_copy(update={"Hwflow": design.Hwflow.model_copy(update={"Model": model})})
    steps = needed_first(last) if last and only_needed else STEPS
    with ExitStack() as stack:
        return Flow(steps, partial(_finish, config), partial(_failed, config)).run(
            design,
            config_path=config,
            out=out,
            first=first,
            last=last,
            fresh=fresh,
            trust=trust,
            argv=sys.argv[1:],
            progress=show_progress(stack),
        )


def _finish(config: Path, folder: Path) -> None:
    """Report of a run, for people and for CI systems."""
    from hwflow.report import junit, render

    render.render_report(folder)
    junit.write_junit(folder / junit.NAME, [junit.suite_of(folder, config.stem, config.as_posix())])


def _failed(config: Path, folder: Path, error: BaseException) -> None:
    """No report is better than that of an earlier run."""
    from hwflow.report import junit

    for name in (REPORT, junit.NAME):
        (folder / name).unlink(missing_ok=True)
    if isinstance(error, Exception):
        suite = junit.Suite(config.stem, config.as_posix(), error=told_error(error))
        junit.write_junit(folder / junit.NAME, [suite])


def show_progress(stack: ExitStack) -> Progress:
    """Bars on a terminal, lines elsewhere."""
    from hwflow.flow.progress import BarProgress, LogProgress

    return stack.enter_context(BarProgress()) if sys.stderr.isatty() else LogProgress()


def _show(result: RunResult) -> None:
    from hwflow.records import read_rungs

    every = sorted(result.metrics, key=lambda metric: metric.name)
    metrics = [metric for metric in every if not metric.name.startswith(_COST)]
    rows = [(metric.name, *figure(metric), metric.kind) for metric in metrics if metric.value is not None]
    table(("figure", ">value", "unit", "kind"), rows)
    for reason in dict.fromkeys(metric.reason for metric in metrics if metric.value is None):
        names = ", ".join(metric.name for metric in metrics if metric.reason == reason)
        echo(f"no value, as {reason}: {names}")
    if len(every) > len(metrics):
        echo(f"cost on FPGA parts and microcontrollers: hwflow estimate {result.folder}")
    if LAST_STEP in result.seconds:
        echo(verdict(read_rungs(result.folder / "verify.json")))
        echo(f"report: {result.folder / REPORT}")
    else:
        echo(f"run folder: {result.folder}")


def figure(metric: Metric) -> tuple[str, str]:
    """Value and unit as people read them: exact counts, four digits of what was measured."""
    value, unit = metric.value, metric.unit if metric.unit != "1" else ""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return str(value), unit
    if unit == "" and "accuracy" in metric.name:
        return f"{100 * value:.2f}", "%"
    if unit == "s":
        scale, unit = next((pair for pair in _SECONDS if abs(value) >= pair[0]), _SECONDS[-1])
        value = value / scale
    exact = isinstance(value, int) or abs(value) >= 1000
    return f"{value:,.0f}" if exact else f"{value:.4g}", unit


_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def verdict(rungs: Sequence[RungRecord]) -> str:
    """What the verification ladder says, in one line; a rung that differs is an error before."""
    names = {"qkeras": "QKeras", "csim": "C++", "rtl": "RTL"}
    outputs = [rung for rung in rungs if rung.scope == "output"]
    whole = [rung for rung in outputs if rung.rung in names]
    if not whole:
        return "nothing was compared"
    compared = [names[rung.rung] for rung in whole]
    compared.insert(1 if whole[0].rung == "qkeras" else 0, "golden")
    text = f"bit-exact: {' = '.join(compared)} on {_frames(whole)}"
    for where, some in (
        ("at every layer", [rung for rung in rungs if rung.scope == "layers"]),
        ("in its netlist", [rung for rung in outputs if rung.rung == "netlist"]),
    ):
        text += f", {where} on {_frames(some)}" if some else ""
    return text


def _frames(rungs: Sequence[RungRecord]) -> str:
    count = min(rung.frames for rung in rungs)
    return f"{count} frame" + "s" * (count != 1)
