// SPDX-License-Identifier: Apache-2.0
//
// hwf_vld_fifo: gathers values that come with a pulse each (ap_vld of Vitis HLS) into beats of a stream.
//
// | parameter | legal            | meaning                                   |
// |-----------|------------------|-------------------------------------------|
// | Lanes     | >= 1             | values of a beat                          |
// | LaneW     | >= 1             | bits of one value                         |
// | Depth     | power of two     | beats that can wait; more must not come   |
//
// Every lane has a queue of its own: values of one beat may come in different cycles. Simulation only.

module hwf_vld_fifo #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned LaneW = 8,
  parameter int unsigned Depth = 1024
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  logic [Lanes-1:0]       vld_i,
  input  logic [Lanes*LaneW-1:0] data_i,
  output logic [Lanes*LaneW-1:0] m_axis_tdata,
  output logic                   m_axis_tvalid,
  input  logic                   m_axis_tready,
  output logic [31:0]            taken_o  // beats that have left, modulo 2**32
);
  localparam int unsigned AddrW = $clog2(Depth);

  logic [Lanes-1:0] waiting;
  for (genvar i = 0; i < Lanes; i++) begin : gen_lane
    logic [LaneW-1:0] mem[Depth];
    logic [31:0] come_q;
    assign waiting[i] = come_q != taken_o;
    assign m_axis_tdata[i*LaneW+:LaneW] = mem[taken_o[AddrW-1:0]];
    always_ff @(posedge clk_i) begin
      if (vld_i[i]) mem[come_q[AddrW-1:0]] <= data_i[i*LaneW+:LaneW];
      if (!rst_ni) come_q <= '0;
      else if (vld_i[i]) come_q <= come_q + 1;
    end
  end
  assign m_axis_tvalid = &waiting;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) taken_o <= '0;
    else if (m_axis_tvalid & m_axis_tready) taken_o <= taken_o + 1;
  end
endmodule
