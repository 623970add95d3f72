# SPDX-License-Identifier: Apache-2.0
"""What a package is made of: the RTL, the vectors and the figures of a finished run, checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hwflow.config.reserved import check_name
from hwflow.emit.rtl import port_names
from hwflow.errors import ConfigError, UserError, VerificationError
from hwflow.ir.graph import QuantGraph
from hwflow.ir.serialize import graph_hash, load_graph
from hwflow.numerics.fixed import Codes, FixedType
from hwflow.records import RungRecord, read_metrics, read_rungs
from hwflow.tools.verilator import read_filelist
from hwflow.verify.rtlsim import pack_beats
from hwflow.verify.vectors import Vectors, first_frames

#: Step of the flow that a run must have reached.
STEP = "rtlsim"
#: Simulation only; it stays in the run folder.
_TAP = "hwf_tap"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_VERSION = re.compile(r"\d+(\.\d+)*")
#: Widths that stream DMA engines take, bits.
_DMA_BITS = tuple(8 << i for i in range(8))

Bus = Literal["bytes", "dma"]


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chooses.

    Parameters
    ----------
    name : str
        Beginning of the package's names; empty for the accelerator's.
    control : bool
        With registers behind AXI4-Lite.
    bus : {"bytes", "dma"}
        Width of ``tdata``: whole bytes, or the power of two above, as DMA engines have it.
    verilog : bool
        With the whole package as one plain Verilog module beside the SystemVerilog.
    vendor, library, version : str
        Of the package, as IP catalogues name it.
    frames : int
        Golden frames of the test bench.
    """

    name: str = ""
    control: bool = False
    bus: Bus = "bytes"
    verilog: bool = False
    vendor: str = "hwflow"
    library: str = "ip"
    version: str = "1.0"
    frames: int = 2


@dataclass(frozen=True, slots=True)
class Port:
    """One AXI-Stream port.

    Parameters
    ----------
    prefix : str
        Of its signals, ``s_axis…`` for an input, ``m_axis…`` for an output.
    tensor : str
        What it carries.
    shape : tuple of int
        Of one frame, channels last.
    type : FixedType
        Grid of the codes.
    lanes, lane_width : int
        Values a beat, and bits of one.
    beats : int
        Beats of one frame.
    core_width, width : int
        Bits of ``tdata`` at the accelerator, and at the package.
    vectors : tuple of str
        Beats of the golden frames in hexadecimal.
    """

    prefix: str
    tensor: str
    shape: tuple[int, ...]
    type: FixedType
    lanes: int
    lane_width: int
    beats: int
    core_width: int
    width: int
    vectors: tuple[str, ...]

    @property
    def is_input(self) -> bool:
        """Whether frames go in here."""
        return self.prefix.startswith("s")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame in memory."""
        return self.beats * self.width // 8

    @property
    def file(self) -> str:
        """Ending of the name of its file of vectors."""
        return f"{self.prefix}.mem"


@dataclass(frozen=True, slots=True)
class Content:
    """All that the writers of a package need.

    Parameters
    ----------
    options : Options
        What the user chose.
    core : str
        Module of the accelerator.
    ports : tuple of Port
        Inputs, then outputs.
    graph_sha256 : str
        Content hash of the network.
    ii_bound : int
        Bound of the initiation interval, cycles.
    latency, interval : int or None
        Cycles as simulated by the run; None where it did not.
    frames : int
        Golden frames of the test bench.
    verified : tuple of str
        What the run compared, in words.
    pixels : bool
        Whether the inputs are pictures, a pixel ``p`` standing for ``(p - 128) / 128``.
    sources, memories : mapping of str to str
        SystemVerilog files and memory images of the accelerator.
    """

    options: Options
    core: str
    ports: tuple[Port, ...]
    graph_sha256: str
    ii_bound: int
    latency: int | None
    interval: int | None
    frames: int
    verified: tuple[str, ...]
    pixels: bool
    sources: Mapping[str, str]
    memories: Mapping[str, str]

    @property
    def name(self) -> str:
        """Beginning of the package's names."""
        return self.options.name or self.core

    @property
    def top(self) -> str:
        """Module with the AXI ports."""
        return f"{self.name}_axi"

    @property
    def inputs(self) -> tuple[Port, ...]:
        """Ports that frames go into."""
        return tuple(port for port in self.ports if port.is_input)

    @property
    def outputs(self) -> tuple[Port, ...]:
        """Ports that results leave by."""
        return tuple(port for port in self.ports if not port.is_input)


def read_run(run: Path, options: Options) -> Content:
    """Gather what a package needs of a run.

    Parameters
    ----------
    run : pathlib.Path
        Run folder, simulated or at least emitted.
    options : Options
        What the user chose.

    Raises
    ------
    ConfigError
        When the run has no RTL or no golden vectors, or its parts are not of one network.
    UserError
        When an option does not fit.
    VerificationError
        When the run found a difference.
    """
    check_options(options)
    again = f"run `hwflow run CONFIG --until {STEP} --out {run}` first"
    for path, what in ((run / "rtl" / "interface.json", "RTL"), (run / "graph", "converted network")):
        if not path.exists():
            raise ConfigError(f"{run} holds no {what}", again)
    try:
        content = _content(run, options)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{run} is damaged: {type(error).__name__}: {error}", again) from error
    if content is None:
        raise ConfigError(f"the RTL in {run} was not made from the network in {run}", again)
    taken = {Path(name).stem for name in content.sources} & {content.top, f"{content.name}_regs"}
    if taken:
        raise UserError(f"--name: {content.name!r} makes a second module {min(taken)}", "choose another name")
    return content


