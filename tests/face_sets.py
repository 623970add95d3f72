# SPDX-License-Identifier: Apache-2.0
"""Miniature face sets in the layouts of the published ones, drawn by seed."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 12
FOLDS = 10


def pixels(person: int, picture: int, size: int = SIZE) -> NDArray[np.uint8]:
    """A picture of a person: a pattern of their own with some noise."""
    own = np.random.default_rng([1, person]).integers(40, 216, (4, 4, 3))
    noise = np.random.default_rng([2, person, picture]).integers(-20, 21, (size, size, 3))
    return (np.kron(own, np.ones((size // 4, size // 4, 1), int)) + noise).astype(np.uint8)


def jpeg(person: int, picture: int, size: int = SIZE) -> bytes:
    """Such a picture as a file's content."""
    stream = io.BytesIO()
    Image.fromarray(pixels(person, picture, size)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def save(path: Path, person: int, picture: int, size: int = SIZE) -> None:
    """Write such a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(person, picture, size))


def people(folder: Path, counts: Iterable[int], size: int = SIZE) -> Path:
    """A folder a person, with so many pictures each."""
    folder.mkdir(parents=True, exist_ok=True)
    for person, count in enumerate(counts):
        (folder / name(person)).mkdir()
        for picture in range(1, count + 1):
            save(folder / name(person) / f"{name(person)}_{picture:04d}.jpg", person, picture, size)
    return folder


def name(person: int) -> str:
    """What a person is called."""
    return f"Person_{chr(ord('A') + person)}"


def pair_lines(fold: int, count: int) -> tuple[list[str], list[str]]:
    """Genuine and impostor pairs of a fold; there are five people with five pictures each."""
    genuine, impostor = [], []
    for i in range(count):
        a, b = (fold + i) % 5, (fold + i + 1 + i // 5) % 5
        genuine.append(f"{name(a)}\t{1 + i % 4}\t{2 + i % 4}")
        impostor.append(f"{name(a)}\t{1 + fold % 5}\t{name(b)}\t{1 + i % 5}")
    return genuine, impostor


def lfw(folder: Path, count: int = 3, below: str = "lfw") -> Path:
    """View 1 and view 2 of LFW with ``count`` pairs of each kind a fold."""
    folder.mkdir(exist_ok=True)
    people(folder / below if below else folder, [5] * 5)
    lines = [f"{FOLDS}\t{count}"]
    for fold in range(FOLDS):
        genuine, impostor = pair_lines(fold, count)
        lines += genuine + impostor
    (folder / "pairs.txt").write_text("\n".join(lines) + "\n")
    for file, size in (("pairsDevTrain.txt", 8), ("pairsDevTest.txt", 4)):
        genuine, impostor = pair_lines(1, size)
        (folder / file).write_text("\n".join([str(size), *genuine, *impostor]) + "\n")
    return folder


def calfw(folder: Path) -> Path:
    """CALFW: two lines a pair, genuine ones first and marked with their fold, here from the last to the first."""
    pictures = folder / "aligned images"
    lines = []
    for fold in reversed(range(FOLDS)):
        for i in range(2):
            first, second = (f"{name((fold + i) % 5)}_{n:04d}.jpg" for n in (1 + i, 3 + fold % 3))
            lines += [f"{first} {fold + 1}", f"{second} {fold + 1}"]
    for fold in range(FOLDS):
        for i in range(2):
            first, second = (f"{name((fold + i + k) % 5)}_{1 + fold % 5:04d}.jpg" for k in (0, 1))
            lines += [f"{first} 0", f"{second} 0"]
    for line in lines:
        file = line.split()[0]
        save(pictures / file, ord(file[7]) - ord("A"), int(file[9:13]))
    (folder / "pairs_CALFW.txt").write_text("\n".join(lines) + "\n")
    return folder


def sllfw(folder: Path) -> Path:
    """SLLFW: two lines a pair, folder and file."""
    people(folder / "lfw", [5] * 5)
    lines = []
    for fold in range(FOLDS):
        for a, b in ((fold % 5, fold % 5), (fold % 5, (fold + 1) % 5)):
            lines += [f"{name(a)}/{name(a)}_0001.jpg", f"{name(b)}/{name(b)}_0004.jpg"]
    (folder / "pair_SLLFW.txt").write_text("\n".join(lines) + "\n")
    return folder


def contents(pairs: int = 2 * FOLDS, size: int = SIZE) -> tuple[list[bytes], list[bool]]:
    """Pictures and flags of a ``.bin`` file; in each fold as many genuine as impostor pairs."""
    pictures, same = [], []
    for i in range(pairs):
        genuine = i % 2 == 0
        pictures += [jpeg(i % 5, 1, size), jpeg(i % 5 if genuine else (i + 1) % 5, 2 + i, size)]
        same.append(genuine)
    return pictures, same


def insightface(path: Path, protocol: int = 4, change: Callable[[list, list], object] | None = None) -> Path:  # type: ignore[type-arg]
    """A ``.bin`` file; ``change`` gives what to store instead."""
    pictures, same = contents()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(change(pictures, same) if change else (pictures, same), protocol))
    return path


def ijb(folder: Path, *, points: bool = True) -> Path:
    """Eight templates of four people; the first medium of each is a video of three frames."""
    meta = folder / "meta"
    meta.mkdir(parents=True)
    media, landmarks, number = [], [], 0
    template_numbers = [11, 7, 23, 5, 40, 41, 2, 3]
    for place, template in enumerate(template_numbers):
        for medium, frames in ((10 * template, 3), (10 * template + 1, 1)):
            for _ in range(frames):
                number += 1
                media.append(f"{number}.jpg {template} {medium}")
                landmarks.append(f"{number}.jpg 4 5 8 5 6 7 4 9 8 9 0.99")
                save(folder / "loose_crop" / f"{number}.jpg", place // 2, number)
    pairs = []
    for i, a in enumerate(template_numbers):
        pairs += [f"{a} {b} {int(i // 2 == j // 2)}" for j, b in enumerate(template_numbers) if j > i]
    (meta / "ijbx_face_tid_mid.txt").write_text("\n".join(media) + "\n")
    (meta / "ijbx_template_pair_label.txt").write_text("\n".join(pairs) + "\n")
    if points:
        (meta / "ijbx_name_5pts_score.txt").write_text("\n".join(landmarks) + "\n")
    return folder
