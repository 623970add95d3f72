// SPDX-License-Identifier: Apache-2.0
//
// bench_bare: the modules without an AXI-Stream of their own, side by side.
//
// hwf_cast with every rounding and overflow mode on a signed and an unsigned pair of grids, hwf_tlast for frames of
// one and of five beats, hwf_tap of a 40-bit stream.

module bench_bare (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             en_i,
  input  logic [7:0]       x_i,
  output logic [28*4-1:0]  signed_o,
  output logic [28*4-1:0]  unsigned_o,
  output logic [28*12-1:0] finer_o,
  output logic [3:0]       relu_o,
  input  logic             tvalid_i,
  input  logic             tready_i,
  output logic             tlast1_o,
  output logic             tlast5_o,
  input  logic [39:0]      tdata_i
);
  for (genvar r = 0; r < 7; r++) begin : gen_rounding
    for (genvar o = 0; o < 4; o++) begin : gen_overflow
      hwf_cast #(.InW(8), .InSigned(1'b1), .InFrac(5), .OutW(4), .OutSigned(1'b1), .OutFrac(2), .Rounding(r), .Overflow(o))
        u_signed (.clk_i, .en_i, .x_i, .y_o(signed_o[(r*4+o)*4 +: 4]));
      hwf_cast #(.InW(8), .InSigned(1'b0), .InFrac(2), .OutW(4), .OutSigned(1'b0), .OutFrac(1), .Rounding(r), .Overflow(o))
        u_unsigned (.clk_i, .en_i, .x_i, .y_o(unsigned_o[(r*4+o)*4 +: 4]));
      hwf_cast #(.InW(8), .InSigned(1'b1), .InFrac(-2), .OutW(12), .OutSigned(1'b1), .OutFrac(3), .Rounding(r), .Overflow(o))
        u_finer (.clk_i, .en_i, .x_i, .y_o(finer_o[(r*4+o)*12 +: 12]));
    end
  end
  hwf_cast #(.InW(8), .InSigned(1'b1), .InFrac(5), .OutW(4), .OutSigned(1'b0), .OutFrac(2), .Relu(1'b1), .Rounding(6), .Overflow(1))
    u_relu (.clk_i, .en_i, .x_i, .y_o(relu_o));
  hwf_tlast #(.Beats(1)) u_tlast1 (.clk_i, .rst_ni, .tvalid_i, .tready_i, .tlast_o(tlast1_o));
  hwf_tlast #(.Beats(5)) u_tlast5 (.clk_i, .rst_ni, .tvalid_i, .tready_i, .tlast_o(tlast5_o));
  hwf_tap #(.Width(40), .Name("probe")) u_tap (.clk_i, .rst_ni, .tdata_i, .tvalid_i, .tready_i);
endmodule
