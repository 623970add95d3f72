# SPDX-License-Identifier: Apache-2.0
"""``hwflow explain``: why an accelerator looks as it does, layer by layer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.converted import converted
from hwflow.cli.run import TrustFlag
from hwflow.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from hwflow.emit.design import Design
    from hwflow.ir.graph import QuantNode


@guarded
def explain(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG|RUN|KEY",
            help="YAML file of a design, the folder of a run, or a key of the YAML such as Hwflow.Verify.",
        ),
    ],
    layer: Annotated[str | None, typer.Argument(metavar="[LAYER]", help="All about one layer.")] = None,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Explain an accelerator: how each layer is folded, how it multiplies, what it buffers, and what sets the pace.

    Of a key of the YAML (Hwflow.Verify, HLSConfig.Model.ReuseFactor): what it does, what it takes and its default.
    """
    if not source.exists() and source.suffix not in (".yaml", ".yml") and _is_key(str(source)):
        _explain_key(str(source), as_json=as_json)
        return
    from hwflow.emit.design import build_design
    from hwflow.emit.schedule import busy

    _, graph = converted(source, trust=trust)
    design = build_design(graph)
    names = [node.name for node in design.graph]
    if layer is not None and layer not in names:
        raise UserError(f"the network has no layer {layer!r}", did_you_mean(layer, names))
    cycles = busy(design.graph, design.plan.folding)
    records = {node.name: _record(node, design, cycles[node.name]) for node in design.graph}
    if as_json:
        chosen = records if layer is None else {layer: records[layer] | _details(design, layer)}
        emit_json(
            {"ii_bound_cycles": design.plan.ii_bound, "bottleneck": design.plan.bottleneck, "layers": chosen}
        )
    elif layer is None:
        _show_all(records, design)
    else:
        _show_layer(layer, records[layer] | _details(design, layer), design)


def _is_key(word: str) -> bool:
    """Whether a word can only be meant as a key of a design."""
    from hwflow.config.schema import DesignConfig

    return "/" not in word and word.partition(".")[0] in DesignConfig.model_fields


def _explain_key(path: str, *, as_json: bool) -> None:
    """What the manual says about a key, and about the keys in it."""
    from hwflow.config.reference import find

    found = find(path)
    if as_json:
        emit_json([asdict(key) for key in found])
        return
    rows = [(key.path, key.kind, key.default, key.description) for key in found]
    table(("key", "takes", "where absent", "what it does"), rows)


def _record(node: QuantNode, design: Design, cycles: int) -> dict[str, Any]:
    """Folding, buffers and pace of a layer."""
    fold, plan = design.plan.folding[node.name], design.plan
    return {
        "operation": node.op,
        "inputs": list(node.inputs),
        "shape": list(node.shape),
        "type": str(node.type),
        "reuse_factor": node.reuse_factor if fold.pe else None,
        "pe": fold.pe,
        "simd": fold.simd,
        "multipliers": fold.multipliers,
        "multiplication": _multiplication(node, design),
        "cycles_a_pixel": fold.cycles,
        "cycles_a_frame": cycles,
        "busy": cycles / plan.ii_bound,
        "in_lanes": list(fold.in_lanes),
        "out_lanes": fold.out_lanes,
        "buffer_pixels": plan.pixels.get(node.name, 0),
        "fifo_beats": [plan.fifo.get((node.name, place), 0) for place in range(len(node.inputs))],
    }


def _multiplication(node: QuantNode, design: Design) -> str:
    """How a layer multiplies, in words; empty where it does not."""
    from hwflow.ops.weightcode import WeightCode

    found = [dict(block.parameters) for block in design.blocks if block.node == node.name]
    unit = next((parameters for parameters in found if "WeightCode" in parameters), None)
    if unit is None:
        fold = design.plan.folding[node.name]
        return "adder graph" if fold.pe and not fold.multipliers else ""
    code, pack = WeightCode(int(unit["WeightCode"])), int(unit["Pack"])
    words = {
        WeightCode.BINARY: "add or subtract",
        WeightCode.TERNARY: "add, subtract or leave out",
        WeightCode.POW2: "shift",
        WeightCode.XNOR: "count agreeing signs",
    }.get(code)
    if words is None:
        words = f"{pack} products a DSP block" if pack > 1 else "DSP blocks" if pack else "LUTs"
        words += f", {code.name.lower()} weights of {unit['WW']} bits"
    return f"{words}, weights in {'block RAM' if unit['RomBlock'] else 'LUTs'}"


