# SPDX-License-Identifier: Apache-2.0
"""C of whole networks against the golden model: on this machine with real faces, and on a Cortex-M7 in QEMU.

Run as ``python -m benchmarks.mcu [FOLDER]``: writes ``reports/mcu-emission.json`` and ``.md``. Takes minutes.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import yaml

from hwflow.cli.run import execute
from hwflow.config.load import load_config
from hwflow.cost import mcu_kernels
from hwflow.flow.data import load_faces
from hwflow.ir.graph import QuantGraph
from hwflow.ir.serialize import load_graph
from hwflow.mcu.emit import Golden, emit, sizes
from hwflow.mcu.host import HostModel
from hwflow.mcu.lower import lower
from hwflow.numerics.codes import to_codes
from hwflow.numerics.fixed import Codes
from hwflow.ops.casekit import random_codes
from hwflow.tools import arm, qemu
from hwflow.verify.golden import run_golden

CONFIGS = Path("hls_configs")
FACES, QEMU_FRAMES = 20, 2
_log = logging.getLogger("hwflow.benchmarks.mcu")


@dataclass(frozen=True)
class Result:
    """One network: what was compared, what was predicted, what was measured."""

    network: str
    weight_bits: str
    frames: str
    host_frames: int
    host_differing: int
    host_seconds_a_frame: float
    qemu_frames: int
    qemu_differing: int
    instructions: int
    instructions_predicted: int
    macs: int
    flash: int
    flash_predicted: int
    ram: int
    ram_predicted: int
    arena_bound: int
    stack: int


def mixed_config(folder: Path) -> Path:
    """MobileFaceNet with weights of 8, 4 and 2 bits: expansions 4, projections of every third block 2."""
    content = yaml.safe_load((CONFIGS / "mobilefacenet-w8a8.yaml").read_text())
    layers = {f"block{n}_expand": {"WeightBits": 4} for n in range(1, 16)}
    layers |= {f"block{n}_project": {"WeightBits": 2} for n in range(3, 16, 3)}
    content["Hwflow"]["Model"]["Prepare"]["Layers"] = layers
    content["Hwflow"]["Budget"] = {}
    content["ProjectName"] = "mobilefacenet_mixed"
    path = folder / "mobilefacenet-mixed.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def networks(folder: Path) -> Iterator[tuple[str, QuantGraph, dict[str, Codes], str]]:
    """Graphs with the frames they are compared on."""
    rng = np.random.default_rng(1)
    for path in (
        CONFIGS / "jet-mlp.yaml",
        CONFIGS / "mobilefacenet-tiny.yaml",
        CONFIGS / "mobilefacenet-w8a8.yaml",
        mixed_config(folder),
    ):
        config = load_config(path)
        run = folder / path.stem
        execute(path, run, last="convert")
        graph = load_graph(run / "graph")
        (name,) = graph.inputs
        node = graph.node(name)
        if config.Hwflow.Data.Kind == "orl":
            faces = load_faces(config.Hwflow.Data, "evaluation")
            chosen = np.linspace(0, len(faces.frames) - 1, FACES).round().astype(int)
            yield path.stem, graph, {name: to_codes(faces.frames[chosen], node.type)}, "ORL faces"
        else:
            yield path.stem, graph, {name: random_codes(rng, (FACES, *node.shape), node.type)}, "random"


def measure(name: str, graph: QuantGraph, data: dict[str, Codes], frames: str, folder: Path) -> Result:
    """Emit, compile and compare one network."""
    program = lower(graph)
    golden = run_golden(graph, data)
    model = HostModel.build(program, folder / "host")
    start = time.monotonic()
    got = model.run(data)
    seconds = (time.monotonic() - start) / FACES
    wrong = [
        frame
        for frame in range(FACES)
        if any(not np.array_equal(got[node][frame], golden[node][frame]) for node in golden)
    ]
    board = folder / "board"
    few = [{node: codes[:QEMU_FRAMES] for node, codes in part.items()} for part in (data, golden)]
    emit(program, board, Golden(*few), name="network")
    check = qemu.run_check(board)["network"]
    app = arm.build(board, "app.elf")
    elf, stack = arm.elf_sizes(app), qemu.deepest_stack(app, mcu_kernels.stack_bytes(program))
    bits = sorted(
        {node.params["weight"].type.width for node in graph if "weight" in node.params}, reverse=True
    )
    return Result(
        network=name,
        weight_bits="/".join(map(str, bits)),
        frames=frames,
        host_frames=FACES,
        host_differing=len(wrong),
        host_seconds_a_frame=float(f"{seconds:.3g}"),
        qemu_frames=check.frames,
        qemu_differing=check.differing,
        instructions=check.instructions,
        instructions_predicted=mcu_kernels.instructions(program),
        macs=program.macs,
        flash=elf.flash,
        flash_predicted=mcu_kernels.flash_bytes(program),
        ram=elf.ram + stack,
        ram_predicted=sizes(program).arena + mcu_kernels.stack_bytes(program),
        arena_bound=program.plan.bound,
        stack=stack,
    )


def report(results: list[Result]) -> str:
    """Markdown of the results."""
    lines = [
        "# C for microcontrollers: bit-exactness and sizes",
        "",
        "Made by `python -m benchmarks.mcu`. Every output code of every frame is compared with the golden model, on",
        "this machine and on QEMU's Cortex-M7 (board MPS2 AN500, DSP instructions). Flash and RAM are read from the",
        "ELF (RAM: static data, and the stack pointer at its deepest); instructions are those of one frame",
        "(`-icount`, to 40). Times on this machine depend on what else it does.",
        "",
        f"Compiler: {mcu_kernels.table()['compiler']}",
        "",
        "| network | weights, bits | frames | host: differing | QEMU: differing | host, ms a frame |",
        "|---|---|---|---:|---:|---:|",
    ]
    lines += [
        f"| {r.network} | {r.weight_bits} | {r.host_frames} {r.frames} | {r.host_differing} of {r.host_frames} "
        f"| {r.qemu_differing} of {r.qemu_frames} | {1e3 * r.host_seconds_a_frame:.3g} |"
        for r in results
    ]
    lines += [
        "",
        "| network | flash, bytes | predicted | error | RAM, bytes | predicted | error | arena: bound reached |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for r in results:
        flash, ram = r.flash_predicted / r.flash - 1, r.ram_predicted / r.ram - 1
        lines.append(
            f"| {r.network} | {r.flash:,} | {r.flash_predicted:,} | {100 * flash:+.2f} % "
            f"| {r.ram:,} | {r.ram_predicted:,} | {100 * ram:+.2f} % "
            f"| {'yes' if r.ram - r.stack == r.arena_bound else 'no'} |"
        )
    lines += [
        "",
        "| network | MACs | instructions | a MAC | predicted | error |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.network} | {r.macs:,} | {r.instructions:,} | {r.instructions / r.macs:.2f} "
        f"| {r.instructions_predicted:,} | {100 * (r.instructions_predicted / r.instructions - 1):+.1f} % |"
        for r in results
    ]
    return "\n".join([*lines, ""])


def main() -> int:
    """Measure all networks; exit code 3 when a code differs."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/mcu")
    folder.mkdir(parents=True, exist_ok=True)
    results = []
    for name, graph, data, frames in networks(folder):
        results.append(measure(name, graph, data, frames, folder / f"{name}-c"))
        _log.info("%s", results[-1])
    out = Path("reports")
    (out / "mcu-emission.json").write_text(
        json.dumps([asdict(result) for result in results], indent=1) + "\n"
    )
    (out / "mcu-emission.md").write_text(report(results))
    return 3 if any(result.host_differing or result.qemu_differing for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
