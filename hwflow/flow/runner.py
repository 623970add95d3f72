# SPDX-License-Identifier: Apache-2.0
"""Run the steps of a design in order, leaving out what is up to date."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import hwflow
from hwflow import log
from hwflow.budget import budget_lines
from hwflow.config.schema import DesignConfig
from hwflow.errors import BudgetError, ConfigError, HwflowError, InternalError, did_you_mean
from hwflow.flow.context import Context
from hwflow.flow.folder import RunFolder, Stamp, sha256
from hwflow.flow.manifest import build_manifest, write_manifest
from hwflow.flow.progress import LogProgress, Progress
from hwflow.records import Metric
from hwflow.tools.paths import package_dir
from hwflow.tools.versions import package_version, require_for

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run.

    Parameters
    ----------
    name : str
        Its name.
    run : callable
        Does the work; reads and writes files of the run folder only.
    inputs : callable
        What the result depends on besides earlier steps, as JSON values: parts of the configuration,
        checksums of files outside the run folder.
    outputs : tuple of str
        Files and folders it writes, relative to the run folder; removed before it runs.
    needs : tuple of str
        Earlier steps whose outputs it reads.
    code : tuple of str
        Subpackages and modules of hwflow whose source decides the result.
    packages : tuple of str
        Distributions whose version decides the result.
    metrics : tuple of str
        Names of the figures it records, all that a budget can be set for.
    """

    name: str
    run: Callable[[Context], None]
    inputs: Callable[[Context], Any]
    outputs: tuple[str, ...]
    needs: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


@dataclass(slots=True)
class RunResult:
    """What a run left.

    Parameters
    ----------
    folder : pathlib.Path
        The run folder.
    metrics : list of Metric
        All figures.
    seconds : dict
        Time of each step, s; of a reused one, what it once took.
    reused : list of str
        Steps that were up to date.
    """

    folder: Path
    metrics: list[Metric] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    reused: list[str] = field(default_factory=list)


class Flow:
    """Runs steps in order.

    Parameters
    ----------
    steps : sequence of Step
        All steps, each after those it needs.
    finish : callable, optional
        Called with the run folder once all steps are done and recorded, also where they found a fault.
    failed : callable, optional
        Called with the run folder and the error when a step could not be done.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        finish: Callable[[Path], object] | None = None,
        failed: Callable[[Path, BaseException], object] | None = None,
    ) -> None:
        names: list[str] = []
        for step in steps:
            if unknown := set(step.needs) - set(names):
                raise InternalError(f"step {step.name} needs {sorted(unknown)}, which do not come before it")
            names.append(step.name)
        self.steps = tuple(steps)
        self.names = tuple(names)
        self.finish = finish
        self.failed = failed

    def run(
        self,
        config: DesignConfig,
        *,
        config_path: Path,
        out: Path,
        first: str | None = None,
        last: str | None = None,
        fresh: bool = False,
        trust: bool = False,
        argv: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> RunResult:
        """Bring a run folder up to date.

        Parameters
        ----------
        config : DesignConfig
            The design.
        config_path : pathlib.Path
            Its file.
        out : pathlib.Path
            The run folder.
        first : str, optional
            Step that runs in any case, and every one after it; earlier ones run only where needed.
        last : str, optional
            Step to stop after.
        fresh : bool
            Forget an earlier run.
        trust : bool
            Whether code that comes with a model may run.
        argv : sequence of str
            Command line, for the manifest.
        progress : Progress, optional
            Where to show how far the run is.

        Returns
        -------
        RunResult

        Raises
        ------
        UserError
            When the input is wrong; a folder that was new is gone again then.
        BudgetError
            When the design breaks its budget.
        """
        steps, forced = self._choose(first, last)
        self._check_budget_names(config)
        require_for(step.name for step in steps)
        progress = progress or LogProgress()
        folder = RunFolder(out)
        with folder.opened(fresh=fresh):
            context = Context(
                config,
                config_path.absolute().parent,
                folder.path,
                trust or config.Hwflow.Model.Trust,
                progress,
            )
            book = _Book(config, config_path, argv, folder)
            with _logging_to(folder.path / "hwflow.log"), book.noting_failure(self.steps[-1], self.failed):
                result = self._run_steps(context, folder, book, steps, forced)
                whole = steps[-1] is self.steps[-1]
                book.write("complete" if whole else "partial")
                if whole and self.finish is not None:
                    self.finish(folder.path)
                if context.deferred:
                    check_budget(config, result.metrics, context.deferred[0])
        if whole:
            check_budget(config, result.metrics)
        return result

    def _choose(self, first: str | None, last: str | None) -> tuple[tuple[Step, ...], set[str]]:
        """The steps up to ``last``, and the names of those that run in any case."""
        for name in (first, last):
            if name is not None and name not in self.names:
                raise ConfigError(f"there is no step {name!r}", did_you_mean(name, self.names))
        begin = self.names.index(first) if first else len(self.names)
        end = self.names.index(last) if last else len(self.names) - 1
        if first and begin > end:
            raise ConfigError(f"step {first!r} comes after {last!r}", f"the order is {', '.join(self.names)}")
        return self.steps[: end + 1], set(self.names[begin:])

    def _check_budget_names(self, config: DesignConfig) -> None:
        """A budget for what no step records is a slip of the pen; better told before than after the run."""
        known = [name for step in self.steps for name in step.metrics]
        for name in config.Hwflow.Budget:
            if name not in known:
                raise ConfigError(
                    f"Hwflow.Budget.{name}: the run has no such figure", did_you_mean(name, known)
                )

    def _run_steps(
        self, context: Context, folder: RunFolder, book: _Book, steps: Sequence[Step], forced: set[str]
    ) -> RunResult:
        result = RunResult(folder.path)
        for number, step in enumerate(steps):
            context.progress.step(number, len(steps), step.name)
            logger.debug("step %s", step.name)
            context.step = step.name
            key = step_key(step, context, book.stamps)
            stamp = None if step.name in forced else folder.stamp(step.name)
            if stamp is not None and stamp.key == key:
                result.reused.append(step.name)
            else:
                try:
                    stamp = _run_step(step, context, folder, key)
                finally:  # figures of a step that found a fault count too
                    folder.merge_metrics([*book.stamps, step.name])
            context.progress.done(step.name, stamp.seconds, reused=step.name in result.reused)
            result.seconds[step.name] = stamp.seconds
            book.stamps[step.name] = stamp
            result.metrics = folder.merge_metrics(book.stamps)
            book.write("running")
        return result


def _run_step(step: Step, context: Context, folder: RunFolder, key: str) -> Stamp:
    """Do one step's work and stamp it."""
    folder.clear(step.name, step.outputs)
    context.metrics = []
    deferred = len(context.deferred)
    start = time.monotonic()
    try:
        step.run(context)
    finally:
        folder.write_step_metrics(step.name, context.metrics)
    seconds = time.monotonic() - start
    if strange := sorted({metric.name for metric in context.metrics} - set(step.metrics)):
        raise InternalError(f"step {step.name} records {', '.join(strange)} without having said so")
    missing = [name for name in step.outputs if not (folder.path / name).exists()]
    if missing:
        raise InternalError(f"step {step.name} did not write {', '.join(missing)}")
    stamp = folder.make_stamp(step.name, key, step.outputs, seconds)
    if len(context.deferred) == deferred:  # a step that found a fault runs again next time
        folder.save_stamp(step.name, stamp)
    return stamp


