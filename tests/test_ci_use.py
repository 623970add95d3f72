# SPDX-License-Identifier: Apache-2.0
"""What guards a team's designs in CI: budgets, JUnit, designs that need not run again, tests of their own."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hwflow.cli.app import app
from hwflow.errors import DeadlockError, ToolError, VerificationError
from hwflow.files import write_text
from hwflow.flow.context import Context
from hwflow.flow.runner import Step
from hwflow.records import Metric, RungRecord, write_records
from hwflow.report.junit import Suite, write_junit

pytest_plugins = ["pytester"]

DESIGN = "Hwflow:\n  Model: {Source: jet-mlp}\n"
BUDGET = "  Budget: {verify.rtl.mismatches: 0, rtl.ii_cycles: 16}\n"
DIFFERENCE = "fc1[0, 4]: expected 7, found 9"


class Toy:
    """A flow of one step, which compares as it is told to."""

    def __init__(self) -> None:
        self.mismatches = 0
        self.cycles = 16
        self.error: Exception | None = None
        self.ran: list[str] = []

    def body(self, context: Context) -> None:
        self.ran.append(context.run_dir.name)
        if self.error is not None:
            raise self.error
        rung = RungRecord(
            rung="rtl",
            scope="layers",
            frames=2,
            values=10,
            mismatches=self.mismatches,
            first_difference=DIFFERENCE if self.mismatches else "",
        )
        write_records(context.run_dir / "verify.json", [rung])
        context.record(
            Metric(name=name, value=value, unit=unit, kind="simulated", source="x", reason=reason)
            for name, value, unit, reason in (
                ("verify.rtl.mismatches", self.mismatches, "1", ""),
                ("verify.netlist.mismatches", None, "1", "switched off"),
                ("rtl.ii_cycles", self.cycles, "cycles", ""),
            )
        )
        if self.mismatches:
            context.fail_at_end(VerificationError(f"rtl differs; first {DIFFERENCE}"))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Toy:
    """Designs run as a toy, in a folder and with a cache of their own."""
    toy = Toy()
    step = Step(
        "verify",
        toy.body,
        lambda context: (context.seed, toy.mismatches, toy.cycles),
        outputs=("verify.json",),
        metrics=("verify.rtl.mismatches", "verify.netlist.mismatches", "rtl.ii_cycles"),
    )
    monkeypatch.setattr("hwflow.flow.steps.STEPS", (step,))
    monkeypatch.setenv("HWFLOW_CACHE", str(tmp_path / "cache"))
    for name in ("package_dir", "sim_dir"):  # hwflow's own files, which change here only when a test says so
        monkeypatch.setattr(f"hwflow.flow.ledger.{name}", lambda: tmp_path / "hwflow")
    (tmp_path / "hwflow").mkdir()
    monkeypatch.chdir(tmp_path)
    return toy


def hwflow(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


# -- budgets -------------------------------------------------------------------------------------------------


def test_the_line_that_broke_the_budget_is_told(toy: Toy, tmp_path: Path) -> None:
    Path("a.yaml").write_text(DESIGN + BUDGET)
    assert hwflow("run", "a.yaml").exit_code == 0
    toy.cycles = 17
    result = hwflow("run", "a.yaml")
    assert result.exit_code == 5
    assert "- rtl.ii_cycles: at most 16 cycles, but 17" in result.stderr
    assert "verify.rtl.mismatches" not in result.stderr
    assert "report: runs/a/report.html" in result.stderr


def test_a_difference_breaks_a_budget_that_names_it(toy: Toy) -> None:
    Path("a.yaml").write_text(DESIGN + BUDGET)
    Path("b.yaml").write_text(DESIGN + "  Budget: {rtl.ii_cycles: 3}\n")
    toy.mismatches = 3
    result = hwflow("run", "a.yaml")
    assert result.exit_code == 5
    assert "- verify.rtl.mismatches: at most 0, but 3" in result.stderr
    assert DIFFERENCE in result.stderr
    result = hwflow("run", "b.yaml")  # not in this one
    assert result.exit_code == 3
    assert DIFFERENCE in result.stderr


def test_verify_shows_its_table_when_the_budget_is_broken(toy: Toy) -> None:
    Path("a.yaml").write_text(DESIGN + "  Budget: {rtl.ii_cycles: 3}\n")
    result = hwflow("verify", "a.yaml")
    assert result.exit_code == 5
    assert "layers" in result.stdout and "at most 3 cycles, but 16" in result.stderr


# -- JUnit ---------------------------------------------------------------------------------------------------


def check_schema(path: Path) -> ET.Element:
    """Hold a file to what Jenkins' junit-10.xsd and GitLab ask for."""
    root = ET.parse(path).getroot()
    assert root.tag == "testsuites"
    assert set(root.keys()) == {"name", "tests", "failures", "errors", "time"}
    assert {child.tag for child in root} <= {"testsuite"}
    names: set[tuple[str, str]] = set()
    for suite in root:
        wanted = {"name", "tests", "failures", "errors", "skipped", "time", "file"}
        assert wanted <= set(suite.keys()) <= wanted | {"timestamp", "hostname"}
        order = [child.tag for child in suite]
        assert order == sorted(order, key=["properties", "testcase", "system-out", "system-err"].index)
        cases = suite.findall("testcase")
        assert int(suite.get("tests", "")) == len(cases)
        for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(kind, "")) == sum(case.find(tag) is not None for case in cases)
        for entry in suite.iterfind("properties/property"):
            assert set(entry.keys()) == {"name", "value"}
        for case in cases:
            assert set(case.keys()) == {"name", "classname", "time"}
            assert float(case.get("time", "")) >= 0
            assert [child.tag for child in case] in (
                ["failure"],
                ["error"],
                ["skipped"],
                ["system-out"],
            )
            for child in case:
                assert child.tag == "system-out" or child.get("message")
            names.add((case.get("classname", ""), case.get("name", "")))
    assert len(names) == int(root.get("tests", ""))  # GitLab merges cases of one name
    return root


