# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import hwflow
from hwflow.cli.app import app
from hwflow.errors import BudgetError, ConfigError, HwflowError, ToolError, VerificationError
from hwflow.flow.runner import Step
from hwflow.records import Metric, RungRecord, write_records
from hwflow.tools import versions

Write = Callable[[str, str], Path]

JET = "Hwflow: {Model: {Source: jet-mlp}, Data: {InputType: 'ap_fixed<8,4>'}}\n"
DESIGN = "Hwflow:\n  Model: {Source: jet-mlp}\n"


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def hwflow_command(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("hwflow")
    return subprocess.run(
        [program, *words], capture_output=True, text=True, timeout=120, check=False, **options
    )


@pytest.fixture
def one_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | None], None]:
    """Replace the steps of a run by one that fails, or writes a metric."""

    def install(error: BaseException | None) -> None:
        def body(context: Any) -> None:
            if error:
                raise error
            (context.run_dir / "x").write_text("1")
            metric = Metric(
                name="x.value", value=None, unit="1", kind="measured", source="x", reason="no tool"
            )
            context.record([metric])

        monkeypatch.setattr(
            "hwflow.flow.steps.STEPS",
            (Step("x", body, lambda context: 0, outputs=("x",), metrics=("x.value",)),),
        )

    return install


def test_version_and_help_of_the_installed_program() -> None:
    done = hwflow_command("--help")
    assert done.returncode == 0
    for command in ("run", "check", "verify", "report", "models", "doctor"):
        assert command in done.stdout
    assert hwflow_command("--version").stdout == f"hwflow {hwflow.__version__}\n"


@pytest.mark.parametrize("words", [["frobnicate"], ["run"], ["run", "x.yaml", "--frob"], ["models", "frob"]])
def test_wrong_usage_is_exit_code_2(words: list[str]) -> None:
    assert invoke(*words).exit_code == 2


