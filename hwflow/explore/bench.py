# SPDX-License-Identifier: Apache-2.0
"""Weighing one design of a study: cost first, quality only where the cost is allowed."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from os import getpid
from pathlib import Path
from socket import gethostname
from time import process_time
from typing import TYPE_CHECKING, Any

from hwflow.config.folding import with_folding
from hwflow.config.load import load_config, read_yaml
from hwflow.config.schema import DesignConfig
from hwflow.cost.complexity import complexity
from hwflow.cost.cycles import predict_cycles
from hwflow.cost.mcu import estimate as estimate_mcu
from hwflow.cost.mcu import load_mcu
from hwflow.cost.parts import Part, find_part, fits, uses
from hwflow.cost.resources import predict_resources
from hwflow.cost.tune import Budget, Tuned, Tuner
from hwflow.emit.design import Design, build_design
from hwflow.emit.multipliers import with_multipliers
from hwflow.errors import BudgetError
from hwflow.explore.networks import Given, Network, Networks, Quantizations
from hwflow.explore.schema import StudyConfig
from hwflow.explore.space import Point
from hwflow.ops.weightcode import STYLES
from hwflow.tools import targets

if TYPE_CHECKING:
    from hwflow.ir.graph import QuantGraph


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


class Bench:
    """What weighs the designs of a study, with all that they share.

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
        When the study names a wrong layer, part, target or microcontroller, or varies what its base has not.
    """

    def __init__(self, study: StudyConfig, base: Path, *, trust: bool = False) -> None:
        from hwflow.flow.distillation import refuse_distillation
        from hwflow.models.source import load_source

        self._study, self._path = study, base
        self._design: DesignConfig = load_config(base)
        section = self._design.Hwflow
        names = study.Space.Part or ([study.Part] if study.Part else [])
        self._parts = {name: find_part(name) for name in names}
        self._target = targets.target(study.Target)
        self._mcu = load_mcu(study.Mcu)
        self._clock = study.Clock or 1000 / self._design.ClockPeriod
        refuse_distillation(section.Model)
        model = load_source(section.Model.Source, base_dir=base.parent, trust=trust, seed=section.Seed)
        prepare = section.Model.Prepare
        self._networks: Networks = (
            Given(model, self._design, study)
            if prepare is None
            else Quantizations(model, self._design, prepare, study)
        )

    def weigh(self, point: Point) -> Outcome:
        """Cost of a point's design and, where that keeps the limits, its quality."""
        start = process_time()
        network = self._networks.network(point)
        data = self._data(network, point)
        part = self._part(point)
        try:
            design = self._folded(network.graph, point, part, data)
        except BudgetError as error:
            return self._outcome({}, error.message, data, start)
        metrics = self._cost(design, part) | {"model.weight_bits": network.weight_bits}
        refused = self._too_large(design, part) or self._broken(metrics)
        if not refused:
            metrics |= self._networks.quality(network, self._broken)
            refused = self._broken(metrics)
        return self._outcome(metrics, refused, data, start)

    @staticmethod
    def _outcome(
        metrics: Mapping[str, float], refused: str, data: Mapping[str, Any], start: float
    ) -> Outcome:
        return Outcome(metrics, refused, data, process_time() - start, f"{gethostname()}:{getpid()}")

    def _data(self, network: Network, point: Point) -> dict[str, Any]:
        """The base's YAML with what the point and the study say."""
        data = read_yaml(self._path)
        section = data["Hwflow"]
        if network.prepare is not None:
            section["Model"]["Prepare"] = network.prepare.model_dump(mode="json", exclude_defaults=True)
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
        tuned = self._tuned(graph, float(point["Fps"]), part, [style] if style else STYLES)
        factors = {name: option.reuse for name, option in tuned.options.items()}
        styles = {name: option.style for name, option in tuned.options.items()}
        data.update(with_folding(data, factors, styles, self._networks.layers))
        return tuned.design

    def _tuned(self, graph: QuantGraph, fps: float, part: Part | None, styles: Collection[str]) -> Tuned:
        """The least cost that reaches a speed; within the limits of the part only where it would exceed them."""
        holds = {
            name: getattr(part, name)
            for name in _COUNTED
            if part is not None and getattr(part, name) is not None
        }
        scale, title = holds or {"lut": 100, "dsp": 1}, part.part if part else "no part"
        interval, goal, family = int(self._clock * 1e6 / fps), f"{fps:g} frames a second", self._family(part)
        free = Tuner(graph, Budget({}, scale, title), family.name, styles)
        tuned = free.reach(interval, goal)
        if part is None or fits(part, tuned.resources) is not False:
            return tuned
        limited = Tuner(graph, Budget(holds, scale, title), family.name, styles)
        return limited.reach(interval, goal, explain=False)

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
