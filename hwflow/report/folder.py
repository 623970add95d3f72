# SPDX-License-Identifier: Apache-2.0
"""The files of a run folder that the report reads, checked."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwflow.config.schema import DesignConfig
from hwflow.errors import UserError
from hwflow.records import (
    CostRecord,
    EvaluationRecord,
    FacesRecord,
    FamilyRecord,
    LayerRecord,
    Metric,
    RungRecord,
    StudyRecord,
    read_cost,
    read_evaluations,
    read_faces,
    read_layers,
    read_metrics,
    read_rungs,
    read_study,
    read_synthesis,
)

T = TypeVar("T")

_AGAIN = "run the design again: `hwflow run CONFIG --fresh`"
#: Records under ``synth/`` that are no family's.
_VENDOR = ("vivado", "vitis")
STUDY = "study.json"
_PNG = b"\x89PNG\r\n\x1a\n"


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Platform(_Part):
    """Kind of machine."""

    system: str = ""
    machine: str = ""


class GitState(_Part):
    """Checkout that hwflow ran from."""

    commit: str
    dirty: bool


class ConfigState(_Part):
    """The design's file."""

    sha256: str
    resolved: DesignConfig


class Circumstances(_Part):
    """What differs between equal runs."""

    started: str = ""
    host: str = ""
    cores: int | None = None
    step_seconds: dict[str, float] = {}


class Manifest(_Part):
    """``manifest.json``, as far as the report shows it."""

    layout: Literal[1] = Field(alias="schema")
    status: str
    argv: list[str]
    versions: dict[str, str | None]
    platform: Platform = Platform()
    git: GitState | None = None
    seeds: dict[str, int] = {}
    config: ConfigState
    artifacts: dict[str, str] = {}
    when_and_where: Circumstances = Circumstances()


class Port(_Part):
    """A stream at the border of the accelerator."""

    tensor: str
    shape: list[int]
    type: tuple[int, int, int]
    lanes: int
    lane_width: int
    tdata_width: int
    beats_per_frame: int


class Reset(_Part):
    """The reset signal."""

    name: str
    active: str
    synchronous: bool


class Interface(_Part):
    """``rtl/interface.json``, as far as the report shows it."""

    top: str
    graph_sha256: str
    clock: str
    reset: Reset
    ii_bound_cycles: int
    bottleneck: str
    inputs: list[Port]
    outputs: list[Port]


class Routed(_Part):
    """A design as it lies in a device."""

    resources: dict[str, int | None]
    fmax_mhz: float


class Synthesis(_Part):
    """``synth/<family>.json``, as `hwflow synth` leaves it in a run folder."""

    total: dict[str, int | None]
    layers: dict[str, dict[str, int | None]]
    routed: Routed | None


@dataclass(frozen=True)
class RunFiles:
    """Content of a run folder; ``None`` for what the run did not write.

    Parameters
    ----------
    path : pathlib.Path
        The run folder.
    manifest : Manifest
        What made the run.
    metrics : list of Metric
        All figures.
    layers : list of LayerRecord or None
        Nodes of the accelerator.
    rungs : list of RungRecord or None
        Comparisons that were made.
    faces : FacesRecord or None
        Face verification.
    pictures : list of str
        The pictures of ``faces`` as ``data:`` URIs.
    interface : Interface or None
        Ports of the accelerator.
    cost : CostRecord or None
        What the design is predicted to cost.
    synthesis : dict of str to FamilyRecord
        Resources by synthesis, by FPGA family.
    routed : dict of str to Routed
        Place and route, by FPGA family.
    evaluations : dict of str to list of EvaluationRecord
        Face verification on further sets, by folder.
    """

    path: Path
    manifest: Manifest
    metrics: list[Metric]
    layers: list[LayerRecord] | None
    rungs: list[RungRecord] | None
    faces: FacesRecord | None
    pictures: list[str]
    interface: Interface | None
    cost: CostRecord | None
    synthesis: dict[str, FamilyRecord]
    routed: dict[str, Routed]
    evaluations: dict[str, list[EvaluationRecord]]

    @property
    def config(self) -> DesignConfig:
        """The design, defaults filled in."""
        return self.manifest.config.resolved

    @cached_property
    def by_name(self) -> dict[str, Metric]:
        """Metrics by name."""
        return {metric.name: metric for metric in self.metrics}

    def number(self, name: str) -> float | None:
        """Value of a metric, ``None`` when it is missing or no number."""
        value = self.by_name[name].value if name in self.by_name else None
        return value if isinstance(value, int | float) else None


