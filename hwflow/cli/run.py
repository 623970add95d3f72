# SPDX-License-Identifier: Apache-2.0
"""``hwflow run``: a design from its YAML to a verified accelerator."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table

if TYPE_CHECKING:
    from hwflow.flow.progress import Progress
    from hwflow.flow.runner import RunResult
    from hwflow.records import Metric

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
    result = execute(config, out, first=first, last=last, fresh=fresh, trust=trust)
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
    out: Path | None,
    *,
    first: str | None = None,
    last: str | None = None,
    fresh: bool = False,
    trust: bool = False,
) -> RunResult:
    """Run the steps of a design with progress on stderr."""
    from hwflow.config.load import load_config
    from hwflow.flow.runner import Flow
    from hwflow.flow.steps import STEPS
    from hwflow.report import render

    design = load_config(config)
    with ExitStack() as stack:
        return Flow(STEPS, finish=render.render_report).run(
            design,
            config_path=config,
            out=out or Path("runs") / config.stem,
            first=first,
            last=last,
            fresh=fresh,
            trust=trust,
            argv=sys.argv[1:],
            progress=_progress(stack),
        )


def _progress(stack: ExitStack) -> Progress:
    """Bars on a terminal, lines elsewhere."""
    from hwflow.flow.progress import BarProgress, LogProgress

    return stack.enter_context(BarProgress()) if sys.stderr.isatty() else LogProgress()


def _show(result: RunResult) -> None:
    rows = [(m.name, _value(m), m.unit if m.unit != "1" else "", m.kind, m.reason) for m in result.metrics]
    table("", ("figure", "value", "unit", "kind", ""), rows)
    report = result.folder / "report.html"
    echo(f"report: {report}" if report.is_file() else f"run folder: {result.folder}")


def _value(metric: Metric) -> str:
    """A figure as people read it; exact ones stay exact."""
    value = metric.value
    if value is None:
        return "–"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    return f"{value:,.0f}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
