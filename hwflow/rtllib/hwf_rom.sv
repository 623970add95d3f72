// SPDX-License-Identifier: Apache-2.0
//
// hwf_rom: constant memory with a synchronous read.
//
// | parameter    | legal     | meaning                                                                     |
// |--------------|-----------|-----------------------------------------------------------------------------|
// | Width, Depth | >= 1      | bits of a word, words                                                       |
// | FileW, Low   |           | bits of a word in the file, of which those from Low on are the contents     |
// | Block        | 0, 1      | 1: block RAM; 0: left to synthesis, which takes LUTs for small ones         |
// | Stages       | 1, 2      | registers behind the memory; the second is what block RAMs need to be fast  |
// | File         | $readmemh | contents                                                                    |
//
// Latency Stages cycles where en_i is high. UltraRAM is no choice: it cannot be initialised.

module hwf_rom #(
  parameter int unsigned  Width  = 8,
  parameter int unsigned  Depth  = 16,
  parameter int unsigned  FileW  = Width,
  parameter int unsigned  Low    = 0,
  parameter bit           Block  = 1'b0,
  parameter int unsigned  Stages = 1,
  parameter               File   = "",
  localparam int unsigned AddrW  = (Depth > 1) ? $clog2(Depth) : 1
) (
  input  logic             clk_i,
  input  logic             en_i,
  input  logic [AddrW-1:0] addr_i,
  output logic [Width-1:0] data_o
);
  logic [Width-1:0] read_q;

  if (Block) begin : gen_block
    (* rom_style = "block" *) logic [FileW-1:0] mem [Depth];
    initial $readmemh(File, mem);
    always_ff @(posedge clk_i) begin
      if (en_i) read_q <= mem[addr_i][Low +: Width];
    end
  end else begin : gen_auto
    logic [FileW-1:0] mem [Depth];
    initial $readmemh(File, mem);
    always_ff @(posedge clk_i) begin
      if (en_i) read_q <= mem[addr_i][Low +: Width];
    end
  end

  if (Stages == 2) begin : gen_second
    always_ff @(posedge clk_i) begin
      if (en_i) data_o <= read_q;
    end
  end else begin : gen_first
    assign data_o = read_q;
  end
endmodule
