# SPDX-License-Identifier: Apache-2.0
"""The module with the AXI ports, and that of the registers.

The former is plain Verilog, because block designs of some tools take no SystemVerilog at their top.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hwflow.package.content import Content, Port
from hwflow.package.registers import Access, Field, Register, address_bits, register_map

#: Modules of hwflow that a package with registers needs, beside this file in ``rtl/``.
CONTROL_MODULES = ("hwf_axil", "hwf_frame_gate", "hwf_supervisor")
#: Name, width (0: that of an address), and whether it is an input of the slave.
AXI_LITE: tuple[tuple[str, int, bool], ...] = (
    *(("awaddr", 0, True), ("awprot", 3, True), ("awvalid", 1, True), ("awready", 1, False)),
    *(("wdata", 32, True), ("wstrb", 4, True), ("wvalid", 1, True), ("wready", 1, False)),
    *(("bresp", 2, False), ("bvalid", 1, False), ("bready", 1, True)),
    *(("araddr", 0, True), ("arprot", 3, True), ("arvalid", 1, True), ("arready", 1, False)),
    *(("rdata", 32, False), ("rresp", 2, False), ("rvalid", 1, False), ("rready", 1, True)),
)


def top_ports(content: Content) -> list[tuple[str, int, bool]]:
    """Ports of the module: name, width in bits (1: a single wire), whether it is an input."""
    ports = [("aclk", 1, True), ("aresetn", 1, True)]
    for port in content.ports:
        into = port.is_input
        ports += [
            (f"{port.prefix}_tdata", port.width, into),
            (f"{port.prefix}_tvalid", 1, into),
            (f"{port.prefix}_tready", 1, not into),
        ]
        if content.options.control or not into:
            ports.append((f"{port.prefix}_tlast", 1, into))
    if content.options.control:
        bits = address_bits(register_map(content))
        ports += [(f"s_axi_{name}", width or bits, into) for name, width, into in AXI_LITE]
    return ports


def top_source(content: Content) -> str:
    """Verilog of the module with the AXI ports."""
    header = [
        "// SPDX-License-Identifier: Apache-2.0",
        "//",
        f"// {content.top}: {content.core} with AXI4-Stream ports"
        + (" and registers behind AXI4-Lite." if content.options.control else "."),
        f"// Network sha256 {content.graph_sha256}",
        "// aresetn is active low and synchronous to aclk. Formats, timing and registers: INTERFACE.md.",
        "",
        f"module {content.top} (",
        ",\n".join(_declaration(*port) for port in _attributed(content)),
        ");",
    ]
    body = _controlled(content) if content.options.control else _plain(content)
    return "\n".join([*header, *body, "endmodule", ""])


def _attributed(content: Content) -> Iterator[tuple[str, int, bool, str]]:
    """Ports with what tells AMD's tools that the clock is that of all buses."""
    buses = [port.prefix for port in content.ports] + ["s_axi"] * content.options.control
    notes = {
        "aclk": f'(* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF {":".join(buses)}, ASSOCIATED_RESET aresetn" *)',
        "aresetn": '(* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)',
    }
    for name, width, into in top_ports(content):
        yield name, width, into, notes.get(name, "")


def _declaration(name: str, width: int, into: bool, note: str = "", kind: str = "wire") -> str:
    span = f"[{width - 1}:0] " if width > 1 else ""
    before = f"  {note}\n" if note else ""
    return f"{before}  {'input ' if into else 'output'} {kind} {span}{name}"


def _plain(content: Content) -> Iterator[str]:
    for port in content.ports:
        yield from _padding(port, port.prefix)
    yield from _core(content, "aresetn", {port.prefix: port.prefix for port in content.ports})


def _padding(port: Port, stream: str) -> Iterator[str]:
    """Bits that the accelerator does not have."""
    if port.width == port.core_width:
        return
    if port.is_input:
        span = f"{port.width - 1}:{port.core_width}"
        yield f"  wire unused_{port.prefix} = &{{1'b0, {port.prefix}_tdata[{span}]}};"
    else:
        yield f"  assign {stream}_tdata[{port.width - 1}:{port.core_width}] = {port.width - port.core_width}'d0;"


