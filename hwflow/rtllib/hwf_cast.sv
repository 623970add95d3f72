// SPDX-License-Identifier: Apache-2.0
//
// hwf_cast: brings an exact fixed-point value to another grid and range.
//
//   y = overflow(round(x * 2^(OutFrac - InFrac)))
//
// with the quantization and overflow modes of ap_fixed (AMD UG1399). Purely combinational.
//
// | parameter | legal          | meaning                                                        |
// |-----------|----------------|----------------------------------------------------------------|
// | InW, OutW | 1..64          | bits                                                           |
// | InSigned, OutSigned | 0, 1 | two's complement when 1                                        |
// | InFrac, OutFrac | integer  | fractional bits; InFrac - OutFrac below InW + 62               |
// | Rounding  | 0..6           | TRN, TRN_ZERO, RND, RND_ZERO, RND_INF, RND_MIN_INF, RND_CONV   |
// | Overflow  | 0..3           | WRAP, SAT, SAT_ZERO, SAT_SYM                                   |

module hwf_cast #(
  parameter int unsigned InW       = 16,
  parameter bit          InSigned  = 1'b1,
  parameter int          InFrac    = 8,
  parameter int unsigned OutW      = 8,
  parameter bit          OutSigned = 1'b1,
  parameter int          OutFrac   = 4,
  parameter int unsigned Rounding  = 0,
  parameter int unsigned Overflow  = 0
) (
  input  logic [InW-1:0]  x_i,
  output logic [OutW-1:0] y_o
);
  localparam int Shift          = InFrac - OutFrac;
  localparam int unsigned Left  = (Shift < 0) ? unsigned'(-Shift) : 0;
  localparam int unsigned Right = (Shift > 0) ? unsigned'(Shift) : 0;

  // One more bit makes an unsigned operand a signed one.
  localparam int unsigned WideW = InW + 1 + Left;
  logic signed [WideW-1:0] wide;
  if (InSigned) begin : gen_signed
    assign wide = WideW'(signed'(x_i)) <<< Left;
  end else begin : gen_unsigned
    assign wide = WideW'(x_i) << Left;
  end

  // Rounding may carry into one bit more.
  localparam int unsigned FloorW = (WideW > Right) ? WideW - Right : 1;
  localparam int unsigned RndW   = FloorW + 1;
  logic signed [RndW-1:0] rounded;
  if (Right == 0) begin : gen_exact
    assign rounded = RndW'(wide);
  end else begin : gen_round
    // Dropped bits, sign-extended where more are dropped than there are.
    localparam int unsigned PadW = (WideW > Right) ? WideW : Right + 1;
    logic signed [PadW-1:0] padded;
    logic signed [FloorW-1:0] floor_v;
    logic [Right-1:0] rest;
    logic half_bit, below, negative, odd, up;
    assign padded   = PadW'(wide);
    assign floor_v  = FloorW'(padded >>> Right);
    assign rest     = padded[Right-1:0];
    assign half_bit = rest[Right-1];
    if (Right > 1) begin : gen_below
      assign below = |rest[Right-2:0];
    end else begin : gen_none_below
      assign below = 1'b0;
    end
    assign negative = padded[PadW-1];
    assign odd      = floor_v[0];
    always_comb begin
      unique case (Rounding)
        0:       up = 1'b0;
        1:       up = negative & (half_bit | below);
        2:       up = half_bit;
        3:       up = half_bit & (below | negative);
        4:       up = half_bit & (below | ~negative);
        5:       up = half_bit & below;
        default: up = half_bit & (below | odd);
      endcase
    end
    assign rounded = RndW'(floor_v) + RndW'(signed'({1'b0, up}));
    // Which of the flags a mode reads is fixed at elaboration.
    logic unused_flags;
    assign unused_flags = &{1'b0, below, negative, odd, half_bit};
  end

  // Compared in a width that holds both ranges.
  localparam int unsigned CmpW = ((RndW > OutW) ? RndW : OutW) + 2;
  localparam logic signed [CmpW-1:0] High =
      OutSigned ? ((CmpW'(1) <<< (OutW - 1)) - CmpW'(1)) : ((CmpW'(1) <<< OutW) - CmpW'(1));
  localparam logic signed [CmpW-1:0] Low =
      OutSigned ? ((Overflow == 3) ? -High : -(CmpW'(1) <<< (OutW - 1))) : '0;
  if (Overflow == 0) begin : gen_wrap
    if (RndW >= OutW) begin : gen_cut
      assign y_o = rounded[OutW-1:0];
    end else begin : gen_extend
      assign y_o = OutW'(rounded);
    end
    if (RndW > OutW) begin : gen_unused
      logic unused_high;
      assign unused_high = &{1'b0, rounded[RndW-1:OutW]};
    end
  end else begin : gen_saturate
    logic signed [CmpW-1:0] value;
    assign value = CmpW'(rounded);
    always_comb begin
      if (value > High) begin
        y_o = (Overflow == 2) ? '0 : High[OutW-1:0];
      end else if (value < Low) begin
        y_o = (Overflow == 2) ? '0 : Low[OutW-1:0];
      end else begin
        y_o = value[OutW-1:0];
      end
    end
  end
endmodule