def cases(path: Path) -> dict[str, str]:
    """What became of each case."""
    return {
        f"{case.get('classname')}: {case.get('name')}": next(child.tag for child in case)
        for case in check_schema(path).iter("testcase")
    }


def test_junit_of_a_run(toy: Toy) -> None:
    Path("a.yaml").write_text(DESIGN + BUDGET)
    assert hwflow("run", "a.yaml").exit_code == 0
    passed = {
        "a.verify: RTL in Verilator, every layer": "system-out",
        "a.verify: netlist of Yosys": "skipped",
        "a.budget: verify.rtl.mismatches": "system-out",
        "a.budget: rtl.ii_cycles": "system-out",
    }
    assert cases(Path("runs/a/junit.xml")) == passed
    toy.mismatches, toy.cycles = 3, 17
    hwflow("run", "a.yaml", "--junit", "all.xml")
    wrong = cases(Path("all.xml"))
    assert {name for name, tag in wrong.items() if tag == "failure"} == passed.keys() - {
        "a.verify: netlist of Yosys"
    }
    text = Path("all.xml").read_text()
    assert f"3 of 10 codes differ; first {DIFFERENCE}" in text
    assert text == Path("runs/a/junit.xml").read_text()


@pytest.mark.parametrize(
    "error", [ToolError("g++", ["g++"], 1, None, ["x.c: <error> \x1b[31m"]), DeadlockError("stuck")]
)
def test_junit_of_a_run_that_ended_early_replaces_an_older_one(toy: Toy, error: Exception) -> None:
    Path("a.yaml").write_text(DESIGN + BUDGET)
    hwflow("run", "a.yaml")
    toy.error, toy.cycles = error, 17
    assert hwflow("run", "a.yaml", "--junit", "all.xml").exit_code in (3, 4)
    assert cases(Path("all.xml")) == cases(Path("runs/a/junit.xml")) == {"a.run: the run": "error"}
    assert not Path("runs/a/report.html").exists()


def test_junit_of_a_design_that_cannot_be_read(toy: Toy) -> None:
    Path("a.yaml").write_text("Hwflw: {}\n")
    assert hwflow("run", "a.yaml", "--junit", "all.xml").exit_code == 1
    root = check_schema(Path("all.xml"))
    error = root.find(".//error")
    assert error is not None and error.get("type") == "ConfigError"
    assert "did you mean 'Hwflow'" in (error.text or "")


def test_junit_names_a_budget_without_a_figure(tmp_path: Path) -> None:
    suite = Suite("a", "a.yaml", budget={"rtl.fps": 5})
    write_junit(tmp_path / "x.xml", [suite])
    assert cases(tmp_path / "x.xml") == {"a.budget: rtl.fps": "failure"}


