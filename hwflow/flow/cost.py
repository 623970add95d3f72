# SPDX-License-Identifier: Apache-2.0
"""Step that predicts what a design costs on FPGA families and microcontrollers."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hwflow.flow.context import Context
from hwflow.flow.hardware import the_design, the_graph
from hwflow.flow.model import PREPARED
from hwflow.flow.runner import Step

COST = "cost.json"
"""What :func:`hwflow.cost.estimate.families` found: resources by family and layer, and the parts that hold them."""


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
    record = {
        one.target: {
            "total": asdict(one.resources),
            "layers": {name: asdict(found) for name, found in one.layers.items()},
            "parts": {fit.part.part: fit.fits for fit in one.parts},
        }
        for one in held
    }
    (context.run_dir / COST).write_text(json.dumps(record, indent=1) + "\n")
    context.record(fpga_metrics(held, cycles, context.config.ClockPeriod))
    context.record(mcu_metrics(controllers, reason))


def _names() -> tuple[str, ...]:
    from hwflow.cost.estimate import METRICS

    return METRICS


STEPS: tuple[Step, ...] = (
    Step(
        "cost",
        _cost,
        _inputs,
        (COST,),
        needs=("convert",),
        code=("cost", "emit", "ops", "rtllib", "mcu", "tools/targets", "tools/fabric"),
        metrics=_names(),
    ),
)
