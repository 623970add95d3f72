// SPDX-License-Identifier: Apache-2.0
//
// hwf_fifo: stream FIFO that also cuts the ready path.
//
// | parameter | legal | meaning                          |
// |-----------|-------|----------------------------------|
// | Width     | >= 1  | bits of one beat                 |
// | Depth     | >= 2  | beats it holds (at least)        |
//
// Latency 2 cycles from an empty FIFO, II 1. s_axis_tready depends on registers only. The memory is read
// synchronously into the output register, so that deep FIFOs become block RAM.

module hwf_fifo #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 2
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic [Width-1:0] s_axis_tdata,
  input  logic             s_axis_tvalid,
  output logic             s_axis_tready,
  output logic [Width-1:0] m_axis_tdata,
  output logic             m_axis_tvalid,
  input  logic             m_axis_tready
);
  localparam int unsigned AddrW = (Depth > 1) ? $clog2(Depth) : 1;
  localparam int unsigned CntW  = $clog2(Depth + 1);

  logic [Width-1:0] mem [Depth];
  logic [Width-1:0] data_q;
  logic [AddrW-1:0] wr_q, rd_q;
  logic [CntW-1:0]  count_q;
  logic             valid_q;
  logic             push, pop;

  assign s_axis_tready = count_q != CntW'(Depth);
  assign push          = s_axis_tvalid & s_axis_tready;
  assign pop           = (count_q != '0) & (~valid_q | m_axis_tready);
  assign m_axis_tdata  = data_q;
  assign m_axis_tvalid = valid_q;

  always_ff @(posedge clk_i) begin
    if (push) mem[wr_q] <= s_axis_tdata;
    if (pop) data_q <= mem[rd_q];
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_q    <= '0;
      rd_q    <= '0;
      count_q <= '0;
      valid_q <= 1'b0;
    end else begin
      if (push) wr_q <= (wr_q == AddrW'(Depth - 1)) ? '0 : wr_q + AddrW'(1);
      if (pop) rd_q <= (rd_q == AddrW'(Depth - 1)) ? '0 : rd_q + AddrW'(1);
      count_q <= count_q + CntW'(push) - CntW'(pop);
      valid_q <= pop | (valid_q & ~m_axis_tready);
    end
  end
endmodule
