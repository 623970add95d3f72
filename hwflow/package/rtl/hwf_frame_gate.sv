// SPDX-License-Identifier: Apache-2.0
//
// hwf_frame_gate: lets the frames of a stream pass, or holds them at their beginning.
//
// | parameter | legal | meaning            |
// |-----------|-------|--------------------|
// | Beats     | >= 1  | beats of one frame |
//
// Stands beside a stream: where pass_o is low, valid and ready are to be held low. A frame that has begun passes whole, and
// a beat that was offered stays offered, whatever becomes of open_i. first_o and last_o mark the transfer of a frame's
// first and last beat, early_o that of a beat that came with tlast without being a frame's last. Combinational but
// for the beat counter.

module hwf_frame_gate #(
  parameter int unsigned Beats = 1
) (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic open_i,
  input  logic tvalid_i,
  input  logic tready_i,
  input  logic tlast_i,
  output logic pass_o,
  output logic within_o,
  output logic first_o,
  output logic last_o,
  output logic early_o
);
  logic taken, final_beat, offered_q;

  assign pass_o   = rst_ni & (within_o | offered_q | open_i);
  assign taken    = tvalid_i & tready_i & pass_o;
  assign first_o  = taken & ~within_o;
  assign last_o   = taken & final_beat;
  assign early_o  = taken & tlast_i & ~final_beat;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) offered_q <= 1'b0;
    else offered_q <= tvalid_i & ~tready_i & pass_o;
  end

  if (Beats == 1) begin : gen_one
    assign within_o   = 1'b0;
    assign final_beat = 1'b1;
  end else begin : gen_count
    localparam int unsigned CntW = $clog2(Beats);
    logic [CntW-1:0] beat_q;
    assign within_o   = beat_q != '0;
    assign final_beat = beat_q == CntW'(Beats - 1);
    always_ff @(posedge clk_i) begin
      if (!rst_ni) beat_q <= '0;
      else if (taken) beat_q <= final_beat ? '0 : beat_q + CntW'(1);
    end
  end
endmodule
