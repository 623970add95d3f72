// SPDX-License-Identifier: Apache-2.0
//
// hwf_prelu: parametric rectifier with one slope a channel, or one an element.
//
//   y = cast(x >= 0 ? x : slope[i mod Slopes] * x)    i: number of the value
//
// | parameter | legal         | meaning                                               |
// |-----------|---------------|-------------------------------------------------------|
// | Lanes     | divides Slopes | values a beat; one multiplier each                   |
// | Slopes    | >= 1          | slopes: channels of a pixel, or values of a frame     |
// | XW, XSigned, XFrac | 1..62, 0/1 | input bits, sign and fractional bits            |
// | SlopeW, SlopeFrac | 1..32 | slope bits (signed) and fractional bits               |
// | others    |               | see hwf_cast                                          |
// | SlopeFile | $readmemh     | Slopes/Lanes words of Lanes*SlopeW bits, lane 0 lowest     |
//
// Latency 3 cycles, II 1. s_axis_tready depends combinationally on m_axis_tready.

module hwf_prelu #(
  parameter int unsigned Lanes     = 1,
  parameter int unsigned Slopes    = 1,
  parameter int unsigned XW        = 16,
  parameter bit          XSigned   = 1'b1,
  parameter int          XFrac     = 8,
  parameter int unsigned SlopeW    = 8,
  parameter int          SlopeFrac = 6,
  parameter int unsigned YW        = 24,
  parameter bit          YSigned   = 1'b1,
  parameter int          YFrac     = 14,
  parameter int unsigned Rounding  = 0,
  parameter int unsigned Overflow  = 0,
  parameter              SlopeFile = ""
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
  if (Slopes % Lanes != 0) begin : gen_bad_lanes
    $fatal(1, "hwf_prelu: Lanes must divide Slopes");
  end

  localparam int unsigned Words = Slopes / Lanes;
  localparam int unsigned AddrW = (Words > 1) ? $clog2(Words) : 1;
  // The identity branch is brought to the grid of the product.
  localparam int unsigned Up    = (SlopeFrac > 0) ? unsigned'(SlopeFrac) : 0;
  localparam int unsigned Down  = (SlopeFrac < 0) ? unsigned'(-SlopeFrac) : 0;
  localparam int unsigned ProdW = ((XW + SlopeW + Down > XW + Up) ? XW + SlopeW + Down : XW + Up) + 1;

  logic [Lanes*SlopeW-1:0] slopes [Words];
  initial $readmemh(SlopeFile, slopes);

  logic [AddrW-1:0]        addr_q;
  logic [Lanes*SlopeW-1:0] slope_q;
  logic [Lanes*XW-1:0]     x_q;
  logic                    valid0_q, valid1_q, valid2_q, enable;

  // The three stages move together.
  assign enable        = ~valid2_q | m_axis_tready;
  assign s_axis_tready = enable;
  assign m_axis_tvalid = valid2_q;

  logic take;
  assign take = s_axis_tvalid & enable;

  always_ff @(posedge clk_i) begin
    if (enable) begin
      x_q     <= s_axis_tdata;
      slope_q <= slopes[addr_q];
    end
  end

  always_ff @(posedge clk_i) begin
    valid0_q <= rst_ni & (enable ? s_axis_tvalid : valid0_q);
    valid1_q <= rst_ni & (enable ? valid0_q : valid1_q);
    valid2_q <= rst_ni & (enable ? valid1_q : valid2_q);
    if (!rst_ni) addr_q <= '0;
    else addr_q <= (addr_q == AddrW'(Words - 1) && take) ? '0 : addr_q + AddrW'(take);
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    logic signed [XW:0]       x;
    logic signed [SlopeW-1:0] slope;
    logic signed [ProdW-1:0]  prod_q;
    assign x     = XSigned ? (XW+1)'(signed'(x_q[l*XW +: XW])) : (XW+1)'(x_q[l*XW +: XW]);
    assign slope = signed'(slope_q[l*SlopeW +: SlopeW]);
    always_ff @(posedge clk_i) begin
      if (enable) prod_q <= x[XW] ? ((ProdW'(x) * ProdW'(slope)) <<< Down) : (ProdW'(x) <<< Up);
    end
    hwf_cast #(
      .InW(ProdW), .InSigned(1'b1), .InFrac(XFrac + int'(Up)),
      .OutW(YW), .OutSigned(YSigned), .OutFrac(YFrac), .Rounding(Rounding), .Overflow(Overflow)
    ) u_cast (.clk_i, .en_i(enable), .x_i(prod_q), .y_o(m_axis_tdata[l*YW +: YW]));
  end
endmodule
