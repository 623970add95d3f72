# SPDX-License-Identifier: Apache-2.0
"""The training loop: resumable, logged, repeatable by seed."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import math
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwflow.config.schema import TrainConfig
from hwflow.errors import ConfigError, UserError
from hwflow.prepare.build import Scheme
from hwflow.prepare.net import ACTIVATIONS, WEIGHTED, Net
from hwflow.prepare.quantize import choose_bias
from hwflow.train.augment import augment
from hwflow.train.losses import embedding_loss, evaluation_loss, feature_loss, margin_loss
from hwflow.train.student import Student

if TYPE_CHECKING:
    import tensorflow as tf

STATE, LOG = "state.npz", "log.csv"
_COLUMNS = ("epoch", "loss", "cosine", "learning_rate", "wall_s", "processor_s")
#: Share of the steps in which the learning rate rises to its full value.
_WARM_UP = 0.05
#: Sum of a gradient's squares is cut to this one's, which keeps single batches from throwing the weights about.
_CLIP_NORM = 1.0
_CENTER_SEED, _SHARE_SEED = 7, 11

Track = Callable[[Iterable[int], int], Iterable[int]]


@dataclass(frozen=True, slots=True)
class Epoch:
    """Figures of one epoch.

    Parameters
    ----------
    number : int
        From 1.
    loss : float
        Mean over its steps.
    cosine : float
        Mean cosine of the student's embeddings to the teacher's, over the augmented pictures it was trained on.
    learning_rate : float
        Of its last step.
    wall_s, processor_s : float
        Time it took, and time of all processors, s; no part of what is equal in equal trainings.
    """

    number: int
    loss: float
    cosine: float
    learning_rate: float
    wall_s: float = field(compare=False)
    processor_s: float = field(compare=False)


def train(
    net: Net,
    scheme: Scheme,
    frames: NDArray[np.float32],
    people: NDArray[np.int64] | None,
    config: TrainConfig,
    *,
    folder: Path,
    seed: int,
    teacher: Net | None = None,
    track: Track = lambda steps, _: steps,
) -> list[Epoch]:
    """Train a quantized network to give the embeddings of the float one; its arrays are replaced.

    Parameters
    ----------
    net : Net
        Folded network, which computes in the formats of ``scheme``: the student.
    scheme : Scheme
        Formats. Those of the biases are chosen anew for the trained ones.
    frames : ndarray of float32, shape (n, h, w, c)
        Inputs.
    people : ndarray of int64, shape (n,), optional
        Who is shown; needed where the configuration uses labels.
    config : TrainConfig
        Epochs, batch, rates, losses.
    folder : pathlib.Path
        Receives the state after each epoch and the log. A state of the same training is gone on with.
    seed : int
        Seed of order and augmentation.
    teacher : Net, optional
        The same network in float32, where the student's weights are no longer its own (rounded, repaired).
    track : callable
        Given the steps and their number; shows progress.

    Returns
    -------
    list of Epoch
        All epochs, those before a resumption included.

    Raises
    ------
    ConfigError
        When labels are asked for and there are none, or too few inputs for a batch.
    UserError
        When the loss is no longer finite; the state of the last good epoch is kept.
    """
    if config.ClassWeight > 0 and people is None:
        raise ConfigError(
            "Hwflow.Model.Train.ClassWeight needs to know who is shown", "set it to 0, or train on faces"
        )
    frames, people = _share(frames, people, config.Share, seed)
    if len(frames) < config.Batch:
        raise ConfigError(
            f"Hwflow.Model.Train.Batch is {config.Batch}, but there are only {len(frames)} inputs to train on",
            "choose a smaller batch",
        )
    session = _Session(net, teacher or net, scheme, frames, people, config, seed)
    folder.mkdir(parents=True, exist_ok=True)
    session.resume(folder / STATE)
    first, per_epoch = len(session.epochs), len(frames) // config.Batch
    steps = iter(
        track(range(first * per_epoch, config.Epochs * per_epoch), (config.Epochs - first) * per_epoch)
    )
    for number in range(first, config.Epochs):
        session.epoch(number, (next(steps) for _ in range(per_epoch)), folder)
        session.save(folder / STATE)
        _write_log(session.epochs, folder / LOG)
    next(steps, None)  # lets a progress bar end
    _write_log(session.epochs, folder / LOG)  # also of a training that was complete
    session.student.store()
    for node in net:
        if node.kind in WEIGHTED:
            choose_bias(net, node, scheme)
    return session.epochs


class _Session:
    """Student, teacher and optimizer of a training."""

    def __init__(
        self,
        net: Net,
        teacher: Net,
        scheme: Scheme,
        frames: NDArray[np.float32],
        people: NDArray[np.int64] | None,
        config: TrainConfig,
        seed: int,
    ) -> None:
        import tensorflow as tf

        self.student, self._teacher = Student(net, scheme), Student(teacher)
        self._kept = _ends_of_blocks(net, scheme) if config.FeatureWeight > 0 else ()
        self._frames, self._config, self._seed = frames, config, seed
        # Without labels each picture is a person of its own.
        identities = np.arange(len(frames)) if people is None or not config.Labels else people
        self._people = np.unique(identities, return_inverse=True)[1].astype(np.int64)
        self._variables = self.student.variables
        if config.ClassWeight > 0:
            width = net.nodes[net.output].shape[-1]
            start = np.random.default_rng([seed, _CENTER_SEED]).normal(
                size=(int(self._people.max()) + 1, width)
            )
            self._centers = tf.Variable(start, dtype=tf.float32)
            self._variables = [*self._variables, self._centers]
        self._optimizer = tf.keras.optimizers.Adam(config.LearningRate)
        self._optimizer.build(self._variables)
        self._step = tf.function(self._trained, autograph=False)
        self.epochs: list[Epoch] = []
        self._key = _key([net, teacher], scheme, frames, config, seed)

    def epoch(self, number: int, steps: Iterator[int], folder: Path) -> None:
        """Go once through the inputs, in an order and with views that only seed and epoch decide."""
        import tensorflow as tf

        order = np.random.default_rng([self._seed, number]).permutation(len(self._frames))
        losses, cosines, rate = [], [], 0.0
        wall, processor = time.perf_counter(), time.process_time()
        for place, step in enumerate(steps):
            chosen = order[place * self._config.Batch : (place + 1) * self._config.Batch]
            rate = self._rate(step)
            self._optimizer.learning_rate.assign(rate)
            loss, cosine, norm = self._step(
                tf.constant(self._frames[chosen]), tf.constant(self._people[chosen]),
                tf.constant([self._seed, step], tf.int32),
            )  # fmt: skip
            losses.append(float(loss))
            cosines.append(float(cosine))
            if not math.isfinite(
                losses[-1] + float(norm)
            ):  # saturation can hide in the loss what is no number
                raise UserError(
                    f"training: the loss is {losses[-1]}, its gradient's norm {float(norm)} in step {place + 1} "
                    f"of epoch {number + 1}",
                    f"choose a smaller LearningRate; {folder} holds the state after epoch {number}"
                    if number
                    else "choose a smaller LearningRate",
                )
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        self.epochs.append(
            Epoch(number + 1, float(np.mean(losses)), float(np.mean(cosines)), rate, wall, processor)
        )

    def _trained(self, x: tf.Tensor, people: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """One step; the loss, the cosine to the teacher, and the norm of the gradient."""
        import tensorflow as tf

        config = self._config
        if config.Loss == "evaluation":  # same pairs are needed, and two views of a picture are one
            x, people = tf.concat([x, x], axis=0), tf.concat([people, people], axis=0)
        if config.Augment:
            x = augment(x, seed)
        exact, features = self._teacher(x, self._kept)
        with tf.GradientTape() as tape:
            embeddings, own = self.student(x, self._kept)
            flat, reference = (tf.reshape(y, (tf.shape(x)[0], -1)) for y in (embeddings, exact))
            distance = embedding_loss(flat, reference)
            loss = config.EmbeddingWeight * distance
            if config.Loss == "evaluation":
                loss += evaluation_loss(flat, reference, people)
            if config.FeatureWeight > 0:
                loss += config.FeatureWeight * feature_loss(own, features)
            if config.ClassWeight > 0:
                loss += config.ClassWeight * margin_loss(flat, self._centers, people)
        gradients, norm = tf.clip_by_global_norm(tape.gradient(loss, self._variables), _CLIP_NORM)
        self._optimizer.apply_gradients(zip(gradients, self._variables, strict=True))
        return loss, 1 - distance, norm

    def _rate(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to zero."""
        total = self._config.Epochs * (len(self._frames) // self._config.Batch)
        warm = max(1, round(_WARM_UP * total))
        if step < warm:
            return self._config.LearningRate * (step + 1) / warm
        return (
            self._config.LearningRate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))
        )

    # -- state -----------------------------------------------------------------------------------------

    def _all(self) -> list[Any]:
        return [*self._variables, *self._optimizer.variables]

    def save(self, path: Path) -> None:
        """Write weights, optimizer and figures; a killed write leaves the file before it."""
        arrays = {f"v{index}": variable.numpy() for index, variable in enumerate(self._all())}
        epochs = [astuple(epoch) for epoch in self.epochs]
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            np.savez(file, key=self._key, epochs=json.dumps(epochs), **arrays)
        Path(file.name).replace(path)

    def resume(self, path: Path) -> None:
        """Go on where a state of this very training ends; a state of another one is left alone and overwritten."""
        if not path.exists():
            return
        try:
            with np.load(path, allow_pickle=False) as state:
                if str(state["key"]) != self._key:
                    return
                epochs = [Epoch(*row) for row in json.loads(str(state["epochs"]))]
                values = [state[f"v{index}"] for index in range(len(self._all()))]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} cannot be read: {error}", "delete it to train anew") from error
        for variable, value in zip(self._all(), values, strict=True):
            variable.assign(value)
        self.epochs = epochs