# -- several designs, and only those that changed ------------------------------------------------------------


def states(result: Result) -> dict[str, str]:
    return {one["config"]: one["state"] for one in json.loads(result.stdout)}


def test_only_what_changed_runs_again(toy: Toy) -> None:
    Path("a.yaml").write_text(DESIGN)
    Path("b.yaml").write_text(f"{DESIGN}  Seed: 3\n")
    words = ("run", "--changed", "a.yaml", "b.yaml", "--json")
    assert states(hwflow(*words)) == {"a.yaml": "done", "b.yaml": "done"}
    toy.ran.clear()
    assert states(hwflow(*words)) == {"a.yaml": "unchanged", "b.yaml": "unchanged"}
    Path("a.yaml").write_text(f"# a remark changes nothing\n{DESIGN}")
    Path("b.yaml").write_text(f"{DESIGN}  Seed: 2\n")
    assert states(hwflow(*words)) == {"a.yaml": "unchanged", "b.yaml": "done"}
    assert toy.ran == ["b"]
    text = hwflow("run", "--changed", "a.yaml", "--junit", "all.xml")
    assert "a.yaml: unchanged, passed 20" in text.stdout
    assert "a.verify: RTL in Verilator, every layer" in cases(Path("all.xml"))


def test_what_counts_as_a_change(toy: Toy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = Path("net.h5")
    model.write_bytes(b"1")
    Path("a.yaml").write_text(DESIGN.replace("jet-mlp", "net.h5"))
    Path("f.yaml").write_text(DESIGN.replace("jet-mlp", "'net:make'"))

    def state(name: str = "a.yaml") -> str:
        return states(hwflow("run", "--changed", name, "--json"))[name]

    assert [state(), state()] == ["done", "unchanged"]
    model.write_bytes(b"2")
    assert [state(), state()] == ["done", "unchanged"]
    monkeypatch.setattr("hwflow.flow.ledger.versions", lambda: {"verilator": "7"})
    assert [state(), state()] == ["done", "unchanged"]
    (tmp_path / "hwflow" / "lower.py").write_text("x = 1\n")
    assert [state(), state()] == ["done", "unchanged"]
    assert [state("f.yaml"), state("f.yaml")] == ["done", "done"]  # a factory may read anything


def test_what_failed_or_was_forgotten_runs_again(toy: Toy) -> None:
    Path("a.yaml").write_text(DESIGN + BUDGET)
    Path("b.yaml").write_text(f"{DESIGN}  Seed: 3\n")
    words = ("run", "a.yaml", "--changed", "b.yaml", "--json")
    toy.cycles = 17
    result = hwflow(*words)
    assert result.exit_code == 5
    assert states(result) == {"a.yaml": "failed", "b.yaml": "done"}  # the others are run all the same
    assert states(hwflow(*words)) == {"a.yaml": "failed", "b.yaml": "unchanged"}
    toy.cycles = 16
    assert states(hwflow(*words)) == {"a.yaml": "done", "b.yaml": "unchanged"}
    for note in Path("cache/verified").iterdir():
        note.write_text("{")
    assert states(hwflow(*words)) == {"a.yaml": "done", "b.yaml": "done"}


def test_a_failure_is_told_beside_the_others(toy: Toy) -> None:
    Path("a.yaml").write_text("Hwflw: {}\n")
    Path("b.yaml").write_text(DESIGN)
    result = hwflow("run", "a.yaml", "b.yaml")
    assert result.exit_code == 1
    assert "Hwflw: unknown key" in result.stderr
    assert "a.yaml: failed\nb.yaml: done, runs/b/report.html" in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.yaml", "b.yaml", "--out", "x"], "several designs"),
        (["a.yaml", "--changed", "--fresh"], "leave out --from, --until and --fresh"),
        (["a.yaml", "sub/a.yaml"], "would both be run in runs/a"),
        (["a.yaml", "--junit", "no/all.xml"], "there is no folder no for no/all.xml"),
    ],
)
def test_options_that_cannot_be_right(toy: Toy, words: list[str], message: str) -> None:
    result = hwflow("run", *words)
    assert result.exit_code == 1
    assert message in result.stderr


