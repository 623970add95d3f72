# SPDX-License-Identifier: Apache-2.0
"""The drawings of the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hwflow.records import FacesRecord, LayerRecord
from hwflow.report import svg
from hwflow.report.text import compact, decimal, grouped, seconds

Curve = Sequence[tuple[float, float]]

_SERIES = 8
"""Colours the style sheet has for kinds of layers (classes ``series-0``…)."""


def series(layers: Sequence[LayerRecord]) -> dict[str, int]:
    """Colour of each operation, in order of appearance."""
    operations = dict.fromkeys(layer.op for layer in layers)
    return {name: number % _SERIES for number, name in enumerate(operations)}


@dataclass(frozen=True, slots=True)
class Band:
    """One quantity of all layers.

    Parameters
    ----------
    name : str
        What it is, with its unit.
    values : sequence of float or None
        One a layer; None where a layer has none.
    words : callable
        A value as people read it.
    marks : sequence of float or None
        A second value a layer, drawn as a line across its bar: the prediction of what was measured, or how full.
    mark_name : str
        What that is.
    limit : float or None
        Value at which a dashed line is drawn.
    """

    name: str
    values: Sequence[float | None]
    words: Callable[[float], str]
    marks: Sequence[float | None] = ()
    mark_name: str = ""
    limit: float | None = None

    @property
    def most(self) -> float:
        """The largest value to be drawn."""
        return max([self.limit or 0.0, *(v for v in (*self.values, *self.marks) if v is not None)])


def bands(layers: Sequence[LayerRecord], drawn: Sequence[Band], bottleneck: LayerRecord | None) -> Markup:
    """Quantities of all layers below one another, a column a layer; the bottleneck's column is marked.

    Parameters
    ----------
    layers : sequence of LayerRecord
        In the order of the table.
    drawn : sequence of Band
        What to draw; one without values above zero is left out.
    bottleneck : LayerRecord or None
        The layer to be marked.
    """
    shown = [band for band in drawn if band.most > 0]
    width, left, right, top, height, gap = 1160.0, 66.0, 8.0, 40.0, 66.0, 38.0
    pitch = min(60.0, (width - left - right) / len(layers))
    colour = series(layers)
    end = left + pitch * len(layers)
    stride = math.ceil(len(layers) * 24 / (width - left - right))
    last = top + len(shown) * (height + gap) - gap

    def column(place: int, band: Band, base: float) -> Iterator[Markup]:
        layer, value = layers[place], band.values[place]
        mark = band.marks[place] if band.marks else None
        if not value and not mark:
            return
        x, w = left + pitch * (place + 0.14), pitch * 0.72
        title = f"{place + 1} {layer.name} ({layer.op}): {band.words(value or 0.0)}"
        title += "" if mark is None else f"; {band.mark_name} {band.words(mark)}"
        tall = (value or 0.0) / band.most * height
        yield svg.bar(x, base - tall, w, tall, f"series-{colour[layer.op]}", title)
        if mark is not None:
            y = base - mark / band.most * height
            yield svg.line(x - 0.1 * pitch, y, x + w + 0.1 * pitch, y, "mark")

    def marks() -> Iterator[Markup]:
        if bottleneck is not None:
            place = next(number for number, layer in enumerate(layers) if layer is bottleneck)
            x = left + pitch * place
            yield svg.bar(x, top - 8, pitch, last - top + 8, "slowest")
            anchor = "start" if place < len(layers) / 2 else "end"
            yield svg.text(f"bottleneck: {bottleneck.name}", x + pitch / 2, 12, anchor, "flag")
        for row, band in enumerate(shown):
            base = top + row * (height + gap) + height
            yield svg.text(band.name, left, base - height - 10, class_="caption")
            yield svg.line(left, base, end, base, "rule")
            yield svg.line(left, base - height, end, base - height, "rule")
            if band.limit:
                y = base - band.limit / band.most * height
                yield svg.line(left, y, end, y, "limit")
            yield svg.text(band.words(0.0), left - 8, base + 4, "end")
            yield svg.text(band.words(band.most), left - 8, base - height + 4, "end")
            for place in range(len(layers)):
                yield from column(place, band, base)
        for place in range(0, len(layers), stride):
            yield svg.text(str(place + 1), left + pitch * (place + 0.5), last + 16, "middle", "index")

    return svg.picture(width, last + 22, "Load and cost of each layer", marks(), "wide")


def agreement(pairs: Sequence[tuple[str, float, float]], name: str) -> Markup:
    """Estimates over measurements of the layers on log axes, with the diagonal where they agree.

    Parameters
    ----------
    pairs : sequence of (str, float, float)
        Layer, estimate and measurement, both above zero.
    name : str
        What is counted.
    """
    size, left, bottom, edge = 380.0, 62.0, 46.0, 12.0
    exponents = [math.log10(value) for _, *values in pairs for value in values]
    low, high = math.floor(min(exponents)), max(math.ceil(max(exponents)), math.floor(min(exponents)) + 1)

    def share(value: float) -> float:
        return (math.log10(value) - low) / (high - low)

    def across(value: float) -> float:
        return left + share(value) * (size - left - edge)

    def up(value: float) -> float:
        return size - bottom - share(value) * (size - bottom - edge)

    def marks() -> Iterator[Markup]:
        ends = (10.0**low, 10.0**high)
        for decade in range(low, high + 1):
            value = 10.0**decade
            yield svg.line(across(value), edge, across(value), size - bottom, "rule")
            yield svg.line(left, up(value), size - edge, up(value), "rule")
            yield svg.text(compact(value), across(value), size - bottom + 17, "middle")
            yield svg.text(compact(value), left - 8, up(value) + 4, "end")
        yield svg.line(across(ends[0]), up(ends[0]), across(ends[1]), up(ends[1]), "limit")
        yield svg.text(f"{name}, synthesized", (left + size - edge) / 2, size - 8, "middle", "caption")
        yield svg.text(f"{name}, predicted", left + 8, edge + 14, class_="caption")
        for layer, estimate, measured in pairs:
            title = f"{layer}: predicted {grouped(estimate)}, synthesized {grouped(measured)}"
            yield svg.element(
                "circle",
                svg.element("title", title),
                cx=across(measured),
                cy=up(estimate),
                r=4.5,
                class_="series-0",
                fill_opacity=0.65,
            )

    return svg.picture(size, size, f"{name} of each layer, predicted and synthesized", marks())


def similarity(matrix: Sequence[Sequence[float]], people: Sequence[int], name: str) -> Markup:
    """Heat map of the cosine similarity of every two faces; pairs of one person are outlined.

    Parameters
    ----------
    matrix : sequence of sequence of float
        Similarities.
    people : sequence of int
        Person of each face. Face ``i`` is drawn from the symbol ``face-i`` of the page.
    name : str
        What made the embeddings.
    """
    cell, head = 54.0, 50.0
    size = head + cell * len(people)

    def marks() -> Iterator[Markup]:
        for i in range(len(people)):
            middle = head + cell * i + cell / 2
            for x, y in ((middle - 22, 2.0), (2.0, middle - 22)):
                yield svg.element("use", href=f"#face-{i}", x=x, y=y, width=44, height=44)
        for i, row in enumerate(matrix):
            for j, value in enumerate(row):
                x, y = head + cell * j, head + cell * i
                strength = min(max(value, 0.0), 1.0)
                title = f"faces {i + 1} and {j + 1}: {value:.6f}"
                yield svg.bar(x + 1, y + 1, cell - 2, cell - 2, "heat", title, strength)
                ink = "value strong" if strength > 0.55 else "value"
                yield svg.text(decimal(value, 2), x + cell / 2, y + cell / 2 + 5, "middle", ink)
        for i, j in ((i, j) for i in range(len(people)) for j in range(len(people))):
            if people[i] == people[j]:
                yield svg.bar(head + cell * j + 1, head + cell * i + 1, cell - 2, cell - 2, "same")

    return svg.picture(size, size, f"Cosine similarity of the faces, {name}", marks())


def roc(faces: FacesRecord) -> Markup:
    """Receiver operating characteristic of float and quantized network."""
    curves = (
        ("float", "curve float", faces.roc_float),
        ("quantized", "curve quantized", faces.roc_quantized),
    )
    return roc_curves(curves, "ROC of face verification, float and quantized")


def roc_curves(curves: Sequence[tuple[str, str, Curve]], label: str) -> Markup:
    """Receiver operating characteristics in one picture; false positives on a log axis.

    Parameters
    ----------
    curves : sequence of (str, str, curve)
        Name, style class and corners (false and true positive rate) of each.
    label : str
        What a screen reader says.
    """
    width, height, left, right, top, bottom = 560.0, 360.0, 62.0, 14.0, 16.0, 48.0
    smallest = min((x for _, _, curve in curves for x, _ in curve if x > 0), default=0.1)
    decades = max(1, math.ceil(-math.log10(smallest)))
    floor = _floor(min(_at_left(curve) for _, _, curve in curves))

    def across(rate: float) -> float:
        share = 1 + math.log10(max(rate, 10.0**-decades)) / decades
        return left + share * (width - left - right)

    def up(rate: float) -> float:
        return top + (1 - rate) / (1 - floor) * (height - top - bottom)

    def marks() -> Iterator[Markup]:
        for decade in range(-decades, 1):
            x = across(10.0**decade)
            yield svg.line(x, top, x, height - bottom, "rule")
            yield svg.text(decimal(10.0**decade, -decade), x, height - bottom + 18, "middle")
        for step in range(5):
            rate = floor + (1 - floor) * step / 4
            yield svg.line(left, up(rate), width - right, up(rate), "rule")
            yield svg.text(f"{round(rate * 100, 2):g} %", left - 8, up(rate) + 4, "end")
        middle = (left + width - right) / 2
        yield svg.text("impostor pairs accepted (log)", middle, height - 8, "middle", "caption")
        yield svg.text("genuine pairs accepted", left + 8, top + 16, class_="caption")
        for number, (name, class_, curve) in enumerate(curves):
            points = svg.points((across(x), up(y)) for x, y in _steps(curve, floor))
            yield svg.element("polyline", points=points, class_=class_)
            y = height - bottom + 6 + 20 * (number - len(curves))
            yield svg.line(width - right - 130, y - 4, width - right - 100, y - 4, class_)
            yield svg.text(name, width - right - 92, y)

    return svg.picture(width, height, label, marks())


def _at_left(curve: Curve) -> float:
    """True positive rate before the first false positive."""
    return max((y for x, y in curve if x <= 0), default=0.0)


def _floor(rate: float) -> float:
    """A round number below the curves for the axis to begin at."""
    return max(limit for limit in (0.0, 0.5, 0.8, 0.9, 0.96, 0.98, 0.99, 0.996) if limit == 0 or limit < rate)


def _steps(curve: Curve, floor: float) -> Iterator[tuple[float, float]]:
    """The curve as the stairs it is, from where it enters the picture."""
    height = _at_left(curve)
    yield 0.0, max(height, floor)
    for x, y in curve:
        if x > 0:
            yield x, max(height, floor)
            yield x, max(y, floor)
            height = y


def steps(durations: Mapping[str, float]) -> Markup:
    """Time of each step as bars."""
    width, left, pitch = 1160.0, 110.0, 26.0
    longest = max(durations.values()) or 1.0
    room = width - left - 120

    def marks() -> Iterator[Markup]:
        for place, (name, duration) in enumerate(durations.items()):
            y, length = pitch * place, duration / longest * room
            yield svg.text(name, left - 10, y + 17, "end", "label")
            yield svg.bar(left, y + 4, max(length, 1.5), pitch - 8, "series-0")
            yield svg.text(seconds(duration), left + length + 8, y + 17)

    return svg.picture(width, pitch * len(durations), "Time of each step", marks(), "wide")
