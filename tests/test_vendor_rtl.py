# SPDX-License-Identifier: Apache-2.0
"""``hwflow verify --rtl``: Verilog with the ports that Vitis HLS gives hls4ml's top function, in our harness.

The Verilog here is written by hand in that port convention: a dense layer of four inputs and three outputs, with its
weights in a ROM file, as a pipeline with back-pressure (``io_stream``) or without (``io_parallel``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from hwflow.cli.app import app
from hwflow.errors import EXIT_MISMATCH, EXIT_USER
from hwflow.ir.serialize import load_graph

pytestmark = [pytest.mark.tf, pytest.mark.sim, pytest.mark.slow]

N_IN, N_OUT = 4, 3
FACTORY = """
def make():
    import numpy as np
    from qkeras import QDense, quantized_bits
    from tensorflow.keras import Input, Model
    inputs = Input((4,), name="input_1")
    quantizer = quantized_bits(5, 0, alpha=1)
    model = Model(inputs, QDense(3, kernel_quantizer=quantizer, use_bias=False, name="fc")(inputs))
    model.set_weights([np.random.default_rng(4).integers(-16, 16, (4, 3)) / 16])
    return model
"""


def hwflow(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


class Run:
    """A run up to the C++ project, and Verilog for it."""

    def __init__(self, folder: Path, io_type: str) -> None:
        (folder / "tiny_net.py").write_text(FACTORY)
        self.design, self.folder = folder / "design.yaml", folder / "run"
        self.design.write_text(
            f"IOType: {io_type}\nProjectName: net\n"
            "Hwflow: {Model: {Source: 'tiny_net:make', Trust: true}, Data: {InputType: 'ap_fixed<6,1>'},"
            " Verify: {Frames: 9}}\n"
        )
        result = hwflow("run", self.design, "--out", self.folder, "--until", "hls")
        assert result.exit_code == 0, result.output
        self.interface: dict[str, Any] = json.loads((self.folder / "hls/interface.json").read_text())
        graph = load_graph(self.folder / "graph")
        self.weights = graph.node("fc").params["weight"].codes
        self.w_frac = graph.node("fc").params["weight"].type.frac

    @property
    def widths(self) -> tuple[int, int]:
        """Bits of an input and of an output element."""
        return self.interface["inputs"][0]["type"][1], self.interface["outputs"][0]["type"][1]

    def names(self) -> tuple[str, str]:
        """Arguments of the C++ function."""
        return self.interface["inputs"][0]["argument"], self.interface["outputs"][0]["argument"]

    def rom(self, folder: Path) -> None:
        """The weights as Vitis HLS writes a ROM."""
        folder.mkdir(parents=True, exist_ok=True)
        words = "".join(f"{int(code) & 0xFF:02x}\n" for code in self.weights.ravel())
        (folder / "net_w2_ROM_AUTO_1R.dat").write_text(words)

    def shift(self) -> int:
        """How far the sums must be shifted onto the output grid."""
        shift = self.interface["outputs"][0]["type"][2] - self.interface["inputs"][0]["type"][2] - self.w_frac
        assert shift >= 0
        return int(shift)


def stream_verilog(run: Run, folder: Path, each_in: int = 8, each_out: int = 16) -> Path:
    """An elastic register of results behind the sums; ports as of ``INTERFACE axis``."""
    (win, wout), (a, b) = run.widths, run.names()
    shift = run.shift()
    run.rom(folder)
    (folder / "net.v").write_text(f"""
