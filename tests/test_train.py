# SPDX-License-Identifier: Apache-2.0
"""Quantization-aware training: losses by their formulas, views, the loop and what stops it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwflow.config.schema import PrepareConfig, TrainConfig
from hwflow.errors import ConfigError, UserError
from hwflow.prepare import prepare
from hwflow.prepare.build import build
from hwflow.prepare.pipeline import activation_ranges, float_net
from hwflow.prepare.quantize import choose_grids
from hwflow.train.logs import EVENTS, LOG
from hwflow.train.loop import STATE, train

pytestmark = pytest.mark.tf

BITS = PrepareConfig(WeightBits=3, ActivationBits=4, Calibration="mse")
SHORT = TrainConfig(Epochs=4, Batch=8, LearningRate=0.01, FeatureWeight=0.5)


def network() -> Any:
    import tensorflow as tf
    from tensorflow.keras import layers

    from hwflow.models.seeding import seed_weights

    inputs = tf.keras.Input((8, 8, 3))
    x = layers.PReLU(shared_axes=[1, 2], name="act1")(
        layers.Conv2D(6, 3, padding="same", name="conv1")(inputs)
    )
    y = layers.ReLU(name="act2")(layers.DepthwiseConv2D(3, padding="same", name="conv2")(x))
    x = layers.Add(name="sum")([x, y])
    return seed_weights(tf.keras.Model(inputs, layers.Dense(5, name="dense")(layers.Flatten()(x))), 3)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    codes = np.random.default_rng(0).integers(-128, 128, (24, 8, 8, 3))
    return (codes / 128).astype(np.float32)


@pytest.fixture(scope="module")
def started(frames: np.ndarray) -> Any:
    """Network and formats before training."""
    net, _ = float_net(network(), frames, BITS)
    return net, choose_grids(net, activation_ranges(net, build(net), frames, BITS), BITS)


def trained(
    started: Any, frames: np.ndarray, folder: Path, config: TrainConfig = SHORT, people: Any = None
) -> Any:
    net, scheme = copy.deepcopy(started)
    return train(net, scheme, frames, people, config, folder=folder, seed=5), net, scheme


def killed(steps: Any, _: int) -> Any:
    """Steps of a training that ends within its third epoch."""
    for step in steps:
        if step == 7:
            raise KeyboardInterrupt
        yield step


def unit_rows(n: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, 7)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_distance_of_embeddings() -> None:
    from hwflow.train.losses import embedding_loss

    a, b = unit_rows(9, 0), unit_rows(9, 1)
    expected = np.mean(1 - (a * b).sum(axis=1))
    assert float(embedding_loss(3 * a, b)) == pytest.approx(expected, rel=1e-5)
    assert float(embedding_loss(a, 2 * a)) == pytest.approx(0, abs=1e-6)


def test_evaluation_loss_by_its_equations() -> None:
    import tensorflow as tf

    from hwflow.train.losses import FALSE_POSITIVE_RATES, evaluation_loss

    n = 12
    student, teacher, people = unit_rows(n, 0), unit_rows(n, 1), np.arange(n) // 3
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    margins = []
    for rows in (student, teacher):
        similar = {pair: float(rows[pair[0]] @ rows[pair[1]]) for pair in pairs}
        other = sorted((s for (i, j), s in similar.items() if people[i] != people[j]), reverse=True)
        thresholds = np.array([other[int(rate * len(other))] for rate in FALSE_POSITIVE_RATES])
        margins.append({pair: s - thresholds for pair, s in similar.items()})
    off = {pair: np.abs(margins[1][pair] - margins[0][pair]).mean() for pair in pairs}
    same = np.mean([off[i, j] for i, j in pairs if people[i] == people[j]])
    different = np.mean([off[i, j] for i, j in pairs if people[i] != people[j]])
    found = evaluation_loss(student, teacher, tf.constant(people), positive=0.5, negative=2.0)
    assert float(found) == pytest.approx(0.5 * same + 2 * different, rel=1e-4)
    assert float(evaluation_loss(teacher, 3 * teacher, tf.constant(people))) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("angular", "additive"), [(0.5, 0.0), (0.0, 0.35), (0.0, 0.0)])
def test_margins_between_classes(angular: float, additive: float) -> None:
    from hwflow.train.losses import margin_loss

    rows, centers, labels = unit_rows(6, 0), unit_rows(4, 1), np.array([0, 1, 2, 3, 0, 1])
    logits = rows @ centers.T
    right = logits[np.arange(6), labels]
    logits[np.arange(6), labels] = np.cos(np.arccos(right) + angular) - additive
    logits *= 16
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(6), labels])
    found = margin_loss(2 * rows, centers, labels, angular=angular, additive=additive, scale=16)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_views_repeat_by_seed_and_stay_on_the_pixel_grid(frames: np.ndarray) -> None:
    import tensorflow as tf

    from hwflow.train.augment import Crop, views

    first, again, other = (
        views(frames, [Crop(8, 8)], tf.constant(seed))[0].numpy() for seed in ([1, 2], [1, 2], [1, 3])
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(first * 128, np.round(first * 128))
    assert first.min() >= -1
    assert first.max() <= 127 / 128
    assert np.array_equal(views(frames, [Crop(8, 8)])[0], frames)
    finer = frames * 3 + 1 / 512  # codes of a wider input are no pixels
    assert np.array_equal(views(finer, [Crop(8, 8)])[0], finer)


def test_two_crops_show_one_picture() -> None:
    """Where two frames hold the same places of a face, moved and lit views of them show the same."""
    import tensorflow as tf

    from hwflow.faces.align import DLIB, arcface, around
    from hwflow.train.augment import Crop, views

    frames = [arcface(80), DLIB]
    picture = around(frames)
    crops = [Crop.of(frame, picture) for frame in frames]
    for crop in crops:  # both lie inside, and neither is finer than the picture
        corners = np.array([(x, y, 1) for x in (0, crop.width - 1) for y in (0, crop.height - 1)])
        reached = corners @ np.reshape(crop.place, (2, 3)).T
        assert reached.min() >= -1
        assert reached.max() <= picture.size
        assert np.hypot(crop.place[0], crop.place[3]) >= 0.999
    rows, columns = np.mgrid[: picture.size, : picture.size] / picture.size
    smooth = np.stack([rows, columns, rows * columns], axis=-1)[None].astype(np.float32) - 0.5
    small, large = (view.numpy()[0] for view in views(smooth, crops, tf.constant([3, 4])))
    # From a place of the smaller crop to the same one of the other.
    first, second = (np.vstack([np.reshape(crop.place, (2, 3)), (0, 0, 1)]) for crop in crops)
    places = np.array([(x, y, 1) for x in range(15, 65) for y in range(25, 75)]).T
    x, y = np.rint((np.linalg.inv(second) @ first @ places)[:2]).astype(int)
    assert np.abs(small[places[1], places[0]] - large[y, x]).max() < 0.03


def test_the_student_computes_what_the_simulation_computes(started: Any, frames: np.ndarray) -> None:
    from hwflow.prepare.simulate import Simulation, simulated_weights
    from hwflow.train.student import Student

    net, scheme = started
    found, _ = Student(net, scheme)(frames)
    weights = simulated_weights(net, scheme)
    for node in net:  # the student's biases are not rounded
        if "bias" in node.arrays:
            weights[node.name][1] = node.arrays["bias"]
    expected = Simulation(net).run(frames, weights, scheme.activations)
    assert np.allclose(found, expected, atol=1e-5)


def test_gradients_of_fused_chains() -> None:
    """One compiled loop gives what TensorFlow derives operation by operation."""
    import tensorflow as tf

    from hwflow.train.fused import Chain

    draw = np.random.default_rng(2).normal
    a, b = (tf.constant(draw(size=(3, 4, 4, 5)), tf.float32) for _ in range(2))
    bias, slope = (tf.constant(draw(size=5), tf.float32) for _ in range(2))

    def prelu(x: Any, slope: Any) -> Any:
        return tf.maximum(x, 0.0) + slope * tf.minimum(x, 0.0)

    with tf.GradientTape(persistent=True) as tape:
        tape.watch([a, b, bias, slope])
        fused = Chain.of(a).then(lambda x, v: x + v, bias).plus(Chain.of(b)).then(prelu, slope).compute()
        plain = prelu(a + bias + b, slope)
    assert np.allclose(fused, plain, atol=1e-6)
    for found, expected in zip(
        *(tape.gradient(y, [a, b, bias, slope], plain) for y in (fused, plain)), strict=True
    ):
        assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_training_brings_the_student_nearer(started: Any, frames: np.ndarray, tmp_path: Path) -> None:
    longer = SHORT.model_copy(update={"Epochs": 12})
    epochs, net, _ = trained(started, frames, tmp_path, longer)
    assert epochs[-1].cosine > epochs[0].cosine + 0.02
    assert epochs[-1].loss < epochs[0].loss
    assert not np.array_equal(net.nodes["conv1"].arrays["kernel"], started[0].nodes["conv1"].arrays["kernel"])
    assert len((tmp_path / LOG).read_text().splitlines()) == 13


def test_a_killed_training_goes_on_where_it_was(started: Any, frames: np.ndarray, tmp_path: Path) -> None:
    whole, net, _ = trained(started, frames, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(*copy.deepcopy(started), frames, None, SHORT, folder=tmp_path / "cut", seed=5, track=killed)
    epochs, resumed, _ = trained(started, frames, tmp_path / "cut")
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4]
    assert epochs == whole
    for node in net:
        for key, values in node.arrays.items():
            assert np.array_equal(values, resumed.nodes[node.name].arrays[key])


def test_another_training_does_not_go_on_with_it(started: Any, frames: np.ndarray, tmp_path: Path) -> None:
    trained(started, frames, tmp_path)
    epochs, _, _ = trained(started, frames, tmp_path, SHORT.model_copy(update={"Epochs": 1}))
    assert len(epochs) == 1


@pytest.mark.parametrize(
    "update", [{"Loss": "evaluation", "Labels": True}, {"ClassWeight": 0.1, "Labels": True}]
)
def test_losses_over_people(started: Any, frames: np.ndarray, tmp_path: Path, update: dict[str, Any]) -> None:
    people = np.arange(24) // 4
    epochs, _, _ = trained(started, frames, tmp_path, SHORT.model_copy(update=update), people)
    assert np.isfinite([epoch.loss for epoch in epochs]).all()


def test_a_loss_out_of_bounds_stops_and_keeps_the_last_good_state(
    started: Any, frames: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hwflow.train import loop

    rate = loop._Session._rate
    monkeypatch.setattr(
        loop._Session, "_rate", lambda self, step: float("nan") if step == 4 else rate(self, step)
    )
    with pytest.raises(UserError, match="norm nan in step 3 of epoch 2") as stopped:
        trained(started, frames, tmp_path)
    assert "after epoch 1" in stopped.value.remedy
    monkeypatch.undo()
    assert len(trained(started, frames, tmp_path)[0]) == 4


def test_logs_for_tensorboard(started: Any, frames: np.ndarray, tmp_path: Path) -> None:
    """Every epoch stands there once, those before an interruption too; asking for them trains nothing anew."""
    import tensorflow as tf
    from tensorflow.core.util.event_pb2 import Event

    with pytest.raises(KeyboardInterrupt):
        train(*copy.deepcopy(started), frames, None, SHORT, folder=tmp_path, seed=5, track=killed)
    epochs, _, _ = trained(started, frames, tmp_path, SHORT.model_copy(update={"TensorBoard": True}))
    found: dict[str, dict[int, float]] = {}
    for path in (tmp_path / EVENTS).iterdir():
        for record in tf.data.TFRecordDataset(str(path)):
            event = Event.FromString(record.numpy())
            for value in event.summary.value:
                assert event.step not in found.setdefault(value.tag, {})
                found[value.tag][event.step] = float(tf.make_ndarray(value.tensor))
    assert len(epochs) == SHORT.Epochs
    assert found["epoch/loss"] == pytest.approx({epoch.number: epoch.loss for epoch in epochs})
    assert set(found) == {"epoch/loss", "epoch/cosine", "epoch/learning_rate"}


def test_what_training_needs(started: Any, frames: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="who is shown"):
        trained(started, frames, tmp_path, TrainConfig(ClassWeight=1))
    with pytest.raises(ConfigError, match="only 24 inputs"):
        trained(started, frames, tmp_path, TrainConfig(Batch=32))
    (tmp_path / STATE).write_bytes(b"PK\3\4 cut")
    with pytest.raises(UserError, match="cannot be read"):
        trained(started, frames, tmp_path)


def test_a_trained_network_is_built_exactly(frames: np.ndarray, tmp_path: Path) -> None:
    """Its weights lie on their grids: what QKeras computes is what the integers compute."""
    from hwflow.prepare.exact import predict_exact

    def tune(net: Any, scheme: Any, teacher: Any) -> None:
        train(net, scheme, frames, None, SHORT, folder=tmp_path, seed=5, teacher=teacher)

    model = prepare(network(), frames, BITS, tune).model
    for layer in model.layers:
        quantizers = getattr(layer, "quantizers", None) or []
        for quantizer, weights in zip(quantizers, layer.get_weights(), strict=False):
            if quantizer is not None:
                assert np.array_equal(quantizer(weights).numpy(), weights)
    assert np.isfinite(predict_exact(model, [frames.astype(np.float64)], ["dense"])["dense"]).all()