def step_key(step: Step, context: Context, stamps: dict[str, Stamp]) -> str:
    """Hash of all that decides a step's result."""
    content = {
        "step": step.name,
        "hwflow": hwflow.__version__,
        "code": {name: code_hash(name) for name in step.code},
        "packages": {name: package_version(name) for name in step.packages},
        "inputs": step.inputs(context),
        "needs": {name: stamps[name].digest for name in step.needs},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def code_hash(name: str) -> str:
    """Hash of the source of a subpackage or module of hwflow, data files included."""
    path = package_dir() / name
    return tree_hash(path if path.exists() else path.with_suffix(".py"), package_dir())


def tree_hash(path: Path, root: Path | None = None) -> str:
    """Hash of a file, or of all files below a folder; their names count from ``root`` on, or from ``path``."""
    files = sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        if "__pycache__" not in file.parts:
            digest.update(f"{file.relative_to(root or path)}\0{sha256(file)}\0".encode())
    return digest.hexdigest()


def check_budget(config: DesignConfig, metrics: Sequence[Metric], fault: HwflowError | None = None) -> None:
    """Compare the metrics with the design's budget.

    Parameters
    ----------
    config : DesignConfig
        The design.
    metrics : sequence of Metric
        Figures of its run.
    fault : HwflowError, optional
        What the run found wrong by itself.

    Raises
    ------
    BudgetError
        With every line that is broken. A fault goes before, unless it is what breaks the budget.
    ConfigError
        When the budget names a metric that the run does not have.
    """
    found = {metric.name for metric in metrics}
    budget = config.Hwflow.Budget
    if unknown := [name for name in budget if name not in found and fault is None]:
        name = unknown[0]
        raise ConfigError(f"Hwflow.Budget.{name}: the run has no such metric", did_you_mean(name, found))
    broken = [line for line in budget_lines(budget, metrics) if line.name in found and not line.kept]
    if fault is not None and not any(line.name.endswith(".mismatches") for line in broken):
        raise fault
    if broken:
        lines = "".join(f"\n  - {line}" for line in broken)
        why = f"\n{fault.message}" if fault else ""
        raise BudgetError(f"the design breaks its budget:{lines}{why}", "change the design, or Hwflow.Budget")


#: Ends of a run that say nothing by themselves.
_WORDS: dict[type[BaseException], str] = {KeyboardInterrupt: "interrupted"}


class _Book:
    """Keeps the manifest of a run."""

    def __init__(
        self, config: DesignConfig, config_path: Path, argv: Sequence[str], folder: RunFolder
    ) -> None:
        self.stamps: dict[str, Stamp] = {}
        self._config = config
        self._config_sha256 = sha256(config_path)
        self._argv = tuple(argv)
        self._folder = folder
        self._started = datetime.now(timezone.utc)

    def write(self, status: str) -> None:
        """Write the manifest as of now."""
        manifest = build_manifest(
            self._config,
            argv=self._argv,
            config_sha256=self._config_sha256,
            stamps=self.stamps,
            status=status,
            started=self._started,
        )
        write_manifest(self._folder.path, manifest)

    @contextmanager
    def noting_failure(
        self, final: Step, failed: Callable[[Path, BaseException], object] | None
    ) -> Iterator[None]:
        """Mark the folder when the run fails; what the final step once wrote is no longer true then."""
        try:
            yield
        except BaseException as error:
            logger.debug("the run failed", exc_info=True)
            folder = self._folder
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(folder.path)  # writing tells what is wrong, not where
            message = (
                error.message if isinstance(error, HwflowError) else _WORDS.get(type(error), repr(error))
            )
            with suppress(OSError):  # of a full disk, where this may be the second time that it shows
                if final.name not in self.stamps:
                    folder.clear(final.name, final.outputs)
                    if failed is not None:
                        failed(folder.path, error)
                self.write(f"failed: {message}")
            raise


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    handler = log.add_file(path)
    try:
        yield
    finally:
        log.remove(handler)
