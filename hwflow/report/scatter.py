# SPDX-License-Identifier: Apache-2.0
"""Designs over two figures: axes, the designs that no other one beats, the drawing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from markupsafe import Markup

from hwflow.report import svg
from hwflow.report.text import compact, grouped

_WIDTH, _HEIGHT = 1160.0, 500.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 84.0, 1136.0, 34.0, 446.0
#: Largest over smallest value from which an axis is logarithmic.
_LOG_FROM = 50
#: Steps that an axis has at least.
_TICKS = 4
#: Names are written beside designs of the front up to so many.
_NAMED = 20
#: Room of a name, pixels.
_NAME_WIDTH, _NAME_HEIGHT = 40.0, 18.0
_BETTER = {-1: "less is better", 0: "", 1: "more is better"}


@dataclass(frozen=True, slots=True)
class Axis:
    """A figure as an axis.

    Parameters
    ----------
    name, caption : str
        The figure, and what stands at the axis.
    toward : int
        1 where more is better, -1 where less is, 0 where neither is.
    log : bool
        Whether it is logarithmic.
    low, high : float
        Its ends.
    ticks : list of (float, str)
        Values that are marked, and their words.
    """

    name: str
    caption: str
    toward: int
    log: bool
    low: float
    high: float
    ticks: list[tuple[float, str]]

    def holds(self, value: float | None) -> bool:
        """Whether a value is there and lies between the ends."""
        return value is not None and self.low <= value <= self.high

    def share(self, value: float) -> float:
        """Where a value lies between the ends."""
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return (at - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Mark:
    """A design in the drawing.

    Parameters
    ----------
    number : int
        Row of the table.
    name : str
        What it is called.
    class_ : str
        Style: ``front``, ``refused``, ``exact`` …
    weighed : bool
        Whether it may beat others.
    values : sequence of float or None
        One an axis.
    tip : list of str
        What is said of it.
    """

    number: int
    name: str
    class_: str
    weighed: bool
    values: Sequence[float | None]
    tip: list[str]


def axis(name: str, values: Sequence[float], toward: int) -> Axis:
    """An axis for values that differ."""
    low, high = min(values), max(values)
    log = low > 0 and high / low >= _LOG_FROM
    caption = f"{name} ({_BETTER[toward]})" if toward else name
    if log:
        room = (high / low) ** 0.04
        return Axis(name, caption, toward, True, low / room, high * room, _decades(low / room, high * room))
    room = 0.05 * (high - low)
    low, high = low - room, high + room
    step = _step((high - low) / _TICKS)
    digits = max(0, 1 - math.floor(math.log10(step) + 1e-9)) if step < 10 else 0
    ticks = [n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    return Axis(
        name, caption, toward, False, low, high, [(tick, _words(tick, step, digits)) for tick in ticks]
    )


def _step(rough: float) -> float:
    """The round number below."""
    scale = 10.0 ** math.floor(math.log10(rough) + 1e-9)
    return next(scale * part for part in (5, 2.5, 2, 1) if scale * part <= rough * (1 + 1e-9))


def _words(value: float, step: float, digits: int) -> str:
    if step >= 1e5:
        return compact(value)
    if step >= 1 and float(step).is_integer():
        return grouped(value)
    shown = f"{value + 0.0:,.{digits}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _decades(low: float, high: float) -> list[tuple[float, str]]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [part * 10.0**power for power in powers for part in (1, 2, 5)]
    return [
        (value, compact(value) if value >= 1 else f"{value:g}") for value in values if low <= value <= high
    ]


def best(points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> list[int]:
    """Numbers of the points that no other one is at least as good as in both figures, by the first one."""
    order = sorted(range(len(points)), key=lambda n: (-x.toward * points[n][0], -y.toward * points[n][1]))
    kept: list[int] = []
    for number in order:
        if not kept or y.toward * (points[number][1] - points[kept[-1]][1]) > 0:
            kept.append(number)
    return kept


def plot(axes: Sequence[Axis], marks: Sequence[Mark], x_at: int, y_at: int) -> Markup:
    """The drawing over two of the axes, which the page's script draws anew over others."""
    x, y = axes[x_at], axes[y_at]

    def place(point: tuple[float, float]) -> tuple[float, float]:
        return _across(x, point[0]), _up(y, point[1])

    found = [(mark.number, mark.values[x_at], mark.values[y_at]) for mark in marks]
    placed = {
        number: (a, b)
        for number, a, b in found
        if a is not None and b is not None and x.holds(a) and y.holds(b)
    }
    weighed = [mark.number for mark in marks if mark.weighed and mark.number in placed]
    line = best([placed[number] for number in weighed], x, y) if x.toward and y.toward else []
    members = {weighed[number] for number in line}
    front = [mark.number for mark in marks if "front" in mark.class_.split() and mark.number in placed]
    names = _uncrowded({number: place(placed[number]) for number in front}) if len(front) <= _NAMED else set()
    stairs = svg.element("path", d=_stairs([place(placed[weighed[n]]) for n in line]), class_="stairs")
    children = (
        _mark(
            mark, place(placed[mark.number]) if mark.number in placed else None,
            is_best=mark.number in members, named=mark.number in names,
        )
        for mark in marks
    )  # fmt: skip
    return svg.element(
        "svg", svg.element("g", *_grid(x, y), class_="grid"), stairs, *children, viewBox=svg.box(_WIDTH, _HEIGHT),
        id="plot", role="group", aria_label="Designs over two figures; arrow keys lead from one to the next",
        class_="wide",
    )  # fmt: skip


