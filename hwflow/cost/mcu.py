# SPDX-License-Identifier: Apache-2.0
"""What a network costs on a microcontroller: flash, RAM, MACC, latency, each with its uncertainty.

Flash and RAM are those of the emitted C (see :mod:`hwflow.cost.mcu_kernels`); of a published network, 8-bit or float
weights with 32-bit biases and a memory plan of its layer table. Latency is what a runtime of the given maker would
take (see :mod:`hwflow.cost.mcu_latency`); weights below 8 bits scale it by the instructions of the emitted kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwflow.cost import mcu_kernels, mcu_latency
from hwflow.cost.architectures import LayerTable, LayerWork, table_of
from hwflow.errors import ConfigError, did_you_mean
from hwflow.ir.graph import QuantGraph
from hwflow.mcu.emit import Sizes, sizes
from hwflow.mcu.lower import Program, first_pixels, lead, lower
from hwflow.mcu.planner import Task, plan
from hwflow.records import Metric

MCUS = mcu_latency.DATA / "mcus"
_BIAS_BYTES = 4
_INT8_ROWS = "8-bit rows of published runtimes"


class Figure(BaseModel):
    """A number of a data sheet with its source; blank where none was found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float | None
    source: str


class Mcu(BaseModel):
    """A microcontroller, as a YAML file under ``hwflow/cost/data/mcus`` or the user's own describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    core: str = Field(description="such as cortex-m7")
    clock_mhz: Figure
    flash_bytes: Figure
    ram_bytes: Figure
    largest_ram_bytes: Figure = Field(description="largest piece of RAM in one range of addresses")


@cache
def mcus() -> dict[str, Mcu]:
    """All known microcontrollers by lower-case name."""
    found = [_read(path) for path in sorted(MCUS.glob("*.yaml"))]
    return {mcu.name.lower(): mcu for mcu in found}


def load_mcu(name: str) -> Mcu:
    """A microcontroller by name, or from a YAML file.

    Raises
    ------
    ConfigError
        When there is none of that name, or the file does not describe one.
    """
    if name.lower() in mcus():
        return mcus()[name.lower()]
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(f"there is no file {name}", "give the path of a YAML file, or a target's name")
        return _read(path)
    names = [mcu.name for mcu in mcus().values()]
    near = [mcu.name for mcu in mcus().values() if mcu.name.lower().startswith(name.lower()[:8])]
    hint = f"did you mean {' or '.join(near)}?" if near else did_you_mean(name, names)
    raise ConfigError(f"no microcontroller {name!r} is known", f"{hint} (or describe it in a YAML file)")


def _read(path: Path) -> Mcu:
    try:
        return Mcu.model_validate(yaml.safe_load(path.read_text()))
    except (ValidationError, yaml.YAMLError) as error:
        lines = "; ".join(str(error).splitlines()[:4])
        raise ConfigError(
            f"{path} does not describe a microcontroller: {lines}",
            f"write it like {MCUS / 'stm32h743zi.yaml'}",
        ) from error


@dataclass(frozen=True, slots=True)
class Latency:
    """Time of one inference.

    Parameters
    ----------
    ms : float or None
        Milliseconds.
    error : float
        Median relative error of held-out predictions.
    error_90 : float
        Relative error that nine in ten held-out predictions keep.
    basis : str
        Where it comes from, or why there is none.
    by_type : dict of str to float
        Share of each layer type, ms.
    """

    ms: float | None
    error: float
    error_90: float
    basis: str
    by_type: dict[str, float]


@dataclass(frozen=True, slots=True)
class McuEstimate:
    """Cost of a network on one target.

    Parameters
    ----------
    target : str
        The microcontroller.
    macs, st_macc : int
        Plain multiply-accumulates, and ST's count.
    sizes : Sizes
        Constants and arena.
    code, stack : int
        Code and stack, bytes.
    instructions : int
        Instructions of the emitted kernels on a Cortex-M7.
    latency : Latency
        Time of one inference.
    misfits : tuple of str
        What does not fit, and by how much; empty when all does.
    """

    target: str
    macs: int
    st_macc: int
    sizes: Sizes
    code: int
    stack: int
    instructions: int
    latency: Latency
    misfits: tuple[str, ...]

    @property
    def flash(self) -> int:
        """Constants and code, bytes."""
        return self.sizes.constants + self.code

    @property
    def ram(self) -> int:
        """Arena and stack, bytes."""
        return self.sizes.arena + self.stack

    def metrics(self) -> list[Metric]:
        """The figures under ``mcu.<target>``."""
        prefix = f"mcu.{self.target.lower()}"
        source = "hwflow.cost.mcu"

        def metric(name: str, value: float | int | None, unit: str, reason: str = "") -> Metric:
            return Metric(
                name=f"{prefix}.{name}",
                value=value,
                unit=unit,
                kind="estimated",
                source=source,
                reason=reason,
            )

        reason = "" if self.latency.ms is not None else self.latency.basis
        return [
            metric("flash_bytes", self.flash, "B"),
            metric("ram_bytes", self.ram, "B"),
            metric("macs", self.macs, "1"),
            metric("macc", self.st_macc, "1"),
            metric("instructions", self.instructions, "1"),
            metric("latency_ms", self.latency.ms, "ms", reason),
        ]


def estimate(graph: QuantGraph, mcu: Mcu, runtime: str = "", program: Program | None = None) -> McuEstimate:
    """Cost of an integer network on a microcontroller.

    Parameters
    ----------
    graph : QuantGraph
        The network.
    mcu : Mcu
        The target.
    runtime : str, optional
        Published runtime whose speed is assumed; by default the mean of all.
    program : Program, optional
        The lowered network, where it is at hand.

    Returns
    -------
    McuEstimate
    """
    program = program or lower(graph)
    table = table_of(graph)
    found, code, stack = sizes(program), mcu_kernels.code_bytes(program), mcu_kernels.stack_bytes(program)
    return McuEstimate(
        mcu.name,
        table.macs,
        table.st_macc,
        found,
        code,
        stack,
        mcu_kernels.instructions(program),
        latency(table, mcu, runtime),
        misfits(mcu, found.constants + code, found.arena + stack, found.arena),
    )


def misfits(mcu: Mcu, flash: int, ram: int, arena: int) -> tuple[str, ...]:
    """What of a network does not fit a microcontroller."""
    found: list[str] = []
    for what, need, figure in (
        ("flash", flash, mcu.flash_bytes),
        ("RAM", ram, mcu.ram_bytes),
        ("the largest piece of RAM", arena, mcu.largest_ram_bytes),
    ):
        if figure.value is not None and need > figure.value and not (found and "RAM" in found[-1]):
            found.append(f"{what}: needs {need:,} bytes, {mcu.name} has {int(figure.value):,}")
    return tuple(found)


def latency(
    table: LayerTable, mcu: Mcu, runtime: str = "", precision: Literal["int8", "float"] = "int8"
) -> Latency:
    """Time of one inference under a runtime's speed.

    Parameters
    ----------
    table : LayerTable
        The network's work; weights below 8 bits cost what the emitted kernels' instructions say.
    mcu : Mcu
        The target.
    runtime : str, optional
        Published runtime; by default the mean of all.
    precision : str
        ``int8``, or ``float`` for the same network in 32-bit floating point.

    Raises
    ------
    ConfigError
        When no such runtime was published.
    """
    known = mcu_latency.committed()
    runtimes = sorted(known["error"])
    if runtime and runtime not in runtimes:
        raise ConfigError(f"no runtime {runtime!r} is known", did_you_mean(runtime, runtimes))
    error = float(known["error"].get(runtime, known["error_all"]))
    error_90 = float(known["error_90"])
    model = mcu_latency.Coefficients(known["values"])
    if f"core.{mcu.core}" not in model.values or mcu.clock_mhz.value is None:
        reason = (
            f"no published figure of a {mcu.core} to calibrate on"
            if mcu.clock_mhz.value
            else "no clock known"
        )
        return Latency(None, error, error_90, reason, {})
    is_float = precision == "float"
    shares: dict[str, float] = {}
    scaled = False
    for name, amount in mcu_latency.terms(table).items():
        if name in ("output", "elementwise", "layer"):
            work = {name: amount}
        else:
            work = {name: 0.0}
            for layer in table.layers:
                if layer.type == name:
                    factor = 1.0 if is_float else bits_factor(layer.type, layer.weight_bits)
                    scaled |= factor != 1.0
                    work[name] += layer.macs * factor
        cycles = model.cycles(work, mcu.core, runtime, is_float=is_float)
        shares[name] = cycles / (mcu.clock_mhz.value * 1e3)
    basis = f"{runtime or 'mean runtime'}, {'float' if is_float else _INT8_ROWS}"
    if scaled:
        basis += "; other widths scaled by the instructions of the emitted kernels"
    return Latency(sum(shares.values()), error, error_90, basis, shares)


def bits_factor(kind: str, bits: int) -> float:
    """Cost of a multiply-accumulate with weights of so many bits, over that with 8."""
    costs = mcu_kernels.table()["instructions"]
    stored = next((width for width in (1, 2, 4, 8) if bits <= width), None)
    if kind == "depthwise":
        wide, key = "hwf_depthwise_any_64.mac", "hwf_depthwise_w{}.mac_inside"
    else:
        alone = "alone" if kind == "dense" else "paired"
        wide, key = "hwf_conv2d_any_64.mac", f"hwf_conv2d_w{{}}.mac_{alone}"
    one = costs[key.format(stored)] if stored else costs.get(wide, costs[key.format(8)])
    return float(one / costs[key.format(8)])


def table_ram(
    table: LayerTable, element_bytes: int, *, overlay: bool = True, input_apart: bool = False
) -> int:
    """Activation memory of a layer table by the planner, bytes.

    Parameters
    ----------
    table : LayerTable
        The network.
    element_bytes : int
        Bytes of an element.
    overlay : bool
        Whether outputs may run over inputs.
    input_apart : bool
        Whether the network's input has memory of its own; otherwise it lies among the activations.
    """
    input_bytes = table.input_elements * element_bytes
    tasks = []
    for number, layer in enumerate(table.layers):
        reads = tuple(str(source) for source in layer.reads)
        tasks.append(
            Task(str(number), reads, layer.outputs * element_bytes, _leads(layer, element_bytes, overlay))
        )
    last = str(len(tasks) - 1)
    peak = plan(tasks, [last], {"-1": input_bytes}).peak
    return peak + input_bytes if input_apart else peak


def _leads(layer: LayerWork, element_bytes: int, overlay: bool) -> dict[str, int]:
    """What a layer's output may run over."""
    if layer.window is None:
        # An element-wise sum may replace either operand.
        same = layer.type == "elementwise" and layer.inputs == len(layer.reads) * layer.outputs
        return {str(source): 0 for source in layer.reads} if same else {}
    if not overlay:
        return {}
    window = layer.window
    read = layer.channels_in * element_bytes
    written = layer.outputs // (window.out_h * window.out_w) * element_bytes
    return {str(source): lead(first_pixels(window), read, written) for source in layer.reads}


def table_flash(table: LayerTable, weight_bytes: int) -> int:
    """Weights and 32-bit biases of a layer table, bytes."""
    return sum(layer.weights * weight_bytes + layer.biases * _BIAS_BYTES for layer in table.layers)
