// SPDX-License-Identifier: Apache-2.0
//
// hwf_window: line buffer that turns a raster of pixels into the words of sliding windows.
//
// Pixels arrive in raster order, Words beats each (channels in order). They are kept in one circular memory of
// Pixels pixels, addressed by their running number, across frames. For each window position, in raster order,
// the memory is read word by word:
//
//   Depthwise = 0:  for replay, for ky, for kx, for word     (every window Replays times)
//   Depthwise = 1:  for word, for ky, for kx                 (one channel group after the other)
//
// Positions in the padding give zero. A pixel is released as soon as the window has moved past it, so the memory
// holds ((KernelH - 1) + (StrideH - 1)) rows and a few pixels, not frames.
//
// | parameter | legal      | meaning                                                     |
// |-----------|------------|-------------------------------------------------------------|
// | Width     | >= 1       | bits of one word                                            |
// | Words     | >= 1       | words of one pixel                                          |
// | InH, InW  | >= 1       | frame, pixels                                               |
// | OutH, OutW| >= 1       | window positions                                            |
// | KernelH, KernelW | >= 1 | window, pixels                                             |
// | StrideH, StrideW | >= 1 | step, pixels                                               |
// | PadTop, PadLeft  | 0..Kernel-1 | padding above and left, pixels                      |
// | Replays   | >= 1       | times each window is read (Depthwise = 0)                   |
// | Pixels    | > (KernelH-1)*InW + KernelW - 1 | capacity, pixels                       |
//
// One word a cycle without a bubble while pixels are there. Latency 2 cycles after the last pixel a window needs.

