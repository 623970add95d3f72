// SPDX-License-Identifier: Apache-2.0
//
// hwf_skip: leaves out the pixels of a frame that no window of the next layer reads.
//
// Of a row the pixels x with (x + OffsetW) % StepW < KeepW and (x + OffsetW) / StepW < CountW stay, and so with rows. All
// others are taken and forgotten, a beat a cycle, before the layer would take a pixel apart into words.
//
// | parameter | legal        | meaning                                             |
// |-----------|--------------|-----------------------------------------------------|
// | Width     | >= 1         | bits of one beat                                    |
// | Beats     | >= 1         | beats of one pixel                                  |
// | InH, InW  | >= 1         | frame, pixels                                       |
// | KeepH, KeepW | 1..Step   | pixels that stay in each period                     |
// | StepH, StepW | >= 1      | length of a period, pixels                          |
// | OffsetH, OffsetW | < Step | place of the frame's first pixel in its period     |
// | CountH, CountW | >= 1    | periods of which anything stays                     |
//
// Latency 0, II 1. s_axis_tready depends on m_axis_tready.

module hwf_skip #(
  parameter int unsigned Width   = 8,
  parameter int unsigned Beats   = 1,
  parameter int unsigned InH     = 8,
  parameter int unsigned InW     = 8,
  parameter int unsigned KeepH   = 1,
  parameter int unsigned KeepW   = 1,
  parameter int unsigned StepH   = 2,
  parameter int unsigned StepW   = 2,
  parameter int unsigned OffsetH = 0,
  parameter int unsigned OffsetW = 0,
  parameter int unsigned CountH  = 4,
  parameter int unsigned CountW  = 4
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
  if (OffsetH >= StepH || OffsetW >= StepW || KeepH > StepH || KeepW > StepW) begin : gen_bad_step
    $fatal(1, "hwf_skip: Offset must be below Step, and Keep at most Step");
  end

  localparam int unsigned BeatW   = $clog2(Beats + 1);
  localparam int unsigned RowW    = $clog2(InH + 1);
  localparam int unsigned ColW    = $clog2(InW + 1);
  localparam int unsigned PhaseHW = $clog2(StepH + 1);
  localparam int unsigned PhaseWW = $clog2(StepW + 1);

  logic [BeatW-1:0]   beat_q;
  logic [RowW-1:0]    row_q, period_h_q;  // periods are no more than pixels
  logic [ColW-1:0]    col_q, period_w_q;
  logic [PhaseHW-1:0] phase_h_q;
  logic [PhaseWW-1:0] phase_w_q;
  logic               keep, take, pixel_ends, row_ends, frame_ends;

  assign keep = (phase_h_q < PhaseHW'(KeepH)) & (32'(period_h_q) < CountH)
                & (phase_w_q < PhaseWW'(KeepW)) & (32'(period_w_q) < CountW);
  assign m_axis_tdata  = s_axis_tdata;
  assign m_axis_tvalid = s_axis_tvalid & keep;
  assign s_axis_tready = ~keep | m_axis_tready;
  assign take          = s_axis_tvalid & s_axis_tready;
  assign pixel_ends    = take & (beat_q == BeatW'(Beats - 1));
  assign row_ends      = pixel_ends & (col_q == ColW'(InW - 1));
  assign frame_ends    = row_ends & (row_q == RowW'(InH - 1));

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      beat_q     <= '0;
      col_q      <= '0;
      phase_w_q  <= PhaseWW'(OffsetW);
      period_w_q <= '0;
      row_q      <= '0;
      phase_h_q  <= PhaseHW'(OffsetH);
      period_h_q <= '0;
    end else begin
      if (take) beat_q <= pixel_ends ? '0 : beat_q + BeatW'(1);
      if (pixel_ends) begin
        col_q      <= col_q + ColW'(1);
        phase_w_q  <= (phase_w_q == PhaseWW'(StepW - 1)) ? '0 : phase_w_q + PhaseWW'(1);
        period_w_q <= period_w_q + ColW'(phase_w_q == PhaseWW'(StepW - 1));
      end
      if (row_ends) begin
        col_q      <= '0;
        phase_w_q  <= PhaseWW'(OffsetW);
        period_w_q <= '0;
        row_q      <= row_q + RowW'(1);
        phase_h_q  <= (phase_h_q == PhaseHW'(StepH - 1)) ? '0 : phase_h_q + PhaseHW'(1);
        period_h_q <= period_h_q + RowW'(phase_h_q == PhaseHW'(StepH - 1));
      end
      if (frame_ends) begin
        row_q      <= '0;
        phase_h_q  <= PhaseHW'(OffsetH);
        period_h_q <= '0;
      end
    end
  end
endmodule
