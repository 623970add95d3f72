# SPDX-License-Identifier: Apache-2.0
"""Verilog that Vitis HLS wrote from the C++ project, in the harness that simulates hwflow's own RTL.

A generated wrapper gives its top module the ports of an hwflow accelerator. How hls4ml's top functions become
modules (``#pragma HLS INTERFACE axis`` or ``ap_vld`` in hls4ml's ``vivado_writer.py``; AMD UG1399, "Structs on the
Interface" and "Port-Level Protocols"):

- ``io_stream``: ``<argument>_TDATA/TVALID/TREADY`` and ``ap_rst_n``. A beat is one ``nnet::array``; an AXI-Stream
  cannot be packed by bits, so that every element is padded to whole bytes, the first one in the low bits.
- ``io_parallel``: all elements of an input side by side in one port ``<argument>`` with ``<argument>_ap_vld`` (or a
  port an element), a port ``<argument>_<i>`` with ``<argument>_<i>_ap_vld`` for each element of an output, and
  ``ap_rst``. Outputs cannot be stalled: the wrapper queues them, and starts no frame that might not find room.
- ``ap_start``, ``ap_done``, ``ap_idle``, ``ap_ready``, unless the function has ``ap_ctrl_none``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwflow.emit.rtl import library_path, port_names
from hwflow.errors import UserError
from hwflow.frontends.keras_hls4ml import INTERFACE_FILE
from hwflow.numerics.fixed import FixedType
from hwflow.records import RungRecord
from hwflow.tools.paths import sim_dir
from hwflow.tools.verilator import FAST
from hwflow.tools.yosys import run_yosys
from hwflow.verify.compare import Tensor, compare, typed
from hwflow.verify.rtlsim import RtlResult, RtlSimulator
from hwflow.verify.vectors import Vectors

TOP = "hwf_vendor_top"
#: Patience, in bounds of the initiation interval: nobody tells how long a frame takes.
_BOUND_CYCLES = 1_000_000
#: Frames under way in an accelerator without back-pressure.
_DEPTH = 1024


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of the top function.

    Parameters
    ----------
    name : str
        In the C++.
    tensor : str
        Node of the QuantGraph.
    shape : tuple of int
        Of the tensor.
    type : FixedType
        Grid of its values.
    elements : int
        Values that are passed at once.
    """

    name: str
    tensor: str
    shape: tuple[int, ...]
    type: FixedType
    elements: int

    @property
    def width(self) -> int:
        """Bits of the values of one beat, without padding."""
        return self.elements * self.type.width

    @property
    def beats(self) -> int:
        """Beats of a frame."""
        size = 1
        for extent in self.shape:
            size *= extent
        return size // self.elements

    def port(self) -> dict[str, Any]:
        """Entry of ``interface.json``."""
        return {
            "tensor": self.tensor,
            "shape": list(self.shape),
            "type": self.type.to_json(),
            "lanes": self.elements,
            "lane_width": self.type.width,
            "tdata_width": -(-self.width // 8) * 8,
            "beats_per_frame": self.beats,
        }


def verify_vendor(
    vectors: Vectors, project: Path, rtl: Path, work: Path, log: Path
) -> tuple[list[RungRecord], RtlResult]:
    """Simulate a vendor's Verilog and compare it with the golden model.

    Parameters
    ----------
    vectors : Vectors
        Golden inputs and outputs.
    project : pathlib.Path
        The C++ project that the Verilog was made from.
    rtl : pathlib.Path
        Folder with the Verilog, or one above it.
    work : pathlib.Path
        Receives the wrapper.
    log : pathlib.Path
        Where the tools' output goes.

    Returns
    -------
    list of RungRecord, RtlResult
        Comparison of the outputs, free running and under stalls at all ports; and the free run.

    Raises
    ------
    UserError
        When there is no such Verilog, or its ports are not those of the C++ function.
    """
    graph = vectors.graph
    verilog = bind(vectors, project, rtl, work, log)
    simulator = RtlSimulator(work, log)
    simulator.build(flags=(*FAST, "--no-timing", f"-I{verilog}"))
    golden = typed(graph, vectors.outputs())
    types = {port["tensor"]: FixedType.from_json(port["type"]) for port in simulator.outputs}
    results = [simulator.run(vectors.inputs()), simulator.run(vectors.inputs(), idle=300, stall=300)]
    scopes = ("output", "output under random stalls")
    rungs = [
        compare("vendor", scope, golden, {n: Tensor(codes, types[n]) for n, codes in result.outputs.items()})
        for scope, result in zip(scopes, results, strict=True)
    ]
    return rungs, results[0]


def bind(vectors: Vectors, project: Path, rtl: Path, work: Path, log: Path) -> Path:
    """Write the folder that the simulator runs; returns the folder with the Verilog (see :func:`verify_vendor`)."""
    path = project / INTERFACE_FILE
    if not path.is_file():
        raise UserError(f"{path} is missing: the run has no C++ project", "run the design first")
    interface = json.loads(path.read_text())
    inputs = _arguments(interface["inputs"], vectors.graph.inputs)
    outputs = _arguments(interface["outputs"], vectors.graph.outputs)
    top = interface["project"]
    source = _top_file(rtl, top)
    work.mkdir(parents=True, exist_ok=True)
    ports = Ports(_ports(source, top, work, log), source)
    style = _stream if interface["io_type"] == "io_stream" else _parallel
    (work / f"{TOP}.sv").write_text(
        "\n".join([*_head(inputs, outputs), *style(top, ports, inputs, outputs), ""])
    )
    verilog = source.parent.resolve()
    helpers = [library_path("hwf_tlast"), sim_dir() / "vendor" / "hwf_vld_fifo.sv", work / f"{TOP}.sv"]
    files = [*sorted(p for p in verilog.iterdir() if p.suffix in (".v", ".sv")), *helpers]
    (work / "filelist.f").write_text("".join(f"{file.resolve()}\n" for file in files))
    for data in verilog.glob("*.dat"):  # ROM contents; they are named relative to where the simulator runs
        link = work / data.name
        link.unlink(missing_ok=True)
        link.symlink_to(data)
    description = {
        "top": TOP,
        "ii_bound_cycles": _BOUND_CYCLES,
        "inputs": [argument.port() for argument in inputs],
        "outputs": [argument.port() for argument in outputs],
        "taps": [],
    }
    (work / "interface.json").write_text(json.dumps(description, indent=1) + "\n")
    return verilog


def _arguments(ports: Sequence[Mapping[str, Any]], tensors: Sequence[str]) -> list[Argument]:
    return [
        Argument(p["argument"], tensor, tuple(p["shape"]), FixedType.from_json(p["type"]), p["elements"])
        for p, tensor in zip(ports, tensors, strict=True)
    ]


def _top_file(folder: Path, top: str) -> Path:
    """The file of the top module; of several the one that lies highest."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder", "name the folder with the Verilog that Vitis HLS wrote")
    found = sorted(folder.rglob(f"{top}.v"), key=lambda path: (len(path.parts), str(path)))
    if not found:
        others = sorted(path.name for path in folder.rglob("*.v"))[:5]
        raise UserError(
            f"{folder} holds no {top}.v, the top module of the C++ project"
            f" (found {', '.join(others) if others else 'no Verilog at all'})",
            f"run Vitis HLS on the project; its Verilog is in {top}_prj/solution1/syn/verilog",
        )
    return found[0]


def _ports(source: Path, top: str, work: Path, log: Path) -> dict[str, tuple[str, int]]:
    """Direction and width of each port of the top module."""
    description = work / "ports.json"
    commands = [f"read_verilog -lib {source.resolve()}", f"write_json {description.resolve()}"]
    run_yosys(commands, script=work / "ports.ys", log=log)
    modules = json.loads(description.read_text())["modules"]
    if top not in modules:
        raise UserError(f"{source} holds no module {top} (found {', '.join(sorted(modules)) or 'none'})")
    return {name: (port["direction"], len(port["bits"])) for name, port in modules[top]["ports"].items()}


class Ports:
    """Ports of the vendor's top module.

    Parameters
    ----------
    found : mapping of str to (str, int)
        Direction and width by name.
    source : pathlib.Path
        File that they stand in, for messages.
    """

    def __init__(self, found: Mapping[str, tuple[str, int]], source: Path) -> None:
        self.found = found
        self.source = source
        self._names = {name.lower(): name for name in found}
        self._used: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether there is a port of that name, in whichever case."""
        return name.lower() in self._names

    def use(self, name: str, direction: str, width: int | None = 1) -> str:
        """The port's name as it stands there, once direction and width are what they must be."""
        if not self.has(name):
            raise UserError(
                f"{self.source}: no port {name!r}; found {', '.join(self.found)}",
                "the Verilog must come from this run's C++ project (same layers, same io_type)",
            )
        real = self._names[name.lower()]
        got_direction, got_width = self.found[real]
        if got_direction != direction:
            raise UserError(f"{self.source}: port {real} is an {got_direction}, expected an {direction}")
        if width is not None and got_width != width:
            raise UserError(
                f"{self.source}: port {real} has {got_width} bits, expected {width}",
                "the types of this run's C++ project are others than those the Verilog was made with",
            )
        self._used.add(real)
        return real

    def elements(self, name: str, direction: str, argument: Argument) -> tuple[str, int]:
        """A port that holds all elements of a beat, and the bits that each of them takes there."""
        real = self.use(name, direction, None)
        width = self.found[real][1]
        each, rest = divmod(width, argument.elements)
        if rest == 0 and each >= argument.type.width and (each == argument.type.width or each % 8 == 0):
            return real, each
        if width == -(-argument.width // 8) * 8:  # side by side, the whole padded to bytes
            return real, argument.type.width
        raise UserError(
            f"{self.source}: port {real} has {width} bits, which is no room for {argument.elements} elements of "
            f"{argument.type.width} bits each, padded alike",
            "the types of this run's C++ project are others than those the Verilog was made with",
        )

    def refuse_others(self) -> None:
        """Inputs that nobody drives would make the simulation meaningless."""
        if loose := [n for n, (way, _) in self.found.items() if way == "input" and n not in self._used]:
            raise UserError(
                f"{self.source}: inputs that are neither data nor block control: {', '.join(loose)}",
                "hls4ml's plain top function is expected, without memories or buses of its own",
            )


def _head(inputs: Sequence[Argument], outputs: Sequence[Argument]) -> Iterator[str]:
    """Port list of the wrapper: that of an hwflow accelerator."""
    yield "// SPDX-License-Identifier: Apache-2.0"
    yield f"module {TOP} ("
    lines = ["  input logic clk_i", "  input logic rst_ni"]
    for prefixes, arguments, inward in (
        (port_names("s_axis", len(inputs)), inputs, True),
        (port_names("m_axis", len(outputs)), outputs, False),
    ):
        to, back = ("input", "output") if inward else ("output", "input")
        for prefix, argument in zip(prefixes, arguments, strict=True):
            lines += [
                f"  {to} logic [{argument.port()['tdata_width'] - 1}:0] {prefix}_tdata",
                f"  {to} logic {prefix}_tvalid",
                f"  {back} logic {prefix}_tready",
                *([] if inward else [f"  output logic {prefix}_tlast"]),
            ]
    yield ",\n".join(lines)
    yield ");"


def _spread(argument: Argument, each: int, prefix: str) -> Iterator[str]:
    """Elements of a beat, each extended to the bits it takes in the vendor's port ``<prefix>_wide``."""
    width, sign = argument.type.width, int(argument.type.signed)
    yield f"  logic [{argument.elements * each - 1}:0] {prefix}_wide;"
    for i in range(argument.elements):
        lane = f"{prefix}_tdata[{i * width}+:{width}]"
        top = f"{prefix}_tdata[{i * width + width - 1}]"
        extension = f"{{{each - width}{{{top} & 1'b{sign}}}}}, " if each > width else ""
        yield f"  assign {prefix}_wide[{i * each}+:{each}] = {{{extension}{lane}}};"


def _gather(argument: Argument, each: int, prefix: str) -> Iterator[str]:
    """The inverse of :func:`_spread`; padding is dropped."""
    width, total = argument.type.width, argument.port()["tdata_width"]
    lanes = [f"{prefix}_wide[{i * each}+:{width}]" for i in reversed(range(argument.elements))]
    padding = [f"{total - argument.width}'b0"] if total > argument.width else []
    yield f"  assign {prefix}_tdata = {{{', '.join([*padding, *lanes])}}};"


def _tlast(argument: Argument, prefix: str) -> str:
    return (
        f"  hwf_tlast #(.Beats({argument.beats})) u_{prefix}_tlast (.clk_i, .rst_ni, "
        f".tvalid_i({prefix}_tvalid), .tready_i({prefix}_tready), .tlast_o({prefix}_tlast));"
    )


def _control(ports: Ports) -> list[str]:
    """Clock, reset, and the inputs of block control that are the same whatever the interface."""
    links = [f".{ports.use('ap_clk', 'input')}(clk_i)"]
    if ports.has("ap_rst_n"):
        links.append(f".{ports.use('ap_rst_n', 'input')}(rst_ni)")
    else:
        links.append(f".{ports.use('ap_rst', 'input')}(!rst_ni)")
    if ports.has("ap_continue"):
        links.append(f".{ports.use('ap_continue', 'input')}(1'b1)")
    return links


def _instance(top: str, links: Sequence[str]) -> Iterator[str]:
    yield f"  {top} u_dut (\n    " + ",\n    ".join(links) + "\n  );"
    yield "endmodule"


def _stream(top: str, ports: Ports, inputs: Sequence[Argument], outputs: Sequence[Argument]) -> Iterator[str]:
    """AXI-Streams; frame follows frame as fast as they come."""
    links = _control(ports)
    if ports.has("ap_start"):
        links.append(f".{ports.use('ap_start', 'input')}(1'b1)")
    for prefix, argument in zip(port_names("s_axis", len(inputs)), inputs, strict=True):
        data, each = ports.elements(f"{argument.name}_TDATA", "input", argument)
        yield from _spread(argument, each, prefix)
        width = ports.found[data][1]
        links += [
            f".{data}({width}'({prefix}_wide))",
            f".{ports.use(f'{argument.name}_TVALID', 'input')}({prefix}_tvalid)",
            f".{ports.use(f'{argument.name}_TREADY', 'output')}({prefix}_tready)",
        ]
    for prefix, argument in zip(port_names("m_axis", len(outputs)), outputs, strict=True):
        data, each = ports.elements(f"{argument.name}_TDATA", "output", argument)
        yield f"  logic [{ports.found[data][1] - 1}:0] {prefix}_wide;"
        yield from _gather(argument, each, prefix)
        yield _tlast(argument, prefix)
        links += [
            f".{data}({prefix}_wide)",
            f".{ports.use(f'{argument.name}_TVALID', 'output')}({prefix}_tvalid)",
            f".{ports.use(f'{argument.name}_TREADY', 'input')}({prefix}_tready)",
        ]
    ports.refuse_others()
    yield from _instance(top, links)


def _parallel(
    top: str, ports: Ports, inputs: Sequence[Argument], outputs: Sequence[Argument]
) -> Iterator[str]:
    """Whole frames in wires, a frame a beat; results are queued."""
    links = _control(ports)
    yield "  logic start, ready;"
    links += [f".{ports.use('ap_start', 'input')}(start)", f".{ports.use('ap_ready', 'output')}(ready)"]
    s_axis, m_axis = port_names("s_axis", len(inputs)), port_names("m_axis", len(outputs))
    yield "  logic [31:0] begun_q;"
    yield "  always_ff @(posedge clk_i) begin"
    yield "    if (!rst_ni) begun_q <= '0;"
    yield "    else if (start & ready) begun_q <= begun_q + 1;"
    yield "  end"
    room = [f"(begun_q - {prefix}_taken < {_DEPTH})" for prefix in m_axis]
    yield f"  assign start = {' & '.join([*(f'{prefix}_tvalid' for prefix in s_axis), *room])};"
    for prefix, argument in zip(s_axis, inputs, strict=True):
        yield f"  assign {prefix}_tready = start & ready;"
        if ports.has(argument.name):
            data, each = ports.elements(argument.name, "input", argument)
            yield from _spread(argument, each, prefix)
            links.append(f".{data}({ports.found[data][1]}'({prefix}_wide))")
            links.append(f".{ports.use(f'{argument.name}_ap_vld', 'input')}(start)")
            continue
        for i in range(argument.elements):
            width = argument.type.width
            data = ports.use(f"{argument.name}_{i}", "input", width)
            links.append(f".{data}({prefix}_tdata[{i * width}+:{width}])")
            links.append(f".{ports.use(f'{argument.name}_{i}_ap_vld', 'input')}(start)")
    for prefix, argument in zip(m_axis, outputs, strict=True):
        width, count = argument.type.width, argument.elements
        single = count == 1 and ports.has(argument.name)
        names = [argument.name] if single else [f"{argument.name}_{i}" for i in range(count)]
        yield f"  logic [{argument.width - 1}:0] {prefix}_data, {prefix}_wide;"
        yield f"  logic [{count - 1}:0] {prefix}_vld;"
        yield f"  logic [31:0] {prefix}_taken;"
        yield f"  hwf_vld_fifo #(.Lanes({count}), .LaneW({width}), .Depth({_DEPTH})) u_{prefix}_fifo ("
        yield f"    .clk_i, .rst_ni, .vld_i({prefix}_vld), .data_i({prefix}_data), .m_axis_tdata({prefix}_wide),"
        yield f"    .m_axis_tvalid({prefix}_tvalid), .m_axis_tready({prefix}_tready), .taken_o({prefix}_taken)"
        yield "  );"
        yield from _gather(argument, width, prefix)
        yield _tlast(argument, prefix)
        for i, name in enumerate(names):
            links.append(f".{ports.use(name, 'output', width)}({prefix}_data[{i * width}+:{width}])")
            links.append(f".{ports.use(f'{name}_ap_vld', 'output')}({prefix}_vld[{i}])")
    ports.refuse_others()
    yield from _instance(top, links)
