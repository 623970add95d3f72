# SPDX-License-Identifier: Apache-2.0
"""hls4ml's own keys, checked by name: hls4ml itself passes over what it does not know."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from hwflow.errors import UserError, did_you_mean
from hwflow.numerics.fixed import Cast

# Names under which hls4ml 1.3 looks up a precision of one layer.
_VARIABLES = frozenset(
    (
        *("default", "maximum", "result", "weight", "bias", "accum", "scale", "param", "slope", "shift"),
        *("table", "depthwise", "pointwise"),
    )
)
STRATEGIES = ("Latency", "Resource", "distributed_arithmetic")
SOFTMAX_STRATEGIES = ("stable", "latency", "argmax", "legacy")
"""What hls4ml's users write under ``Strategy`` of a softmax; its own key is ``Implementation``."""


def _precision(value: Any) -> Any:
    """A precision, or a mapping of variable names to precisions."""
    if isinstance(value, dict):
        for variable, text in value.items():
            if variable not in _VARIABLES:
                raise ValueError(f"{variable!r} has no precision; {did_you_mean(str(variable), _VARIABLES)}")
            _precision_text(text)
    else:
        _precision_text(value)
    return value


def _precision_text(text: Any) -> None:
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is not a precision; write it like ap_fixed<16,6>")
    if text != "auto":
        try:
            Cast.parse(text)
        except UserError as error:
            raise ValueError(f"{error.message}; {error.remedy}") from error


def _strategy(value: Any) -> Any:
    known = (*STRATEGIES, *SOFTMAX_STRATEGIES)
    if not isinstance(value, str) or value.lower() not in {name.lower() for name in known}:
        raise ValueError(f"{value!r} is not a strategy; {did_you_mean(str(value), STRATEGIES)}")
    return value


PrecisionValue = Annotated[Any, AfterValidator(_precision)]
StrategyValue = Annotated[Any, AfterValidator(_strategy)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class HlsLayer(_Section):
    """Options of one layer or of one type of layer."""

    Precision: PrecisionValue = Field(None, description="a precision, or precisions by variable name")
    ReuseFactor: int | None = Field(None, ge=1, description="times each multiplier is used an output pixel")
    Strategy: StrategyValue = Field(
        None, description="multipliers that add along chains, adder trees behind them, or additions only"
    )
    ConvImplementation: Literal["LineBuffer", "Encoded"] | None = Field(
        None, description="C++ of convolutions"
    )
    ParallelizationFactor: int | None = Field(None, ge=1, description="output pixels computed at once")
    Trace: bool | None = Field(None, description="record the layer's output in the C++ simulation")


class HlsEntry(HlsLayer):
    """The same, with what only separable convolutions have."""

    DepthwiseReuseFactor: int | None = Field(None, ge=1, description="reuse factor of the depthwise half")
    PointwiseReuseFactor: int | None = Field(None, ge=1, description="reuse factor of the pointwise half")


class HlsModel(_Section):
    """Options of the whole model."""

    Precision: PrecisionValue = Field(None, description="default precision, or defaults by variable name")
    ReuseFactor: int | None = Field(None, ge=1, description="default reuse factor")
    Strategy: StrategyValue = Field(None, description="default strategy")
    BramFactor: int | None = Field(
        None, ge=1, description="weights beyond this number live in external memory"
    )
    BitExact: bool | None = Field(None, description="hls4ml's own inference of exact types")
    ConvImplementation: Literal["LineBuffer", "Encoded"] | None = Field(
        None, description="C++ of convolutions"
    )
    PipelineStyle: Literal["auto", "pipeline", "dataflow"] | None = Field(None, description="C++ pipelining")
    PipelineInterval: int | None = Field(None, ge=1, description="C++ pipeline interval, cycles")
    TraceOutput: bool | None = Field(None, description="record every layer's output in the C++ simulation")


class HlsConfig(_Section):
    """The ``HLSConfig`` section."""

    Model: HlsModel | None = None
    LayerType: dict[str, HlsEntry] = Field(default_factory=dict, description="options by hls4ml layer class")
    LayerName: dict[str, HlsEntry] = Field(default_factory=dict, description="options by layer name")