# -- what a machine does to a run ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "No space left on device ({run})\n  remedy: make room",
        ),
        (
            OSError(errno.EFBIG, "File too large", "x.bin"),
            "File too large (x.bin)\n  remedy: raise the limit",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "Permission denied (x)\n  remedy: change"),
        (MemoryError(), "the machine is out of memory\n  remedy: close other programs"),
    ],
)
def test_a_machine_that_refuses_is_told(toy: Toy, tmp_path: Path, error: Exception, message: str) -> None:
    Path("a.yaml").write_text(DESIGN)
    hwflow("run", "a.yaml")
    toy.error, toy.cycles = error, 17
    result = hwflow("run", "a.yaml")
    assert result.exit_code == 1
    assert f"error: {message.format(run=tmp_path / 'runs' / 'a')}" in result.stderr
    assert json.loads(Path("runs/a/manifest.json").read_text())["status"].startswith("failed: ")
    toy.error = None
    assert hwflow("run", "a.yaml").exit_code == 0


def test_files_are_whole_or_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    write_text(path, "old")

    def cut_short(self: Path, text: str, **_: object) -> int:
        self.write_bytes(text[:2].encode())
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", cut_short)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new and longer")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]


SLEEPER = """
import sys
from pathlib import Path
from hwflow.cli.app import main
from hwflow.flow import runner, steps
from hwflow.tools.runner import run_tool

def first(context):
    Path(context.run_dir, "first").write_text("1")

def second(context):
    Path(context.run_dir, "second").write_text("half")
    run_tool(["sleep", "60"], log=context.log, tool="sleep")

steps.STEPS = (
    runner.Step("model", first, lambda context: 0, outputs=("first",)),
    runner.Step("verify", second, lambda context: 0, outputs=("second",), needs=("model",)),
)
sys.argv = ["hwflow", "run", "a.yaml"]
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process_and_no_half_step(tmp_path: Path, number: int) -> None:
    (tmp_path / "a.yaml").write_text(DESIGN)
    run = tmp_path / "runs" / "a"
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # tests in the background would hand it on ignored
    )  # fmt: skip
    while not ((run / "logs" / "verify.log").is_file() and children(process.pid)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    (child,) = children(process.pid)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told.splitlines()[-1]) == (130, "interrupted")
    assert not Path(f"/proc/{child}").exists()
    assert json.loads((run / "manifest.json").read_text())["status"] == "failed: interrupted"
    stamps = {path.name for path in (run / ".steps").glob("*.json")}
    assert "model.json" in stamps and "verify.json" not in stamps


def children(pid: int) -> list[str]:
    """Processes that a process has started."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


# -- the pytest plugin ---------------------------------------------------------------------------------------


@pytest.fixture
def team(toy: Toy, pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """A team's repository whose tests are run in this process, with the toy flow."""
    pytester.makefile(".yaml", tagger=DESIGN + BUDGET)

    def run(body: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(body)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)

    return run


Team = Callable[..., pytest.RunResult]

TESTS = """
    def test_exact(hwflow_run):
        assert hwflow_run("tagger.yaml").bit_exact

    def test_budget(hwflow_run):
        design = hwflow_run("tagger.yaml")
        assert not design.over_budget
        assert design.metrics["rtl.ii_cycles"] == 16
        assert (design.folder / "junit.xml").is_file()
"""


def test_a_team_asserts_that_a_design_is_exact(team: Team, toy: Toy) -> None:
    team(TESTS).assert_outcomes(passed=2)
    assert toy.ran == ["tagger"]  # tests share the run


def test_a_failing_assertion_shows_the_first_difference(team: Team, toy: Toy) -> None:
    toy.mismatches, toy.cycles = 3, 17
    result = team(TESTS)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            f"*where False = <tagger.yaml: rtl differs in 3 of 10 codes, first {DIFFERENCE.replace('[', '[[]')}*",
            "*at most 16 cycles, but 17*",
        ]
    )


def test_a_design_that_cannot_run_fails_with_its_message(team: Team, toy: Toy) -> None:
    toy.error = ToolError("g++", ["g++"], 1)
    body = TESTS + "\n    def test_missing(hwflow_run):\n        hwflow_run('tager.yaml')\n"
    result = team(body, "--show-capture=no")
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        ["hwflow: g++ failed with exit code 1", "hwflow: there is no tager.yaml in *"]
    )


def test_the_plugin_is_announced_to_pytest() -> None:
    from importlib.metadata import distribution

    entry = next(point for point in distribution("hwflow").entry_points if point.group == "pytest11")
    assert entry.value == "hwflow.pytest_plugin"
