// SPDX-License-Identifier: Apache-2.0
//
// hwf_argmax: One at the first of the largest channels of each pixel, zero elsewhere.
//
// | parameter | legal       | meaning                               |
// |-----------|-------------|---------------------------------------|
// | Lanes     | >= 1        | values a beat                         |
// | Words     | >= 1        | beats a vector                        |
// | XW, XSigned | 1..62, 0/1 | input bits, sign                     |
// | YW        | 1..64       | output bits                           |
// | OneFile   | $readmemh   | a word of YW bits, the code for one   |
//
// Latency Words + 1 cycles, II Words. s_axis_tready depends on registers only.

module hwf_argmax #(
  parameter int unsigned Lanes   = 1,
  parameter int unsigned Words   = 4,
  parameter int unsigned XW      = 8,
  parameter bit          XSigned = 1'b1,
  parameter int unsigned YW      = 8,
  parameter              OneFile = ""
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
  localparam int unsigned Channels = Lanes * Words;
  localparam int unsigned CountW   = (Words > 1) ? $clog2(Words) : 1;
  localparam int unsigned ChanW    = (Channels > 1) ? $clog2(Channels) : 1;
  localparam logic [CountW-1:0] LastWord = CountW'(Words - 1);

  logic [YW-1:0] one [1];
  initial $readmemh(OneFile, one);

  function automatic logic signed [XW:0] extend(input logic [XW-1:0] x);
    extend = XSigned ? (XW+1)'(signed'(x)) : (XW+1)'(x);
  endfunction

  logic [CountW-1:0]  in_q, out_q;
  logic signed [XW:0] max_q, max;
  logic [ChanW-1:0]   best_q, best, found;
  logic               take, found_valid;

  assign take = s_axis_tvalid & s_axis_tready;

  always_comb begin
    max  = max_q;
    best = best_q;
    for (int unsigned l = 0; l < Lanes; l++) begin
      if ((l == 0 && in_q == '0) || extend(s_axis_tdata[l*XW +: XW]) > max) begin
        max  = extend(s_axis_tdata[l*XW +: XW]);
        best = ChanW'(32'(in_q) * Lanes + l);
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (take) begin
      max_q  <= max;
      best_q <= best;
    end
    if (!rst_ni) in_q <= '0;
    else if (take) in_q <= (in_q == LastWord) ? '0 : in_q + CountW'(1);
  end

  // One result waits while the beats of the one before leave.
  hwf_fifo #(.Width(ChanW), .Depth(2)) u_found (
    .clk_i, .rst_ni, .s_axis_tdata(best), .s_axis_tvalid(s_axis_tvalid & (in_q == LastWord)),
    .s_axis_tready, .m_axis_tdata(found), .m_axis_tvalid(found_valid),
    .m_axis_tready(m_axis_tready & (out_q == LastWord))
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) out_q <= '0;
    else if (found_valid & m_axis_tready) out_q <= (out_q == LastWord) ? '0 : out_q + CountW'(1);
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    assign m_axis_tdata[l*YW +: YW] = (found == ChanW'(32'(out_q) * Lanes + l)) ? one[0] : '0;
  end
  assign m_axis_tvalid = found_valid;
endmodule
