# SPDX-License-Identifier: Apache-2.0
"""Optimizers, schedules and classifiers of a training: what each does by its formula, and what does not go together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwflow.config.load import parse_config
from hwflow.config.schema import DistillConfig, TrainConfig
from hwflow.errors import ConfigError
from hwflow.train.augment import Crop
from hwflow.train.loop import _ADDED, Lesson, _said, fit

PICTURES, LENGTH, SEED = 12, 5, 4
PEOPLE = np.arange(PICTURES) // 3
#: A step an epoch, on pictures as they are.
WHOLE = {"Batch": PICTURES, "Augment": False, "LearningRate": 0.5}
LABELS = {"EmbeddingWeight": 0.0, "ClassWeight": 1.0, "Labels": True}


class Linear:
    """Embeddings that are sums of pixels."""

    def __init__(self, seed: int) -> None:
        import tensorflow as tf

        draw = np.random.default_rng(seed).normal
        self.kernel = tf.Variable(draw(size=(12, LENGTH)), dtype=tf.float32, name="toy/kernel")
        self.bias = tf.Variable(draw(size=LENGTH), dtype=tf.float32, name="toy/bias")
        self.variables = [self.kernel, self.bias]

    def __call__(self, x: Any, kept: Any = ()) -> Any:
        import tensorflow as tf

        return tf.reshape(x, (-1, 12)) @ self.kernel + self.bias, {}

    @property
    def values(self) -> list[np.ndarray]:
        return [variable.numpy() for variable in self.variables]


def pictures() -> np.ndarray:
    codes = np.random.default_rng(0).integers(-128, 128, (PICTURES, 2, 2, 3))
    return (codes / 128).astype(np.float32)


def trained(folder: Path, **settings: Any) -> tuple[list[Any], list[np.ndarray]]:
    """Epochs, and what became of kernel and bias."""
    track = settings.pop("track", lambda steps, _: steps)
    student, whole = Linear(1), Crop(2, 2)
    lesson = Lesson(student, Linear(2), pictures(), PEOPLE, (whole, whole), LENGTH)
    epochs = fit(
        lesson, TrainConfig(**{**WHOLE, **settings}), folder=folder / "state", seed=SEED, track=track
    )
    return epochs, student.values


@pytest.mark.tf
def test_sgd_has_momentum_and_its_rate_falls_at_the_step(tmp_path: Path) -> None:
    """When the rate falls to next to nothing, 0.9 of the step before is what is left of the next."""
    start = Linear(1).values
    once, after_one = trained(tmp_path / "1", Epochs=1, Optimizer="sgd")
    twice, after_two = trained(
        tmp_path / "2", Epochs=2, Optimizer="sgd", Schedule="steps", Steps=[1], StepFactor=1e-6
    )
    assert [epoch.learning_rate for epoch in (*once, *twice)] == pytest.approx([0.5, 0.5, 0.5e-6])
    for before, one, two in zip(start, after_one, after_two, strict=True):
        assert np.abs(one - before).max() > 1e-3
        assert np.allclose(two - one, 0.9 * (one - before), atol=1e-5)
    assert (
        len(np.unique(np.round(np.abs(after_one[0] - start[0]), 3))) > 10
    )  # Adam's first step is the same for all


@pytest.mark.tf
def test_the_rate_falls_at_every_step_and_kernels_decay(tmp_path: Path) -> None:
    usual = {"Epochs": 4, "Schedule": "steps", "Steps": [1, 3]}
    epochs, plain = trained(tmp_path / "plain", **usual)
    assert [epoch.learning_rate for epoch in epochs] == pytest.approx([0.5, 0.05, 0.05, 0.005])
    start = Linear(1).values
    plain, decayed = (
        trained(tmp_path / str(decay), Epochs=1, Optimizer="sgd", WeightDecay=decay)[1] for decay in (0, 0.25)
    )
    assert np.allclose(plain[0] - decayed[0], 0.5 * 0.25 * start[0], atol=1e-6)
    assert np.array_equal(plain[1], decayed[1])


@pytest.mark.tf
@pytest.mark.parametrize(
    ("settings", "angular", "additive", "scale"),
    [
        ({}, 0.5, 0, 64),
        ({"Head": "cosface", "Scale": 16.0}, 0, 0.35, 16),
        ({"Head": "cosface", "Margin": 0.2}, 0, 0.2, 64),
        ({"Head": "softmax", "Scale": 8.0}, 0, 0, 8),
    ],
)
def test_heads_by_their_formulas(
    tmp_path: Path, settings: dict[str, Any], angular: float, additive: float, scale: float
) -> None:
    """From labels alone the loss of the first step is that of the start."""
    epochs, _ = trained(tmp_path, Epochs=1, **LABELS, **settings)
    kernel, bias = (values.astype(float) for values in Linear(1).values)
    centers = np.random.default_rng([SEED, 7]).normal(size=(PEOPLE.max() + 1, LENGTH))
    embeddings = pictures().reshape(PICTURES, -1) @ kernel + bias
    rows, directions = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (embeddings, centers))
    logits, own = rows @ directions.T, (np.arange(PICTURES), PEOPLE)
    logits[own] = np.cos(np.minimum(np.arccos(logits[own]) + angular, np.pi)) - additive
    logits *= scale
    assert epochs[0].loss == pytest.approx(
        np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[own]), rel=1e-4
    )


@pytest.mark.tf
def test_softmax_first_then_a_margin_and_a_kill_between(tmp_path: Path) -> None:
    def killed(steps: Iterable[int], _: int) -> Iterator[int]:
        for step in steps:
            if step == 3:
                raise KeyboardInterrupt
            yield step

    usual = {"Epochs": 4, "Optimizer": "sgd", "Schedule": "steps", "Steps": [3], **LABELS}
    soft, _ = trained(tmp_path / "soft", Head="softmax", **usual)
    usual |= {"Head": "cosface", "HeadAfter": 2}
    whole, values = trained(tmp_path / "whole", **usual)
    assert whole[:2] == soft[:2]
    assert whole[2].loss > soft[2].loss + 1
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", track=killed, **usual)
    left: list[int] = []
    epochs, resumed = trained(
        tmp_path / "cut", track=lambda steps, count: left.append(count) or steps, **usual
    )
    assert left == [1]
    assert epochs == whole
    assert all(np.array_equal(a, b) for a, b in zip(values, resumed, strict=True))


def test_settings_that_say_nothing_leave_a_training_what_it_was() -> None:
    """States of trainings lie in users' folders: what names them stays as it is, and new settings are told apart."""
    first = (
        '{"Epochs":20,"Batch":32,"LearningRate":0.001,"Loss":"embedding","EmbeddingWeight":1.0,"ClassWeight":%s,'
        '"Share":1.0,"Labels":false,"Augment":true,%s}'
    )
    assert _said(TrainConfig(TensorBoard=True)) == first % ("0.0", '"FeatureWeight":0.0')
    classes = {"Teacher": "t", "ClassWeight": 0.5}
    assert _said(DistillConfig(**classes)) == first % ("0.5", '"Teacher":"t"')
    steps = {"Schedule": "steps", "Steps": [3]}
    changes: list[dict[str, Any]] = [
        {}, {"Optimizer": "sgd"}, {"WeightDecay": 0.1}, steps, {**steps, "Steps": [4]}, {**steps, "StepFactor": 0.5},
        {"Head": "cosface"}, {"Head": "softmax"}, {"Margin": 0.4}, {"Scale": 30}, {"HeadAfter": 1},
    ]  # fmt: skip
    assert len({_said(DistillConfig(**classes, **change)) for change in changes}) == len(changes)
    assert {name for change in changes for name in change} == set(_ADDED)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"Steps": [3]}, "Steps: [3], but Schedule is cosine; set Schedule: steps"),
        ({"Schedule": "steps"}, "Steps: none, so Schedule: steps never lowers the rate; name epochs"),
        ({"Schedule": "steps", "Steps": [3, 2]}, "Steps: [3, 2] do not ascend; name each epoch once"),
        ({"Schedule": "steps", "Steps": [2, 2]}, "Steps: [2, 2] do not ascend; name each epoch once"),
        (
            {"Schedule": "steps", "Steps": [5, 20]},
            "Steps: [5, 20], but epochs that others follow are 1 to 19",
        ),
        ({"Schedule": "steps", "Steps": [0]}, "Steps: [0], but epochs that others follow are 1 to 19"),
        ({"StepFactor": 0.5}, "StepFactor: 0.5, but Schedule is cosine; set Schedule: steps"),
        (
            {"Head": "cosface"},
            "Head: cosface, but ClassWeight is 0, so nobody is told apart; set ClassWeight",
        ),
        ({"Margin": 0.5}, "Margin: 0.5, but ClassWeight is 0"),
        ({"Scale": 32}, "Scale: 32.0, but ClassWeight is 0"),
        ({"HeadAfter": 2}, "HeadAfter: 2, but ClassWeight is 0"),
        (
            {"ClassWeight": 1, "Head": "softmax", "Margin": 0.5},
            "Margin: 0.5, but softmax has no margin; set Head:",
        ),
        ({"ClassWeight": 1, "Head": "softmax", "HeadAfter": 2}, "HeadAfter: 2, but softmax has no margin"),
        (
            {"ClassWeight": 1, "HeadAfter": 20},
            "HeadAfter: 20 of 20 Epochs leave none for the margin; lower it",
        ),
        ({"Optimizer": "rmsprop"}, "Optimizer: 'rmsprop' should be 'adam' or 'sgd'"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, Any], expected: str) -> None:
    data = {"Kind": "orl", "TrainingPeople": 20}
    for section, more in (("Train", {}), ("Distill", {"Teacher": "t"})):
        model = {"Source": "s", "Prepare": {}, section: {**settings, **more}}
        with pytest.raises(ConfigError) as found:
            parse_config({"Hwflow": {"Model": model, "Data": data}}, "design.yaml")
        assert f"1 thing(s) to mend:\n  - Hwflow.Model.{section}.{expected}" in str(found.value)


def test_the_recipes_of_classifiers_are_read_and_read_back() -> None:
    from hwflow.config.load import resolve

    recipe = {
        "Optimizer": "sgd", "WeightDecay": 4e-5, "LearningRate": 0.1, "Schedule": "steps", "Steps": [12, 17],
        "HeadAfter": 5, "Margin": 0.4, **LABELS,
    }  # fmt: skip
    data = {"Kind": "orl", "TrainingPeople": 20}
    model = {"Source": "s", "Prepare": {}, "Train": recipe, "Distill": {"Teacher": "t"}}
    config = parse_config({"Hwflow": {"Model": model, "Data": data}}, "design.yaml")
    assert config.Hwflow.Model.Train == TrainConfig(**recipe)
    assert parse_config(resolve(config), "resolved") == config
