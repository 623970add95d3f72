# SPDX-License-Identifier: Apache-2.0
"""What becomes of a design that is run: a result, an error, or nothing as it passed before."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hwflow.cli.common import told_error
from hwflow.errors import BudgetError, HwflowError, UserError, VerificationError

if TYPE_CHECKING:
    from hwflow.flow.runner import RunResult
    from hwflow.report.junit import Suite

logger = logging.getLogger(__name__)

LAST_STEP, RECORD = "verify", "verify.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a design.

    Parameters
    ----------
    config, folder : pathlib.Path
        Its file and its run folder.
    suite : Suite
        Comparisons and figures, of this run or of the one that passed before.
    result : RunResult or None
        What the run left, where it ended well.
    error : HwflowError or None
        What was wrong.
    since : str
        When the design passed, where nothing had to run.
    """

    config: Path
    folder: Path
    suite: Suite
    result: RunResult | None = None
    error: HwflowError | None = None
    since: str = ""

    @property
    def state(self) -> Literal["done", "failed", "unchanged"]:
        """In a word."""
        return "unchanged" if self.since else "failed" if self.error else "done"


def run_folders(configs: Sequence[Path], out: Path | None) -> dict[Path, Path]:
    """Run folder of each design.

    Raises
    ------
    UserError
        When two designs would share one.
    """
    if out is not None:
        if len(configs) > 1:
            raise UserError("--out is one folder, and there are several designs", "leave it out")
        return {configs[0]: out}
    folders = {config: Path("runs") / config.stem for config in configs}
    by_folder = {folder: config for config, folder in folders.items()}
    for config, folder in folders.items():
        if by_folder[folder] != config:
            raise UserError(
                f"{config} and {by_folder[folder]} would both be run in {folder}", "rename one of them"
            )
    return folders


def outcome(
    config: Path, folder: Path, attempt: Callable[[], RunResult], *, trust: bool, changed: bool
) -> Outcome:
    """Run a design, and remember that it passed.

    Parameters
    ----------
    config, folder : pathlib.Path
        Its file and its run folder.
    attempt : callable
        Runs it.
    trust : bool
        Whether its model may run code.
    changed : bool
        Run it only where it has not passed with the very same inputs.
    """
    from hwflow.flow.ledger import recall, remember
    from hwflow.report.junit import Suite, suite_of

    name, file = config.stem, config.as_posix()
    try:
        budget, before = _known_by(config, trust)
        if changed and before and (known := recall(before)):
            suite = Suite(name, file, known.rungs, known.metrics, budget)
            return Outcome(config, folder, suite, since=known.written)
        result = attempt()
        if LAST_STEP not in result.seconds:  # stopped early
            suite = Suite(name, file, (), result.metrics, seconds=result.seconds)
            return Outcome(config, folder, suite, result)
        suite = suite_of(folder, name, file)
        if before and before == _known_by(config, trust)[1]:
            remember(before, suite.rungs, suite.metrics)
        return Outcome(config, folder, suite, result)
    except Exception as error:
        logger.debug("traceback", exc_info=True)
        told = told_error(error)
    # Only a run that got to its end leaves its comparisons.
    whole = isinstance(told, BudgetError | VerificationError) and (folder / RECORD).is_file()
    return Outcome(
        config, folder, suite_of(folder, name, file) if whole else Suite(name, file, error=told), error=told
    )


def _known_by(config: Path, trust: bool) -> tuple[dict[str, float], str | None]:
    """Budget of a design, and what it is remembered by."""
    from hwflow.config.load import load_config
    from hwflow.flow.ledger import fingerprint

    design = load_config(config)
    trusted = trust or design.Hwflow.Model.Trust
    return design.Hwflow.Budget, fingerprint(design, config.absolute().parent, trust=trusted)
