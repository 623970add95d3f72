// SPDX-License-Identifier: Apache-2.0
//
// hwf_concat: one tensor after the other, along any axis.
//
//   Joined = 0:  ABeats beats of a, then BBeats beats of b, and again (Lanes values a beat on all sides)
//   Joined = 1:  a and b side by side in one beat, a in the low lanes (Lanes = ALanes + BLanes)
//
// | parameter      | legal    | meaning                                       |
// |----------------|----------|-----------------------------------------------|
// | ALanes, BLanes | >= 1     | values a beat of each input                   |
// | ABeats, BBeats | >= 1     | beats of each turn (Joined = 0)               |
// | AW, ASigned, AFrac, BW, BSigned, BFrac | | the two input grids         |
// | others         |          | see hwf_cast                                  |
//
// Latency 1 cycle, II 1. s_axis_*_tready depend combinationally on m_axis_tready, and on the other tvalid where the
// streams are joined.

module hwf_concat #(
  parameter bit          Joined   = 1'b0,
  parameter int unsigned ALanes   = 1,
  parameter int unsigned BLanes   = 1,
  parameter int unsigned ABeats   = 1,
  parameter int unsigned BBeats   = 1,
  parameter int unsigned AW       = 8,
  parameter bit          ASigned  = 1'b1,
  parameter int          AFrac    = 4,
  parameter int unsigned BW       = 8,
  parameter bit          BSigned  = 1'b1,
  parameter int          BFrac    = 4,
  parameter int unsigned YW       = 8,
  parameter bit          YSigned  = 1'b1,
  parameter int          YFrac    = 4,
  parameter int unsigned Rounding = 0,
  parameter int unsigned Overflow = 0,
  localparam int unsigned Lanes   = Joined ? ALanes + BLanes : ALanes
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  input  logic [ALanes*AW-1:0] s_axis_a_tdata,
  input  logic                 s_axis_a_tvalid,
  output logic                 s_axis_a_tready,
  input  logic [BLanes*BW-1:0] s_axis_b_tdata,
  input  logic                 s_axis_b_tvalid,
  output logic                 s_axis_b_tready,
  output logic [Lanes*YW-1:0]  m_axis_tdata,
  output logic                 m_axis_tvalid,
  input  logic                 m_axis_tready
);
  if (!Joined && ALanes != BLanes) begin : gen_bad_lanes
    $fatal(1, "hwf_concat: streams that take turns need equal lanes");
  end

  localparam int          Frac = (AFrac > BFrac) ? AFrac : BFrac;
  localparam int unsigned AUp  = unsigned'(Frac - AFrac);
  localparam int unsigned BUp  = unsigned'(Frac - BFrac);
  localparam int unsigned CatW = ((AW + AUp > BW + BUp) ? AW + AUp : BW + BUp) + 1;

  logic ready, take, turn;
  assign ready = ~m_axis_tvalid | m_axis_tready;

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    // Streams side by side: a lane belongs to one of them for good.
    localparam int unsigned InA = (l < ALanes) ? l : 0;
    localparam int unsigned InB = (Joined && l >= ALanes) ? l - ALanes : (Joined ? 0 : l);
    logic [AW-1:0]          a_bits;
    logic [BW-1:0]          b_bits;
    logic signed [AW:0]     a;
    logic signed [BW:0]     b;
    logic signed [CatW-1:0] x;
    assign a_bits = s_axis_a_tdata[InA*AW +: AW];
    assign b_bits = s_axis_b_tdata[InB*BW +: BW];
    assign a      = {ASigned & a_bits[AW-1], a_bits};
    assign b      = {BSigned & b_bits[BW-1], b_bits};
    assign x      = (Joined ? (l >= ALanes) : turn) ? (CatW'(b) <<< BUp) : (CatW'(a) <<< AUp);
    hwf_cast #(
      .InW(CatW), .InSigned(1'b1), .InFrac(Frac),
      .OutW(YW), .OutSigned(YSigned), .OutFrac(YFrac), .Rounding(Rounding), .Overflow(Overflow)
    ) u_cast (.clk_i, .en_i(ready), .x_i(x), .y_o(m_axis_tdata[l*YW +: YW]));
  end

  if (Joined) begin : gen_joined
    assign turn            = 1'b0;
    assign take            = s_axis_a_tvalid & s_axis_b_tvalid;
    assign s_axis_a_tready = ready & take;
    assign s_axis_b_tready = ready & take;
  end else begin : gen_turns
    localparam int unsigned CntW = $clog2((ABeats > BBeats ? ABeats : BBeats) + 1);
    logic            turn_q;
    logic [CntW-1:0] beat_q, last;
    assign turn            = turn_q;
    assign take            = turn_q ? s_axis_b_tvalid : s_axis_a_tvalid;
    assign s_axis_a_tready = ready & ~turn_q;
    assign s_axis_b_tready = ready & turn_q;
    assign last            = turn_q ? CntW'(BBeats - 1) : CntW'(ABeats - 1);
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        turn_q <= 1'b0;
        beat_q <= '0;
      end else if (take & ready) begin
        turn_q <= turn_q ^ (beat_q == last);
        beat_q <= (beat_q == last) ? '0 : beat_q + CntW'(1);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    m_axis_tvalid <= rst_ni & (ready ? take : m_axis_tvalid);
  end
endmodule
