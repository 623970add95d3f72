# SPDX-License-Identifier: Apache-2.0
"""A design's budget beside the figures of its run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hwflow.records import Metric, bound, keeps


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """One limit and what the run has to say about it.

    Parameters
    ----------
    name : str
        Metric.
    limit : float
        The least where more is better, else the most.
    kept : bool
        Whether it is kept; a figure without a value keeps none.
    text : str
        Both in words, for example ``rtl.ii_cycles: at most 100 cycles, but 101``.
    """

    name: str
    limit: float
    kept: bool
    text: str

    def __str__(self) -> str:
        return self.text


def budget_lines(budget: Mapping[str, float], metrics: Iterable[Metric]) -> list[BudgetLine]:
    """Weigh the metrics of a run, in the order of the budget.

    Parameters
    ----------
    budget : mapping of str to float
        Limit of each metric.
    metrics : iterable of Metric
        What the run found.

    Examples
    --------
    >>> found = Metric(name="rtl.fps", value=480, unit="1/s", kind="simulated", source="log")
    >>> [line.text for line in budget_lines({"rtl.fps": 500}, [found])]
    ['rtl.fps: at least 500 1/s, but 480']
    """
    found = {metric.name: metric for metric in metrics}
    return [_line(name, limit, found.get(name)) for name, limit in budget.items()]


def _line(name: str, limit: float, metric: Metric | None) -> BudgetLine:
    unit = f" {metric.unit}" if metric is not None and metric.unit != "1" else ""
    wanted = f"{name}: {bound(name)} {limit:g}{unit}"
    if metric is None:
        return BudgetLine(name, limit, False, f"{wanted}, but the run has no such figure")
    if metric.value is None:
        return BudgetLine(name, limit, False, f"{wanted}, but no value: {metric.reason}")
    if isinstance(metric.value, str):
        return BudgetLine(name, limit, False, f"{wanted}, but it is a text, {metric.value!r}")
    kept = keeps(name, metric.value, limit)
    return BudgetLine(name, limit, kept, f"{wanted}, {'is' if kept else 'but'} {metric.value:g}")
