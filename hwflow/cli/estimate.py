# SPDX-License-Identifier: Apache-2.0
"""``hwflow estimate``: cycles of the accelerator and cost on microcontrollers, before anything is simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.converted import SourceArgument, converted
from hwflow.cli.run import TrustFlag
from hwflow.errors import HwflowError

if TYPE_CHECKING:
    from hwflow.cost.mcu import McuEstimate
    from hwflow.ir.graph import QuantGraph


@guarded
def estimate(
    source: SourceArgument,
    frames: Annotated[
        int, typer.Option("--frames", min=2, help="Frames in a row that the interval is taken of.")
    ] = 8,
    clock: Annotated[float, typer.Option("--clock", min=1, help="Clock of the accelerator, MHz.")] = 200.0,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Predict what a network takes: cycles on an FPGA, flash, RAM and time on microcontrollers.

    Cycles are exact: those that simulation of the RTL measures. Figures of microcontrollers carry the error of
    held-out predictions.
    """
    from hwflow.cost.cycles import predict_cycles
    from hwflow.emit.design import build_design

    run, graph = converted(source, trust=trust)
    design = build_design(graph)
    cycles = predict_cycles(design, frames, log=run / "logs" / "timing.log")
    interval = cycles.ii or cycles.latency
    multipliers = sum(fold.multipliers for fold in design.plan.folding.values())
    found, reason = _microcontrollers(graph)
    if as_json:
        emit_json(
            {
                "fpga": {
                    "latency_cycles": cycles.latency,
                    "ii_cycles": cycles.ii,
                    "ii_bound_cycles": design.plan.ii_bound,
                    "bottleneck": design.plan.bottleneck,
                    "multipliers": multipliers,
                    "fps": clock * 1e6 / interval,
                },
                "mcu": {one.target: _figures(one) for one in found},
                "mcu_reason": reason,
            }
        )
        return
    echo(
        f"accelerator: a frame every {interval:,} cycles, {clock * 1e6 / interval:,.1f} a second at {clock:g} MHz; "
        f"latency {cycles.latency:,} cycles = {cycles.latency / clock / 1000:.3g} ms; {multipliers:,} multipliers; "
        f"bottleneck {design.plan.bottleneck} ({design.plan.ii_bound:,} cycles)"
    )
    if reason:
        echo(f"microcontrollers: {reason}")
        return
    rows = [
        (
            one.target,
            f"{one.flash:,}",
            f"{one.ram:,}",
            f"{one.st_macc:,}",
            "" if one.latency.ms is None else f"{one.latency.ms:,.3g} ± {100 * one.latency.error:.0f} %",
            "; ".join(one.misfits) or "fits",
        )
        for one in found
    ]
    table(("microcontroller", ">flash, bytes", ">RAM, bytes", ">MACC", ">latency, ms", "verdict"), rows)


def _microcontrollers(graph: QuantGraph) -> tuple[list[McuEstimate], str]:
    """Estimates of all known microcontrollers, or why there are none."""
    from hwflow.cost.mcu import estimate as estimate_mcu
    from hwflow.cost.mcu import mcus
    from hwflow.mcu.lower import lower

    try:
        program = lower(graph)
    except HwflowError as error:
        return [], error.message
    return [estimate_mcu(graph, mcu, program=program) for mcu in mcus().values()], ""


def _figures(one: McuEstimate) -> dict[str, Any]:
    return {
        "flash_bytes": one.flash,
        "ram_bytes": one.ram,
        "macc": one.st_macc,
        "macs": one.macs,
        "latency_ms": one.latency.ms,
        "latency_error": one.latency.error,
        "fits": not one.misfits,
        "misfits": list(one.misfits),
    }
