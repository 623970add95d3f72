# SPDX-License-Identifier: Apache-2.0
"""Every design in hls_configs/: checked, and the small ones run from model to verified RTL."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hwflow.cli.app import app
from hwflow.config.load import load_config, parse_config, resolve
from hwflow.errors import FetchError, ToolNotFoundError
from hwflow.flow.steps import STEPS
from hwflow.models import registry

CONFIGS = sorted((Path(__file__).parents[1] / "hls_configs").glob("*.yaml"))
SMALL = ("jet-mlp", "mobilefacenet-tiny")
# Synthesis-sized: its solver and simulator take minutes.
CHECKED = ("jet-mlp-da",)
# Learns first; but for its bits it is mobilefacenet-w8a8.
TRAINED = ("mobilefacenet-w4a4",)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a large design may take; normalizations that fold into no layer add a product a value."""

    multipliers: int
    fps: float
    macs_of_scales: int = 0


LIMITS = {
    "mobilefacenet-w8a8": Limits(700, 400),
    "densenet-1.0": Limits(750, 800, macs_of_scales=20 * 20 * (64 + 96 + 128 + 160 + 192 + 224)),
}
LARGE = [path for path in CONFIGS if path.stem not in (*SMALL, *CHECKED, *TRAINED)]
STEPS_BEFORE_RTLSIM = [
    *("model", "prepare", "convert", "cost", "golden", "qkeras", "faces", "hls", "csim", "emit"),
]

pytestmark = [pytest.mark.tf, pytest.mark.sim, pytest.mark.slow]


def hwflow(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def run(config: Path, out: Path, *options: str) -> dict[str, Any]:
    """Run a design; what it tells as JSON."""
    result = hwflow("run", config, "--out", out, "--json", *options)
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def values(folder: Path) -> dict[str, Any]:
    """Figures of a run, by name."""
    return {row["name"]: row["value"] for row in json.loads((folder / "metrics.json").read_text())}


def tree(folder: Path) -> dict[str, bytes]:
    """Content of all files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@dataclass(frozen=True, slots=True)
class Run:
    """A design with its finished run."""

    config: Path
    folder: Path


@pytest.fixture(scope="session", params=SMALL)
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small design, run to its end."""
    config = next(path for path in CONFIGS if path.stem == request.param)
    folder = tmp_path_factory.mktemp(request.param) / "run"
    assert run(config, folder)["reused"] == []
    return Run(config, folder)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_design_reads_back_from_its_resolved_form(path: Path) -> None:
    config = load_config(path)
    assert parse_config(resolve(config), "resolved") == config
    assert config.ProjectName == path.stem.removesuffix("-w8a8").replace("-", "_").replace(".", "_")


@pytest.mark.parametrize("name", [*SMALL, *CHECKED])
def test_check_accepts_the_small_designs(name: str) -> None:
    result = hwflow("check", next(path for path in CONFIGS if path.stem == name), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["ok"] is True


@pytest.mark.parametrize("path", LARGE, ids=lambda path: path.stem)
def test_large_designs_convert_within_their_multipliers_and_cycles(path: Path, tmp_path: Path) -> None:
    source, limits = load_config(path).Hwflow.Model.Source, LIMITS[path.stem]
    try:
        if registry.MODELS[source].needs_fetch:
            registry.fetch(source)
    except (FetchError, ToolNotFoundError) as error:
        pytest.skip(str(error))
    run(path, tmp_path / "run", "--until", "convert")
    found = values(tmp_path / "run")
    assert found["model.params"] == registry.MODELS[source].params
    assert found["model.macs"] == registry.MODELS[source].macs + limits.macs_of_scales
    assert found["rtl.multipliers"] <= limits.multipliers
    assert found["rtl.fps_bound"] >= limits.fps


def test_every_rung_is_bit_exact(done: Run) -> None:
    found = values(done.folder)
    verify = load_config(done.config).Hwflow.Verify
    assert [found[f"verify.{rung}.mismatches"] for rung in ("qkeras", "csim", "rtl")] == [0, 0, 0]
    assert found["verify.frames"] == verify.Frames
    rungs = json.loads((done.folder / "verify.json").read_text())
    output, layers = ("output", verify.Frames), ("layers", verify.TraceFrames)
    stalled = ("output under random stalls", verify.StallFrames)
    assert [(r["rung"], r["scope"], r["frames"]) for r in rungs] == [
        *(("qkeras", *row) for row in (output, layers)),
        *(("csim", *row) for row in (output, layers)),
        *(("rtl", *row) for row in (output, stalled, layers)),
    ]
    assert all(r["values"] > 0 and r["mismatches"] == 0 for r in rungs)


def test_the_rtl_keeps_its_interval(done: Run) -> None:
    found = values(done.folder)
    assert found["rtl.ii_bound_cycles"] <= found["rtl.ii_cycles"] <= 1.02 * found["rtl.ii_bound_cycles"]
    assert found["model.macs"] == registry.MODELS[done.config.stem].macs


def test_the_run_folder_is_complete(done: Run) -> None:
    for name in (
        "report.html",
        "rtl/filelist.f",
        "golden/input.npy",
        "graph/quantgraph.json",
        "hls/firmware",
    ):
        assert (done.folder / name).exists()
    assert json.loads((done.folder / "manifest.json").read_text())["status"] == "complete"


def test_a_second_run_reuses_every_step_and_says_what_it_found(done: Run) -> None:
    before = tree(done.folder / "rtl") | tree(done.folder / "hls")
    result = hwflow("run", done.config, "--out", done.folder)
    assert result.exit_code == 0, result.output
    assert [line.split()[1:] for line in result.stderr.splitlines()] == [["up", "to", "date"]] * len(STEPS)
    *_, verdict, report = result.stdout.splitlines()
    assert verdict.startswith("bit-exact: QKeras = golden = C++ = RTL on ")
    assert report == f"report: {done.folder / 'report.html'}"
    assert tree(done.folder / "rtl") | tree(done.folder / "hls") == before


def test_a_step_runs_again_when_asked_to(done: Run) -> None:
    assert run(done.config, done.folder, "--from", "rtlsim")["reused"] == STEPS_BEFORE_RTLSIM
    assert values(done.folder)["verify.rtl.mismatches"] == 0


def test_emitting_twice_gives_identical_bytes(done: Run, tmp_path: Path) -> None:
    again = tmp_path / done.config.name
    again.write_text(done.config.read_text().replace("Verify: {", "Verify: {Csim: false, "))
    assert run(again, tmp_path / "run", "--until", "emit")["reused"] == []
    for name in ("model", "prepared", "graph", "golden", "hls", "rtl"):
        first, second = tree(done.folder / name), tree(tmp_path / "run" / name)
        built = {"csim.so", "csim.sha256"}  # by the C++ simulation, which the second run leaves out
        assert first.keys() - built == second.keys()
        assert [path for path in second if first[path] != second[path]] == []