`timescale 1 ns / 1 ps
module net ({a}_TDATA, {b}_TDATA, ap_clk, ap_rst_n, {a}_TVALID, {a}_TREADY, ap_start,
            {b}_TVALID, {b}_TREADY, ap_done, ap_ready, ap_idle);
input  [{N_IN * each_in - 1}:0] {a}_TDATA;
output [{N_OUT * each_out - 1}:0] {b}_TDATA;
input ap_clk, ap_rst_n, {a}_TVALID, ap_start, {b}_TREADY;
output {a}_TREADY, {b}_TVALID, ap_done, ap_ready, ap_idle;
reg [7:0] rom [0:{N_IN * N_OUT - 1}];
initial $readmemh("./net_w2_ROM_AUTO_1R.dat", rom);
reg ap_CS_fsm;
initial begin
#0 ap_CS_fsm = 1'd1;
end
reg full;
reg [{N_OUT * each_out - 1}:0] held;
integer i, j;
reg signed [31:0] sum;
assign {a}_TREADY = ap_start & (~full | {b}_TREADY);
assign {b}_TVALID = full;
assign {b}_TDATA = held;
assign ap_done = {b}_TVALID & {b}_TREADY;
assign ap_ready = {a}_TREADY & {a}_TVALID;
assign ap_idle = ~full;
always @(posedge ap_clk) begin
  if (~ap_rst_n) full <= 1'b0;
  else if ({a}_TREADY) full <= {a}_TVALID;
  if ({a}_TREADY) begin
    held <= {{{N_OUT * each_out}{{1'b1}}}}; // padding is whatever it is
    for (j = 0; j < {N_OUT}; j = j + 1) begin
      sum = 0;
      for (i = 0; i < {N_IN}; i = i + 1)
        sum = sum + $signed({a}_TDATA[i*{each_in} +: {win}]) * $signed(rom[i*{N_OUT}+j]);
      sum = sum <<< {shift};
      held[j*{each_out} +: {wout}] <= sum[{wout - 1}:0];
    end
  end
end
endmodule
""")
    return folder


def parallel_verilog(run: Run, folder: Path, vector: bool = True) -> Path:
    """A pipeline of three stages that takes a frame every second cycle; results come one element a cycle apart."""
    (win, wout), (a, b) = run.widths, run.names()
    shift = run.shift()
    run.rom(folder)
    inputs = [(a, N_IN * win)] if vector else [(f"{a}_{i}", win) for i in range(N_IN)]
    outputs = [f"{b}_{j}" for j in range(N_OUT)]
    names = [n for port, _ in inputs for n in (port, f"{port}_ap_vld")] + [
        n for o in outputs for n in (o, f"{o}_ap_vld")
    ]
    taken = f"{inputs[0][0]}_ap_vld"
    together = a if vector else "{" + ", ".join(name for name, _ in reversed(inputs)) + "}"
    (folder / "net.v").write_text("\n".join([
        "`timescale 1 ns / 1 ps",
        f"module net (ap_clk, ap_rst, ap_start, ap_done, ap_idle, ap_ready, {', '.join(names)});",
        "input ap_clk, ap_rst, ap_start;",
        "output ap_done, ap_idle, ap_ready;",
        *(f"input [{width - 1}:0] {name};\ninput {name}_ap_vld;" for name, width in inputs),
        *(f"output reg signed [{wout - 1}:0] {name};\noutput reg {name}_ap_vld;" for name in outputs),
        f"reg [7:0] rom [0:{N_IN * N_OUT - 1}];",
        'initial $readmemh("./net_w2_ROM_AUTO_1R.dat", rom);',
        f"reg second; reg [{N_OUT}:0] valid; reg [{N_IN * win - 1}:0] x, y;",
        f"wire [{N_IN * win - 1}:0] all = {together};",
        "assign ap_ready = ap_start & second; assign ap_idle = ~|valid;",
        f"assign ap_done = {outputs[-1]}_ap_vld;",
        "always @(posedge ap_clk) begin",
        "  if (ap_rst) begin second <= 0; valid <= 0; end",
        f"  else begin second <= ap_start & ~second; valid <= {{valid[{N_OUT - 1}:0], ap_ready & {taken}}}; end",
        "  if (ap_ready) x <= all;",
        "  if (valid[0]) y <= x;",
        *(
            f"  {name}_ap_vld <= valid[{j}]; if (valid[{j}]) {name} <= ("
            + " + ".join(
                f"$signed({'y' if j else 'x'}[{i * win}+:{win}]) * $signed(rom[{i * N_OUT + j}])"
                for i in range(N_IN)
            )
            + f") <<< {shift};"
            for j, name in enumerate(outputs)
        ),
        "end",
        "endmodule",
        "",
    ]))  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("stream"), "io_stream")


@pytest.fixture(scope="module")
def parallel(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("parallel"), "io_parallel")


def rungs(run: Run, rtl: Path) -> tuple[int, list[dict[str, Any]], str]:
    result = hwflow("verify", run.folder, "--rtl", rtl, "--json")
    assert result.exit_code in (0, EXIT_MISMATCH), result.output
    return result.exit_code, json.loads(result.stdout)["rungs"], result.stderr


def test_axi_streams_with_padded_elements(stream: Run, tmp_path: Path) -> None:
    # as Vitis leaves it: several levels below the project
    stream_verilog(stream, tmp_path / "net_prj/solution1/syn/verilog")
    code, records, text = rungs(stream, tmp_path)
    assert code == 0
    assert [(r["scope"], r["frames"], r["values"], r["mismatches"]) for r in records] == [
        ("output", 9, 27, 0), ("output under random stalls", 9, 27, 0),
    ]  # fmt: skip
    assert "latency 2 cycles, a frame every 1 cycles" in text


