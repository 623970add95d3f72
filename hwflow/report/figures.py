# SPDX-License-Identifier: Apache-2.0
"""The drawings of the report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from hwflow.records import FacesRecord, LayerRecord
from hwflow.report import svg
from hwflow.report.text import decimal, grouped, percent, plural, seconds

Curve = Sequence[tuple[float, float]]

_SERIES = 4
"""Colours the style sheet has for kinds of layers (classes ``series-0``…)."""


def series(layers: Sequence[LayerRecord]) -> dict[str, int]:
    """Colour of each operation, in order of appearance."""
    operations = dict.fromkeys(layer.op for layer in layers)
    return {name: number % _SERIES for number, name in enumerate(operations)}


def workload(layers: Sequence[tuple[int, LayerRecord]]) -> Markup:
    """How busy each layer's multipliers are, above how many it has.

    Parameters
    ----------
    layers : sequence of (int, LayerRecord)
        Layers that multiply, with their numbers in the table.
    """
    width, left, right, top, gap = 1160.0, 56.0, 8.0, 24.0, 44.0
    busy_height, count_height = 150.0, 80.0
    pitch = min(60.0, (width - left - right) / len(layers))
    busy_base = top + busy_height
    count_top = busy_base + gap
    count_base = count_top + count_height
    most = max(layer.multipliers or 0 for _, layer in layers) or 1
    colour = series([layer for _, layer in layers])
    stride = math.ceil(len(layers) * 24 / (width - left - right))

    def marks() -> Iterator[Markup]:
        yield svg.text("cycles worked a frame, share of the bound", left, top - 10, class_="caption")
        yield svg.text("multipliers", left, count_top - 10, class_="caption")
        for share in (0.0, 0.5, 1.0):
            y = busy_base - share * busy_height
            yield svg.line(left, y, width - right, y, "limit" if share == 1 else "rule")
            yield svg.text(percent(share, 0), left - 8, y + 4, "end")
        for count in (0, most):
            y = count_base - count / most * count_height
            yield svg.line(left, y, width - right, y, "rule")
            yield svg.text(grouped(count), left - 8, y + 4, "end")
        for place, (number, layer) in enumerate(layers):
            x, w = left + pitch * (place + 0.14), pitch * 0.72
            title = (
                f"{number} {layer.name} ({layer.op}): {grouped(layer.cycles)} cycles, "
                f"{percent(layer.utilisation)}; {plural(layer.multipliers or 0, 'multiplier')}"
            )
            for height, base in (
                (min(layer.utilisation, 1.0) * busy_height, busy_base),
                ((layer.multipliers or 0) / most * count_height, count_base),
            ):
                yield svg.bar(x, base - height, w, height, f"series-{colour[layer.op]}", title)
            if place % stride == 0:
                yield svg.text(str(number), x + w / 2, count_base + 16, "middle", "index")

    return svg.picture(width, count_base + 22, "Utilisation and multipliers of each layer", marks(), "wide")


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
            points = " ".join(f"{across(x):.2f},{up(y):.2f}" for x, y in _steps(curve, floor))
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
