# SPDX-License-Identifier: Apache-2.0
"""Calibration of the resource model: synthesis of the sweep, the fit, and how well held-out modules are predicted.

Every module of the sweep belongs to one of two halves by its content, before anything is fitted: a quarter is held
out and only predicted. Coefficients minimise the relative error over the others (Huber's loss: squares of small
errors, sizes of large ones, so that one odd module does not bend all others), none below zero, drawn towards 1, what
the structure would take by itself.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.optimize import nnls

from hwflow.cost.resources import COEFFICIENTS, block_parameters, coefficients, structure, weigh
from hwflow.cost.sweep import Point, points
from hwflow.emit.design import Design
from hwflow.ops.costkit import Contents, Parameters
from hwflow.synth.batch import synthesize_batch
from hwflow.synth.modules import last_beat_counters, module_job
from hwflow.tools.targets import TARGETS, Resources, Target

#: Measured modules.
SWEEP = "data/resource_sweep.csv"
#: Measured modules of whole networks, which take no part in the fit.
NETWORKS = "data/resource_networks.csv"
#: Modules synthesized in one run of Yosys.
_BATCH = 12
#: Modules of more flip-flops take Yosys minutes each and are left out.
_LARGEST = 2500
#: Weight of the pull towards 1, in modules a feature.
_PULL = 0.15
#: Errors count from this size on: one LUT of four is no 25 %.
_LEAST = 8
#: Relative error from which on an error counts by its size, not its square, and rounds of the fit that find them.
_OUTLIER, _ROUNDS = 0.2, 12
#: Families with few modules of their own start from the coefficients of a relative.
RELATIVES = {"xcup": "xc7", "xcup-uram": "xc7", "nexus": "ecp5", "gowin": "ecp5", "ice40": "ecp5"}
_HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# LUTs a unit of each feature takes, by family. Written by `hwflow estimate --calibrate`.
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """A synthesized module.

    Parameters
    ----------
    point : str
        Where it comes from.
    module : str
        SystemVerilog module; generated ones without their hash.
    parameters : mapping
        What the model knows of it.
    measured : mapping of str to Resources
        By family.
    """

    point: str
    module: str
    parameters: Parameters
    measured: Mapping[str, Resources]

    @property
    def held_out(self) -> bool:
        """Whether it is only predicted; by its content, so that equal modules are on one side."""
        text = self.module + _json(self.parameters)
        return hashlib.sha256(text.encode()).digest()[0] % 4 == 0


@dataclass(frozen=True, slots=True)
class Errors:
    """How a family's modules are predicted.

    Parameters
    ----------
    count : int
        Modules.
    lut, ff : tuple of float
        Median and 90th percentile of the relative error.
    dsp, bram : float
        Share of modules predicted exactly.
    """

    count: int
    lut: tuple[float, float]
    ff: tuple[float, float]
    dsp: float
    bram: float


def _json(parameters: Parameters) -> str:
    def plain(value: object) -> object:
        if not isinstance(value, Contents):
            return value
        trivial = bool((value.columns == np.arange(1, value.width + 1)).all())
        columns = {"width": value.width} if trivial else {"columns": value.columns.tolist()}
        return {"depth": value.depth} | columns

    return json.dumps({key: plain(value) for key, value in parameters.items()}, separators=(",", ":"))


def _parameters(text: str) -> Parameters:
    def full(value: Any) -> int | tuple[int, ...] | Contents:
        if isinstance(value, dict):
            columns = value.get("columns") or range(1, int(value.get("width", 0)) + 1)
            return Contents(int(value["depth"]), np.array(columns, dtype=np.int64))
        return tuple(value) if isinstance(value, list) else int(value)

    return {key: full(value) for key, value in json.loads(text).items()}


def write_samples(samples: Iterable[Sample]) -> str:
    """The sweep as a table: a row a module, a column a family with LUT, FF, DSP, memory cells and memory units."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["point", "module", "parameters", *TARGETS])
    for sample in samples:
        cells = []
        for name in TARGETS:
            found = sample.measured.get(name)
            units = "" if found is None or found.bram18 is None else f" {found.bram18}"
            cells.append("" if found is None else f"{found.lut} {found.ff} {found.dsp} {found.bram}{units}")
        writer.writerow([sample.point, sample.module, _json(sample.parameters), *cells])
    return out.getvalue()