def test_axi_streams_of_other_paddings(stream: Run, tmp_path: Path) -> None:
    assert rungs(stream, stream_verilog(stream, tmp_path / "wide", 16, 32))[0] == 0
    packed_in, packed_out = stream.widths
    assert (N_IN * packed_in) % 8 == 0
    if (N_OUT * packed_out) % 8 == 0:
        assert rungs(stream, stream_verilog(stream, tmp_path / "packed", packed_in, packed_out))[0] == 0


@pytest.mark.parametrize("vector", [True, False])
def test_plain_wires_with_valid_pulses(parallel: Run, tmp_path: Path, vector: bool) -> None:
    code, records, text = rungs(parallel, parallel_verilog(parallel, tmp_path, vector))
    assert (code, [r["mismatches"] for r in records]) == (0, [0, 0])
    assert "a frame every 2 cycles" in text


@pytest.mark.parametrize(("fixture", "write"), [("stream", stream_verilog), ("parallel", parallel_verilog)])
def test_a_wrong_weight_is_told(
    fixture: str, write: Callable[..., Path], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    run = request.getfixturevalue(fixture)
    memory = write(run, tmp_path) / "net_w2_ROM_AUTO_1R.dat"
    lines = memory.read_text().splitlines()
    lines[4] = f"{int(lines[4], 16) ^ 1:02x}"  # input 1, output 1
    memory.write_text("\n".join(lines) + "\n")
    code, records, text = rungs(run, tmp_path)
    assert code == EXIT_MISMATCH
    golden = np.load(run.folder / "golden/output.npy")
    assert all(0 < r["mismatches"] <= len(golden) for r in records)
    assert (
        records[0]["first_difference"].startswith("layer fc, frame ")
        and "element [1]" in records[0]["first_difference"]
    )
    assert "vendor differs: first layer fc" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("_TREADY", "_READY"), "no port 'input_1_TREADY'; found input_1_TDATA"),
        (lambda text: text.replace("[31:0]", "[19:0]", 1),
         "port input_1_TDATA has 20 bits, which is no room for 4 elements of 6"),
        (lambda text: text.replace("input ap_clk", "input w9_q0, ap_clk").replace("(input_1", "(w9_q0, input_1", 1),
         "inputs that are neither data nor block control: w9_q0"),
        (lambda text: text.replace("module net (", "module other ("), "holds no module net (found other)"),
        (lambda text: text.replace("ap_rst_n", "ap_reset_n"), "no port 'ap_rst'"),
    ],
)  # fmt: skip
def test_other_ports_are_refused(
    stream: Run, tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    source = stream_verilog(stream, tmp_path) / "net.v"
    source.write_text(change(source.read_text()))
    result = hwflow("verify", stream.folder, "--rtl", tmp_path)
    assert result.exit_code == EXIT_USER, result.output
    assert message in " ".join(result.stderr.split())


def test_parallel_outputs_of_other_types_are_refused(parallel: Run, tmp_path: Path) -> None:
    source, wide = parallel_verilog(parallel, tmp_path) / "net.v", parallel.widths[1]
    source.write_text(
        source.read_text().replace(f"output reg signed [{wide - 1}:0]", f"output reg signed [{wide}:0]")
    )
    result = hwflow("verify", parallel.folder, "--rtl", tmp_path)
    assert result.exit_code == EXIT_USER
    assert f"has {wide + 1} bits, expected {wide}" in result.stderr


def test_missing_verilog_is_told(stream: Run, tmp_path: Path) -> None:
    result = hwflow("verify", stream.folder, "--rtl", tmp_path)
    assert result.exit_code == EXIT_USER
    assert "holds no net.v" in result.stderr and "net_prj/solution1/syn/verilog" in result.stderr
    result = hwflow("verify", stream.folder, "--rtl", tmp_path / "absent")
    assert result.exit_code == EXIT_USER and "is not a folder" in result.stderr
    result = hwflow("verify", stream.folder, "--rtl", tmp_path, "--locate")
    assert result.exit_code == EXIT_USER and "give one of them" in result.stderr


def test_a_design_is_brought_up_to_date_first(stream: Run, tmp_path: Path) -> None:
    result = hwflow(
        "verify", stream.design, "--out", stream.folder, "--rtl", stream_verilog(stream, tmp_path)
    )
    assert result.exit_code == 0, result.output
    assert "vendor" in result.stdout
