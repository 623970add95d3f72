// SPDX-License-Identifier: Apache-2.0
//
// hwf_tap: simulation-only observer that writes every beat of a stream to a file.
//
// With the plusarg +hwf_tap=DIR each accepted beat is appended to DIR/Name.bin as raw little-endian 32-bit words
// (two-state). Without the plusarg it does nothing. Compiled only where HWF_TAPS is defined.
//
// | parameter | legal | meaning              |
// |-----------|-------|----------------------|
// | Width     | >= 1  | bits of one beat     |
// | Name      | text  | name of the stream   |

module hwf_tap #(
  parameter int unsigned Width = 8,
  parameter              Name  = "stream"
) (
  input logic             clk_i,
  input logic             rst_ni,
  input logic [Width-1:0] tdata_i,
  input logic             tvalid_i,
  input logic             tready_i
);
  string  folder;
  integer file = 0;
  initial begin
    if ($value$plusargs("hwf_tap=%s", folder) != 0) begin
      file = $fopen({folder, "/", Name, ".bin"}, "wb");
      if (file == 0) $fatal(1, "hwf_tap: cannot write %s/%s.bin", folder, Name);
    end
  end
  always_ff @(posedge clk_i) begin
    if (file != 0 && rst_ni && tvalid_i && tready_i) $fwrite(file, "%u", tdata_i);
  end
  final if (file != 0) $fclose(file);
endmodule