def _core(content: Content, reset: str, streams: dict[str, str]) -> Iterator[str]:
    links = [".clk_i(aclk)", f".rst_ni({reset})"]
    for port in content.ports:
        span = f"[{port.core_width - 1}:0]" if port.width != port.core_width else ""
        links.append(f".{port.prefix}_tdata({port.prefix}_tdata{span})")
        links += [f".{port.prefix}_{s}({streams[port.prefix]}_{s})" for s in ("tvalid", "tready")]
        if not port.is_input:
            links.append(f".{port.prefix}_tlast({port.prefix}_tlast)")
    yield from _instance(content.core, "u_core", links)


def _instance(module: str, label: str, links: Sequence[str], parameters: str = "") -> Iterator[str]:
    yield f"  {module} {parameters and f'#({parameters}) '}{label} ("
    yield ",\n".join(f"    {link}" for link in links)
    yield "  );"


def _controlled(content: Content) -> Iterator[str]:
    registers = register_map(content)
    n_in, n_out = len(content.inputs), len(content.outputs)
    signals = list(_fields(registers))
    yield "  wire rst_n;"
    for register, field in signals:
        yield f"  wire {_span(field)}{register.signal(field)};"
    yield f"  wire [{n_in - 1}:0] open, midway, first, last, early;"
    yield f"  wire [{n_out - 1}:0] done;"
    for port in content.ports:
        yield f"  wire core_{port.prefix}_tvalid, core_{port.prefix}_tready;"
        yield from _padding(port, port.prefix)
    yield "  assign status_ready = rst_n;"
    yield "  assign status_early_last = |early;"
    yield "  wire unused_prot = &{1'b0, s_axi_awprot, s_axi_arprot};"
    for i, port in enumerate(content.inputs):
        name, core = port.prefix, f"core_{port.prefix}"
        yield f"  wire {name}_pass;"
        yield f"  assign {core}_tvalid = {name}_tvalid & {name}_pass;"
        yield f"  assign {name}_tready = {core}_tready & {name}_pass;"
        gate = [".clk_i(aclk)", ".rst_ni(rst_n)", f".open_i(open[{i}])", f".tvalid_i({name}_tvalid)"]
        gate += [f".tready_i({core}_tready)", f".tlast_i({name}_tlast)", f".pass_o({name}_pass)"]
        gate += [f".within_o(midway[{i}])"]
        gate += [f".{signal}_o({signal}[{i}])" for signal in ("first", "last", "early")]
        yield from _instance("hwf_frame_gate", f"u_{name}", gate, f".Beats({port.beats})")
    for i, port in enumerate(content.outputs):
        name, core = port.prefix, f"core_{port.prefix}"
        yield f"  assign {name}_tvalid = {core}_tvalid & rst_n;"
        yield f"  assign {core}_tready = {name}_tready & rst_n;"
        yield f"  assign done[{i}] = {name}_tvalid & {name}_tready & {name}_tlast;"
    yield from _core(content, "rst_n", {port.prefix: f"core_{port.prefix}" for port in content.ports})
    frames = {
        side: ", ".join(f"{port.prefix}_frames_count" for port in reversed(ports))
        for side, ports in (("taken", content.inputs), ("done", content.outputs))
    }
    links = [".clk_i(aclk)", ".rst_ni(aresetn)", ".start_i(control_start)", ".restart_i(control_reset)"]
    links += [".within_i(midway)", ".first_i(first)", ".last_i(last)", ".done_i(done)", ".rst_no(rst_n)"]
    links += [".busy_o(status_busy)", ".open_o(open)"]
    links += [f".{side}_o({{{ports}}})" for side, ports in frames.items()]
    links += [".latency_o(latency_count)", ".interval_o(interval_count)"]
    yield from _instance("hwf_supervisor", "u_supervisor", links, f".Inputs({n_in}), .Outputs({n_out})")
    bus = [f".s_axi_{name}(s_axi_{name})" for name, _, _ in AXI_LITE if not name.endswith("prot")]
    fields = [f".{_port(register, field)}({register.signal(field)})" for register, field in signals]
    yield from _instance(regs_name(content), "u_regs", [".clk_i(aclk)", ".rst_ni(aresetn)", *bus, *fields])


def regs_name(content: Content) -> str:
    """Module of the registers."""
    return f"{content.name}_regs"


def _fields(registers: Sequence[Register]) -> Iterator[tuple[Register, Field]]:
    """Fields that are signals."""
    for register in registers:
        for field in register.fields:
            if field.access is not Access.CONST:
                yield register, field


def _port(register: Register, field: Field) -> str:
    return f"{register.signal(field)}_{'o' if field.access in (Access.RW, Access.PULSE) else 'i'}"


