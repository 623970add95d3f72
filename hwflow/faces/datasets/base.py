# SPDX-License-Identifier: Apache-2.0
"""The form that every layout of a face set is brought to: pictures, and pairs of pictures or of templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import UserError
from hwflow.faces.align import Images, Points
from hwflow.faces.verification import Flags, Integers, stratified_folds

SUFFIXES = (".jpg", ".jpeg", ".png", ".pgm", ".bmp", ".webp")
FOLDS = 10
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture, not read yet.

    Parameters
    ----------
    name : str
        What messages call it: its path below the set's folder.
    label : int
        Its number in the set, or the number of the person where a set is streamed for training.
    content : callable
        Reads it: the file's content, or pixels (grey or RGB).
    points : ndarray of float64, shape (5, 2), or None
        Landmarks in pixels, where the set comes with them.
    """

    name: str
    label: int
    content: Callable[[], bytes | Images]
    points: Points | None = None


class Pictures(Protocol):
    """Pictures by number; nothing is read before it is asked for."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int) -> Picture:
        """One of them."""


@dataclass(frozen=True, slots=True)
class Files:
    """Picture files below a folder.

    Parameters
    ----------
    root : pathlib.Path
        The folder.
    names : sequence of str
        Paths relative to it.
    points : ndarray of float64, shape (n, 5, 2), or None
        Landmarks, pixels.
    """

    root: Path
    names: Sequence[str]
    points: Points | None = None

    def __len__(self) -> int:
        """How many files."""
        return len(self.names)

    def __getitem__(self, index: int) -> Picture:
        """A file, which is not read yet."""
        name = self.names[index]
        points = None if self.points is None else self.points[index]
        return Picture(name, index, (self.root / name).read_bytes, points)


@dataclass(frozen=True, slots=True)
class Held:
    """Pictures that are in memory: contents of files, or pixels."""

    contents: Sequence[bytes | Images]

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.contents)

    def __getitem__(self, index: int) -> Picture:
        """A picture, named by its number."""
        return Picture(f"picture {index}", index, lambda: self.contents[index])


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of pictures or templates.

    Parameters
    ----------
    first, second : ndarray of int64, shape (pairs,)
        Numbers of the pictures, or of the templates where the set has those.
    genuine : ndarray of bool, shape (pairs,)
        Whether both show one person.
    folds : ndarray of int64, shape (pairs,), or None
        Fold of each pair, from 0; None where the protocol has none.
    """

    first: Integers
    second: Integers
    genuine: Flags
    folds: Integers | None

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.first)

    def where(self, keep: Flags) -> Pairs:
        """Some of the pairs."""
        folds = None if self.folds is None else self.folds[keep]
        return Pairs(self.first[keep], self.second[keep], self.genuine[keep], folds)


@dataclass(frozen=True, slots=True)
class Templates:
    """Several media of a person, each with one or more pictures, that make one embedding.

    Parameters
    ----------
    of, media : ndarray of int64, shape (pictures,)
        Template (from 0) and medium of each picture.
    count : int
        Templates.
    """

    of: Integers
    media: Integers
    count: int


@dataclass(frozen=True, slots=True)
class FaceSet:
    """A face set and its protocol.

    Parameters
    ----------
    name, layout : str
        What people call it, and the layout it was read from.
    pictures : Pictures
        Those that the protocol uses.
    pairs : Pairs
        What is verified.
    people : ndarray of int64, shape (pictures,), or None
        Who is shown, where the set says so.
    view1 : Pairs or None
        Pairs that a threshold is chosen on, where the set keeps some apart.
    templates : Templates or None
        Where pairs are pairs of templates.
    aligned : bool
        Whether the pictures are aligned to the ArcFace template already.
    fold_seed : int or None
        Seed that folds were drawn by; None where the set lists them.
    note : str
        What a reader of the figures must know.
    """

    name: str
    layout: str
    pictures: Pictures
    pairs: Pairs
    people: Integers | None = None
    view1: Pairs | None = None
    templates: Templates | None = None
    aligned: bool = False
    fold_seed: int | None = None
    note: str = ""


# ------------------------------------------------------------------------------------------------ few pictures


