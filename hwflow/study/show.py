# SPDX-License-Identifier: Apache-2.0
"""Tables and drawings of a study."""

from __future__ import annotations

import csv
import io
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from markupsafe import Markup

from hwflow.records import EvaluationRecord
from hwflow.report import svg
from hwflow.report.figures import roc_curves
from hwflow.report.files import drawing_file
from hwflow.study.runner import Cell
from hwflow.study.schema import METRICS, FigureConfig, StudyConfig

_SERIES = 4
"""Colours of the style sheet."""
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 620.0, 380.0, 62.0, 16.0, 40.0, 84.0


@dataclass(frozen=True, slots=True)
class Row:
    """A design over all its seeds.

    Parameters
    ----------
    choices : dict of str to str
        Choice of each axis; empty for the reference.
    seeds : int
        How many seeds.
    trained : bool
        Whether it was trained.
    values : dict of str to tuple of float
        Figures of all seeds, by metric.
    """

    choices: Mapping[str, str]
    seeds: int
    trained: bool
    values: Mapping[str, tuple[float, ...]]

    def mean(self, metric: str) -> float | None:
        """Mean of a metric, where it is known."""
        return fmean(self.values[metric]) if metric in self.values else None

    def deviation(self, metric: str) -> float | None:
        """Standard deviation of a metric over the seeds; None where they are one, or agree."""
        known = self.values.get(metric, ())
        return stdev(known) if len(set(known)) > 1 else None


def rows(cells: Sequence[Cell]) -> list[Row]:
    """Designs in the order of the study, their seeds together."""
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(tuple(cell.choices.values()), []).append(cell)
    return [
        Row(
            found[0].choices, len(found), found[0].trained,
            {
                metric: tuple(v for cell in found if (v := cell.metrics.get(metric)) is not None)
                for metric in found[0].metrics
                if all(cell.metrics.get(metric) is not None for cell in found)
            },
        )
        for found in groups.values()
    ]  # fmt: skip


def shown(row: Row, metric: str) -> str:
    """A figure as people read it: mean, and deviation over seeds."""
    _, factor, digits = METRICS[metric]
    mean, deviation = row.mean(metric), row.deviation(metric)
    if mean is None:
        return ""
    text = f"{factor * mean:.{digits}f}"
    return text if deviation is None else f"{text} ± {factor * deviation:.{digits}f}"


def title(metric: str, study: StudyConfig) -> str:
    """What a metric is called."""
    return METRICS[metric][0].format(reference=study.Reference)


def titles(study: StudyConfig) -> list[str]:
    """Heads of the columns of figures."""
    return [title(name, study) for name in study.Columns]


def label(choices: Mapping[str, str], study: StudyConfig) -> str:
    """What a design is called where there is one line for it."""
    return ", ".join(choices.values()) or f"{study.Reference} network"