def _uncrowded(places: Mapping[int, tuple[float, float]]) -> set[int]:
    """Marks whose names keep clear of those before."""
    kept: dict[int, tuple[float, float]] = {}
    for number, (x, y) in sorted(places.items(), key=lambda item: (item[1], item[0])):
        if all(abs(x - a) >= _NAME_WIDTH or abs(y - b) >= _NAME_HEIGHT for a, b in kept.values()):
            kept[number] = (x, y)
    return set(kept)


def script_data(axes: Sequence[Axis], marks: Sequence[Mark]) -> dict[str, Any]:
    """What the page's script draws from."""
    return {
        "frame": {"left": _LEFT, "right": _RIGHT, "top": _TOP, "bottom": _BOTTOM},
        "names": {"most": _NAMED, "width": _NAME_WIDTH, "height": _NAME_HEIGHT},
        "axes": [asdict(one) for one in axes],
        "designs": {
            str(mark.number): {"values": list(mark.values), "weighed": mark.weighed, "tip": mark.tip}
            for mark in marks
        },
    }


def _across(x: Axis, value: float) -> float:
    return _LEFT + x.share(value) * (_RIGHT - _LEFT)


def _up(y: Axis, value: float) -> float:
    return _BOTTOM - y.share(value) * (_BOTTOM - _TOP)


def _grid(x: Axis, y: Axis) -> Iterator[Markup]:
    for value, words in x.ticks:
        yield svg.line(_across(x, value), _TOP, _across(x, value), _BOTTOM, "rule")
        yield svg.text(words, _across(x, value), _BOTTOM + 18, "middle")
    for value, words in y.ticks:
        yield svg.line(_LEFT, _up(y, value), _RIGHT, _up(y, value), "rule")
        yield svg.text(words, _LEFT - 8, _up(y, value) + 4, "end")
    yield svg.text(x.caption, (_LEFT + _RIGHT) / 2, _BOTTOM + 42, "middle", "caption")
    yield svg.text(y.caption, _LEFT, _TOP - 12, class_="caption")


def _stairs(places: Sequence[tuple[float, float]]) -> str:
    return "".join(
        f"H{x:.2f}V{y:.2f}" if number else f"M{x:.2f} {y:.2f}" for number, (x, y) in enumerate(places)
    )


def _mark(mark: Mark, at: tuple[float, float] | None, *, is_best: bool, named: bool) -> Markup:
    front = "front" in mark.class_.split()
    classes = ["point", mark.class_, *(["best"] if is_best else []), *(["absent"] if at is None else [])]
    parts = [svg.element("title", "\n".join(mark.tip)), svg.element("circle", r=6.5 if front else 4.5)]
    if front:
        parts.append(svg.text(mark.name, 9, -8, class_="name" if named else "name crowded"))
    x, y = at or (0.0, 0.0)
    return svg.element(
        "g", *parts, class_=" ".join(filter(None, classes)), transform=f"translate({x:.2f} {y:.2f})",
        data_design=str(mark.number), role="img", aria_label="; ".join(mark.tip),
    )  # fmt: skip
