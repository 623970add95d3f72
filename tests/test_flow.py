# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import hwflow
from hwflow.config.load import load_config
from hwflow.errors import (
    BudgetError,
    ConfigError,
    InternalError,
    ToolError,
    ToolNotFoundError,
    VerificationError,
)
from hwflow.flow.context import Context
from hwflow.flow.runner import Flow, RunResult, Step, check_budget
from hwflow.records import Metric, read_metrics

NAMES = ("model", "emit", "report")
DESIGN = "Hwflow:\n  Model: {Source: jet-mlp}\n  Seed: 3\n"


@dataclass
class Toy:
    """Three steps that copy and change a number, and what they did."""

    folder: Path
    ran: list[str] = field(default_factory=list)
    fault: Callable[[Context], None] | None = None
    faulty: str = ""
    number: int = 1

    def step(self, name: str, needs: tuple[str, ...], inputs: Callable[[Context], Any]) -> Step:
        def body(context: Context) -> None:
            self.ran.append(name)
            context.log.write_text(f"log of {name}\n")
            value = sum(int((context.run_dir / need / "value").read_text()) for need in needs)
            target = context.run_dir / name
            target.mkdir()
            (target / "value").write_text(str(value + inputs(context) // 10))
            context.record(
                [Metric(name=f"{name}.value", value=value, unit="1", kind="measured", source=name)]
            )
            if self.fault and name == self.faulty:
                self.fault(context)

        return Step(
            name,
            body,
            inputs,
            outputs=(name,),
            needs=needs,
            code=("errors",),
            packages=("numpy",),
            metrics=(f"{name}.value",),
        )

    def flow(self) -> Flow:
        seed: Callable[[Context], Any] = lambda context: context.seed  # noqa: E731
        return Flow(
            [
                self.step("model", (), lambda context: self.number),
                self.step("emit", ("model",), seed),
                self.step("report", ("emit",), seed),
            ]
        )

    def run(self, **options: Any) -> RunResult:
        path = self.folder / "design.yaml"
        if not path.exists():
            path.write_text(DESIGN)
        self.ran.clear()
        options.setdefault("out", self.folder / "run")
        return self.flow().run(load_config(path), config_path=path, argv=["run", "design.yaml"], **options)

    def manifest(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "run" / "manifest.json").read_text()))


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def raising(error: BaseException) -> Callable[[Context], None]:
    def fault(context: Context) -> None:
        raise error

    return fault


class TestCaching:
    def test_second_run_reuses_everything(self, toy: Toy) -> None:
        first = toy.run()
        assert (toy.ran, first.reused) == (list(NAMES), [])
        second = toy.run()
        assert (toy.ran, second.reused) == ([], list(NAMES))
        assert second.metrics == first.metrics
        assert second.seconds == first.seconds

    def test_changed_input_runs_what_depends_on_it(self, toy: Toy) -> None:
        toy.run()
        toy.number = 10  # changes the number that the model step writes
        toy.run()
        assert toy.ran == list(NAMES)

    def test_equal_output_stops_the_change(self, toy: Toy) -> None:
        toy.run()
        toy.number = 2  # changes the model step's key, but not what it writes
        toy.run()
        assert toy.ran == ["model"]

    def test_changed_design_runs_the_steps_that_read_it(self, toy: Toy) -> None:
        toy.run()
        (toy.folder / "design.yaml").write_text(DESIGN.replace("3", "4"))
        toy.run()
        assert toy.ran == ["emit", "report"]

    @pytest.mark.parametrize("damage", ["change", "remove"])
    def test_damaged_output_is_made_again(self, toy: Toy, damage: str) -> None:
        toy.run()
        path = toy.folder / "run" / "emit" / "value"
        path.unlink() if damage == "remove" else path.write_text("7")
        toy.run()
        assert toy.ran == ["emit"]

    def test_damaged_stamp_runs_the_step_again(self, toy: Toy) -> None:
        toy.run()
        (toy.folder / "run" / ".steps" / "emit.json").write_text("{")
        toy.run()
        assert toy.ran == ["emit"]

    @pytest.mark.parametrize("what", ["code_hash", "package_version"])
    def test_changed_code_or_package_runs_the_steps_again(
        self, toy: Toy, monkeypatch: pytest.MonkeyPatch, what: str
    ) -> None:
        toy.run()
        monkeypatch.setattr(f"hwflow.flow.runner.{what}", lambda name: "other")
        toy.run()
        assert toy.ran == list(NAMES)

    def test_from_and_until(self, toy: Toy) -> None:
        toy.run(last="emit")
        assert toy.ran == ["model", "emit"]
        assert toy.manifest()["status"] == "partial"
        toy.run(first="emit")
        assert toy.ran == ["emit", "report"]
        toy.run(first="model", last="model")
        assert toy.ran == ["model"]
        toy.run(fresh=True)
        assert toy.ran == list(NAMES)

    def test_wrong_step_names(self, toy: Toy) -> None:
        with pytest.raises(ConfigError, match="did you mean 'report'"):
            toy.run(last="reprot")
        with pytest.raises(ConfigError, match="comes after"):
            toy.run(first="report", last="model")
        assert not (toy.folder / "run").exists()


