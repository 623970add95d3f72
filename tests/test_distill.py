# SPDX-License-Identifier: Apache-2.0
"""Distillation of a float network: its teacher, the command, and what cannot learn from what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from hwflow.cli.app import app
from hwflow.config.schema import DistillConfig, HwflowConfig
from hwflow.errors import ConfigError, FetchError
from hwflow.faces.align import arcface, around
from hwflow.train.augment import Crop

pytestmark = pytest.mark.tf

NETWORKS = """
import tensorflow as tf
from hwflow.models.seeding import seed_weights


def network(size, length, seed):
    layers = tf.keras.layers
    inputs = tf.keras.Input((size, size, 3))
    x = layers.Conv2D(6, 3, strides=2, name="conv")(inputs)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    x = layers.Dense(length, name="embedding")(layers.GlobalAveragePooling2D(name="pool")(x))
    return seed_weights(tf.keras.Model(inputs, x), seed)


def student():
    return network(16, 8, 1)


def teacher():
    return network(16, 8, 2)


def longer():
    return network(16, 10, 2)


def larger():
    return network(20, 8, 2)
"""
SHORT = DistillConfig(Teacher="", Epochs=6, Batch=8, LearningRate=0.01)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with networks of a user."""
    folder = tmp_path_factory.mktemp("distill")
    (folder / "nets.py").write_text(NETWORKS)
    return folder


def network(name: str) -> Any:
    found: dict[str, Any] = {}
    exec(NETWORKS, found)
    return found[name]()


def run(folder: Path, command: str, teacher: str, *words: str) -> Result:
    design = folder / f"{teacher}.yaml"
    section = f"Source: 'nets:student', Distill: {{Teacher: 'nets:{teacher}', Epochs: 2, Batch: 16}}"
    design.write_text(f"Hwflow: {{Model: {{{section}, Prepare: {{}}}}}}")
    return CliRunner().invoke(app, [command, str(design), "--trust", *words])


def learn(folder: Path, **how: Any) -> tuple[list[Any], Any]:
    """A student of 16 pixels learns from a teacher of 20."""
    from hwflow.train.distill import Teacher, distil

    student, model = network("student"), network("larger")
    frames = [arcface(16), arcface(20)]
    picture = around(frames)
    crops = Crop.of(frames[0], picture), Crop.of(frames[1], picture)
    codes = np.random.default_rng(0).integers(-128, 128, (24, 5, 5, 3))
    pictures = (codes.repeat(4, axis=1).repeat(4, axis=2) / 128).astype(np.float32)
    teacher = Teacher(model, pictures, crops[1])
    return distil(student, teacher, pictures, None, crops, SHORT, folder=folder, seed=3, **how), student


def test_a_student_comes_nearer_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    """Weights and statistics of normalizations are those of a training that nothing interrupted."""

    def killed(steps: Any, _: int) -> Any:
        for step in steps:
            if step == 10:
                raise KeyboardInterrupt
            yield step

    whole, student = learn(tmp_path / "whole")
    assert whole[-1].cosine > whole[0].cosine + 0.1
    assert whole[-1].loss < whole[0].loss
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "cut", track=killed)
    epochs, resumed = learn(tmp_path / "cut")
    assert epochs == whole
    for expected, found in zip(student.get_weights(), resumed.get_weights(), strict=True):
        assert np.array_equal(expected, found)


def test_statistics_are_those_of_the_weights_as_they_are() -> None:
    from hwflow.train.distill import Pupil

    model = network("student")
    batches = np.random.default_rng(2).normal(size=(3, 5, 16, 16, 3)).astype(np.float32)
    Pupil(model).settle(batches)
    seen = [model.get_layer("conv")(batch).numpy() for batch in batches]
    norm = model.get_layer("norm")
    assert np.allclose(norm.moving_mean, np.mean(seen, axis=(0, 1, 2, 3)), atol=1e-4)
    assert np.allclose(
        norm.moving_variance, np.mean([np.var(x, axis=(0, 1, 2)) for x in seen], axis=0), rtol=0.01
    )
    assert norm.momentum == 0.99


def test_a_teacher_is_centred_and_takes_what_its_frame_says() -> None:
    import tensorflow as tf

    from hwflow.train.distill import Teacher

    pictures = np.random.default_rng(1).integers(-128, 128, (40, 16, 16, 3)).astype(np.float32) / 128
    model = network("teacher")
    teacher = Teacher(model, pictures, Crop(16, 16))
    raw = model(pictures, training=False).numpy()
    assert np.allclose(teacher(pictures)[0], raw - raw.mean(axis=0), atol=1e-5)
    # dlib's frame: pixels from 0 to 255
    inputs = tf.keras.Input((150, 150, 3))
    means = tf.keras.Model(inputs, tf.reduce_mean(inputs, axis=(1, 2)))
    grey = np.stack([np.full((150, 150, 3), level, np.float32) for level in (-1, 0.5)])
    found = Teacher(means, grey, Crop(150, 150))
    assert np.allclose(found.mean, (0 + 192) / 2)
    assert np.allclose(found(grey)[0], [[-96] * 3, [96] * 3])


def test_the_command_distils_and_then_quantizes(place: Path) -> None:
    out = place / "run"
    result = run(place, "train", "teacher", "--out", str(out), "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [epoch["number"] for epoch in told["distillation"]] == [1, 2]
    assert Path(told["model"]).is_file()
    assert (out / "distillation" / "log.csv").is_file()


@pytest.mark.parametrize(
    ("teacher", "expected"),
    [
        ("longer", "Distill.Teacher: nets:longer gives embeddings of 10 values"),
        ("larger", "random codes have no crops for both"),
        ("nobody", "Hwflow.Model.Distill.Teacher: module 'nets' has no function 'nobody'"),
    ],
)
def test_a_check_looks_at_the_teacher(place: Path, teacher: str, expected: str) -> None:
    result = run(place, "check", teacher)
    assert result.exit_code == 1
    assert expected in " ".join(result.output.split())


def test_other_commands_do_not_distil(place: Path) -> None:
    result = run(place, "search", "teacher", "--out", str(place / "search"))
    assert result.exit_code == 1
    assert "distil it by `hwflow train`" in " ".join(result.output.split())


def test_a_teacher_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    from hwflow.flow import distillation

    def config(teacher: str) -> HwflowConfig:
        return HwflowConfig.model_validate({"Model": {"Source": "x", "Distill": {"Teacher": teacher}}})

    def offline(*_: Any, **__: Any) -> None:
        raise FetchError(
            "face-recognition-models cannot be fetched: pip failed", "check the network connection"
        )

    with pytest.raises(ConfigError, match=r"Distill\.Teacher: the model zoo has no 'dlib-resnt'") as unknown:
        distillation.Distillation(config("dlib-resnt"), None, base_dir=Path(), trust=False)
    assert "did you mean 'dlib-resnet'" in unknown.value.remedy
    monkeypatch.setattr(distillation, "load_source", offline)
    with pytest.raises(FetchError, match=r"Hwflow\.Model\.Distill\.Teacher: face-recognition-models cannot"):
        distillation.Distillation(config("dlib-resnet"), None, base_dir=Path(), trust=False)
