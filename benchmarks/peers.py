# SPDX-License-Identifier: Apache-2.0
"""hwflow beside da4ml and NNgen: the same weights, one run, the same Yosys command.

Run as ``python -m benchmarks.peers [FOLDER [PYTHON]]``: writes ``FOLDER/peers.json`` and ``peers.md`` (``reports`` by
default). The peers are the optional extra ``peers``, best in an environment of their own, whose interpreter is PYTHON;
NNgen's cycles come from Icarus Verilog. Takes about half an hour.
"""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.mvu import PEER, PEER_UNIT, UNITS
from hwflow.backend.backend import XILINX_7
from hwflow.backend.writer import RTL_FOLDER
from hwflow.errors import ToolError, UserError
from hwflow.ir.graph import QuantGraph
from hwflow.ir.serialize import load_graph
from hwflow.numerics.codes import from_codes
from hwflow.numerics.fixed import Cast, Codes
from hwflow.ops.casekit import random_codes
from hwflow.tools.runner import run_tool
from hwflow.tools.targets import target
from hwflow.tools.versions import package_version
from hwflow.tools.yosys import read_cells, run_yosys
from hwflow.verify.rtlsim import RtlSimulator

HERE = Path(__file__).resolve().parent
FRAMES = 8
_log = logging.getLogger("hwflow.benchmarks.peers")


@dataclass(frozen=True)
class Row:
    """A design made by one tool.

    Parameters
    ----------
    design, tool, version : str
        What was built, by what.
    latency, ii : int or None
        Cycles, simulated or by construction.
    lut, ff, dsp, bram18 : int or None
        Cells that Yosys maps to; LUTs used as memory and shift registers are counted, block RAM in 18 Kb.
    note : str
        Why figures are missing, or what to know about them.
    """

    design: str
    tool: str
    version: str
    latency: int | None = None
    ii: int | None = None
    lut: int | None = None
    ff: int | None = None
    dsp: int | None = None
    bram18: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Design:
    """A network for all tools.

    Parameters
    ----------
    name : str
        Short name.
    model : callable
        Makes the Keras model.
    input_type : Cast
        Grid of its input.
    hls_config : mapping
        hwflow's configuration.
    peers : tuple of str
        Tools that build it, too.
    """

    name: str
    model: Callable[[], Any]
    input_type: Cast
    hls_config: Mapping[str, Any]
    peers: tuple[str, ...]


def jet() -> Any:
    """The jet-tagging perceptron."""
    from hwflow.models.jet_mlp import jet_mlp

    return jet_mlp(1)


def cnn() -> Any:
    """16 x 16 x 3, two 3 x 3 convolutions of 16 filters, 10 outputs; 8-bit weights, non-negative 8-bit codes."""
    from qkeras import QActivation, QConv2D, QDense, quantized_bits, quantized_relu
    from tensorflow.keras import Input, Model, layers

    from hwflow.models.seeding import seed_weights

    bits = {
        "kernel_quantizer": quantized_bits(8, 0, alpha=1),
        "bias_quantizer": quantized_bits(8, 0, alpha=1),
    }
    x = inputs = Input((16, 16, 3), name="pixels")
    for number in (1, 2):
        x = QConv2D(16, 3, padding="same", name=f"conv{number}", **bits)(x)
        x = QActivation(quantized_relu(7, 2), name=f"relu{number}")(x)
    x = QDense(10, name="dense", **bits)(layers.Flatten(name="flat")(x))
    return seed_weights(Model(inputs, x, name="cnn"), 1)


DESIGNS = (
    Design(
        "jet MLP 16-64-32-32-5, 6 bit",
        jet,
        Cast.parse("ap_fixed<8,4>"),
        {"Model": {"Precision": "ap_fixed<16,6>", "ReuseFactor": 1, "Strategy": "distributed_arithmetic"}},
        ("da4ml",),
    ),
    Design(
        "CNN 16x16x3, 2 conv 3x3x16, dense 10, int8",
        cnn,
        Cast.parse("ap_fixed<8,1>"),
        {
            "Model": {"Precision": "ap_fixed<16,6>", "ReuseFactor": 9, "Strategy": "Resource"},
            "LayerName": {"dense": {"ReuseFactor": 2048}},
        },
        ("nngen",),
    ),
)


