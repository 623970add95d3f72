# SPDX-License-Identifier: Apache-2.0
"""Records that a run leaves behind: metrics with unit, kind and source."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, model_validator

Kind = Literal["estimated", "simulated", "synthesized", "routed", "measured"]


class Metric(BaseModel):
    """One figure of a run.

    Parameters
    ----------
    name : str
        Dotted name, for example ``rtl.ii_cycles``.
    value : float, int, bool, str or None
        The figure; ``None`` when it could not be had, then ``reason`` says why.
    unit : str
        Unit, ``1`` for a plain number.
    kind : str
        How it came about.
    source : str
        File (relative to the run folder) or formula the figure was taken from.
    reason : str
        Why the value is missing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    value: float | int | bool | str | None
    unit: str
    kind: Kind
    source: str
    reason: str = ""

    @model_validator(mode="after")
    def _missing_value_has_reason(self) -> Metric:
        if self.value is None and not self.reason:
            raise ValueError(f"metric {self.name} has no value and no reason")
        return self


_METRICS = TypeAdapter(list[Metric])


def write_metrics(path: Path, metrics: Iterable[Metric]) -> None:
    """Write metrics as a JSON list, sorted by name; a later one replaces an earlier one."""
    unique = {metric.name: metric for metric in metrics}
    rows = [
        unique[name].model_dump(exclude_defaults=True) | {"value": unique[name].value}
        for name in sorted(unique)
    ]
    path.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")


def read_metrics(path: Path) -> list[Metric]:
    """Read what :func:`write_metrics` wrote."""
    return _METRICS.validate_json(path.read_bytes())
