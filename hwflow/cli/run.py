# SPDX-License-Identifier: Apache-2.0
"""``hwflow run``: a design from its YAML to a verified accelerator."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.errors import BudgetError, VerificationError

if TYPE_CHECKING:
    from hwflow.flow.progress import Progress
    from hwflow.flow.runner import RunResult
    from hwflow.records import Metric, RungRecord

LAST_STEP, REPORT = "verify", "report.html"
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
    config: ConfigArgument,
    out: OutOption = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="STEP", help="Run STEP and all after it in any case.")
    ] = None,
    last: Annotated[str | None, typer.Option("--until", metavar="STEP", help="Stop after STEP.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget an earlier run in the run folder.")] = False,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Quantize, convert, emit, simulate and verify a design.

    Steps whose inputs have not changed are left out. The run folder holds the C++ project, the
    SystemVerilog, all figures (metrics.json) and the report (report.html).
    """
    out = out or Path("runs") / config.stem
    try:
        result = execute(config, out, first=first, last=last, fresh=fresh, trust=trust)
    except (BudgetError, VerificationError):
        typer.echo(f"report: {out / REPORT}", err=True)
        raise
    if as_json:
        emit_json(
            {
                "run": str(result.folder),
                "reused": result.reused,
                "step_seconds": result.seconds,
                "metrics": [metric.model_dump() for metric in result.metrics],
            }
        )
    else:
        _show(result)


def execute(
    config: Path,
    out: Path,
    *,
    first: str | None = None,
    last: str | None = None,
    fresh: bool = False,
    trust: bool = False,
    only_needed: bool = False,
) -> RunResult:
    """Run the steps of a design with progress on stderr; with ``only_needed`` just those that ``last`` needs."""
    from hwflow.config.load import load_config
    from hwflow.flow.runner import Flow
    from hwflow.flow.steps import STEPS, needed_first
    from hwflow.report import render

    design = load_config(config)
    steps = needed_first(last) if last and only_needed else STEPS
    with ExitStack() as stack:
        return Flow(steps, finish=render.render_report).run(
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
