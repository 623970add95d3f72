# SPDX-License-Identifier: Apache-2.0
"""Running a study: every design is quantized, trained where it says so, and scored; what was scored is kept."""

from __future__ import annotations

import copy
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter

import hwflow
from hwflow.config.load import parse_config, read_yaml
from hwflow.config.schema import HwflowConfig, PrepareConfig
from hwflow.errors import ConfigError
from hwflow.faces.align import Images, chosen_method
from hwflow.faces.datasets import FaceSet, open_faces
from hwflow.faces.verification import paired_cosine
from hwflow.files import write_text
from hwflow.flow.data import Frames, calibration_frames
from hwflow.flow.distillation import Distillation
from hwflow.flow.evaluation import Network, Vectors, as_input, evaluate
from hwflow.flow.folder import sha256_if_file
from hwflow.flow.model import TRAINING, trainer
from hwflow.flow.progress import Progress
from hwflow.models.source import is_quantized, load_source
from hwflow.prepare.build import Scheme
from hwflow.prepare.net import WEIGHTED, Net
from hwflow.prepare.pipeline import Quantized, float_net, quantize
from hwflow.prepare.quantize import INPUT, quantized_tensors
from hwflow.prepare.simulate import Simulation, simulated_weights
from hwflow.records import EvaluationRecord, read_evaluations
from hwflow.search.evaluator import stored_weight_bits
from hwflow.study.schema import Layers, Settings, StudyConfig, changed

if TYPE_CHECKING:
    import tensorflow as tf

CELLS, CELL, FLOAT, DISTILLED = "cells", "cell.json", "float", "distilled"
_EVALUATION, _EMBEDDINGS = "evaluation.json", "embeddings-{}.npy"
_BITS_OF_A_FLOAT = 32