class TestFailures:
    def test_wrong_input_leaves_no_folder(self, toy: Toy) -> None:
        toy.fault, toy.faulty = raising(ConfigError("bad model")), "emit"
        with pytest.raises(ConfigError, match="bad model"):
            toy.run()
        assert [path.name for path in toy.folder.iterdir()] == ["design.yaml"]

    def test_wrong_input_empties_a_folder_that_was_empty(self, toy: Toy) -> None:
        (toy.folder / "run").mkdir()
        toy.fault, toy.faulty = raising(ConfigError("bad model")), "model"
        with pytest.raises(ConfigError):
            toy.run()
        assert list((toy.folder / "run").iterdir()) == []

    def test_wrong_input_keeps_an_earlier_run_but_not_its_report(self, toy: Toy) -> None:
        toy.run()
        toy.fault, toy.faulty, toy.number = raising(ConfigError("bad model")), "model", 10
        with pytest.raises(ConfigError):
            toy.run()
        folder = toy.folder / "run"
        assert (folder / "emit" / "value").exists()
        assert not (folder / "report").exists()
        assert toy.manifest()["status"] == "failed: bad model"
        toy.fault, toy.number = None, 1
        toy.run()
        assert toy.ran == ["model", "report"]

    @pytest.mark.parametrize(
        "error",
        [
            ToolError("g++", ["g++"], 1),
            VerificationError("differs"),
            KeyboardInterrupt(),
            ZeroDivisionError(),
        ],
    )
    def test_other_failures_keep_the_folder_and_resume(self, toy: Toy, error: BaseException) -> None:
        toy.fault, toy.faulty = raising(error), "emit"
        with pytest.raises(type(error)):
            toy.run()
        folder = toy.folder / "run"
        assert (folder / "logs" / "emit.log").read_text() == "log of emit\n"
        assert "Traceback" in (folder / "hwflow.log").read_text()
        assert toy.manifest()["status"].startswith("failed: ")
        assert "emit.value" in {metric.name for metric in read_metrics(folder / "metrics.json")}
        toy.fault = None
        toy.run()
        assert toy.ran == ["emit", "report"]
        assert toy.manifest()["status"] == "complete"

    def test_fault_can_wait_for_the_report(self, toy: Toy) -> None:
        toy.fault, toy.faulty = (lambda context: context.fail_at_end(VerificationError("differs"))), "emit"
        for expected in (list(NAMES), ["emit"]):  # what found a fault is never taken for done
            with pytest.raises(VerificationError, match="differs"):
                toy.run()
            assert toy.ran == expected
            assert (toy.folder / "run" / "report" / "value").exists()

    def test_missing_tools_are_told_before_anything_is_written(
        self, toy: Toy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("hwflow.tools.versions.package_version", lambda name: None)
        with pytest.raises(ToolNotFoundError, match="hwflow doctor"):
            toy.run()
        assert not (toy.folder / "run").exists()

    def test_step_that_forgets_its_output_is_an_internal_error(self, toy: Toy) -> None:
        step = Step("model", lambda context: None, lambda context: None, outputs=("x",))
        path = toy.folder / "design.yaml"
        path.write_text(DESIGN)
        with pytest.raises(InternalError, match="did not write x"):
            Flow([step]).run(load_config(path), config_path=path, out=toy.folder / "run")

    def test_step_before_the_one_it_needs_is_an_internal_error(self, toy: Toy) -> None:
        with pytest.raises(InternalError, match="do not come before"):
            Flow([toy.step("emit", ("model",), lambda context: 0)])


class TestFolder:
    def test_foreign_folder_is_refused_and_kept(self, toy: Toy) -> None:
        folder = toy.folder / "run"
        folder.mkdir()
        (folder / "thesis.tex").write_text("x")
        for fresh in (False, True):
            with pytest.raises(ConfigError, match="not a run folder"):
                toy.run(fresh=fresh)
        assert [path.name for path in folder.iterdir()] == ["thesis.tex"]

    def test_file_in_place_of_the_folder(self, toy: Toy) -> None:
        (toy.folder / "run").write_text("x")
        with pytest.raises(ConfigError, match="is a file"):
            toy.run()

    @pytest.mark.parametrize("content", ['{"hwflow": "0.0.1", "format": 1}', '{"format": 1}', "x"])
    def test_folder_of_another_version_is_refused(self, toy: Toy, content: str) -> None:
        toy.run()
        (toy.folder / "run" / ".steps" / "run.json").write_text(content)
        with pytest.raises(ConfigError, match="--fresh"):
            toy.run()
        toy.run(fresh=True)
        assert toy.ran == list(NAMES)

    def test_two_runs_into_one_folder(self, toy: Toy) -> None:
        toy.run()
        with (toy.folder / "run" / ".steps" / "lock").open() as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)
            with pytest.raises(ConfigError, match="in use by another hwflow"):
                toy.run()
        toy.run()


