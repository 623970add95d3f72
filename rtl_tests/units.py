# SPDX-License-Identifier: Apache-2.0
"""Units under test, and a top module that holds several side by side: one build serves many parameter points."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hwflow.cost.cycles import predict_cycles
from hwflow.emit.design import Block, Design, Stream, build_design
from hwflow.emit.rtl import library_path
from hwflow.errors import VerificationError
from hwflow.numerics.fixed import Codes, FixedType
from hwflow.ops.base import Case, OpSpec
from hwflow.ops.casekit import case_graph, random_codes
from hwflow.ops.distributed import is_distributed
from hwflow.ops.registry import op
from hwflow.verify.bench.simulate import Bench, BenchError
from hwflow.verify.bench.streams import beat_of
from hwflow.verify.golden import run_golden

HERE = Path(__file__).resolve().parent
TOP = "bench_top"
FRAMES = 5


@dataclass(frozen=True)
class Port:
    """A stream of a unit."""

    prefix: str
    width: int


@dataclass(frozen=True)
class Unit:
    """A module at one parameter point, with what goes in and what must come out.

    Parameters
    ----------
    label : str
        Prefix of its signals in the bench.
    module : str
        SystemVerilog module.
    parameters : mapping
        Its parameters.
    inputs, outputs : tuple of Port
        Its streams.
    stimulus : mapping of str to list of int
        Beats of each input stream.
    expected : mapping of str to list of int
        Beats of each output stream.
    formats : mapping of str to dict
        How to read the beats of each output stream.
    memories : mapping of str to str
        Files it reads.
    sources : mapping of str to str
        Generated modules it needs: name to SystemVerilog.
    claims : mapping of str to int
        Timing to be met without stalls: ``latency`` (cycles from input beat number ``latency_from``, 0 by default,
        to the first output beat), ``latency_max``, ``ii`` (cycles a frame, at most), ``first_frame`` (cycles from the
        first input beat to the last output beat of the first frame), ``interval`` (longest one of consecutive frames).
    connections : str
        Port list, where the streams' names do not give it.
    glue : str
        SystemVerilog beside the instance.
    """

    label: str
    module: str
    parameters: Mapping[str, int | str]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    stimulus: Mapping[str, list[int]]
    expected: Mapping[str, list[int]]
    formats: Mapping[str, dict[str, Any]]
    memories: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    claims: Mapping[str, int] = field(default_factory=dict)
    connections: str = ""
    glue: str = ""


def identifier(text: str) -> str:
    """A signal prefix for a name."""
    return re.sub(r"\W", "_", text.lower())


def pack(codes: Codes, lanes: int, width: int) -> list[int]:
    """Codes of whole frames as beats."""
    return [beat_of(row, width) for row in np.asarray(codes).reshape(-1, lanes).tolist()]


def format_of(type_: FixedType, lanes: int, beats_per_frame: int) -> dict[str, Any]:
    """Arguments of :class:`hwflow.verify.bench.streams.Format`."""
    return {
        "lanes": lanes, "width": type_.width, "signed": type_.signed, "frac": type_.frac,
        "beats_per_frame": beats_per_frame,
    }  # fmt: skip


def case_frames(case: Case, rng: np.random.Generator, frames: int) -> dict[str, Codes]:
    """Input codes of a case: its smallest and largest codes everywhere, zeros, then random frames."""
    data = {}
    for node in case.inputs:
        low, high = node.type.range()
        corners = np.stack([np.full(node.shape, code, dtype=np.int64) for code in (low, high, 0)])
        data[node.name] = np.concatenate([corners, random_codes(rng, (frames - 3, *node.shape), node.type)])
    return data


def case_block(case: Case) -> tuple[Design, Block] | None:
    """The instance that a case's node becomes, or None where it is only wires."""
    design = build_design(case_graph(case))
    blocks = [block for block in design.blocks if block.outputs[0].name == f"t_{case.node.name}"]
    return (design, blocks[0]) if blocks else None


def case_unit(case: Case, rng: np.random.Generator) -> Unit | None:
    """A case as a unit, with codes from the golden model."""
    found = case_block(case)
    if found is None:
        return None
    design, block = found
    data = case_frames(case, rng, FRAMES)
    golden = run_golden(design.graph, data)[case.node.name]
    skip = design.plan.folding[case.node.name].skip
    if skip:  # the module in front of this one leaves out what it does not read
        data = {
            name: codes.reshape(FRAMES, -1, codes.shape[-1])[:, skip.read_pixels()]
            for name, codes in data.items()
        }
    node, out = design.graph.node(case.node.name), block.outputs[0]
    beats = node.pixels * node.channels // out.lanes

    def port(prefix: str, stream: Stream) -> Port:
        return Port(prefix, stream.width)

    stimulus = {
        prefix: pack(data[name], stream.lanes, stream.lane_width)
        for (prefix, stream), name in zip(block.inputs, case.node.inputs, strict=True)
    }
    return Unit(
        label=identifier(f"{case.node.op}_{case.name}"),
        module=block.module,
        parameters=block.parameters,
        inputs=tuple(port(prefix, stream) for prefix, stream in block.inputs),
        outputs=(port("m_axis", out),),
        stimulus=stimulus,
        expected={"m_axis": pack(golden, out.lanes, out.lane_width)},
        formats={"m_axis": format_of(node.type, out.lanes, beats)},
        memories=design.memories,
        sources=design.sources,
        claims=_claims(case, design, block),
    )


