// SPDX-License-Identifier: Apache-2.0
//
// hwf_cast: register that brings an exact fixed-point value to another grid and range.
//
//   y = overflow(round(x * 2^(OutFrac - InFrac)))
//
// with the quantization and overflow modes of ap_fixed (AMD UG1399). The cast is a function inside the clocked
// block, so that a simulator evaluates it only where the register loads.
//
// | parameter | legal          | meaning                                                        |
// |-----------|----------------|----------------------------------------------------------------|
// | InW, OutW | 1..64          | bits                                                           |
// | InSigned, OutSigned | 0, 1 | two's complement when 1                                        |
// | InFrac, OutFrac | integer  | fractional bits                                                |
// | Relu      | 0, 1           | negative x gives 0                                             |
// | Rounding  | 0..6           | TRN, TRN_ZERO, RND, RND_ZERO, RND_INF, RND_MIN_INF, RND_CONV   |
// | Overflow  | 0..3           | WRAP, SAT, SAT_ZERO, SAT_SYM                                   |
//
// Latency 1 cycle where en_i is high.

module hwf_cast #(
  parameter int unsigned InW       = 16,
  parameter bit          InSigned  = 1'b1,
  parameter int          InFrac    = 8,
  parameter int unsigned OutW      = 8,
  parameter bit          OutSigned = 1'b1,
  parameter int          OutFrac   = 4,
  parameter bit          Relu      = 1'b0,
  parameter int unsigned Rounding  = 0,
  parameter int unsigned Overflow  = 0
) (
  input  logic            clk_i,
  input  logic            en_i,
  input  logic [InW-1:0]  x_i,
  output logic [OutW-1:0] y_o
);
  localparam int Shift          = InFrac - OutFrac;
  localparam int unsigned Left  = (Shift < 0) ? unsigned'(-Shift) : 0;
  localparam int unsigned Right = (Shift > 0) ? unsigned'(Shift) : 0;

  // One more bit makes an unsigned operand a signed one; where more bits are dropped than there are, the sign fills up.
  localparam int unsigned ExactW = InW + 1 + Left;
  localparam int unsigned WideW  = (ExactW > Right) ? ExactW : Right + 1;
  // Rounding may carry into one bit more; both ranges are compared in a width that holds them.
  localparam int unsigned RndW   = WideW - Right + 1;
  localparam int unsigned CmpW   = ((RndW > OutW) ? RndW : OutW) + 2;
  localparam int unsigned RestW  = (Right > 0) ? Right : 1;
  localparam logic signed [CmpW-1:0] One  = CmpW'(1);
  localparam logic signed [CmpW-1:0] High = OutSigned ? ((One <<< (OutW - 1)) - One) : ((One <<< OutW) - One);
  localparam logic signed [CmpW-1:0] Low  =
      OutSigned ? ((Overflow == 3) ? -High : -(One <<< (OutW - 1))) : '0;

  function automatic logic [OutW-1:0] cast(input logic [InW-1:0] x);
    logic signed [WideW-1:0] wide;
    logic signed [CmpW-1:0]  value;
    logic        [RestW-1:0] rest;
    logic                    half_bit, below, odd, up;
    wide = InSigned ? WideW'(signed'(x)) : WideW'(x);
    if (Relu && wide < 0) wide = '0;
    wide  = wide <<< Left;
    value = CmpW'(wide >>> Right);
    if (Right > 0 && Rounding != 0) begin
      rest     = wide[RestW-1:0];
      half_bit = rest[RestW-1];
      below    = (Right > 1) ? |(rest << 1) : 1'b0;
      odd      = value[0];
      unique case (Rounding)
        1:       up = wide[WideW-1] & (half_bit | below);
        2:       up = half_bit;
        3:       up = half_bit & (below | wide[WideW-1]);
        4:       up = half_bit & (below | ~wide[WideW-1]);
        5:       up = half_bit & below;
        default: up = half_bit & (below | odd);
      endcase
      if (up) value = value + One;
    end
    if (Overflow != 0 && value > High) value = (Overflow == 2) ? '0 : High;
    else if (Overflow != 0 && value < Low) value = (Overflow == 2) ? '0 : Low;
    cast = value[OutW-1:0];
  endfunction

  always_ff @(posedge clk_i) begin
    if (en_i) y_o <= cast(x_i);
  end
endmodule
