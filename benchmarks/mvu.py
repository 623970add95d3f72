# SPDX-License-Identifier: Apache-2.0
"""Cells and clock frequency of the matrix-vector unit, the sliding window, and a whole small network.

Run as ``python -m benchmarks.mvu [FOLDER [ROW]]``: writes ``reports/mvu.json`` and ``.md`` anew after each row. Work
files go to FOLDER; what was measured there with the same code is not measured again. ROW, a part of a row's name,
measures that alone. Takes some minutes. LUT is the sum of LUT1..LUT6 and of LUTs used as memory or shift register
(RAM*, SRL*), FF that of FD*.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hwflow.emit.design import build_design
from hwflow.emit.memfile import memory_name, memory_text
from hwflow.emit.rtl import library_path, write_rtl
from hwflow.flow.folder import sha256
from hwflow.flow.runner import code_hash
from hwflow.ir.graph import QuantNode, QuantParam
from hwflow.ops import casekit
from hwflow.ops.base import Folding, Interval, Memory, lanes_for
from hwflow.ops.matvec import accumulator, unit_parameters, weight_words
from hwflow.tools.nextpnr import place_and_route, read_report
from hwflow.tools.targets import TARGETS
from hwflow.tools.verilator import read_filelist
from hwflow.tools.yosys import SynthResult, synthesize
from rtl_tests.networks import tiny_mobilefacenet

XC7 = "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf"
ECP5 = "synth_ecp5"
#: finn-rtllib's unit of 64 x 32, PE 8, SIMD 8, 4 x 4 bits under the same command.
PEER_UNIT = "64x32, PE 8, SIMD 8, 4x4 bit"
PEER = {"lut": 3239, "ff": 2436, "dsp": 16}
#: Frequency asked for on ECP5, MHz, and seeds of the placer.
CLOCK = 150.0
SEEDS = (1, 2)
_log = logging.getLogger("hwflow.benchmarks.mvu")
NETWORK = "tiny MobileFaceNet"
MVU = ("hwf_rom", "hwf_cast", "hwf_mvu")


@dataclass(frozen=True)
class Row:
    """One module: cells on 7-series, frequency on ECP5 by seed of the placer (none where it was not routed)."""

    name: str
    lut: int
    ff: int
    dsp: int
    bram18: int
    fmax_mhz: tuple[float, ...] = ()


@dataclass(frozen=True)
class Unit:
    """A matrix-vector unit to be measured."""

    name: str
    n_in: int
    n_out: int
    pe: int
    simd: int
    x_bits: int
    w_bits: int
    style: str = "auto"
    values: tuple[int, ...] = ()
    routed: bool = False


UNITS = (
    Unit("64x32, PE 8, SIMD 8, 4x4 bit, lut", 64, 32, 8, 8, 4, 4, "lut", routed=True),
    Unit("64x32, PE 8, SIMD 8, 4x4 bit, dsp", 64, 32, 8, 8, 4, 4, "dsp"),
    Unit("64x32, PE 8, SIMD 8, 4 bit x ternary", 64, 32, 8, 8, 4, 2, values=(-1, 0, 1)),
    Unit("64x32, PE 8, SIMD 8, 4 bit x binary", 64, 32, 8, 8, 4, 2, values=(-1, 1)),
    Unit("64x32, PE 8, SIMD 8, 8 bit x powers of two", 64, 32, 8, 8, 8, 5, values=(-8, -4, -2, -1, 1, 2, 4, 8)),
    Unit("144x16, PE 16, SIMD 16, 8x8 bit, auto", 144, 16, 16, 16, 8, 8),
    Unit("144x16, PE 16, SIMD 16, 8x8 bit, dsp", 144, 16, 16, 16, 8, 8, "dsp"),
    Unit("144x64, PE 16, SIMD 1, 8x8 bit, auto", 144, 64, 16, 1, 8, 8, routed=True),
)  # fmt: skip

WINDOW: dict[str, int | str] = {
    "Width": 32, "Words": 4, "InH": 28, "InW": 28, "OutH": 28, "OutW": 28, "KernelH": 3, "KernelW": 3, "StrideH": 1,
    "StrideW": 1, "PadTop": 1, "PadLeft": 1, "Pixels": 64,
}  # fmt: skip
WINDOWS: dict[str, dict[str, int | str]] = {
    "window 28x28x16, 3x3, 4 channels a beat, read twice": WINDOW | {"Replays": 2, "Depthwise": 0},
    "window 28x28x16, 3x3, 4 channels a beat, depthwise": WINDOW | {"Replays": 1, "Depthwise": 1},
}


def lut_count(cells: Mapping[str, int]) -> int:
    """LUTs on 7-series, those used as memory included."""
    return sum(n for cell, n in cells.items() if re.fullmatch(r"LUT[1-6]|RAM(?!B).*|SRL.*", cell))


def block_rams(cells: Mapping[str, int]) -> int:
    """Block RAMs of 18 Kb."""
    return cells.get("RAMB18E1", 0) + 2 * cells.get("RAMB36E1", 0)


def row(name: str, cells: Mapping[str, int], fmax: tuple[float, ...] = ()) -> Row:
    """A row of the report."""
    ffs = sum(n for cell, n in cells.items() if cell.startswith("FD"))
    return Row(name, lut_count(cells), ffs, cells.get("DSP48E1", 0), block_rams(cells), fmax)


def unit_source(unit: Unit, folder: Path) -> dict[str, int | str]:
    """Parameters of a unit with random weights; its memories are written."""
    rng = np.random.default_rng(1)
    source = casekit.tensor((unit.n_in,), casekit.grid(unit.x_bits, 0))
    weight, bias = casekit.grid(unit.w_bits, 0), casekit.grid(unit.x_bits + unit.w_bits, 0)
    shape = unit.n_in, unit.n_out
    codes = rng.choice(unit.values, shape) if unit.values else casekit.random_codes(rng, shape, weight)
    params = {"weight": QuantParam(codes, weight), "bias": casekit.random_param(rng, (unit.n_out,), bias)}
    cast = casekit.quantizer(unit.x_bits, -unit.w_bits)
    attrs = {"mult_style": unit.style}
    node = QuantNode("y", "dense", (source.name,), (unit.n_out,), cast, attrs, params)
    synapse_folds = unit.n_in // unit.simd
    folding = Folding((unit.simd,), lanes_for(unit.pe, synapse_folds), 0, unit.pe, unit.simd)
    low, high = source.type.range()
    matrix = node.params["weight"].codes
    acc = accumulator(matrix, Interval(np.full((unit.n_in, 1), low), np.full((unit.n_in, 1), high), 0))
    found = unit_parameters(node, source, acc, folding, weight_words(matrix, folding))
    parameters: dict[str, int | str] = {
        "Simd": unit.simd, "Folds": unit.n_out // unit.pe, "SynapseFolds": synapse_folds, "Depthwise": 0,
    }  # fmt: skip
    for key, value in found.items():
        if isinstance(value, Memory):
            text = memory_text(value)
            name = memory_name(text, key.removesuffix("File").lower())
            (folder / name).write_text(text)
            parameters[key] = name
        else:
            parameters[{"YW": "OutW", "YSigned": "OutSigned", "YFrac": "OutFrac"}.get(key, key)] = value
    return parameters


def synthesized(
    files: Sequence[Path], top: str, folder: Path, command: str, params: Mapping[str, int | str] | None = None
) -> SynthResult:
    """Synthesis in a folder of its own, memories read from ``folder``."""
    out = folder / command.split()[0]
    return synthesize(files, top, out=out, log=out / "yosys.log", command=command, params=params, cwd=folder)


def fmax(result: SynthResult, folder: Path) -> tuple[float, ...]:
    """Frequency after place and route on ECP5 for each seed, MHz."""
    found = []
    for seed in SEEDS:
        report = folder / f"route-{sha256(result.netlist)[:12]}-{seed}.json"
        route = (
            read_report(report)
            if report.exists()
            else place_and_route(
                result.netlist,
                TARGETS["ecp5"],
                report=report,
                log=folder / "nextpnr.log",
                clock_mhz=CLOCK,
                seed=seed,
            )
        )
        found.append(round(min(route.fmax_mhz.values()), 1))
    return tuple(found)


def measure_unit(unit: Unit, place: Path) -> Row:
    """A matrix-vector unit."""
    params, files = unit_source(unit, place), [library_path(module) for module in MVU]
    clock = fmax(synthesized(files, "hwf_mvu", place, ECP5, params), place) if unit.routed else ()
    return row(unit.name, synthesized(files, "hwf_mvu", place, XC7, params).cells, clock)


def measure_window(name: str, place: Path) -> Row:
    """A sliding window."""
    params, files = WINDOWS[name], [library_path("hwf_window")]
    clock = fmax(synthesized(files, "hwf_window", place, ECP5, params), place)
    return row(name, synthesized(files, "hwf_window", place, XC7, params).cells, clock)


def measure_network(place: Path) -> Row:
    """The whole small network."""
    design = build_design(tiny_mobilefacenet(cycles=4000))
    write_rtl(design, place)
    files = read_filelist(place / "filelist.f")
    clock = fmax(synthesized(files, design.name, place, ECP5), place)
    return row(NETWORK, synthesized(files, design.name, place, XC7).cells, clock)


def measurements() -> dict[str, Callable[[Path], Row]]:
    """How each row is measured, given a folder for its files."""
    return {
        **{unit.name: partial(measure_unit, unit) for unit in UNITS},
        **{name: partial(measure_window, name) for name in WINDOWS},
        NETWORK: measure_network,
    }


def measured_before(state: Path, code: str) -> dict[str, Row]:
    """Rows that the state file holds for this code."""
    lines = [json.loads(line) for line in state.read_text().splitlines()] if state.exists() else []
    return {line["row"]["name"]: Row(**line["row"]) for line in lines if line["code"] == code}


def markdown(rows: Sequence[Row]) -> str:
    """The report."""
    lines = [
        "# Matrix-vector unit and sliding window",
        "",
        f"Cells after `{XC7}` (LUT: LUT1..LUT6 and LUTs used as memory), frequency after `{ECP5}` and nextpnr (85k),",
        f"seeds {SEEDS[0]} to {SEEDS[-1]}.",
        "",
        "| module | LUT | FF | DSP | BRAM18 | ECP5 MHz |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for each in rows:
        clock = " / ".join(f"{mhz:g}" for mhz in each.fmax_mhz) or "–"
        lines.append(f"| {each.name} | {each.lut:,} | {each.ff:,} | {each.dsp} | {each.bram18} | {clock} |")
    lines.append(f"| finn-rtllib, {PEER_UNIT} | {PEER['lut']:,} | {PEER['ff']:,} | {PEER['dsp']} | – | – |")
    missing = sorted(measurements().keys() - {each.name for each in rows})
    lines += ["", f"Not measured: {'; '.join(missing)}."] if missing else []
    return "\n".join([*lines, ""])


def main(folder: Path, only: str = "") -> None:
    """Measure, and write the report anew after each row."""
    code = "".join(code_hash(part)[:8] for part in ("emit", "numerics", "ops", "rtllib"))
    state = folder / "rows.jsonl"
    write_report(measured_before(state, code))
    for name, measure in measurements().items():
        if only in name and name not in measured_before(state, code):
            place = folder / re.sub(r"\W+", "-", name)
            place.mkdir(parents=True, exist_ok=True)
            found = measure(place)
            _log.info("%s", found)
            with state.open("a") as stream:
                stream.write(json.dumps({"code": code, "row": asdict(found)}) + "\n")
            write_report(measured_before(state, code))


def write_report(known: Mapping[str, Row]) -> None:
    """Write what is measured."""
    rows = [known[name] for name in measurements() if name in known]
    reports = Path("reports")
    (reports / "mvu.json").write_text(json.dumps([asdict(each) for each in rows], indent=1) + "\n")
    (reports / "mvu.md").write_text(markdown(rows))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]), *sys.argv[2:3])
    else:
        with tempfile.TemporaryDirectory(dir=".") as scratch:
            main(Path(scratch))