@cache
def committed() -> tuple[Sample, ...]:
    """The measured sweep that comes with hwflow."""
    return _read(SWEEP)


@cache
def networks() -> dict[str, tuple[Sample, ...]]:
    """Measured modules of networks, every instance, by network."""
    found: dict[str, tuple[Sample, ...]] = {}
    for sample in _read(NETWORKS):
        name = sample.point.partition("/")[0]
        found[name] = (*found.get(name, ()), sample)
    return found


def _read(name: str) -> tuple[Sample, ...]:
    text = resources.files("hwflow.cost").joinpath(name).read_text()
    csv.field_size_limit(1 << 24)
    return tuple(_sample(row) for row in csv.DictReader(io.StringIO(text)))


def _sample(row: Mapping[str, str]) -> Sample:
    measured = {}
    for name in TARGETS:
        if row[name]:
            lut, ff, dsp, bram, *units = map(int, row[name].split())
            measured[name] = Resources(lut, ff, dsp, bram, units[0] if units else None)
    return Sample(row["point"], row["module"], _parameters(row["parameters"]), measured)


def fit(
    samples: Sequence[Sample], target: Target, prior: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Coefficients of a family.

    Parameters
    ----------
    samples : sequence of Sample
        Modules measured on this family.
    target : Target
        The family.
    prior : mapping of str to float, optional
        Coefficients the fit is drawn to; 1 where there are none.
    """
    counted = [structure(sample.module, sample.parameters, target).luts for sample in samples]
    features = sorted({*(prior or {}), *(name for one in counted for name in one)})
    scale = np.array([max(sample.measured[target.name].lut, _LEAST) for sample in samples], dtype=float)
    matrix = np.array([[one.get(name, 0.0) for name in features] for one in counted]).reshape(
        -1, len(features)
    )
    wanted = np.array([sample.measured[target.name].lut for sample in samples], dtype=float)
    pull = _PULL * np.sqrt(max(len(samples), 100) / 100)
    centre = np.array([(prior or {}).get(name, 1.0) for name in features])
    rows, relative = matrix / scale[:, None], wanted / scale
    weight = np.ones(len(samples))
    for _ in range(_ROUNDS):
        left = np.vstack([rows * weight[:, None], pull * np.eye(len(features))])
        right = np.concatenate([relative * weight, pull * centre])
        found, _ = nnls(left, right, maxiter=100 * len(features))
        weight = np.sqrt(np.minimum(1, _OUTLIER / np.maximum(abs(rows @ found - relative), 1e-9)))
    return {name: round(float(value), 4) for name, value in zip(features, found, strict=True)}


def fit_all(samples: Sequence[Sample], *, everything: bool = False) -> dict[str, dict[str, float]]:
    """Coefficients of every family, from the modules that are not held out (or from all)."""
    found: dict[str, dict[str, float]] = {}
    for name in sorted(TARGETS, key=lambda name: name in RELATIVES):
        some = [
            sample for sample in samples if name in sample.measured and (everything or not sample.held_out)
        ]
        found[name] = fit(some, TARGETS[name], found.get(RELATIVES.get(name, "")))
    return found


def errors(samples: Sequence[Sample], target: Target, weights: Mapping[str, float] | None = None) -> Errors:
    """Errors of the prediction of these modules on a family."""
    pairs = [
        (
            weigh(structure(sample.module, sample.parameters, target), target, weights),
            sample.measured[target.name],
        )
        for sample in samples
        if target.name in sample.measured
    ]

    def spread(name: str) -> tuple[float, float]:
        found = [
            abs(getattr(one, name) - getattr(two, name)) / max(getattr(two, name), 1) for one, two in pairs
        ]
        return float(np.median(found)), float(np.quantile(found, 0.9))

    return Errors(
        len(pairs),
        spread("lut"),
        spread("ff"),
        sum(one.dsp == two.dsp for one, two in pairs) / len(pairs),
        sum((one.bram, one.bram18) == (two.bram, two.bram18) for one, two in pairs) / len(pairs),
    )


def measure(chosen: Sequence[Point], names: Sequence[str], logs: Path) -> list[Sample]:
    """Synthesize modules.

    Parameters
    ----------
    chosen : sequence of Point
        The modules.
    names : sequence of str
        Families.
    logs : pathlib.Path
        Folder for Yosys' output.
    """
    logs.mkdir(parents=True, exist_ok=True)
    jobs = [module_job(point.block, point.design) for point in chosen]
    distinct = {job.key(TARGETS[names[0]]): number for number, job in reversed([*enumerate(jobs)])}
    order = sorted(distinct.values())
    measured: dict[int, dict[str, Resources]] = {number: {} for number in order}
    for start in range(0, len(order), _BATCH):
        part = order[start : start + _BATCH]
        for name in names:
            results = synthesize_batch(
                [jobs[number] for number in part], TARGETS[name], logs / f"{name}-{start}.log"
            )
            for number, result in zip(part, results, strict=True):
                measured[number][name] = result.resources
    return [
        sample_of(point, measured[distinct[job.key(TARGETS[names[0]])]])
        for point, job in zip(chosen, jobs, strict=True)
    ]


def small(some: Iterable[Point]) -> Iterator[Point]:
    """Those that Yosys synthesizes in seconds."""
    for point in some:
        parameters = block_parameters(point.block, point.design)
        if structure(point.block.module, parameters, TARGETS["ecp5"]).ff <= _LARGEST:
            yield point


def sample_of(point: Point, measured: Mapping[str, Resources]) -> Sample:
    """A point with what was measured of it."""
    generated = point.block.module in point.design.sources
    module = "hwf_da" if generated else point.block.module
    return Sample(point.name, module, block_parameters(point.block, point.design), measured)


def network_points(name: str, design: Design) -> list[Point]:
    """Every module instance of a network."""
    blocks = [*design.blocks, *last_beat_counters(design)]
    return [Point(f"{name}/{block.label.removeprefix('u_')}", block, design) for block in blocks]


def write_coefficients(found: Mapping[str, Mapping[str, float]]) -> str:
    """The coefficients as a file."""
    return _HEAD + yaml.safe_dump({name: dict(one) for name, one in found.items()}, sort_keys=True)


def calibrate(folder: Path, names: Sequence[str], logs: Path, design: Design) -> None:
    """Synthesize the sweep and a network, and write them with the coefficients fitted to the sweep.

    Modules of networks that the sweep holds stay in it as they are.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the package ``hwflow.cost``.
    names : sequence of str
        Families.
    logs : pathlib.Path
        Folder for Yosys' output.
    design : Design
        A network to predict; it replaces measurements of one of the same name.
    """
    kept = [sample for sample in committed() if not sample.point.startswith(("case/", "drawn/"))]
    samples = [*measure([*small(points())], names, logs), *kept]
    (folder / SWEEP).write_text(write_samples(samples))
    (folder / COEFFICIENTS).write_text(write_coefficients(fit_all(samples)))
    measured = measure(network_points(design.name, design), names, logs / "network")
    others = [sample for name, some in networks().items() if name != design.name for sample in some]
    (folder / NETWORKS).write_text(write_samples([*others, *measured]))
    for read in (committed, networks, coefficients):
        read.cache_clear()
