# SPDX-License-Identifier: Apache-2.0
"""Schema of a study's YAML: what is varied, what is wanted, how far it goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from hwflow.config.load import parse, read_yaml
from hwflow.config.schema import VerifyConfig
from hwflow.cost.mcu import load_mcu
from hwflow.cost.parts import find_part
from hwflow.errors import ConfigError, UserError, did_you_mean
from hwflow.tools import targets

#: What is known of every design of a study, and in which words.
METRICS: Mapping[str, str] = {
    "quality.accuracy": "verification accuracy on people that calibrated nothing",
    "quality.cosine": "mean cosine of the embeddings to the float network's",
    "quality.cosine_min": "smallest cosine of an embedding to the float network's",
    "quality.frames": "faces or frames that quality was judged on",
    "model.weight_bits": "mean bits of a weight as stored",
    "model.bops": "bit operations a frame, a proxy of energy",
    "cost.lut": "look-up tables, predicted",
    "cost.ff": "flip-flops, predicted",
    "cost.dsp": "multiplier blocks, predicted",
    "cost.bram": "block memories in the family's own units, predicted",
    "cost.bram18": "block memories in units of 18 Kb, predicted",
    "cost.uram": "UltraRAMs, predicted",
    "cost.share": "share of the part that the tightest resource takes",
    "cost.multipliers": "multipliers",
    "cost.ii_cycles": "cycles a frame",
    "cost.fps": "frames a second",
    "cost.latency_cycles": "cycles from a frame's first input to its last result",
    "mcu.flash_bytes": "constants and code on a microcontroller",
    "mcu.ram_bytes": "arena and stack on a microcontroller",
    "mcu.latency_ms": "time of a frame on a microcontroller",
}  # latency and mcu.* take a while: they are known where an objective or a limit names one


def _known(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"{name!r} is no metric of a study; {did_you_mean(name, METRICS)}")
    return name


def _several(value: Any) -> Any:
    """A single choice may stand without brackets."""
    return value if isinstance(value, list | dict) else [value]


MetricName = Annotated[str, AfterValidator(_known)]
Bits = Annotated[int, Field(ge=1, le=16)]
Choices = Annotated[list[Bits], Field(min_length=1), BeforeValidator(_several)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SpaceConfig(_Section):
    """What a design of the study may have; what is absent stays as the base design has it."""

    WeightBits: Choices | dict[str, Choices] | None = Field(
        None, description="bits of weights: of all layers, or by layer type or name"
    )
    ActivationBits: Choices | None = Field(None, description="bits of activations")
    Scale: Annotated[list[Literal["layer", "channel_po2", "channel"]], BeforeValidator(_several)] | None = (
        Field(None, description="scale of weights")
    )
    WeightFormat: Annotated[list[str | None], BeforeValidator(_several)] | None = Field(
        None, description="number formats of weights; null for fixed point"
    )
    Calibration: (
        Annotated[list[Literal["percentile", "max", "mse", "kl"]], BeforeValidator(_several)] | None
    ) = Field(None, description="how ranges of activations are found")
    BiasCorrection: Annotated[list[bool], BeforeValidator(_several)] | None = Field(
        None, description="whether biases take mean errors back"
    )
    Fps: Annotated[list[Annotated[float, Field(gt=0)]], BeforeValidator(_several)] | None = Field(
        None, description="frames a second that the folding is chosen for; the base's folding where absent"
    )
    MultStyle: Annotated[list[Literal["auto", "lut", "dsp"] | None], BeforeValidator(_several)] | None = (
        Field(None, description="how weights multiply; null where each layer may have its own")
    )
    Part: Annotated[list[str], Field(min_length=1), BeforeValidator(_several)] | None = Field(
        None, description="FPGA parts"
    )


class Limit(_Section):
    """Bounds of a metric."""

    Min: float | None = Field(None, description="least")
    Max: float | None = Field(None, description="most")

    def broken_by(self, value: float) -> bool:
        """Whether a value lies outside."""
        return (self.Min is not None and value < self.Min) or (self.Max is not None and value > self.Max)


class StudyConfig(_Section):
    """A study."""

    Base: str = Field(description="YAML file of the design that is varied, relative to the study")
    Space: SpaceConfig = Field(description="what is varied")
    Objectives: dict[MetricName, Literal["minimize", "maximize"]] = Field(
        min_length=1, description="metrics to be made as small or as large as possible"
    )
    Limits: dict[MetricName, Limit] = Field(
        default_factory=dict, description="bounds that a design must keep"
    )
    Tolerances: dict[MetricName, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict,
        description="steps that an objective is compared in: of two designs on one step neither is better",
    )
    Part: str | None = Field(None, description="FPGA part that a design must fit")
    Target: str = Field("xc7", description="FPGA family where no part is named")
    Clock: float | None = Field(None, gt=0, description="clock, MHz; the base's if absent")
    Mcu: str = Field("stm32h743zi", description="microcontroller that mcu.* is predicted for")
    Trials: int = Field(100, ge=1, description="designs to weigh, no two alike")
    Sampler: Literal["nsga2", "tpe", "random"] = Field("nsga2", description="how the next design is chosen")
    Frames: int | None = Field(
        None, ge=2, description="faces or frames that quality is judged on; all if absent"
    )
    Screen: int | None = Field(
        None,
        ge=2,
        description="faces or frames on which the cosines are looked at first: a design that breaks their limits "
        "there is judged on no more",
    )
    Verify: VerifyConfig | None = Field(
        None, description="what a run of a design of the front compares; as the base says if absent"
    )
    Seed: int = Field(1, ge=0, description="seed of the sampler")

    @property
    def wanted(self) -> frozenset[str]:
        """Metrics that decide something."""
        return frozenset([*self.Objectives, *self.Limits])


def load_study(path: Path) -> StudyConfig:
    """Read and check a study's YAML.

    Raises
    ------
    ConfigError
        With everything that is wrong, each with its key path.
    """
    study = parse(StudyConfig, read_yaml(path), str(path))
    if not study.Space.model_dump(exclude_none=True):
        raise ConfigError(
            f"{path}: Space varies nothing", f"give at least one of {', '.join(SpaceConfig.model_fields)}"
        )
    if study.Part and study.Space.Part:
        raise ConfigError(f"{path}: Part is named twice", "name it in Space alone where it varies")
    if "cost.share" in study.wanted and not (study.Part or study.Space.Part):
        raise ConfigError(f"{path}: cost.share is a share of a part, but none is named", "add 'Part'")
    for name in study.Tolerances:
        if name not in study.Objectives:
            raise ConfigError(
                f"{path}: Tolerances.{name} is no objective", did_you_mean(name, study.Objectives)
            )
    try:
        for name in study.Space.Part or filter(None, [study.Part]):
            find_part(name)
        targets.target(study.Target)
        load_mcu(study.Mcu)
    except UserError as error:
        raise ConfigError(f"{path}: {error.message}", error.remedy) from error
    return study
