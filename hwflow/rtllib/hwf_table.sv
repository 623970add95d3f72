// SPDX-License-Identifier: Apache-2.0
//
// hwf_table: one table read by several lanes at once.
//
// Each pair of lanes has a copy, as a block RAM has two ports.
//
// | parameter | legal      | meaning                     |
// |-----------|------------|-----------------------------|
// | Lanes     | >= 1       | words read a cycle          |
// | Depth     | >= 1       | words                       |
// | Width     | >= 1       | bits of a word              |
// | AddrW     | <= 32      | bits of an address < Depth  |
// | File      | $readmemh  | Depth words                 |
//
// Latency 1 cycle where en_i is high.

module hwf_table #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned Depth = 256,
  parameter int unsigned Width = 8,
  parameter int unsigned AddrW = 8,
  parameter              File  = ""
) (
  input  logic                   clk_i,
  input  logic                   en_i,
  input  logic [Lanes*AddrW-1:0] addr_i,
  output logic [Lanes*Width-1:0] data_o
);
  for (genvar p = 0; p < Lanes; p += 2) begin : gen_pair
    logic [Width-1:0] words [Depth];
    initial $readmemh(File, words);

    for (genvar l = p; l < Lanes && l < p + 2; l++) begin : gen_port
      always_ff @(posedge clk_i) begin
        if (en_i) data_o[l*Width +: Width] <= words[addr_i[l*AddrW +: AddrW]];
      end
    end
  end
endmodule
