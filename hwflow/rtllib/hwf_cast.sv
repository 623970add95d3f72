// SPDX-License-Identifier: Apache-2.0
//
// hwf_cast: brings an exact fixed-point value to another grid and range.
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
// | Registered | 0, 1          | y_o is a register, or combinational                            |
// | Rounding  | 0..6           | TRN, TRN_ZERO, RND, RND_ZERO, RND_INF, RND_MIN_INF, RND_CONV   |
// | Overflow  | 0..3           | WRAP, SAT, SAT_ZERO, SAT_SYM                                   |
//
// Rounding adds up to half a step and drops bits; at ties an even result then loses the lowest bit that made it odd. It
// is monotone and keeps zero, so that Relu may follow it.
// Latency 1 cycle where en_i is high, 0 where Registered is 0.

module hwf_cast #(
  parameter int unsigned InW       = 16,
  parameter bit          InSigned  = 1'b1,
  parameter int          InFrac    = 8,
  parameter int unsigned OutW      = 8,
  parameter bit          OutSigned = 1'b1,
  parameter int          OutFrac   = 4,
  parameter bit          Relu      = 1'b0,
  parameter int unsigned Rounding  = 0,
  parameter int unsigned Overflow  = 0,
  parameter bit          Registered = 1'b1
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
  // Rounding may carry into one bit more; a result is within the range where the bits above those of y repeat the sign.
  localparam int unsigned RndW   = WideW - Right + 1;
  localparam int unsigned CmpW   = ((RndW > OutW) ? RndW : OutW) + 2;
  localparam int unsigned AboveL = OutSigned ? OutW - 1 : OutW;
  localparam int unsigned RestW  = (Right > 0) ? Right : 1;
  localparam logic [OutW-1:0] High = OutSigned ? ~(OutW'(1) << (OutW - 1)) : '1;
  localparam logic [OutW-1:0] Low  = OutSigned ? ((OutW'(1) << (OutW - 1)) | OutW'(Overflow == 3)) : '0;

  function automatic logic [OutW-1:0] cast(input logic [InW-1:0] x);
    logic signed [WideW-1:0] wide;
    logic signed [WideW:0]   moved;
    logic signed [CmpW-1:0]  value;
    logic        [RestW-1:0] half, less, offset;
    logic                    negative, fits;
    wide = InSigned ? WideW'(signed'(x)) : WideW'(x);
    wide     = wide <<< Left;
    negative = wide[WideW-1];
    half     = RestW'(1) << (RestW - 1);
    less     = half - RestW'(1);
    unique case (Rounding)
      0:       offset = '0;
      1:       offset = {RestW{negative}};
      2, 6:    offset = half;
      3:       offset = negative ? half : less;
      4:       offset = negative ? less : half;
      default: offset = less;
    endcase
    moved = (WideW + 1)'(wide);
    if (Right > 0 && Rounding != 0) moved = moved + $signed({{(WideW + 1 - RestW){1'b0}}, offset});
    value = CmpW'(moved >>> Right);
    if (Right > 0 && Rounding == 6 && moved[RestW-1:0] == '0) value[0] = 1'b0;
    if (Relu && value < 0) value = '0;
    if (Overflow != 0) begin
      negative = value[CmpW-1];
      fits     = negative ? (OutSigned && (&value[CmpW-1:AboveL])) : ~|value[CmpW-1:AboveL];
      if (Overflow == 3 && OutSigned && negative && value[OutW-1:0] == ~High) fits = 1'b0;
      if (!fits) value[OutW-1:0] = (Overflow == 2) ? '0 : negative ? Low : High;
    end
    cast = value[OutW-1:0];
  endfunction

  if (Registered) begin : gen_register
    always_ff @(posedge clk_i) begin
      if (en_i) y_o <= cast(x_i);
    end
  end else begin : gen_wires
    logic unused;
    assign unused = &{1'b0, clk_i, en_i};
    assign y_o    = cast(x_i);
  end
endmodule
