# SPDX-License-Identifier: Apache-2.0
"""Schema of a design's YAML: hls4ml's own keys beside the ``Hwflow`` section."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from hwflow.config.reserved import check_name

PerMille = Annotated[int, Field(ge=0, le=999)]
ORL_PEOPLE = 40


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LayerBits(_Section):
    """Bits of one layer, where they differ from the defaults of the preparation."""

    WeightBits: int | None = Field(None, ge=1, le=16, description="bits of the layer's weights")
    WeightFormat: str | None = Field(None, description="number format of the layer's weights")
    ActivationBits: int | None = Field(None, ge=2, le=16, description="bits of the layer's activations")


class PrepareConfig(_Section):
    """How a float Keras model becomes a quantized one."""

    Equalize: bool = Field(True, description="cross-layer equalisation before quantization")
    Prune: float = Field(
        0.0, ge=0, lt=1, description="share of the channels between two convolutions that is taken out first"
    )
    WeightBits: int = Field(8, ge=1, le=16, description="bits of kernels, one power-of-two scale a layer")
    ActivationBits: int = Field(8, ge=2, le=16, description="bits of activations between layers")
    SlopeBits: int = Field(8, ge=2, le=16, description="bits of PReLU slopes")
    OutputBits: int = Field(16, ge=2, le=24, description="bits of the embedding")
    Calibration: Literal["percentile", "max", "mse", "kl"] = Field(
        "percentile",
        description="range of activations: percentile of |x|, largest, least squared error, least divergence",
    )
    Percentile: float = Field(99.99, gt=50, le=100, description="percentile of |x| kept in range, %")
    WeightFormat: str | None = Field(
        None,
        description="number format of kernels in place of fixed point: 'minifloat<4,3>', 'codebook<16>' ...",
    )
    FormatScope: Literal["layer", "group", "network"] = Field(
        "layer", description="layers that share a codebook or an exponent range: each, those of a type, all"
    )
    ActivationFormat: Literal["minifloat<4,3>", "minifloat<5,2>"] | None = Field(
        None, description="number format of activations in place of fixed point"
    )
    Scale: Literal["layer", "channel_po2", "channel"] = Field(
        "layer",
        description="scale of weights: a power of two a layer; a power of two, or a free number, an output channel",
    )
    ScaleBits: int = Field(8, ge=2, le=16, description="bits of a free scale of a channel")
    Rounding: Literal["nearest", "adaptive"] = Field(
        "nearest", description="rounding of weights: to the nearest, or for least error of a layer's outputs"
    )
    BiasCorrection: bool = Field(
        False, description="take the mean error of each channel, on calibration data, out of its bias"
    )
    Layers: dict[str, LayerBits] = Field(default_factory=dict, description="exceptions by layer name")


class _Training(_Section):
    """What all trainings say."""

    Epochs: int = Field(20, ge=1, description="passes through the training data")
    Batch: int = Field(32, ge=2, description="inputs a step")
    LearningRate: float = Field(1e-3, gt=0, description="the highest one, from which the schedule comes down")
    Optimizer: Literal["adam", "sgd"] = Field(
        "adam", description="adam, or stochastic gradient descent with a momentum of 0.9"
    )
    WeightDecay: float = Field(0.0, ge=0, lt=1, description="share of a kernel that is added to its gradient")
    Schedule: Literal["cosine", "steps"] = Field(
        "cosine",
        description="of the rate: a warm-up, then half a cosine down to 0; or lower after each of Steps",
    )
    Steps: list[int] = Field(
        default_factory=list, validate_default=True, description="epochs after which the rate is lowered"
    )
    StepFactor: float = Field(0.1, gt=0, lt=1, description="what a step multiplies the rate by")
    Loss: Literal["embedding", "evaluation"] = Field(
        "embedding",
        description="distance of embeddings alone, or also of pairs' similarities from verification thresholds",
    )
    EmbeddingWeight: float = Field(1.0, ge=0, description="weight of the distance of embeddings")
    ClassWeight: float = Field(0.0, ge=0, description="weight of telling apart the people shown, by Head")
    Head: Literal["arcface", "cosface", "softmax"] = Field(
        "arcface", description="classifier by cosines: a margin between people in angle or in cosine, or none"
    )
    Margin: float | None = Field(
        None, ge=0, le=1, description="0.5 radians for arcface and 0.35 for cosface, if absent"
    )
    Scale: float = Field(64.0, gt=0, description="factor of the cosines before the softmax")
    HeadAfter: int = Field(0, ge=0, description="epochs of softmax before the margin starts")
    Share: float = Field(1.0, gt=0, le=1, description="share of the pictures to train on, drawn by seed")
    Labels: bool = Field(
        False, description="pictures of one person are same pairs, not only views of one picture"
    )
    Augment: bool = Field(True, description="mirror, turn, move, scale and light pictures")
    TensorBoard: bool = Field(False, description="log for TensorBoard, beside the CSV file")

    @field_validator("Steps")
    @classmethod
    def _descend(cls, steps: list[int], info: ValidationInfo) -> list[int]:
        schedule, epochs = info.data.get("Schedule"), info.data.get("Epochs")
        if schedule == "cosine" and steps:
            raise ValueError(f"{steps}, but Schedule is cosine; set Schedule: steps, or take Steps out")
        if schedule == "steps" and not steps:
            raise ValueError(
                "none, so Schedule: steps never lowers the rate; name epochs, or take Schedule out"
            )
        if steps != sorted(set(steps)):
            raise ValueError(f"{steps} do not ascend; name each epoch once, the first one first")
        if steps and epochs is not None and (steps[0] < 1 or steps[-1] >= epochs):
            raise ValueError(
                f"{steps}, but epochs that others follow are 1 to {epochs - 1}; name those, or raise Epochs"
            )
        return steps

    @field_validator("StepFactor", "Head", "Margin", "Scale", "HeadAfter")
    @classmethod
    def _of_use(cls, value: Any, info: ValidationInfo) -> Any:
        name, given = str(info.field_name), info.data
        if value == cls.model_fields[name].default:
            return value
        if name == "StepFactor":
            if given.get("Schedule") == "cosine":
                raise ValueError(f"{value}, but Schedule is cosine; set Schedule: steps, or take the key out")
        elif given.get("ClassWeight") == 0:
            raise ValueError(
                f"{value}, but ClassWeight is 0, so nobody is told apart; set ClassWeight, or take the key out"
            )
        elif name in ("Margin", "HeadAfter") and given.get("Head") == "softmax":
            raise ValueError(
                f"{value}, but softmax has no margin; set Head: arcface or cosface, or take the key out"
            )
        elif name == "HeadAfter" and value >= given.get("Epochs", value + 1):
            raise ValueError(
                f"{value} of {given['Epochs']} Epochs leave none for the margin; lower it, or set Head: softmax"
            )
        return value


class DistillConfig(_Training):
    """Distillation: the float network learns to give the embeddings of another one, before it is quantized."""

    Teacher: str = Field(
        description="network that is learned from: zoo name, path of a .h5/.keras file, or factory 'module:function'"
    )


class TrainConfig(_Training):
    """Quantization-aware training: a prepared network learns to give the embeddings of the float one."""

    FeatureWeight: float = Field(0.0, ge=0, description="weight of the distance of the tensors on the way")


class ModelConfig(_Section):
    """Where the network comes from."""

    Source: str = Field(description="zoo name, path of a .h5/.keras file, or factory 'module:function'")
    Distill: DistillConfig | None = Field(
        None, description="train the float model for the embeddings of another one, before it is quantized"
    )
    Prepare: PrepareConfig | None = Field(
        None, description="quantize a float model; absent for a model that is quantized already"
    )
    Train: TrainConfig | None = Field(None, description="train the quantized model; needs Prepare")
    Trust: bool = Field(False, description="allow model files and factories that execute code")


def untrained(model: ModelConfig) -> ModelConfig:
    """The same without training; a teacher is loaded and looked at, but not learned from."""
    distill = model.Distill and model.Distill.model_copy(update={"Epochs": 0})
    return model.model_copy(update={"Distill": distill, "Train": None})


class DataConfig(_Section):
    """Stimuli: faces for calibration, verification and accuracy."""

    Kind: Literal["orl", "random"] = Field("random", description="ORL faces, or random codes by seed")
    InputType: str = Field("ap_fixed<8,1>", description="grid of the network's input")
    CalibrationPeople: int = Field(10, ge=1, description="ORL people used for calibration only")
    TrainingPeople: int = Field(0, ge=0, description="first ORL people, used for training only")
    Alignment: Literal["auto", "yunet", "fixed-crop"] = Field("auto", description="face alignment method")

    @property
    def known_people(self) -> int:
        """People 1 to this one were used for calibration or training; accuracy is that on the others."""
        return max(self.CalibrationPeople, self.TrainingPeople)


class VerifyConfig(_Section):
    """What is compared bit for bit."""

    Frames: int = Field(8, ge=1, description="frames compared at the output")
    TraceFrames: int = Field(1, ge=0, description="frames compared at every layer")
    StallFrames: int = Field(2, ge=0, description="frames simulated as RTL with stalls at both ports")
    Stalls: list[PerMille] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="shares of cycles, in 1/1000, without input and without output taken; the design's own if absent",
    )
    QKeras: bool = Field(
        True,
        description="compare with QKeras; of no use where HLSConfig gives other types than the model has",
    )
    Csim: bool = Field(True, description="compile and run hls4ml's C++")
    Rtl: bool = Field(True, description="simulate the SystemVerilog")
    Netlist: bool = Field(False, description="simulate the netlist that Yosys makes (small designs)")


MultStyleName = Literal["auto", "dsp", "lut"]


class HwflowConfig(_Section):
    """The ``Hwflow`` section."""

    Model: ModelConfig
    Data: DataConfig = Field(default_factory=DataConfig)
    Verify: VerifyConfig = Field(default_factory=VerifyConfig)
    MultStyle: MultStyleName | dict[str, MultStyleName] = Field(
        "auto",
        description="multipliers of LUTs or DSP blocks; for all layers, or by layer name and 'default'",
    )
    LutMultiplierBits: int = Field(
        4, ge=0, le=32, description="MultStyle auto: products with a factor of at most so many bits use LUTs"
    )
    Synth: list[Literal["xc7", "xcup", "xcup-uram", "ecp5", "ice40", "gowin", "nexus"]] = Field(
        default_factory=list, description="FPGA families that a run synthesizes for"
    )
    Budget: dict[str, float] = Field(
        default_factory=dict,
        description="metric name to its limit: the least where more is better, else the most",
    )
    Seed: int = Field(1, ge=0, description="seed of every random draw")


class DesignConfig(_Section):
    """A whole design file."""

    HLSConfig: dict[str, Any] = Field(
        default_factory=dict, description="hls4ml's Model, LayerType, LayerName"
    )
    Backend: Literal["Hwflow"] = Field("Hwflow", description="hls4ml backend")
    IOType: Literal["io_stream", "io_parallel"] = Field("io_stream", description="hls4ml IO type")
    ClockPeriod: float = Field(5.0, gt=0, description="clock period, ns")
    Part: str = Field("xc7z045ffg900-2", description="FPGA part of the C++ project")
    ProjectName: Annotated[str, AfterValidator(check_name)] = Field(
        "accelerator", pattern=r"^[a-z][a-z0-9_]*$", description="name of the top-level module and function"
    )
    Hwflow: HwflowConfig
