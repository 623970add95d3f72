# SPDX-License-Identifier: Apache-2.0
"""Schema of a study's YAML: which designs, which figures of them, how they are shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from hwflow.config.load import parse, read_yaml
from hwflow.errors import ConfigError, did_you_mean

#: Figures of a design: title of the column, factor and digits of what is shown. Cosines are to the reference.
METRICS: Mapping[str, tuple[str, float, int]] = {
    "accuracy": ("accuracy, %", 100, 2),
    "eer": ("EER, %", 100, 2),
    "auc": ("AUC", 1, 5),
    "tpr_1e-2": ("TPR at FPR 1e-2, %", 100, 2),
    "tpr_1e-3": ("TPR at FPR 1e-3, %", 100, 2),
    "tpr_1e-4": ("TPR at FPR 1e-4, %", 100, 2),
    "tpr_1e-5": ("TPR at FPR 1e-5, %", 100, 2),
    "cosine": ("mean cosine to {reference}", 1, 4),
    "cosine_min": ("smallest cosine", 1, 4),
    "weight_bits": ("bits of a weight", 1, 2),
    "weight_mbit": ("weights, Mbit", 1, 3),
    "wall_s": ("training, s", 1, 0),
    "processor_s": ("training, processor s", 1, 0),
}

#: Keys below ``Hwflow`` and their values; null takes a key away.
Settings = dict[str, Any]


def _known(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"{name!r} is no metric of a study; {did_you_mean(name, METRICS)}")
    return name


MetricName = Annotated[str, AfterValidator(_known)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FacesConfig(_Section):
    """The face set that designs are scored on."""

    Data: str | None = Field(
        None, description="folder or file, relative to the study; ORL people used for nothing else if absent"
    )
    Layout: Literal["auto", "lfw", "bin", "ijb", "identities", "orl"] = Field(
        "auto", description="how the set is laid out"
    )
    Pairs: int = Field(6000, ge=2, description="pairs drawn by seed where the layout lists none")


class FigureConfig(_Section):
    """A drawing of the study."""

    Kind: Literal["line", "roc", "tsne", "loss"] = Field(
        "line",
        description="a metric over an axis or a metric; ROC of all designs; t-SNE of each; loss of trainings by epoch",
    )
    X: str = Field("", description="line: name of an axis, or a metric")
    Y: MetricName = Field("accuracy", description="line: a metric")
    Series: str = Field("", description="line: axis whose choices are curves of their own")


class StudyConfig(_Section):
    """A study: the product of its axes, each cell a design with its own changes to the base."""

    Title: str = Field(description="what is studied")
    Note: str = Field("", description="what a reader of the figures must know")
    Base: str = Field(description="YAML file of the design that is changed, relative to the study")
    Changes: Settings = Field(
        default_factory=dict, description="changes of all designs: 'Model.Prepare.WeightBits: 4' ..."
    )
    Axes: dict[str, dict[str, Settings]] = Field(
        min_length=1, description="name of each axis, its choices, and their changes"
    )
    Seeds: list[Annotated[int, Field(ge=0)]] = Field(
        [1], min_length=1, description="seeds of designs that are trained; others have one"
    )
    Reference: Literal["float", "teacher"] = Field(
        "float",
        description="first row, which cosines are to: the base's float network, or the teacher of distilled designs",
    )
    Faces: FacesConfig = Field(default_factory=FacesConfig, description="what designs are scored on")
    Columns: list[MetricName] = Field(
        ["accuracy", "eer", "auc", "cosine", "weight_bits"], min_length=1, description="columns of the table"
    )
    Figures: dict[str, FigureConfig] = Field(default_factory=dict, description="drawings by file name")

    def cells(self) -> Iterator[tuple[dict[str, str], Settings]]:
        """Choices of every design, by axis, and its changes; those of a later axis count."""
        for choices in product(*(axis.items() for axis in self.Axes.values())):
            changes = dict(self.Changes)
            for _, own in choices:
                changes |= own
            yield {axis: label for axis, (label, _) in zip(self.Axes, choices, strict=True)}, changes


def load_study(path: Path) -> StudyConfig:
    """Read and check a study's YAML.

    Raises
    ------
    ConfigError
        With everything that is wrong, each with its key path.
    """
    study = parse(StudyConfig, read_yaml(path), str(path))
    for name, choices in study.Axes.items():
        if not choices:
            raise ConfigError(f"{path}: Axes.{name} has no choices", "name at least one, if only 'as is: {}'")
    for name, figure in study.Figures.items():
        where = f"{path}: Figures.{name}"
        if figure.Kind == "line" and figure.X not in {*study.Axes, *METRICS}:
            raise ConfigError(
                f"{where}.X: {figure.X!r} is no axis and no metric",
                did_you_mean(figure.X, [*study.Axes, *METRICS]),
            )
        if figure.Series and figure.Series not in study.Axes:
            raise ConfigError(
                f"{where}.Series: there is no axis {figure.Series!r}", did_you_mean(figure.Series, study.Axes)
            )
    return study


@dataclass(frozen=True, slots=True)
class Layers:
    """Names of a network's layers: those with weights, and those whose output is quantized."""

    weighted: Sequence[str]
    quantized: Sequence[str]


def changed(design: dict[str, Any], changes: Settings, layers: Layers) -> dict[str, Any]:
    """A design's YAML with some keys below ``Hwflow`` set.

    Parameters
    ----------
    design : dict
        Keys and values as YAML gives them.
    changes : dict
        Dotted keys and their values; null takes a key away. Names in a value of ``Model.Prepare.Layers`` may be
        patterns such as ``block*_dw``, which stand for layers that have what the exception is about.
    layers : Layers
        Layers of the network.

    Raises
    ------
    ConfigError
        When a pattern fits no layer.
    """

    def expanded(exceptions: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for pattern, value in exceptions.items():
            known = layers.quantized if set(value) == {"ActivationBits"} else layers.weighted
            names = [name for name in known if fnmatchcase(name, pattern)]
            if not names:
                raise ConfigError(
                    f"Model.Prepare.Layers: no layer with {' and '.join(value) or 'weights'} is called {pattern!r}",
                    did_you_mean(pattern, known),
                )
            found |= dict.fromkeys(names, value)
        return found

    section = dict(design.get("Hwflow", {}))
    for key, value in changes.items():
        place, parts = section, key.split(".")
        for part in parts[:-1]:
            place[part] = dict(place.get(part) or {})
            place = place[part]
        if value is None:
            place.pop(parts[-1], None)
        elif key == "Model.Prepare.Layers":
            place[parts[-1]] = expanded(value)
        else:
            place[parts[-1]] = value
    return {**design, "Hwflow": section}
