# SPDX-License-Identifier: Apache-2.0
"""Studies: designs by axes, what is kept, tables and drawings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from hwflow.cli.app import app
from hwflow.errors import ConfigError
from hwflow.study.schema import METRICS, FigureConfig, Layers, StudyConfig, changed, load_study
from tests import face_sets

pytestmark = pytest.mark.tf

MODEL = """
import tensorflow as tf
from hwflow.models.seeding import seed_weights


def network(seed=3):
    layers = tf.keras.layers
    inputs = tf.keras.Input((16, 16, 3))
    x = layers.Conv2D(6, 3, strides=2, name="first")(inputs)
    x = layers.PReLU(shared_axes=[1, 2], name="act")(x)
    x = layers.Dense(8, name="last")(layers.Flatten()(x))
    return seed_weights(tf.keras.Model(inputs, x), seed)


def teacher():
    return network(8)
"""
BASE = {
    "Hwflow": {
        "Model": {"Source": "tiny:network", "Prepare": {"WeightBits": 8}},
        "Data": {"Kind": "random", "Alignment": "fixed-crop"},
    }
}
STUDY: dict[str, Any] = {
    "Title": "Few bits",
    "Base": "base.yaml",
    "Seeds": [1, 2],
    "Faces": {"Data": "faces", "Pairs": 40},
    "Axes": {
        "bits": {"w8": {}, "w3": {"Model.Prepare.Layers": {"*": {"WeightBits": 3}}}},
        "training": {
            "before": {},
            "after": {"Model.Train": {"Epochs": 2, "Batch": 16, "LearningRate": 0.003, "Augment": False}},
        },
    },
    "Columns": ["weight_bits", "accuracy", "cosine", "processor_s"],
    "Figures": {
        "roc": {"Kind": "roc"},
        "bits": {"X": "bits", "Y": "cosine", "Series": "training"},
        "cost": {"X": "weight_bits", "Y": "accuracy"},
        "faces": {"Kind": "tsne"},
    },
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model, design, faces and study, run once."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "tiny.py").write_text(MODEL)
    face_sets.people(folder / "faces", [5] * 5)
    write(folder, STUDY)
    result = run(folder)
    assert result.exit_code == 0, result.output
    return folder


def write(folder: Path, study: dict[str, Any]) -> Path:
    (folder / "base.yaml").write_text(yaml.safe_dump(BASE))
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


def run(folder: Path) -> Result:
    words = ["study", str(folder / "study.yaml"), "--out", str(folder / "out"), "--trust"]
    return CliRunner().invoke(app, words)


def cells(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "out" / "results.json").read_text())["cells"]
    return found


def test_every_design_and_seed_is_scored_once(place: Path) -> None:
    found = cells(place)
    assert found[0]["choices"] == {}
    assert [(*cell["choices"].values(), cell["seed"]) for cell in found[1:]] == [
        ("w8", "before", 1),
        ("w8", "after", 1),
        ("w3", "before", 1),
        ("w3", "after", 1),
        ("w8", "after", 2),
        ("w3", "after", 2),
    ]
    by_name = {(*cell["choices"].values(), cell["seed"]): cell["metrics"] for cell in found[1:]}
    assert by_name["w8", "before", 1]["weight_bits"] == 8
    assert by_name["w3", "before", 1]["weight_bits"] == 3
    weights = 3 * 3 * 3 * 6 + 7 * 7 * 6 * 8
    assert by_name["w3", "before", 1]["weight_mbit"] == pytest.approx(3e-6 * weights)
    assert by_name["w3", "before", 1]["cosine"] < by_name["w8", "before", 1]["cosine"]
    assert by_name["w3", "after", 1]["cosine"] > by_name["w3", "before", 1]["cosine"]
    assert by_name["w3", "after", 1]["cosine"] != by_name["w3", "after", 2]["cosine"]
    assert by_name["w3", "after", 1]["processor_s"] > 0


def test_table_and_drawings(place: Path) -> None:
    out = place / "out"
    text = (out / "results.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert [row[0].strip("| ") for row in rows[2:]] == ["float network", "w8", "w8", "w3", "w3"]
    found = [cell["metrics"]["cosine"] for cell in cells(place) if cell["choices"].get("training") == "after"]
    mean = (found[1] + found[3]) / 2  # the last choice of the first axis, both seeds
    assert f"{mean:.4f} ± " in text
    assert len((out / "results.csv").read_text().splitlines()) == 1 + len(cells(place))
    names = {path.name for path in out.glob("*.svg")}
    assert {"roc.svg", "bits.svg", "cost.svg", "faces-float.svg", "faces-w3-after-2.svg"} <= names
    assert (out / "bits.svg").read_text().count("<circle") == 4


def test_what_was_scored_is_not_scored_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hwflow.study import runner

    before = cells(place)

    def refuse(*_: Any) -> None:
        raise AssertionError("scored again")

    monkeypatch.setattr(runner, "quantize", refuse)
    assert run(place).exit_code == 0
    assert cells(place) == before
    study = json.loads(json.dumps(STUDY))
    study["Axes"]["bits"]["w3"]["Model.Prepare.ActivationBits"] = 6
    write(place, study)
    assert "scored again" in run(place).output
    write(place, STUDY)


def test_students_of_another_network(place: Path) -> None:
    """The teacher is the reference; designs with one distillation share it."""
    distil = {"Teacher": "tiny:teacher", "Epochs": 3, "Batch": 16, "LearningRate": 0.003, "Augment": False}
    study = {
        "Title": "A student",
        "Note": "Few pictures.",
        "Base": "base.yaml",
        "Reference": "teacher",
        "Faces": {"Data": "faces", "Pairs": 40},
        "Changes": {"Model.Distill": distil},
        "Axes": {
            "student": {
                "before": {"Model.Distill": None, "Model.Prepare": None},
                "float": {"Model.Prepare": None},
                "w8": {},
            }
        },
        "Columns": ["accuracy", "cosine", "weight_bits", "processor_s"],
        "Figures": {"loss": {"Kind": "loss"}},
    }
    path = place / "students.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    words = ["study", str(path), "--out", str(place / "students"), "--trust"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    found = json.loads((place / "students" / "results.json").read_text())["cells"]
    before, distilled, w8 = (cell["metrics"] for cell in found[1:])
    assert distilled["cosine"] > before["cosine"] + 0.1
    assert w8["cosine"] == pytest.approx(distilled["cosine"], abs=0.05)
    assert (before["weight_bits"], distilled["weight_bits"], w8["weight_bits"]) == (32, 32, 8)
    assert found[2]["trainings"] == found[3]["trainings"]
    assert not found[1]["trained"]
    text = (place / "students" / "results.md").read_text()
    assert "Few pictures." in text
    assert "mean cosine to teacher" in text
    assert "| teacher network |" in text
    drawing = (place / "students" / "loss.svg").read_text()
    assert drawing.count("<polyline") == 1
    path.write_text(yaml.safe_dump(study | {"Changes": {}}, sort_keys=False))
    assert "distilled from no network" in " ".join(CliRunner().invoke(app, words).output.split())


def test_changes_of_a_design() -> None:
    design = {"ClockPeriod": 4, "Hwflow": {"Model": {"Source": "x", "Train": {"Epochs": 3}}}}
    changes = {
        "Model.Train": None,
        "Model.Prepare.WeightBits": 4,
        "Model.Prepare.Layers": {"a_*": {"WeightBits": 2}, "*act": {"ActivationBits": 3}},
        "Seed": 7,
    }
    layers = Layers(weighted=["a_1", "a_2", "b"], quantized=["a_act"])
    found = changed(design, changes, layers)
    expected = {
        "a_1": {"WeightBits": 2},
        "a_2": {"WeightBits": 2},
        "a_act": {"ActivationBits": 3},
    }
    assert found["ClockPeriod"] == 4
    assert found["Hwflow"] == {
        "Model": {"Source": "x", "Prepare": {"WeightBits": 4, "Layers": expected}},
        "Seed": 7,
    }
    assert design["Hwflow"]["Model"]["Train"] == {"Epochs": 3}, "the base is left as it is"
    with pytest.raises(ConfigError, match="no layer with WeightBits is called 'c_\\*'"):
        changed(design, {"Model.Prepare.Layers": {"c_*": {"WeightBits": 2}}}, layers)


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"Columns": ["acuracy"]}, "did you mean 'accuracy'"),
        ({"Axes": {"bits": {}}}, "Axes.bits has no choices"),
        ({"Figures": {"a": {"X": "bit"}}}, "'bit' is no axis and no metric"),
        ({"Figures": {"a": {"X": "bits", "Series": "seed"}}}, "no axis 'seed'"),
        ({"Faces": {"Path": "x"}}, "Faces.Path: unknown key"),
    ],
)
def test_wrong_studies(tmp_path: Path, update: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_study(write(tmp_path, STUDY | update))


@pytest.mark.parametrize(
    ("study", "message"),
    [
        (STUDY | {"Base": "none.yaml"}, "there is no"),
        (STUDY | {"Changes": {"Model.Prepare": None}}, "nothing quantizes the network"),
        (
            STUDY
            | {"Changes": {"Model.Prepare": None, "Model.Train": {}, "Model.Distill": {"Teacher": "x"}}},
            "nothing quantizes the network",
        ),
        (STUDY | {"Changes": {"Model.Source": "jet-mlp"}}, "differs from the base's"),
        (STUDY | {"Changes": {"Model.Prepare.Bits": 3}}, "unknown key"),
    ],
)
def test_wrong_designs(tmp_path: Path, study: dict[str, Any], message: str) -> None:
    (tmp_path / "tiny.py").write_text(MODEL)
    study = {**study, "Axes": {"only": {"as it is": {}}}, "Figures": {}}
    write(tmp_path, study)
    result = run(tmp_path)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())


STUDIES = sorted(path for path in (Path(__file__).parents[1] / "hls_configs/studies").glob("*.yaml")
                 if "Axes" in yaml.safe_load(path.read_text()))  # fmt: skip


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_studies_of_the_repository(path: Path) -> None:
    """Their keys are right, their bases are there, and every design of them is one."""
    from hwflow.config.load import parse_config, read_yaml

    study = load_study(path)
    names = [f"block{number}_{part}" for number in range(1, 16) for part in ("expand", "dw", "project")]
    names += ["stem_conv", "stem_dw", "stem_linear", "head_conv", "head_gdc", "head_linear", "embedding"]
    for choices, changes in study.cells():
        design = changed(read_yaml(path.parent / study.Base), changes, Layers(names, []))
        parse_config(design, f"{path}: {choices}")


def test_axes_multiply_and_later_changes_count() -> None:
    study = StudyConfig(
        Title="t", Base="b", Changes={"a": 0, "b": 0},
        Axes={"x": {"1": {"a": 1}, "2": {}}, "y": {"3": {"a": 3}, "4": {"b": 4}}},
    )  # fmt: skip
    assert [(tuple(choices.values()), changes) for choices, changes in study.cells()] == [
        (("1", "3"), {"a": 3, "b": 0}),
        (("1", "4"), {"a": 1, "b": 4}),
        (("2", "3"), {"a": 3, "b": 0}),
        (("2", "4"), {"a": 0, "b": 4}),
    ]


def test_a_line_lies_where_its_figures_are() -> None:
    """The scale of a drawing holds all points, and the float network's level."""
    from hwflow.study.show import Row, line

    rows = [
        Row({}, 1, trained=False, values={"accuracy": (0.99,)}),
        Row({"bits": "w8"}, 1, trained=False, values={"accuracy": (0.98,)}),
        Row({"bits": "w2"}, 2, trained=True, values={"accuracy": (0.5, 0.6)}),
    ]
    drawing = line(FigureConfig(X="bits", Y="accuracy"), rows, StudyConfig.model_validate(STUDY))
    heights = [float(part.split('"')[0]) for part in drawing.split(' cy="')[1:]]
    assert heights[0] < heights[1]
    ticks = [float(part.split("<")[0]) for part in drawing.split('text-anchor="end" class="tick">')[1:6]]
    assert ticks[0] <= 48
    assert ticks[-1] >= 99
    assert METRICS["accuracy"][0] in drawing
