# SPDX-License-Identifier: Apache-2.0
"""The training loop: resumable, logged, repeatable by seed."""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
import math
import tempfile
import time
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hwflow.config.schema import DistillConfig, TrainConfig
from hwflow.errors import ConfigError, UserError
from hwflow.prepare.build import Scheme
from hwflow.prepare.net import ACTIVATIONS, WEIGHTED, Net
from hwflow.prepare.quantize import choose_bias
from hwflow.train.augment import Crop, views
from hwflow.train.logs import Epoch, Logs
from hwflow.train.losses import MARGINS, embedding_loss, evaluation_loss, feature_loss, margin_loss
from hwflow.train.student import Student

if TYPE_CHECKING:
    import tensorflow as tf

STATE = "state.npz"
#: Share of the steps in which the learning rate rises to its full value.
_WARM_UP = 0.05
#: Sum of a gradient's squares is cut to this one's, which keeps single batches from throwing the weights about.
_CLIP_NORM = 1.0
_MOMENTUM = 0.9
_CENTER_SEED, _SHARE_SEED = 7, 11
#: Settings that are told apart only where they say something: trainings from before they existed still count.
_ADDED = (
    "Optimizer", "WeightDecay", "Schedule", "Steps", "StepFactor", "Head", "Margin", "Scale", "HeadAfter",
)  # fmt: skip

Track = Callable[[Iterable[int], int], Iterable[int]]


class Learner(Protocol):
    """A network that is trained."""

    @property
    def variables(self) -> list[tf.Variable]:
        """What the optimizer changes."""

    def __call__(self, x: tf.Tensor, kept: Collection[str] = ()) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Embeddings of a batch, and the tensors named in ``kept``."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """Who learns what from whom, and on which pictures.

    Parameters
    ----------
    student : Learner
        Gets new weights.
    teacher : callable
        As the student; what it gives is to be learned.
    pictures : ndarray of float32, shape (n, h, w, c)
        Inputs, -1 to 1.
    people : ndarray of int64, shape (n,), optional
        Who is shown.
    crops : tuple of (Crop, Crop)
        What student and teacher see of a picture.
    length : int
        Values of an embedding.
    kept : tuple of str
        Tensors that are compared on the way.
    key : bytes
        All that student and teacher are made from.
    """

    student: Learner
    teacher: Callable[[tf.Tensor, Collection[str]], tuple[tf.Tensor, dict[str, tf.Tensor]]]
    pictures: NDArray[np.float32]
    people: NDArray[np.int64] | None
    crops: tuple[Crop, Crop]
    length: int
    kept: tuple[str, ...] = ()
    key: bytes = b""


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
    folder, seed, track
        As of :func:`fit`.
    teacher : Net, optional
        The same network in float32, where the student's weights are no longer its own (rounded, repaired).

    Returns
    -------
    list of Epoch
        As of :func:`fit`.

    Raises
    ------
    ConfigError, UserError
        As :func:`fit`.
    """
    exact = teacher or net
    student = Student(net, scheme)
    whole = Crop(frames.shape[1], frames.shape[2])
    lesson = Lesson(
        student,
        Student(exact),
        frames,
        people,
        (whole, whole),
        net.nodes[net.output].shape[-1],
        _ends_of_blocks(net, scheme) if config.FeatureWeight > 0 else (),
        _content([net, exact], scheme),
    )
    epochs = fit(lesson, config, folder=folder, seed=seed, track=track)
    student.store()
    for node in net:
        if node.kind in WEIGHTED:
            choose_bias(net, node, scheme)
    return epochs


