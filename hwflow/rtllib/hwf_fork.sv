// SPDX-License-Identifier: Apache-2.0
//
// hwf_fork: gives every beat of one stream to several readers.
//
// Eager: each reader takes a beat when it is ready and a beat leaves once all have taken it. Data is shared.
//
// | parameter | legal | meaning           |
// |-----------|-------|-------------------|
// | Width     | >= 1  | bits of one beat  |
// | Outputs   | >= 2  | number of readers |
//
// s_axis_tready depends combinationally on m_axis_tready.

module hwf_fork #(
  parameter int unsigned Width   = 8,
  parameter int unsigned Outputs = 2
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic [Width-1:0]   s_axis_tdata,
  input  logic               s_axis_tvalid,
  output logic               s_axis_tready,
  output logic [Width-1:0]   m_axis_tdata,
  output logic [Outputs-1:0] m_axis_tvalid,
  input  logic [Outputs-1:0] m_axis_tready
);
  logic [Outputs-1:0] done_q;

  assign m_axis_tdata  = s_axis_tdata;
  assign m_axis_tvalid = {Outputs{s_axis_tvalid}} & ~done_q;
  assign s_axis_tready = &(done_q | m_axis_tready);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      done_q <= '0;
    end else if (s_axis_tvalid) begin
      done_q <= s_axis_tready ? '0 : (done_q | m_axis_tready);
    end
  end
endmodule
