// SPDX-License-Identifier: Apache-2.0
//
// hwf_activation: linear or rectified activation with a cast to the output grid, lane by lane.
//
//   y = cast(Relu ? max(x, 0) : x)
//
// | parameter | legal | meaning                         |
// |-----------|-------|---------------------------------|
// | Lanes     | >= 1  | values a beat                   |
// | Relu      | 0, 1  | clamp negative values to zero   |
// | others    |       | see hwf_cast                    |
//
// Latency 1 cycle, II 1. s_axis_tready depends combinationally on m_axis_tready.

module hwf_activation #(
  parameter int unsigned Lanes    = 1,
  parameter bit          Relu     = 1'b0,
  parameter int unsigned XW       = 16,
  parameter bit          XSigned  = 1'b1,
  parameter int          XFrac    = 8,
  parameter int unsigned YW       = 8,
  parameter bit          YSigned  = 1'b1,
  parameter int          YFrac    = 4,
  parameter int unsigned Rounding = 0,
  parameter int unsigned Overflow = 0
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
  logic valid_q;

  assign s_axis_tready = ~valid_q | m_axis_tready;
  assign m_axis_tvalid = valid_q;

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    hwf_cast #(
      .InW(XW), .InSigned(XSigned), .InFrac(XFrac), .OutW(YW), .OutSigned(YSigned), .OutFrac(YFrac),
      .Relu(Relu), .Rounding(Rounding), .Overflow(Overflow)
    ) u_cast (.clk_i, .en_i(s_axis_tready), .x_i(s_axis_tdata[l*XW +: XW]), .y_o(m_axis_tdata[l*YW +: YW]));
  end

  always_ff @(posedge clk_i) begin
    valid_q <= rst_ni & (s_axis_tready ? s_axis_tvalid : valid_q);
  end
endmodule