def test_bad_config_of_the_installed_program(write: Write, tmp_path: Path) -> None:
    path = write("design.yaml", DESIGN + "  Verfy: {}\n")
    done = hwflow_command("run", str(path), cwd=tmp_path)
    assert done.returncode == 1
    assert "Hwflow.Verfy: unknown key; did you mean 'Verify'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert [entry.name for entry in tmp_path.iterdir()] == ["design.yaml"]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigError("bad key", "mend it"), 1, "error: bad key\n  remedy: mend it"),
        (VerificationError("layer fc1 differs"), 3, "error: layer fc1 differs"),
        (
            ToolError("g++", ["g++"], 1, None, ["x.c: error"]),
            4,
            "error: g++ failed with exit code 1\n  | x.c: error",
        ),
        (BudgetError("too slow"), 5, "error: too slow"),
        (ZeroDivisionError("oops"), 70, "internal error: ZeroDivisionError: oops"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_become_messages_and_exit_codes(
    write: Write, tmp_path: Path, one_step: Any, error: BaseException, code: int, text: str
) -> None:
    one_step(error)
    result = invoke("run", write("design.yaml", DESIGN), "--out", tmp_path / "run")
    assert result.exit_code == code
    assert text in result.stderr
    assert "Traceback" not in result.output
    if isinstance(error, HwflowError):
        report = json.loads(
            invoke("run", tmp_path / "design.yaml", "--out", tmp_path / "run", "--json").stdout
        )
        assert (report["exit_code"], report["message"]) == (code, error.message)


def test_traceback_with_verbose(write: Write, tmp_path: Path, one_step: Any) -> None:
    one_step(ZeroDivisionError("oops"))
    result = invoke("-v", "run", write("design.yaml", DESIGN), "--out", tmp_path / "run")
    assert "Traceback" in result.stderr
    assert "Traceback" in (tmp_path / "run" / "hwflow.log").read_text()


def test_run_writes_the_folder_and_json(
    write: Write, tmp_path: Path, one_step: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_step(None)
    write("design.yaml", DESIGN)
    monkeypatch.chdir(tmp_path)
    result = invoke("run", "design.yaml", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["run"] == str(tmp_path / "runs" / "design")
    assert report["metrics"][0]["reason"] == "no tool"
    assert json.loads(invoke("run", "design.yaml", "--json").stdout)["reused"] == ["x"]
    text = invoke("run", "design.yaml").stdout
    assert "x.value" in text
    assert "no tool" in text


def test_two_runs_leave_equal_files(write: Write, tmp_path: Path, one_step: Any) -> None:
    one_step(None)
    path = write("design.yaml", DESIGN)
    for name in ("a", "b"):
        assert invoke("run", path, "--out", tmp_path / name).exit_code == 0
    for name in ("metrics.json", "x", ".steps/x.metrics.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_verify_shows_every_comparison(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def body(context: Any) -> None:
        rung = RungRecord(
            rung="rtl", scope="output", frames=2, values=10, mismatches=3, first_difference="fc1[0, 4]"
        )
        write_records(context.run_dir / "verify.json", [rung])
        context.fail_at_end(VerificationError("rtl differs"))

    steps = [Step(name, body, lambda context: 0, outputs=("verify.json",)) for name in ("verify",)]
    monkeypatch.setattr("hwflow.flow.steps.STEPS", tuple(steps))
    result = invoke("verify", write("design.yaml", DESIGN), "--out", tmp_path / "run")
    assert result.exit_code == 3
    assert "rtl differs" in result.stderr
    assert "fc1[0, 4]" in result.stdout
    report = json.loads(
        invoke("verify", tmp_path / "design.yaml", "--out", tmp_path / "run", "--json").stdout
    )
    assert (report["ok"], report["rungs"][0]["mismatches"]) == (False, 3)


def test_report_renders_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwflow.report.render.render_report", lambda folder: folder / "report.html")
    path = tmp_path / "report.html"
    assert invoke("report", tmp_path).stdout.replace("\n", "") == str(path)
    assert json.loads(invoke("report", tmp_path, "--json").stdout) == {"report": str(path)}


def test_report_of_what_is_no_run(tmp_path: Path) -> None:
    assert invoke("report", tmp_path).exit_code == 1
    assert invoke("report", tmp_path / "missing").exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_every_step_is_known_to_the_preflight_check() -> None:
    from hwflow.flow.steps import STEPS

    assert [step.name for step in STEPS if step.name not in versions.ALL_STEPS] == []


def test_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "program_version", lambda name: None if name == "ccache" else "1.0")
    assert invoke("doctor").exit_code == 0  # ccache only saves time
    monkeypatch.setattr(versions, "program_version", lambda name: None if name == "perl" else "1.0")
    result = invoke("doctor", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    perl = next(row for row in report["requirements"] if row["name"] == "perl")
    assert (report["ok"], perl["version"], perl["remedy"]) == (False, None, "apt-get install perl")
    text = invoke("doctor").stdout
    assert "MISSING" in text
    assert "missing for `hwflow run`: perl" in text


def test_models_list_and_show() -> None:
    names = [row["name"] for row in json.loads(invoke("models", "list", "--json").stdout)]
    assert "mobilefacenet" in names
    assert "jet-mlp" in invoke("models", "list").stdout
    assert json.loads(invoke("models", "show", "jet-mlp", "--json").stdout)["params"] == 4389
    result = invoke("models", "show", "jet-mpl")
    assert result.exit_code == 1
    assert "did you mean 'jet-mlp'?" in result.stderr
    assert invoke("models", "fetch", "jet-mlp").exit_code == 1


@pytest.mark.tf
def test_check_of_models_and_designs(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = json.loads(invoke("check", "jet-mlp", "--json").stdout)
    assert report["quantized"] is True
    assert {"name": "dense1", "kind": "QDense"} in report["layers"]
    assert "float, needs" in invoke("check", "mobilefacenet-tiny").stdout
    assert invoke("check", "no-such-model").exit_code == 1
    monkeypatch.chdir(tmp_path)
    path = write("design.yaml", JET + "HLSConfig: {Model: {ReuseFactor: 8}}\n")
    row = json.loads(invoke("check", path, "--json").stdout)["layers"][1]
    assert (row["op"], row["reuse_factor"], row["multipliers"]) == ("dense", 8, 16 * 64 // 8)
    path.write_text(JET + "HLSConfig: {LayerName: {dense1: {ReuseFactor: 7}}}\n")
    assert invoke("check", path).exit_code == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["design.yaml"]


@pytest.mark.tf
def test_run_prepares_a_model(write: Write, tmp_path: Path) -> None:
    path = write("design.yaml", "Hwflow:\n  Model: {Source: mobilefacenet-tiny, Prepare: {}}\n")
    out = tmp_path / "run"
    assert invoke("run", path, "--out", out, "--until", "prepare").exit_code == 0
    assert json.loads((out / "prepared" / "report.json").read_text())["layers"]
    first = (out / "prepared" / "model.h5").read_bytes()
    report = json.loads(invoke("run", path, "--out", out, "--until", "prepare", "--json").stdout)
    assert report["reused"] == ["model", "prepare"]
    assert invoke("run", path, "--out", out, "--until", "prepare", "--fresh").exit_code == 0
    assert (out / "prepared" / "model.h5").read_bytes() == first


LATE = """
import sys
from hwflow.cli import late
late.install()
import tensorflow as tf, qkeras, hls4ml, scipy
early = [name for name in late.LATE if type(sys.modules[name]).__name__ != "_LazyModule"]
assert not early, early
assert sys.modules["pandas"].Series([1, 2]).sum() == 3
assert scipy.linalg.det([[2.0]]) == 2.0 and scipy.ndimage.sum([1, 2]) == 3
assert tf.compat.v1.compat.v2.constant(1).numpy() == 1 and tf.compat.v1.lite.TFLiteConverter
"""


@pytest.mark.tf
def test_what_is_hardly_ever_needed_is_loaded_when_it_is() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