def _table(study: StudyConfig, found: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Titles and lines of the table; the first columns are the axes."""
    heads = [*study.Axes, *titles(study)]
    lines = []
    for row in found:
        names = [row.choices.get(axis, "") for axis in study.Axes]
        names[0] = names[0] or label(row.choices, study)
        lines.append([*names, *(shown(row, name) for name in study.Columns)])
    return heads, lines


def markdown(study: StudyConfig, cells: Sequence[Cell], evaluation: EvaluationRecord) -> str:
    """The study as a page."""
    found = rows(cells)
    heads, lines = _table(study, found)
    seeds = max((row.seeds for row in found if row.trained), default=0)
    text = [
        f"# {study.Title}",
        "",
        f"{evaluation.dataset}{f' ({evaluation.note})' if evaluation.note else ''}: {evaluation.pictures:,} pictures, "
        f"{evaluation.genuine:,} genuine and {evaluation.impostor:,} impostor pairs. Accuracy is the mean of ten "
        "folds, each judged at the best threshold of the others.",
        "Networks are simulated with exact sums of their codes (`hwflow/prepare/simulate.py`).",
    ]
    if study.Note:
        text[2:2] = [study.Note.strip(), ""]
    if seeds > 1:
        text.append(f"Designs that were trained: mean ± standard deviation of {seeds} seeds.")
    rule = ["---"] * len(study.Axes) + ["--:"] * len(study.Columns)
    text += ["", *(f"| {' | '.join(line)} |" for line in (heads, rule, *lines)), ""]
    for name, figure in study.Figures.items():
        if figure.Kind != "tsne":
            text += [f"![{name}]({name}.svg)", ""]
    return "\n".join(text)


def comma_separated(cells: Sequence[Cell], study: StudyConfig) -> str:
    """All figures of all designs and seeds."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*study.Axes, "seed", *METRICS])
    for cell in cells:
        figures = [cell.metrics.get(name) for name in METRICS]
        writer.writerow(
            [*(cell.choices.get(axis, study.Reference) for axis in study.Axes), cell.seed, *figures]
        )
    return out.getvalue()


# ------------------------------------------------------------------------------------------------ drawings


def draw(
    name: str, study: StudyConfig, cells: Sequence[Cell], records: Sequence[EvaluationRecord], folder: Path
) -> None:
    """Write a figure of the study.

    Parameters
    ----------
    name : str
        Its name, which is that of the file without its ending.
    study : StudyConfig
        The study, with what to draw.
    cells : sequence of Cell
        Designs, the reference first.
    records : sequence of EvaluationRecord
        Evaluation of each.
    folder : pathlib.Path
        Folder of the study.
    """
    figure = study.Figures[name]
    if figure.Kind == "tsne":
        for cell in cells:
            for file in (folder / cell.folder).glob("tsne-*.svg"):
                design = (
                    "-".join([*cell.choices.values(), str(cell.seed)]) if cell.choices else study.Reference
                )
                shutil.copy(file, folder / f"{name}-{_file_name(design)}.svg")
        return
    if figure.Kind == "roc":
        curves = [
            (label(cell.choices, study), f"curve series-{number % _SERIES}", record.measures[0].roc)
            for number, (cell, record) in enumerate(_one_seed(cells, records))
        ]
        drawing = roc_curves(curves, f"ROC on {records[0].dataset}")
    elif figure.Kind == "loss":
        drawing = losses(_trainings(cells, study, folder))
    else:
        drawing = line(figure, rows(cells), study)
    (folder / f"{name}.svg").write_text(drawing_file(drawing), encoding="utf-8")


def _file_name(label: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "-" for c in label)


def _one_seed(
    cells: Sequence[Cell], records: Sequence[EvaluationRecord]
) -> Iterator[tuple[Cell, EvaluationRecord]]:
    """Every design with its first seed."""
    seen: set[tuple[str, ...]] = set()
    for cell, record in zip(cells, records, strict=True):
        name = tuple(cell.choices.values())
        if name not in seen:
            seen.add(name)
            yield cell, record


def _trainings(cells: Sequence[Cell], study: StudyConfig, folder: Path) -> dict[str, list[float]]:
    """Losses of every training, by the design that it was made for, and by seed where there are several."""
    from hwflow.train.logs import read_log

    found: dict[str, list[float]] = {}
    seen: set[str] = set()
    for cell in cells:
        for place in cell.trainings:
            if place not in seen:
                seen.add(place)
                name = label(cell.choices, study) + (f", seed {cell.seed}" if len(study.Seeds) > 1 else "")
                found[name] = [epoch.loss for epoch in read_log(folder / place)]
    return found


def losses(curves: Mapping[str, Sequence[float]]) -> Markup:
    """Mean loss of each epoch, from zero."""
    epochs = max((len(values) for values in curves.values()), default=1)
    _, high = _rounded(0.0, max((max(values) for values in curves.values() if values), default=1.0))
    base = _HEIGHT - _BOTTOM

    def across(epoch: float) -> float:
        return _LEFT + (epoch - 1) / max(epochs - 1, 1) * (_WIDTH - _LEFT - _RIGHT)

    def up(loss: float) -> float:
        return base - loss / high * (base - _TOP)

    def marks() -> Iterator[Markup]:
        yield svg.text("mean loss of an epoch", _LEFT, 14, class_="caption")
        for step in range(5):
            yield from _rule(high * step / 4, up(high * step / 4), 3)
        for step in range(5):
            epoch = 1 + (epochs - 1) * step / 4
            yield svg.text(f"{epoch:.0f}", across(epoch), base + 18, "middle")
        yield svg.text("epoch", (_LEFT + _WIDTH) / 2, base + 42, "middle", "caption")
        for number, (name, values) in enumerate(curves.items()):
            class_ = f"curve series-{number % _SERIES}"
            places = svg.points((across(epoch), up(loss)) for epoch, loss in enumerate(values, 1))
            yield svg.element("polyline", points=places, class_=class_)
            yield from _key(number, name, class_)

    return svg.picture(_WIDTH, _HEIGHT, "loss by epoch", marks())


def _rule(value: float, y: float, digits: int) -> Iterator[Markup]:
    """A value of the upright axis."""
    yield svg.line(_LEFT, y, _WIDTH - _RIGHT, y, "rule")
    yield svg.text(f"{value:.{digits}f}", _LEFT - 8, y + 4, "end")


def _key(number: int, name: str, class_: str) -> Iterator[Markup]:
    """What a curve is called."""
    yield svg.line(_LEFT + 150 * number, 28, _LEFT + 150 * number + 24, 28, class_)
    yield svg.text(name, _LEFT + 150 * number + 30, 32)


def line(figure: FigureConfig, found: Sequence[Row], study: StudyConfig) -> Markup:
    """A metric over an axis or over another metric; deviations as bars, the reference as a dashed line."""
    reference, designs = found[0], found[1:]
    over_axis = figure.X not in METRICS
    labels = list(dict.fromkeys(row.choices[figure.X] for row in designs)) if over_axis else []
    _, factor, digits = METRICS[figure.Y]
    caption = title(figure.Y, study)
    curves: dict[str, list[tuple[float, float, float]]] = {}
    for row in designs:
        y, x = row.mean(figure.Y), None if over_axis else row.mean(figure.X)
        if over_axis:
            x = float(labels.index(row.choices[figure.X]))
        if x is not None and y is not None:
            spread = factor * (row.deviation(figure.Y) or 0.0)
            curves.setdefault(row.choices.get(figure.Series, ""), []).append((x, factor * y, spread))
    level = reference.mean(figure.Y)
    heights = [y + sign * s for points in curves.values() for _, y, s in points for sign in (-1, 1)]
    heights += [] if level is None else [factor * level]
    low, high = _rounded(min(heights, default=0.0), max(heights, default=1.0))
    places = [x for points in curves.values() for x, _, _ in points]
    first, last = (0.0, float(max(len(labels) - 1, 1))) if over_axis else _rounded(min(places), max(places))

    def across(x: float) -> float:
        return _LEFT + 14 + (x - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT - 28)

    def up(y: float) -> float:
        return _TOP + (high - y) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    base = _HEIGHT - _BOTTOM

    def marks() -> Iterator[Markup]:
        yield svg.text(caption, _LEFT, 14, class_="caption")
        for step in range(5):
            y = low + (high - low) * step / 4
            yield from _rule(y, up(y), max(digits, 1))
        if over_axis:
            for number, label in enumerate(labels):
                yield _slanted(label, across(number), base + 16)
        else:
            _, x_factor, x_digits = METRICS[figure.X]
            for step in range(5):
                x = first + (last - first) * step / 4
                yield svg.text(f"{x_factor * x:.{x_digits}f}", across(x), base + 18, "middle")
            yield svg.text(title(figure.X, study), (_LEFT + _WIDTH) / 2, base + 42, "middle", "caption")
        if level is not None:
            yield svg.line(_LEFT, up(factor * level), _WIDTH - _RIGHT, up(factor * level), "limit")
            yield svg.text(study.Reference, _WIDTH - _RIGHT, up(factor * level) - 5, "end")
        for number, (name, points) in enumerate(curves.items()):
            colour = f"series-{number % _SERIES}"
            corners = svg.points((across(x), up(y)) for x, y, _ in sorted(points))
            yield svg.element("polyline", points=corners, class_=f"curve {colour}")
            for x, y, spread in points:
                yield svg.line(across(x), up(y - spread), across(x), up(y + spread), f"curve {colour}")
                yield svg.element("circle", cx=across(x), cy=up(y), r=3.5, class_=colour)
            if name:
                yield from _key(number, name, f"curve {colour}")

    return svg.picture(_WIDTH, _HEIGHT, f"{caption} over {figure.X}", marks())


def _slanted(label: str, x: float, y: float) -> Markup:
    """A label of an axis, turned so that many fit side by side."""
    turn = f"rotate(-35 {x:g} {y:g})"
    return svg.element("text", label, x=x, y=y, text_anchor="end", class_="tick", transform=turn)


def _rounded(low: float, high: float) -> tuple[float, float]:
    """Ends of a scale in four round steps."""
    span = max(high - low, 1e-6)
    unit = 10.0 ** math.floor(math.log10(span / 4))
    step = next(
        unit * n for n in (1, 2, 2.5, 5, 10, 20) if math.floor(low / (unit * n)) + 4 >= high / (unit * n)
    )
    start = math.floor(low / step) * step
    return start, start + 4 * step