def _details(design: Design, layer: str) -> dict[str, Any]:
    """What only the closer look shows: legal reuse factors, accumulator, modules."""
    from hwflow.ops.registry import op

    node = design.graph.node(layer)
    spec, sources = op(node.op), [design.graph.node(name) for name in node.inputs]
    blocks = [block for block in design.blocks if block.node == layer]
    return {
        "legal_reuse_factors": spec.reuse_factors(node, sources) or [],
        "weights": {name: f"{tuple(p.codes.shape)} {p.type}" for name, p in node.params.items()},
        "rounding": node.cast.rounding.value,
        "overflow": node.cast.overflow.value,
        "modules": {block.label: {"module": block.module, **block.parameters} for block in blocks},
    }


def _show_all(records: dict[str, dict[str, Any]], design: Design) -> None:
    rows = [
        (
            name,
            one["operation"],
            "×".join(map(str, one["shape"])),
            one["type"],
            "" if one["reuse_factor"] is None else f"{one['reuse_factor']:,}",
            f"{one['pe']} × {one['simd']}" if one["pe"] else "",
            one["multiplication"],
            f"{one['cycles_a_frame']:,}",
            f"{100 * one['busy']:.0f} %",
            _buffers(one),
        )
        for name, one in records.items()
    ]
    columns = ("layer", "operation", "result", "type", ">RF", ">PE × SIMD", "multiplies by")
    table((*columns, ">cycles a frame", ">busy", "waits in"), rows)
    plan = design.plan
    echo(
        f"{plan.bottleneck} sets the pace: a frame every {plan.ii_bound:,} cycles. A smaller ReuseFactor there makes "
        "it faster; layers that are busy for a small share can take a larger one (`hwflow tune` chooses)."
    )


def _buffers(one: dict[str, Any]) -> str:
    words = [f"{one['buffer_pixels']:,} pixels"] if one["buffer_pixels"] else []
    words += [f"FIFO of {depth:,} beats" for depth in one["fifo_beats"] if depth]
    return ", ".join(words)


def _show_layer(name: str, one: dict[str, Any], design: Design) -> None:
    echo(f"{name}: {one['operation']} of {', '.join(one['inputs']) or 'the input port'}")
    echo(
        f"  result: {'×'.join(map(str, one['shape']))} of {one['type']}, rounding {one['rounding']}, overflow "
        f"{one['overflow']}"
    )
    for parameter, text in one["weights"].items():
        echo(f"  {parameter}: {text}")
    if one["pe"]:
        echo(
            f"  folding: reuse factor {one['reuse_factor']}, that is {one['pe']} outputs × {one['simd']} inputs a "
            f"cycle; {one['multipliers']:,} multipliers ({one['multiplication']})"
        )
    if one["legal_reuse_factors"]:
        echo(f"  legal reuse factors: {', '.join(map(str, one['legal_reuse_factors']))}")
    echo(
        f"  pace: {one['cycles_a_pixel']:,} cycles a pixel, {one['cycles_a_frame']:,} a frame, "
        f"{100 * one['busy']:.1f} % of the {design.plan.ii_bound:,} that {design.plan.bottleneck} sets"
    )
    echo(
        f"  streams: {' and '.join(map(str, one['in_lanes'])) or 'no'} values a beat in, {one['out_lanes']} out"
    )
    if _buffers(one):
        echo(f"  buffers: {_buffers(one)}")
    for label, values in one["modules"].items():
        rest = ", ".join(f"{key}={value}" for key, value in values.items() if key != "module")
        echo(f"  {label}: {values['module']} ({rest})")
