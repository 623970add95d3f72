# SPDX-License-Identifier: Apache-2.0
"""What changed from one run to another: figures with a verdict, layers, keys of the design."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hwflow.errors import UserError
from hwflow.records import LayerRecord, Metric, direction, read_metrics
from hwflow.report.folder import first_fault, read_run

Verdict = Literal["better", "worse", "equal", "changed", "only in A", "only in B"]

_LAYER_FIELDS = ("op", "shape", "output_type", "weight_bits", "params", "macs", "reuse_factor", "pe", "simd",
                 "multipliers", "cycles", "buffer_pixels")  # fmt: skip
#: Fields that follow from the reuse factor, and keys of the design that say what the fields of layers say.
_FOLLOWS, _TOLD = ("pe", "simd", "cycles", "buffer_pixels"), "HLSConfig.LayerName."
_ORDER: tuple[Verdict, ...] = ("worse", "better", "changed", "only in A", "only in B", "equal")


@dataclass(frozen=True, slots=True)
class Side:
    """One of two results.

    Parameters
    ----------
    name : str
        Path it was read from.
    metrics : mapping of str to Metric
        Figures by name.
    layers : mapping of str to LayerRecord
        Nodes by name; empty where only figures are known.
    config : mapping of str to object
        Keys of the design, dotted, defaults filled in; empty where only figures are known.
    """

    name: str
    metrics: Mapping[str, Metric]
    layers: Mapping[str, LayerRecord]
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """A figure of both results.

    Parameters
    ----------
    name, unit : str
        Of the metric.
    a, b : float, int, bool, str or None
        Its values.
    verdict : str
        What the change from A to B is.
    """

    name: str
    unit: str
    a: float | int | bool | str | None
    b: float | int | bool | str | None
    verdict: Verdict

    @property
    def difference(self) -> float | int | None:
        """B less A, where both are numbers."""
        if isinstance(self.a, int | float) and isinstance(self.b, int | float):
            return self.b - self.a
        return None

    @property
    def ratio(self) -> float | None:
        """The difference as a share of A; None where A is zero or no number."""
        if self.difference is None or not isinstance(self.a, int | float) or not self.a:
            return None
        return self.difference / abs(self.a)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from one result to another.

    Parameters
    ----------
    a, b : Side
        Before and after.
    changes : list of Change
        All figures, those that got worse first.
    layers : dict
        Layer to field to (before, after); see :func:`compare_layers`.
    config : dict
        Key of the design to (before, after).
    """

    a: Side
    b: Side
    changes: list[Change]
    layers: dict[str, dict[str, tuple[Any, Any]]]
    config: dict[str, tuple[Any, Any]]

    def of(self, verdict: Verdict) -> list[Change]:
        """Figures of one verdict."""
        return [change for change in self.changes if change.verdict == verdict]

    @property
    def folding(self) -> list[tuple[str, str, Any, Any]]:
        """Layer, field, before, after; without what follows from a changed reuse factor."""
        return [
            (layer, field, *pair)
            for layer, fields in self.layers.items()
            for field, pair in fields.items()
            if field not in _FOLLOWS or "reuse_factor" not in fields
        ]

    @property
    def keys(self) -> dict[str, tuple[Any, Any]]:
        """Keys of the design, but for those that the layers have told already."""
        return {key: pair for key, pair in self.config.items() if not key.startswith(_TOLD)}


def compare(a: Side, b: Side, tolerance: float = 0.0) -> Comparison:
    """Compare two results; ``tolerance`` is the share of A by which a figure may get worse."""
    changes = sorted(compare_metrics(a, b, tolerance), key=lambda change: _ORDER.index(change.verdict))
    return Comparison(a, b, changes, compare_layers(a, b), compare_config(a, b))


def read_side(path: Path) -> Side:
    """Read a run folder, or a file of metrics.

    Raises
    ------
    UserError
        When it is neither, or damaged.
    """
    if path.is_file():
        try:
            metrics = read_metrics(path)
        except ValueError as error:
            raise UserError(
                f"{path} holds no metrics: {first_fault(error)}", "name a run folder or its metrics.json"
            ) from error
        return Side(str(path), {metric.name: metric for metric in metrics}, {}, {})
    run = read_run(path)
    layers = {layer.name: layer for layer in run.layers or []}
    return Side(str(path), run.by_name, layers, dict(_flat(run.config.model_dump(mode="json"))))


def _flat(section: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def compare_metrics(a: Side, b: Side, tolerance: float = 0.0) -> list[Change]:
    """All figures of two results, by name.

    Parameters
    ----------
    a, b : Side
        Before and after.
    tolerance : float
        Share of A by which a figure may get worse without being called so.
    """
    found = []
    for name in sorted({*a.metrics, *b.metrics}):
        one, other = a.metrics.get(name), b.metrics.get(name)
        unit = next(metric.unit for metric in (one, other) if metric is not None)
        before, after = (None if metric is None else metric.value for metric in (one, other))
        found.append(Change(name, unit, before, after, _verdict(name, one, other, tolerance)))
    return found


def _verdict(name: str, a: Metric | None, b: Metric | None, tolerance: float) -> Verdict:
    if a is None or b is None:
        return "only in B" if a is None else "only in A"
    if a.value == b.value:
        return "equal"
    toward = direction(name)
    if not toward:
        return "changed"
    if a.value is None or b.value is None:  # a figure that is lost cannot be judged any more
        return "changed" if a.value is None else "worse"
    if not isinstance(a.value, int | float) or not isinstance(b.value, int | float):
        return "changed"
    gain = toward * (b.value - a.value)
    if gain > 0:
        return "better"
    return "worse" if -gain > tolerance * abs(a.value) else "changed"


def compare_layers(a: Side, b: Side) -> dict[str, dict[str, tuple[Any, Any]]]:
    """What changed of each layer: field to (before, after); ``layer`` itself where one side lacks it."""
    found: dict[str, dict[str, tuple[Any, Any]]] = {}
    if not a.layers or not b.layers:
        return found
    for name in dict.fromkeys([*a.layers, *b.layers]):
        one, other = a.layers.get(name), b.layers.get(name)
        if one is None or other is None:
            changes: dict[str, tuple[Any, Any]] = {"layer": (one and one.op, other and other.op)}
        else:
            pairs = {field: (getattr(one, field), getattr(other, field)) for field in _LAYER_FIELDS}
            changes = {field: pair for field, pair in pairs.items() if pair[0] != pair[1]}
        if changes:
            found[name] = changes
    return found


def compare_config(a: Side, b: Side) -> dict[str, tuple[Any, Any]]:
    """Keys of the design that differ, as (before, after)."""
    if not a.config or not b.config:
        return {}
    keys = dict.fromkeys([*a.config, *b.config])
    pairs = {key: (a.config.get(key), b.config.get(key)) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
