# SPDX-License-Identifier: Apache-2.0
"""IARPA Janus benchmarks (IJB-B, IJB-C) as InsightFace lays them out: verification of templates.

A folder holds, in itself or in ``meta``, three lists whose names end as said here, and the pictures in
``loose_crop`` (or beside the lists):

``face_tid_mid.txt``
    A picture a line, with the numbers of its template and medium.
``template_pair_label.txt``
    Two templates and 1 for one person, 0 for two.
``name_5pts_score.txt``
    Optional. A picture a line, with five landmarks (x, y) and the score of the detector.

A template's embedding is the mean of the means of its media, at length one.

References
----------
B. Maze et al., "IARPA Janus Benchmark - C: Face Dataset and Protocol", International Conference on Biometrics 2018.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hwflow.errors import UserError
from hwflow.faces.align import Points
from hwflow.faces.datasets.base import (
    FaceSet,
    Files,
    Pairs,
    Templates,
    find_pictures,
    first_of,
    integer_columns,
    text_lines,
)
from hwflow.faces.verification import Integers

MEDIA, PAIRS, POINTS = "face_tid_mid.txt", "template_pair_label.txt", "name_5pts_score.txt"
PICTURES = "loose_crop"
_REMEDY = "get the file again"


def found(folder: Path) -> Path | None:
    """The list of media of a folder in this layout."""
    return _list(folder, MEDIA)


def load(folder: Path) -> FaceSet:
    """Read the lists of a folder; pictures are looked for, but not opened.

    Raises
    ------
    UserError
        When a list is missing or damaged, pairs name templates without pictures, or pictures are missing.
    """
    media_file, pair_file = _list(folder, MEDIA), _list(folder, PAIRS)
    if media_file is None or pair_file is None:
        missing = MEDIA if media_file is None else PAIRS
        raise UserError(
            f"{folder} holds no list of templates: …{missing} is missing, also in {folder / 'meta'}",
            "name the folder that holds 'meta' and 'loose_crop', or another --layout",
        )
    names: list[str] = []
    numbers: list[tuple[int, int]] = []
    for line, fields in text_lines(media_file):
        if len(fields) != 3 or not all(part.lstrip("-").isdigit() for part in fields[1:]):
            raise UserError(
                f"{media_file}, line {line}: 'picture template medium' is expected, not {' '.join(fields)!r}",
                _REMEDY,
            )
        names.append(fields[0])
        numbers.append((int(fields[1]), int(fields[2])))
    if not names:
        raise UserError(f"{media_file} is empty", _REMEDY)
    table = np.array(numbers, np.int64)
    templates, of = np.unique(table[:, 0], return_inverse=True)
    pictures = folder / PICTURES if (folder / PICTURES).is_dir() else folder
    root, found_names = find_pictures(pictures, names, media_file.name)
    return FaceSet(
        f"{media_file.name.partition('_')[0].upper()} ({folder.name})",
        "ijb",
        Files(root, found_names, _points(folder, names)),
        _pairs(pair_file, templates),
        templates=Templates(of.astype(np.int64), table[:, 1], len(templates)),
    )


def _list(folder: Path, ending: str) -> Path | None:
    places = [folder, folder / "meta"]
    return next((path for place in places for path in sorted(place.glob(f"*{ending}"))), None)


def _pairs(path: Path, templates: Integers) -> Pairs:
    """Pairs of templates, renumbered from 0."""
    table = integer_columns(path, 3)
    if not np.isin(table[:, 2], (0, 1)).all():
        raise UserError(f"{path}: a pair ends with 1 for one person or 0 for two", _REMEDY)
    sides = []
    for column in (0, 1):
        places = np.searchsorted(templates, table[:, column])
        known = templates[np.minimum(places, len(templates) - 1)] == table[:, column]
        if not known.all():
            unknown = [str(number) for number in np.unique(table[~known, column]).tolist()]
            raise UserError(
                f"{path} names {len(unknown)} templates without pictures: {first_of(unknown)}", _REMEDY
            )
        sides.append(places.astype(np.int64))
    genuine = table[:, 2].astype(bool)
    if genuine.all() or not genuine.any():
        raise UserError(f"{path} holds only {'genuine' if genuine.all() else 'impostor'} pairs", _REMEDY)
    return Pairs(sides[0], sides[1], genuine, None)


def _points(folder: Path, names: list[str]) -> Points | None:
    """Landmarks of each picture, where the set comes with them."""
    path = _list(folder, POINTS)
    if path is None:
        return None
    places = {name: index for index, name in enumerate(names)}
    points = np.full((len(names), 5, 2), np.nan)
    for line, fields in text_lines(path):
        try:
            values = [float(part) for part in fields[1:11]]
        except ValueError:
            values = []
        if len(values) != 10 or not np.isfinite(values).all():
            raise UserError(f"{path}, line {line}: a picture and five points are expected", _REMEDY)
        if fields[0] in places:
            points[places[fields[0]]] = np.reshape(values, (5, 2))
    without = [name for name, at in zip(names, points, strict=True) if np.isnan(at).any()]
    if without:
        raise UserError(f"{path} lacks {len(without)} pictures: {first_of(without)}", _REMEDY)
    return points