module hwf_window #(
  parameter int unsigned Width     = 8,
  parameter int unsigned Words     = 1,
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
  parameter int unsigned Replays   = 1,
  parameter bit          Depthwise = 1'b0,
  parameter int unsigned Pixels    = 24
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
  if (Pixels < (KernelH - 1) * InW + KernelW) begin : gen_bad_pixels
    $fatal(1, "hwf_window: Pixels is below (KernelH-1)*InW+KernelW");
  end

  localparam int unsigned Size  = Pixels * Words;
  localparam int unsigned AddrW = (Size > 1) ? $clog2(Size) : 1;
  // Running pixel numbers; half their range exceeds every distance compared.
  localparam int unsigned CntW  = $clog2(2 * (Pixels + (InH + KernelH + StrideH) * (InW + KernelW + StrideW))) + 2;
  localparam int unsigned OxW   = $clog2(OutW + 1);
  localparam int unsigned OyW   = $clog2(OutH + 1);
  localparam int unsigned KxW   = $clog2(KernelW + 1);
  localparam int unsigned KyW   = $clog2(KernelH + 1);
  localparam int unsigned WordW = $clog2(Words + 1);
  localparam int unsigned RepW  = $clog2(Replays + 1);
  localparam int unsigned IyW   = $clog2(InH + KernelH + StrideH) + 2;
  localparam int unsigned IxW   = $clog2(InW + KernelW + StrideW) + 2;

  // Steps of the window's first pixel, and the same steps as addresses.
  localparam int unsigned RowStep   = StrideH * InW - (OutW - 1) * StrideW;
  localparam int unsigned FrameStep = InH * InW - (OutH - 1) * StrideH * InW - (OutW - 1) * StrideW;

  function automatic logic [AddrW-1:0] address_step(input int unsigned pixels);
    address_step = AddrW'((pixels % Pixels) * Words);
  endfunction

  localparam logic [AddrW-1:0] ColAddrStep   = address_step(StrideW);
  localparam logic [AddrW-1:0] RowAddrStep   = address_step(RowStep);
  localparam logic [AddrW-1:0] FrameAddrStep = address_step(FrameStep);
  localparam logic [AddrW-1:0] LineAddrStep  = address_step(InW);
  localparam logic [AddrW-1:0] PixelAddrStep = address_step(1);
  localparam logic [AddrW-1:0] WordAddrStep  = AddrW'(1 % Size);

  // The window of number n, for the first ones: row and column of its first pixel, that pixel's running number (negative
  // in the padding) and address, the number of pixels that must have been written, row and column of the last of them.
  function automatic int first_row(input int n);
    first_row = ((n / int'(OutW)) % int'(OutH)) * int'(StrideH) - int'(PadTop);
  endfunction
  function automatic int first_col(input int n);
    first_col = (n % int'(OutW)) * int'(StrideW) - int'(PadLeft);
  endfunction
  function automatic int frame_base(input int n);
    frame_base = (n / int'(OutW * OutH)) * int'(InH * InW);
  endfunction
  function automatic int base_of(input int n);
    base_of = frame_base(n) + first_row(n) * int'(InW) + first_col(n);
  endfunction
  function automatic logic [AddrW-1:0] address_of(input int n);
    address_of = address_step(unsigned'(base_of(n) + int'(Pixels) * int'(InH * InW + Pixels)));
  endfunction
  function automatic int need_row(input int n);
    need_row = (first_row(n) + int'(KernelH) < int'(InH)) ? first_row(n) + int'(KernelH) - 1 : int'(InH) - 1;
  endfunction
  function automatic int need_col(input int n);
    need_col = (first_col(n) + int'(KernelW) < int'(InW)) ? first_col(n) + int'(KernelW) - 1 : int'(InW) - 1;
  endfunction
  function automatic int need_of(input int n);
    need_of = frame_base(n) + need_row(n) * int'(InW) + need_col(n) + 1;
  endfunction

  // Both sums at once; the one without a borrow is within the memory.
  function automatic logic [AddrW-1:0] add_mod(input logic [AddrW-1:0] a, input logic [AddrW-1:0] b);
    logic [AddrW+1:0] around;
    around  = (AddrW + 2)'(a) + ((AddrW + 2)'(b) - (AddrW + 2)'(Size));
    add_mod = around[AddrW+1] ? a + b : around[AddrW-1:0];
  endfunction

  // ---------------------------------------------------------------- write side
  logic [Width-1:0] mem [Size];
  logic [AddrW-1:0] wr_addr_q;
  logic [WordW-1:0] wr_word_q;
  logic [CntW-1:0]  wr_pix_q;
  logic             push, written;

  assign push    = s_axis_tvalid & s_axis_tready;
  assign written = push & (wr_word_q == WordW'(Words - 1));

  always_ff @(posedge clk_i) begin
    if (push) mem[wr_addr_q] <= s_axis_tdata;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_addr_q <= '0;
      wr_word_q <= '0;
      wr_pix_q  <= '0;
    end else if (push) begin
      wr_addr_q <= (wr_addr_q == AddrW'(Size - 1)) ? '0 : wr_addr_q + AddrW'(1);
      wr_word_q <= written ? '0 : wr_word_q + WordW'(1);
      wr_pix_q  <= wr_pix_q + CntW'(written);
    end
  end

  // ---------------------------------------------------------------- read side
  logic [OxW-1:0]          ox_q;
  logic [OyW-1:0]          oy_q;
  logic [KxW-1:0]          kx_q;
  logic [KyW-1:0]          ky_q;
  logic [WordW-1:0]        word_q;
  logic [RepW-1:0]         rep_q;
  logic signed [IyW-1:0]   iy_q;
  logic signed [IxW-1:0]   ix_q;
  logic [AddrW-1:0]        line_addr_q, addr_q;
  logic                    issue, advance;

  // First row, column and address of the present window and of the next two: what follows is found ahead of time. The
  // counters ox_q, oy_q and what is needed belong to the last of them.
  logic signed [IyW-1:0]   iy0_q, iy1_q, iy2_q;
  logic signed [IxW-1:0]   ix0_q, ix1_q, ix2_q;
  logic [AddrW-1:0]        base0_addr_q, base1_addr_q, base2_addr_q;
  logic [CntW-1:0]         frame_pix_q, need_row_pix_q, need2_q, base2_q;
  logic [IyW-1:0]          need_row_q;
  logic [IxW-1:0]          need_col_q;

  // Pixels written beyond what the present and the next window need, and beyond the capacity: only signs are looked at.
  logic [CntW-1:0]         ahead0_q, ahead1_q, over0_q, over1_q;

  assign s_axis_tready = over0_q[CntW-1];
  assign issue         = ~ahead0_q[CntW-1] & (~m_axis_tvalid | m_axis_tready);
  assign advance       = issue & (kx_q == KxW'(KernelW - 1)) & (ky_q == KyW'(KernelH - 1))
                         & (word_q == WordW'(Words - 1)) & (Depthwise | (rep_q == RepW'(Replays - 1)));

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      ahead0_q <= CntW'(-need_of(0));
      ahead1_q <= CntW'(-need_of(1));
      over0_q  <= CntW'(-base_of(0) - int'(Pixels));
      over1_q  <= CntW'(-base_of(1) - int'(Pixels));
    end else if (advance) begin
      ahead0_q <= ahead1_q + CntW'(written);
      ahead1_q <= wr_pix_q - need2_q + CntW'(written);
      over0_q  <= over1_q + CntW'(written);
      over1_q  <= wr_pix_q - base2_q - CntW'(Pixels) + CntW'(written);
    end else if (written) begin
      ahead0_q <= ahead0_q + CntW'(1);
      ahead1_q <= ahead1_q + CntW'(1);
      over0_q  <= over0_q + CntW'(1);
      over1_q  <= over1_q + CntW'(1);
    end
  end

  // Words and pixels of a window.
  always_ff @(posedge clk_i) begin
    logic [AddrW-1:0] address;
    logic             kx_last;
    if (!rst_ni) begin
      kx_q         <= '0;
      ky_q         <= '0;
      word_q       <= '0;
      rep_q        <= '0;
      iy_q         <= IyW'(first_row(0));
      ix_q         <= IxW'(first_col(0));
      iy0_q        <= IyW'(first_row(0));
      ix0_q        <= IxW'(first_col(0));
      base0_addr_q <= address_of(0);
      line_addr_q  <= address_of(0);
      addr_q       <= address_of(0);
    end else if (issue) begin
      if (!Depthwise && word_q != WordW'(Words - 1)) begin
        // next word of the pixel
        word_q <= word_q + WordW'(1);
        addr_q <= add_mod(addr_q, WordAddrStep);
      end else begin
        kx_last = kx_q == KxW'(KernelW - 1);
        kx_q    <= kx_last ? '0 : kx_q + KxW'(1);
        ix_q    <= kx_last ? ix0_q : ix_q + IxW'(1);
        if (!Depthwise) word_q <= '0;
        if (!(kx_last && ky_q == KyW'(KernelH - 1))) begin
          // next pixel of the window, on the same row or the next one
          address     = add_mod(line_addr_q, LineAddrStep);
          ky_q        <= ky_q + KyW'(kx_last);
          iy_q        <= iy_q + IyW'(kx_last);
          line_addr_q <= kx_last ? address : line_addr_q;
          addr_q      <= kx_last ? address : add_mod(addr_q, Depthwise ? PixelAddrStep : WordAddrStep);
        end else begin
          ky_q <= '0;
          iy_q <= iy0_q;
          if (advance) begin
            // next window
            word_q       <= '0;
            rep_q        <= '0;
            iy_q         <= iy1_q;
            ix_q         <= ix1_q;
            iy0_q        <= iy1_q;
            ix0_q        <= ix1_q;
            address      = base1_addr_q;
            base0_addr_q <= base1_addr_q;
          end else if (Depthwise) begin
            // next channel group
            word_q       <= word_q + WordW'(1);
            address      = add_mod(base0_addr_q, WordAddrStep);
            base0_addr_q <= address;
          end else begin
            // the same window again
            rep_q   <= rep_q + RepW'(1);
            address = base0_addr_q;
          end
          line_addr_q <= address;
          addr_q      <= address;
        end
      end
    end
  end

  // Row and column the last window needs, clipped to the frame.
  localparam int unsigned ColLimit = InW - 1 - ((StrideW < InW) ? StrideW : InW - 1);
  localparam int unsigned RowLimit = InH - 1 - ((StrideH < InH) ? StrideH : InH - 1);

  // Next values are formed inside the clocked block: they matter once a window only.
  always_ff @(posedge clk_i) begin
    logic [CntW-1:0]  row_pix;
    logic [IxW-1:0]   col;
    if (!rst_ni) begin
      ox_q           <= OxW'(2 % OutW);
      oy_q           <= OyW'((2 / OutW) % OutH);
      iy1_q          <= IyW'(first_row(1));
      ix1_q          <= IxW'(first_col(1));
      iy2_q          <= IyW'(first_row(2));
      ix2_q          <= IxW'(first_col(2));
      base1_addr_q   <= address_of(1);
      base2_addr_q   <= address_of(2);
      base2_q        <= CntW'(base_of(2));
      frame_pix_q    <= CntW'(frame_base(2));
      need_row_q     <= IyW'(need_row(2));
      need_row_pix_q <= CntW'(frame_base(2) + need_row(2) * int'(InW));
      need_col_q     <= IxW'(need_col(2));
      need2_q        <= CntW'(need_of(2));
    end else if (advance) begin
      iy1_q        <= iy2_q;
      ix1_q        <= ix2_q;
      base1_addr_q <= base2_addr_q;
      col          = IxW'(need_col(0));
      row_pix      = need_row_pix_q;
      if (ox_q != OxW'(OutW - 1)) begin
        base2_addr_q <= add_mod(base2_addr_q, ColAddrStep);
        base2_q      <= base2_q + CntW'(StrideW);
        col          = (need_col_q >= IxW'(ColLimit)) ? IxW'(InW - 1) : need_col_q + IxW'(StrideW);
        ox_q         <= ox_q + OxW'(1);
        ix2_q        <= ix2_q + IxW'(StrideW);
      end else begin
        ox_q  <= '0;
        ix2_q <= IxW'(first_col(0));
        if (oy_q != OyW'(OutH - 1)) begin
          base2_addr_q <= add_mod(base2_addr_q, RowAddrStep);
          base2_q      <= base2_q + CntW'(RowStep);
          oy_q         <= oy_q + OyW'(1);
          iy2_q        <= iy2_q + IyW'(StrideH);
          if (need_row_q >= IyW'(RowLimit)) begin
            need_row_q <= IyW'(InH - 1);
            row_pix    = frame_pix_q + CntW'((InH - 1) * InW);
          end else begin
            need_row_q <= need_row_q + IyW'(StrideH);
            row_pix    = need_row_pix_q + CntW'(StrideH * InW);
          end
        end else begin
          base2_addr_q <= add_mod(base2_addr_q, FrameAddrStep);
          base2_q      <= base2_q + CntW'(FrameStep);
          oy_q         <= '0;
          iy2_q        <= IyW'(first_row(0));
          frame_pix_q  <= frame_pix_q + CntW'(InH * InW);
          need_row_q   <= IyW'(need_row(0));
          row_pix      = frame_pix_q + CntW'(InH * InW + unsigned'(need_row(0)) * InW);
        end
      end
      need_row_pix_q <= row_pix;
      need_col_q     <= col;
      need2_q        <= row_pix + CntW'(col) + CntW'(1);
    end
  end

  // ---------------------------------------------------------------- memory read
  logic [Width-1:0] data_q;
  logic             zero_q;
  always_ff @(posedge clk_i) begin
    if (issue) begin
      data_q <= mem[addr_q];
      zero_q <= (iy_q < 0) | (iy_q >= $signed(IyW'(InH))) | (ix_q < 0) | (ix_q >= $signed(IxW'(InW)));
    end
  end
  assign m_axis_tdata = zero_q ? '0 : data_q;

  always_ff @(posedge clk_i) begin
    m_axis_tvalid <= rst_ni & (issue | (m_axis_tvalid & ~m_axis_tready));
  end
endmodule
