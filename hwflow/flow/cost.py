# SPDX-License-Identifier: Apache-2.0
"""Steps that tell what a design costs: predicted for every target, synthesized for those that it asks for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwflow.cost.estimate import METRICS, NATIVE_BLOCKS, RESOURCES
from hwflow.flow.context import Context
from hwflow.flow.hardware import the_design, the_graph
from hwflow.flow.model import PREPARED
from hwflow.flow.runner import Step
from hwflow.records import CostRecord, FamilyRecord, McuRecord, Metric, PartRecord, UseRecord
from hwflow.tools.targets import TARGETS, Resources

if TYPE_CHECKING:
    from hwflow.cost.cycles import Cycles
    from hwflow.cost.estimate import FamilyEstimate
    from hwflow.cost.mcu import McuEstimate
    from hwflow.emit.design import Design
    from hwflow.synth.modules import ModuleResult

COST = "cost.json"
"""What :func:`hwflow.cost.estimate.families` found: resources by family and layer, and the parts that hold them."""


SYNTH = "synth.json"
"""The same as synthesis counts it, for the families that the design asks for."""


def prepared_layers(run: Path) -> set[str]:
    """Names of the quantized model's layers, without loading it."""
    import h5py  # type: ignore[import-untyped]

    with h5py.File(run / PREPARED) as file:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
    return {layer["config"]["name"] for layer in layers}


def _inputs(context: Context) -> Any:
    return {"clock": context.config.ClockPeriod, "frames": context.config.Hwflow.Verify.Frames}


def _cost(context: Context) -> None:
    from hwflow.cost.cycles import predict_cycles
    from hwflow.cost.estimate import families, fpga_metrics, mcu_metrics, microcontrollers
    from hwflow.cost.mcu import mcus
    from hwflow.cost.parts import parts

    design = the_design(context)
    held = families(design, parts().values())
    cycles = predict_cycles(design, context.config.Hwflow.Verify.Frames, log=context.log)
    controllers, reason = microcontrollers(the_graph(context), mcus().values())
    record = CostRecord(
        families={one.target: _family(one) for one in held},
        fifo_fill=_fifo_fill(design, cycles),
        mcus=[_mcu(one) for one in controllers],
        mcus_reason=reason,
    )
    (context.run_dir / COST).write_text(record.model_dump_json(indent=1) + "\n")
    context.record(fpga_metrics(held, cycles, context.config.ClockPeriod))
    context.record(mcu_metrics(controllers, reason))


def _family(one: FamilyEstimate) -> FamilyRecord:
    return FamilyRecord(
        total=asdict(one.resources),
        layers={name: asdict(found) for name, found in one.layers.items()},
        parts=[
            PartRecord(
                part=fit.part.part,
                fits=fit.fits,
                uses=[UseRecord.model_validate(asdict(u)) for u in fit.uses],
            )
            for fit in one.parts
        ],
    )


def _mcu(one: McuEstimate) -> McuRecord:
    from hwflow.cost.mcu import mcus

    mcu = mcus()[one.target.lower()]
    flash, ram = (
        None if figure.value is None else int(figure.value) for figure in (mcu.flash_bytes, mcu.ram_bytes)
    )
    return McuRecord(
        name=one.target,
        flash_bytes=one.flash,
        ram_bytes=one.ram,
        flash_available=flash,
        ram_available=ram,
        latency_ms=one.latency.ms,
        latency_error=one.latency.error,
        misfits=list(one.misfits),
    )


def _fifo_fill(design: Design, cycles: Cycles) -> dict[str, list[int | None]]:
    """Most beats that wait on each input of a node, by the FIFO that the design has there."""
    found: dict[str, list[int | None]] = {
        node.name: [None] * len(node.inputs) for node in design.graph if node.inputs
    }
    for block in design.blocks:
        if block.module == "hwf_fifo":
            position = int(block.label.removesuffix("_fifo").rpartition("_in")[2])
            found[block.node][position] = cycles.fill[block.label]
    return found


def _synth_inputs(context: Context) -> Any:
    return context.config.Hwflow.Synth


def _synth(context: Context) -> None:
    from hwflow.synth.modules import synthesize_design
    from hwflow.verify.rtlsim import cores

    design, records = the_design(context), {}
    for name in context.config.Hwflow.Synth:
        result = synthesize_design(
            design,
            TARGETS[name],
            logs=context.log.parent / "synth",
            jobs=cores(),
            track=partial(_track, context),
        )
        records[name] = {
            "total": asdict(result.total),
            "layers": {node: asdict(found) for node, found in result.layers.items()},
        }
        context.record(_counted(name, result.total))
    (context.run_dir / SYNTH).write_text(json.dumps(records, indent=1) + "\n")


def _track(context: Context, results: Iterable[ModuleResult], count: int) -> Iterable[ModuleResult]:
    return context.track(results, count, "modules")


def _counted(target: str, total: Resources) -> Iterator[Metric]:
    for name in RESOURCES:
        value = getattr(total, name)
        yield Metric(
            name=f"synth.{target}.{name}",
            value=value,
            unit="1",
            kind="synthesized",
            source=SYNTH,
            reason="" if value is not None else NATIVE_BLOCKS,
        )


STEPS: tuple[Step, ...] = (
    Step(
        "cost",
        _cost,
        _inputs,
        (COST,),
        needs=("convert",),
        code=("cost", "flow/cost", "emit", "ops", "rtllib", "mcu", "tools/targets", "tools/fabric"),
        metrics=METRICS,
    ),
)

SYNTHESIS = Step(
    "synth",
    _synth,
    _synth_inputs,
    (SYNTH,),
    needs=("convert",),
    code=("emit", "ops", "rtllib", "synth", "tools/targets", "tools/yosys"),
    packages=("pyosys",),
    metrics=tuple(f"synth.{target}.{name}" for target in TARGETS for name in RESOURCES),
)
"""Apart from the others, as it may take an hour: it comes when all is simulated."""