def identifier(design: Design) -> str:
    """Name of its top module."""
    return design.model.__name__


def hwflow_row(design: Design, work: Path) -> tuple[Row, QuantGraph]:
    """Convert, compile, predict, compare with hls4ml's C++, synthesize: what a user of the backend does."""
    from hwflow.frontends.keras_hls4ml import convert

    model, name = design.model(), identifier(design)
    folder = work / name
    rtl, cpp = (
        convert(
            model, backend=backend, hls_config=design.hls_config, input_type=design.input_type, io_type="io_stream",
            clock_period=5, part="xc7z045ffg900-2", project_name=name, output_dir=output,
        )
        for backend, output in (("Hwflow", folder), ("Vitis", work / f"{name}_cpp"))
    )  # fmt: skip
    rtl.compile()
    codes = random_codes(np.random.default_rng(2), (FRAMES, *model.input_shape[1:]), design.input_type.type)
    frames = from_codes(codes, design.input_type.type).astype(np.float32)
    cpp.compile()
    if not np.array_equal(rtl.predict(frames), cpp.predict(frames)):
        raise UserError(f"{design.name}: RTL and C++ differ; the comparison would be of something else")
    timing = RtlSimulator(folder / RTL_FOLDER, folder / "logs" / "verilator.log").run(codes)
    cells = target("xc7").resources(rtl.build()["cells"])
    note = f"equal to hls4ml's C++ on {FRAMES} frames"
    row = Row(
        design.name, "hwflow", package_version("hwflow") or "", timing.latency_cycles, timing.ii_cycles,
        cells.lut, cells.ff, cells.dsp, cells.bram18, note,
    )  # fmt: skip
    return row, load_graph(folder)


def export(design: Design, graph: QuantGraph, path: Path) -> None:
    """The integers of a network, for scripts that know nothing of hwflow."""
    weighted = [node for node in graph if "weight" in node.params]
    source = graph.node(graph.inputs[0])
    arrays: dict[str, Any] = {
        "name": identifier(design),
        "input_shape": source.shape,
        "input_type": source.type.to_json(),
        "kinds": ["conv" if node.op == "conv2d" else "dense" for node in weighted],
        "frame": random_codes(np.random.default_rng(3), source.shape, source.type),
    }
    frac = source.type.frac
    readers = graph.consumers()
    for number, node in enumerate(weighted):
        weight, bias = node.params["weight"], node.params["bias"]
        after = next((graph.node(r) for r, _ in readers[node.name] if graph.node(r).op == "activation"), node)
        acc_frac = frac + weight.type.frac
        arrays |= {
            f"{number}_weight": weight.codes,
            f"{number}_weight_frac": weight.type.frac,
            f"{number}_bias": _shifted(bias.codes, acc_frac - bias.type.frac),
            f"{number}_bias_frac": acc_frac,
            f"{number}_shift": max(acc_frac - after.type.frac, 0) or 12,
            f"{number}_type": after.type.to_json(),
        }
        frac = after.type.frac
    np.savez(path, **arrays)


def _shifted(codes: Codes, places: int) -> Codes:
    return codes << places if places >= 0 else codes >> -places


def synthesize_verilog(files: Sequence[Path], top: str, work: Path) -> dict[str, int]:
    """Cells of a peer's Verilog under hwflow's own command."""
    words = XILINX_7.split()
    stat = work / f"{top}.stat.json"
    commands = [
        "read_verilog " + " ".join(str(path) for path in files),
        " ".join([words[0], "-top", top, *words[1:]]),
        f"tee -q -o {stat} stat -json",
    ]
    run_yosys(commands, script=work / f"{top}.ys", log=work / "yosys.log", cwd=work)
    return read_cells(stat)


