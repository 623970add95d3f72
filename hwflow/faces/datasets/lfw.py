# SPDX-License-Identifier: Apache-2.0
"""Labeled Faces in the Wild and the sets that list pairs as it does: SLLFW, CALFW, CPLFW.

A folder holds the lists and, in itself or one folder below, the pictures:

``pairs.txt``
    View 2. The first line says how many folds and how many pairs of each kind there are in one; then come, fold by
    fold, genuine pairs (``name n1 n2``) and impostor pairs (``name1 n1 name2 n2``). Picture ``n`` of a person is
    ``name/name_000n.jpg``.
``pairsDevTrain.txt``, ``pairsDevTest.txt``
    View 1, in the same form with one fold. The threshold is chosen on the first, on the second where only that is
    there.
``pairs_CALFW.txt``, ``pairs_CPLFW.txt``, ``pair_SLLFW.txt``
    Two lines a pair, a picture each. Behind the picture CALFW and CPLFW have the fold of a genuine pair, or 0; the
    impostor pairs are split into folds in their order. SLLFW has a folder a person.

References
----------
G. B. Huang et al., "Labeled Faces in the Wild", University of Massachusetts, Amherst, report 07-49 (2007).
W. Deng et al., "Fine-grained face verification: FGLFW database", Pattern Recognition 66 (2017) (SLLFW).
T. Zheng, W. Deng, J. Hu, "Cross-Age LFW", arXiv:1708.08197 (2017); T. Zheng, W. Deng, "Cross-Pose LFW", BUPT 18-01
(2018).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hwflow.errors import UserError
from hwflow.faces.datasets.base import (
    FOLDS,
    FaceSet,
    Files,
    PairList,
    Pairs,
    as_pairs,
    check_folds,
    find_pictures,
    text_lines,
)

VIEW2 = "pairs.txt"
VIEW1 = ("pairsDevTrain.txt", "pairsDevTest.txt")
TWO_LINES = ("pairs_CALFW.txt", "pairs_CPLFW.txt", "pair_SLLFW.txt")
_REMEDY = "get the file again"
_NUMBERED = re.compile(r"(?P<person>.+)_\d+(\.\w+)?$")


def found(folder: Path) -> Path | None:
    """The list of pairs of a folder in this layout."""
    return next((folder / name for name in (VIEW2, *TWO_LINES) if (folder / name).is_file()), None)


def load(folder: Path) -> FaceSet:
    """Read the lists of a folder; pictures are looked for, but not opened.

    Raises
    ------
    UserError
        When there is no list, a list is damaged, folds differ in size, or pictures are missing.
    """
    path = found(folder)
    if path is None:
        raise UserError(
            f"{folder} holds no list of pairs ({', '.join((VIEW2, *TWO_LINES))})",
            "name the folder that holds it, or another --layout",
        )
    numbers = PairList()
    view1 = None
    if path.name == VIEW2:
        pairs = _read(path, numbers)
        first = next((folder / name for name in VIEW1 if (folder / name).is_file()), None)
        view1 = None if first is None else _read(first, numbers)
    else:
        pairs = _read_two_lines(path, numbers)
    check_folds(pairs, str(path))
    root, names = find_pictures(folder, numbers.numbers, path.name)
    name = "LFW" if path.name == VIEW2 else path.stem.rpartition("_")[2]
    return FaceSet(
        f"{name} ({folder.name})",
        "lfw",
        Files(root, names),
        pairs,
        people=np.array(numbers.shown, np.int64),
        view1=view1,
    )


def _read(path: Path, numbers: PairList) -> Pairs:
    """A list with a header and lines of three or four fields."""
    lines = text_lines(path)
    _, header = next(lines, (1, []))
    if not 1 <= len(header) <= 2 or not all(part.isdigit() for part in header):
        raise UserError(
            f"{path}, line 1: the number of pairs a fold is expected, not {' '.join(header)!r}", _REMEDY
        )
    size = int(header[-1])
    rows: list[tuple[int, int, bool, int]] = []
    fold, previous = 0, True
    for line, fields in lines:
        if len(fields) not in (3, 4) or not all(part.isdigit() for part in (fields[1], fields[-1])):
            raise UserError(
                f"{path}, line {line}: a pair is 'name n1 n2' or 'name1 n1 name2 n2', not {' '.join(fields)!r}",
                _REMEDY,
            )
        genuine = len(fields) == 3
        fold += genuine and not previous  # the genuine pairs of the next fold begin
        previous = genuine
        people = (fields[0], fields[0]) if genuine else (fields[0], fields[2])
        rows.append((*_numbers(numbers, people, (fields[1], fields[-1])), genuine, fold))
    pairs = as_pairs(rows)
    check_folds(pairs, str(path))
    folds, each = fold + 1, 0 if not rows else int(pairs.genuine.sum()) // (fold + 1)
    if (folds, each) != (int(header[0]) if len(header) == 2 else 1, size):
        raise UserError(
            f"{path}: its first line, {' '.join(header)!r}, does not fit what follows: {folds} folds of {each} "
            "genuine and impostor pairs each",
            "the file is cut short or was edited; get it again",
        )
    return pairs


def _numbers(numbers: PairList, people: tuple[str, str], pictures: tuple[str, str]) -> tuple[int, int]:
    first, second = (
        numbers.picture(f"{person}/{person}_{int(number):04d}.jpg", person)
        for person, number in zip(people, pictures, strict=True)
    )
    return first, second


def _read_two_lines(path: Path, numbers: PairList) -> Pairs:
    """A list with a line a picture."""
    rows: list[tuple[int, int, bool, int]] = []
    for (line, first), (_, second) in _two_by_two(path):
        flags = first[1:], second[1:]
        if flags[0] != flags[1] or len(flags[0]) > 1 or not all(flag.isdigit() for flag in flags[0]):
            raise UserError(
                f"{path}, line {line}: a pair is two lines with the same mark, not {' '.join(first)!r} and "
                f"{' '.join(second)!r}",
                _REMEDY,
            )
        people = [_person(fields[0]) for fields in (first, second)]
        mark = int(flags[0][0]) if flags[0] else None
        genuine = people[0] == people[1] if mark is None else mark > 0
        pictures = [
            numbers.picture(fields[0], who) for fields, who in zip((first, second), people, strict=True)
        ]
        rows.append((pictures[0], pictures[1], genuine, -1 if mark is None or not genuine else mark - 1))
    pairs = as_pairs(rows)
    assert pairs.folds is not None
    for kind in (pairs.genuine, ~pairs.genuine):
        open_ = np.flatnonzero(kind & (pairs.folds < 0))
        pairs.folds[open_] = np.arange(len(open_)) * FOLDS // max(len(open_), 1)
    return pairs


def _two_by_two(path: Path) -> Iterator[tuple[tuple[int, list[str]], tuple[int, list[str]]]]:
    lines = text_lines(path)
    for first in lines:
        second = next(lines, None)
        if second is None:
            raise UserError(f"{path}, line {first[0]}: the last pair lacks its second picture", _REMEDY)
        yield first, second


def _person(name: str) -> str:
    """Who a picture shows: its folder, or the name before its number."""
    folder, _, file = name.rpartition("/")
    numbered = _NUMBERED.match(file)
    return folder or (numbered["person"] if numbered else file)
