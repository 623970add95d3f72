// SPDX-License-Identifier: Apache-2.0
//
// hwf_window_parallel: line buffer that offers whole windows at once, for layers that read several pixels a cycle.
//
// Pixels arrive in raster order, one a beat. The KernelH rows of a window and those of its next step, within a frame
// or to the next one, are kept in one memory bank each; a column of KernelH pixels is read a cycle and shifted into a
// window of registers. Columns follow each other without a gap from row to row and from frame to frame: what sticks
// out of the frame on one side is masked to zero there, and is the neighbour on the other side. A complete window
// moves to a second register, from where it leaves in Chunks words while the next one is gathered. Where the first
// window of a row takes more columns than the last one takes cycles to leave, the difference is gathered ahead.
//
//   Depthwise = 0:  chunk s holds window values [s*Lanes +: Lanes] in the order ky, kx, channel
//   Depthwise = 1:  chunk (g, s) holds for i in 0..Lanes/Group-1, p in 0..Group-1 position s*Lanes/Group + i, channel g*Group + p
//
// | parameter | legal        | meaning                                                            |
// |-----------|--------------|--------------------------------------------------------------------|
// | LaneW     | >= 1         | bits of one value                                                  |
// | C         | >= 1         | channels                                                           |
// | InH, InW, OutH, OutW, KernelH, KernelW, StrideH, StrideW, PadTop, PadLeft | | as in hwf_window, KernelW <= InW |
// | Lanes     | divides KernelH*KernelW*C | values a chunk                                        |
// | Group     | divides C and Lanes | channels of a chunk (Depthwise = 1)                         |
// | Replays   | >= 1         | times each window leaves                                           |
//
// A window takes Chunks * Replays cycles, a row of windows at least InW cycles; II 1 for one chunk.

