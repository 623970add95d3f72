// SPDX-License-Identifier: Apache-2.0
//
// hwf_pad: margins of a frame; a positive one adds zeros, a negative one leaves pixels out.
//
// A raster is walked that holds both the input frame and the output frame. Where only the output lies, a zero leaves;
// where only the input lies, a pixel is dropped. Zeros above and left of a frame leave once its first pixel is there.
//
// | parameter | legal      | meaning                                              |
// |-----------|------------|------------------------------------------------------|
// | Width     | >= 1       | bits of one beat                                     |
// | Beats     | >= 1       | beats of a pixel                                     |
// | InH, InW  | >= 1       | input frame, pixels                                  |
// | Top, Bottom, Left, Right | > -InH, -InW, none < 0 beside one > 0 | margins, pixels |
// | Depth     | >= 2       | beats that wait while zeros leave                    |
//
// One beat in or out a cycle. Latency 3 cycles (without zeros to come first).

module hwf_pad #(
  parameter int unsigned Width  = 8,
  parameter int unsigned Beats  = 1,
  parameter int unsigned InH    = 4,
  parameter int unsigned InW    = 4,
  parameter int          Top    = 1,
  parameter int          Bottom = 1,
  parameter int          Left   = 1,
  parameter int          Right  = 1,
  parameter int unsigned Depth  = 2
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
  // On the common raster the input begins at In*0 and ends before In*1, the output likewise.
  localparam int InY0  = (Top > 0) ? Top : 0;
  localparam int InX0  = (Left > 0) ? Left : 0;
  localparam int InY1  = InY0 + int'(InH);
  localparam int InX1  = InX0 + int'(InW);
  localparam int OutY0 = InY0 - Top;
  localparam int OutX0 = InX0 - Left;
  localparam int OutY1 = InY1 + Bottom;
  localparam int OutX1 = InX1 + Right;
  localparam int EndY  = (OutY1 > InY1) ? OutY1 : InY1;
  localparam int EndX  = (OutX1 > InX1) ? OutX1 : InX1;

  if (OutY1 <= OutY0 || OutX1 <= OutX0) begin : gen_no_pixel
    $fatal(1, "hwf_pad: the margins leave no pixel");
  end
  // Places outside both frames would cost a cycle each.
  if ((Top > 0 || Left > 0 || Bottom > 0 || Right > 0) && (Top < 0 || Left < 0 || Bottom < 0 || Right < 0))
  begin : gen_mixed
    $fatal(1, "hwf_pad: either zeros are added or pixels are left out");
  end

  localparam int unsigned YW    = $clog2(EndY + 1) + 1;
  localparam int unsigned XW    = $clog2(EndX + 1) + 1;
  localparam int unsigned BeatW = $clog2(Beats + 1);

  logic [Width-1:0] x_data;
  logic             x_valid, x_ready;
  hwf_fifo #(.Width(Width), .Depth(Depth)) u_fifo (
    .clk_i, .rst_ni, .s_axis_tdata, .s_axis_tvalid, .s_axis_tready,
    .m_axis_tdata(x_data), .m_axis_tvalid(x_valid), .m_axis_tready(x_ready)
  );

  logic signed [YW-1:0] y_q;
  logic signed [XW-1:0] x_q;
  logic [BeatW-1:0]     beat_q;
  logic                 covered, wanted, leading, free, step;

  assign covered  = (y_q >= YW'(InY0)) & (y_q < YW'(InY1)) & (x_q >= XW'(InX0)) & (x_q < XW'(InX1));
  assign wanted  = (y_q >= YW'(OutY0)) & (y_q < YW'(OutY1)) & (x_q >= XW'(OutX0)) & (x_q < XW'(OutX1));
  assign leading = (y_q < YW'(InY0)) | ((y_q == YW'(InY0)) & (x_q < XW'(InX0)));
  assign free    = ~m_axis_tvalid | m_axis_tready;
  assign step    = (x_valid | ~(covered | leading)) & (free | ~wanted);
  assign x_ready = covered & (free | ~wanted);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      y_q    <= '0;
      x_q    <= '0;
      beat_q <= '0;
    end else if (step) begin
      if (beat_q != BeatW'(Beats - 1)) begin
        beat_q <= beat_q + BeatW'(1);
      end else begin
        beat_q <= '0;
        x_q    <= (x_q == XW'(EndX - 1)) ? '0 : x_q + XW'(1);
        if (x_q == XW'(EndX - 1)) y_q <= (y_q == YW'(EndY - 1)) ? '0 : y_q + YW'(1);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (step & wanted) m_axis_tdata <= covered ? x_data : '0;
  end
  always_ff @(posedge clk_i) begin
    m_axis_tvalid <= rst_ni & ((step & wanted) | (m_axis_tvalid & ~m_axis_tready));
  end
endmodule
