// SPDX-License-Identifier: Apache-2.0
//
// hwf_merge: a function of two streams of equal shape, joined beat by beat.
//
//   y = cast(f(a, b))        (exact: on the finer of the two grids, a product on its own, a mean one bit finer)
//
// | parameter | legal | meaning                                              |
// |-----------|-------|------------------------------------------------------|
// | Lanes     | >= 1  | values a beat                                        |
// | Function | 0..5  | a + b, a - b, a * b, (a + b) / 2, the larger, the smaller |
// | AW, ASigned, AFrac, BW, BSigned, BFrac | | the two input grids                  |
// | others    |       | see hwf_cast                                         |
//
// Latency 1 cycle, II 1. Both s_axis_tready depend combinationally on m_axis_tready and on the other tvalid.

module hwf_merge #(
  parameter int unsigned Lanes    = 1,
  parameter int unsigned Function = 0,
  parameter int unsigned AW       = 8,
  parameter bit          ASigned  = 1'b1,
  parameter int          AFrac    = 4,
  parameter int unsigned BW       = 8,
  parameter bit          BSigned  = 1'b1,
  parameter int          BFrac    = 4,
  parameter int unsigned YW       = 9,
  parameter bit          YSigned  = 1'b1,
  parameter int          YFrac    = 4,
  parameter int unsigned Rounding = 0,
  parameter int unsigned Overflow = 0
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [Lanes*AW-1:0] s_axis_a_tdata,
  input  logic                s_axis_a_tvalid,
  output logic                s_axis_a_tready,
  input  logic [Lanes*BW-1:0] s_axis_b_tdata,
  input  logic                s_axis_b_tvalid,
  output logic                s_axis_b_tready,
  output logic [Lanes*YW-1:0] m_axis_tdata,
  output logic                m_axis_tvalid,
  input  logic                m_axis_tready
);
  localparam bit Product       = Function == 2;
  localparam int Frac          = (AFrac > BFrac) ? AFrac : BFrac;
  localparam int unsigned AUp  = unsigned'(Frac - AFrac);
  localparam int unsigned BUp  = unsigned'(Frac - BFrac);
  localparam int unsigned SumW = ((AW + AUp > BW + BUp) ? AW + AUp : BW + BUp) + 2;
  localparam int unsigned ResW = Product ? AW + BW + 2 : SumW;
  localparam int ResFrac       = Product ? AFrac + BFrac : (Function == 3) ? Frac + 1 : Frac;

  logic valid_q, ready, join_valid;

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    logic signed [AW:0]     a;
    logic signed [BW:0]     b;
    logic signed [ResW-1:0] result;
    assign a   = ASigned ? (AW + 1)'(signed'(s_axis_a_tdata[l*AW +: AW])) : {1'b0, s_axis_a_tdata[l*AW +: AW]};
    assign b   = BSigned ? (BW + 1)'(signed'(s_axis_b_tdata[l*BW +: BW])) : {1'b0, s_axis_b_tdata[l*BW +: BW]};
    if (Product) begin : gen_product
      assign result = ResW'(a) * ResW'(b);
    end else begin : gen_aligned
      logic signed [ResW-1:0] x, y;
      assign x = ResW'(a) <<< AUp;
      assign y = ResW'(b) <<< BUp;
      if (Function == 1) begin : gen_difference
        assign result = x - y;
      end else if (Function == 4) begin : gen_larger
        assign result = (x > y) ? x : y;
      end else if (Function == 5) begin : gen_smaller
        assign result = (x < y) ? x : y;
      end else begin : gen_sum
        assign result = x + y;
      end
    end
    hwf_cast #(
      .InW(ResW), .InSigned(1'b1), .InFrac(ResFrac),
      .OutW(YW), .OutSigned(YSigned), .OutFrac(YFrac), .Rounding(Rounding), .Overflow(Overflow)
    ) u_cast (.clk_i, .en_i(ready), .x_i(result), .y_o(m_axis_tdata[l*YW +: YW]));
  end

  assign join_valid      = s_axis_a_tvalid & s_axis_b_tvalid;
  assign ready           = ~valid_q | m_axis_tready;
  assign s_axis_a_tready = ready & join_valid;
  assign s_axis_b_tready = ready & join_valid;
  assign m_axis_tvalid   = valid_q;

  always_ff @(posedge clk_i) begin
    valid_q <= rst_ni & (ready ? join_valid : valid_q);
  end
endmodule
