// SPDX-License-Identifier: Apache-2.0
//
// hwf_sim_bram: simulation model of a 7-series block RAM without output register, ECC and cascade
// (AMD UG473, chapter 1): two ports, each of a width of its own, with the three write modes.
//
// | parameter            | legal                  | meaning                                              |
// |----------------------|------------------------|------------------------------------------------------|
// | Bytes                | 2048, 4096             | size, bytes of eight data bits and one parity bit    |
// | Sdp                  | 0, 1                   | port A reads, port B writes, over both halves        |
// | ReadA/B, WriteA/B    | 0 1 2 4 9 18 36 (72)   | widths, parity included; 0: unused                   |
// | ModeA/B              | text                   | READ_FIRST, WRITE_FIRST or NO_CHANGE                 |
// | Start                | bits                   | {port B, port A} after configuration, parity on top  |
// | Reset                | bits                   | the same after a reset                               |
// | Init, InitP          | bits                   | contents                                             |
//
// Yosys describes block RAMs as black boxes only. Addresses count bits; the lower ones that a width covers are
// ignored. A port that reads what the other one writes gets the old word.

module hwf_sim_bram #(
  parameter int unsigned        Bytes  = 4096,
  parameter bit                 Sdp    = 0,
  parameter int unsigned        ReadA  = 0,
  parameter int unsigned        WriteA = 0,
  parameter int unsigned        ReadB  = 0,
  parameter int unsigned        WriteB = 0,
  parameter                     ModeA  = "WRITE_FIRST",
  parameter                     ModeB  = "WRITE_FIRST",
  parameter bit [1:0][35:0]     Start  = '0,
  parameter bit [1:0][35:0]     Reset  = '0,
  parameter bit [Bytes*8-1:0]   Init   = '0,
  parameter bit [Bytes-1:0]     InitP  = '0
) (
  input  logic        clk_a_i,
  input  logic        en_a_i,
  input  logic        rst_a_i,
  input  logic [7:0]  we_a_i,
  input  logic [15:0] addr_a_i,
  input  logic [31:0] d_a_i,
  input  logic [3:0]  dp_a_i,
  output logic [31:0] q_a_o,
  output logic [3:0]  qp_a_o,
  input  logic        clk_b_i,
  input  logic        en_b_i,
  input  logic        rst_b_i,
  input  logic [7:0]  we_b_i,
  input  logic [15:0] addr_b_i,
  input  logic [31:0] d_b_i,
  input  logic [3:0]  dp_b_i,
  output logic [31:0] q_b_o,
  output logic [3:0]  qp_b_o
);
  localparam int unsigned AddrW = $clog2(Bytes);
  // A word as its ports carry it: up to eight bytes, then their parity bits.
  typedef logic [71:0] word_t;

  logic [7:0] data  [Bytes];
  logic       parity[Bytes];
  initial begin
    for (int unsigned i = 0; i < Bytes; i++) begin
      data[i] = Init[8*i+:8];
      parity[i] = InitP[i];
    end
  end

  // Bytes of a word, and the first of them; narrower words are a slice of one.
  function automatic int unsigned bytes(int unsigned width);
    return width < 9 ? 1 : width / 9;
  endfunction
  function automatic logic [AddrW-1:0] first(logic [15:0] addr, int unsigned width);
    return addr[3+:AddrW] & ~AddrW'(bytes(width) - 1);
  endfunction
  function automatic logic [2:0] shift(logic [15:0] addr, int unsigned width);
    return width < 9 ? addr[2:0] & ~3'(width - 1) : '0;
  endfunction

  function automatic word_t read(logic [15:0] addr, int unsigned width);
    read = '0;
    for (int unsigned i = 0; i < bytes(width); i++) begin
      read[8*i+:8] = data[first(addr, width)|AddrW'(i)] >> shift(addr, width);
      read[64+i] = width >= 9 && parity[first(addr, width)|AddrW'(i)];
    end
    if (width < 9) read &= word_t'((1 << width) - 1);
  endfunction

  // What a port gives that shows what it writes.
  function automatic word_t written(word_t old, word_t d, logic [7:0] we, int unsigned width);
    written = old;
    for (int unsigned i = 0; i < bytes(width); i++) begin
      if (we[i]) begin
        written[8*i+:8] = width < 9 ? d[7:0] & 8'((1 << width) - 1) : d[8*i+:8];
        if (width >= 9) written[64+i] = d[64+i];
      end
    end
  endfunction

  // A simple dual port takes and gives its upper half at port B.
  word_t d_a, d_b, q_a, q_b;
  assign d_a = {4'b0, dp_a_i, 32'b0, d_a_i};
  assign d_b = WriteB == 72 ? {dp_b_i, dp_a_i, d_b_i, d_a_i} : {4'b0, dp_b_i, 32'b0, d_b_i};
  assign {qp_a_o, q_a_o} = {q_a[67:64], q_a[31:0]};
  assign {qp_b_o, q_b_o} = Sdp ? {q_a[71:68], q_a[63:32]} : {q_b[67:64], q_b[31:0]};

  localparam word_t StartA = {Start[1][35:32], Start[0][35:32], Start[1][31:0], Start[0][31:0]};
  localparam word_t ResetA = {Reset[1][35:32], Reset[0][35:32], Reset[1][31:0], Reset[0][31:0]};
  initial q_a = StartA;
  initial q_b = {4'b0, Start[1][35:32], 32'b0, Start[1][31:0]};

  `define HWF_PORT(p, Read, Write, Mode, ResetWord)                                                        \
    always @(posedge clk_``p``_i) begin                                                                    \
      if (en_``p``_i) begin                                                                                \
        if (Write != 0) begin                                                                              \
          for (int unsigned i = 0; i < bytes(Write); i++) begin                                            \
            if (we_``p``_i[i] && Write >= 9) begin                                                         \
              data[first(addr_``p``_i, Write)|AddrW'(i)] <= d_``p``[8*i+:8];                               \
              parity[first(addr_``p``_i, Write)|AddrW'(i)] <= d_``p``[64+i];                               \
            end                                                                                            \
          end                                                                                              \
          for (int unsigned i = 0; i < 8; i++)                                                             \
            if (we_``p``_i[0] && i < Write && Write < 9)                                                   \
              data[first(addr_``p``_i, Write)][shift(addr_``p``_i, Write)+3'(i)] <= d_``p``[i];            \
        end                                                                                                \
        if (rst_``p``_i) q_``p <= ResetWord;                                                               \
        else if (Read != 0 && !(Mode == "NO_CHANGE" && Write != 0 && |we_``p``_i))                         \
          q_``p <= Mode == "WRITE_FIRST" && Write != 0 ?                                                   \
                   written(read(addr_``p``_i, Read), d_``p, we_``p``_i, Write) : read(addr_``p``_i, Read); \
      end                                                                                                  \
    end
  `HWF_PORT(a, ReadA, WriteA, ModeA, ResetA)
  `HWF_PORT(b, ReadB, WriteB, ModeB, {4'b0, Reset[1][35:32], 32'b0, Reset[1][31:0]})

  if (ReadA != 0 && WriteA != 0 && ReadA != WriteA && ModeA == "WRITE_FIRST" ||
      ReadB != 0 && WriteB != 0 && ReadB != WriteB && ModeB == "WRITE_FIRST") begin : gen_bad_widths
    $fatal(1, "hwf_sim_bram: WRITE_FIRST with a read width unlike the write width is not modelled");
  end
endmodule
