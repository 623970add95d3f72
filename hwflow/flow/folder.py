# SPDX-License-Identifier: Apache-2.0
"""The run folder: its marker, its lock, and a stamp for each step that is done."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import hwflow
from hwflow.errors import ConfigError, UserError
from hwflow.files import locked, write_text
from hwflow.records import Metric, read_metrics, write_metrics

logger = logging.getLogger(__name__)

FORMAT = 1
"""Version of the folder's layout."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Proof that a step is done.

    Parameters
    ----------
    key : str
        Hash of all that went into the step.
    files : mapping of str to str
        sha256 of each file it wrote, by path relative to the run folder.
    seconds : float
        How long it took, s.
    """

    key: str
    files: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def digest(self) -> str:
        """Hash of everything the step wrote."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()


class RunFolder:
    """A folder that one run owns.

    Parameters
    ----------
    path : pathlib.Path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.steps = self.path / ".steps"
        self.logs = self.path / "logs"
        self._marker = self.steps / "run.json"

    @contextmanager
    def opened(self, *, fresh: bool) -> Iterator[bool]:
        """Own the folder; it is made when it does not exist.

        Parameters
        ----------
        fresh : bool
            Empty the folder first, provided it is a run folder.

        Yields
        ------
        bool
            Whether the folder holds no earlier run. Such a folder is removed again when the user's
            input turns out to be wrong.

        Raises
        ------
        ConfigError
            When the folder is something else, from another version, or in use.
        """
        self._check(fresh)
        existed = self.path.is_dir()
        self.steps.mkdir(parents=True, exist_ok=True)
        with locked(self.path, self.steps / "lock"):
            if fresh:
                self._empty()
            new = not self._marker.is_file()
            write_text(self._marker, json.dumps({"format": FORMAT, "hwflow": hwflow.__version__}) + "\n")
            self.logs.mkdir(exist_ok=True)
            try:
                yield new
            except UserError:
                if new:
                    self._empty()
                    shutil.rmtree(self.steps)
                    if not existed:
                        self.path.rmdir()
                raise

    def _check(self, fresh: bool) -> None:
        """Refuse whatever is not a folder of this version."""
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"{self.path} is a file, not a run folder", "choose another --out")
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return
        if not self.steps.is_dir():
            raise ConfigError(
                f"{self.path} is not a run folder and is not empty",
                "choose another --out; nothing was changed",
            )
        if fresh or not self._marker.is_file():
            return
        remedy = "--fresh makes it anew, or choose another --out"
        try:
            found = json.loads(self._marker.read_text())
            version, layout = found["hwflow"], found["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{self._marker} is damaged: {error!r}", remedy) from error
        if (layout, version) != (FORMAT, hwflow.__version__):
            raise ConfigError(
                f"{self.path} was made by hwflow {version} (format {layout}); "
                f"this is {hwflow.__version__} (format {FORMAT})",
                remedy,
            )

    def _empty(self) -> None:
        """Remove everything but the lock."""
        for entry in [*self.path.iterdir(), *self.steps.iterdir()]:
            if entry not in (self.steps, self.steps / "lock"):
                _remove(entry)

    def stamp(self, step: str) -> Stamp | None:
        """Stamp of a step, ``None`` when it is not done or its files were changed since."""
        try:
            stamp = Stamp(**json.loads((self.steps / f"{step}.json").read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            logger.warning("stamp of step %s cannot be read (%s); the step runs again", step, error)
            return None
        for name, digest in stamp.files.items():
            if not (self.path / name).is_file() or sha256(self.path / name) != digest:
                logger.info("step %s runs again: %s was changed or removed", step, name)
                return None
        return stamp

    def make_stamp(self, step: str, key: str, outputs: Iterable[str], seconds: float) -> Stamp:
        """Stamp of a step that has just run, with the files it wrote."""
        names = [*outputs, self._metrics_file(step).relative_to(self.path).as_posix()]
        files = {
            path.relative_to(self.path).as_posix(): sha256(path)
            for name in names
            for path in _files(self.path / name)
        }
        return Stamp(key, dict(sorted(files.items())), round(seconds, 3))

    def save_stamp(self, step: str, stamp: Stamp) -> None:
        """Record that a step is done."""
        write_text(self.steps / f"{step}.json", json.dumps(asdict(stamp), indent=1) + "\n")

    def clear(self, step: str, outputs: Iterable[str] = ()) -> None:
        """Forget that a step was done, and remove what it wrote."""
        leftovers = [self.steps / f"{step}.json", self._metrics_file(step), self.logs / f"{step}.log"]
        for path in [*leftovers, *(self.path / name for name in outputs)]:
            _remove(path)

    def write_step_metrics(self, step: str, metrics: Iterable[Metric]) -> None:
        """Keep the metrics of one step."""
        write_metrics(self._metrics_file(step), metrics)

    def merge_metrics(self, steps: Iterable[str]) -> list[Metric]:
        """Write ``metrics.json`` from the metrics of the steps that are done."""
        found = [self._metrics_file(step) for step in steps]
        metrics = [metric for path in found if path.is_file() for metric in read_metrics(path)]
        write_metrics(self.path / "metrics.json", metrics)
        return metrics

    def _metrics_file(self, step: str) -> Path:
        return self.steps / f"{step}.metrics.json"


def sha256_if_file(path: Path) -> str | None:
    """Checksum of a file; None where there is none, as of models that have a name."""
    return sha256(path) if path.is_file() else None


def sha256(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    """A file, or all files below a folder."""
    if path.is_dir():
        return sorted(entry for entry in path.rglob("*") if entry.is_file())
    return [path] if path.is_file() else []


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