def _span(field: Field) -> str:
    return f"[{field.width - 1}:0] " if field.width > 1 else ""


def regs_source(content: Content) -> str:
    """SystemVerilog of the registers."""
    registers = register_map(content)
    bits = address_bits(registers)
    signals = list(_fields(registers))
    ports = [_declaration("clk_i", 1, True, kind="logic"), _declaration("rst_ni", 1, True, kind="logic")]
    bus = [(f"s_axi_{name}", width or bits, into) for name, width, into in AXI_LITE if "prot" not in name]
    ports += [_declaration(*port, kind="logic") for port in bus]
    for register, field in signals:
        name = _port(register, field)
        ports.append(_declaration(name, field.width, name.endswith("_i"), kind="logic"))
    lines = [
        "// SPDX-License-Identifier: Apache-2.0",
        "//",
        f"// {regs_name(content)}: control and status registers of {content.top}; their meaning: INTERFACE.md.",
        "// Other addresses read 0; writing them, or what is read-only, has no effect.",
        "",
        f"module {regs_name(content)} (",
        ",\n".join(ports),
        ");",
        "  logic        wr_en;",
        f"  logic [{bits - 1}:2]  wr_addr, rd_addr;",
        "  logic [31:0] wr_data, rd_data, mask;",
        "  logic [3:0]  wr_strb;",
        "",
    ]
    links = [".clk_i", ".rst_ni", *(f".{name}" for name, _, _ in bus)]
    links += [f".{s}_o({s})" for s in ("wr_en", "wr_addr", "wr_data", "wr_strb", "rd_addr")]
    lines += _instance("hwf_axil", "u_bus", [*links, ".rd_data_i(rd_data)"], f".AddrW({bits})")
    lines += [
        "",
        "  assign mask = {{8{wr_strb[3]}}, {8{wr_strb[2]}}, {8{wr_strb[1]}}, {8{wr_strb[0]}}};",
        *_writes(registers, bits),
        "",
        "  always_comb begin",
        "    unique case ({rd_addr, 2'b00})",
    ]
    lines += [f"      {bits}'h{r.offset:x}: rd_data = {_read(r)};  // {r.name}" for r in registers]
    lines += ["      default: rd_data = '0;", "    endcase", "  end", "endmodule", ""]
    return "\n".join(lines)


def _writes(registers: Sequence[Register], bits: int) -> Iterator[str]:
    for register in (register for register in registers if register.writable):
        select = f"{register.name}_write"
        yield f"  logic {select};"
        yield f"  assign {select} = wr_en & ({{wr_addr, 2'b00}} == {bits}'h{register.offset:x});"
        for field in register.fields:
            if field.access not in (Access.RW, Access.PULSE, Access.W1C):
                continue
            name, at = register.signal(field), field.bits
            if field.access is Access.PULSE:
                yield f"  assign {name}_o = {select} & wr_data{at} & mask{at};"
                continue
            yield f"  logic {_span(field)}{name}_q;"
            yield "  always_ff @(posedge clk_i) begin"
            yield f"    if (!rst_ni) {name}_q <= '0;"
            if field.access is Access.RW:
                yield f"    else if ({select}) {name}_q <= ({name}_q & ~mask{at}) | (wr_data{at} & mask{at});"
            else:
                clear = f"({{{field.width}{{{select}}}}} & wr_data{at} & mask{at})"
                yield f"    else {name}_q <= ({name}_q & ~{clear}) | {name}_i;"
            yield "  end"
            if field.access is Access.RW:
                yield f"  assign {name}_o = {name}_q;"
    yield "  logic unused_bits;"
    yield "  assign unused_bits = &{1'b0, wr_data, mask};"


def _read(register: Register) -> str:
    """What a register reads, as an expression."""
    if register.constant is not None:
        return f"32'h{register.constant:08x}"
    parts, at = [], 0
    for field in register.fields:
        if field.low > at:
            parts.append(f"{field.low - at}'d0")
        signal = register.signal(field)
        parts.append(
            {
                Access.CONST: f"{field.width}'d{field.value}",
                Access.RO: f"{signal}_i",
                Access.PULSE: f"{field.width}'d0",
            }.get(field.access, f"{signal}_q")
        )
        at = field.low + field.width
    if at < 32:
        parts.append(f"{32 - at}'d0")
    return parts[0] if len(parts) == 1 else f"{{{', '.join(reversed(parts))}}}"
