# SPDX-License-Identifier: Apache-2.0
"""An accelerator behind a serial line: a shell with five pins, for boards and for place and route of any design.

The host sends a frame beat by beat, each in whole bytes, low byte first, and reads the result likewise. A serial
line cannot be held back, and need not be: the accelerator takes a frame in any period from its initiation interval on
without stalling a steady source (:mod:`hwflow.emit.schedule`), and the baud rate is chosen so that a frame takes longer
than that. Results wait in a FIFO of one frame. A break on the line restarts the accelerator.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

from hwflow.emit.design import Design, Stream
from hwflow.emit.rtl import bus_width
from hwflow.errors import ConfigError, UserError, did_you_mean
from hwflow.tools.targets import TARGETS, Target

#: Library modules of the shell.
SHELL_MODULES = ("hwf_uart", "hwf_dwc", "hwf_fifo")
#: Rates that serial ports of hosts offer, baud.
BAUDS = (115_200, 230_400, 460_800, 921_600, 1_000_000, 2_000_000, 3_000_000)
#: Largest deviation of a rate that a receiver takes: half a bit over the ten of a byte, shared by both ends.
_TOLERANCE = 0.02
#: Fewest clock cycles a bit that the receiver samples well.
_MIN_DIVIDER = 4
#: Beats that wait in front of the accelerator while it is between two pixels.
_INPUT_BEATS = 16


class Board(BaseModel):
    """A board with an FPGA, a clock and a serial line.

    Parameters
    ----------
    title : str
        In words.
    target : str
        FPGA family, a key of :data:`hwflow.tools.targets.TARGETS`.
    device : tuple of str
        Arguments of place and route that name the device.
    clock_mhz : float
        Frequency of the clock pin, MHz.
    pins : mapping of str to str
        Site of each port of the shell.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    target: str
    device: tuple[str, ...]
    clock_mhz: Annotated[float, Field(gt=0)]
    pins: dict[str, str]

    @property
    def family(self) -> Target:
        """What synthesis calls the FPGA family."""
        return TARGETS[self.target]


@cache
def boards() -> dict[str, Board]:
    """Known boards by name."""
    text = resources.files("hwflow.synth").joinpath("data/boards.yaml").read_text()
    return {name: Board.model_validate(fields) for name, fields in yaml.safe_load(text).items()}


def find_board(name: str) -> Board:
    """The board of that name.

    Raises
    ------
    ConfigError
        When there is none; with the nearest names.
    """
    if name not in boards():
        raise ConfigError(f"the board {name!r} is not known", did_you_mean(name, boards()))
    return boards()[name]


def shell_name(design: Design) -> str:
    """Name of the shell's module."""
    return f"{design.name}_serial"


def bytes_per_frame(design: Design) -> tuple[int, int]:
    """Bytes over the line in each direction, a frame.

    Raises
    ------
    UserError
        When the accelerator has several inputs or outputs.
    """
    if len(design.inputs) != 1 or len(design.outputs) != 1:
        raise UserError(
            f"the accelerator has {len(design.inputs)} inputs and {len(design.outputs)} outputs; "
            "a serial line carries one of each",
            "connect its AXI-Stream ports in a design of your own",
        )

    def count(name: str, stream: Stream) -> int:
        node = design.graph.node(name)
        return node.pixels * node.channels // stream.lanes * bus_width(stream) // 8

    return count(design.graph.inputs[0], design.inputs[0]), count(design.graph.outputs[0], design.outputs[0])


def choose_baud(design: Design, clock_mhz: float) -> int:
    """Highest usual rate at which the accelerator keeps up with the line.

    Parameters
    ----------
    design : Design
        The accelerator.
    clock_mhz : float
        Its clock, MHz.

    Raises
    ------
    UserError
        When even the lowest is too fast.

    Notes
    -----
    A frame of n bytes takes 10 n / baud; the accelerator needs its interval, 1.02 of the bound at most.
    """
    n_in, _ = bytes_per_frame(design)
    needed = 1.02 * design.plan.ii_bound / (clock_mhz * 1e6)
    for baud in reversed(BAUDS):
        cycles = clock_mhz * 1e6 / baud
        exact = abs(round(cycles) / cycles - 1) <= _TOLERANCE
        if round(cycles) >= _MIN_DIVIDER and exact and 10 * n_in / baud >= needed:
            return baud
    raise UserError(
        f"a frame takes {needed * 1e3:.3g} ms at {clock_mhz:g} MHz, longer than the line needs for its {n_in:,} bytes "
        f"at {BAUDS[0]:,} baud",
        "choose smaller reuse factors: `hwflow tune` finds them for a rate",
    )


