# SPDX-License-Identifier: Apache-2.0
"""Weighing one design of a study: cost first, quality only where the cost is allowed."""

from __future__ import annotations

import gc
import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from os import getpid
from pathlib import Path
from socket import gethostname
from time import process_time
from typing import TYPE_CHECKING, Any

import numpy as np

from hwflow.config.folding import with_folding
from hwflow.config.load import load_config, read_yaml
from hwflow.config.schema import DesignConfig, PrepareConfig
from hwflow.cost.complexity import complexity
from hwflow.cost.cycles import predict_cycles
from hwflow.cost.mcu import estimate as estimate_mcu
from hwflow.cost.mcu import load_mcu
from hwflow.cost.parts import Part, find_part, fits, uses
from hwflow.cost.resources import predict_resources
from hwflow.cost.tune import Budget, Tuner
from hwflow.emit.design import Design, build_design
from hwflow.emit.multipliers import with_multipliers
from hwflow.errors import BudgetError, ConfigError
from hwflow.explore.schema import StudyConfig
from hwflow.explore.space import Point, check_places, prepared
from hwflow.flow.data import calibration_frames, load_faces
from hwflow.numerics.fixed import Cast
from hwflow.ops.weightcode import STYLES
from hwflow.prepare.build import Scheme, build
from hwflow.prepare.net import Net
from hwflow.search import Evaluator, Score
from hwflow.tools import targets

if TYPE_CHECKING:
    from hwflow.ir.graph import QuantGraph


