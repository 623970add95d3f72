# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hwflow.config.load import load_config, parse_config, resolve
from hwflow.errors import ConfigError

MINIMAL: dict[str, Any] = {"Hwflow": {"Model": {"Source": "jet-mlp"}}}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The minimal design with one key set."""
    data: dict[str, Any] = yaml.safe_load(yaml.safe_dump(MINIMAL))
    section = data
    *parents, last = path.split("/")
    for name in parents:
        section = section.setdefault(name, {})
    section[last] = value
    return data


def message(data: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(data, "design.yaml")
    return str(caught.value)


def test_minimal_design_has_defaults() -> None:
    config = parse_config(MINIMAL, "design.yaml")
    assert (config.Backend, config.IOType, config.ClockPeriod, config.Hwflow.Seed) == (
        "Hwflow",
        "io_stream",
        5.0,
        1,
    )
    assert config.Hwflow.Model.Prepare is None


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("ClokPeriod", 5, "ClokPeriod: unknown key; did you mean 'ClockPeriod'?"),
        ("Hwflow/Verify/Frame", 5, "Hwflow.Verify.Frame: unknown key; did you mean 'Frames'"),
        (
            "Hwflow/Model/Prepare/Layers/conv1/WeightBit",
            4,
            "Hwflow.Model.Prepare.Layers.conv1.WeightBit: unknown key; did you mean 'WeightBits'",
        ),
        ("HLSConfig/Modle", {}, "HLSConfig.Modle: unknown key; did you mean 'Model'?"),
        (
            "HLSConfig/Model/ReuseFactr",
            4,
            "HLSConfig.Model.ReuseFactr: unknown key; did you mean 'ReuseFactor'?",
        ),
        (
            "HLSConfig/LayerName/fc1/Stategy",
            "latency",
            "HLSConfig.LayerName.fc1.Stategy: unknown key; did you mean 'Strategy'",
        ),
        ("HLSConfig/LayerType/Dense/Precison", "fixed<8,4>", "did you mean 'Precision'?"),
        (
            "HLSConfig/LayerName/fc1/Precision",
            {"acum": "fixed<8,4>"},
            "HLSConfig.LayerName.fc1.Precision: 'acum'",
        ),
        ("HLSConfig/LayerName/fc1/Precision", "fixd<8,4>", "'fixd<8,4>' is not a fixed-point type"),
        ("HLSConfig/LayerName/fc1/Precision", 8, "8 is not a precision"),
        (
            "Hwflow/Model/Prepare/WeightFormat",
            "minifloat<9,3>",
            "Prepare.WeightFormat: minifloat: the number of exponent bits is 9; choose one from 1 to 5",
        ),
        (
            "Hwflow/Model/Prepare/Layers/conv1/WeightFormat",
            "codbook<16>",
            "Prepare.Layers.conv1.WeightFormat: number format 'codbook<16>' is unknown; did you mean 'codebook'?",
        ),
        ("HLSConfig/LayerName/fc1/ReuseFactor", 0, "fc1.ReuseFactor: 0 should be greater than or equal to 1"),
        ("HLSConfig/LayerName/fc1/ReuseFactor", "4", "fc1.ReuseFactor: '4' should be a valid integer"),
        ("HLSConfig/LayerName/fc1/Strategy", "latncy", "did you mean 'Latency'?"),
        ("HLSConfig/LayerName/fc1", 3, "HLSConfig.LayerName.fc1: 3 should be a mapping"),
        ("Hwflow/Verify/Frames", "many", "Hwflow.Verify.Frames: 'many' should be a valid integer"),
        ("Hwflow/Verify/Rtl", 1, "Hwflow.Verify.Rtl: 1 should be a valid boolean"),
        ("Hwflow/Budget/rtl.ii_cycles", "1e3", "should be a valid number"),
        ("Hwflow/Seed", -1, "Hwflow.Seed: -1 should be greater than or equal to 0"),
        ("ClockPeriod", float("nan"), "ClockPeriod: nan should be"),
        ("ClockPeriod", float("inf"), "ClockPeriod: inf should be"),
        ("IOType", "io_strem", "IOType: 'io_strem' should be 'io_stream' or 'io_parallel'"),
        ("ProjectName", "../x", "ProjectName: '../x' should match"),
    ],
)
def test_wrong_key_or_value_is_named(path: str, value: Any, expected: str) -> None:
    assert expected in message(changed(path, value))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, "TrainingPeople: 0, so Hwflow.Model.Train has nobody to train on; set it"),
        ({"TrainingPeople": 41}, "TrainingPeople: 41 people, but the ORL set has 40"),
        ({"TrainingPeople": 40}, "TrainingPeople: 40 of the 40 ORL people leave nobody to judge"),
        ({"TrainingPeople": 39}, "TrainingPeople: 39 of the 40 ORL people leave one person to judge"),
        (
            {"TrainingPeople": 30, "CalibrationPeople": 39},
            "CalibrationPeople: 39 of the 40 ORL people leave one",
        ),
        ({"TrainingPeople": 30, "Kind": "random"}, "TrainingPeople: random codes show nobody"),
    ],
)
def test_people_that_make_no_sense_are_named(data: dict[str, Any], expected: str) -> None:
    design = changed("Hwflow/Model/Train", {})
    design["Hwflow"]["Data"] = {"Kind": "orl", **data}
    assert expected in message(design)


def test_enough_people_are_left_to_judge() -> None:
    design = changed("Hwflow/Model/Distill", {"Teacher": "dlib-resnet"})
    design["Hwflow"]["Data"] = {"Kind": "orl", "TrainingPeople": 38}
    assert parse_config(design, "design.yaml").Hwflow.Data.known_people == 38


def test_everything_wrong_is_in_one_message() -> None:
    data = changed("HLSConfig/Model/ReuseFactor", 0)
    data |= {"IOType": "x", "Clock": 5}
    text = message(data)
    assert text.startswith("design.yaml: 3 thing(s) to mend:")
    assert all(key in text for key in ("HLSConfig.Model.ReuseFactor", "IOType", "Clock"))


def test_source_must_be_given() -> None:
    assert "Hwflow.Model.Source: this key must be given" in message({"Hwflow": {"Model": {}}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2\n", "line 2, column 1: key 'a' is given twice"),
        ("Hwflow:\n  Model: {Source: a, Source: b}\n", "key 'Source' is given twice"),
        ("a: [1\n", "line 2"),
        ("- 1\n", "holds no mapping"),
        ("", "holds no mapping"),
        ("? [a]\n: 1\n", "unhashable"),
        ("a: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
    ],
)
def test_broken_yaml_is_a_config_error(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "design.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=path.name) as caught:
        load_config(path)
    assert expected in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_unreadable_file_is_a_config_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "design.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError):
        load_config(path)


def test_resolved_design_reads_back() -> None:
    config = parse_config(changed("Hwflow/Model/Prepare/WeightBits", 4), "design.yaml")
    resolved = resolve(config)
    assert resolved["Hwflow"]["Verify"]["Frames"] == 8
    assert parse_config(resolved, "resolved") == config


KEYS = st.sampled_from(["HLSConfig", "Hwflow", "Model", "Source", "LayerName", "Prepare", "Layers", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 99) | st.text(max_size=4),
    lambda children: st.lists(children, max_size=2) | st.dictionaries(KEYS, children, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_mapping_is_read_or_refused_with_a_config_error(data: dict[str, Any]) -> None:
    try:
        parse_config(data, "design.yaml")
    except ConfigError as error:
        assert "design.yaml" in str(error)
