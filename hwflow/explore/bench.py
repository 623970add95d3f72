# SPDX-License-Identifier: Apache-2.0
"""Weighing one design of a study: cost first, quality only where the cost is allowed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwflow.config.folding import with_folding
from hwflow.config.load import load_config, read_yaml
from hwflow.config.schema import DesignConfig, PrepareConfig
from hwflow.cost.complexity import complexity
from hwflow.cost.parts import find_part, fits
from hwflow.cost.resources import predict_resources
from hwflow.cost.tune import Budget, Tuner
from hwflow.emit.design import Design, build_design
from hwflow.emit.multipliers import with_multipliers
from hwflow.errors import BudgetError, ConfigError
from hwflow.explore.schema import CHEAP, StudyConfig
from hwflow.explore.space import Point, check_places, prepared
from hwflow.flow.data import calibration_frames, load_faces
from hwflow.numerics.fixed import Cast
from hwflow.prepare.build import build
from hwflow.search import Evaluator
from hwflow.tools import targets

if TYPE_CHECKING:
    from hwflow.ir.graph import QuantGraph


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of a design.

    Parameters
    ----------
    metrics : mapping of str to float
        By name (:data:`hwflow.explore.schema.METRICS`); only the cheap ones of a design that was given up.
    refused : str
        Why it was given up; empty where it was not.
    design : mapping
        Keys and values of its YAML.
    """

    metrics: Mapping[str, float]
    refused: str
    design: Mapping[str, Any]


@lru_cache(maxsize=1)
def bench(study: str, base: str, trust: bool) -> Bench:
    """The bench of a study, made once a process.

    Parameters
    ----------
    study : str
        The study as JSON.
    base : str
        Path of its base design.
    trust : bool
        Whether the model may execute code.
    """
    return Bench(StudyConfig.model_validate_json(study), Path(base), trust=trust)


class Bench:
    """A study's network with all that its designs share: weights, calibration data, float reference.

    Parameters
    ----------
    study : StudyConfig
        The study.
    base : pathlib.Path
        YAML of the design that is varied.
    trust : bool
        Whether the model may execute code.

    Raises
    ------
    ConfigError
        When the base has no preparation, or the study names a wrong layer, part or target.
    """

    def __init__(self, study: StudyConfig, base: Path, *, trust: bool = False) -> None:
        from hwflow.models.source import load_source

        self._study, self._path = study, base
        self._design: DesignConfig = load_config(base)
        section = self._design.Hwflow
        if section.Model.Prepare is None:
            raise ConfigError(
                f"{base}: Hwflow.Model.Prepare is missing: there is no float network to be quantized",
                "name a base design whose source is a float model, with 'Prepare: {}'",
            )
        self._prepare: PrepareConfig = section.Model.Prepare
        self._part = find_part(study.Part) if study.Part else None
        self._target = targets.target(self._part.target if self._part else study.Target)
        self._clock = study.Clock or 1000 / self._design.ClockPeriod
        model = load_source(section.Model.Source, base_dir=base.parent, trust=trust, seed=section.Seed)
        shape = tuple(model.inputs[0].shape[1:])
        calibration = calibration_frames(section.Data, shape, section.Seed)
        if section.Data.Kind == "orl":
            faces = load_faces(section.Data, "evaluation")
            inputs, people = faces.frames, faces.people
        else:
            inputs, people = calibration, None
        if study.Frames is not None and study.Frames < len(inputs):
            chosen = np.unique(np.linspace(0, len(inputs) - 1, study.Frames).astype(int))
            inputs, people = inputs[chosen], None if people is None else people[chosen]
        self._evaluator = Evaluator(model, calibration, inputs, people)
        check_places(study.Space, self._evaluator.net(self._prepare))

    def weigh(self, point: Point) -> Outcome:
        """Cost of a point's design and, where that keeps the limits, its quality."""
        config = prepared(self._prepare, point, self._evaluator.net(self._prepare))
        net, scheme = self._evaluator.quantized(config)
        graph = self._converted(build(net, scheme))
        data = read_yaml(self._path)
        data["Hwflow"]["Model"]["Prepare"] = config.model_dump(mode="json", exclude_defaults=True)
        try:
            design = self._folded(graph, point, data)
        except BudgetError as error:
            return Outcome({}, error.message, data)
        metrics = self._cost(design) | {"model.weight_bits": self._evaluator.weight_bits(config)}
        refused = self._refused(design, metrics)
        if not refused:
            score = self._evaluator.score_of(net, scheme)
            metrics |= {"quality.cosine": score.cosine, "quality.cosine_min": score.cosine_min}
            if score.accuracy is not None:
                metrics["quality.accuracy"] = score.accuracy
            refused = self._broken(metrics)
        return Outcome(metrics, refused, data)

    def _converted(self, model: Any) -> QuantGraph:
        from hwflow.frontends.keras_hls4ml import convert
        from hwflow.frontends.lower import lower

        design = self._design
        with tempfile.TemporaryDirectory(prefix="hwflow-explore-") as scratch:
            converted = convert(
                model, backend="Hwflow", hls_config=design.HLSConfig,
                input_type=Cast.parse(design.Hwflow.Data.InputType), io_type=design.IOType,
                clock_period=design.ClockPeriod, part=design.Part, project_name=design.ProjectName,
                output_dir=Path(scratch),
            )  # fmt: skip
            return lower(converted, design.ProjectName)

    def _folded(self, graph: QuantGraph, point: Point, data: dict[str, Any]) -> Design:
        """The accelerator: folded for the point's speed, or as the base says; the YAML tells the same."""
        section = self._design.Hwflow
        if "Fps" not in point:
            return build_design(with_multipliers(graph, section.MultStyle, section.LutMultiplierBits))
        part = self._part
        holds = {
            name: getattr(part, name)
            for name in ("lut", "ff", "dsp", "bram18", "bram")
            if part is not None and getattr(part, name) is not None
        }
        scale = holds or {"lut": 100, "dsp": 1}
        tuner = Tuner(graph, Budget(holds, scale, part.part if part else "no part"), self._target.name)
        interval = int(self._clock * 1e6 / point["Fps"])
        tuned = tuner.reach(interval, f"{point['Fps']:g} frames a second")
        factors = {name: option.reuse for name, option in tuned.options.items()}
        styles = {name: option.style for name, option in tuned.options.items()}
        changed = with_folding(
            data, factors, styles, [node.name for node in self._evaluator.net(self._prepare)]
        )
        data.update(changed)
        return tuned.design

    def _cost(self, design: Design) -> dict[str, float]:
        total = predict_resources(design, self._target).total
        interval = design.plan.ii_bound
        return {
            "model.bops": float(complexity(design.graph).total("bops")),
            "cost.lut": total.lut,
            "cost.ff": total.ff,
            "cost.dsp": total.dsp,
            "cost.bram": total.bram,
            "cost.multipliers": sum(folding.multipliers for folding in design.plan.folding.values()),
            "cost.ii_cycles": interval,
            "cost.fps": self._clock * 1e6 / interval,
        }

    def _refused(self, design: Design, metrics: Mapping[str, float]) -> str:
        """Why a design is given up before its quality is known."""
        if self._part and fits(self._part, predict_resources(design, self._target).total) is False:
            return f"does not fit {self._part.part}"
        return self._broken({name: metrics[name] for name in CHEAP if name in metrics})

    def _broken(self, metrics: Mapping[str, float]) -> str:
        broken = [
            f"{name} is {metrics[name]:g}"
            for name, limit in self._study.Limits.items()
            if name in metrics and limit.broken_by(metrics[name])
        ]
        return "; ".join(broken)