def read_run(path: Path) -> RunFiles:
    """Read a run folder.

    Parameters
    ----------
    path : pathlib.Path
        The folder.

    Returns
    -------
    RunFiles

    Raises
    ------
    UserError
        When it is no run folder, holds no metrics, or a file is damaged or from another version.
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a folder", "name the folder that `hwflow run` wrote")
    if not (path / "manifest.json").is_file():
        raise UserError(
            f"{path} is not a run folder: it holds no manifest.json",
            "name the folder that `hwflow run` wrote, or that of a study that has ended",
        )
    manifest = _read(path / "manifest.json", lambda file: Manifest.model_validate_json(file.read_bytes()))
    metrics = _read(path / "metrics.json", read_metrics)
    if manifest is None or metrics is None:
        raise UserError(f"{path} holds no metrics.json: no step of the run is done", _AGAIN)
    faces = _read(path / "faces" / "faces.json", read_faces)
    synthesis, routed = _syntheses(path)
    return RunFiles(
        path=path,
        manifest=manifest,
        metrics=metrics,
        layers=_read(path / "graph" / "layers.json", _layers),
        rungs=_read(path / "verify.json", read_rungs),
        faces=faces,
        pictures=[_picture(path, name) for name in faces.pictures] if faces else [],
        interface=_read(
            path / "rtl" / "interface.json", lambda file: Interface.model_validate_json(file.read_bytes())
        ),
        cost=_read(path / "cost.json", read_cost),
        synthesis=synthesis,
        routed=routed,
        evaluations={
            file.parent.name: records
            for file in sorted(path.glob("evaluation/*/evaluation.json"))
            if (records := _read(file, read_evaluations))
        },
    )


def _layers(path: Path) -> list[LayerRecord]:
    """Layers, each after those it reads."""
    layers, known = read_layers(path), set[str]()
    for layer in layers:
        if unknown := set(layer.inputs) - known:
            raise ValueError(f"{layer.name} reads {sorted(unknown)}, which do not come before it")
        known.add(layer.name)
    return layers


def _syntheses(path: Path) -> tuple[dict[str, FamilyRecord], dict[str, Routed]]:
    """Resources as the run's own step counted them, and as later commands did."""
    found = _read(path / "synth.json", read_synthesis) or {}
    routed: dict[str, Routed] = {}
    for file in sorted(path.glob("synth/*.json")):
        if file.stem in _VENDOR:
            continue
        record = _read(file, lambda file: Synthesis.model_validate_json(file.read_bytes()))
        if record is not None:
            found.setdefault(file.stem, FamilyRecord(total=record.total, layers=record.layers))
            if record.routed:
                routed[file.stem] = record.routed
    return found, routed


def is_study(path: Path) -> bool:
    """Whether a folder is one that `hwflow explore` wrote."""
    return (path / STUDY).is_file()


def read_study_folder(path: Path) -> StudyRecord:
    """Read the folder of a study.

    Raises
    ------
    UserError
        When it holds no finished study, or the file is damaged.
    """
    record = _read(path / STUDY, read_study, "explore again: `hwflow explore STUDY`")
    if record is None:
        raise UserError(f"{path} holds no {STUDY}", "name the folder that `hwflow explore` wrote")
    return record


def _read(path: Path, reader: Callable[[Path], T], remedy: str = _AGAIN) -> T | None:
    """Content of a file, ``None`` when there is none."""
    if not path.is_file():
        return None
    try:
        return reader(path)
    except ValueError as error:
        raise UserError(
            f"{path} is damaged or was written by another version of hwflow: {first_fault(error)}",
            remedy,
        ) from error


def first_fault(error: ValueError) -> str:
    """The first thing that is wrong with a file, on one line."""
    if not isinstance(error, ValidationError):
        return str(error)
    fault = error.errors()[0]
    return ": ".join(filter(None, [".".join(map(str, fault["loc"])), fault["msg"]]))


def _picture(folder: Path, name: str) -> str:
    """A picture of the run folder as a ``data:`` URI."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise UserError(f"faces.json names {name!r}, which lies outside the run folder", _AGAIN)
    content = path.read_bytes() if path.is_file() else b""
    if not content.startswith(_PNG):
        raise UserError(f"faces.json names {name!r}, which is no PNG picture", _AGAIN)
    return "data:image/png;base64," + b64encode(content).decode()