def limited(faces: FaceSet, count: int) -> FaceSet:
    """A part of a set with few pictures, for what computes slowly.

    Pairs are taken in turn from every fold and of both kinds, until they need ``count`` pictures; then all pairs of
    these pictures.

    Raises
    ------
    UserError
        When the set is one of templates, or ``count`` pictures make no pair of each kind.
    """
    if faces.templates is not None:
        raise UserError("templates cannot be cut to a few pictures", "evaluate the whole set")
    if count >= len(faces.pictures):
        return faces
    pairs = faces.pairs
    folds = pairs.folds if pairs.folds is not None else np.zeros(len(pairs), np.int64)
    rank = _rank_in_group(2 * folds + pairs.genuine)
    chosen: dict[int, None] = {}
    for index in np.lexsort((folds, ~pairs.genuine, rank)):
        new = {int(pairs.first[index]): None, int(pairs.second[index]): None} | chosen
        if len(new) > count:
            break
        chosen = new
    inside = np.zeros(len(faces.pictures), bool)
    inside[list(chosen)] = True
    kept = pairs.where(inside[pairs.first] & inside[pairs.second])
    if kept.genuine.all() or not kept.genuine.any():
        raise UserError(f"{count} pictures make no pairs of both kinds", "allow more pictures")
    note = _joined(faces.note, f"{len(chosen)} pictures")
    return subset(replace(faces, pairs=with_drawn_folds(kept, 1), view1=None, fold_seed=1, note=note))


def with_drawn_folds(pairs: Pairs, seed: int) -> Pairs:
    """Pairs in ten stratified folds drawn by seed; in fewer, or in none, where there are fewer pairs of a kind."""
    few = min(FOLDS, int(pairs.genuine.sum()), int((~pairs.genuine).sum()))
    return replace(pairs, folds=stratified_folds(pairs.genuine, few, seed) if few > 1 else None)


def subset(faces: FaceSet) -> FaceSet:
    """The same set with only those pictures that its pairs name."""
    used = [faces.pairs.first, faces.pairs.second]
    if faces.view1 is not None:
        used += [faces.view1.first, faces.view1.second]
    numbers = np.unique(np.concatenate(used))
    if len(numbers) == len(faces.pictures):
        return faces
    place = np.full(len(faces.pictures), -1, np.int64)
    place[numbers] = np.arange(len(numbers))

    def renumbered(pairs: Pairs) -> Pairs:
        return replace(pairs, first=place[pairs.first], second=place[pairs.second])

    return replace(
        faces,
        pictures=_Some(faces.pictures, numbers),
        pairs=renumbered(faces.pairs),
        people=None if faces.people is None else faces.people[numbers],
        view1=None if faces.view1 is None else renumbered(faces.view1),
    )


@dataclass(frozen=True, slots=True)
class _Some:
    """Some pictures of a set, with new numbers."""

    pictures: Pictures
    numbers: Integers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Picture:
        return replace(self.pictures[int(self.numbers[index])], label=index)


