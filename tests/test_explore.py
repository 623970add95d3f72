# SPDX-License-Identifier: Apache-2.0
"""Studies: what a file may say, the front, and that nothing finished is lost when processes are killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from hwflow.cli.app import app
from hwflow.cli.explore import _spread
from hwflow.errors import ConfigError, UserError, VerificationError
from hwflow.explore.bench import Bench, Outcome
from hwflow.explore.clusters import Place, client, jobs
from hwflow.explore.networks import Quantizations, _untraced
from hwflow.explore.schema import StudyConfig, load_study
from hwflow.explore.space import dimensions, prepared
from hwflow.explore.study import Explored, explore, front, weighed
from hwflow.files import locked
from hwflow.records import DesignRecord

ROOT = Path(__file__).resolve().parent.parent
STUDY: dict[str, Any] = {
    "Base": "base.yaml",
    "Space": {"WeightBits": {"pointwise": [4, 6, 8], "depthwise": 8}, "ActivationBits": [6, 8]},
    "Objectives": {"quality.cosine": "maximize", "cost.lut": "minimize"},
    "Trials": 4,
    "Sampler": "random",
}


def changed(**keys: Any) -> StudyConfig:
    return StudyConfig.model_validate({**STUDY, **keys})


def written(folder: Path, **keys: Any) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**STUDY, **keys}))
    (folder / "base.yaml").write_text("Backend: Hwflow\n")
    return path


# -- what workers do in these tests: processes import them from here ------------------------------------------


def quick(study: str, base: str, trust: bool, point: dict[str, Any]) -> Outcome | str:
    """Quality and cost by a formula."""
    bits, activations = point["WeightBits/pointwise"], point["ActivationBits"]
    if bits == 4:
        return "RuntimeError: four bits fail"
    metrics = {"quality.cosine": 1 - 1 / (bits * activations), "cost.lut": 100 * bits}
    return Outcome(
        metrics, "cost.lut is too large" if bits == 8 and activations == 8 else "", {"point": point}
    )


def slow(study: str, base: str, trust: bool, point: dict[str, Any]) -> Outcome | str:
    """The same, and a note of who computed it."""
    with Path(base).with_name("workers.txt").open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(0.4)
    return Outcome({"quality.cosine": 0.5, "cost.lut": 1.0}, "", {"point": point})


# -- files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"Objectives": {"cost.luts": "minimize"}}, "did you mean 'cost.lut'"),
        (
            {"Objectives": {"cost.lut": "least"}},
            "Objectives.cost.lut: 'least' should be 'minimize' or 'maximize'",
        ),
        ({"Objectives": {}}, "Objectives"),
        ({"Trails": 5}, "Trails: unknown key; did you mean 'Trials'"),
        ({"Space": {}}, "Space varies nothing"),
        ({"Space": {"WeightBits": [0]}}, "WeightBits"),
        ({"Limits": {"cost.dsp": {"Most": 3}}}, "Most: unknown key"),
        ({"Base": "absent.yaml"}, "there is no"),
        (
            {"Space": {"WeightBits": 4, "Part": ["xc7z020"]}, "Part": "xc7z020"},
            "Part is named twice",
        ),
        ({"Objectives": {"cost.share": "minimize"}}, "a share of a part, but none is named"),
        ({"Tolerances": {"cost.dsp": 3}}, "Tolerances.cost.dsp is no objective"),
        ({"Part": "xc7z021"}, "study.yaml: the part 'xc7z021' is not known"),
        ({"Target": "xc8"}, "study.yaml: there is no synthesis target 'xc8'"),
        ({"Mcu": "stm32h999"}, "study.yaml: no microcontroller 'stm32h999' is known"),
        ({"Base": "study.yaml"}, "Hwflow: this key must be given"),
    ],
)
def test_wrong_studies_are_told(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    result = CliRunner().invoke(
        app, ["explore", str(written(tmp_path, **keys)), "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_single_choices_need_no_brackets(tmp_path: Path) -> None:
    study = load_study(written(tmp_path))
    assert dimensions(study.Space) == {
        "WeightBits/pointwise": [4, 6, 8], "WeightBits/depthwise": [8], "ActivationBits": [6, 8],
    }  # fmt: skip


@pytest.mark.tf
def test_a_point_becomes_a_preparation() -> None:
    from hwflow.config.schema import LayerBits, PrepareConfig
    from hwflow.models import registry
    from hwflow.prepare.net import from_keras
    from hwflow.prepare.quantize import weight_bits

    net = from_keras(registry.load("mobilefacenet-tiny"))
    base = PrepareConfig(Layers={"head_conv": LayerBits(ActivationBits=7)})
    point = {"WeightBits/pointwise": 5, "WeightBits/embedding": 3, "ActivationBits": 6}
    config = prepared(base, point, net)
    bits = {name: weight_bits(config, name) for name in ("head_conv", "stem_conv", "stem_dw", "embedding")}
    assert bits == {"head_conv": 5, "stem_conv": 8, "stem_dw": 8, "embedding": 3}
    assert (config.ActivationBits, config.Layers["head_conv"].ActivationBits) == (6, 7)


@pytest.mark.tf
def test_a_design_is_weighed_as_it_is_built(tmp_path: Path) -> None:
    from hwflow.cli.run import execute
    from hwflow.config.folding import to_yaml
    from hwflow.prepare import build as building
    from hwflow.prepare.exact import predict_exact
    from hwflow.records import read_metrics

    base = ROOT / "hls_configs" / "mobilefacenet-tiny.yaml"
    wanted = ("cost.share", "cost.latency_cycles", "mcu.flash_bytes", "quality.cosine")
    study = changed(
        Space={"WeightBits": [4, 6], "Fps": 5000, "MultStyle": [None, "lut", "dsp"], "Part": ["xczu3eg", "xc7z020"]},
        Objectives=dict.fromkeys(wanted, "minimize"), Limits={"quality.cosine": {"Min": -0.5}}, Screen=3,
        Verify={"Frames": 1},
    )  # fmt: skip
    tested = Bench(study, base)
    point = {"WeightBits": 6, "Fps": 5000, "MultStyle": None, "Part": "xczu3eg"}
    found = {style: tested.weigh({**point, "MultStyle": style}) for style in (None, "lut", "dsp")}
    assert found["lut"].metrics["cost.dsp"] < found["dsp"].metrics["cost.dsp"]
    assert found["lut"].metrics["cost.lut"] > found["dsp"].metrics["cost.lut"]
    assert found["lut"].design["Hwflow"]["MultStyle"] == "lut"
    best = found[None]
    assert all(0 < one.metrics["cost.share"] < 1 for one in found.values())
    other = tested.weigh({**point, "Part": "xc7z020"})
    assert other.design["Part"] == "xc7z020"
    assert other.metrics["quality.cosine"] == best.metrics["quality.cosine"]

    # What a run of the written design predicts and holds is what the study says.
    path = tmp_path / "design.yaml"
    path.write_text(to_yaml(best.design, base.read_text(), "A design."))
    execute(path, tmp_path / "run", last="cost", only_needed=True)
    metrics = {metric.name: metric.value for metric in read_metrics(tmp_path / "run" / "metrics.json")}
    for name in ("lut", "ff", "dsp", "latency_cycles"):
        assert metrics[f"cost.xcup.{name}"] == best.metrics[f"cost.{name}"]
    assert metrics["mcu.stm32h743zi.flash_bytes"] == best.metrics["mcu.flash_bytes"]
    assert best.design["Hwflow"]["Verify"] == {"Frames": 1}

    # Quality is that of exact arithmetic, and models built without tracing are the same.
    networks = tested._networks
    assert isinstance(networks, Quantizations)
    network = networks.network(point)
    assert network.net is not None
    model = building.build(network.net, network.scheme)
    with _untraced():
        assert building.build(network.net, network.scheme).to_json() == model.to_json()
    inputs = networks._evaluator._inputs[:4]
    outputs = networks._evaluator._simulate(network.net, network.scheme, slice(4), "float64")
    np.testing.assert_array_equal(
        outputs.reshape(4, -1), next(iter(predict_exact(model, inputs).values())).reshape(4, -1)
    )
    network.quality.clear()
    assert networks.quality(network, lambda metrics: "too small")["quality.frames"] == 3
    assert best.metrics["quality.frames"] == 64


@pytest.mark.tf
def test_of_a_quantized_model_the_hardware_is_varied() -> None:
    base = ROOT / "hls_configs" / "jet-mlp.yaml"
    study = changed(
        Space={"Fps": [1e6, 4e6]}, Objectives={"cost.lut": "minimize", "cost.fps": "maximize"}, Part="xc7z020"
    )
    tested = Bench(study, base)
    slow, fast = (tested.weigh({"Fps": fps}) for fps in (1e6, 4e6))
    assert not slow.refused
    assert 1e6 <= slow.metrics["cost.fps"] < 4e6 <= fast.metrics["cost.fps"]
    assert slow.metrics["cost.share"] < fast.metrics["cost.share"] < 1
    assert "Prepare" not in slow.design["Hwflow"]["Model"]
    for wrong, message in (
        (changed(), r"Space\.WeightBits varies a quantization"),
        (changed(Space={"Fps": 1e6}), r"quality\.cosine is the same for all designs"),
    ):
        with pytest.raises(ConfigError, match=message):
            Bench(wrong, base)


def design(number: int, cosine: float, luts: float, state: Any = "complete") -> DesignRecord:
    metrics = {"quality.cosine": cosine, "cost.lut": luts}
    return DesignRecord(number=number, state=state, point={}, metrics=metrics)


def test_the_front_holds_what_nothing_beats() -> None:
    found = [
        design(0, 0.9, 50), design(1, 0.8, 50), design(2, 0.99, 90), design(3, 0.9, 60), design(4, 0.5, 10),
        design(5, 0.99, 90), design(6, 1.0, 1, "refused"),
    ]  # fmt: skip
    assert [one.number for one in front(changed(), found)] == [2, 0, 4]


def test_objectives_count_in_steps_of_their_tolerance() -> None:
    found = [
        design(0, 0.9904, 60), design(1, 0.9896, 50), design(2, 0.9904, 50), design(3, 0.985, 40), design(4, 0.986, 90),
    ]  # fmt: skip
    assert [one.number for one in front(changed(), found)] == [2, 3]
    coarse = changed(Tolerances={"quality.cosine": 0.01, "cost.lut": 20})
    assert [one.number for one in front(coarse, found)] == [
        2
    ]  # 3 has the same luts in steps of 20, and is no better
    assert [one.number for one in front(changed(Tolerances={"quality.cosine": 0.1}), found)] == [3]


def test_verified_designs_are_spread_over_the_front() -> None:
    best = [design(number, 0.5, number) for number in range(7)]
    assert [one.number for one in _spread(best, 3)] == [0, 3, 6]
    assert [one.number for one in _spread(best, 1)] == [0]
    assert _spread(best, 0) == []
    assert _spread(best, None) == _spread(best, 9) == best


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--verify", "some"], "neither a number nor 'front'"),
        (["--cluster", "slrum"], "did you mean 'slurm'"),
        (["--cluster", "slurm", "--scheduler", "tcp://127.0.0.1:1"], "name one of"),
        (["--cluster-config", "jobs.yaml"], "of no --cluster"),
    ],
)
def test_wrong_options_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("jobs.yaml").write_text("cores: 1\n")
    result = CliRunner().invoke(app, ["explore", str(written(tmp_path)), *options])
    assert result.exit_code == 1
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(("queue", "line"), [("slurm", "#SBATCH -p short"), ("lsf", "#BSUB -q short")])
def test_queueing_systems_get_a_job_that_starts_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, queue: str, line: str
) -> None:
    options = {"queue": "short", "memory": "6GB", "walltime": "01:00"}
    place = Place(2, queue=queue, options=options)
    with jobs(place) as cluster:
        script = cluster.job_script()
    assert line in script
    assert "distributed.cli.dask_worker tcp://" in script
    with pytest.raises(ConfigError, match="options of slurm are wrong"):
        jobs(Place(queue="slurm", options={"cores": 1, "wall": 3}))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no program"), client(place):
        pass


# -- running ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def near() -> Iterator[Place]:
    """A worker in this process."""
    import distributed

    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        yield Place(scheduler=cluster.scheduler_address)


def test_a_study_weighs_refuses_fails_and_goes_on(tmp_path: Path, near: Place) -> None:
    base = tmp_path / "base.yaml"
    base.write_text("Backend: Hwflow\n")
    first = explore(changed(Trials=4), base, tmp_path, place=near, weigh=quick).designs
    assert len(first) == 4
    for one in first:
        bits = one.point["WeightBits/pointwise"]
        refused = bits == 8 and one.point["ActivationBits"] == 8
        assert one.state == ("failed" if bits == 4 else "refused" if refused else "complete")
        assert ("four bits fail" in one.reason) == (bits == 4)
    more = explore(changed(Trials=9), base, tmp_path, place=near, weigh=quick)
    assert more.designs[:4] == first
    points = [tuple(one.point.values()) for one in more.designs]
    assert len(points) == len(set(points)) == 6  # as many as the space holds
    assert [one["known"] for one in more.sessions] == [0, 4]
    assert all(one["ended"] for one in more.sessions)
    with pytest.raises(ConfigError, match="another study"):
        explore(changed(Seed=2), base, tmp_path, weigh=quick)


def unfit(study: str, base: str, trust: bool, point: dict[str, Any]) -> Outcome | str:
    """A base that no design can be made of."""
    return weighed(study, f"{base}.lost", trust, point)


def test_a_study_that_does_not_suit_its_base_ends_and_leaves_room(tmp_path: Path, near: Place) -> None:
    base = tmp_path / "base.yaml"
    base.write_text("Backend: Hwflow\n")
    for _ in range(2):  # what was under way is no finished design
        with pytest.raises(UserError, match=r"base\.yaml\.lost cannot be read"):
            explore(changed(), base, tmp_path, place=near, weigh=unfit)
    mended = changed(Objectives={"cost.lut": "minimize"})
    found = explore(mended, base, tmp_path, place=near, weigh=quick).designs
    assert len(found) == 4


def test_when_all_fails_the_command_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = written(tmp_path), tmp_path / "out"
    (tmp_path / "base.yaml").write_text("Hwflow: {Model: {Source: jet-mlp}}\n")
    out.mkdir()
    failed = [DesignRecord(number=n, state="failed", point={}, metrics={}, reason="no sun") for n in range(3)]
    monkeypatch.setattr("hwflow.explore.study.explore", lambda *_, **__: Explored(failed, []))
    result = CliRunner().invoke(app, ["explore", str(path), "--out", str(out)])
    assert result.exit_code == 1
    assert "all 3 designs failed: no sun" in result.stderr
    assert (out / "study.json").exists()
    (tmp_path / "file").touch()
    result = CliRunner().invoke(app, ["explore", str(path), "--out", str(tmp_path / "file")])
    assert "is a file, not the folder of a study" in result.stderr


def test_a_front_that_is_not_proven_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(path: Path, *_: Any, **__: Any) -> None:
        if path.stem == "design1":
            raise VerificationError("RTL differs", "look")

    path, out = written(tmp_path), tmp_path / "out"
    (tmp_path / "base.yaml").write_text("Hwflow: {Model: {Source: jet-mlp}}\n")
    out.mkdir()
    keys = {"design": {"Hwflow": {"Model": {"Source": "jet-mlp"}}}}
    found = [design(*one).model_copy(update=keys) for one in ((0, 0.9, 10), (1, 0.99, 20))]
    monkeypatch.setattr("hwflow.explore.study.explore", lambda *_, **__: Explored(found, []))
    monkeypatch.setattr("hwflow.cli.explore.execute", run)
    result = CliRunner().invoke(app, ["explore", str(path), "--out", str(out), "--verify", "front"])
    assert result.exit_code == 3, result.stderr
    assert "1 of 2 designs of the front that were run are not proven; design 1: RTL differs" in result.stderr
    assert json.loads((out / "study.json").read_text())["verified"] == {"0": "exact", "1": "RTL differs"}


def test_a_scheduler_without_workers_is_told(caplog: pytest.LogCaptureFixture) -> None:
    import distributed

    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster,
        client(Place(scheduler=cluster.scheduler_address)),
    ):
        assert "has no worker yet" in caplog.text


def test_what_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "base.yaml"
    base.write_text("Backend: Hwflow\n")
    monkeypatch.setattr("hwflow.explore.clusters._CONNECT_SECONDS", 1)
    with pytest.raises(UserError, match=r"scheduler tcp://127\.0\.0\.1:9 cannot be reached"):
        explore(changed(), base, tmp_path / "far", place=Place(scheduler="tcp://127.0.0.1:9"), weigh=quick)
    with (
        locked(tmp_path, tmp_path / ".lock"),
        pytest.raises(ConfigError, match=f"in use by another hwflow .process {os.getpid()}"),
    ):
        explore(changed(), base, tmp_path, weigh=quick)
    with pytest.raises(UserError, match="cannot be used") as hidden:
        explore(changed(), base, tmp_path, storage="nosuch://me:secret@place", weigh=quick)
    assert "nosuch://place" in hidden.value.message
    (tmp_path / "held").mkdir()
    with sqlite3.connect(tmp_path / "held" / "study.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UserError, match=r"cannot be used.*database is locked"):
            explore(changed(), base, tmp_path / "held", weigh=quick)
    (tmp_path / "study.db").write_text("not a data base, but long enough to be taken for one")
    with pytest.raises(UserError, match="cannot be used") as damaged:
        explore(changed(), base, tmp_path, weigh=quick)
    assert "delete" in damaged.value.remedy


def test_a_storage_that_takes_no_more_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, near: Place
) -> None:
    import optuna
    from optuna.exceptions import StorageInternalError

    base = tmp_path / "base.yaml"
    base.write_text("Backend: Hwflow\n")
    tell, told = optuna.Study.tell, []

    def full(self: optuna.Study, *args: Any, **keys: Any) -> Any:
        told.append(args)
        if len(told) == 3:
            raise StorageInternalError("a commit failed") from OSError("database or disk is full")
        return tell(self, *args, **keys)

    monkeypatch.setattr(optuna.Study, "tell", full)
    with pytest.raises(UserError, match="does not take what was found: database or disk is full"):
        explore(changed(Trials=6), base, tmp_path, place=near, weigh=quick)
    monkeypatch.undo()
    found = explore(changed(Trials=6), base, tmp_path, place=near, weigh=quick)
    assert len(found.designs) == 6
    assert [one["known"] for one in found.sessions] == [0, 2]


def test_a_scheduler_that_is_killed_loses_nothing(tmp_path: Path, near: Place) -> None:
    base, out = tmp_path / "base.yaml", tmp_path / "out"
    base.write_text("Backend: Hwflow\n")
    program = str(Path(sys.executable).with_name("dask"))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    found = tmp_path / "scheduler.json"
    scheduler = subprocess.Popen(
        [program, "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(found)], **quiet
    )
    worker = subprocess.Popen(
        [program, "worker", "--scheduler-file", str(found), "--nthreads", "1", "--no-nanny", "--no-dashboard"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, **quiet,
    )  # fmt: skip
    numbers: list[int] = []

    def track(finished: Iterable[int], count: int) -> Iterable[int]:
        for number in finished:
            numbers.append(number)
            if len(numbers) == 3:
                scheduler.kill()
            yield number

    try:
        deadline = time.monotonic() + 60
        while not found.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        address = json.loads(found.read_text())["address"]
        study = changed(Space={"WeightBits": list(range(1, 17))}, Trials=8)
        with pytest.raises(UserError, match="is gone while designs were computed"):
            explore(study, base, out, place=Place(1, address), weigh=slow, track=track)
    finally:
        worker.kill()
        scheduler.kill()
        worker.wait()
        scheduler.wait()
    whole = explore(study, base, out, place=near, weigh=slow)
    assert len(whole.designs) == 8
    assert set(numbers) <= {one.number for one in whole.designs}
    assert {one.state for one in whole.designs} == {"complete"}


DRIVER = """
from pathlib import Path
from hwflow.explore.networks import Quantizations, _untraced
from hwflow.explore.schema import StudyConfig
from hwflow.explore.study import explore
from tests.test_explore import STUDY, slow
if __name__ == "__main__":
    study = StudyConfig.model_validate({{**STUDY, "Trials": 12, "Space": {{"WeightBits": list(range(1, 17))}}}})
    found = explore(study, Path({base!r}), Path({out!r}), weigh=slow)
    print("finished", len(found.designs), [one["ended"] is not None for one in found.sessions])
