# SPDX-License-Identifier: Apache-2.0
"""``hwflow compare``: what changed from one result to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.run import TrustFlag, execute, figure
from hwflow.errors import BudgetError, UserError

if TYPE_CHECKING:
    from hwflow.report.compare import Change, Comparison, Side

_YAML = (".yaml", ".yml")
_PAGES = (".html", ".md")
_SHOWN_KEYS = 40
_MARKS = {"worse": "✗", "better": "✓"}


@guarded
def compare(
    a: Annotated[
        Path, typer.Argument(metavar="A", help="Before: a run folder, a metrics.json, or a design's YAML.")
    ],
    b: Annotated[Path, typer.Argument(metavar="B", help="After: the same.")],
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, help="Percent by which a figure may get worse.")
    ] = 0.0,
    fail: Annotated[
        bool, typer.Option("--fail-on-regression", help="Exit code 5 when a figure got worse.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write it as a page (.html) or Markdown (.md)."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show what is equal, too.")] = False,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Show what changed: figures side by side with a verdict, bits and folding of layers, keys of the design.

    A figure is better or worse where it is known whether less or more of it is: resources, cycles, memory and
    mismatches; frames a second and accuracy. Of a design's YAML the run up to its predicted cost is taken.
    """
    from hwflow.report.compare import compare as compared

    if out is not None and out.suffix not in _PAGES:
        raise UserError(f"--out {out}: neither a page nor Markdown", f"end the name in {' or '.join(_PAGES)}")
    found = compared(_side(a, trust), _side(b, trust), tolerance / 100)
    worse = found.of("worse")
    if out is not None:
        from hwflow.report.render import render_changes

        render_changes(found, out)
    if as_json:
        emit_json(
            {
                "a": found.a.name,
                "b": found.b.name,
                "metrics": {change.name: _record(change) for change in found.changes},
                "layers": found.layers,
                "config": found.config,
                "regressions": [change.name for change in worse],
            }
        )
    else:
        _show(found, [change for change in found.changes if everything or change.verdict != "equal"])
        echo(
            f"{len(found.of('better'))} better, {len(worse)} worse, {len(found.of('equal'))} equal of "
            f"{len(found.changes)} figures"
        )
        if out is not None:
            echo(f"report: {out}")
    if worse and fail:
        names = ", ".join(change.name for change in worse)
        raise BudgetError(f"{len(worse)} figure(s) got worse: {names}", "change the design, or --tolerance")


def _side(path: Path, trust: bool) -> Side:
    """One of the two results; a design is brought up to date first."""
    from hwflow.report.compare import read_side

    if path.suffix in _YAML:
        run = Path("runs") / path.stem
        execute(path, run, last="cost", trust=trust)
        return read_side(run)
    return read_side(path)


def _record(change: Change) -> dict[str, Any]:
    return {
        "a": change.a,
        "b": change.b,
        "unit": change.unit,
        "difference": change.difference,
        "verdict": change.verdict,
    }


def _show(found: Comparison, changes: list[Change]) -> None:
    echo(f"A: {found.a.name}\nB: {found.b.name}")
    rows = []
    for change in changes:
        cells = [_cell(side, change.name) for side in (found.a, found.b)]
        share = "" if change.ratio is None else f"{100 * change.ratio:+.1f} %"
        mark = _MARKS.get(change.verdict, "")
        rows.append((change.name, *cells, share, f"{mark} {change.verdict}".strip()))
    if rows:
        table(("figure", ">A", ">B", ">change", "verdict"), rows)
    layers = [
        (layer, field, *("–" if value is None else str(value) for value in pair))
        for layer, field, *pair in found.folding
    ]
    if layers:
        table(("layer", "what", ">A", ">B"), layers)
    for key, (before, after) in list(found.keys.items())[:_SHOWN_KEYS]:
        echo(f"{key}: {before} → {after}")
    if len(found.keys) > _SHOWN_KEYS:
        echo(f"… and {len(found.keys) - _SHOWN_KEYS} more keys")


def _cell(side: Side, name: str) -> str:
    metric = side.metrics.get(name)
    return "–" if metric is None or metric.value is None else " ".join(figure(metric)).strip()
