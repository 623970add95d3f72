# SPDX-License-Identifier: Apache-2.0
"""One layer of 64 inputs and 32 outputs in every number format, side by side.

Run as ``python -m benchmarks.formats [FOLDER]``: writes ``formats.json`` and ``formats.md`` to FOLDER (``reports``).
All layers are run in Verilator against the golden integers before they are counted.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from hwflow.cost.cycles import predict_cycles
from hwflow.emit.design import Block, build_design
from hwflow.emit.rtl import write_rtl
from hwflow.errors import VerificationError
from hwflow.formats import MiniFloat, parse
from hwflow.ir.graph import QuantGraph, QuantNode, QuantParam
from hwflow.numerics.codes import to_codes
from hwflow.numerics.fixed import Cast, FixedType
from hwflow.ops import casekit
from hwflow.ops.minifloat.cases import minifloat
from hwflow.ops.piecewise.functions import step_pieces
from hwflow.synth.modules import module_job, synthesize_module
from hwflow.tools.targets import TARGETS
from hwflow.tools.verilator import QUICK
from hwflow.verify.golden import run_golden
from hwflow.verify.rtlsim import RtlSimulator

INPUTS, OUTPUTS, REUSE = 64, 32, 32
X = FixedType(True, 8, 6)
FORMATS = (
    "fixed<8>", "fixed<6>", "fixed<5>", "fixed<4>", "auto<fixed<4>>", "auto_po2<fixed<4>>",
    "minifloat<4,3>", "minifloat<5,2>", "minifloat<3,2>", "pow2<-6,0>",
    "codebook<16>", "codebook<16,fixed<8>>", "codebook<256,fixed<8>>", "hybrid<16,minifloat<4,3>>",
    "ternary<0.33>", "binary",
)  # fmt: skip
SIGNS = "binary, activations ±1"
ACTIVATIONS = ("fixed<8,3>", "minifloat<4,3>", "minifloat<5,2>")
TARGET = TARGETS["xc7"]


@dataclass(frozen=True)
class Row:
    """One layer.

    ``memory_bits`` are those of the weights in the emitted memories, tables included; ``rate`` is how much fewer they
    are than 32-bit floats. Latency and interval are cycles a frame.
    """

    name: str
    weight_code: str
    error: float
    memory_bits: int
    rate: float
    lut: int
    ff: int
    dsp: int
    bram18: int
    latency: int
    interval: int


CODES = ("fixed point", "sign", "two bits", "exponent", "sign, compared", "index", "mini float")


def source() -> QuantNode:
    """The input of all layers."""
    return casekit.tensor((INPUTS,), X, "x")


def layer(name: str, label: str) -> tuple[list[QuantNode], float]:
    """The layer in a format, with what it needs before it, and the relative error of its weights."""
    rng = np.random.default_rng(1)
    values = rng.normal(0, 0.25, (INPUTS, OUTPUTS))
    text = "binary" if name == SIGNS else name
    scale = 0.25 if text in ("binary", "ternary<0.33>") else 1.0  # these have no range of their own
    form = parse(text).fit(values / scale)
    rounded = form.quantize(values / scale)
    grid = form.grid_of(rounded)
    params = {
        "weight": QuantParam(to_codes(rounded, grid), grid),
        "bias": casekit.random_param(rng, (OUTPUTS,), FixedType(True, 10, 9)),
    }
    nodes, before = [], "x"
    if name == SIGNS:
        pieces = step_pieces(((0.0, True),), (-1.0, 1.0))
        nodes.append(casekit.piecewise(source(), Cast.parse(pieces.result), pieces, "sign"))
        before = "sign"
    attrs, cast = {"weight_format": str(form)}, casekit.quantizer(8, 4)
    nodes.append(QuantNode(label, "dense", (before,), (OUTPUTS,), cast, attrs, params, REUSE))
    error = float(np.sqrt(np.square(rounded * scale - values).mean() / np.square(values).mean()))
    return nodes, error


def verify(graph: QuantGraph, folder: Path) -> None:
    """Run the RTL of all layers on some frames.

    Raises
    ------
    VerificationError
        When a code differs from the golden model.
    """
    codes = casekit.random_codes(np.random.default_rng(2), (50, INPUTS), X)
    design = build_design(graph)
    write_rtl(design, folder / "rtl")
    simulator = RtlSimulator(folder / "rtl", folder / "log")
    simulator.build(flags=QUICK)
    traced = simulator.trace({"x": codes})
    for label, expected in run_golden(graph, {"x": codes}).items():
        if not np.array_equal(traced[label].reshape(expected.shape), expected):
            raise VerificationError(f"the RTL of layer {label!r} differs from the golden codes")


def measure(name: str, nodes: list[QuantNode], error: float, folder: Path) -> Row:
    """One row."""
    label = nodes[-1].name
    design = build_design(QuantGraph("layer", (source(), *nodes), (label,)))
    block = next(b for b in design.blocks if b.node == label and "WeightCode" in b.parameters)
    cycles = predict_cycles(design, 3, log=folder / "timing.log")
    found = synthesize_module(module_job(block, design), TARGET, folder / "yosys.log").resources
    bits = memory_bits(block)
    code = CODES[int(block.parameters["WeightCode"])]
    return Row(
        name, code, round(error, 4), bits, round(32 * INPUTS * OUTPUTS / bits, 2), found.lut, found.ff, found.dsp,
        found.bram18 or 0, cycles.latency, cycles.ii or 0,
    )  # fmt: skip


def memory_bits(block: Block) -> int:
    """Bits of the weights and the table of a layer's unit."""
    at = {key: value for key, value in block.parameters.items() if isinstance(value, int)}
    pack = max(at["Pack"], 1)
    group = at.get("CodeW", at["WW"] + (pack - 1) * (at["WW"] + 1))
    table = (1 << at["CodeW"]) * at["WW"] if "TableFile" in block.parameters else 0
    return INPUTS * OUTPUTS // pack * group + table