class Cell(BaseModel):
    """A design of a study with its figures.

    Parameters
    ----------
    choices : dict of str to str
        Choice of each axis; empty for the reference.
    seed : int
        Seed of the design.
    trained : bool
        Whether it was trained.
    metrics : dict of str to float or None
        Figures; None where there are too few pairs to tell.
    folder : str
        Its folder below that of the study: evaluation, embeddings, drawings, training.
    trainings : tuple of str
        Folders with the logs of its trainings, in their order; a distillation may be shared by several designs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    choices: dict[str, str]
    seed: int
    trained: bool
    metrics: dict[str, float | None]
    folder: str
    trainings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Task:
    """A design that is to be scored."""

    choices: dict[str, str]
    config: HwflowConfig

    @property
    def trained(self) -> bool:
        """Whether its weights depend on the seed."""
        return _learns(self.config)


def _learns(config: HwflowConfig) -> bool:
    return config.Model.Train is not None or config.Model.Distill is not None


class Runner:
    """The designs of a study and the faces they are scored on.

    Parameters
    ----------
    study : StudyConfig
        The study.
    path : pathlib.Path
        Its file.
    folder : pathlib.Path
        Where everything goes.
    trust : bool
        Whether code that comes with a model may run.
    progress : Progress
        Where to show how far it is.

    Raises
    ------
    ConfigError
        When a design is wrong, or the network is quantized already.
    """

    def __init__(
        self, study: StudyConfig, path: Path, folder: Path, *, trust: bool, progress: Progress
    ) -> None:
        self._study, self._folder, self._trust, self._progress = study, folder, trust, progress
        self._base_path = path.parent / study.Base
        self._faces_path = path.parent / study.Faces.Data if study.Faces.Data else None
        self._tasks = list(self._designs(path))
        self._first = _Task({}, self._base if study.Reference == "float" else self._teaching(path))
        self._lessons: tuple[str, Distillation] | None = None
        self._starts: dict[str, Quantized] = {}
        self._left = Counter(_start(task.config) for task in self._tasks)
        self._known = max(
            (t.config.Data.known_people for t in self._tasks if t.config.Data.Kind == "orl"), default=0
        )

    def _designs(self, path: Path) -> Iterator[_Task]:
        """Every design with every seed; a seed's are together, so that each has one before any has two."""
        design = read_yaml(self._base_path)
        self._base = parse_config(design, str(self._base_path)).Hwflow
        checked = [
            (choices, self._config(design, changes, f"{path}: {', '.join(choices.values())}"))
            for choices, changes in self._study.cells()
        ]
        for number, seed in enumerate(self._study.Seeds):
            for choices, config in checked:
                if _learns(config) or number == 0:
                    yield _Task(choices, config.model_copy(update={"Seed": seed}))

    def _config(self, design: dict[str, Any], changes: Settings, where: str) -> HwflowConfig:
        config = parse_config(changed(design, changes, self._layers), where).Hwflow
        model = config.Model
        shown = model.Distill is not None or self._study.Reference != "float"  # as a float network
        if model.Prepare is None and (model.Train is not None or not shown):
            raise ConfigError(
                f"{where}: nothing quantizes the network", "add Model.Prepare to the base or the changes"
            )
        if model.Source != self._base.Model.Source:
            raise ConfigError(f"{where}: Model.Source differs from the base's", "make a study of its own")
        return config

    def _teaching(self, path: Path) -> HwflowConfig:
        """A design that is distilled; all that are have the same teacher."""
        found = {t.config.Model.Distill.Teacher: t.config for t in self._tasks if t.config.Model.Distill}
        if len(found) != 1:
            raise ConfigError(
                f"{path}: Reference: teacher, but designs are distilled from {' and '.join(found) or 'no network'}",
                "set Model.Distill with one Teacher for all, or Reference: float",
            )
        return next(iter(found.values()))

    @cached_property
    def _model(self) -> tf.keras.Model:
        source = self._base.Model.Source
        model = self._loaded(self._base.Seed)
        if is_quantized(model):
            raise ConfigError(f"{source} is quantized already", "study a float network")
        return model

    def _loaded(self, seed: int) -> tf.keras.Model:
        return load_source(
            self._base.Model.Source, base_dir=self._base_path.parent, trust=self._trust, seed=seed
        )

    @cached_property
    def _net(self) -> Net:
        """The float network, its normalizations folded."""
        shape = tuple(self._model.inputs[0].shape[1:])
        frames = calibration_frames(self._base.Data, shape, self._base.Seed)
        return float_net(self._model, frames, PrepareConfig(Equalize=False))[0]

    @cached_property
    def _layers(self) -> Layers:
        weighted = [node.name for node in self._net if node.kind in WEIGHTED]
        return Layers(weighted, quantized_tensors(self._net))

    @cached_property
    def _faces(self) -> FaceSet:
        section = self._study.Faces
        return open_faces(
            self._faces_path, section.Layout, pairs=section.Pairs, orl_after=self._known, seed=self._base.Seed
        )

    def run(self) -> list[Cell]:
        """Score the reference and all designs; those that were scored before are read.

        Returns
        -------
        list of Cell
            The reference first.
        """
        tasks = [self._first, *self._tasks]
        return [self._cell(task) for task in self._progress.track(tasks, len(tasks), "designs")]

    def evaluation(self, cell: Cell) -> EvaluationRecord:
        """What verification by a design's embeddings gave."""
        return read_evaluations(self._folder / cell.folder / _EVALUATION)[0]

    def _cell(self, task: _Task) -> Cell:
        folder = Path(CELLS) / (self._key(task) if task.choices else FLOAT)
        path = self._folder / folder / CELL
        key = self._key(task)
        if path.exists():
            kept = json.loads(path.read_text())
            if kept["key"] == key:
                return Cell.model_validate(kept["cell"]).model_copy(update={"choices": task.choices})
        (self._folder / folder).mkdir(parents=True, exist_ok=True)
        metrics, trainings = self._scored(task, folder)
        cell = Cell(
            choices=task.choices, seed=task.config.Seed, trained=bool(task.choices) and task.trained,
            metrics=metrics, folder=str(folder), trainings=trainings,
        )  # fmt: skip
        write_text(path, json.dumps({"key": key, "cell": cell.model_dump()}, indent=1) + "\n")
        return cell

    def _key(self, task: _Task) -> str:
        """What a design's figures depend on; options that it leaves as they are may be added to hwflow."""
        model = task.config.Model
        said: Any = model.Source
        if task.choices:
            said = model.model_dump(mode="json", exclude_defaults=True)
        elif self._study.Reference == "teacher":
            said = self._distillation_key(task.config)
        parts = {
            "model": said,
            "file": sha256_if_file(self._base_path.parent / model.Source),
            "data": task.config.Data.model_dump(mode="json", exclude_defaults=True),
            "seed": task.config.Seed,
            "faces": [
                str(self._faces_path),
                self._study.Faces.model_dump(exclude_defaults=True),
                self._known,
            ],
            "version": hwflow.__version__,
        }
        return _hash(parts)

    def _distillation_key(self, config: HwflowConfig) -> str:
        """What the float network of a design that is distilled depends on."""
        distill, base_dir = config.Model.Distill, self._base_path.parent
        assert distill is not None, "asked for designs that are distilled"
        parts = {
            "source": [config.Model.Source, sha256_if_file(base_dir / config.Model.Source)],
            "distill": distill.model_dump(mode="json", exclude_defaults=True, exclude={"TensorBoard"}),
            "teacher": sha256_if_file(base_dir / distill.Teacher),
            "data": config.Data.model_dump(mode="json", exclude_defaults=True),
            "seed": config.Seed,
        }
        return _hash(parts)

    def _scored(self, task: _Task, folder: Path) -> tuple[dict[str, float | None], tuple[str, ...]]:
        """Figures of a design, and the folders of its trainings."""
        place = self._folder / folder
        trainings: list[str] = []
        if task.choices:
            network, stored, trainings = self._network(task.config, folder)
        elif self._study.Reference == "teacher":
            lessons = self._distillation(task.config, self._model)
            network, stored = lessons.network, _stored(_BITS_OF_A_FLOAT, lessons.teacher.weights)
        else:
            network = simulated(self._net, None, "float")
            stored = _stored(_BITS_OF_A_FLOAT, _weights(self._net))
        record = evaluate(
            ", ".join(task.choices.values()) or self._study.Reference, [network], self._faces,
            chosen_method(task.config.Data.Alignment), place, self._progress, self._base.Seed,
        )[0]  # fmt: skip
        cosines = self._cosines(place / _EMBEDDINGS.format(network.kind)) if task.choices else {}
        time = _time([self._folder / name for name in trainings]) if trainings else {}
        return {**_figures(record), **cosines, **stored, **time}, tuple(trainings)

    def _network(
        self, config: HwflowConfig, folder: Path
    ) -> tuple[Network, dict[str, float | None], list[str]]:
        """A design's network after its trainings, what its weights take, and the folders of the trainings."""
        frames = calibration_frames(config.Data, tuple(self._model.inputs[0].shape[1:]), config.Seed)
        model, trainings = self._model, []
        if config.Model.Distill is not None:
            place = Path(DISTILLED) / self._distillation_key(config)
            model, trainings = self._loaded(config.Seed), [str(place)]
            self._distillation(config, model).run(model, self._folder / place, self._progress)
        if config.Model.Prepare is None:
            net, _ = float_net(model, frames, PrepareConfig(Equalize=False))
            return simulated(net, None, "float"), _stored(_BITS_OF_A_FLOAT, _weights(net)), trainings
        found = self._quantized(model, config, frames)
        train = trainer(config, frames, self._folder / folder / TRAINING, self._progress)
        if train is not None:
            train(found.net, found.scheme, found.exact)
            trainings.append(str(folder / TRAINING))
        bits = stored_weight_bits(found.net, found.scheme, config.Model.Prepare)
        network = simulated(found.net, found.scheme, "simulated")
        return network, _stored(bits, _weights(found.net)), trainings

    def _distillation(self, config: HwflowConfig, student: tf.keras.Model) -> Distillation:
        """Teacher and pictures of a design; those of the last one are kept."""
        key = self._distillation_key(config)
        if self._lessons is None or self._lessons[0] != key:
            lessons = Distillation(config, student, base_dir=self._base_path.parent, trust=self._trust)
            self._lessons = key, lessons
        return self._lessons[1]

    def _quantized(self, model: tf.keras.Model, config: HwflowConfig, frames: Frames) -> Quantized:
        """A design's network before training; kept while other designs are to be trained from it."""
        assert config.Model.Prepare is not None, "asked for designs that are quantized"
        key = _start(config)
        if key not in self._starts:
            self._starts[key] = quantize(model, frames, config.Model.Prepare)
        self._left[key] -= 1
        found = self._starts[key] if self._left[key] > 0 else self._starts.pop(key)
        return replace(found, net=copy.deepcopy(found.net), scheme=copy.deepcopy(found.scheme))

    def _cosines(self, path: Path) -> dict[str, float]:
        """Of a design's embeddings to the reference's."""
        exact = np.load(self._folder / CELLS / FLOAT / _EMBEDDINGS.format(FLOAT), mmap_mode="r")
        cosine = paired_cosine(np.load(path, mmap_mode="r"), exact)
        good = cosine[np.isfinite(cosine)]
        return {"cosine": float(good.mean()), "cosine_min": float(good.min())}