#: Networks that a worker keeps, with their quality: designs that differ in speed, part or multipliers share one.
_KEPT = 8
#: Faces on which the quality is compared with that of exact arithmetic.
_CHECKED = 10
#: What a part's limits are taken from.
_COUNTED = ("lut", "ff", "dsp", "bram18", "bram", "uram")


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
    seconds : float
        Processor time.
    worker : str
        Host and process that computed it.
    """

    metrics: Mapping[str, float]
    refused: str
    design: Mapping[str, Any]
    seconds: float = 0.0
    worker: str = ""


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
    made = Bench(StudyConfig.model_validate_json(study), Path(base), trust=trust)
    # What the libraries hold by now stays; looking through it for garbage again and again takes a third of all time.
    gc.collect()
    gc.freeze()
    return made


@dataclass(slots=True)
class _Network:
    """One quantization: its network, and its quality where that was computed."""

    net: Net
    scheme: Scheme
    graph: QuantGraph
    weight_bits: float
    quality: dict[str, float] = field(default_factory=dict)


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
        When the base has no preparation, or the study names a wrong layer, part, target or microcontroller.
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
        names = study.Space.Part or ([study.Part] if study.Part else [])
        self._parts = {name: find_part(name) for name in names}
        self._target = targets.target(study.Target)
        self._mcu = load_mcu(study.Mcu)
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
        self._frames = len(inputs)
        self._evaluator = Evaluator(model, calibration, inputs, people, fill=True)
        self._networks: OrderedDict[str, _Network] = OrderedDict()
        check_places(study.Space, self._evaluator.net(self._prepare))

    def weigh(self, point: Point) -> Outcome:
        """Cost of a point's design and, where that keeps the limits, its quality."""
        start = process_time()
        config = prepared(self._prepare, point, self._evaluator.net(self._prepare))
        network = self._network(config)
        data = self._data(config, point)
        part = self._part(point)
        try:
            design = self._folded(network.graph, point, part, data)
        except BudgetError as error:
            return self._outcome({}, error.message, data, start)
        metrics = self._cost(design, part) | {"model.weight_bits": network.weight_bits}
        refused = self._too_large(design, part) or self._broken(metrics)
        if not refused:
            metrics |= self._quality(network)
            refused = self._broken(metrics)
        return self._outcome(metrics, refused, data, start)

    @staticmethod
    def _outcome(
        metrics: Mapping[str, float], refused: str, data: Mapping[str, Any], start: float
    ) -> Outcome:
        return Outcome(metrics, refused, data, process_time() - start, f"{gethostname()}:{getpid()}")

    def _data(self, config: PrepareConfig, point: Point) -> dict[str, Any]:
        """The base's YAML with what the point and the study say."""
        data = read_yaml(self._path)
        section = data["Hwflow"]
        section["Model"]["Prepare"] = config.model_dump(mode="json", exclude_defaults=True)
        # Costs that the base promises are not those of another design; that it is exact still holds.
        section["Budget"] = {
            name: limit for name, limit in (section.get("Budget") or {}).items() if name.startswith("verify.")
        }
        if self._study.Verify is not None:
            section["Verify"] = self._study.Verify.model_dump(mode="json", exclude_defaults=True)
        if self._study.Clock is not None:
            data["ClockPeriod"] = 1000 / self._study.Clock
        if "Part" in point:
            data["Part"] = point["Part"]
        return data

    def _part(self, point: Point) -> Part | None:
        name = point.get("Part", self._study.Part)
        return self._parts[name] if name else None

    def _family(self, part: Part | None) -> targets.Target:
        return targets.target(part.target) if part else self._target

    # -- the network --------------------------------------------------------------------------------------

    def _network(self, config: PrepareConfig) -> _Network:
        """The quantized network of a configuration, kept for the next designs that have the same one."""
        key = config.model_dump_json()
        found = self._networks.pop(key, None)
        if found is None:
            net, scheme = self._evaluator.quantized(config)
            with _untraced():
                model = build(net, scheme)
            graph = self._converted(model)
            found = _Network(net, scheme, graph, self._evaluator.weight_bits(config))
        self._networks[key] = found
        if len(self._networks) > _KEPT:
            self._networks.popitem(last=False)
        return found

    def _quality(self, network: _Network) -> dict[str, float]:
        """How good a network is: by a few frames where those rule it out, else by all."""
        if not network.quality:
            if self._study.Screen is not None and self._study.Screen < self._frames:
                score = self._evaluator.screened(network.net, network.scheme, self._study.Screen)
                network.quality = _named(score, self._study.Screen)
                if self._broken(network.quality):
                    return network.quality
            score = self._evaluator.verified_score(network.net, network.scheme, _CHECKED)
            network.quality = _named(score, self._frames)
        return network.quality

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

    # -- the accelerator ----------------------------------------------------------------------------------

    def _folded(self, graph: QuantGraph, point: Point, part: Part | None, data: dict[str, Any]) -> Design:
        """The accelerator: folded for the point's speed, or as the base says; the YAML tells the same."""
        section, style = self._design.Hwflow, point.get("MultStyle")
        if "Fps" not in point:
            if style is not None:
                data["Hwflow"]["MultStyle"] = style
            return build_design(
                with_multipliers(graph, style or section.MultStyle, section.LutMultiplierBits)
            )
        holds = {
            name: getattr(part, name)
            for name in _COUNTED
            if part is not None and getattr(part, name) is not None
        }
        scale = holds or {"lut": 100, "dsp": 1}
        budget = Budget(holds, scale, part.part if part else "no part")
        tuner = Tuner(graph, budget, self._family(part).name, [style] if style else STYLES)
        interval = int(self._clock * 1e6 / point["Fps"])
        tuned = tuner.reach(interval, f"{point['Fps']:g} frames a second")
        factors = {name: option.reuse for name, option in tuned.options.items()}
        styles = {name: option.style for name, option in tuned.options.items()}
        changed = with_folding(
            data, factors, styles, [node.name for node in self._evaluator.net(self._prepare)]
        )
        data.update(changed)
        return tuned.design

    def _cost(self, design: Design, part: Part | None) -> dict[str, float]:
        total = predict_resources(design, self._family(part)).total
        interval, wanted = design.plan.ii_bound, self._study.wanted
        known = {f"cost.{name}": getattr(total, name) for name in _COUNTED}
        found = {name: float(value) for name, value in known.items() if value is not None}
        found |= {
            "model.bops": float(complexity(design.graph).total("bops")),
            "cost.multipliers": sum(folding.multipliers for folding in design.plan.folding.values()),
            "cost.ii_cycles": interval,
            "cost.fps": self._clock * 1e6 / interval,
        }
        if part is not None:
            shares = [use.share for use in uses(part, total) if use.share is not None]
            found["cost.share"] = max(shares, default=0.0)
        if "cost.latency_cycles" in wanted:
            with tempfile.TemporaryDirectory(prefix="hwflow-explore-") as scratch:
                found["cost.latency_cycles"] = predict_cycles(design, 1, log=Path(scratch) / "log").latency
        if any(name.startswith("mcu.") for name in wanted):
            mcu = estimate_mcu(design.graph, self._mcu)
            found |= {"mcu.flash_bytes": float(mcu.flash), "mcu.ram_bytes": float(mcu.ram)}
            if mcu.latency.ms is not None:
                found["mcu.latency_ms"] = mcu.latency.ms
        return found

    def _too_large(self, design: Design, part: Part | None) -> str:
        if part and fits(part, predict_resources(design, self._family(part)).total) is False:
            return f"does not fit {part.part}"
        return ""

    def _broken(self, metrics: Mapping[str, float]) -> str:
        """Limits that are broken."""
        broken = [
            f"{name} is {metrics[name]:g}"
            for name, limit in self._study.Limits.items()
            if name in metrics and limit.broken_by(metrics[name])
        ]
        return "; ".join(broken)


@contextmanager
def _untraced() -> Iterator[None]:
    """Build Keras models without tracing their layers, which takes four times as long as all else.

    hls4ml reads configurations, weights and shapes only, and layers tell their shapes without being traced.
    """
    from keras.src.engine import base_layer, keras_tensor
    from tensorflow import TensorSpec, nest

    def infer(layer: Any, inputs: Any, *_: Any) -> Any:
        layer._maybe_build(inputs)
        given = nest.map_structure(lambda one: TensorSpec(one.shape, one.dtype), inputs)
        return nest.map_structure(keras_tensor.KerasTensor, layer.compute_output_signature(given))

    traced = base_layer.Layer._infer_output_signature
    base_layer.Layer._infer_output_signature = infer
    try:
        yield
    finally:
        base_layer.Layer._infer_output_signature = traced


def _named(score: Score, frames: int) -> dict[str, float]:
    """A score as metrics."""
    accuracy = {} if score.accuracy is None else {"quality.accuracy": score.accuracy}
    return {
        **accuracy,
        "quality.cosine": score.cosine,
        "quality.cosine_min": score.cosine_min,
        "quality.frames": frames,
    }
