# SPDX-License-Identifier: Apache-2.0
"""``hwflow estimate``: FPGA parts and microcontrollers side by side, before anything is simulated or synthesized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.converted import SourceArgument, converted
from hwflow.cli.run import TrustFlag
from hwflow.errors import BudgetError

if TYPE_CHECKING:
    from hwflow.cost.complexity import Complexity
    from hwflow.cost.cycles import Cycles
    from hwflow.cost.estimate import FamilyEstimate, PartFit
    from hwflow.cost.mcu import Mcu, McuEstimate
    from hwflow.cost.parts import Part
    from hwflow.emit.design import Design

_VERDICT = {True: "fits", False: "too small", None: "not known: figures of the part are missing"}


@guarded
def estimate(
    source: SourceArgument,
    part: Annotated[str | None, typer.Option("--part", help="Only this FPGA part.")] = None,
    parts: Annotated[
        Path | None, typer.Option("--parts", metavar="FILE", help="YAML file with more parts.")
    ] = None,
    mcu: Annotated[
        str | None,
        typer.Option("--mcu", help="Only this microcontroller; or a YAML file that describes one."),
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Show complexity and resources by layer.")] = False,
    frames: Annotated[
        int, typer.Option("--frames", min=2, help="Frames in a row that the interval is taken of.")
    ] = 8,
    clock: Annotated[float, typer.Option("--clock", min=1, help="Clock of the accelerator, MHz.")] = 200.0,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate", help="Fit the resource model anew, with this network beside Yosys; hours."
        ),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="Only so many modules of --calibrate's sweep, as a trial."),
    ] = None,
    targets: Annotated[
        str | None,
        typer.Option(
            "--families", metavar="FAMILY,...", help="Only these families of --calibrate, as a trial."
        ),
    ] = None,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Predict what a network takes: cycles and resources on FPGA parts, flash, RAM and time on microcontrollers.

    Cycles are exact: those that simulation of the RTL measures. Resources are those that Yosys would report, by the
    model of reports/cost-model.md. Figures of microcontrollers carry the error of held-out predictions. Exit code 5
    when the part or the microcontroller that was asked for is too small.

    --calibrate replaces the model's data in a checkout of hwflow's sources; a trial (--limit, --families) writes what
    it measured and fitted into the run folder and tells how it predicts. Either goes on where it was stopped.
    """
    from hwflow.cost.complexity import complexity
    from hwflow.cost.cycles import predict_cycles
    from hwflow.cost.estimate import families, microcontrollers
    from hwflow.emit.design import build_design

    wanted, controllers = _parts(part, parts, mcu), _mcus(part, mcu)
    run, graph = converted(source, trust=trust)
    design = build_design(graph)
    if calibrate:
        _calibrate(design, run, limit, targets)
        return
    cycles = predict_cycles(design, frames, log=run / "logs" / "timing.log")
    held = families(design, wanted)
    found, reason = microcontrollers(graph, controllers) if controllers else ([], "")
    work = complexity(design.graph)
    if as_json:
        emit_json(
            {
                "complexity": work.figures()
                | {"layers": {name: asdict(one) for name, one in work.nodes.items()}},
                "fpga": _fpga(design, cycles, clock)
                | {"targets": {one.target: _target(one) for one in held}},
                "mcu": {one.target: _figures(one) for one in found},
                "mcu_reason": reason,
            }
        )
    else:
        _show_work(work)
        _show_fpga(design, cycles, clock, held)
        _show_mcus(found, reason)
        if layers:
            _show_layers(work, held)
    _check_asked(part, mcu, held, found)


def _calibrate(design: Design, run: Path, limit: int | None, names: str | None) -> None:
    """Fit the resource model anew, or try it with some modules and families."""
    from hwflow.cost.resource_report import MEASURED, recalibrate, trial
    from hwflow.tools.targets import target

    if limit is None and names is None:
        echo(f"report: {recalibrate(design, run / 'logs' / 'calibrate')}")
        return
    chosen = [target(name.strip()).name for name in names.split(",")] if names else MEASURED
    folder = run / "calibrate"
    table(("family", ">modules", ">held out", ">LUT median", ">LUT 90 %", ">committed", ">90 %"),
          list(trial(chosen, limit, folder)))  # fmt: skip
    echo(f"modules and coefficients: {folder}")


def _parts(part: str | None, file: Path | None, mcu: str | None) -> list[Part]:
    """The FPGA parts that are asked for: one, all, or none where a microcontroller is named."""
    from hwflow.cost.parts import find_part, load_parts, parts

    more = load_parts(file) if file else {}
    if part is not None:
        return [find_part(part, more)]
    return [] if mcu is not None else list({**parts(), **more}.values())


def _mcus(part: str | None, mcu: str | None) -> list[Mcu]:
    """The microcontrollers that are asked for."""
    from hwflow.cost.mcu import load_mcu, mcus

    if mcu is not None:
        return [load_mcu(mcu)]
    return [] if part is not None else list(mcus().values())


