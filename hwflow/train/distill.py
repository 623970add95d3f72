# SPDX-License-Identifier: Apache-2.0
"""Distillation: a float network learns the embeddings of another one, which may see larger crops of the same pictures.

The student is trained with its batch normalizations, on the statistics of each batch, and folded afterwards like any
other network. A student from random weights needs them: before training the folded scales say nothing of its data, and
while weights are still far from where they go, each step would change the ranges of all layers behind. A network that
is trained already is folded first (:mod:`hwflow.train.loop`).

The teacher computes the embeddings of every view anew, as views do not repeat: dlib's network takes half the time
of DenseNet 1.0's forward and backward pass, so that keeping the embeddings of some views would save a third of the time
at most, and cost the variety.

References
----------
G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", NIPS Deep Learning Workshop 2014;
F. Guzzi et al., "Distillation of a CNN for a high accuracy mobile face recognition system", MIPRO 2019 (DenseNets of
80 pixels from dlib's network of 150).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwflow.config.schema import DistillConfig
from hwflow.errors import ConfigError
from hwflow.faces.align import frame_of, takes_pixels
from hwflow.models.source import is_quantized
from hwflow.train.augment import Crop, views
from hwflow.train.logs import Epoch
from hwflow.train.loop import Lesson, Track, fit

if TYPE_CHECKING:
    import tensorflow as tf

_BATCH = 32


class Teacher:
    """A network whose embeddings are learned, less their mean over the pictures that are learned from.

    Embeddings that were made for Euclidean distances, like those of dlib's network, may all point the same way: any two
    faces have a large cosine. Without the mean distances are the same, and angles tell people apart too.

    Parameters
    ----------
    model : tf.keras.Model
        Float network of faces.
    pictures : ndarray of float32, shape (n, h, w, c)
        Those that are learned from, -1 to 1.
    crop : Crop
        What it sees of them.
    """

    def __init__(self, model: tf.keras.Model, pictures: NDArray[np.float32], crop: Crop) -> None:
        self._model = model
        self.shape: tuple[int, ...] = tuple(model.inputs[0].shape[1:])
        #: Without biases.
        self.weights = sum(weight.size for weight in model.get_weights() if weight.ndim > 1)
        self._pixels = takes_pixels(frame_of(self.shape))
        self.mean: NDArray[np.float32] = np.zeros((), np.float32)
        batches = range(0, len(pictures), _BATCH)
        seen = [self(views(pictures[start : start + _BATCH], [crop])[0])[0].numpy() for start in batches]
        self.mean = np.concatenate(seen).mean(axis=0)

    def __call__(self, x: tf.Tensor, kept: Collection[str] = ()) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Embeddings of inputs from -1 to 1."""
        embeddings = self._model(x * 128 + 128 if self._pixels else x, training=False)
        return embeddings - self.mean, {}

    @property
    def key(self) -> bytes:
        """Hash of its weights."""
        return _hash(self._model)


class Pupil:
    """A float network in training."""

    def __init__(self, model: tf.keras.Model) -> None:
        self._model = model
        self.variables: list[tf.Variable] = model.trainable_variables

    def __call__(self, x: tf.Tensor, kept: Collection[str] = ()) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Embeddings; normalizations use the batch's own statistics."""
        return self._model(x, training=True), {}

    def settle(self, batches: Iterable[tf.Tensor]) -> None:
        """Make the statistics of normalizations the means over some batches with the weights as they are now.

        The running means that training leaves still hold what the weights were some hundred steps ago.

        References
        ----------
        Y. Wu, J. Johnson, "Rethinking 'Batch' in BatchNorm", 2021.
        """
        norms = [layer for layer in self._model.layers if hasattr(layer, "moving_mean")]
        momenta = [layer.momentum for layer in norms]
        for count, batch in enumerate(batches):
            for layer in norms:
                layer.momentum = count / (count + 1)
            self._model(batch, training=True)
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum


def check_pair(student: tf.keras.Model, teacher: tf.keras.Model, config: DistillConfig) -> None:
    """Refuse networks that cannot learn from each other.

    Raises
    ------
    ConfigError
        When one has several inputs or outputs, the student is quantized, or embeddings differ in length.
    """
    where = "Hwflow.Model.Distill"
    for model, who in ((student, "the student"), (teacher, config.Teacher)):
        if (len(model.inputs), len(model.outputs)) != (1, 1):
            raise ConfigError(
                f"{where}: {who} has {len(model.inputs)} inputs and {len(model.outputs)} outputs",
                "distil networks that turn one picture into one embedding",
            )
    if is_quantized(student):
        raise ConfigError(
            f"{where}: the student is quantized already", "distil a float network; Model.Prepare quantizes it"
        )
    own, exact = (int(np.prod(model.outputs[0].shape[1:])) for model in (student, teacher))
    if own != exact:
        raise ConfigError(
            f"{where}.Teacher: {config.Teacher} gives embeddings of {exact} values, {student.name} of {own}",
            f"end the student with {exact} outputs, or choose another teacher",
        )


def distil(
    model: tf.keras.Model,
    teacher: Teacher,
    pictures: NDArray[np.float32],
    people: NDArray[np.int64] | None,
    crops: tuple[Crop, Crop],
    config: DistillConfig,
    *,
    folder: Path,
    seed: int,
    track: Track = lambda steps, _: steps,
) -> list[Epoch]:
    """Train a float network for the embeddings of another one; its weights are changed.

    Parameters
    ----------
    model : tf.keras.Model
        The student.
    teacher : Teacher
        What it learns from.
    pictures : ndarray of float32, shape (n, h, w, c)
        What both see, -1 to 1.
    people : ndarray of int64, shape (n,), optional
        Who is shown.
    crops : tuple of (Crop, Crop)
        What student and teacher see of a picture.
    config, folder, seed, track
        As of :func:`~hwflow.train.loop.fit`.

    Returns
    -------
    list of Epoch
        All epochs, those before a resumption included.

    Raises
    ------
    ConfigError, UserError
        As :func:`~hwflow.train.loop.fit`.
    """
    length = int(model.outputs[0].shape[-1])
    key = _hash(model) + teacher.key
    pupil = Pupil(model)
    lesson = Lesson(pupil, teacher, pictures, people, crops, length, key=key)
    epochs = fit(lesson, config, folder=folder, seed=seed, track=track)
    if epochs:
        pupil.settle(_seen(pictures, crops[0], seed if config.Augment else None))
    return epochs


def _seen(pictures: NDArray[np.float32], crop: Crop, seed: int | None) -> Iterator[tf.Tensor]:
    """A view of every picture, in batches that mix people."""
    order = np.random.default_rng(seed or 0).permutation(len(pictures))
    for number, chosen in enumerate(np.array_split(order, max(1, len(pictures) // _BATCH))):
        yield views(pictures[chosen], [crop], None if seed is None else (seed, number))[0]


def _hash(model: tf.keras.Model) -> bytes:
    """Of a network and its weights."""
    total = hashlib.sha256(model.to_json().encode())
    for weights in model.get_weights():
        total.update(np.ascontiguousarray(weights).tobytes())
    return total.digest()
