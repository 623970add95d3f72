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
from hwflow.flow.evaluation import Network, Vectors, as_input, evaluate
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

CELLS, CELL, FLOAT = "cells", "cell.json", "float"
_EVALUATION, _EMBEDDINGS = "evaluation.json", "embeddings-{}.npy"
_BITS_OF_A_FLOAT = 32


class Cell(BaseModel):
    """A design of a study with its figures.

    Parameters
    ----------
    choices : dict of str to str
        Choice of each axis; empty for the float network.
    seed : int
        Seed of the design.
    trained : bool
        Whether it was trained.
    metrics : dict of str to float or None
        Figures; None where there are too few pairs to tell.
    folder : str
        Its folder below that of the study: evaluation, embeddings, drawings, training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    choices: dict[str, str]
    seed: int
    trained: bool
    metrics: dict[str, float | None]
    folder: str

    @property
    def name(self) -> str:
        """What it is called where there is one line for it."""
        return ", ".join(self.choices.values()) or FLOAT


@dataclass(frozen=True, slots=True)
class _Task:
    """A design that is to be scored."""

    choices: dict[str, str]
    config: HwflowConfig


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
                if config.Model.Train is not None or number == 0:
                    yield _Task(choices, config.model_copy(update={"Seed": seed}))

    def _config(self, design: dict[str, Any], changes: Settings, where: str) -> HwflowConfig:
        config = parse_config(changed(design, changes, self._layers), where).Hwflow
        if config.Model.Prepare is None:
            raise ConfigError(
                f"{where}: nothing quantizes the network", "add Model.Prepare to the base or the changes"
            )
        if config.Model.Source != self._base.Model.Source:
            raise ConfigError(f"{where}: Model.Source differs from the base's", "make a study of its own")
        return config

    @cached_property
    def _model(self) -> tf.keras.Model:
        source = self._base.Model.Source
        model = load_source(source, base_dir=self._base_path.parent, trust=self._trust, seed=self._base.Seed)
        if is_quantized(model):
            raise ConfigError(f"{source} is quantized already", "study a float network")
        return model

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
        """Score the float network and all designs; those that were scored before are read.

        Returns
        -------
        list of Cell
            The float network first.
        """
        first = _Task({}, self._base)
        tasks = [first, *self._tasks]
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
        metrics = self._scored(task, self._folder / folder)
        cell = Cell(
            choices=task.choices, seed=task.config.Seed, trained=task.config.Model.Train is not None,
            metrics=metrics, folder=str(folder),
        )  # fmt: skip
        write_text(path, json.dumps({"key": key, "cell": cell.model_dump()}, indent=1) + "\n")
        return cell

    def _key(self, task: _Task) -> str:
        """What a design's figures depend on; options that it leaves as they are may be added to hwflow."""
        source = self._base_path.parent / task.config.Model.Source
        parts = {
            "model": task.config.Model.model_dump(mode="json", exclude_defaults=True)
            if task.choices
            else task.config.Model.Source,
            "file": hashlib.sha256(source.read_bytes()).hexdigest() if source.is_file() else None,
            "data": task.config.Data.model_dump(mode="json", exclude_defaults=True),
            "seed": task.config.Seed,
            "faces": [
                str(self._faces_path),
                self._study.Faces.model_dump(exclude_defaults=True),
                self._known,
            ],
            "version": hwflow.__version__,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def _scored(self, task: _Task, folder: Path) -> dict[str, float | None]:
        config, name = task.config, ", ".join(task.choices.values()) or FLOAT
        if not task.choices:
            network = simulated(self._net, None, "float")
            stored, time, weights = {"weight_bits": float(_BITS_OF_A_FLOAT)}, {}, _weights(self._net)
        else:
            assert config.Model.Prepare is not None, "checked with the design"
            frames = calibration_frames(config.Data, tuple(self._model.inputs[0].shape[1:]), config.Seed)
            found = self._quantized(config, frames)
            train = trainer(config, frames, folder / TRAINING, self._progress)
            if train is not None:
                train(found.net, found.scheme, found.exact)
            network = simulated(found.net, found.scheme, "simulated")
            stored = {"weight_bits": stored_weight_bits(found.net, found.scheme, config.Model.Prepare)}
            time, weights = _time(folder / TRAINING) if train else {}, _weights(found.net)
        record = evaluate(
            name, [network], self._faces, chosen_method(config.Data.Alignment), folder, self._progress,
            self._base.Seed,
        )[0]  # fmt: skip
        stored["weight_mbit"] = stored["weight_bits"] * weights / 1e6
        cosines = self._cosines(folder / _EMBEDDINGS.format(network.kind)) if task.choices else {}
        return {**_figures(record), **cosines, **stored, **time}

    def _quantized(self, config: HwflowConfig, frames: Frames) -> Quantized:
        """A design's network before training; kept while other designs are to be trained from it."""
        assert config.Model.Prepare is not None, "checked with the design"
        key = _start(config)
        if key not in self._starts:
            self._starts[key] = quantize(self._model, frames, config.Model.Prepare)
        self._left[key] -= 1
        found = self._starts[key] if self._left[key] > 0 else self._starts.pop(key)
        return replace(found, net=copy.deepcopy(found.net), scheme=copy.deepcopy(found.scheme))

    def _cosines(self, path: Path) -> dict[str, float]:
        """Of a design's embeddings to the float network's."""
        exact = np.load(self._folder / CELLS / FLOAT / _EMBEDDINGS.format(FLOAT), mmap_mode="r")
        cosine = paired_cosine(np.load(path, mmap_mode="r"), exact)
        good = cosine[np.isfinite(cosine)]
        return {"cosine": float(good.mean()), "cosine_min": float(good.min())}


def _start(config: HwflowConfig) -> str:
    """What a network depends on before it is trained."""
    assert config.Model.Prepare is not None, "checked with the design"
    seed = config.Seed if config.Data.Kind == "random" else None
    return f"{config.Model.Prepare.model_dump_json()} {config.Data.model_dump_json()} {seed}"


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


def _time(folder: Path) -> dict[str, float]:
    from hwflow.train.loop import read_log

    epochs = read_log(folder)
    return {
        "wall_s": sum(epoch.wall_s for epoch in epochs),
        "processor_s": sum(epoch.processor_s for epoch in epochs),
    }


def read_cells(path: Path) -> list[Cell]:
    """Designs of a study, from its record."""
    return TypeAdapter(list[Cell]).validate_python(json.loads(path.read_text())["cells"])