def shell_source(design: Design, divider: int) -> str:
    """SystemVerilog of the shell.

    Parameters
    ----------
    design : Design
        The accelerator, one input and one output.
    divider : int
        Clock cycles of one bit.
    """
    _, n_out = bytes_per_frame(design)
    in_bytes, out_bytes = bus_width(design.inputs[0]) // 8, bus_width(design.outputs[0]) // 8
    return f"""\
// SPDX-License-Identifier: Apache-2.0
//
// {shell_name(design)}: {design.name} behind a serial line, 8N1, {divider} clock cycles a bit.
// Beats of {in_bytes} bytes in and of {out_bytes} bytes out, low byte first; formats: interface.json.
// A break, or rst_ni, restarts it. overrun_o: a byte was lost.

module {shell_name(design)} (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic rxd_i,
  output logic txd_o,
  output logic overrun_o
);
  logic [1:0] button_q;
  logic       rst_uart_nq, rst_nq;
  logic       line_break;

  logic [7:0] rx_data, tx_data;
  logic       rx_valid, rx_ready, tx_valid, tx_ready;

  logic [{8 * in_bytes - 1}:0] beat_data, in_data;
  logic beat_valid, beat_ready, in_valid, in_ready;
  logic [{8 * out_bytes - 1}:0] out_data, result_data;
  logic out_valid, out_ready, result_valid, result_ready;
  logic unused_last;

  always_ff @(posedge clk_i) begin
    button_q    <= {{button_q[0], rst_ni}};
    rst_uart_nq <= button_q[1];
    rst_nq      <= rst_uart_nq & ~line_break;
  end

  hwf_uart #(.Divider({divider})) u_uart (
    .clk_i, .rst_ni(rst_uart_nq), .rxd_i, .txd_o,
    .s_axis_tdata(tx_data), .s_axis_tvalid(tx_valid), .s_axis_tready(tx_ready),
    .m_axis_tdata(rx_data), .m_axis_tvalid(rx_valid), .m_axis_tready(rx_ready),
    .overrun_o, .break_o(line_break)
  );

  hwf_dwc #(.LaneW(8), .InLanes(1), .OutLanes({in_bytes})) u_beat (
    .clk_i, .rst_ni(rst_nq),
    .s_axis_tdata(rx_data), .s_axis_tvalid(rx_valid), .s_axis_tready(rx_ready),
    .m_axis_tdata(beat_data), .m_axis_tvalid(beat_valid), .m_axis_tready(beat_ready)
  );

  hwf_fifo #(.Width({8 * in_bytes}), .Depth({_INPUT_BEATS})) u_in (
    .clk_i, .rst_ni(rst_nq),
    .s_axis_tdata(beat_data), .s_axis_tvalid(beat_valid), .s_axis_tready(beat_ready),
    .m_axis_tdata(in_data), .m_axis_tvalid(in_valid), .m_axis_tready(in_ready)
  );

  {design.name} u_{design.name} (
    .clk_i, .rst_ni(rst_nq),
    .s_axis_tdata(in_data), .s_axis_tvalid(in_valid), .s_axis_tready(in_ready),
    .m_axis_tdata(out_data), .m_axis_tvalid(out_valid), .m_axis_tready(out_ready), .m_axis_tlast(unused_last)
  );

  hwf_fifo #(.Width({8 * out_bytes}), .Depth({max(2, n_out // out_bytes)})) u_out (
    .clk_i, .rst_ni(rst_nq),
    .s_axis_tdata(out_data), .s_axis_tvalid(out_valid), .s_axis_tready(out_ready),
    .m_axis_tdata(result_data), .m_axis_tvalid(result_valid), .m_axis_tready(result_ready)
  );

  hwf_dwc #(.LaneW(8), .InLanes({out_bytes}), .OutLanes(1)) u_bytes (
    .clk_i, .rst_ni(rst_nq),
    .s_axis_tdata(result_data), .s_axis_tvalid(result_valid), .s_axis_tready(result_ready),
    .m_axis_tdata(tx_data), .m_axis_tvalid(tx_valid), .m_axis_tready(tx_ready)
  );
endmodule
"""


def lpf(board: Board) -> str:
    """Pins and clock in the format of ECP5's tools."""
    lines = [f'FREQUENCY PORT "clk_i" {board.clock_mhz:g} MHZ;']
    for port, site in board.pins.items():
        lines += [
            f'LOCATE COMP "{port}" SITE "{site}";',
            f'IOBUF PORT "{port}" IO_TYPE=LVCMOS33 PULLMODE=UP;',
        ]
    return "\n".join(lines) + "\n"
