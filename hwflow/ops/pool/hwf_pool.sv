// SPDX-License-Identifier: Apache-2.0
//
// hwf_pool: largest value or mean of a sliding window, a channel.
//
//   Average = 0:  y = cast(max over the window of x)
//   Average = 1:  y = cast(sign(s) * floor(|s| * Scale[n] / 2^Shift)),  s = sum over the window, n = its pixels
//
// Pixels in the padding do not count: among the values they are the smallest there is, in the sum zero. The constants
// Scale make the quotient |s| * 2^(QFrac-XFrac) / n exact, rounded toward zero (division by an invariant multiplier,
// T. Granlund and P. L. Montgomery, PLDI 1994), or are one factor in its place.
//
// Windows come from hwf_window (Simd = 1) or hwf_window_parallel. A window that is the whole frame needs no line
// buffer (Whole = 1): results of all channels are kept while the pixels pass, Pe channels a beat.
//
// | parameter | legal       | meaning                                                          |
// |-----------|-------------|------------------------------------------------------------------|
// | C         | >= 1        | channels                                                         |
// | Whole     | 0, 1        | the window is the frame                                          |
// | Average   | 0, 1        | mean or maximum                                                  |
// | CountPad  | 0, 1        | windows of several sizes: each pixel carries a mark through the window |
// | Pe        | divides C   | channels a beat of the window                                    |
// | Simd      | divides KernelH*KernelW | window positions a beat                              |
// | Lanes     | divides Pe  | values a beat at the output                                      |
// | SumW      | >= 2        | bits of a sum (signed)                                           |
// | ScaleW    | >= 1        | bits of a constant                                               |
// | Shift     | >= 0        | as above                                                         |
// | QFrac     | integer     | fractional bits of the quotient                                  |
// | Scales    | >= 1        | constants in ScaleFile: by number of pixels (CountPad), or one   |
// | others    |             | see hwf_window and hwf_cast                                      |
//
// Cycles an output pixel: KernelH * KernelW * C / (Pe * Simd), or C / Pe a pixel read where the window is the frame.
// II as the window's. Latency 8 cycles after the window's last beat, at most.