def _check_asked(
    part: str | None, mcu: str | None, held: Sequence[FamilyEstimate], found: Sequence[McuEstimate]
) -> None:
    """A target that was asked for by name must hold the network."""
    small = [fit for family in held for fit in family.parts if part and fit.fits is False]
    if small:
        over = ", ".join(
            f"{use.used:,} {use.resource.upper()} of {use.available:,}"
            for use in small[0].uses
            if use.fits is False
        )
        raise BudgetError(
            f"the design is too large for {small[0].part.part}: {over}",
            "take a larger part, or let `hwflow tune` fold it for this one",
        )
    if mcu and found and found[0].misfits:
        raise BudgetError("; ".join(found[0].misfits), "take another microcontroller, or fewer bits")


def _fpga(design: Design, cycles: Cycles, clock: float) -> dict[str, Any]:
    return {
        "latency_cycles": cycles.latency,
        "ii_cycles": cycles.ii,
        "ii_bound_cycles": design.plan.ii_bound,
        "bottleneck": design.plan.bottleneck,
        "multipliers": sum(fold.multipliers for fold in design.plan.folding.values()),
        "fps": clock * 1e6 / (cycles.ii or cycles.latency),
        "clock_mhz": clock,
    }


def _target(one: FamilyEstimate) -> dict[str, Any]:
    return {
        "total": asdict(one.resources),
        "layers": {name: asdict(found) for name, found in one.layers.items()},
        "smallest": one.smallest or None,
        "parts": {
            fit.part.part: {
                "fits": fit.fits,
                "share": {use.resource: use.share for use in fit.uses},
                "tightest": fit.tightest.resource if fit.tightest else None,
            }
            for fit in one.parts
        },
    }


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


def _show_work(work: Complexity) -> None:
    figures = work.figures()
    echo(
        f"network: {figures['params']:,} constants of {figures['weight_bits']:,} bits; {figures['macs']:,} MACs "
        f"({figures['st_macc']:,} by ST's count, MACC), {figures['bops']:,} bit operations; activations "
        f"{figures['activation_bits']:,} bits, {figures['activation_bits_peak']:,} at once"
    )


def _show_fpga(design: Design, cycles: Cycles, clock: float, held: Sequence[FamilyEstimate]) -> None:
    if not held:
        return
    found = _fpga(design, cycles, clock)
    echo(
        f"accelerator: a frame every {cycles.ii or cycles.latency:,} cycles, {found['fps']:,.1f} a second at "
        f"{clock:g} MHz; latency {cycles.latency:,} cycles = {cycles.latency / clock / 1000:.3g} ms; "
        f"{found['multipliers']:,} multipliers; bottleneck {design.plan.bottleneck} ({design.plan.ii_bound:,} cycles)"
    )
    rows = [_part_row(one, fit) for one in held for fit in one.parts]
    table(("FPGA part", "family", ">LUT", ">FF", ">DSP", ">block RAM", ">tightest", "verdict"), rows)
    if any(len(one.parts) > 1 for one in held):
        named = [f"{one.smallest or 'none'} ({one.target})" for one in held]
        echo(f"smallest part that fits, by family: {', '.join(named)}")


def _part_row(one: FamilyEstimate, fit: PartFit) -> tuple[str, ...]:
    uses: Mapping[str, Any] = {use.resource: use for use in fit.uses}
    blocks = "bram18" if "bram18" in uses else "bram"
    cells = [
        f"{uses[name].used:,}" + ("" if uses[name].share is None else f" ({_percent(uses[name].share)})")
        for name in ("lut", "ff", "dsp", blocks)
    ]
    tightest = (
        f"{fit.tightest.resource.upper()} {_percent(fit.tightest.share or 0.0)}" if fit.tightest else ""
    )
    return (fit.part.part, one.target, *cells, tightest, _VERDICT[fit.fits])


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share < 100 else f"{share:,.0f} times"


def _ms(time: float) -> str:
    return f"{time:,.0f}" if time >= 100 else f"{time:.3g}"


def _show_mcus(found: Sequence[McuEstimate], reason: str) -> None:
    if reason:
        echo(f"microcontrollers: {reason}")
        return
    rows = [
        (
            one.target,
            f"{one.flash:,}",
            f"{one.ram:,}",
            f"{one.st_macc:,}",
            "" if one.latency.ms is None else f"{_ms(one.latency.ms)} ± {100 * one.latency.error:.0f} %",
            "; ".join(one.misfits) or "fits",
        )
        for one in found
    ]
    if rows:
        table(("microcontroller", ">flash, bytes", ">RAM, bytes", ">MACC", ">latency, ms", "verdict"), rows)


def _show_layers(work: Complexity, held: Sequence[FamilyEstimate]) -> None:
    """Complexity of every layer, and its resources on the first family."""
    family = held[0] if held else None
    rows = []
    for name, node in work.nodes.items():
        found = family.layers.get(name) if family else None
        cells = ("", "", "") if found is None else tuple(f"{n:,}" for n in (found.lut, found.ff, found.dsp))
        counts = (node.params, node.macs, node.bops, node.weight_bits, node.activation_bits)
        rows.append((name, *(f"{count:,}" if count else "" for count in counts), *cells))
    target = f" ({family.target})" if family else ""
    table(
        ("layer", ">constants", ">MACs", ">bit operations", ">weight bits", ">activation bits",
         f">LUT{target}", ">FF", ">DSP"),
        rows,
    )  # fmt: skip
