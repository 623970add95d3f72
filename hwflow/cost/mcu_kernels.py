# SPDX-License-Identifier: Apache-2.0
"""Flash, stack and instructions of the emitted kernels on a Cortex-M7: a table, and what it says of a network.

The table comes from the ELF of a network that holds every kernel (function sizes, call graph, stack usage as the
compiler tells them) and from instruction counts of one-layer networks on QEMU, to which a linear model is fitted.
:func:`calibrate` makes it anew.
"""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hwflow.errors import InternalError
from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.mcu.emit import Golden, emit_all, functions, identifier, sizes
from hwflow.mcu.lower import Layer, Program, lower, reasons
from hwflow.numerics.fixed import Cast, FixedType
from hwflow.ops import casekit
from hwflow.ops.base import Window
from hwflow.ops.registry import ops
from hwflow.tools.arm import REMEDY, build, elf_sizes, symbol_sizes
from hwflow.tools.paths import package_dir
from hwflow.tools.qemu import deepest_stack, run_check
from hwflow.tools.runner import find_tool
from hwflow.verify.golden import run_golden

TABLE = package_dir() / "cost" / "data" / "mcu_kernels.yaml"
_WIDE = "in_64_bits"


@cache
def table() -> dict[str, Any]:
    """The committed table."""
    found: dict[str, Any] = yaml.safe_load(TABLE.read_text())
    return found


