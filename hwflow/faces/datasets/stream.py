# SPDX-License-Identifier: Apache-2.0
"""Streaming aligned faces: as many in memory as are being worked on, however large the set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hwflow.errors import UserError
from hwflow.faces.align import ARCFACE, BrokenPictureError, Frame, Images, Method, align_picture
from hwflow.faces.datasets.base import Picture
from hwflow.faces.verification import Integers
from hwflow.tools.ahead import ahead

if TYPE_CHECKING:
    import tensorflow as tf

_AHEAD = 2  # batches that are aligned while one is used
_LISTED = 1000  # names that are kept of what went wrong


@dataclass(slots=True)
class Losses:
    """What went wrong with pictures; none of it ends a stream.

    Parameters
    ----------
    broken, not_found : int
        Pictures that could not be read, and pictures in which no face was found (the fixed crop stands in).
    read : int
        Pictures that could be read.
    names : list of str
        The first broken ones, with the reason.
    unfound : list of str
        The first without a face.
    """

    broken: int = 0
    not_found: int = 0
    read: int = 0
    names: list[str] = field(default_factory=list)
    unfound: list[str] = field(default_factory=list)

    def note_broken(self, name: str, why: str) -> None:
        """Count a picture that cannot be read."""
        self.broken += 1
        if len(self.names) < _LISTED:
            self.names.append(f"{name}: {why}")

    def note_read(self, name: str, found: bool) -> None:
        """Count a picture that was read."""
        self.read += 1
        if not found:
            self.not_found += 1
            if len(self.unfound) < _LISTED:
                self.unfound.append(name)


def aligned_batches(
    pictures: Iterable[Picture],
    method: Method,
    frame: Frame = ARCFACE,
    *,
    aligned: bool = False,
    batch: int = 32,
    losses: Losses | None = None,
    workers: int = 2,
) -> Iterator[tuple[Integers, Images]]:
    """Align pictures as they come, in threads that run ahead of the reader.

    Parameters
    ----------
    pictures : iterable of Picture
        Read one by one.
    method : str
        As of :func:`~hwflow.faces.align.align_picture`.
    frame : Frame
        Size and template of the faces.
    aligned : bool
        Whether the pictures are aligned to the ArcFace template already; they are only brought to the frame then.
    batch : int
        Faces a batch.
    losses : Losses, optional
        Gets broken pictures, which are left out, and those without a face.
    workers : int
        Threads.

    Yields
    ------
    labels : ndarray of int64, shape (n,)
        Labels of the pictures.
    faces : ndarray of uint8, shape (n, size, size, 3)
        RGB.

    Raises
    ------
    ToolNotFoundError
        When the detector is not installed.
    """
    book = Losses() if losses is None else losses

    def one(picture: Picture) -> tuple[Images, bool]:
        content, points = picture.content(), picture.points
        if aligned:
            return align_picture(content, "aligned", frame)
        return align_picture(content, method, frame, points)

    labels: list[int] = []
    faces: list[Images] = []
    with ThreadPoolExecutor(workers) as pool:
        for picture, result in ahead(pool, one, pictures, _AHEAD * batch):
            try:
                face, found = result.result()
            except BrokenPictureError as error:
                book.note_broken(picture.name, error.message)
                continue
            except OSError as error:
                book.note_broken(picture.name, error.strerror or str(error))
                continue
            book.note_read(picture.name, found)
            labels.append(picture.label)
            faces.append(face)
            if len(faces) == batch:
                yield np.array(labels, np.int64), np.stack(faces)
                labels, faces = [], []
    if faces:
        yield np.array(labels, np.int64), np.stack(faces)


def tf_dataset(
    pictures: Callable[[], Iterable[Picture]],
    method: Method,
    frame: Frame = ARCFACE,
    *,
    aligned: bool = False,
    shuffle: int = 0,
    seed: int = 1,
    losses: Losses | None = None,
) -> tf.data.Dataset:
    """A set as TensorFlow reads it: faces (uint8) with labels (int64), one by one.

    Parameters
    ----------
    pictures : callable
        Begins an epoch, for example ``lambda: identities.walk(folder)``.
    method, frame, aligned, losses
        As of :func:`aligned_batches`.
    shuffle : int
        Faces that are held to be drawn from in random order; 0 leaves them in order.
    seed : int
        Seed of that order, another one each epoch.

    Returns
    -------
    tf.data.Dataset
    """
    import tensorflow as tf

    def faces() -> Iterator[tuple[Images, np.int64]]:
        for labels, images in aligned_batches(pictures(), method, frame, aligned=aligned, losses=losses):
            yield from zip(images, labels, strict=True)

    signature = (
        tf.TensorSpec((frame.size, frame.size, 3), tf.uint8),
        tf.TensorSpec((), tf.int64),
    )
    stream = tf.data.Dataset.from_generator(faces, output_signature=signature)
    if shuffle:
        stream = stream.shuffle(shuffle, seed=seed, reshuffle_each_iteration=True)
    return stream.prefetch(tf.data.AUTOTUNE)


def check_readable(losses: Losses, source: str) -> None:
    """Refuse a set of which no picture could be read.

    Raises
    ------
    UserError
        Names the first pictures and why.
    """
    if losses.broken and not losses.read:
        raise UserError(
            f"none of the {losses.broken} pictures of {source} can be read: {'; '.join(losses.names[:3])}",
            "get the set again",
        )
