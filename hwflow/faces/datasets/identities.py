# SPDX-License-Identifier: Apache-2.0
"""A folder a person: pairs drawn by seed, and the whole set as a stream.

Only the names of the people and how many pictures each has are held, so that a set of millions of pictures takes
little memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hwflow.errors import UserError
from hwflow.faces.datasets.base import SUFFIXES, FaceSet, Files, Pairs, Picture, with_drawn_folds
from hwflow.faces.verification import Integers

PAIRS = 6000  # as many as LFW has


def found(folder: Path) -> Path | None:
    """The first person of a folder in this layout."""
    return next((entry for entry in sorted(folder.iterdir()) if entry.is_dir() and _files(entry)), None)


def load(folder: Path, pairs: int = PAIRS, seed: int = 1) -> FaceSet:
    """Draw pairs: half genuine, half impostor, none twice.

    Parameters
    ----------
    folder : pathlib.Path
        Holds a folder a person.
    pairs : int
        Pairs to draw; fewer where the set does not hold so many genuine ones.
    seed : int
        Seed of the draw. The same files give the same pairs whatever order the file system has.

    Raises
    ------
    UserError
        When the set shows one person only, or nobody twice.
    """
    names = _people(folder)
    counts = np.array([len(_files(folder / name)) for name in names], np.int64)
    if not counts.any():
        raise UserError(
            f"{folder} holds no folders with pictures ({', '.join(SUFFIXES)})",
            "name the folder that holds a folder a person, or another --layout",
        )
    there = np.flatnonzero(counts)
    if len(there) == 1:
        raise UserError(
            f"{folder} shows one person only ({names[int(there[0])]}); verification needs impostor pairs",
            "add other people",
        )
    rng = np.random.default_rng(seed)
    genuine = _genuine(counts, pairs // 2, rng)
    if not len(genuine):
        raise UserError(f"{folder} shows nobody twice; verification needs genuine pairs", "add pictures")
    impostor = _impostor(counts, len(genuine), rng)
    drawn = np.concatenate([genuine, impostor])  # pair, side, (person, picture)
    kind = np.arange(len(drawn)) < len(genuine)
    keys, places = np.unique(drawn.reshape(-1, 2), axis=0, return_inverse=True)
    sides = places.reshape(-1, 2).astype(np.int64)
    used = {int(person): _files(folder / names[int(person)]) for person in np.unique(keys[:, 0])}
    files = [f"{names[person]}/{used[person][picture]}" for person, picture in keys.tolist()]
    return FaceSet(
        folder.name,
        "identities",
        Files(folder, files),
        with_drawn_folds(Pairs(sides[:, 0], sides[:, 1], kind, None), seed),
        people=keys[:, 0],
        fold_seed=seed,
        note=f"{len(drawn)} pairs drawn by seed {seed}",
    )


def walk(folder: Path) -> Iterator[Picture]:
    """All pictures, person by person; labels number the people in alphabetical order."""
    for label, name in enumerate(_people(folder)):
        for file in _files(folder / name):
            yield Picture(f"{name}/{file}", label, (folder / name / file).read_bytes)


def _people(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())


def _files(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES)


def _genuine(counts: Integers, wanted: int, rng: np.random.Generator) -> Integers:
    """Pairs of pictures of one person, each person as likely as another; shape (n, 2, 2)."""
    several = np.flatnonzero(counts > 1)
    possible = int((counts[several] * (counts[several] - 1) // 2).sum())
    if possible <= 2 * wanted:  # few: take all, or a choice of all
        all_pairs = [
            (person, a, b)
            for person in several.tolist()
            for b in range(int(counts[person]))
            for a in range(b)
        ]
        chosen = rng.permutation(len(all_pairs))[:wanted]
        rows = np.array(all_pairs, np.int64).reshape(-1, 3)[np.sort(chosen)]
    else:
        rows = _distinct(lambda count: _two_pictures(counts, rng.choice(several, count), rng), wanted)
    return np.stack([rows[:, [0, 1]], rows[:, [0, 2]]], axis=1)


def _two_pictures(counts: Integers, people: Integers, rng: np.random.Generator) -> Integers:
    first = rng.integers(counts[people])
    second = rng.integers(counts[people] - 1)
    second += second >= first
    return np.stack([people, np.minimum(first, second), np.maximum(first, second)], axis=1)


def _impostor(counts: Integers, wanted: int, rng: np.random.Generator) -> Integers:
    """Pairs of pictures of two people; shape (n, 2, 2)."""
    there = np.flatnonzero(counts)
    total = int(counts.sum())
    possible = (total * total - int((counts**2).sum())) // 2

    def draw(count: int) -> Integers:
        first = rng.choice(there, count)
        second = rng.integers(len(there) - 1, size=count)
        second = there[second + (second >= np.searchsorted(there, first))]
        low, high = np.minimum(first, second), np.maximum(first, second)
        pictures = [rng.integers(counts[people]) for people in (low, high)]
        return np.stack([low, pictures[0], high, pictures[1]], axis=1)

    return _distinct(draw, min(wanted, possible)).reshape(-1, 2, 2)


def _distinct(draw: Callable[[int], Integers], wanted: int) -> Integers:
    """So many different rows, in the order in which they were drawn first."""
    rows: dict[tuple[int, ...], None] = {}
    while len(rows) < wanted:
        for row in draw(wanted).tolist():
            rows.setdefault(tuple(row))
    return np.array(list(rows)[:wanted], np.int64)
