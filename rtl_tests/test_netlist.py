# SPDX-License-Identifier: Apache-2.0
"""The netlist that Yosys maps a module to gives the same codes as its RTL: every operation, and block RAMs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwflow.emit.design import build_design
from hwflow.emit.rtl import write_rtl
from hwflow.errors import ToolError, VerificationError
from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.ops.base import Case
from hwflow.ops.casekit import case_graph, random_codes
from hwflow.ops.registry import ops
from hwflow.tools.paths import sim_dir
from hwflow.tools.runner import run_tool
from hwflow.tools.verilator import QUICK, lint, verilate
from hwflow.verify.compare import compare, typed
from hwflow.verify.golden import run_golden
from hwflow.verify.netlist import write_netlist, write_netlist_folder
from hwflow.verify.rtlsim import RtlSimulator

#: Parameter points of an operation, the cheapest ones.
POINTS = 2
FRAMES = 4


def _work(case: Case) -> int:
    """What a case costs to synthesize and to simulate, roughly: constants, and values that pass."""
    constants = sum(param.codes.size for param in case.node.params.values())
    values = [node.pixels * node.channels for node in (*case.inputs, case.node)]
    return 8 * constants // case.node.reuse_factor + constants + sum(values)


def _every_operation() -> QuantGraph:
    """The cheapest cases of all operations side by side, each with inputs and an output of its own."""
    nodes: list[QuantNode] = []
    outputs = []
    for name, spec in ops().items():
        for number, case in enumerate(sorted(spec.cases(), key=_work)[:POINTS] if spec.modules else ()):
            prefix = f"{name}{number}_"
            for node in case_graph(case):
                inputs = tuple(prefix + source for source in node.inputs)
                nodes.append(replace(node, name=prefix + node.name, inputs=inputs))
            outputs.append(nodes[-1].name)
    return QuantGraph("every_operation", tuple(nodes), tuple(outputs))


@pytest.mark.sim
@pytest.mark.synth
@pytest.mark.slow
@pytest.mark.xdist_group("netlist")
def test_every_operation(tmp_path: Path, seed: int) -> None:
    design = build_design(_every_operation())
    graph = design.graph
    assert {graph.node(name).op for name in graph.outputs} == {
        name for name, spec in ops().items() if spec.modules
    }
    write_rtl(design, tmp_path / "rtl")
    write_netlist_folder(tmp_path / "rtl", tmp_path / "netlist", tmp_path / "yosys.log")
    cells = json.loads((tmp_path / "netlist/cells.json").read_text())["design"]["num_cells_by_type"]
    assert cells["DSP48E1"] > 0 and cells["FDRE"] > 0  # multipliers and registers are those of the family
    rng = np.random.default_rng(seed)
    codes = {}
    for node in map(graph.node, graph.inputs):
        codes[node.name] = random_codes(rng, (FRAMES, *node.shape), node.type)
    golden = typed(graph, run_golden(graph, codes))
    simulator = RtlSimulator(tmp_path / "netlist", tmp_path / "verilator.log")
    simulator.build(flags=QUICK)
    for idle, stall in ((0, 0), (400, 400)):
        found = typed(graph, simulator.run(codes, idle=idle, stall=stall, seed=seed).outputs)
        record = compare("netlist", "output", golden, found)
        assert (record.mismatches, record.tensors) == (0, len(graph.outputs)), record.first_difference


BLOCK_RAMS = """
// SPDX-License-Identifier: Apache-2.0
// Memories that must become block RAM: ROMs of several widths, a simple and a true dual port.
module rams #(parameter File = "") (
  input  logic        clk_i,
  input  logic [11:0] a_i, b_i,
  input  logic        en_i, we_i, we2_i, rst_i,
  input  logic [35:0] d_i, e_i,
  output logic [35:0] wide_o, sdp_o, tdp_a_o, tdp_b_o,
  output logic [8:0]  rom9_o,
  output logic        rom1_o,
  output logic [63:0] deep_o
);
  (* rom_style = "block" *) logic [8:0] rom9[4096];
  initial $readmemh(File, rom9);
  (* rom_style = "block" *) logic rom1[2048];
  initial for (int i = 0; i < 2048; i++) rom1[i] = ^(i * 37 + 5);
  (* rom_style = "block" *) logic [35:0] wide[1024];
  initial for (int i = 0; i < 1024; i++) wide[i] = {i[9:0] * 10'd13, ~i[9:0], i[9:0], 6'(i * 11)};
  (* ram_style = "block" *) logic [35:0] sdp[1024];
  initial for (int i = 0; i < 1024; i++) sdp[i] = 36'(i * 77);
  (* ram_style = "block" *) logic [63:0] deep[512];
  initial for (int i = 0; i < 512; i++) deep[i] = {32'(i * 3), 32'(i * 5)};
  (* ram_style = "block" *) logic [35:0] tdp[1024];
  initial for (int i = 0; i < 1024; i++) tdp[i] = 36'(i * 991);
  always_ff @(posedge clk_i) begin
    if (en_i) rom9_o <= rom9[a_i];
    if (en_i) rom1_o <= rst_i ? 1'b1 : rom1[b_i[10:0]];
    wide_o <= wide[a_i[9:0]];
    if (we_i) sdp[a_i[9:0]] <= d_i;
    sdp_o <= sdp[b_i[9:0]];
    if (we_i) deep[a_i[8:0]] <= {d_i[27:0], e_i};
    if (en_i) deep_o <= rst_i ? 64'h0123_4567_89ab_cdef : deep[b_i[8:0]];
  end
  always_ff @(posedge clk_i) begin
    if (we_i) tdp[a_i[9:0]] <= d_i;
    tdp_a_o <= tdp[a_i[9:0]];
  end
  always_ff @(posedge clk_i) begin
    if (we2_i) tdp[{1'b1, b_i[8:0]}] <= e_i;
    tdp_b_o <= tdp[{1'b1, b_i[8:0]}];
  end
endmodule
"""

#: Both side by side on random stimuli (xorshift); the two ports of the true dual port never share a word.
PAIR = """
module pair (input logic clk_i, output logic [31:0] wrong_o);
  logic [127:0] lfsr = 128'h1, x, y;
  assign x = lfsr ^ (lfsr << 23);
  assign y = x ^ (x >> 17);
  always_ff @(posedge clk_i) lfsr <= y ^ (y << 26);
  wire [11:0] a = {lfsr[11:10], 1'b0, lfsr[8:0]};
  logic [217:0] rtl, mapped;
  rams_rtl #(.File("rom9.mem")) u_rtl (
    .clk_i, .a_i(a), .b_i(lfsr[23:12]), .en_i(lfsr[24]), .we_i(lfsr[25]), .we2_i(lfsr[26]), .rst_i(&lfsr[28:27]),
    .d_i(lfsr[65:30]), .e_i(lfsr[101:66]), .wide_o(rtl[35:0]), .sdp_o(rtl[71:36]), .tdp_a_o(rtl[107:72]),
    .tdp_b_o(rtl[143:108]), .rom9_o(rtl[152:144]), .rom1_o(rtl[153]), .deep_o(rtl[217:154]));
  rams u_mapped (
    .clk_i, .a_i(a), .b_i(lfsr[23:12]), .en_i(lfsr[24]), .we_i(lfsr[25]), .we2_i(lfsr[26]), .rst_i(&lfsr[28:27]),
    .d_i(lfsr[65:30]), .e_i(lfsr[101:66]), .wide_o(mapped[35:0]), .sdp_o(mapped[71:36]), .tdp_a_o(mapped[107:72]),
    .tdp_b_o(mapped[143:108]), .rom9_o(mapped[152:144]), .rom1_o(mapped[153]), .deep_o(mapped[217:154]));
  logic [15:0] cycles = 0;
  initial wrong_o = 0;
  always_ff @(posedge clk_i) begin
    cycles <= cycles + 1;
    if (cycles > 200 && rtl != mapped) begin  // by then everything has been read once
      wrong_o <= wrong_o + 1;
      if (wrong_o < 5) $display("cycle %0d: rtl %h netlist %h", cycles, rtl, mapped);
    end
  end
endmodule
"""

MAIN = """
#include "Vtop.h"
#include "verilated.h"
int main() {
  Vtop top;
  for (int i = 0; i < 40000; i++) {
    top.clk_i = i & 1;
    top.eval();
  }
  return top.wrong_o ? 1 : 0;
}
"""


def _pair(folder: Path, files: list[Path]) -> None:
    """Simulate RTL and netlist side by side."""
    (folder / "rams_rtl.sv").write_text(BLOCK_RAMS.replace("module rams ", "module rams_rtl "))
    (folder / "pair.sv").write_text(PAIR)
    (folder / "main.cpp").write_text(MAIN)
    sources = [*files, folder / "rams_rtl.sv", folder / "pair.sv"]
    flags = [*QUICK, "-Wno-fatal", "--no-timing"]
    main = [folder / "main.cpp"]
    program = verilate(sources, main, "pair", cache=folder / "cache", log=folder / "v.log", flags=flags)
    run_tool([program], log=folder / "pair.log", tool="pair", cwd=folder)


@pytest.mark.sim
@pytest.mark.synth
@pytest.mark.xdist_group("netlist")
def test_block_rams_behave_as_the_memories_they_hold(tmp_path: Path) -> None:
    (tmp_path / "rams.sv").write_text(BLOCK_RAMS)
    (tmp_path / "rom9.mem").write_text("".join(f"{(i * 41 + 3) % 512:x}\n" for i in range(4096)))
    files = write_netlist(
        [tmp_path / "rams.sv"],
        "rams",
        tmp_path / "mapped",
        tmp_path / "y.log",
        params={"File": "rom9.mem"},
        cwd=tmp_path,
    )
    cells = json.loads((tmp_path / "mapped/cells.json").read_text())["design"]["num_cells_by_type"]
    assert sum(count for name, count in cells.items() if name.startswith("RAMB")) >= 6, cells
    _pair(tmp_path, files)
    # One wrong bit of the contents is seen.
    netlist = files[-1]
    text = netlist.read_text()
    place = text.index(".INIT_05(256'h") + len(".INIT_05(256'h")
    netlist.write_text(text[:place] + format(int(text[place], 16) ^ 1, "x") + text[place + 1 :])
    with pytest.raises(ToolError, match="pair failed with exit code 1"):
        _pair(tmp_path, files)


@pytest.mark.sim
@pytest.mark.parametrize(
    ("file", "params"),
    [
        ("cells/hwf_sim_bram.sv", {"ReadA": 9, "WriteB": 18}),
        ("cells/hwf_sim_bram.sv", {"Sdp": 1, "ReadA": 72, "WriteB": 72}),
        ("cells/hwf_sim_bram.sv", {"ReadA": 36, "WriteA": 36, "ReadB": 1, "WriteB": 1}),
        ("vendor/hwf_vld_fifo.sv", {"Lanes": 3}),
    ],
)
def test_models_are_free_of_warnings(file: str, params: dict[str, int], tmp_path: Path) -> None:
    path, waivers = sim_dir() / file, sim_dir() / "verilator" / "waivers.vlt"
    lint([path], path.stem, log=tmp_path / "lint.log", params=params, waivers=[waivers])


@pytest.mark.synth
def test_a_cell_without_a_model_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "strange.v"
    source.write_text(
        "(* blackbox *) module STRANGE(input a, output b); endmodule\n"
        "module net(input a, output b); STRANGE u(.a, .b); endmodule\n"
    )
    with pytest.raises(VerificationError, match="without a simulation model: STRANGE"):
        write_netlist([source], "net", tmp_path / "out", tmp_path / "y.log")


FACTORY = """
def make(seed):
    from qkeras import QActivation, QConv2D, QDense, quantized_bits
    from tensorflow.keras import Sequential, layers, utils
    utils.set_random_seed(seed)
    def quantizer():
        return quantized_bits(4, 0, alpha=1)
    return Sequential([
        QConv2D(3, 3, kernel_quantizer=quantizer(), bias_quantizer=quantizer(), name="conv", input_shape=(5, 5, 2)),
        QActivation("quantized_bits(5,2,alpha=1)", name="act"),
        layers.Flatten(name="flat"),
        QDense(3, kernel_quantizer=quantizer(), bias_quantizer=quantizer(), name="fc"),
    ])
"""


@pytest.mark.tf
@pytest.mark.sim
@pytest.mark.synth
def test_a_network_runs_as_netlist_when_its_design_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hwflow.config.load import load_config
    from hwflow.flow.runner import Flow
    from hwflow.flow.steps import STEPS
    from hwflow.report.render import render_report
    from hwflow.verify import netlist

    (tmp_path / "small_cnn.py").write_text(FACTORY)
    design, run = tmp_path / "design.yaml", tmp_path / "run"
    design.write_text(
        "HLSConfig: {LayerName: {conv: {ReuseFactor: 9}, fc: {ReuseFactor: 27}}}\n"
        "Hwflow: {Model: {Source: 'small_cnn:make', Trust: true}, Data: {InputType: 'ap_fixed<5,1>'},"
        " Verify: {Frames: 3, Csim: false, Rtl: false, Netlist: true}}\n"
    )
    flow = Flow(STEPS, finish=render_report)
    result = flow.run(load_config(design), config_path=design, out=run)
    figures = {metric.name: metric.value for metric in result.metrics}
    assert figures["verify.netlist.mismatches"] == 0
    rungs = [
        (r["scope"], r["frames"], r["values"]) for r in json.loads((run / "verify/netlist.json").read_text())
    ]
    assert rungs == [("output", 2, 6), ("output under random stalls", 2, 6)]
    assert "synthesized netlist, output" in (run / "report.html").read_text()

    write = netlist.write_netlist_folder

    def broken(rtl: Path, folder: Path, log: Path) -> None:
        """Bit 0 of every output beat is wrong."""
        write(rtl, folder, log)
        head, body = (folder / "netlist.v").read_text().replace("m_axis_tdata", "inner").split(";", 1)
        ports = re.search(r"output (\[.*?\]) inner;", body)
        assert ports
        wrong = f"output {ports[1]} m_axis_tdata; assign m_axis_tdata = inner ^ 1;"
        text = head.replace("inner", "m_axis_tdata") + ";" + body.replace(ports[0], wrong)
        (folder / "netlist.v").write_text(text)

    monkeypatch.setattr(netlist, "write_netlist_folder", broken)
    with pytest.raises(VerificationError, match="netlist differs from the golden model in 6 of 6 codes"):
        flow.run(load_config(design), config_path=design, out=run, first="netlist")
