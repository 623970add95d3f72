# SPDX-License-Identifier: Apache-2.0
"""The drawings of a face verification, each a file of its own: ROC, angles between faces, t-SNE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from markupsafe import Markup

from hwflow.records import EvaluationRecord
from hwflow.report import files, svg
from hwflow.report.figures import roc_curves

_SERIES = 4
"""Curves that the style sheet tells apart."""
_LEVELS = 24
_WIDEST = 120.0  # degrees; what is farther is drawn in full colour


def write_figures(records: Sequence[EvaluationRecord], folder: Path) -> list[Path]:
    """Write ``roc.svg`` and, for each record that shows people, ``angles-*.svg`` and ``tsne-*.svg``.

    Parameters
    ----------
    records : sequence of EvaluationRecord
        Evaluations of one set.
    folder : pathlib.Path
        Where to write.

    Returns
    -------
    list of pathlib.Path
        The files.
    """
    paths = []
    for name, drawing in drawings(records).items():
        path = folder / f"{name}.svg"
        path.write_text(files.drawing_file(drawing), encoding="utf-8")
        paths.append(path)
    return paths


def drawings(records: Sequence[EvaluationRecord]) -> dict[str, Markup]:
    """Drawings of one set's evaluations by the names of their files."""
    found = {"roc": roc(records)}
    for record in records:
        if record.people:
            found[f"angles-{record.embeddings}"] = angles(record)
            found[f"tsne-{record.embeddings}"] = tsne(record)
    return found


def roc(records: Sequence[EvaluationRecord]) -> Markup:
    """ROC by cosine similarity, a curve for each way the embeddings were computed."""
    curves = [
        (record.embeddings, f"curve series-{number % _SERIES}", record.measures[0].roc)
        for number, record in enumerate(records)
    ]
    return roc_curves(curves, f"ROC of face verification on {records[0].dataset}")


def angles(record: EvaluationRecord) -> Markup:
    """Angle between the embeddings of each two pictures, person by person; pairs of one person are outlined."""
    count = len(record.people)
    cell = 480.0 / count
    head, right = 24.0, 40.0
    size = cell * count

    def marks() -> Iterator[Markup]:
        label = f"angle between two faces, {record.embeddings}: white 0°, full colour {_WIDEST:.0f}° and more"
        yield svg.text(label, 0, 15, class_="caption")
        yield from _cells(record.angles, cell, head)
        for start, end in _runs(record.people):
            side = cell * (end - start)
            yield svg.bar(cell * start, head + cell * start, side, side, "same")
            middle = head + cell * (start + end) / 2 + 4
            yield svg.text(str(record.people[start]), size + 6, middle)

    return svg.picture(
        size + right,
        head + size + 2,
        f"Angles between faces of {record.dataset}, {record.embeddings}",
        marks(),
    )


def _cells(matrix: Sequence[Sequence[float]], cell: float, head: float) -> Iterator[Markup]:
    """The matrix in so many shades, each shade one path: thousands of rectangles would be too much for a page."""
    paths: dict[int, list[str]] = {}
    for row, values in enumerate(matrix):
        shades = [round(min(value / _WIDEST, 1.0) * _LEVELS) for value in values]
        for start, end in _runs(shades):
            x, y, width = cell * start, head + cell * row, cell * (end - start)
            paths.setdefault(shades[start], []).append(
                f"M{x:.2f} {y:.2f}h{width:.2f}v{cell:.2f}h-{width:.2f}z"
            )
    for shade, parts in sorted(paths.items()):
        if shade:
            yield svg.element("path", d="".join(parts), class_="heat", fill_opacity=shade / _LEVELS)


def _runs(values: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where equal neighbours begin and end."""
    start = 0
    for place in range(1, len(values) + 1):
        if place == len(values) or values[place] != values[start]:
            yield start, place
            start = place


def tsne(record: EvaluationRecord) -> Markup:
    """Pictures in the plane of t-SNE, each as the number of its person."""
    width, height, margin = 560.0, 420.0, 24.0
    columns = list(zip(*record.tsne, strict=True))
    low, span = (
        [min(column) for column in columns],
        [max(max(column) - min(column), 1e-9) for column in columns],
    )
    order = {person: number for number, person in enumerate(dict.fromkeys(record.people))}

    def marks() -> Iterator[Markup]:
        yield svg.text(f"t-SNE of the angles, {record.embeddings}", 0, 15, class_="caption")
        for person, (x, y) in zip(record.people, record.tsne, strict=True):
            across = margin + (x - low[0]) / span[0] * (width - 2 * margin)
            down = margin + (y - low[1]) / span[1] * (height - 2 * margin)
            class_ = f"series-{order[person] % _SERIES}"
            yield svg.element("circle", cx=across, cy=down, r=9, class_=class_, fill_opacity=0.25)
            yield svg.text(str(person), across, down + 4, "middle", "label")

    return svg.picture(width, height, f"t-SNE of faces of {record.dataset}, {record.embeddings}", marks())
