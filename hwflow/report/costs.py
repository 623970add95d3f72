# SPDX-License-Identifier: Apache-2.0
"""What a design costs, for the report: predictions beside measurements, parts and microcontrollers that hold it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hwflow.records import FamilyRecord, LayerRecord, McuRecord, PartRecord
from hwflow.report.folder import RunFiles

#: Resources with their names, in the order of tables.
RESOURCES = {
    "lut": "LUT", "ff": "FF", "dsp": "DSP", "bram18": "block RAM (18 Kb)", "bram": "block RAM", "uram": "UltraRAM",
}  # fmt: skip
#: What a part is said to have: its memory blocks are those that its family is counted by.
PARTS_HAVE = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram": "block RAM", "uram": "UltraRAM"}
_CYCLES = {"latency_cycles": "Latency", "ii_cycles": "Initiation interval"}
_HOW = {"rtl": "simulated RTL", "synth": "synthesized, layer by layer", "routed": "placed and routed, whole"}


@dataclass(frozen=True, slots=True)
class Pair:
    """An estimate beside what was measured.

    Parameters
    ----------
    name, unit, how : str
        What it is, its unit, and how it was measured.
    estimate, measured : float
        The two.
    """

    name: str
    unit: str
    how: str
    estimate: float
    measured: float

    @property
    def error(self) -> float | None:
        """Estimate less measurement, as a share of that; None where that is zero and the estimate is not."""
        if self.measured:
            return (self.estimate - self.measured) / self.measured
        return None if self.estimate else 0.0


def pairs(run: RunFiles) -> list[Pair]:
    """All that a run predicted and then measured."""
    return [*_cycle_pairs(run), *_resource_pairs(run)]


def _cycle_pairs(run: RunFiles) -> Iterator[Pair]:
    for figure, name in _CYCLES.items():
        measured = run.number(f"rtl.{figure}")
        estimates = (
            (run.number(f"cost.{family}.{figure}") for family in run.cost.families) if run.cost else ()
        )
        estimate = next((value for value in estimates if value is not None), None)  # the same on every family
        if estimate is not None and measured is not None:
            yield Pair(name, "cycles", _HOW["rtl"], estimate, measured)


def _resource_pairs(run: RunFiles) -> Iterator[Pair]:
    for family, predicted in (run.cost.families if run.cost else {}).items():
        counted = [("synth", run.synthesis[family].total)] if family in run.synthesis else []
        counted += [("routed", run.routed[family].resources)] if family in run.routed else []
        for how, total in counted:
            for resource in counts(predicted):
                estimate, measured = predicted.total.get(resource), total.get(resource)
                if estimate is not None and measured is not None and (estimate or measured):
                    yield Pair(f"{RESOURCES[resource]}, {family}", "", _HOW[how], estimate, measured)


def counts(family: FamilyRecord) -> list[str]:
    """Resources by which a family is counted: memories of 18 Kb, or native ones where it has smaller ones."""
    without = "bram" if family.total.get("bram18") is not None else "bram18"
    return [name for name in RESOURCES if name != without and name in family.total]


@dataclass(frozen=True, slots=True)
class PartRow:
    """A design on an FPGA part; ``shares`` are what it takes of each of :data:`PARTS_HAVE`, None where not known."""

    family: str
    record: PartRecord
    shares: dict[str, float | None]

    @property
    def tightest(self) -> float:
        """The largest share that is known."""
        return max((share for share in self.shares.values() if share is not None), default=0.0)


def part_rows(run: RunFiles) -> list[PartRow]:
    """All parts, family by family."""
    return [
        PartRow(
            family,
            part,
            {use.resource.replace("18", ""): _share(use.used, use.available) for use in part.uses},
        )
        for family, found in (run.cost.families if run.cost else {}).items()
        for part in found.parts
    ]


def _share(used: int, available: int | None) -> float | None:
    if available is None:
        return None
    return used / available if available else float("inf") if used else 0.0


def mcu_rows(run: RunFiles) -> list[tuple[McuRecord, float | None, float | None]]:
    """All microcontrollers with the shares of flash and RAM that the network takes."""
    return [
        (mcu, _share(mcu.flash_bytes, mcu.flash_available), _share(mcu.ram_bytes, mcu.ram_available))
        for mcu in (run.cost.mcus if run.cost else [])
    ]


def shown_family(run: RunFiles) -> str:
    """The family that resources of layers are shown for: one that was synthesized, or that of the design's part."""
    known = run.cost.families if run.cost else run.synthesis
    asked = [*run.config.Hwflow.Synth, *run.synthesis]
    held = [
        family
        for family, found in known.items()
        if any(run.config.Part.startswith(part.part) for part in found.parts)
    ]
    return next((family for family in (*asked, *held, *known) if family in known), "")


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One resource of all layers.

    Parameters
    ----------
    resource, name : str
        Key, and name with the family.
    values : list of int or None
        One a layer: as synthesized where that is known, else as predicted.
    predicted : list of int or None
        The predictions beside synthesized values; empty where there are none of those.
    """

    resource: str
    name: str
    values: list[int | None]
    predicted: list[int | None]


def layer_costs(run: RunFiles, layers: Sequence[LayerRecord]) -> list[LayerCost]:
    """Resources of single layers on the family that is shown."""
    family = shown_family(run)
    predicted = run.cost.families.get(family) if run.cost else None
    counted = run.synthesis.get(family)
    first = counted or predicted
    if first is None:
        return []
    found = []
    for resource in counts(first):
        values = [first.layers.get(layer.name, {}).get(resource) for layer in layers]
        beside = [predicted.layers.get(layer.name, {}).get(resource) for layer in layers] if predicted else []
        name = f"{RESOURCES[resource]}, {family} {'synthesized' if counted else 'predicted'}"
        found.append(LayerCost(resource, name, values, beside if counted else []))
    return found


def layer_errors(cost: LayerCost, layers: Sequence[LayerRecord]) -> list[tuple[str, float, float]]:
    """Layer, prediction and synthesized count where both are above zero."""
    rows = zip(layers, cost.predicted, cost.values, strict=True) if cost.predicted else ()
    return [(layer.name, guess, count) for layer, guess, count in rows if guess and count]


def median_error(rows: Sequence[tuple[str, float, float]]) -> float:
    """Median of the relative errors, their signs dropped."""
    return statistics.median(abs(guess - count) / count for _, guess, count in rows)
