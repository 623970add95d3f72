// SPDX-License-Identifier: Apache-2.0
//
// hwf_reorder: buffer that gives the values of each block in another order, also several times.
//
// Blocks of Block values arrive one after the other. Each is read by four nested loops, the last one innermost:
//
//   for i0 < Size0, i1 < Size1, i2 < Size2, i3 < Size3:  value i0*Stride0 + i1*Stride1 + i2*Stride2 + i3*Stride3
//
// The memory is circular; a block is released at its last value, and reading starts as soon as the value is there.
// Lanes values are read a cycle, each from its own copy of the memory.
//
// | parameter        | legal                 | meaning                                    |
// |------------------|-----------------------|--------------------------------------------|
// | Width            | >= 1                  | bits of one value                          |
// | InLanes          | divides Block         | values a beat at the input                 |
// | Lanes            | divides Size3         | values a beat at the output                |
// | Block            | >= 1                  | values of a block                          |
// | Size0..Size3     | >= 1                  | turns of the loops                         |
// | Stride0..Stride3 | >= 0                  | steps of the loops, values                 |
// | Words            | >= Block/InLanes      | capacity, words of InLanes values          |
//
// One beat a cycle without a bubble while values are there. Latency 2 cycles after the value.

module hwf_reorder #(
  parameter int unsigned Width   = 8,
  parameter int unsigned InLanes = 1,
  parameter int unsigned Lanes   = 1,
  parameter int unsigned Block   = 4,
  parameter int unsigned Size0   = 1,
  parameter int unsigned Size1   = 1,
  parameter int unsigned Size2   = 2,
  parameter int unsigned Size3   = 2,
  parameter int unsigned Stride0 = 0,
  parameter int unsigned Stride1 = 0,
  parameter int unsigned Stride2 = 1,
  parameter int unsigned Stride3 = 2,
  parameter int unsigned Words   = 5
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  input  logic [InLanes*Width-1:0] s_axis_tdata,
  input  logic                     s_axis_tvalid,
  output logic                     s_axis_tready,
  output logic [Lanes*Width-1:0]   m_axis_tdata,
  output logic                     m_axis_tvalid,
  input  logic                     m_axis_tready
);
  localparam int unsigned BlockWords = Block / InLanes;

  if (Block % InLanes != 0 || Size3 % Lanes != 0 || Words < BlockWords) begin : gen_bad_shape
    $fatal(1, "hwf_reorder: InLanes must divide Block, Lanes Size3, and Words hold a block");
  end

  localparam int unsigned AddrW = (Words > 1) ? $clog2(Words) : 1;
  localparam int unsigned CntW  = $clog2(Words + 1) + 1;
  localparam int unsigned PosW  = (InLanes > 1) ? $clog2(InLanes) : 1;
  localparam int unsigned Turns = Size3 / Lanes;
  localparam int unsigned W0    = $clog2(Size0 + 1);
  localparam int unsigned W1    = $clog2(Size1 + 1);
  localparam int unsigned W2    = $clog2(Size2 + 1);
  localparam int unsigned W3    = $clog2(Turns + 1);

  // A place in the block: its word, and the value within the word in the low bits.
  localparam int unsigned PlaceW = CntW + PosW;

  function automatic logic [PlaceW-1:0] place(input int unsigned value);
    place = {CntW'(value / InLanes), PosW'(value % InLanes)};
  endfunction

  function automatic logic [PlaceW-1:0] add_place(input logic [PlaceW-1:0] a, input logic [PlaceW-1:0] b);
    logic [PosW:0] pos;
    logic          carry;
    pos       = {1'b0, a[PosW-1:0]} + {1'b0, b[PosW-1:0]};
    carry     = pos >= (PosW + 1)'(InLanes);
    add_place = {a[PlaceW-1:PosW] + b[PlaceW-1:PosW] + CntW'(carry),
                 carry ? PosW'(pos - (PosW + 1)'(InLanes)) : pos[PosW-1:0]};
  endfunction

  // ---------------------------------------------------------------- fill level
  logic [AddrW-1:0] wr_addr_q, base_addr_q;
  logic [CntW-1:0]  count_q;  // words from the block's first one on
  logic             push, issue, block_end;

  assign s_axis_tready = count_q < CntW'(Words);
  assign push          = s_axis_tvalid & s_axis_tready;

  function automatic logic [AddrW-1:0] add_addr(input logic [AddrW-1:0] a, input logic [CntW-1:0] b);
    logic [CntW:0] sum;
    sum      = (CntW + 1)'(a) + (CntW + 1)'(b);
    add_addr = (sum >= (CntW + 1)'(Words)) ? AddrW'(sum - (CntW + 1)'(Words)) : AddrW'(sum);
  endfunction

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_addr_q   <= '0;
      base_addr_q <= '0;
      count_q     <= '0;
    end else begin
      if (push) wr_addr_q <= (wr_addr_q == AddrW'(Words - 1)) ? '0 : wr_addr_q + AddrW'(1);
      if (issue & block_end) base_addr_q <= add_addr(base_addr_q, CntW'(BlockWords));
      count_q <= count_q + CntW'(push) - ((issue & block_end) ? CntW'(BlockWords) : '0);
    end
  end

  // ---------------------------------------------------------------- loops
  logic [W0-1:0]     i0_q;
  logic [W1-1:0]     i1_q;
  logic [W2-1:0]     i2_q;
  logic [W3-1:0]     i3_q;
  logic [PlaceW-1:0] start0_q, start1_q, start2_q, here_q;  // where the present turn of each loop began
  logic              last0, last1, last2, last3;

  assign last0     = i0_q == W0'(Size0 - 1);
  assign last1     = i1_q == W1'(Size1 - 1);
  assign last2     = i2_q == W2'(Size2 - 1);
  assign last3     = i3_q == W3'(Turns - 1);
  assign block_end = last0 & last1 & last2 & last3;

  // The outermost loop that steps takes the inner ones along.
  logic [PlaceW-1:0] from, step, next;
  always_comb begin
    if (!last3) begin
      from = here_q;
      step = place(Lanes * Stride3);
    end else if (!last2) begin
      from = start2_q;
      step = place(Stride2);
    end else if (!last1) begin
      from = start1_q;
      step = place(Stride1);
    end else begin
      from = start0_q;
      step = place(Stride0);
    end
    next = block_end ? '0 : add_place(from, step);
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      i0_q     <= '0;
      i1_q     <= '0;
      i2_q     <= '0;
      i3_q     <= '0;
      start0_q <= '0;
      start1_q <= '0;
      start2_q <= '0;
      here_q   <= '0;
    end else if (issue) begin
      here_q <= next;
      i3_q   <= last3 ? '0 : i3_q + W3'(1);
      if (last3) begin
        start2_q <= next;
        i2_q     <= last2 ? '0 : i2_q + W2'(1);
      end
      if (last3 & last2) begin
        start1_q <= next;
        i1_q     <= last1 ? '0 : i1_q + W1'(1);
      end
      if (last3 & last2 & last1) begin
        start0_q <= next;
        i0_q     <= last0 ? '0 : i0_q + W0'(1);
      end
    end
  end

  // ---------------------------------------------------------------- memory
  logic [PlaceW-1:0] lane_place [Lanes];
  logic              available;

  // Strides are not negative, so the last lane reads the latest word.
  assign available = lane_place[Lanes-1][PlaceW-1:PosW] < count_q;
  assign issue     = available & (~m_axis_tvalid | m_axis_tready);

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    logic [InLanes*Width-1:0] mem [Words];
    logic [InLanes*Width-1:0] data_q;
    logic [PosW-1:0]          pos_q;
    assign lane_place[l] = add_place(here_q, place(l * Stride3));
    always_ff @(posedge clk_i) begin
      if (push) mem[wr_addr_q] <= s_axis_tdata;
      if (issue) begin
        data_q <= mem[add_addr(base_addr_q, lane_place[l][PlaceW-1:PosW])];
        pos_q  <= lane_place[l][PosW-1:0];
      end
    end
    if (InLanes > 1) begin : gen_pick
      assign m_axis_tdata[l*Width +: Width] = data_q[32'(pos_q)*Width +: Width];
    end else begin : gen_whole
      logic unused_pos;
      assign unused_pos = &{1'b0, pos_q};
      assign m_axis_tdata[l*Width +: Width] = data_q;
    end
  end

  always_ff @(posedge clk_i) begin
    m_axis_tvalid <= rst_ni & (issue | (m_axis_tvalid & ~m_axis_tready));
  end
endmodule
