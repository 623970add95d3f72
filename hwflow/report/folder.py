# SPDX-License-Identifier: Apache-2.0
"""The files of a run folder that the report reads, checked."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from hwflow.config.schema import DesignConfig
from hwflow.errors import UserError
from hwflow.records import (
    FacesRecord,
    LayerRecord,
    Metric,
    RungRecord,
    read_faces,
    read_layers,
    read_metrics,
    read_rungs,
)

T = TypeVar("T")

_AGAIN = "run the design again: `hwflow run CONFIG --fresh`"
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
    """

    path: Path
    manifest: Manifest
    metrics: list[Metric]
    layers: list[LayerRecord] | None
    rungs: list[RungRecord] | None
    faces: FacesRecord | None
    pictures: list[str]
    interface: Interface | None

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
            "name the folder that `hwflow run` wrote",
        )
    manifest = _read(path / "manifest.json", lambda file: Manifest.model_validate_json(file.read_bytes()))
    metrics = _read(path / "metrics.json", read_metrics)
    if manifest is None or metrics is None:
        raise UserError(f"{path} holds no metrics.json: no step of the run is done", _AGAIN)
    faces = _read(path / "faces" / "faces.json", read_faces)
    return RunFiles(
        path=path,
        manifest=manifest,
        metrics=metrics,
        layers=_read(path / "graph" / "layers.json", read_layers),
        rungs=_read(path / "verify.json", read_rungs),
        faces=faces,
        pictures=[_picture(path, name) for name in faces.pictures] if faces else [],
        interface=_read(
            path / "rtl" / "interface.json", lambda file: Interface.model_validate_json(file.read_bytes())
        ),
    )


def _read(path: Path, reader: Callable[[Path], T]) -> T | None:
    """Content of a file, ``None`` when there is none."""
    if not path.is_file():
        return None
    try:
        return reader(path)
    except ValueError as error:
        raise UserError(
            f"{path} is damaged or was written by another version of hwflow: {error}",
            _AGAIN,
        ) from error


def _picture(folder: Path, name: str) -> str:
    """A picture of the run folder as a ``data:`` URI."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise UserError(f"faces.json names {name!r}, which lies outside the run folder", _AGAIN)
    content = path.read_bytes() if path.is_file() else b""
    if not content.startswith(_PNG):
        raise UserError(f"faces.json names {name!r}, which is no PNG picture", _AGAIN)
    return "data:image/png;base64," + b64encode(content).decode()