def _start(config: HwflowConfig) -> str:
    """What a quantized network depends on before it is trained."""
    prepare, distill = config.Model.Prepare, config.Model.Distill
    sections = [section and section.model_dump_json() for section in (prepare, distill, config.Data)]
    seed = config.Seed if config.Data.Kind == "random" or distill else None
    return f"{sections} {seed}"


def _hash(parts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _stored(bits: float, weights: int) -> dict[str, float | None]:
    """What a network's weights take."""
    return {"weight_bits": float(bits), "weight_mbit": bits * weights / 1e6}


def simulated(net: Net, scheme: Scheme | None, kind: Any) -> Network:
    """A network in its number formats, or in float without them.

    In float64 sums of codes are exact: what comes out is what the integers give.
    """
    simulation = Simulation(net, dtype="float64" if scheme else "float32")
    weights, formats = simulated_weights(net, scheme), scheme.activations if scheme else {}
    shape = net.input.shape

    def embed(batches: Iterable[Images]) -> Iterator[Vectors]:
        for faces in batches:
            yield simulation.run(as_input(faces, shape, INPUT), weights, formats).reshape(len(faces), -1)

    return Network(kind, shape, embed)


def _figures(record: EvaluationRecord) -> dict[str, float | None]:
    measure = record.measures[0]
    rates = {f"tpr_{rate}": found for rate, found in measure.tpr_at_fpr.items()}
    accuracy = {"accuracy": measure.accuracies[0].mean} if measure.accuracies else {}
    return {**accuracy, "eer": measure.eer, "auc": measure.auc, **rates}


def _weights(net: Net) -> int:
    return sum(node.arrays["kernel"].size for node in net if node.kind in WEIGHTED)


def _time(folders: Iterable[Path]) -> dict[str, float]:
    from hwflow.train.logs import read_log

    epochs = [epoch for folder in folders for epoch in read_log(folder)]
    return {
        "wall_s": sum(epoch.wall_s for epoch in epochs),
        "processor_s": sum(epoch.processor_s for epoch in epochs),
    }


def read_cells(path: Path) -> list[Cell]:
    """Designs of a study, from its record."""
    return TypeAdapter(list[Cell]).validate_python(json.loads(path.read_text())["cells"])
