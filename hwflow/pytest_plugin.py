# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin, so that a team's own tests can hold designs to their word.

::

    def test_tagger(hwflow_run):
        design = hwflow_run("tagger.yaml")
        assert design.bit_exact
        assert not design.over_budget
        assert design.metrics["rtl.ii_cycles"] <= 16

Installing hwflow is enough; pytest finds the plugin. Runs lie where ``hwflow run`` puts them, ``runs/<name>`` below
pytest's root folder (ini option ``hwflow_runs``), and leave out what has not changed since the last one. Several tests
of a session share one run of a design.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hwflow.budget import BudgetLine
    from hwflow.records import RungRecord

_RUNS = "hwflow_runs"
_SHARED = pytest.StashKey[dict[tuple[Path, bool], "HwflowRun"]]()


@dataclass(frozen=True, slots=True, repr=False)
class HwflowRun:
    """A design that was run and compared.

    Parameters
    ----------
    config, folder : pathlib.Path
        Its file and its run folder.
    rungs : tuple of RungRecord
        Comparisons that were made.
    metrics : dict of str to object
        Figures by name; ``None`` for what could not be had.
    budget : tuple of BudgetLine
        Every limit of the design and what became of it.
    """

    config: Path
    folder: Path
    rungs: tuple[RungRecord, ...]
    metrics: dict[str, Any]
    budget: tuple[BudgetLine, ...]

    @property
    def mismatches(self) -> int:
        """Codes that differ from the golden integers, over all comparisons."""
        return sum(rung.mismatches for rung in self.rungs)

    @property
    def bit_exact(self) -> bool:
        """Whether codes were compared and none differs."""
        return any(rung.values for rung in self.rungs) and self.mismatches == 0

    @property
    def over_budget(self) -> tuple[str, ...]:
        """The broken lines of the budget, in words."""
        return tuple(line.text for line in self.budget if not line.kept)

    @property
    def first_difference(self) -> str:
        """The first difference, of the comparison that tells most; empty where there is none."""
        wrong = [rung for rung in self.rungs if rung.mismatches]
        wrong.sort(key=lambda rung: rung.scope != "layers")
        return "; ".join(
            f"{rung.rung} differs in {rung.mismatches} of {rung.values} codes, first {rung.first_difference}"
            for rung in wrong[:1]
        )

    def __repr__(self) -> str:
        """What pytest shows of it when an assertion fails."""
        verdict = "bit-exact" if self.bit_exact else self.first_difference or "nothing was compared"
        broken = f"; over budget: {', '.join(self.over_budget)}" if self.over_budget else ""
        return f"<{self.config.name}: {verdict}{broken}>"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where runs lie."""
    parser.addini(_RUNS, "folder of hwflow's runs, relative to the root folder", default="runs")


@pytest.fixture
def hwflow_run(request: pytest.FixtureRequest) -> Callable[..., HwflowRun]:
    """Run a design and give what became of it: ``hwflow_run("design.yaml").bit_exact``.

    The function takes the design's file, relative to the test's own folder or to pytest's root folder, and
    ``trust=True`` where its model may run code. A difference or a broken budget does not raise, so that a test can
    look at it; a design that cannot be run fails the test with hwflow's own message.
    """
    config = request.config
    shared = config.stash.setdefault(_SHARED, {})

    def run(design: str | Path, *, trust: bool = False) -> HwflowRun:
        __tracebackhide__ = True
        path = _find(Path(design), request.path.parent, config.rootpath)
        if (path, trust) not in shared:
            folder = config.rootpath / str(config.getini(_RUNS)) / path.stem
            shared[path, trust] = _run(path, folder, trust=trust)
        found = shared[path, trust]
        lines = [
            f"{rung.rung}, {rung.scope}: {rung.mismatches} of {rung.values} codes differ"
            for rung in found.rungs
        ]
        lines += [line.text for line in found.budget]
        request.node.add_report_section(
            "call", "hwflow", "\n".join([repr(found), *lines, f"report: {found.folder}"])
        )
        return found

    return run


def _find(design: Path, *folders: Path) -> Path:
    """A design's file, in the first folder that has it."""
    __tracebackhide__ = True
    for folder in folders:
        if (folder / design).is_file():
            return (folder / design).resolve()
    pytest.fail(f"hwflow: there is no {design} in {' or '.join(map(str, folders))}", pytrace=False)


def _run(path: Path, folder: Path, *, trust: bool) -> HwflowRun:
    """Run a design, after any other process of this session that is at it."""
    __tracebackhide__ = True
    from functools import partial

    from hwflow.budget import budget_lines
    from hwflow.cli.batch import outcome
    from hwflow.cli.run import execute

    with _locked(folder.with_name(f".{folder.name}.lock")):
        done = outcome(path, folder, partial(execute, path, folder, trust=trust), trust=trust, changed=False)
    if done.suite.error is not None:
        pytest.fail(f"hwflow: {done.suite.error}", pytrace=False)
    return HwflowRun(
        path,
        folder,
        tuple(done.suite.rungs),
        {metric.name: metric.value for metric in done.suite.metrics},
        tuple(budget_lines(done.suite.budget, done.suite.metrics)),
    )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for our turn; workers of pytest-xdist may want one design at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
