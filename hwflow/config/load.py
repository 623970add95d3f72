# SPDX-License-Identifier: Apache-2.0
"""Read a design's YAML; whatever is wrong with it comes back in one message."""

from __future__ import annotations

import types
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from hwflow.config.hls import HlsConfig
from hwflow.config.schema import ORL_PEOPLE, DesignConfig, HwflowConfig, PrepareConfig
from hwflow.errors import ConfigError, UserError, did_you_mean
from hwflow.formats import parse as parse_format
from hwflow.numerics.fixed import Cast, FixedType

Model = TypeVar("Model", bound=BaseModel)

PREPARED_INPUT = FixedType(signed=True, width=8, frac=7)
"""Input grid of networks that hwflow quantizes: pixels as ``(pixel - 128) / 128``."""


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, which PyYAML lets pass."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[tuple[str, Any]] = set()
        for key_node, _ in node.value:
            key = (key_node.tag, str(key_node.value))
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key_node.value!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_config(path: Path) -> DesignConfig:
    """Read and check a design's YAML.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    DesignConfig

    Raises
    ------
    ConfigError
        With everything that is wrong, each with its key path.
    """
    return parse_config(read_yaml(path), str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping a YAML file holds; no key may occur twice."""
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", "name a design's YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a text file: {error}", "name a design's YAML file") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}{_position(error)}", "mend the YAML at that place") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds no mapping of keys to values", "see hls_configs/ for examples")
    return data


def parse_config(data: dict[str, Any], where: str) -> DesignConfig:
    """Check the content of a design file.

    Parameters
    ----------
    data : dict
        Keys and values as YAML gives them.
    where : str
        Name of the file in messages.
    """
    config: DesignConfig | None = None
    findings: list[str] = []
    try:
        config = DesignConfig.model_validate(data, strict=True)
    except ValidationError as error:
        findings += _findings(error, DesignConfig)
    if isinstance(hls := data.get("HLSConfig"), dict):
        try:
            HlsConfig.model_validate(hls, strict=True)
        except ValidationError as error:
            findings += _findings(error, HlsConfig, ("HLSConfig",))
    if config is not None:
        findings += [
            *_input_type(config.Hwflow),
            *_formats(config.Hwflow.Model.Prepare),
            *_people(config.Hwflow),
        ]
    if config is None or findings:
        lines = "".join(f"\n  - {finding}" for finding in findings)
        raise ConfigError(f"{where}: {len(findings)} thing(s) to mend:{lines}")
    return config


def parse(schema: type[Model], data: dict[str, Any], where: str) -> Model:
    """Check the content of any YAML file with a schema.

    Parameters
    ----------
    schema : type of BaseModel
        What it should hold.
    data : dict
        Keys and values as YAML gives them.
    where : str
        Name of the file in messages.

    Raises
    ------
    ConfigError
        With everything that is wrong, each with its key path.
    """
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        findings = _findings(error, schema)
    lines = "".join(f"\n  - {finding}" for finding in findings)
    raise ConfigError(f"{where}: {len(findings)} thing(s) to mend:{lines}")


def resolve(config: DesignConfig) -> dict[str, Any]:
    """The configuration with every default filled in, as JSON values."""
    return config.model_dump(mode="json")


def _input_type(section: HwflowConfig) -> list[str]:
    """What is wrong with the grid of the network's input."""
    where, text = "Hwflow.Data.InputType", section.Data.InputType
    try:
        given = Cast.parse(text).type
    except UserError as error:
        return [f"{where}: {error.message}; {error.remedy}"]
    if section.Model.Prepare and given != PREPARED_INPUT:
        return [f"{where}: {text} does not fit Hwflow.Model.Prepare, whose networks take {PREPARED_INPUT}"]
    return []


def _formats(section: PrepareConfig | None) -> Iterator[str]:
    """What is wrong with the number formats of weights."""
    if section is None:
        return
    where = "Hwflow.Model.Prepare"
    given = {f"{where}.Layers.{name}": bits.WeightFormat for name, bits in section.Layers.items()}
    for place, text in {where: section.WeightFormat, **given}.items():
        try:
            if text is not None:
                parse_format(text)
        except UserError as error:  # noqa: PERF203 - all findings at once
            yield f"{place}.WeightFormat: {error.message}; {error.remedy}"


def _people(section: HwflowConfig) -> Iterator[str]:
    """What is wrong with who calibrates, who trains and who is left to judge."""
    data, where = section.Data, "Hwflow.Data.{}"
    trained = [name for name in ("Distill", "Train") if getattr(section.Model, name) is not None]
    if data.Kind != "orl":
        if data.TrainingPeople:
            yield (
                f"{where.format('TrainingPeople')}: random codes show nobody; "
                "set Hwflow.Data.Kind: orl, or take the key out"
            )
        return
    if trained and not data.TrainingPeople:
        yield (
            f"{where.format('TrainingPeople')}: 0, so Hwflow.Model.{trained[0]} has nobody to train on; "
            f"set it, for example to 30 of the {ORL_PEOPLE} people; accuracy is then that on the others"
        )
    for name in ("CalibrationPeople", "TrainingPeople"):
        count = getattr(data, name)
        if count > ORL_PEOPLE:
            yield f"{where.format(name)}: {count} people, but the ORL set has {ORL_PEOPLE}"
        elif count > ORL_PEOPLE - 2:
            left = "nobody" if count == ORL_PEOPLE else "one person"
            yield (
                f"{where.format(name)}: {count} of the {ORL_PEOPLE} ORL people leave {left} to judge, and pairs of "
                f"different people take two; {ORL_PEOPLE - 2} at most"
            )


def _position(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f", line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else f": {problem}"


def _findings(error: ValidationError, schema: type[BaseModel], prefix: tuple[str, ...] = ()) -> list[str]:
    """One line for each thing pydantic found."""
    findings = []
    for entry in error.errors(include_url=False):
        path = [str(part) for part in (*prefix, *entry["loc"])]
        where = ".".join(path)
        if entry["type"] == "extra_forbidden":
            findings.append(
                f"{where}: unknown key; {did_you_mean(path[-1], _known_keys(schema, entry['loc'][:-1]))}"
            )
        elif entry["type"] == "missing":
            findings.append(f"{where}: this key must be given")
        elif entry["type"] == "value_error":
            findings.append(f"{where}: {entry['ctx']['error']}")
        elif entry["type"] in ("model_type", "dict_type"):
            findings.append(f"{where}: {entry['input']!r} should be a mapping of keys to values")
        else:
            findings.append(
                f"{where}: {entry['input']!r} {entry['msg'].removeprefix('Input ').removeprefix('String ')}"
            )
    return findings


def _known_keys(schema: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """Keys of the section at a place of the schema."""
    kind: Any = schema
    for part in loc:
        kind = (
            _value_type(kind.model_fields[str(part)].annotation)
            if _is_model(kind)
            else _value_type(get_args(kind)[1])
        )
    return list(kind.model_fields) if _is_model(kind) else []


def _value_type(annotation: Any) -> Any:
    """The type behind ``X | None``."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(member for member in get_args(annotation) if member is not type(None))
    return annotation


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
