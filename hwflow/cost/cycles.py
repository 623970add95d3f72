# SPDX-License-Identifier: Apache-2.0
"""Latency and initiation interval of a design before it is simulated, cycle for cycle.

The control of an accelerator does not depend on its data. A small compiled program moves the handshakes of all its
modules cycle by cycle (``hwflow/cost/timing``, and a ``.timing.h`` beside each SystemVerilog module); it knows no
data and leaves out frames once they repeat, so that a whole network takes seconds. The result is what simulation
of the RTL measures with a source that always offers and a sink that always takes.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hwflow.emit.design import Block, Design
from hwflow.tools.paths import cache_dir, package_dir
from hwflow.tools.runner import find_tool, run_tool

_FLAGS = ("-O3", "-std=c++17")
_REMEDY = "install g++ (Debian: apt-get install g++)"
_STAGES = re.compile(r"localparam int unsigned Stages = (\d+)")
_WINDOW = re.compile(r"hwf_window_parallel #\((?P<values>[^;]*?)\) u_window")
_VALUE = re.compile(r"\.(\w+)\((-?\d+)\)")


@dataclass(frozen=True, slots=True)
class Cycles:
    """What a design will take.

    Parameters
    ----------
    latency : int
        From the first input beat of a frame to its last output beat, empty accelerator, cycles.
    ii : int or None
        Longest distance between the ends of consecutive frames, cycles; None for a single frame.
    fill : mapping of str to int
        Most beats that wait in each FIFO, by the label of its instance.
    """

    latency: int
    ii: int | None
    fill: Mapping[str, int]


def predict_cycles(design: Design, frames: int, *, log: Path) -> Cycles:
    """Latency and initiation interval of a run of consecutive frames.

    Parameters
    ----------
    design : Design
        The accelerator.
    frames : int
        Frames that follow one another, as many as are simulated.
    log : pathlib.Path
        Where the compiler's output goes.

    Raises
    ------
    ToolNotFoundError
        Without g++.
    ToolError
        When the model cannot be compiled, or deadlocks.
    """
    engine = _engine(log)
    with tempfile.TemporaryDirectory(prefix="hwflow-cycles-") as scratch:
        netlist, result = Path(scratch) / "netlist", Path(scratch) / "result.json"
        netlist.write_text("".join(f"{line}\n" for line in _netlist(design)))
        run_tool([engine, netlist, str(frames), result], log=log, tool="timing model")
        data = json.loads(result.read_text())
    return Cycles(data["latency_cycles"], data["ii_cycles"], data["fill"])


def _engine(log: Path) -> Path:
    """The compiled program, from the cache where its sources are unchanged."""
    compiler = find_tool("g++", _REMEDY)
    folder = package_dir() / "cost" / "timing"
    headers = sorted(package_dir().rglob("*.timing.h"))
    total = hashlib.sha256(f"{compiler} {_FLAGS}".encode())
    for path in [*sorted(folder.iterdir()), *headers]:
        total.update(f"{path.name}\0".encode() + path.read_bytes())
    program = cache_dir("timing") / f"engine-{total.hexdigest()[:32]}"
    if not program.exists():
        includes = [f"-I{parent}" for parent in sorted({folder, *(path.parent for path in headers)})]
        with tempfile.TemporaryDirectory(dir=program.parent) as scratch:
            part = Path(scratch) / "engine"
            argv: list[str | Path] = [compiler, *_FLAGS, *includes, folder / "engine.cpp", "-o", part]
            run_tool(argv, log=log, tool="g++")
            part.replace(program)
    return program


def _netlist(design: Design) -> Iterator[str]:
    """The design as the program reads it."""
    graph = design.graph
    for side, names, streams in (
        ("input", graph.inputs, design.inputs),
        ("output", graph.outputs, design.outputs),
    ):
        for name, stream in zip(names, streams, strict=True):
            node = graph.node(name)
            yield f"{side} {stream.name} {node.pixels * node.channels // stream.lanes}"
    for block in design.blocks:
        kind, parameters = _timed(block, design)
        values = " ".join(f"{key}={value}" for key, value in parameters.items())
        sources = " ".join(stream.name for _, stream in block.inputs)
        sinks = " ".join(stream.name for stream in block.outputs)
        yield f"module {kind} {block.label} {values} < {sources} > {sinks}"


def _timed(block: Block, design: Design) -> tuple[str, dict[str, int]]:
    """Kind and parameters of a block; those of a generated adder graph stand in its source."""
    parameters = {key: value for key, value in block.parameters.items() if isinstance(value, int)}
    source = design.sources.get(block.module)
    if source is None:
        return block.module, parameters
    found = _STAGES.search(source)
    assert found, "every generated module names its stages"
    window = _WINDOW.search(source)
    geometry = {key: int(value) for key, value in _VALUE.findall(window["values"])} if window else {}
    return "hwf_da", geometry | {"Stages": int(found[1]) + parameters["OutReg"]}