module hwf_pool #(
  parameter int unsigned C         = 1,
  parameter int unsigned InH       = 4,
  parameter int unsigned InW       = 4,
  parameter int unsigned OutH      = 2,
  parameter int unsigned OutW      = 2,
  parameter int unsigned KernelH   = 2,
  parameter int unsigned KernelW   = 2,
  parameter int unsigned StrideH   = 2,
  parameter int unsigned StrideW   = 2,
  parameter int unsigned PadTop    = 0,
  parameter int unsigned PadLeft   = 0,
  parameter int unsigned Pixels    = 8,
  parameter bit          Whole     = 1'b0,
  parameter bit          Average   = 1'b0,
  parameter bit          CountPad  = 1'b0,
  parameter int unsigned Pe        = 1,
  parameter int unsigned Simd      = 1,
  parameter int unsigned Lanes     = 1,
  parameter int unsigned XW        = 8,
  parameter bit          XSigned   = 1'b1,
  parameter int unsigned SumW      = 10,
  parameter int unsigned ScaleW    = 1,
  parameter int unsigned Shift     = 0,
  parameter int          QFrac     = 0,
  parameter int unsigned Scales    = 1,
  parameter int unsigned YW        = 8,
  parameter bit          YSigned   = 1'b1,
  parameter int          YFrac     = 0,
  parameter int unsigned Rounding  = 0,
  parameter int unsigned Overflow  = 0,
  parameter              ScaleFile = "",
  localparam int unsigned InLanes  = (Simd > 1) ? C : Pe
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,
  input  logic [InLanes*XW-1:0] s_axis_tdata,
  input  logic                  s_axis_tvalid,
  output logic                  s_axis_tready,
  output logic [Lanes*YW-1:0]   m_axis_tdata,
  output logic                  m_axis_tvalid,
  input  logic                  m_axis_tready
);
  if (C % Pe != 0 || (KernelH * KernelW) % Simd != 0 || Pe % Lanes != 0) begin : gen_bad_lanes
    $fatal(1, "hwf_pool: Pe must divide C, Simd the window, Lanes Pe");
  end

  // ---------------------------------------------------------------- values on their way through the window
  // For a maximum, codes run from zero (the smallest, as in the padding) upwards. For means over windows of several
  // sizes, a mark tells a value from the padding.
  localparam int unsigned CodeW = XW + (CountPad ? 1 : 0);

  logic [InLanes*CodeW-1:0] codes;
  for (genvar i = 0; i < InLanes; i++) begin : gen_code
    logic [XW-1:0] code;
    assign code = s_axis_tdata[i*XW +: XW] ^ ((!Average && XSigned) ? (XW'(1) << (XW - 1)) : '0);
    if (CountPad) begin : gen_mark
      assign codes[i*CodeW +: CodeW] = {1'b1, code};
    end else begin : gen_plain
      assign codes[i*CodeW +: CodeW] = code;
    end
  end

  logic [Pe*Simd*CodeW-1:0] x_data;
  logic                     x_valid, x_ready;

  if (Whole) begin : gen_whole
    assign x_data        = codes;
    assign x_valid       = s_axis_tvalid;
    assign s_axis_tready = x_ready;
  end else if (Simd > 1) begin : gen_parallel
    hwf_window_parallel #(
      .LaneW(CodeW), .C(C), .InH(InH), .InW(InW), .OutH(OutH), .OutW(OutW),
      .KernelH(KernelH), .KernelW(KernelW), .StrideH(StrideH), .StrideW(StrideW),
      .PadTop(PadTop), .PadLeft(PadLeft), .Lanes(Pe * Simd), .Depthwise(1'b1), .Group(Pe)
    ) u_window (
      .clk_i, .rst_ni,
      .s_axis_tdata(codes), .s_axis_tvalid, .s_axis_tready,
      .m_axis_tdata(x_data), .m_axis_tvalid(x_valid), .m_axis_tready(x_ready)
    );
  end else begin : gen_window
    hwf_window #(
      .Width(Pe * CodeW), .Words(C / Pe),
      .InH(InH), .InW(InW), .OutH(OutH), .OutW(OutW),
      .KernelH(KernelH), .KernelW(KernelW), .StrideH(StrideH), .StrideW(StrideW),
      .PadTop(PadTop), .PadLeft(PadLeft), .Replays(1), .Depthwise(1'b1), .Pixels(Pixels)
    ) u_window (
      .clk_i, .rst_ni,
      .s_axis_tdata(codes), .s_axis_tvalid, .s_axis_tready,
      .m_axis_tdata(x_data), .m_axis_tvalid(x_valid), .m_axis_tready(x_ready)
    );
  end

  // ---------------------------------------------------------------- reduction
  localparam int unsigned Depth  = Whole ? C / Pe : 1;  // results that are gathered side by side
  localparam int unsigned Terms  = Whole ? InH * InW : KernelH * KernelW / Simd;
  localparam int unsigned WordW  = (Depth > 1) ? $clog2(Depth) : 1;
  localparam int unsigned TermW  = $clog2(Terms + 1);
  localparam int unsigned AccW   = Average ? SumW : XW;
  localparam int unsigned CountW = CountPad ? $clog2(KernelH * KernelW + 1) : 1;
  localparam int unsigned LaneW  = AccW + CountW;

  logic [Pe*LaneW-1:0] acc [Depth];
  logic [Pe*LaneW-1:0] so_far, updated, result_q;
  logic [WordW-1:0]    word_q;
  logic [TermW-1:0]    term_q;
  logic                first, last, take, result_valid_q, result_ready;

  assign first   = term_q == '0;
  assign last    = term_q == TermW'(Terms - 1);
  assign x_ready = ~last | ~result_valid_q | result_ready;
  assign take    = x_valid & x_ready;
  assign so_far  = acc[word_q];

  for (genvar p = 0; p < Pe; p++) begin : gen_reduce
    logic [AccW-1:0]   value;
    logic [CountW-1:0] count;
    always_comb begin
      logic [XW-1:0] code;
      value = first ? '0 : so_far[p*LaneW +: AccW];
      count = first ? '0 : so_far[p*LaneW+AccW +: CountW];
      for (int unsigned s = 0; s < Simd; s++) begin
        code = x_data[(s*Pe+p)*CodeW +: XW];
        if (Average) value = value + (XSigned ? AccW'(signed'(code)) : AccW'(code));
        else if (code > XW'(value)) value = AccW'(code);
        if (CountPad) count = count + CountW'(x_data[(s*Pe+p)*CodeW+CodeW-1]);
      end
    end
    assign updated[p*LaneW +: LaneW] = {count, value};
  end

  always_ff @(posedge clk_i) begin
    if (take) acc[word_q] <= updated;
    if (take & last) result_q <= updated;
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      word_q         <= '0;
      term_q         <= '0;
      result_valid_q <= 1'b0;
    end else begin
      if (take) begin
        word_q <= (word_q == WordW'(Depth - 1)) ? '0 : word_q + WordW'(1);
        if (word_q == WordW'(Depth - 1)) term_q <= last ? '0 : term_q + TermW'(1);
      end
      result_valid_q <= (take & last) | (result_valid_q & ~result_ready);
    end
  end

  // ---------------------------------------------------------------- results leave through as few lanes as keep pace
  logic [Lanes*LaneW-1:0] r_data;
  logic                   r_valid, enable;
  hwf_dwc #(.LaneW(LaneW), .InLanes(Pe), .OutLanes(Lanes)) u_lanes (
    .clk_i, .rst_ni,
    .s_axis_tdata(result_q), .s_axis_tvalid(result_valid_q), .s_axis_tready(result_ready),
    .m_axis_tdata(r_data), .m_axis_tvalid(r_valid), .m_axis_tready(enable)
  );

  assign enable = ~m_axis_tvalid | m_axis_tready;

  if (Average) begin : gen_mean
    localparam int unsigned ProdW = SumW + ScaleW;
    localparam int unsigned QuotW = (ProdW > Shift) ? ProdW - Shift + 1 : 2;
    localparam int unsigned AddrW = (Scales > 1) ? $clog2(Scales) : 1;

    logic [ScaleW-1:0] scales [Scales];
    initial $readmemh(ScaleFile, scales);

    logic valid0_q, valid1_q;
    always_ff @(posedge clk_i) begin
      valid0_q      <= rst_ni & (enable ? r_valid : valid0_q);
      valid1_q      <= rst_ni & (enable ? valid0_q : valid1_q);
      m_axis_tvalid <= rst_ni & (enable ? valid1_q : m_axis_tvalid);
    end

    for (genvar l = 0; l < Lanes; l++) begin : gen_lane
      logic [SumW-1:0]         sum, size_q;
      logic [CountW-1:0]       count;
      logic [ScaleW-1:0]       scale_q;
      logic [ProdW-1:0]        prod_q;
      logic                    minus0_q, minus1_q;
      logic signed [QuotW-1:0] quotient;
      assign sum   = r_data[l*LaneW +: SumW];
      assign count = r_data[l*LaneW+SumW +: CountW];
      always_ff @(posedge clk_i) begin
        if (enable) begin
          scale_q  <= scales[CountPad ? AddrW'(count) : '0];
          size_q   <= sum[SumW-1] ? -sum : sum;
          minus0_q <= sum[SumW-1];
          prod_q   <= ProdW'(size_q) * ProdW'(scale_q);
          minus1_q <= minus0_q;
        end
      end
      assign quotient = minus1_q ? -QuotW'(prod_q >> Shift) : QuotW'(prod_q >> Shift);
      hwf_cast #(
        .InW(QuotW), .InSigned(1'b1), .InFrac(QFrac),
        .OutW(YW), .OutSigned(YSigned), .OutFrac(YFrac), .Rounding(Rounding), .Overflow(Overflow)
      ) u_cast (.clk_i, .en_i(enable), .x_i(quotient), .y_o(m_axis_tdata[l*YW +: YW]));
    end
  end else begin : gen_max
    always_ff @(posedge clk_i) begin
      m_axis_tvalid <= rst_ni & (enable ? r_valid : m_axis_tvalid);
    end
    for (genvar l = 0; l < Lanes; l++) begin : gen_lane
      logic              unused_count;
      logic [XW-1:0]     largest;
      assign unused_count = &{1'b0, r_data[l*LaneW+XW +: CountW]};
      assign largest      = r_data[l*LaneW +: XW] ^ (XSigned ? (XW'(1) << (XW - 1)) : '0);
      hwf_cast #(
        .InW(XW), .InSigned(XSigned), .InFrac(QFrac),
        .OutW(YW), .OutSigned(YSigned), .OutFrac(YFrac), .Rounding(Rounding), .Overflow(Overflow)
      ) u_cast (.clk_i, .en_i(enable), .x_i(largest), .y_o(m_axis_tdata[l*YW +: YW]));
    end
  end
endmodule