def _version(python: str, package: str) -> str:
    """Version of a package in the peers' environment; empty where it is missing."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def peer_row(design: Design, tool: str, network: Path, work: Path, python: str = sys.executable) -> Row:
    """A design by one of the peers; a row that says why where it cannot be had."""
    version = _version(python, tool)
    if not version:
        return Row(design.name, tool, "", note=f"not installed for {python}; make bench installs it")
    if tool == "nngen" and shutil.which("iverilog") is None:
        return Row(design.name, tool, version, note="Icarus Verilog is missing; apt-get install iverilog")
    out = work / f"{identifier(design)}_{tool}"
    out.mkdir()
    options = ["5"] if tool == "da4ml" else []
    try:
        run_tool(
            [python, HERE / f"peer_{tool}.py", network, out, *options],
            log=out / "log", tool=tool, cwd=out,
        )  # fmt: skip
        figures = json.loads((out / f"{tool}.json").read_text())
        files = sorted((out / "src").rglob("*.v")) if tool == "da4ml" else [out / f"{identifier(design)}.v"]
        unused = ("lookup_table.v", f"{identifier(design)}_wrapper.v")
        cells = synthesize_verilog(
            [path for path in files if path.name not in unused], identifier(design), out
        )
    except ToolError as error:
        return Row(design.name, tool, version, note=f"it failed: {error.message}")
    found = target("xc7").resources(cells)
    latency = figures.get("latency", figures.get("cycles"))
    note = (
        "pipelined every 5 additions"
        if tool == "da4ml"
        else "one frame at a time; weights in external memory"
    )
    if not figures.get("passed", True):
        note += "; its RTL differs from its own evaluation"
    return Row(
        design.name, tool, version, latency, figures.get("ii", latency), found.lut, found.ff, found.dsp,
        found.bram18, note,
    )  # fmt: skip


def rows(work: Path, folder: Path, python: str) -> Iterator[Row]:
    """Every design by hwflow and by its peers, and what the matrix-vector benchmark found."""
    for design in DESIGNS:
        row, graph = hwflow_row(design, work)
        yield row
        network = work / f"{identifier(design)}.npz"
        export(design, graph, network)
        for tool in design.peers:
            yield peer_row(design, tool, network, work, python)
    yield from matrix_vector_rows(folder)


def matrix_vector_rows(folder: Path) -> Iterator[Row]:
    """The 64 x 32 matrix-vector unit, as ``benchmarks.mvu`` measured it, beside finn-rtllib's."""
    path = folder / "mvu.json"
    units = [unit for unit in UNITS if unit.name.startswith(PEER_UNIT)]
    found = {row["name"]: row for row in json.loads(path.read_text())} if path.exists() else {}
    for unit in units:
        cells = {key: found.get(unit.name, {}).get(key) for key in ("lut", "ff", "dsp", "bram18")}
        note = "benchmarks.mvu" if unit.name in found else "run python -m benchmarks.mvu first"
        ii = unit.n_in // unit.simd * (unit.n_out // unit.pe)
        yield Row(unit.name, "hwflow", package_version("hwflow") or "", ii=ii, note=note, **cells)
    yield Row(PEER_UNIT, "finn-rtllib", "", ii=32, note="under the same command, measured once", **PEER)


def markdown(found: Sequence[Row]) -> str:
    """The table as it stands in the report."""
    heads = ("design", "tool", "version", "latency", "II", "LUT", "FF", "DSP", "BRAM18", "note")
    lines = [
        "# hwflow and its peers",
        "",
        f"Same weights, same run, Yosys {package_version('pyosys')}: `{XILINX_7}`.",
        "Latency and II in cycles; LUTs include those used as memory or shift register.",
        "",
        "| " + " | ".join(heads) + " |",
        "|" + "---|" * len(heads),
    ]
    for row in found:
        values = [
            "–" if v is None else f"{v:,}" if isinstance(v, int) else str(v) for v in asdict(row).values()
        ]
        lines.append("| " + " | ".join(values) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run everything; both files are written anew after each row."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "reports")
    python = str(Path(sys.argv[2]).absolute()) if len(sys.argv) > 2 else sys.executable
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="hwflow-peers-") as work:
        for row in rows(Path(work), folder, python):
            found.append(row)
            _log.info("%s", row)
            data = {
                "yosys": package_version("pyosys"),
                "command": XILINX_7,
                "rows": [asdict(r) for r in found],
            }
            (folder / "peers.json").write_text(json.dumps(data, indent=1) + "\n")
            (folder / "peers.md").write_text(markdown(found))


if __name__ == "__main__":
    main()