module hwf_window_parallel #(
  parameter int unsigned LaneW     = 8,
  parameter int unsigned C         = 1,
  parameter int unsigned InH       = 8,
  parameter int unsigned InW       = 8,
  parameter int unsigned OutH      = 8,
  parameter int unsigned OutW      = 8,
  parameter int unsigned KernelH   = 3,
  parameter int unsigned KernelW   = 3,
  parameter int unsigned StrideH   = 1,
  parameter int unsigned StrideW   = 1,
  parameter int unsigned PadTop    = 1,
  parameter int unsigned PadLeft   = 1,
  parameter int unsigned Lanes     = 9,
  parameter bit          Depthwise = 1'b0,
  parameter int unsigned Group     = 1,
  parameter int unsigned Replays   = 1
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  logic [C*LaneW-1:0]     s_axis_tdata,
  input  logic                   s_axis_tvalid,
  output logic                   s_axis_tready,
  output logic [Lanes*LaneW-1:0] m_axis_tdata,
  output logic                   m_axis_tvalid,
  input  logic                   m_axis_tready
);
  if (KernelW > InW) begin : gen_bad_kernel
    $fatal(1, "hwf_window_parallel: KernelW exceeds InW");
  end
  if ((KernelH * KernelW * C) % Lanes != 0) begin : gen_bad_lanes
    $fatal(1, "hwf_window_parallel: Lanes must divide the window");
  end

  localparam int unsigned PixW   = C * LaneW;
  // Rows from the first window row of one frame to that of the next, as a step from the last one.
  localparam int unsigned FrameRowStep = InH - (OutH - 1) * StrideH;
  localparam int unsigned Banks  = KernelH + ((FrameRowStep > StrideH) ? FrameRowStep : StrideH);
  localparam int unsigned Window = KernelH * KernelW * C;
  localparam int unsigned Chunks = Window / Lanes;
  localparam int unsigned BankW  = $clog2(Banks);
  localparam int unsigned ColW   = (InW > 1) ? $clog2(InW) : 1;
  localparam int unsigned OyW    = $clog2(OutH + 1);
  localparam int unsigned OxW    = $clog2(OutW + 1);
  localparam int unsigned ChunkW = $clog2(Chunks + 1);
  localparam int unsigned RepW   = $clog2(Replays + 1);
  // Running row and column numbers; half their range exceeds every distance compared.
  localparam int unsigned CntW   = $clog2(4 * (InH + KernelH + StrideH) * InW * (OutH + 1)) + 3;
  localparam int unsigned IyW    = $clog2(InH + KernelH + StrideH) + 2;
  localparam int unsigned IxW    = $clog2(InW + KernelW + StrideW) + 2;
  // The first window of a frame is complete after this many of its columns.
  localparam int unsigned First  = KernelW - PadLeft;
  // The last one reaches this far beyond the frame.
  localparam int unsigned Span     = (OutW - 1) * StrideW + First;
  localparam int unsigned Overhang = (Span > InW) ? Span - InW : 0;
  localparam int unsigned OverW    = $clog2(Overhang + 2);
  // Columns from the last window of a row to the first of the next; what exceeds a window's time is gathered ahead.
  localparam int unsigned RowStep = InW - (OutW - 1) * StrideW;
  localparam int unsigned Beats   = Chunks * Replays;
  localparam int unsigned Ahead   = (Beats > StrideW && RowStep > Beats) ? RowStep - Beats : 0;
  localparam int unsigned NeedRow0 = (KernelH - 1 - PadTop < InH - 1) ? KernelH - 1 - PadTop : InH - 1;

  function automatic logic [BankW-1:0] bank_add(input logic [BankW-1:0] bank, input int unsigned step);
    logic [BankW:0] sum;
    sum      = {1'b0, bank} + (BankW + 1)'(step % Banks);
    bank_add = (sum >= (BankW + 1)'(Banks)) ? BankW'(sum - (BankW + 1)'(Banks)) : BankW'(sum);
  endfunction

  // ---------------------------------------------------------------- write side
  logic [ColW-1:0]  wr_col_q;
  logic [BankW-1:0] wr_bank_q;
  logic [CntW-1:0]  wr_row_q;    // running number of the row being written
  logic [CntW-1:0]  base_row_q;  // running number of the first row still needed; negative in the padding
  logic             push;

  assign s_axis_tready = $signed(wr_row_q - base_row_q) < $signed(CntW'(Banks));
  assign push          = s_axis_tvalid & s_axis_tready;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_col_q  <= '0;
      wr_bank_q <= '0;
      wr_row_q  <= '0;
    end else if (push) begin
      if (wr_col_q == ColW'(InW - 1)) begin
        wr_col_q  <= '0;
        wr_bank_q <= bank_add(wr_bank_q, 1);
        wr_row_q  <= wr_row_q + CntW'(1);
      end else begin
        wr_col_q <= wr_col_q + ColW'(1);
      end
    end
  end

  // ---------------------------------------------------------------- column reader
  logic [ColW-1:0]  col_q;
  logic [OyW-1:0]   col_oy_q;
  logic [BankW-1:0] base_bank_q;
  logic [CntW-1:0]  need_row_q;   // running number of the last row the present row of windows needs
  logic [CntW-1:0]  frame_row_q;  // running number of the frame's first row
  logic [CntW-1:0]  count_q;      // columns read
  logic [OverW-1:0] bubbles_q;    // of them columns of nothing, since the last one of a frame
  logic             written, between, known_q, started_q, enable, bubble, read;

  // The pixel (need_row, col) has been written.
  assign written = ($signed(wr_row_q - need_row_q) > 0) | ((wr_row_q == need_row_q) & (wr_col_q > col_q));
  // Between frames the last windows may be pushed out by columns of nothing.
  assign between = (col_q == '0) & (col_oy_q == '0);
  assign bubble  = enable & between & ~written & known_q & (bubbles_q != OverW'(Overhang));
  assign read    = enable & written & ~(between & started_q);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      col_q       <= '0;
      col_oy_q    <= '0;
      base_bank_q <= BankW'((Banks - (PadTop % Banks)) % Banks);
      base_row_q  <= -CntW'(PadTop);
      need_row_q  <= CntW'(NeedRow0);
      frame_row_q <= '0;
      count_q     <= '0;
      bubbles_q   <= OverW'(Overhang);
    end else begin
      if (read | bubble) count_q <= count_q + CntW'(1);
      bubbles_q <= read ? '0 : bubbles_q + OverW'(bubble);
      if (read) begin
        if (col_q != ColW'(InW - 1)) begin
          col_q <= col_q + ColW'(1);
        end else begin
          col_q <= '0;
          if (col_oy_q != OyW'(OutH - 1)) begin
            col_oy_q    <= col_oy_q + OyW'(1);
            base_bank_q <= bank_add(base_bank_q, StrideH);
            base_row_q  <= base_row_q + CntW'(StrideH);
            need_row_q  <= ($signed(need_row_q + CntW'(StrideH) - frame_row_q) > $signed(CntW'(InH - 1)))
                           ? frame_row_q + CntW'(InH - 1) : need_row_q + CntW'(StrideH);
          end else begin
            col_oy_q    <= '0;
            base_bank_q <= bank_add(base_bank_q, FrameRowStep);
            base_row_q  <= base_row_q + CntW'(FrameRowStep);
            need_row_q  <= frame_row_q + CntW'(InH + NeedRow0);
            frame_row_q <= frame_row_q + CntW'(InH);
          end
        end
      end
    end
  end

  // Each bank is a memory of one row; a column takes one word of KernelH of them, in window order.
  logic [PixW-1:0]  bank_data [Banks];
  logic [BankW-1:0] read_bank_q;
  for (genvar b = 0; b < Banks; b++) begin : gen_bank
    logic [PixW-1:0] mem [InW];
    logic [PixW-1:0] data_q;
    always_ff @(posedge clk_i) begin
      if (push && wr_bank_q == BankW'(b)) mem[wr_col_q] <= s_axis_tdata;
      if (read) data_q <= mem[col_q];
    end
    assign bank_data[b] = data_q;
  end
  always_ff @(posedge clk_i) begin
    if (read) read_bank_q <= base_bank_q;
  end

  logic [KernelH*PixW-1:0] column;
  logic                    read_valid_q, gather, shift;

  for (genvar y = 0; y < KernelH; y++) begin : gen_row
    assign column[y*PixW +: PixW] = bank_data[bank_add(read_bank_q, y)];
  end
  assign enable = gather | ~read_valid_q;
  assign shift  = gather & read_valid_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) read_valid_q <= 1'b0;
    else if (enable) read_valid_q <= read | bubble;
  end

  // ---------------------------------------------------------------- window being gathered
  localparam int unsigned Columns = KernelW + Ahead;
  logic [PixW-1:0]        window_q [KernelH*Columns];
  logic [CntW-1:0]        shifted_q;  // columns in the window so far
  logic [CntW-1:0]        target_q;   // columns after which the present window is complete
  logic [CntW-1:0]        start_q;    // columns read before the next frame
  logic [OyW-1:0]         oy_q;
  logic [OxW-1:0]         ox_q;
  logic signed [IyW-1:0]  iy_q;
  logic signed [IxW-1:0]  ix_q;
  logic [CntW-1:0]        beyond;     // columns behind those of the present window; negative while it is not complete
  logic                   complete, move, hold_free;

  assign beyond   = shifted_q - target_q;
  assign complete = known_q & ((Ahead == 0) ? shifted_q == target_q : ~beyond[CntW-1]);
  assign move     = complete & hold_free;
  assign gather   = ~complete | hold_free | ((Ahead != 0) & (beyond != CntW'(Ahead)));

  always_ff @(posedge clk_i) begin
    if (shift) begin
      for (int unsigned y = 0; y < KernelH; y++) begin
        for (int unsigned x = 0; x + 1 < Columns; x++) begin
          window_q[y*Columns+x] <= window_q[y*Columns+x+1];
        end
        window_q[y*Columns+Columns-1] <= column[y*PixW +: PixW];
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      shifted_q <= '0;
      target_q  <= '0;
      start_q   <= '0;
      started_q <= 1'b0;
      known_q   <= 1'b0;
      oy_q      <= '0;
      ox_q      <= '0;
      iy_q      <= -$signed(IyW'(PadTop));
      ix_q      <= -$signed(IxW'(PadLeft));
    end else begin
      if (shift) shifted_q <= shifted_q + CntW'(1);
      // A frame begins with its first column.
      if (read & between) begin
        if (known_q & ~(move & (ox_q == OxW'(OutW - 1)) & (oy_q == OyW'(OutH - 1)))) begin
          started_q <= 1'b1;
          start_q   <= count_q;
        end else begin
          known_q  <= 1'b1;
          target_q <= count_q + CntW'(First);
        end
      end
      if (move) begin
        if (ox_q != OxW'(OutW - 1)) begin
          ox_q     <= ox_q + OxW'(1);
          ix_q     <= ix_q + IxW'(StrideW);
          target_q <= target_q + CntW'(StrideW);
        end else begin
          ox_q <= '0;
          ix_q <= -$signed(IxW'(PadLeft));
          if (oy_q != OyW'(OutH - 1)) begin
            oy_q     <= oy_q + OyW'(1);
            iy_q     <= iy_q + IyW'(StrideH);
            target_q <= target_q + CntW'(InW - (OutW - 1) * StrideW);
          end else begin
            oy_q <= '0;
            iy_q <= -$signed(IyW'(PadTop));
            if (started_q) begin
              target_q  <= start_q + CntW'(First);
              started_q <= 1'b0;
            end else if (!(read & between)) begin
              known_q <= 1'b0;
            end
          end
        end
      end
    end
  end

  // ---------------------------------------------------------------- window that leaves, in chunks
  logic [Window*LaneW-1:0] hold_q;
  logic                    hold_valid_q;
  logic [ChunkW-1:0]       chunk_q;
  logic [RepW-1:0]         rep_q;
  logic                    chunk_last, rep_last;

  assign m_axis_tvalid = hold_valid_q;
  assign chunk_last    = chunk_q == ChunkW'(Chunks - 1);
  assign rep_last      = rep_q == RepW'(Replays - 1);
  assign hold_free     = ~hold_valid_q | (m_axis_tready & chunk_last & rep_last);

  always_ff @(posedge clk_i) begin
    if (move) begin
      for (int unsigned y = 0; y < KernelH; y++) begin
        for (int unsigned x = 0; x < KernelW; x++) begin
          hold_q[(y*KernelW+x)*PixW +: PixW] <=
              (iy_q + $signed(IyW'(y)) >= 0 && iy_q + $signed(IyW'(y)) < $signed(IyW'(InH))
               && ix_q + $signed(IxW'(x)) >= 0 && ix_q + $signed(IxW'(x)) < $signed(IxW'(InW)))
              ? window_q[y*Columns+x+Ahead-((Ahead == 0) ? 0 : 32'(beyond))] : '0;
        end
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      hold_valid_q <= 1'b0;
      chunk_q      <= '0;
      rep_q        <= '0;
    end else begin
      if (move) hold_valid_q <= 1'b1;
      else if (hold_free) hold_valid_q <= 1'b0;
      if (hold_valid_q & m_axis_tready) begin
        chunk_q <= chunk_last ? '0 : chunk_q + ChunkW'(1);
        if (chunk_last) rep_q <= rep_last ? '0 : rep_q + RepW'(1);
      end
    end
  end

  if (Depthwise) begin : gen_depthwise
    localparam int unsigned Positions = Lanes / Group;
    localparam int unsigned Sets      = KernelH * KernelW / Positions;
    // Values in the order of the chunks: channel group, set of positions, position, channel.
    logic [Window*LaneW-1:0] ordered;
    for (genvar g = 0; g < C / Group; g++) begin : gen_group
      for (genvar i = 0; i < KernelH * KernelW; i++) begin : gen_position
        assign ordered[((g*Sets*Positions + i)*Group)*LaneW +: Group*LaneW] =
            hold_q[(i*C + g*Group)*LaneW +: Group*LaneW];
      end
    end
    assign m_axis_tdata = ordered[32'(chunk_q)*Lanes*LaneW +: Lanes*LaneW];
  end else begin : gen_dense
    assign m_axis_tdata = hold_q[32'(chunk_q)*Lanes*LaneW +: Lanes*LaneW];
  end
endmodule
