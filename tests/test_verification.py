# SPDX-License-Identifier: Apache-2.0
"""Figures of face verification against slow, independent computations."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from hwflow.cli.app import app
from hwflow.errors import ConfigError, UserError
from hwflow.faces import embeddings as shapes
from hwflow.faces.align import ARCFACE, DLIB
from hwflow.faces.datasets import open_faces
from hwflow.faces.datasets.stream import aligned_batches
from hwflow.faces.verification import (
    best_threshold,
    fold_accuracy,
    k_fold,
    pair_scores,
    roc,
    stratified_folds,
)
from hwflow.flow import evaluation
from hwflow.flow.evaluation import Network, as_input, frame_of
from hwflow.flow.progress import LogProgress
from hwflow.flow.steps import STEPS, needed_first
from hwflow.ir.serialize import load_graph
from hwflow.numerics.fixed import FixedType
from hwflow.records import read_evaluations
from hwflow.verify.golden import run_golden
from hwflow.verify.rtlsim import RtlResult
from tests import face_sets


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWFLOW_CACHE", str(tmp_path_factory.mktemp("cache")))


def scored(count: int = 300, seed: int = 0, digits: int = 2) -> tuple[Any, Any, Any]:
    """Overlapping scores with ties, whether each is genuine, and folds."""
    rng = np.random.default_rng(seed)
    genuine = rng.random(count) < 0.4
    scores = np.round(rng.normal(size=count) + genuine, digits)
    return scores, genuine, rng.integers(0, 5, count)


# ------------------------------------------------------------------------------------------------ figures


@pytest.mark.parametrize("digits", [0, 1, 6])
def test_roc_counts_what_each_threshold_accepts(digits: int) -> None:
    scores, genuine, _ = scored(digits=digits)
    curve = roc(scores, genuine)
    assert (curve.fpr[0], curve.tpr[0], curve.thresholds[0]) == (0, 0, np.inf)
    assert (curve.fpr[-1], curve.tpr[-1]) == (1, 1)
    for fpr, tpr, threshold in zip(curve.fpr, curve.tpr, curve.thresholds, strict=True):
        assert fpr == (scores[~genuine] >= threshold).mean() and tpr == (scores[genuine] >= threshold).mean()
    # the area: genuine pairs that score above impostor pairs, ties half
    above = scores[genuine][:, None] - scores[~genuine][None]
    assert abs(curve.auc - ((above > 0).mean() + (above == 0).mean() / 2)) < 1e-12
    # what was left out lies on horizontal or vertical lines
    for threshold in np.unique(scores):
        x, y = (scores[~genuine] >= threshold).mean(), (scores[genuine] >= threshold).mean()
        upright = (curve.fpr[:-1] == x) & (curve.fpr[1:] == x) & (curve.tpr[:-1] <= y) & (y <= curve.tpr[1:])
        level = (curve.tpr[:-1] == y) & (curve.tpr[1:] == y) & (curve.fpr[:-1] <= x) & (x <= curve.fpr[1:])
        assert (upright | level).any() or ((curve.fpr == x) & (curve.tpr == y)).any()
    assert curve.corners(5)[0] == (0, 0) and curve.corners(5)[-1] == (1, 1) and len(curve.corners(5)) == 5


def test_equal_error_rate() -> None:
    genuine = np.array([True] * 4 + [False] * 4)
    assert roc(np.array([9.0, 8, 7, 3, 4, 2, 1, 0]), genuine).eer == 0.25
    assert roc(np.array([9.0, 8, 7, 6, 4, 2, 1, 0]), genuine).eer == 0
    assert roc(np.array([0.0, 1, 2, 3, 4, 5, 6, 7]), genuine).eer == 1
    assert abs(roc(np.ones(8), genuine).eer - 0.5) < 1e-12  # a dead network
    scores, genuine, _ = scored(20_000, digits=6)
    curve = roc(scores, genuine)
    threshold = np.quantile(scores[~genuine], 1 - curve.eer)
    assert abs((scores[genuine] < threshold).mean() - curve.eer) < 1e-3


def test_tpr_at_fpr_is_the_best_that_keeps_the_rate() -> None:
    scores, genuine, _ = scored(2000)
    curve = roc(scores, genuine)
    for rate in (0.5, 0.1, 0.01, 1 / (~genuine).sum()):
        allowed = [t for t in np.unique(scores) if (scores[~genuine] >= t).mean() <= rate]
        expected = max(((scores[genuine] >= t).mean() for t in allowed), default=0.0)
        assert curve.tpr_at(rate) == expected
    assert curve.tpr_at(1e-4) is None  # 1,200 impostor pairs cannot tell


def slow_threshold(scores: Any, genuine: Any) -> float:
    """The threshold with the most right, the highest of equals, moved to the middle of its gap."""
    best, found = -np.inf, 0.0
    values = sorted(set(scores.tolist()), reverse=True)
    for value in values:
        gain = (scores[genuine] >= value).mean() - (scores[~genuine] >= value).mean()
        if gain > best:
            best, found = gain, value
    lower = [value for value in values if value < found]
    return (found + lower[0]) / 2 if lower else found


@pytest.mark.parametrize("digits", [0, 1, 6])
def test_folds_are_judged_by_the_threshold_of_the_others(digits: int) -> None:
    scores, genuine, folds = scored(digits=digits)
    found = k_fold(scores, genuine, folds)
    for fold in range(5):
        rest, own = folds != fold, folds == fold
        threshold = slow_threshold(scores[rest], genuine[rest])
        accepted = scores[own] >= threshold
        right = (accepted[genuine[own]].mean() + (~accepted[~genuine[own]]).mean()) / 2
        assert (found.thresholds[fold], found.folds[fold]) == (threshold, right)
    assert found.mean == found.folds.mean() and found.threshold == found.thresholds.mean()
    deviation = np.sqrt(((found.folds - found.mean) ** 2).sum() / 4)  # LFW: of the sample
    assert found.standard_error is not None and abs(found.standard_error - deviation / np.sqrt(5)) < 1e-15


def test_a_threshold_of_other_pairs_judges_every_fold() -> None:
    scores, genuine, folds = scored()
    others, kinds, _ = scored(seed=1)
    threshold = best_threshold(others, kinds)
    assert threshold == slow_threshold(others, kinds)
    found = fold_accuracy(scores, genuine, folds, np.full(5, threshold))
    for fold in range(5):
        some, kind = scores[folds == fold], genuine[folds == fold]
        assert found.folds[fold] == ((some[kind] >= threshold).mean() + (some[~kind] < threshold).mean()) / 2
    tenths = -np.arange(11) / 10
    chosen = best_threshold(-np.abs(others), kinds, tenths)
    gains = [(-np.abs(others[kinds]) >= t).mean() - (-np.abs(others[~kinds]) >= t).mean() for t in tenths]
    assert chosen == tenths[int(np.argmax(gains))]


def test_pairs_of_one_kind_have_no_figures() -> None:
    scores = np.arange(6.0)
    for genuine, kind in ((np.ones(6, bool), "impostor"), (np.zeros(6, bool), "genuine")):
        with pytest.raises(UserError, match=f"no {kind} pair"):
            roc(scores, genuine)
        with pytest.raises(UserError, match=f"no {kind} pair"):
            best_threshold(scores, genuine)
    mixed = np.array([True, False] * 3)
    with pytest.raises(UserError, match="1 fold"):
        k_fold(scores, mixed, np.zeros(6, np.int64))
    with pytest.raises(UserError, match="fold 2 of 3 holds no impostor pair"):
        k_fold(scores, mixed, np.array([0, 0, 1, 2, 2, 2]))
    with pytest.raises(UserError, match="too few for 10 folds"):
        stratified_folds(mixed)


def test_scores_of_pairs() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 7))
    vectors[3] = 0
    first, second = np.random.default_rng(1).integers(0, 50, (2, 3000))
    cosine, euclidean = (pair_scores(vectors, first, second, m) for m in ("cosine", "euclidean"))  # type: ignore[arg-type]
    for i in range(0, 3000, 7):
        a, b = vectors[first[i]], vectors[second[i]]
        norm = np.linalg.norm(a) * np.linalg.norm(b)
        assert abs(cosine[i] - (a @ b / norm if norm else 0)) < 1e-12
        assert abs(euclidean[i] + np.linalg.norm(a - b)) < 1e-12


# ------------------------------------------------------------------------------------------------ embeddings


def test_angles_between_pictures_and_people() -> None:
    rng = np.random.default_rng(0)
    vectors, people = rng.normal(size=(7, 5)), np.array([4, 4, 4, 9, 9, 2, 4])
    vectors[1] = vectors[0] * (1 + 1e-13)
    degrees = shapes.angles(vectors)
    for i in range(7):
        for j in range(7):
            cosine = vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j])
            assert abs(degrees[i, j] - np.degrees(np.arccos(np.clip(cosine, -1, 1)))) < 1e-5
    assert degrees[0, 1] < 1e-5
    names, between = shapes.identity_angles(vectors, people)
    assert names.tolist() == [2, 4, 9] and np.isnan(between[0, 0])
    assert abs(between[1, 2] - degrees[np.ix_(people == 4, people == 9)].mean()) < 1e-9
    own = [degrees[i, j] for i in (0, 1, 2, 6) for j in (0, 1, 2, 6) if i != j]
    assert abs(between[1, 1] - np.mean(own)) < 1e-9


def test_tsne_keeps_people_together_and_follows_the_seed() -> None:
    people = np.repeat(np.arange(3), 6)
    vectors = np.eye(3, 8)[people] + 0.05 * np.random.default_rng(0).normal(size=(18, 8))
    points = shapes.tsne(vectors)
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert np.array_equal(people[distance.argmin(axis=1)], people)
    assert np.array_equal(points, shapes.tsne(vectors)) and not np.array_equal(
        points, shapes.tsne(vectors, 2)
    )
    with pytest.raises(UserError, match="too few for t-SNE"):
        shapes.tsne(vectors[:3])


@pytest.mark.parametrize("rows", [1, 5, 1000])
def test_templates_are_means_of_media(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(shapes, "_ROWS", rows)
    rng = np.random.default_rng(0)
    of, media = rng.integers(0, 6, 40), rng.integers(0, 3, 40)
    of[of == 4] = 5  # template 4 has no picture
    vectors = rng.normal(size=(40, 3)).astype(np.float32)
    vectors[[2, 11]] = np.nan
    vectors[of == 0] = np.nan  # all pictures of template 0 are broken
    found, filled = shapes.template_embeddings(vectors, of, media, 6)
    assert filled.tolist() == [False, True, True, True, False, True]
    for template in np.flatnonzero(filled):
        means = [
            np.nanmean(vectors[(of == template) & (media == medium)].astype(float), axis=0)
            for medium in np.unique(media[(of == template) & ~np.isnan(vectors[:, 0])])
        ]
        expected = np.mean(means, axis=0)
        assert np.abs(found[template] - expected / np.linalg.norm(expected)).max() < 1e-12


# ------------------------------------------------------------------------------------------------ evaluation


def colours(batches: Iterable[Any]) -> Iterator[Any]:
    """An embedding that knows the pattern of a person: the mean colour of each quarter; cut in odd portions."""
    for faces in batches:
        small = faces.reshape(len(faces), 2, 4, 2, 4, 3).mean(axis=(2, 4)).reshape(len(faces), -1) - 128
        yield small[:1]
        yield small[1:]


def scores_of(folder: Path, **options: Any) -> Any:
    faces = open_faces(folder, **options)
    network = Network("float", (8, 8, 3), colours)
    (record,) = evaluation.evaluate(
        "net", [network], faces, "fixed-crop", folder.parent / "out", LogProgress()
    )
    assert read_evaluations(folder.parent / "out/evaluation.json") == [record]
    return record


def test_lfw_is_scored_by_folds_and_by_view_1(tmp_path: Path) -> None:
    record = scores_of(face_sets.lfw(tmp_path / "set"))
    assert (record.pictures, record.pairs, record.genuine, record.broken, record.size) == (24, 60, 30, 0, 8)
    cosine, euclidean = record.measures
    assert [a.protocol for a in cosine.accuracies] == ["k-fold", "view 1"]
    assert [a.protocol for a in euclidean.accuracies] == ["k-fold", "view 1", "view 1, tenths"]
    assert cosine.auc == 1 and cosine.eer == 0 and cosine.accuracies[0].mean == 1
    assert cosine.genuine_mean > 0.9 > cosine.impostor_mean
    assert 0 < euclidean.genuine_mean < euclidean.accuracies[1].threshold < euclidean.impostor_mean
    assert len(euclidean.accuracies[1].folds) == 10 and euclidean.accuracies[1].standard_error is not None
    assert euclidean.accuracies[2].mean == 0.5  # these distances are far above 1
    assert cosine.tpr_at_fpr["1e-1"] == 1 and cosine.tpr_at_fpr["1e-4"] is None
    vectors = np.load(tmp_path / "out/embeddings-float.npy")
    assert vectors.shape == (24, 12) and np.isfinite(vectors).all()
    assert len(record.people) == len(record.angles) == len(record.tsne) == 24
    assert len(record.identity_angles) == 5
    for name in ("roc", "angles-float", "tsne-float"):
        root = ET.parse(tmp_path / f"out/{name}.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg" and root[0].text and "--accent" in root[0].text
        assert len(list(root.iter("{http://www.w3.org/2000/svg}text"))) > 3


def test_broken_pictures_cost_their_pairs_only(tmp_path: Path) -> None:
    folder = face_sets.lfw(tmp_path / "set")
    broken = folder / "lfw/Person_A/Person_A_0003.jpg"
    broken.write_bytes(broken.read_bytes()[:-200])
    lost = sum(
        "Person_A/Person_A_0003.jpg" in (faces_a, faces_b)
        for faces_a, faces_b in (
            (faces.pictures[a].name, faces.pictures[b].name)
            for faces in [open_faces(folder)]
            for a, b in zip(faces.pairs.first.tolist(), faces.pairs.second.tolist(), strict=True)
        )
    )
    record = scores_of(folder)
    assert lost > 0 and (record.broken, record.pairs_lost, record.pairs) == (1, lost, 60 - lost)
    assert record.broken_names[0].startswith("Person_A/Person_A_0003.jpg: not a whole picture")
    assert record.measures[0].auc == 1 and record.pictures == 23


def test_a_bin_file_and_templates_are_scored(tmp_path: Path) -> None:
    record = scores_of(face_sets.insightface(tmp_path / "set.bin"))
    assert record.alignment == "as published" and record.people == [] and record.measures[0].auc == 1
    assert not (tmp_path / "out/tsne-float.svg").exists()
    record = scores_of(face_sets.ijb(tmp_path / "ijb"))
    assert (record.templates, record.pairs, record.pictures) == (8, 28, 32)
    (cosine,) = record.measures
    assert cosine.accuracies == [] and cosine.auc == 1 and cosine.tpr_at_fpr["1e-1"] == 1
    assert cosine.tpr_at_fpr["1e-5"] is None


def test_embeddings_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    def dead(batches: Iterable[Any]) -> Iterator[Any]:
        for faces in batches:
            yield np.full((len(faces), 3), np.nan)

    faces = open_faces(face_sets.people(tmp_path / "set", [2, 2]))
    network = Network("keras", (8, 8, 3), dead)
    with pytest.raises(UserError, match="not finite"):
        evaluation.evaluate("net", [network], faces, "fixed-crop", tmp_path / "out", LogProgress())


def test_faces_as_networks_take_them() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=-1)
    centred = (pixels.astype(np.float32) - 128) / 128
    assert np.array_equal(as_input(pixels, (16, 16, 3), None), centred)
    assert np.array_equal(as_input(pixels, (16, 16, 1), None), centred[..., :1])
    assert np.array_equal(as_input(pixels, (16, 16, 3), FixedType(True, 8, 7)), centred)
    assert np.array_equal(as_input(pixels, (16, 16, 3), FixedType(False, 8, 0)), pixels)
    assert np.array_equal(as_input(pixels, (150, 150, 3), None), pixels)  # as dlib's network takes them
    red = np.zeros((1, 4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert (as_input(red, (4, 4, 1), FixedType(False, 8, 0)) == 76).all()
    assert frame_of((112, 112, 3)) == ARCFACE and frame_of((150, 150, 3)) == DLIB
    for shape in ((16,), (8, 9, 3), (8, 8, 4)):
        with pytest.raises(ConfigError, match="not square grey or RGB faces"):
            frame_of(shape)


# ------------------------------------------------------------------------------------------------ command


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", *(str(word) for word in words)])


def test_faults_of_a_set_show_before_a_network_is_loaded(tmp_path: Path) -> None:
    lfw = face_sets.lfw(tmp_path / "lfw")
    (lfw / "lfw/Person_B/Person_B_0001.jpg").unlink()
    one = face_sets.people(tmp_path / "one", [3])
    for words, message in (
        ((lfw,), "1 pictures are missing: Person_B/Person_B_0001.jpg"),
        ((one,), "shows one person only"),
        ((one, "--layout", "lfw"), "holds no list of pairs"),
        ((tmp_path / "none",), "does not exist"),
    ):
        result = invoke("no-such-network", "--data", *words)
        assert result.exit_code == 1 and message in result.stderr and "remedy: " in result.stderr
    for words, message in (
        (("--embeddings", "goldn"), "did you mean 'golden'"),
        (("--alignment", "mtcn"), "did you mean 'mtcnn'"),
        (("--layout", "orl", "--data", str(lfw)), "come with a package"),
    ):
        result = invoke("no-such-network", *words)
        assert result.exit_code == 1 and message in result.stderr
    empty = tmp_path / "run"
    empty.mkdir()
    result = invoke(empty)
    assert result.exit_code == 1 and "holds no manifest.json" in result.stderr


def rtl_embeddings(monkeypatch: pytest.MonkeyPatch, folder: Path, pictures: Path) -> Any:
    """Embeddings through the interface of the simulator, in portions; it computes by the golden model here."""
    graph = load_graph(folder)

    class Simulator:
        def __init__(self, folder: Path, log: Path) -> None:
            assert folder == Path("rtl") and log == Path("log")

        def build(self) -> None:
            pass

        def run(self, codes: Any) -> RtlResult:
            return RtlResult(run_golden(graph, {graph.inputs[0]: codes}), 1, 1, 1, 0.0)

    monkeypatch.setattr("hwflow.verify.rtlsim.RtlSimulator", Simulator)
    network = evaluation.rtl_network(graph, Path("rtl"), Path("log"))
    faces = open_faces(pictures, pairs=36)
    shown = (faces.pictures[i] for i in range(len(faces.pictures)))
    batches = aligned_batches(shown, "fixed-crop", network.frame, batch=4)
    return np.concatenate(list(network.embed(images for _, images in batches)))


def test_only_the_steps_that_the_accelerator_needs_are_run() -> None:
    names = [step.name for step in needed_first("emit")]
    assert names[:5] == ["model", "prepare", "convert", "golden", "emit"] and sorted(names) == sorted(
        step.name for step in STEPS
    )


@pytest.mark.tf
def test_integers_score_as_the_quantized_network_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = face_sets.people(tmp_path / "set", [4, 4, 4])
    (folder / "Person_A/Person_A_0002.jpg").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    words = ("tiny-cnn", "--data", folder, "--alignment", "fixed-crop", "--pairs", "36")
    result = invoke(*words, "--embeddings", "keras", "--embeddings", "golden", "--json")
    assert result.exit_code == 0, result.stderr
    output = json.loads(result.stdout)
    keras, golden = output["evaluations"]
    assert (keras["embeddings"], golden["embeddings"]) == ("keras", "golden")
    assert keras["measures"] == golden["measures"] and keras["broken"] == 1
    vectors = [
        np.load(tmp_path / output["folder"] / f"embeddings-{kind}.npy") for kind in ("keras", "golden")
    ]
    assert np.array_equal(*vectors, equal_nan=True) and np.isnan(vectors[0]).any(axis=1).sum() == 1
    # the run that was made is one that can be named
    result = invoke(tmp_path / output["folder"] / "run", *words[1:])
    assert result.exit_code == 0, result.stderr
    assert "1 pictures cannot be read" in result.stdout and "golden" in result.stdout
    again = read_evaluations(tmp_path / output["folder"] / "run/evaluation/set/evaluation.json")
    assert again[0].measures[0].model_dump(mode="json") == golden["measures"][0]
    simulated = rtl_embeddings(monkeypatch, tmp_path / output["folder"] / "run/graph", folder)
    assert np.array_equal(simulated, vectors[1][~np.isnan(vectors[1]).any(axis=1)])
    for words, message in (
        (("tiny-cnn", "--embeddings", "float"), "is quantized already"),
        (("mobilefacenet-tiny", "--embeddings", "golden"), "is a float network; it has no golden embeddings"),
        (("jet-mlp",), "not square grey or RGB faces"),
        ((tmp_path / output["folder"] / "run", "--embeddings", "rtl"), "holds no rtl/interface.json"),
    ):
        result = invoke(*words, "--data", folder)
        assert result.exit_code == 1 and message in result.stderr
    for path in folder.rglob("*.jpg"):
        path.write_bytes(b"x")
    result = invoke("tiny-cnn", "--data", folder)
    assert result.exit_code == 1 and "none of the 12 pictures of set can be read" in result.stderr
