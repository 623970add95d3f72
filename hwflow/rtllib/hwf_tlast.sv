// SPDX-License-Identifier: Apache-2.0
//
// hwf_tlast: marks the last beat of each frame of a stream that passes through unchanged.
//
// | parameter | legal | meaning            |
// |-----------|-------|--------------------|
// | Beats     | >= 1  | beats of one frame |
//
// Combinational but for the beat counter.

module hwf_tlast #(
  parameter int unsigned Beats = 1
) (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic tvalid_i,
  input  logic tready_i,
  output logic tlast_o
);
  localparam int unsigned CntW = $clog2(Beats + 1);
  logic [CntW-1:0] beat_q;
  assign tlast_o = beat_q == CntW'(Beats - 1);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) beat_q <= '0;
    else if (tvalid_i & tready_i) beat_q <= tlast_o ? '0 : beat_q + CntW'(1);
  end
endmodule
