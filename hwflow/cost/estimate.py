# SPDX-License-Identifier: Apache-2.0
"""FPGA families, FPGA parts and microcontrollers side by side: what a network takes of each, and whether it fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hwflow.cost.cycles import Cycles
from hwflow.cost.mcu import Mcu, McuEstimate, mcus
from hwflow.cost.mcu import estimate as estimate_mcu
from hwflow.cost.parts import Part, Use, fits, uses
from hwflow.cost.resources import predict_resources
from hwflow.emit.design import Design
from hwflow.errors import UserError
from hwflow.ir.graph import QuantGraph
from hwflow.mcu.lower import lower
from hwflow.records import Metric
from hwflow.tools.targets import TARGETS, Resources

_SOURCE = "cost.json"
RESOURCES = ("lut", "ff", "dsp", "bram18")
"""Resources under ``cost.<target>`` and ``synth.<target>``."""
NATIVE_BLOCKS = "memory blocks of this family are smaller than 18 Kb"
_SPEED = {"latency_cycles": "cycles", "ii_cycles": "cycles", "fps": "1/s"}
_MCU = {
    "flash_bytes": "B",
    "ram_bytes": "B",
    "macs": "1",
    "macc": "1",
    "instructions": "1",
    "latency_ms": "ms",
}

METRICS = (
    *(f"cost.{target}.{name}" for target in TARGETS for name in (*RESOURCES, *_SPEED)),
    *(f"mcu.{name}.{figure}" for name in mcus() for figure in _MCU),
)
"""Names of all figures that :func:`fpga_metrics` and :func:`mcu_metrics` give."""


@dataclass(frozen=True, slots=True)
class PartFit:
    """A design on a part.

    Parameters
    ----------
    part : Part
        The part.
    uses : sequence of Use
        What the design takes, resource by resource.
    fits : bool or None
        Whether it fits; None where a figure of the part is missing and nothing else decides.
    """

    part: Part
    uses: Sequence[Use]
    fits: bool | None

    @property
    def tightest(self) -> Use | None:
        """The resource of which the design takes the largest share; None where the part's figures are missing."""
        known = [use for use in self.uses if use.share is not None]
        return max(known, key=lambda use: use.share or 0.0) if known else None


@dataclass(frozen=True, slots=True)
class FamilyEstimate:
    """A design on the parts of one family.

    Parameters
    ----------
    target : str
        The family.
    resources : Resources
        What the whole design takes.
    layers : mapping of str to Resources
        The same by node.
    parts : sequence of PartFit
        The family's parts, the smallest first.
    """

    target: str
    resources: Resources
    layers: Mapping[str, Resources]
    parts: Sequence[PartFit]

    @property
    def smallest(self) -> str:
        """The smallest part that the design fits; empty where there is none."""
        return next((found.part.part for found in self.parts if found.fits), "")


def families(design: Design, parts: Iterable[Part]) -> list[FamilyEstimate]:
    """What a design takes on the families of these parts.

    Parameters
    ----------
    design : Design
        The accelerator.
    parts : iterable of Part
        The parts in question.

    Returns
    -------
    list of FamilyEstimate
        In the order of :data:`hwflow.tools.targets.TARGETS`.
    """
    by_family: dict[str, list[Part]] = {name: [] for name in TARGETS}
    for part in parts:
        by_family[part.target].append(part)
    found = []
    for name, members in by_family.items():
        if not members:
            continue
        result = predict_resources(design, TARGETS[name])
        ordered = sorted(members, key=lambda part: (part.lut is None, part.lut))
        held = [PartFit(part, uses(part, result.total), fits(part, result.total)) for part in ordered]
        found.append(FamilyEstimate(name, result.total, result.layers, held))
    return found


def microcontrollers(graph: QuantGraph, chosen: Iterable[Mcu]) -> tuple[list[McuEstimate], str]:
    """Cost on microcontrollers, or why there is none."""
    try:
        program = lower(graph)
    except UserError as error:
        return [], error.message
    return [estimate_mcu(graph, mcu, program=program) for mcu in chosen], ""


def fpga_metrics(found: Iterable[FamilyEstimate], cycles: Cycles, period: float) -> list[Metric]:
    """The figures under ``cost.<target>``.

    Parameters
    ----------
    found : iterable of FamilyEstimate
        Resources by family.
    cycles : Cycles
        Exact cycles, the same on every family.
    period : float
        Clock period, ns.
    """
    fps = None if cycles.ii is None else 1e9 / (cycles.ii * period)
    speed = {"latency_cycles": cycles.latency, "ii_cycles": cycles.ii, "fps": fps}
    metrics = []
    for one in found:
        for name in RESOURCES:
            value = getattr(one.resources, name)
            reason = "" if value is not None else NATIVE_BLOCKS
            metrics.append(_metric(f"cost.{one.target}.{name}", value, "1", reason))
        metrics += [
            _metric(
                f"cost.{one.target}.{name}", value, _SPEED[name], "" if value else "a single frame has none"
            )
            for name, value in speed.items()
        ]
    return metrics


def mcu_metrics(found: Sequence[McuEstimate], reason: str) -> list[Metric]:
    """The figures under ``mcu.<target>``; without a value, and with the reason, where there are none."""
    if found:
        return [metric for one in found for metric in one.metrics()]
    return [
        _metric(f"mcu.{name}.{figure}", None, unit, reason)
        for name in mcus()
        for figure, unit in _MCU.items()
    ]


def _metric(name: str, value: float | int | None, unit: str, reason: str) -> Metric:
    return Metric(name=name, value=value, unit=unit, kind="estimated", source=_SOURCE, reason=reason)