def code_bytes(program: Program) -> int:
    """Bytes of code that a network needs: its kernels and stages, all they call, start-up and the loop."""
    known = table()["functions"]
    needed: set[str] = set()
    pending = functions(program)
    while pending:
        name = pending.pop()
        if name in needed:
            continue
        if name not in known:
            raise InternalError(f"{TABLE.name} lacks {name}; calibrate it anew")
        needed.add(name)
        pending += [*known[name].get("calls", []), *known[name].get("jumps", [])]
    code = sum(-(-int(known[name]["bytes"]) // 4) * 4 for name in needed)
    return code + int(table()["base_bytes"])


def flash_bytes(program: Program) -> int:
    """Flash of a network with its start-up code."""
    return sizes(program).constants + code_bytes(program)


def stack_bytes(program: Program) -> int:
    """Stack at its deepest."""
    known = table()["functions"]
    return max((_deepest(program, layer, known) for layer in program.layers), default=0) + int(
        table()["base_stack"]
    )


def _deepest(program: Program, layer: Layer, known: Mapping[str, Any]) -> int:
    """Stack of a layer: frames along its deepest chain of calls."""
    stages = {f"{stage.function}_{layer.bits}" for stage in layer.stages}
    packed = program.tensors[layer.source].storage.bits < 8

    def deep(name: str) -> int:
        called = set(known[name].get("calls", []))
        if name.startswith("hwf_finish"):
            called |= stages
        if name.startswith("hwf_gather") and not packed:  # it unpacks through hwf_load
            called = {one for one in called if not one.startswith("hwf_load")}
        own = int(known[name].get("stack", 0)) + max(map(deep, called), default=0)
        return max([own, *map(deep, known[name].get("jumps", []))])  # a jump at the end leaves no frame

    return deep(layer.kernel.function)


def instructions(program: Program) -> int:
    """Instructions of one frame."""
    costs = table()["instructions"]
    return round(
        sum(
            sum(costs.get(key, 0.0) * value for key, value in work(program, layer))
            for layer in program.layers
        )
    )


def work(program: Program, layer: Layer) -> list[tuple[str, float]]:
    """What a layer does, as (what, how often): the terms of the instruction model."""
    kernel, window = layer.kernel, layer.kernel.window
    pixels, channels = window.out_h * window.out_w, layer.shape[-1]
    outputs = pixels * channels
    name = kernel.function
    terms: list[tuple[str, float]]
    if name.startswith("hwf_conv2d_w"):
        # Pixels come in pairs; the last of an odd number goes alone. Padding of a row's last word counts.
        macs = len(kernel.weights) * 8 // int(name[-1])
        terms = [(f"{name}.mac_paired", macs * (pixels // 2 * 2)), (f"{name}.mac_alone", macs * (pixels % 2))]
        terms += [("hwf_conv2d.output", outputs)]
    elif name.startswith("hwf_depthwise_w"):
        # Whole 3x3 windows are unrolled.
        inside = _inside(window) if (window.kernel_h, window.kernel_w) == (3, 3) else 0
        macs = kernel.macs // pixels
        terms = [(f"{name}.mac_inside", macs * inside), (f"{name}.mac", macs * (pixels - inside))]
        terms += [("hwf_depthwise.output", outputs)]
    else:
        terms = [(f"{name}.mac", kernel.macs), (f"{name}.output", outputs)]
    source = program.tensors[layer.source].storage
    if "conv2d" in name:
        column = window.kernel_h * window.kernel_w * kernel.channels
        lines = (
            window.kernel_h
            if source.row_bytes(kernel.channels) * 8 == kernel.channels * source.bits
            else (window.kernel_h * window.kernel_w)
        )
        terms += [(f"gather.{_kind(source.bits)}.element", float(pixels * column))]
        terms += [("gather.line", float(pixels * lines))]
    elif name.startswith("hwf_elementwise"):
        terms += [(f"load.{_kind(source.bits)}.element", float(outputs))]
    terms += [(f"{name.rstrip('0123456789')}.pixel", float(pixels)), ("layer", 1.0)]
    target = program.tensors[layer.name].storage
    terms += [(f"store.{_kind(target.bits)}.element", float(outputs))]
    for stage in layer.stages:
        kind = stage.function
        if (
            kind == "hwf_cast"
            and stage.rounding == "RND_CONV"
            and stage.overflow == "SAT"
            and stage.shift > 0
        ):
            kind += "_fast"
        terms += [
            (f"{kind}_{layer.bits}.element", float(outputs)),
            (f"{kind}_{layer.bits}.row", float(pixels)),
        ]
    return terms


def _inside(window: Window) -> int:
    """Output pixels whose window lies in the frame."""
    rows = np.arange(window.out_h) * window.stride_h - window.pad_top
    cols = np.arange(window.out_w) * window.stride_w - window.pad_left
    down = (rows >= 0) & (rows + window.kernel_h <= window.in_h)
    across = (cols >= 0) & (cols + window.kernel_w <= window.in_w)
    return int(down.sum()) * int(across.sum())


def _kind(bits: int) -> str:
    return "packed" if bits < 8 else "byte" if bits == 8 else "word"


# ------------------------------------------------------------------------------------------ calibration


def calibrate(folder: Path, path: Path = TABLE) -> dict[str, Any]:
    """Measure kernels with the Arm compiler and QEMU, fit the instruction model, write the table.

    Parameters
    ----------
    folder : pathlib.Path
        Scratch folder.
    path : pathlib.Path
        Table to write.
    """
    everything = {
        identifier(f"{name}_{case.name}"): casekit.case_graph(case)
        for name, spec in ops().items()
        if name != "input"
        for case in spec.cases()
        if not reasons(case.node)
    }
    # Every operation in 64 bits, too: which ones a network needs so depends on its weights.
    graphs = everything | _sweep() | {f"{name}_{_WIDE}": graph for name, graph in everything.items()}
    programs = {name: lower(graph, wide=name.endswith(_WIDE)) for name, graph in graphs.items()}
    checks: dict[str, tuple[Program, Golden | None]] = {}
    for name, program in programs.items():
        graph = graphs[name]
        rng = np.random.default_rng(5)
        data = {
            node: casekit.random_codes(rng, (1, *graph.node(node).shape), graph.node(node).type)
            for node in graph.inputs
        }
        checks[name] = (program, Golden(data, run_golden(graph, data)))
    emit_all(checks, folder)
    run = run_check(folder)
    if wrong := [name for name, result in run.items() if result.differing]:
        raise InternalError(f"kernels differ from the golden model: {', '.join(wrong)}")
    counts = {name: result.instructions for name, result in run.items() if programs[name].layers}
    app, chain = folder / "app", lower(_chain())
    emit_all({"chain": (chain, None)}, app)
    known = _functions(folder)
    found = {
        "compiler": _text(["arm-none-eabi-gcc", "--version"]).splitlines()[0],
        "functions": known,
        "base_bytes": _base_bytes(app, chain),
        "base_stack": deepest_stack(app / "app.elf")
        - max(_deepest(chain, layer, known) for layer in chain.layers),
        "instructions": _fit({name: programs[name] for name in counts}, counts),
    }
    header = "# Bytes of flash and stack, and instructions; made by hwflow.cost.mcu_kernels.calibrate.\n"
    path.write_text(f"# SPDX-License-Identifier: Apache-2.0\n{header}{yaml.safe_dump(found, sort_keys=True)}")
    table.cache_clear()
    return found


def _text(argv: list[str | Path]) -> str:
    words = [find_tool(str(argv[0]), REMEDY), *argv[1:]]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def _functions(folder: Path) -> dict[str, dict[str, Any]]:
    """Size, callees and stack of every function of an emitted check."""
    listing = _text(["arm-none-eabi-objdump", "-d", folder / "check.elf"])
    calls: dict[str, set[str]] = {}
    jumps: dict[str, set[str]] = {}
    frames: dict[str, int] = {}
    name, starts = "", {}
    for line in listing.splitlines():
        if start := re.match(r"^([0-9a-f]+) <([\w.]+)>:$", line):
            name = start.group(2)
            starts[name] = int(start.group(1), 16)
            calls[name], jumps[name], frames[name] = set(), set(), 0
        elif saved := re.search(r"\s(?:push|stmdb\s+sp!,)\s+\{(.*)\}", line):
            frames[name] += 4 * len(saved.group(1).split(","))
        elif taken := re.search(r"\s(?:sub\s+sp, #|strd?\s.*\[sp, #-)(\d+)\b", line):
            frames[name] += int(taken.group(1))
        elif branch := re.search(r"\sb(l?)(?:\.w|\.n)?\s+[0-9a-f]+ <([\w.]+)>$", line):
            if branch.group(2) != name:
                (calls if branch.group(1) else jumps)[name].add(branch.group(2))
    stack = frames | _stack_usage(folder)  # as the code itself tells it of the compiler's own functions
    # Some of those have no size: they reach to the next one.
    by_place = sorted(starts, key=starts.__getitem__)
    bytes_ = {name: starts[after] - starts[name] for name, after in pairwise(by_place)}
    bytes_ |= symbol_sizes(folder / "check.elf")
    wanted: set[str] = set()
    pending = [name for name in calls if name.startswith("hwf_")]
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted.add(name)
            pending += calls[name] | jumps[name]
    return {
        name: {
            "bytes": bytes_[name],
            **({"calls": sorted(calls[name])} if calls[name] else {}),
            **({"jumps": sorted(jumps[name])} if jumps[name] else {}),
            **({"stack": stack[name]} if stack.get(name) else {}),
        }
        for name in sorted(wanted)
    }


def _stack_usage(folder: Path) -> dict[str, int]:
    """Stack of each function, as the compiler tells it."""
    makefile = (folder / "Makefile").read_text()
    flags = re.search(r"ARM_FLAGS := (.*?)\n(?!\s)", makefile, re.DOTALL)
    assert flags is not None
    words = flags.group(1).replace("\\\n", " ").split()
    found: dict[str, int] = {}
    for file in sorted(folder.glob("hwf_*.c")):
        output = folder / f"{file.stem}.o"
        argv = ["arm-none-eabi-gcc", *words, "-fstack-usage", "-c", file.name, "-o", output.name]
        argv[0] = str(find_tool(argv[0], REMEDY))
        subprocess.run(argv, check=True, cwd=folder, capture_output=True)
        for line in output.with_suffix(".su").read_text().splitlines():
            where, used, _ = line.split("\t")
            found[where.rsplit(":", 1)[1]] = int(used)
    return found


def _base_bytes(folder: Path, program: Program) -> int:
    """Flash that every network pays besides its kernels: start-up and the loop over the layers."""
    elf = build(folder, "app.elf")
    kernels = sum(
        -(-size // 4) * 4 for name, size in symbol_sizes(elf).items() if name.startswith(("hwf_", "mem"))
    )
    return elf_sizes(elf).flash - sizes(program).constants - kernels


def _chain() -> QuantGraph:
    """A network with enough layers that the loop over them is one."""
    rng, nodes = np.random.default_rng(2), [casekit.tensor((2, 2, 8), casekit.grid(8, 4))]
    for number in range(6):
        attrs = casekit.window_attrs(nodes[-1], 1)
        weight, bias = casekit.grid(8, 6), casekit.grid(9, 6)
        cast = casekit.quantizer(8, 4)
        nodes.append(
            casekit.conv2d(
                rng, nodes[-1], 8, attrs, cast, weight=weight, bias=bias, reuse=1, name=f"layer{number}"
            )
        )
    return QuantGraph("chain", tuple(nodes), (nodes[-1].name,))


def _sweep() -> dict[str, QuantGraph]:
    """One-layer networks over which the instruction model is fitted."""
    rng = np.random.default_rng(2)
    found: dict[str, QuantGraph] = {}
    fast = casekit.quantizer(8, 2)
    exact = Cast(casekit.grid(40, 30))
    x8 = casekit.grid(8, 4)

    def keep(name: str, *nodes: QuantNode) -> None:
        found[identifier(f"sweep_{name}")] = QuantGraph("sweep", nodes, (nodes[-1].name,))

    def weights(bits: int) -> FixedType:
        return casekit.grid(bits, 1, signed=bits > 1)

    for bits in (8, 4, 2, 1):
        weight = weights(bits)
        bias = casekit.grid(9, 5)
        shapes = (
            (4, 4, 16, 24),
            (2, 4, 64, 48),
            (6, 6, 8, 8),
            (1, 1, 96, 64),
            (1, 1, 32, 200),
            (3, 3, 40, 12),
        )
        for h, w, n_in, n_out in shapes:
            for kernel in (1, 3):
                x = casekit.tensor((h, w, n_in), x8)
                attrs = casekit.window_attrs(x, kernel)
                node = casekit.conv2d(rng, x, n_out, attrs, fast, weight=weight, bias=bias, reuse=1)
                keep(f"conv_w{bits}_{h}_{n_in}_{n_out}_{kernel}", x, node)
        for h, w, n, kernel in ((6, 6, 16, 3), (10, 8, 8, 3), (4, 4, 64, 4), (5, 5, 24, 5), (12, 12, 4, 3)):
            x = casekit.tensor((h, w, n), x8)
            node = casekit.depthwise_conv2d(
                rng, x, casekit.window_attrs(x, kernel), fast, weight=weight, bias=bias, reuse=1
            )
            keep(f"depthwise_w{bits}_{h}_{n}_{kernel}", x, node)
    for h, n in ((4, 8), (6, 32), (3, 100)):
        x = casekit.tensor((h, h, n), x8)
        other = casekit.tensor((h, h, n), x8, "x1")
        keep(f"copy_{h}", x, casekit.activation(x, Cast(casekit.grid(9, 4))))
        keep(f"cast_{h}", x, casekit.activation(x, fast))
        keep(f"wrap_{h}", x, casekit.activation(x, Cast(casekit.grid(5, 2))))
        keep(f"relu_{h}", x, casekit.activation(x, Cast(casekit.grid(8, 4)), "relu"))
        keep(f"add_{h}", x, other, casekit.add(x, other, Cast(casekit.grid(9, 4))))
        keep(f"prelu_{h}", x, casekit.prelu(rng, x, Cast(casekit.grid(17, 10)), casekit.grid(8, 6)))
        keep(f"wide_{h}", x, casekit.activation(x, exact))
        for bits in (4, 1):
            low = casekit.activation(
                x, Cast(casekit.grid(bits, 1, signed=bits > 1), overflow=fast.overflow), name="low"
            )
            point = casekit.conv2d(
                rng,
                low,
                8,
                casekit.window_attrs(low, 1),
                fast,
                weight=weights(bits),
                bias=casekit.grid(6, 2),
                reuse=1,
            )
            keep(f"packed{bits}_{h}", x, low, point)
    x = casekit.tensor((4, 4, 16), x8)
    for n in (32, 64, 128):
        ones = casekit.conv2d(
            rng, x, n, casekit.window_attrs(x, 1), Cast(casekit.grid(1, 0, signed=False), overflow=fast.overflow),
            weight=weights(8), bias=casekit.grid(9, 5), reuse=1, name="ones",
        )  # fmt: skip
        for kernel in (1, 3):
            node = casekit.conv2d(
                rng, ones, 24, casekit.window_attrs(ones, kernel), Cast(casekit.grid(12, 0)),
                weight=weights(1), bias=casekit.grid(6, 0), reuse=1,
            )  # fmt: skip
            keep(f"popcount_{n}_{kernel}", x, ones, node)
    return found


def _fit(programs: Mapping[str, Program], counts: Mapping[str, int]) -> dict[str, float]:
    """Non-negative least squares of relative errors (dropping negative terms one by one)."""
    rows = {
        name: _merged(term for layer in p.layers for term in work(p, layer)) for name, p in programs.items()
    }
    keys = sorted({key for row in rows.values() for key, value in row.items() if value})
    matrix = np.array([[rows[name].get(key, 0.0) / counts[name] for key in keys] for name in rows])
    active = list(range(len(keys)))
    while True:
        part = matrix[:, active]
        scale = np.abs(part).max(axis=0)
        # A little ridge keeps terms apart that the sweep cannot tell apart.
        ridge = 1e-3 * np.eye(len(active))
        solution = np.linalg.lstsq(
            np.vstack([part / scale, ridge]),
            np.concatenate([np.ones(len(rows)), np.zeros(len(active))]),
            rcond=None,
        )[0]
        if (solution >= 0).all():
            break
        active.pop(int(np.argmin(solution)))
    costs = dict.fromkeys(keys, 0.0)
    costs |= {keys[i]: float(f"{value / s:.4g}") for i, value, s in zip(active, solution, scale, strict=True)}
    return costs


def _merged(terms: Iterable[tuple[str, float]]) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for key, value in terms:
        found[key] += value
    return found
