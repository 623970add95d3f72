# SPDX-License-Identifier: Apache-2.0
"""``hwflow compare``: what changed from one result to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.run import TrustFlag, execute, figure
from hwflow.errors import BudgetError

if TYPE_CHECKING:
    from hwflow.report.compare import Change, Side

_YAML = (".yaml", ".yml")
_SHOWN_KEYS = 40


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
    everything: Annotated[bool, typer.Option("--all", help="Show what is equal, too.")] = False,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Show what changed: figures side by side with a verdict, bits and folding of layers, keys of the design.

    A figure is better or worse where it is known whether less or more of it is: resources, cycles, memory and
    mismatches; frames a second and accuracy. Of a design's YAML the run up to its predicted cost is taken.
    """
    from hwflow.report.compare import compare_config, compare_layers, compare_metrics

    one, other = _side(a, trust), _side(b, trust)
    changes = compare_metrics(one, other, tolerance / 100)
    layers, keys = compare_layers(one, other), compare_config(one, other)
    worse = [change for change in changes if change.verdict == "worse"]
    if as_json:
        emit_json(
            {
                "a": one.name,
                "b": other.name,
                "metrics": {change.name: _record(change) for change in changes},
                "layers": layers,
                "config": keys,
                "regressions": [change.name for change in worse],
            }
        )
    else:
        _show(one, other, [change for change in changes if everything or change.verdict != "equal"])
        _show_layers(layers)
        _show_keys(keys)
        better = sum(change.verdict == "better" for change in changes)
        equal = sum(change.verdict == "equal" for change in changes)
        echo(f"{better} better, {len(worse)} worse, {equal} equal of {len(changes)} figures")
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


def _show(a: Side, b: Side, changes: list[Change]) -> None:
    echo(f"A: {a.name}\nB: {b.name}")
    rows = []
    for change in changes:
        cells = [_cell(side, change.name) for side in (a, b)]
        share = "" if change.ratio is None else f"{100 * change.ratio:+.1f} %"
        rows.append((change.name, *cells, share, change.verdict))
    if rows:
        table(("figure", ">A", ">B", ">change", "verdict"), rows)


def _cell(side: Side, name: str) -> str:
    metric = side.metrics.get(name)
    return "–" if metric is None or metric.value is None else " ".join(figure(metric)).strip()


def _show_layers(layers: dict[str, dict[str, tuple[Any, Any]]]) -> None:
    rows = [
        (layer, field, *("–" if value is None else str(value) for value in pair))
        for layer, changes in layers.items()
        for field, pair in changes.items()
        if field not in ("pe", "simd", "cycles", "buffer_pixels") or "reuse_factor" not in changes
    ]
    if rows:
        table(("layer", "what", ">A", ">B"), rows)


def _show_keys(keys: dict[str, tuple[Any, Any]]) -> None:
    """Keys of the design, but for those that the layers have shown already."""
    shown = {key: pair for key, pair in keys.items() if not key.startswith("HLSConfig.LayerName.")}
    for key, (before, after) in list(shown.items())[:_SHOWN_KEYS]:
        echo(f"{key}: {before} → {after}")
    if len(shown) > _SHOWN_KEYS:
        echo(f"… and {len(shown) - _SHOWN_KEYS} more keys")