def _rank_in_group(groups: Integers) -> Integers:
    """How many earlier entries are of the same group."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order][:1] - 1))
    lengths = np.diff(np.append(starts, len(groups)))
    rank = np.empty(len(groups), np.int64)
    rank[order] = np.arange(len(groups)) - np.repeat(starts, lengths)
    return rank


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


# ------------------------------------------------------------------------------------------------ lists of pairs


@dataclass(slots=True)
class PairList:
    """Pairs of named pictures as a file lists them; pictures are numbered as they come."""

    numbers: dict[str, int] = field(default_factory=dict)
    people: dict[str, int] = field(default_factory=dict)
    shown: list[int] = field(default_factory=list)

    def picture(self, name: str, person: str) -> int:
        """Number of a picture and, at its first mention, of its person."""
        if name not in self.numbers:
            self.numbers[name] = len(self.numbers)
            self.shown.append(self.people.setdefault(person, len(self.people)))
        return self.numbers[name]


def as_pairs(rows: Iterable[tuple[int, int, bool, int]]) -> Pairs:
    """Pairs from rows of two pictures, whether they show one person, and fold."""
    columns = np.array(list(rows), np.int64).reshape(-1, 4).T
    return Pairs(columns[0], columns[1], columns[2].astype(bool), columns[3])


def check_folds(pairs: Pairs, source: str) -> None:
    """Folds of one size, with both kinds of pairs in each.

    Raises
    ------
    UserError
        Names the folds that differ.
    """
    assert pairs.folds is not None
    count = int(pairs.folds.max(initial=-1)) + 1
    sizes = [
        (
            int(np.sum(pairs.genuine & (pairs.folds == i))),
            int(np.sum(~pairs.genuine & (pairs.folds == i))),
        )
        for i in range(count)
    ]
    usual = max(sizes, key=sizes.count, default=(0, 0))
    wrong = [
        f"fold {i + 1} holds {genuine} genuine and {impostor} impostor pairs"
        for i, (genuine, impostor) in enumerate(sizes)
        if (genuine, impostor) != usual
    ]
    if wrong:
        raise UserError(
            f"{source}: folds of unequal size; {first_of(wrong)}; the others hold {usual[0]} and {usual[1]}",
            "the file is cut short or was edited; get it again",
        )
    if not all(usual):
        raise UserError(f"{source} holds no pairs of both kinds in each fold", "get the file again")


def find_pictures(folder: Path, names: Iterable[str], source: str) -> tuple[Path, list[str]]:
    """Where the pictures of a list lie, and the names of their files.

    Names without a suffix get the one that their files have. Pictures lie in ``folder`` or one folder below.

    Raises
    ------
    UserError
        Names the first pictures that are missing, and how many there are.
    """
    wanted = list(names)
    best: tuple[int, Path, list[str], list[str]] | None = None
    for root in _roots(folder):
        probe = next((name for name in wanted[:_SHOWN] if _with_suffix(root, name)), None)
        if probe is None and best is not None:
            continue
        found = [(name, _with_suffix(root, name)) for name in wanted]
        missing = [name for name, path in found if path is None]
        paths = [path for _, path in found if path is not None]
        if best is None or len(missing) < best[0]:
            best = (len(missing), root, paths, missing)
        if not missing:
            break
    assert best is not None, "the folder itself was looked at"
    count, root, paths, missing = best
    if missing:
        share = "none of its pictures is there" if count == len(wanted) else f"{count} pictures are missing"
        raise UserError(
            f"{source} names {len(wanted)} pictures below {folder}; {share}: {first_of(missing)}",
            "unpack the whole set there, or name its folder by --data",
        )
    return root, paths


def _roots(folder: Path) -> Iterator[Path]:
    """The folder, and only when it is not enough those in it: looking through a large one takes time."""
    yield folder
    yield from sorted(entry for entry in folder.iterdir() if entry.is_dir())


def _with_suffix(root: Path, name: str) -> str | None:
    if (root / name).is_file():
        return name
    stem = name if Path(name).suffix.lower() not in SUFFIXES else str(Path(name).with_suffix(""))
    return next((f"{stem}{suffix}" for suffix in SUFFIXES if (root / f"{stem}{suffix}").is_file()), None)


def first_of(names: Sequence[str]) -> str:
    """The first few of many, and that there are more.

    Examples
    --------
    >>> first_of(["a", "b"]), first_of(list("abcdefg"))
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def text_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Lines of a text file that hold something: number and fields.

    Raises
    ------
    UserError
        When the file is no text.
    """
    with path.open(encoding="utf-8", errors="strict") as stream:
        try:
            for number, line in enumerate(stream, 1):
                fields = line.split("\t") if "\t" in line else line.split()
                fields = [part.strip() for part in fields]
                if any(fields):
                    yield number, fields
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is no text file: {error.reason}", "check which file it is") from error


def integer_columns(path: Path, columns: int) -> NDArray[np.int64]:
    """A file of integers in columns, read in one go.

    Raises
    ------
    UserError
        When a line is something else.
    """
    try:
        table = np.loadtxt(path, dtype=np.int64, ndmin=2)
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: {columns} integers a line are expected; {error}", "get the file again"
        ) from error
    if table.shape[1:] != (columns,) or not len(table):
        raise UserError(f"{path}: {columns} integers a line are expected", "get the file again")
    return table