def _content(run: Path, options: Options) -> Content | None:
    """What the run holds; None when its RTL is not of its network."""
    rtl = run / "rtl"
    interface = json.loads((rtl / "interface.json").read_text())
    graph = load_graph(run / "graph")
    if graph_hash(graph) != interface["graph_sha256"]:
        return None
    rungs = [rung for path in sorted((run / "verify").glob("*.json")) for rung in read_rungs(path)]
    for rung in rungs:
        if rung.mismatches:
            raise VerificationError(
                f"{run}: {rung.rung} differs from the golden model in {rung.mismatches} of {rung.values} codes",
                "what is not bit-exact is not packaged; run the design again",
            )
    vectors = Vectors(run / "golden", graph)
    inputs, outputs = (first_frames(codes, options.frames) for codes in (vectors.inputs(), vectors.outputs()))
    figures = _figures(run)
    files = [path for path in read_filelist(rtl / "filelist.f") if path.stem != _TAP]
    return Content(
        options=options,
        core=interface["top"],
        ports=(
            *_ports("s_axis", interface["inputs"], inputs, options.bus),
            *_ports("m_axis", interface["outputs"], outputs, options.bus),
        ),
        graph_sha256=interface["graph_sha256"],
        ii_bound=interface["ii_bound_cycles"],
        latency=figures.get("rtl.latency_cycles"),
        interval=figures.get("rtl.ii_cycles"),
        frames=len(next(iter(outputs.values()))),
        verified=tuple(map(_in_words, rungs)),
        pixels=_shows_pictures(run, graph),
        # Memory images lie beside the sources and are named without a folder: so every tool finds them.
        sources={path.name: path.read_text().replace('"mem/', '"') for path in files},
        memories={path.name: path.read_text() for path in sorted((rtl / "mem").glob("*.mem"))},
    )


def check_options(options: Options) -> None:
    """Refuse options that fit no design.

    Raises
    ------
    UserError
        With the option.
    """
    names = (
        ("--name", options.name or "unnamed"),
        ("--vendor", options.vendor),
        ("--library", options.library),
    )
    for option, value in names:
        if not _NAME.fullmatch(value):
            raise UserError(
                f"{option}: {value!r} is no legal name", "begin with a letter; then letters, digits and _"
            )
    try:
        check_name(options.name)
    except ValueError as error:
        raise UserError(f"--name: {error}", "choose another name") from error
    if not _VERSION.fullmatch(options.version):
        raise UserError(f"--ip-version: {options.version!r} is no version", "numbers with points, as in 1.0")


def _in_words(rung: RungRecord) -> str:
    names = {"qkeras": "QKeras", "csim": "hls4ml's C++", "rtl": "SystemVerilog"}
    name = names.get(rung.rung, rung.rung)
    return f"{name}, {rung.scope}: {rung.frames} frames, {rung.values:,} codes, 0 differ"


def _figures(run: Path) -> dict[str, int]:
    path = run / "metrics.json"
    if not path.is_file():
        return {}
    return {metric.name: metric.value for metric in read_metrics(path) if isinstance(metric.value, int)}


def _shows_pictures(run: Path, graph: QuantGraph) -> bool:
    """Whether the run was fed with faces: 8-bit pixels on the grid of the input."""
    kind = graph.node(graph.inputs[0]).type
    return (run / "golden" / "people.json").is_file() and kind == FixedType(True, 8, 7)


def _ports(axis: str, ports: list[dict[str, Any]], codes: Mapping[str, Codes], bus: Bus) -> list[Port]:
    found = []
    for prefix, port in zip(port_names(axis, len(ports)), ports, strict=True):
        width = _width(prefix, port["tdata_width"], bus)
        raw, size = pack_beats(codes[port["tensor"]], port | {"tdata_width": width}), width // 8
        found.append(
            Port(
                prefix,
                port["tensor"],
                tuple(port["shape"]),
                FixedType.from_json(port["type"]),
                port["lanes"],
                port["lane_width"],
                port["beats_per_frame"],
                port["tdata_width"],
                width,
                tuple(raw[i : i + size][::-1].hex() for i in range(0, len(raw), size)),
            )
        )
    return found


def _width(prefix: str, bits: int, bus: Bus) -> int:
    if bus == "bytes":
        return bits
    for width in _DMA_BITS:
        if bits <= width:
            return width
    raise UserError(
        f"--tdata dma: {prefix} carries {bits} bits a beat, DMA engines at most {_DMA_BITS[-1]}",
        "choose larger reuse factors around this port, or --tdata bytes and a width converter",
    )