def fit(
    lesson: Lesson,
    config: TrainConfig | DistillConfig,
    *,
    folder: Path,
    seed: int,
    track: Track = lambda steps, _: steps,
) -> list[Epoch]:
    """Give a lesson: the student's variables are changed.

    Parameters
    ----------
    lesson : Lesson
        Who learns what.
    config : TrainConfig or DistillConfig
        Epochs, batch, rates, losses.
    folder : pathlib.Path
        Receives the state after each epoch and the log. A state of the same training is gone on with.
    seed : int
        Seed of order and augmentation.
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
    where = f"Hwflow.Model.{type(config).__name__.removesuffix('Config')}"
    if config.ClassWeight > 0 and lesson.people is None:
        raise ConfigError(f"{where}.ClassWeight needs to know who is shown", "set it to 0, or train on faces")
    pictures, people = _share(lesson.pictures, lesson.people, config.Share, seed)
    if len(pictures) < config.Batch:
        raise ConfigError(
            f"{where}.Batch is {config.Batch}, but there are only {len(pictures)} inputs to train on",
            "choose a smaller batch",
        )
    session = _Session(replace(lesson, pictures=pictures, people=people), config, seed)
    folder.mkdir(parents=True, exist_ok=True)
    session.resume(folder / STATE)
    logs = Logs(folder, tensorboard=config.TensorBoard)
    logs.write(session.epochs)
    first, per_epoch = len(session.epochs), len(pictures) // config.Batch
    steps = iter(
        track(range(first * per_epoch, config.Epochs * per_epoch), (config.Epochs - first) * per_epoch)
    )
    for number in range(first, config.Epochs):
        session.epoch(number, (next(steps) for _ in range(per_epoch)), folder)
        session.save(folder / STATE)
        logs.write(session.epochs)
    next(steps, None)  # lets a progress bar end
    return session.epochs


class _Session:
    """A lesson that is being given, and its optimizer."""

    def __init__(self, lesson: Lesson, config: TrainConfig | DistillConfig, seed: int) -> None:
        import tensorflow as tf

        self._lesson, self._config, self._seed = lesson, config, seed
        self._features = config.FeatureWeight if isinstance(config, TrainConfig) else 0.0
        # Without labels each picture is a person of its own.
        known = lesson.people if config.Labels else None
        identities = np.arange(len(lesson.pictures)) if known is None else known
        self._people = np.unique(identities, return_inverse=True)[1].astype(np.int64)
        self._variables = lesson.student.variables
        if config.ClassWeight > 0:
            start = np.random.default_rng([seed, _CENTER_SEED]).normal(
                size=(int(self._people.max()) + 1, lesson.length)
            )
            self._centers = tf.Variable(start, dtype=tf.float32)
            self._variables = [*self._variables, self._centers]
        if config.Optimizer == "sgd":
            self._optimizer = tf.keras.optimizers.SGD(config.LearningRate, momentum=_MOMENTUM)
        else:
            self._optimizer = tf.keras.optimizers.Adam(config.LearningRate)
        self._optimizer.build(self._variables)
        self._step = tf.function(self._trained, autograph=False)
        self.epochs: list[Epoch] = []
        self._key = self._content()

    def epoch(self, number: int, steps: Iterator[int], folder: Path) -> None:
        """Go once through the inputs, in an order and with views that only seed and epoch decide."""
        import tensorflow as tf

        pictures = self._lesson.pictures
        order = np.random.default_rng([self._seed, number]).permutation(len(pictures))
        losses, cosines, rate = [], [], 0.0
        margins = tf.constant(self._margins(number), tf.float32)
        wall, processor = time.perf_counter(), time.process_time()
        for place, step in enumerate(steps):
            chosen = order[place * self._config.Batch : (place + 1) * self._config.Batch]
            rate = self._rate(step)
            self._optimizer.learning_rate.assign(rate)
            loss, cosine, norm = self._step(
                tf.constant(pictures[chosen]), tf.constant(self._people[chosen]),
                tf.constant([self._seed, step], tf.int32), margins,
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

    def _trained(
        self, x: tf.Tensor, people: tf.Tensor, seed: tf.Tensor, margins: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """One step; the loss, the cosine to the teacher, and the norm of the gradient."""
        import tensorflow as tf

        config, lesson = self._config, self._lesson
        if config.Loss == "evaluation":  # same pairs are needed, and two views of a picture are one
            x, people = tf.concat([x, x], axis=0), tf.concat([people, people], axis=0)
        seen, shown = views(x, lesson.crops, seed if config.Augment else None)
        exact, features = lesson.teacher(shown, lesson.kept)
        with tf.GradientTape() as tape:
            embeddings, own = lesson.student(seen, lesson.kept)
            flat, reference = (tf.reshape(y, (tf.shape(x)[0], -1)) for y in (embeddings, exact))
            distance = embedding_loss(flat, reference)
            loss = config.EmbeddingWeight * distance
            if config.Loss == "evaluation":
                loss += evaluation_loss(flat, reference, people)
            if self._features > 0:
                loss += self._features * feature_loss(own, features)
            if config.ClassWeight > 0:
                loss += config.ClassWeight * margin_loss(
                    flat, self._centers, people, angular=margins[0], additive=margins[1], scale=config.Scale
                )
        gradients, norm = tf.clip_by_global_norm(tape.gradient(loss, self._variables), _CLIP_NORM)
        if config.WeightDecay > 0:
            gradients = [
                gradient + config.WeightDecay * variable if _is_kernel(variable) else gradient
                for gradient, variable in zip(gradients, self._variables, strict=True)
            ]
        self._optimizer.apply_gradients(zip(gradients, self._variables, strict=True))
        return loss, 1 - distance, norm

    def _rate(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to zero; or lower after some epochs."""
        per_epoch = len(self._lesson.pictures) // self._config.Batch
        if self._config.Schedule == "steps":
            passed = bisect.bisect(self._config.Steps, step // per_epoch)
            return self._config.LearningRate * self._config.StepFactor**passed
        total = self._config.Epochs * per_epoch
        warm = max(1, round(_WARM_UP * total))
        if step < warm:
            return self._config.LearningRate * (step + 1) / warm
        return (
            self._config.LearningRate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))
        )

    def _margins(self, number: int) -> tuple[float, float]:
        """Margins in angle and in cosine for an epoch."""
        config = self._config
        if config.Head == "softmax" or number < config.HeadAfter:
            return 0.0, 0.0
        margin = MARGINS[config.Head] if config.Margin is None else config.Margin
        return (margin, 0.0) if config.Head == "arcface" else (0.0, margin)

    # -- state -----------------------------------------------------------------------------------------

    def _all(self) -> list[Any]:
        return [*self._variables, *self._optimizer.variables]

    def _content(self) -> str:
        """Hash of all that the training depends on."""
        lesson = self._lesson
        total = hashlib.sha256(f"{_said(self._config)} {self._seed} {lesson.crops}".encode() + lesson.key)
        total.update(np.ascontiguousarray(lesson.pictures).tobytes())
        return total.hexdigest()

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


def _said(config: TrainConfig | DistillConfig) -> str:
    """What settings a training depends on."""
    fields = type(config).model_fields
    silent = {
        name
        for name in _ADDED
        if getattr(config, name) == fields[name].get_default(call_default_factory=True)
    }
    return config.model_dump_json(exclude={"TensorBoard", *silent})


def _is_kernel(variable: tf.Variable) -> bool:
    """Whether smaller values are simpler: not so for biases, slopes and normalizations."""
    return "kernel" in variable.name.rpartition("/")[2]


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


def _content(nets: list[Net], scheme: Scheme) -> bytes:
    """Hash of networks and formats."""
    total = hashlib.sha256()
    for node in itertools.chain(*nets):
        total.update(f"{node.name} {node.kind} {node.inputs}".encode())
        for values in node.arrays.values():
            total.update(np.ascontiguousarray(values).tobytes())
    for formats in (scheme.activations, scheme.weights, scheme.slopes):
        total.update(json.dumps({name: str(format_) for name, format_ in formats.items()}).encode())
    return total.digest()
