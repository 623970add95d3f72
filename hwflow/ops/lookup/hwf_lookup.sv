// SPDX-License-Identifier: Apache-2.0
//
// hwf_lookup: activation from a table, lane by lane.
//
//   Direct = 1:  y = table[bits of x]
//   Direct = 0:  y = table[clamp(trunc(x * Multiplier / 2^Shift) + Offset)]
//                or, with Straight and x >= 0, cast(Slope * x)
//
// trunc rounds toward zero, clamp brings the index into 0..Depth-1. The table holds codes of the output grid.
//
// | parameter | legal         | meaning                                                      |
// |-----------|---------------|--------------------------------------------------------------|
// | Lanes     | >= 1          | values a beat                                                |
// | XW, XSigned | 1..31, 0/1  | input bits, sign                                             |
// | Direct    | 0, 1          | the table is addressed by the input's bits: Depth = 2^XW     |
// | Multiplier, Shift, Offset | 32 bits | how an input becomes an index                    |
// | IndexW    | 3..64         | bits, signed, of x * Multiplier + 2^Shift and of the index   |
// | Depth     | >= 1          | words of the table                                           |
// | Straight, Slope | 0, 1; 32 bits | inputs from zero on are multiplied instead             |
// | SumW, SumFrac | 2..64     | bits, signed, and grid of Slope * x                          |
// | others    |               | see hwf_cast                                                 |
// | TableFile | $readmemh     | Depth words of YW bits                                       |
//
// Latency 1 cycle with Direct, else 2; II 1. s_axis_tready depends combinationally on m_axis_tready.

module hwf_lookup #(
  parameter int unsigned Lanes      = 1,
  parameter int unsigned XW         = 8,
  parameter bit          XSigned    = 1'b1,
  parameter bit          Direct     = 1'b1,
  parameter int          Multiplier = 1,
  parameter int unsigned Shift      = 0,
  parameter int          Offset     = 0,
  parameter int unsigned IndexW     = 16,
  parameter int unsigned Depth      = 256,
  parameter bit          Straight   = 1'b0,
  parameter int          Slope      = 1,
  parameter int unsigned SumW       = 16,
  parameter int          SumFrac    = 0,
  parameter int unsigned YW         = 8,
  parameter bit          YSigned    = 1'b1,
  parameter int          YFrac      = 0,
  parameter int unsigned Rounding   = 0,
  parameter int unsigned Overflow   = 0,
  parameter              TableFile  = ""
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
  localparam int unsigned AddrW = Direct ? XW : ((Depth > 1) ? $clog2(Depth) : 1);

  logic                   enable, valid_q;
  logic [Lanes*AddrW-1:0] addr;
  logic [Lanes*YW-1:0]    entry;

  assign enable        = ~valid_q | m_axis_tready;
  assign s_axis_tready = enable;
  assign m_axis_tvalid = valid_q;

  hwf_table #(.Lanes(Lanes), .Depth(Depth), .Width(YW), .AddrW(AddrW), .File(TableFile)) u_rom (
    .clk_i, .en_i(enable), .addr_i(addr), .data_o(entry)
  );

  if (Direct) begin : gen_direct
    assign addr         = s_axis_tdata;
    assign m_axis_tdata = entry;
    always_ff @(posedge clk_i) begin
      valid_q <= rst_ni & (enable ? s_axis_tvalid : valid_q);
    end
  end else begin : gen_index
    localparam logic signed [IndexW-1:0] Last = IndexW'(Depth - 1);

    function automatic logic [AddrW-1:0] index(input logic [XW-1:0] x);
      logic signed [IndexW-1:0] value;
      value = (XSigned ? IndexW'(signed'(x)) : IndexW'(x)) * IndexW'(Multiplier);
      // Toward zero: what is negative is rounded up.
      if (value < 0) value = value + ((IndexW'(1) <<< Shift) - IndexW'(1));
      value = (value >>> Shift) + IndexW'(Offset);
      if (value < 0) value = '0;
      else if (value > Last) value = Last;
      index = value[AddrW-1:0];
    endfunction

    logic [Lanes*AddrW-1:0] addr_q;
    logic                   valid0_q;
    assign addr = addr_q;
    always_ff @(posedge clk_i) begin
      valid0_q <= rst_ni & (enable ? s_axis_tvalid : valid0_q);
      valid_q  <= rst_ni & (enable ? valid0_q : valid_q);
    end

    for (genvar l = 0; l < Lanes; l++) begin : gen_lane
      logic [XW-1:0] x;
      assign x = s_axis_tdata[l*XW +: XW];
      always_ff @(posedge clk_i) begin
        if (enable) addr_q[l*AddrW +: AddrW] <= index(x);
      end

      if (Straight) begin : gen_straight
        logic signed [SumW-1:0] sum_q;
        logic                   below0_q, below_q;
        logic [YW-1:0]          straight;
        always_ff @(posedge clk_i) begin
          if (enable) begin
            sum_q    <= (XSigned ? SumW'(signed'(x)) : SumW'(x)) * SumW'(Slope);
            below0_q <= XSigned & x[XW-1];
            below_q  <= below0_q;
          end
        end
        hwf_cast #(
          .InW(SumW), .InSigned(1'b1), .InFrac(SumFrac),
          .OutW(YW), .OutSigned(YSigned), .OutFrac(YFrac), .Rounding(Rounding), .Overflow(Overflow)
        ) u_cast (.clk_i, .en_i(enable), .x_i(sum_q), .y_o(straight));
        assign m_axis_tdata[l*YW +: YW] = below_q ? entry[l*YW +: YW] : straight;
      end else begin : gen_table
        assign m_axis_tdata[l*YW +: YW] = entry[l*YW +: YW];
      end
    end
  end
endmodule
