# SPDX-License-Identifier: Apache-2.0
"""Distillation of a design's float network: its teacher, and the pictures that both look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwflow.config.schema import DistillConfig, HwflowConfig, ModelConfig
from hwflow.errors import ConfigError, FetchError
from hwflow.faces.align import Images, around, frame_of, to_input
from hwflow.flow.data import calibration_frames, input_frame, load_faces
from hwflow.flow.evaluation import Network, Vectors
from hwflow.flow.progress import Progress
from hwflow.models.source import load_source
from hwflow.train.augment import Crop
from hwflow.train.distill import Teacher, check_pair, distil

if TYPE_CHECKING:
    import tensorflow as tf

#: Log and state of a distillation in a run folder; no output of a step, so that a killed one goes on where it was.
DISTILLATION = "distillation"


class Distillation:
    """A teacher and what it shows.

    Faces are aligned once, to a frame that holds what both networks see; each gets its own crop of the same picture.

    Parameters
    ----------
    config : HwflowConfig
        A design with ``Model.Distill``.
    student : tf.keras.Model
        The float network that is to learn.
    base_dir : pathlib.Path
        Folder that paths start in.
    trust : bool
        Whether code that comes with a model may run.

    Raises
    ------
    ConfigError
        When the teacher is unknown, does not fit the student, or sees what random codes cannot show.
    FetchError
        When the teacher's weights are not there and cannot be fetched.
    """

    def __init__(self, config: HwflowConfig, student: tf.keras.Model, *, base_dir: Path, trust: bool) -> None:
        assert config.Model.Distill is not None, "asked for designs that are distilled"
        self._settings, self._seed = config.Model.Distill, config.Seed
        model = _load(self._settings, base_dir, trust=trust, seed=config.Seed)
        check_pair(student, model, self._settings)
        own, shape = (tuple(one.inputs[0].shape[1:]) for one in (student, model))
        where = f"Hwflow.Model.Distill.Teacher: {self._settings.Teacher} takes inputs of shape {shape}"
        if len(shape) != 3 or shape[0] != shape[1] or shape[2] != 3:
            raise ConfigError(f"{where}, not square colour faces", "choose a teacher of faces")
        self._people: NDArray[np.int64] | None = None
        if config.Data.Kind == "orl":
            frames = [input_frame(own), frame_of(shape)]
            picture = around(frames)
            faces = load_faces(config.Data, "training", picture)
            self._pictures, self._people = faces.frames, faces.people
            crops = [Crop.of(frame, picture) for frame in frames]
        elif own == shape:
            self._pictures = calibration_frames(config.Data, own, config.Seed)
            crops = [Crop(own[0], own[1])] * 2
        else:
            raise ConfigError(
                f"{where}, the student of {own}; random codes have no crops for both",
                "set Hwflow.Data.Kind: orl",
            )
        self._crops = crops[0], crops[1]
        self.teacher = Teacher(model, self._pictures, self._crops[1])

    @property
    def network(self) -> Network:
        """The teacher as what is evaluated: embeddings less their mean."""

        def embed(batches: Iterable[Images]) -> Iterator[Vectors]:
            for faces in batches:
                yield self.teacher(to_input(faces))[0].numpy()

        return Network("float", self.teacher.shape, embed)

    def run(self, student: tf.keras.Model, folder: Path, progress: Progress) -> None:
        """Train a student; state and log lie in ``folder``."""
        distil(
            student, self.teacher, self._pictures, self._people, self._crops, self._settings, folder=folder,
            seed=self._seed, track=lambda steps, count: progress.track(steps, count, "distillation"),
        )  # fmt: skip


def refuse_distillation(model: ModelConfig) -> None:
    """Refuse a design whose float network is yet to be distilled, where that is not done.

    Raises
    ------
    ConfigError
        Says how to distil it first.
    """
    if model.Distill is not None:
        raise ConfigError(
            "Hwflow.Model.Distill: this command takes the float network as it is, and does not distil it",
            "distil it by `hwflow train`, name model/source.h5 of its run folder as Hwflow.Model.Source, and take "
            "Distill out",
        )


def _load(settings: DistillConfig, base_dir: Path, *, trust: bool, seed: int) -> tf.keras.Model:
    try:
        return load_source(settings.Teacher, base_dir=base_dir, trust=trust, seed=seed)
    except (ConfigError, FetchError) as error:
        where = f"Hwflow.Model.Distill.Teacher: {error.message}"
        raise type(error)(where, error.remedy) from error