def activation(text: str, folder: Path) -> Row:
    """One lane of an activation that rounds to a format."""
    x = casekit.tensor((1,), FixedType(True, 20, 12), "x")
    form = parse(text)
    if isinstance(form, MiniFloat):
        node = minifloat(x, form.exponent, form.mantissa)
    else:
        node = casekit.activation(x, casekit.quantizer(form.grid.width, form.grid.frac))
    design = build_design(QuantGraph("activation", (x, node), (node.name,)))
    block = next(block for block in design.blocks if block.node == "y")
    found = synthesize_module(module_job(block, design), TARGET, folder / "yosys.log").resources
    cycles = predict_cycles(design, 3, log=folder / "timing.log")
    width = design.graph.node("y").type.width
    return Row(text, f"{width} bits a value in streams", 0, form.code_bits, round(32 / form.code_bits, 2), found.lut,
               found.ff, found.dsp, found.bram18 or 0, cycles.latency, cycles.ii or 0)  # fmt: skip


def markdown(rows: list[Row], activations: list[Row]) -> str:
    """The report."""
    lines = [
        "# Number formats in hardware",
        "",
        f"A dense layer of {INPUTS} inputs and {OUTPUTS} outputs with reuse factor {REUSE} (64 products a cycle), with",
        "8-bit activations and normally distributed weights, written by `python -m benchmarks.formats`. Every row is",
        f"equal to its golden integers in Verilator. Cells after `{TARGET.command}`;",
        "memory bits as emitted, tables included; the rate is against 32-bit floats; the error is that of the weights,",
        "root mean square, relative. Latency and interval are cycles.",
        "",
        "| weights | stored as | error | memory bits | rate | LUT | FF | DSP | BRAM18 | latency | interval |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.name} | {r.weight_code} | {r.error:.1%} | {r.memory_bits:,} | {r.rate:g} | {r.lut:,} | {r.ff:,} "
        f"| {r.dsp} | {r.bram18} | {r.latency} | {r.interval} |"
        for r in rows
    ]  # fmt: skip
    lines += [
        "",
        "`fixed` leaves the choice of multipliers to `MultStyle: auto`; factors of at most four bits are multiplied by",
        "LUTs. `auto<…>` has real scales a channel, so that its weights are products of 4 and 16 bits in the hardware.",
        "`binary` and `ternary` carry one scale for the layer, a power of two.",
        "",
        "One lane of an activation on 20-bit sums:",
        "",
        "| activation | stream | LUT | FF | latency |",
        "|---|---|---:|---:|---:|",
    ]
    lines += [f"| {r.name} | {r.weight_code} | {r.lut:,} | {r.ff:,} | {r.latency} |" for r in activations]
    return "\n".join([*lines, ""])


def main(reports: Path) -> None:
    """Measure all formats and write the report."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        layers = {name: layer(name, f"y{number}") for number, name in enumerate((*FORMATS, SIGNS))}
        nodes = [node for made, _ in layers.values() for node in made]
        outputs = tuple(made[-1].name for made, _ in layers.values())
        verify(QuantGraph("formats", (source(), *nodes), outputs), folder)
        rows = [measure(name, made, error, folder) for name, (made, error) in layers.items()]
        activations = [activation(text, folder) for text in ACTIVATIONS]
    text = markdown(rows, activations)
    sys.stdout.write(text)
    data = {"layers": [asdict(row) for row in rows], "activations": [asdict(row) for row in activations]}
    (reports / "formats.json").write_text(json.dumps(data, indent=1) + "\n")
    (reports / "formats.md").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "reports"))