def _ends_of_blocks(net: Net, scheme: Scheme) -> tuple[str, ...]:
    """Quantized tensors that no activation makes: sums, projections; all where there is only the result."""
    ends = [name for name in scheme.activations if net.nodes[name].kind not in ACTIVATIONS]
    return tuple(ends if len(ends) > 1 else scheme.activations)


def _share(
    frames: NDArray[np.float32], people: NDArray[np.int64] | None, share: float, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """Some of the inputs, in their order."""
    if share == 1:
        return frames, people
    count = max(1, round(share * len(frames)))
    chosen = np.sort(np.random.default_rng([seed, _SHARE_SEED]).permutation(len(frames))[:count])
    return frames[chosen], None if people is None else people[chosen]


def _key(nets: list[Net], scheme: Scheme, frames: NDArray[np.float32], config: TrainConfig, seed: int) -> str:
    """Hash of all that a training depends on."""
    total = hashlib.sha256(f"{config.model_dump_json()} {seed}".encode())
    for node in itertools.chain(*nets):
        total.update(f"{node.name} {node.kind} {node.inputs}".encode())
        for values in node.arrays.values():
            total.update(np.ascontiguousarray(values).tobytes())
    for formats in (scheme.activations, scheme.weights, scheme.slopes):
        total.update(json.dumps({name: str(format_) for name, format_ in formats.items()}).encode())
    total.update(np.ascontiguousarray(frames).tobytes())
    return total.hexdigest()


def read_log(folder: Path) -> list[Epoch]:
    """Figures of the epochs of a training, as its log holds them."""
    with (folder / LOG).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [Epoch(int(row["epoch"]), *(float(row[column]) for column in _COLUMNS[1:])) for row in rows]


def _write_log(epochs: list[Epoch], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(
            (
                e.number,
                f"{e.loss:.6g}",
                f"{e.cosine:.6f}",
                f"{e.learning_rate:.3g}",
                f"{e.wall_s:.2f}",
                f"{e.processor_s:.2f}",
            )
            for e in epochs
        )
