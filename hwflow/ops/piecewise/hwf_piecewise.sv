// SPDX-License-Identifier: Apache-2.0
//
// hwf_piecewise: activation of three straight pieces with a cast to the output grid, lane by lane.
//
//   y = cast(Slope_p * x + Offset_p)    p = 0 below Start1, 1 below Start2, else 2
//
// The products are with constants. Two pieces are three with the last one given twice.
//
// | parameter | legal         | meaning                                                         |
// |-----------|---------------|-----------------------------------------------------------------|
// | Lanes     | >= 1          | values a beat                                                   |
// | XW, XSigned | 1..31, 0/1  | input bits, sign                                                |
// | Start1, Start2 | ascending | first input codes of the pieces 1 and 2                        |
// | Slope0..2, Offset0..2 | 32 bits | codes of the pieces' constants                            |
// | ProductUp, OffsetUp | >= 0 | left shifts that bring product and offset to the grid SumFrac   |
// | SumW      | > XW + 1      | bits of the exact result, signed                                |
// | others    |               | see hwf_cast                                                    |
//
// Latency 2 cycles, II 1. s_axis_tready depends combinationally on m_axis_tready.

module hwf_piecewise #(
  parameter int unsigned Lanes     = 1,
  parameter int unsigned XW        = 8,
  parameter bit          XSigned   = 1'b1,
  parameter int          Start1    = 0,
  parameter int          Start2    = 1,
  parameter int          Slope0    = 0,
  parameter int          Slope1    = 1,
  parameter int          Slope2    = 0,
  parameter int          Offset0   = 0,
  parameter int          Offset1   = 0,
  parameter int          Offset2   = 0,
  parameter int unsigned ProductUp = 0,
  parameter int unsigned OffsetUp  = 0,
  parameter int unsigned SumW      = 16,
  parameter int          SumFrac   = 0,
  parameter int unsigned YW        = 8,
  parameter bit          YSigned   = 1'b1,
  parameter int          YFrac     = 0,
  parameter int unsigned Rounding  = 0,
  parameter int unsigned Overflow  = 0
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [Lanes*XW-1:0] s_axis_tdata,
  input  logic                s_axis_tvalid,
  output logic                s_axis_tready,
  output logic [Lanes*YW-1:0] m_axis_tdata,
  output logic                m_axis_tvalid,
  input  logic                m_axis_tready
);
  if (SumW < XW + 2) begin : gen_bad_sum
    $fatal(1, "hwf_piecewise: SumW must exceed XW + 1");
  end

  logic valid0_q, valid1_q, enable;

  assign enable        = ~valid1_q | m_axis_tready;
  assign s_axis_tready = enable;
  assign m_axis_tvalid = valid1_q;

  // Sums are right modulo 2^SumW, and the exact result fits.
  function automatic logic signed [SumW-1:0] sum(input logic [XW-1:0] x);
    logic signed [XW+1:0]   code;
    logic signed [SumW-1:0] wide, product, offset;
    code = XSigned ? (XW+2)'(signed'(x)) : (XW+2)'(x);
    wide = SumW'(code);
    if (code < (XW+2)'(Start1)) begin
      product = wide * SumW'(Slope0);
      offset  = SumW'(Offset0);
    end else if (code < (XW+2)'(Start2)) begin
      product = wide * SumW'(Slope1);
      offset  = SumW'(Offset1);
    end else begin
      product = wide * SumW'(Slope2);
      offset  = SumW'(Offset2);
    end
    sum = (product <<< ProductUp) + (offset <<< OffsetUp);
  endfunction

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    logic signed [SumW-1:0] sum_q;
    always_ff @(posedge clk_i) begin
      if (enable) sum_q <= sum(s_axis_tdata[l*XW +: XW]);
    end
    hwf_cast #(
      .InW(SumW), .InSigned(1'b1), .InFrac(SumFrac),
      .OutW(YW), .OutSigned(YSigned), .OutFrac(YFrac), .Rounding(Rounding), .Overflow(Overflow)
    ) u_cast (.clk_i, .en_i(enable), .x_i(sum_q), .y_o(m_axis_tdata[l*YW +: YW]));
  end

  always_ff @(posedge clk_i) begin
    valid0_q <= rst_ni & (enable ? s_axis_tvalid : valid0_q);
    valid1_q <= rst_ni & (enable ? valid0_q : valid1_q);
  end
endmodule