class TestManifest:
    def test_content(self, toy: Toy) -> None:
        toy.run()
        manifest = toy.manifest()
        assert manifest["status"] == "complete"
        assert manifest["versions"]["hwflow"] == hwflow.__version__
        assert manifest["argv"] == ["run", "design.yaml"]
        assert manifest["seeds"] == {"run": 3}
        assert set(manifest["artifacts"]) >= {"model/value", "emit/value", "report/value"}
        assert set(manifest["when_and_where"]["step_seconds"]) == set(NAMES)

    def test_equal_runs_differ_in_time_and_place_only(self, toy: Toy) -> None:
        toy.run()
        first = toy.manifest()
        toy.run(fresh=True)
        second = toy.manifest()
        first.pop("when_and_where")
        second.pop("when_and_where")
        assert first == second


def metric(value: Any, **other: Any) -> Metric:
    return Metric(name="rtl.ii_cycles", value=value, unit="cycles", kind="simulated", source="x", **other)


class TestBudget:
    def check(self, tmp_path: Path, limit: float, found: Metric) -> None:
        path = tmp_path / "design.yaml"
        path.write_text(DESIGN + f"  Budget: {{rtl.ii_cycles: {limit}}}\n")
        check_budget(load_config(path), [found])

    def test_kept(self, tmp_path: Path) -> None:
        self.check(tmp_path, 100, metric(100))

    @pytest.mark.parametrize(
        "found", [metric(101), metric(float("nan")), metric(None, reason="not simulated")]
    )
    def test_broken(self, tmp_path: Path, found: Metric) -> None:
        with pytest.raises(BudgetError, match=r"rtl\.ii_cycles: at most 100 cycles") as caught:
            self.check(tmp_path, 100, found)
        assert caught.value.exit_code == 5

    @pytest.mark.parametrize(("value", "kept"), [(99, False), (100, True), (101, True)])
    def test_more_is_better_of_some(self, tmp_path: Path, value: float, kept: bool) -> None:
        path = tmp_path / "design.yaml"
        path.write_text(DESIGN + "  Budget: {rtl.fps: 100}\n")
        found = Metric(name="rtl.fps", value=value, unit="1/s", kind="simulated", source="x")
        if kept:
            check_budget(load_config(path), [found])
        else:
            with pytest.raises(BudgetError, match=r"rtl\.fps: at least 100 1/s, but 99"):
                check_budget(load_config(path), [found])

    def test_unknown_metric(self, tmp_path: Path) -> None:
        other = metric(1).model_copy(update={"name": "rtl.ii_cycle"})
        with pytest.raises(ConfigError, match=r"did you mean 'rtl\.ii_cycle'"):
            self.check(tmp_path, 100, other)

    def test_misspelt_figure_is_refused_before_anything_runs(self, toy: Toy) -> None:
        (toy.folder / "design.yaml").write_text(DESIGN + "  Budget: {model.valu: 1}\n")
        with pytest.raises(ConfigError, match=r"did you mean 'model\.value'"):
            toy.run()
        assert toy.ran == [] and not (toy.folder / "run").exists()

    def test_run_that_breaks_its_budget_is_complete(self, toy: Toy) -> None:
        (toy.folder / "design.yaml").write_text(DESIGN + "  Budget: {model.value: -1}\n")
        with pytest.raises(BudgetError):
            toy.run()
        assert toy.manifest()["status"] == "complete"