def _claims(case: Case, design: Design, block: Block) -> dict[str, int]:
    """Cycles a frame takes, exactly, and what the schedule takes for granted: latency and interval at most."""
    node = design.graph.node(case.node.name)
    folding = design.plan.folding[node.name]
    words = case.inputs[0].channels // block.inputs[0][1].lanes
    claims = {"ii": design.plan.ii_bound} | _exact(design, block)
    accesses = op(node.op).access(node, list(case.inputs))
    if folding.skip:
        accesses = (folding.skip.reduced().access(),)
    if accesses is None:
        return claims | {"latency_max" if is_distributed(node) else "latency": folding.latency}
    folds = max(1, node.channels // (folding.pe or folding.out_lanes))
    return claims | {
        "latency_from": (int(accesses[0].last[0]) + 1) * words - 1,
        "latency_max": folding.latency + folding.cycles // folds,
    }


def _exact(design: Design, block: Block) -> dict[str, int]:
    """Latency of the first frame and longest interval by the timing model of the module."""
    alone = replace(
        design, blocks=(block,), inputs=tuple(stream for _, stream in block.inputs), outputs=block.outputs
    )
    cycles = predict_cycles(alone, FRAMES, log=HERE.parent / "sim_build" / "timing.log")
    return {"first_frame": cycles.latency, "interval": cycles.ii or 0}


def op_units(spec: OpSpec, seed: int) -> list[Unit]:
    """Units of all cases of an operation."""
    rng = np.random.default_rng(seed)
    units = (case_unit(case, rng) for case in spec.cases())
    return [unit for unit in units if unit is not None]


def top_source(units: Sequence[Unit]) -> str:
    """A module with every unit, streams prefixed with the unit's label."""
    ports = ["  input logic clk_i", "  input logic rst_ni"]
    body = []
    for unit in units:
        links = []
        for direction, reverse, streams in (
            ("input", "output", unit.inputs),
            ("output", "input", unit.outputs),
        ):
            for stream in streams:
                name = f"{unit.label}_{stream.prefix}"
                ports += [
                    f"  {direction} logic [{stream.width - 1}:0] {name}_tdata",
                    f"  {direction} logic {name}_tvalid",
                    f"  {reverse} logic {name}_tready",
                ]
                links += [f".{stream.prefix}_{s}({name}_{s})" for s in ("tdata", "tvalid", "tready")]
        values = ", ".join(
            f'.{key}("{value}")' if isinstance(value, str) else f".{key}({value})"
            for key, value in unit.parameters.items()
        )
        connections = unit.connections or ", ".join([".clk_i", ".rst_ni", *links])
        body += [unit.glue, f"  {unit.module} #({values}) u_{unit.label} ({connections});"]
    header = "// SPDX-License-Identifier: Apache-2.0\n"
    return "\n".join([f"{header}module {TOP} (", ",\n".join(ports), ");", *body, "endmodule", ""])


def write_units(units: Sequence[Unit], folder: Path) -> list[Path]:
    """Write generated modules, top module, memories and vectors of a bench; returns the source files."""
    (folder / "mem").mkdir(parents=True, exist_ok=True)
    for unit in units:
        for name, text in unit.memories.items():
            (folder / "mem" / name).write_text(text)
    vectors = {
        unit.label: {
            "stimulus": dict(unit.stimulus), "expected": dict(unit.expected), "formats": dict(unit.formats),
            "claims": dict(unit.claims),
        }
        for unit in units
    }  # fmt: skip
    (folder / "vectors.json").write_text(json.dumps(vectors))
    sources = {name: text for unit in units for name, text in unit.sources.items()}
    files = []
    for name, text in (sources | {TOP: top_source(units)}).items():
        files.append(folder / f"{name}.sv")
        if not files[-1].exists() or files[-1].read_text() != text:
            files[-1].write_text(text)
    return files


def simulate(bench: Bench, what: str, rerun: str) -> int:
    """Run a bench; a failure says what, where, and how to see it again."""
    try:
        return bench.run()
    except BenchError as error:
        lines = [f"{what}, {name}: {text}" for name, text in error.failures]
        raise VerificationError(
            "\n".join([*lines, f"seed {error.seed}"]), f"look at {error.wave}; run again: {rerun}"
        ) from error


def simulate_units(
    units: Sequence[Unit], modules: Sequence[str], name: str, folder: Path, seed: int, rerun: str
) -> int:
    """Build units into one simulator and play their vectors under every stall pattern."""
    work = folder / name
    files = write_units(units, work)
    bench = Bench(
        sources=[*(library_path(module) for module in modules), *files], top=TOP, module="rtl_tests.cocotb_units",
        build=work / "build", work=work, seed=seed, env={"HWF_VECTORS": str(work / "vectors.json")},
        build_args=["--no-timing"],
    )  # fmt: skip
    return simulate(bench, name, rerun)
