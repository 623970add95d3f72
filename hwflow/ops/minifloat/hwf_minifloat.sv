// SPDX-License-Identifier: Apache-2.0
//
// hwf_minifloat: rounding to mini floating point, lane by lane; results are fixed-point codes of the mini floats.
//
//   |y| = 0                                         |x| up to ZeroMax
//         max(Least, min(Most, round(|x|)))         above; round keeps Mantissa bits below the leading one, half to even
//
// and y has the sign of x. Least and Most are the smallest and the largest mini float, ZeroMax is half of Least. All
// results lie on the grid of y; only those near Least, and Most, can need a finer grid than x.
//
// | parameter    | legal           | meaning                                                               |
// |--------------|-----------------|-----------------------------------------------------------------------|
// | Lanes        | >= 1            | values a beat                                                         |
// | XW, XSigned, XFrac | 1..63     | input grid                                                            |
// | YW, YFrac    | 1..63           | output grid                                                           |
// | Exponent     | 1..5            | bits of the exponent, whose bias is 2^(Exponent-1) - 1                |
// | Mantissa     | 0..10           | bits of the mantissa; without any, codes are even where exponents are |
//
// Latency 3 cycles, II 1. s_axis_tready depends combinationally on m_axis_tready.

module hwf_minifloat #(
  parameter int unsigned Lanes    = 1,
  parameter int unsigned XW       = 16,
  parameter bit          XSigned  = 1'b1,
  parameter int          XFrac    = 8,
  parameter int unsigned YW       = 16,
  parameter int          YFrac    = 8,
  parameter int unsigned Exponent = 4,
  parameter int unsigned Mantissa = 3
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [Lanes*XW-1:0] s_axis_tdata,
  input  logic                s_axis_tvalid,
  output logic                s_axis_tready,
  output logic [Lanes*YW-1:0] m_axis_tdata,
  output logic                m_axis_tvalid,
  input  logic                m_axis_tready
);
  localparam int unsigned Bias = (1 << (Exponent - 1)) - 1;
  localparam int unsigned CutW = $clog2(XW + 1);
  // Bits of a rounded magnitude, on the grid of x and on that of y.
  localparam int unsigned SizeW = ((YFrac > XFrac) ? YFrac - XFrac : 0) + ((XW + 1 > YW) ? XW + 1 : YW);
  // Parity of the exponent code of a value whose leading one is bit 0.
  localparam bit Odd = ((int'(Bias) - XFrac) & 1) != 0;

  // Numbers in units of 2^-(Bias + Mantissa), on another grid.
  localparam int unsigned Wide = 128;
  function automatic logic [Wide-1:0] on_grid(input logic [Wide-1:0] units, input int frac);
    on_grid = (frac >= int'(Bias + Mantissa)) ? units << (frac - int'(Bias + Mantissa))
                                              : units >> (int'(Bias + Mantissa) - frac);
  endfunction
  localparam logic [Wide-1:0] Smallest = (Mantissa == 0) ? Wide'(2) : (Wide'(1) << Mantissa) + Wide'(1);
  localparam logic [Wide-1:0] Largest  = ((Wide'(2) << Mantissa) - Wide'(1)) << ((1 << Exponent) - 1);
  localparam logic [Wide-1:0] ZeroMax  = on_grid(Smallest, XFrac - 1);
  localparam logic [Wide-1:0] Least    = on_grid(Smallest, YFrac);
  localparam logic [Wide-1:0] Most     = on_grid(Largest, YFrac);

  logic [2:0] valid_q;
  logic       enable;

  assign enable        = ~valid_q[2] | m_axis_tready;
  assign s_axis_tready = enable;
  assign m_axis_tvalid = valid_q[2];

  // Bits below the mantissa of a magnitude.
  function automatic logic [CutW-1:0] cut(input logic [XW-1:0] size);
    cut = '0;
    for (int unsigned b = Mantissa + 1; b < XW; b++) if (size[b]) cut = CutW'(b - Mantissa);
  endfunction

  // Round a magnitude to a multiple of 2^down, half to the even code.
  function automatic logic [XW:0] rounded(input logic [XW-1:0] size, input logic [CutW-1:0] down);
    logic [XW:0] unit, half, rest;
    logic        is_odd;
    unit    = (XW+1)'(1) << down;
    half    = unit >> 1;
    rest    = {1'b0, size} & (unit - (XW+1)'(1));
    is_odd  = (Mantissa == 0) ? down[0] ^ Odd : |({1'b0, size} & unit);
    rounded = ({1'b0, size} - rest) + ((rest > half || (rest == half && rest != '0 && is_odd)) ? unit : '0);
  endfunction

  // From the grid of x to that of y, which loses no ones, and into the range of the format.
  function automatic logic [YW-1:0] limited(input logic [XW:0] size);
    logic [SizeW-1:0] wide;
    wide = (YFrac >= XFrac) ? SizeW'(size) << (YFrac - XFrac) : SizeW'(size) >> (XFrac - YFrac);
    /* verilator lint_off CMPCONST */ // ends beyond what x can become
    /* verilator lint_off UNSIGNED */
    if (Wide'(wide) > Most) wide = SizeW'(Most);
    if (Wide'(wide) < Least) wide = SizeW'(Least);
    /* verilator lint_on UNSIGNED */
    /* verilator lint_on CMPCONST */
    limited = YW'(wide);
  endfunction

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    logic [XW-1:0]   x, size_q;
    logic [CutW-1:0] cut_q;
    logic [XW:0]     rounded_q;
    logic [YW-1:0]   y, y_q;
    logic            negative, negative_q, negative1_q, zero_q;

    assign negative = XSigned & s_axis_tdata[l*XW+XW-1];
    assign x        = negative ? -s_axis_tdata[l*XW +: XW] : s_axis_tdata[l*XW +: XW];
    assign y        = limited(rounded_q);

    always_ff @(posedge clk_i) begin
      if (enable) begin
        size_q      <= x;
        cut_q       <= cut(x);
        negative_q  <= negative;
        rounded_q   <= rounded(size_q, cut_q);
        negative1_q <= negative_q;
        zero_q      <= Wide'(size_q) <= ZeroMax;
        y_q         <= zero_q ? '0 : (negative1_q ? -y : y);
      end
    end
    assign m_axis_tdata[l*YW +: YW] = y_q;
  end

  always_ff @(posedge clk_i) begin
    valid_q <= {3{rst_ni}} & (enable ? {valid_q[1:0], s_axis_tvalid} : valid_q);
  end
endmodule
