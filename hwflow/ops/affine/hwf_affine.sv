// SPDX-License-Identifier: Apache-2.0
//
// hwf_affine: scale and offset a channel, which is what a batch normalization computes.
//
//   y = cast(scale[c] * x + bias[c])
//
// | parameter | legal         | meaning                                               |
// |-----------|---------------|-------------------------------------------------------|
// | Lanes     | divides C     | values a beat; one multiplier each                    |
// | C         | >= 1          | channels                                              |
// | XW, XSigned | 1..63, 0/1  | input bits, sign                                      |
// | ScaleW    | 1..32         | scale bits, signed                                    |
// | ProdFrac  | integer       | fractional bits of scale * x                          |
// | BiasW     | 2..64         | bias bits, signed, on the grid SumFrac                |
// | SumW      | >= XW+ScaleW  | bits of the sum, signed, on the grid SumFrac >= ProdFrac |
// | others    |               | see hwf_cast                                          |
// | ScaleFile | $readmemh     | C/Lanes words of Lanes*ScaleW bits, lane 0 lowest     |
// | BiasFile  | $readmemh     | C/Lanes words of Lanes*BiasW bits, lane 0 lowest      |
//
// Latency 4 cycles, II 1. s_axis_tready depends combinationally on m_axis_tready.

module hwf_affine #(
  parameter int unsigned Lanes     = 1,
  parameter int unsigned C         = 1,
  parameter int unsigned XW        = 16,
  parameter bit          XSigned   = 1'b1,
  parameter int unsigned ScaleW    = 8,
  parameter int          ProdFrac  = 14,
  parameter int unsigned BiasW     = 8,
  parameter int unsigned SumW      = 26,
  parameter int          SumFrac   = 14,
  parameter int unsigned YW        = 24,
  parameter bit          YSigned   = 1'b1,
  parameter int          YFrac     = 14,
  parameter int unsigned Rounding  = 0,
  parameter int unsigned Overflow  = 0,
  parameter              ScaleFile = "",
  parameter              BiasFile  = ""
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
  if (C % Lanes != 0) begin : gen_bad_lanes
    $fatal(1, "hwf_affine: Lanes must divide C");
  end
  if (SumFrac < ProdFrac) begin : gen_bad_frac
    $fatal(1, "hwf_affine: SumFrac is below ProdFrac");
  end

  localparam int unsigned Words = C / Lanes;
  localparam int unsigned AddrW = (Words > 1) ? $clog2(Words) : 1;
  localparam int unsigned Up    = unsigned'(SumFrac - ProdFrac);
  localparam int unsigned ProdW = XW + ScaleW;

  logic [Lanes*ScaleW-1:0] scales [Words];
  logic [Lanes*BiasW-1:0]  biases [Words];
  initial $readmemh(ScaleFile, scales);
  initial $readmemh(BiasFile, biases);

  logic [AddrW-1:0]        addr_q;
  logic [Lanes*ScaleW-1:0] scale_q;
  logic [Lanes*BiasW-1:0]  bias0_q, bias1_q;
  logic [Lanes*XW-1:0]     x_q;
  logic [2:0]              valid_q;
  logic                    out_valid_q, enable, take;

  // The stages move together.
  assign enable        = ~out_valid_q | m_axis_tready;
  assign take          = s_axis_tvalid & enable;
  assign s_axis_tready = enable;
  assign m_axis_tvalid = out_valid_q;

  always_ff @(posedge clk_i) begin
    if (enable) begin
      x_q     <= s_axis_tdata;
      scale_q <= scales[addr_q];
      bias0_q <= biases[addr_q];
      bias1_q <= bias0_q;
    end
  end

  always_ff @(posedge clk_i) begin
    valid_q     <= {3{rst_ni}} & (enable ? {valid_q[1:0], s_axis_tvalid} : valid_q);
    out_valid_q <= rst_ni & (enable ? valid_q[2] : out_valid_q);
    if (!rst_ni) addr_q <= '0;
    else addr_q <= (addr_q == AddrW'(Words - 1) && take) ? '0 : addr_q + AddrW'(take);
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    logic signed [XW:0]       x;
    logic signed [ScaleW-1:0] scale;
    logic signed [BiasW-1:0]  bias;
    logic signed [ProdW-1:0]  prod_q;
    logic signed [SumW-1:0]   sum_q;
    assign x     = XSigned ? (XW + 1)'(signed'(x_q[l*XW +: XW])) : {1'b0, x_q[l*XW +: XW]};
    assign scale = signed'(scale_q[l*ScaleW +: ScaleW]);
    assign bias  = signed'(bias1_q[l*BiasW +: BiasW]);
    always_ff @(posedge clk_i) begin
      if (enable) begin
        prod_q <= ProdW'(x) * ProdW'(scale);
        sum_q  <= (SumW'(prod_q) <<< Up) + SumW'(bias);
      end
    end
    hwf_cast #(
      .InW(SumW), .InSigned(1'b1), .InFrac(SumFrac),
      .OutW(YW), .OutSigned(YSigned), .OutFrac(YFrac), .Rounding(Rounding), .Overflow(Overflow)
    ) u_cast (.clk_i, .en_i(enable), .x_i(sum_q), .y_o(m_axis_tdata[l*YW +: YW]));
  end
endmodule