"""


def test_nothing_finished_is_lost_when_processes_are_killed(tmp_path: Path) -> None:
    import optuna

    base, out = tmp_path / "base.yaml", tmp_path / "out"
    base.write_text("Backend: Hwflow\n")
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(base=str(base), out=str(out)))
    started = {"args": [sys.executable, str(script)], "env": {**os.environ, "PYTHONPATH": str(ROOT)}}

    def computed() -> list[int]:
        notes = tmp_path / "workers.txt"
        return [int(line) for line in notes.read_text().split()] if notes.exists() else []

    def wait_for(count: int) -> None:
        deadline = time.monotonic() + 120
        while len(computed()) < count:
            assert time.monotonic() < deadline, "the study does not go on"
            time.sleep(0.05)

    def finished() -> dict[int, dict[str, Any]]:
        stored = optuna.load_study(study_name="hwflow", storage=f"sqlite:///{out / 'study.db'}")
        done = [one for one in stored.trials if one.state.name == "COMPLETE"]
        return {one.number: one.params for one in done if "twin" not in one.user_attrs}

    driver = subprocess.Popen(**started, start_new_session=True)
    wait_for(2)
    os.kill(computed()[-1], signal.SIGKILL)  # a worker: another one goes on
    wait_for(5)
    os.killpg(driver.pid, signal.SIGKILL)  # scheduler, driver and all workers
    driver.wait()
    before = finished()
    assert 2 <= len(before) < 12
    whole = subprocess.run(**started, capture_output=True, text=True, timeout=300)
    assert "finished 12 [False, True]" in whole.stdout, whole.stderr
    after = finished()
    assert before.items() <= after.items()
    assert len(after) == 12
