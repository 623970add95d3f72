// SPDX-License-Identifier: Apache-2.0
//
// hwf_softmax: softmax over the channels of each pixel, by tables of exp and of 1/x.
//
//   d = Stable ? max(x) - x : x          in AddrW bits, wrapping
//   e = exp_table[top ExpBits of d]      on the grid EFrac
//   s = cast(sum of e)                   first to the accumulator's range, then to the grid of the second table
//   y = cast(e * inv_table[top InvBits of s])
//
// Three stages work on three vectors at a time, with a FIFO of two vectors between them: the maximum, the sum, the
// product. Without Stable there is no first stage.
//
// | parameter | legal         | meaning                                                          |
// |-----------|---------------|------------------------------------------------------------------|
// | Lanes     | >= 1          | values a beat; one multiplier and one port of the exp table each |
// | Words     | >= 1          | beats a vector                                                   |
// | Stable    | 0, 1          | subtract from the maximum first                                  |
// | XW, XSigned | 1..62, 0/1  | input bits, sign                                                 |
// | AddrW, ExpBits | ExpBits <= AddrW | bits of d, and how many of them address the table        |
// | EW, ESigned, EFrac | 1..32 | grid of e, the accumulator's                                     |
// | SumW      | <= 62         | bits, signed, of the sum of a whole vector                       |
// | AccW, AccSigned, AccOverflow | see hwf_cast | range of the accumulator                       |
// | InvInW, InvInSigned, InvInFrac, InvInRounding, InvInOverflow | see hwf_cast | grid of s      |
// | InvBits   | <= InvInW     | bits of s that address the table                                 |
// | RW, RSigned, RFrac | 1..32 | grid of the second table                                        |
// | others    |               | see hwf_cast                                                     |
// | ExpFile, InvFile | $readmemh | 2^ExpBits words of EW bits, 2^InvBits words of RW bits        |
//
// Latency Words + 9 cycles, 2 * Words + 10 with Stable; II Words. s_axis_tready depends on registers only.

module hwf_softmax #(
  parameter int unsigned Lanes         = 1,
  parameter int unsigned Words         = 4,
  parameter bit          Stable        = 1'b1,
  parameter int unsigned XW            = 8,
  parameter bit          XSigned       = 1'b1,
  parameter int unsigned AddrW         = 7,
  parameter int unsigned ExpBits       = 7,
  parameter int unsigned EW            = 18,
  parameter bit          ESigned       = 1'b1,
  parameter int          EFrac         = 10,
  parameter int unsigned SumW          = 22,
  parameter int unsigned AccW          = 18,
  parameter bit          AccSigned     = 1'b1,
  parameter int unsigned AccOverflow   = 1,
  parameter int unsigned InvInW        = 18,
  parameter bit          InvInSigned   = 1'b1,
  parameter int          InvInFrac     = 10,
  parameter int unsigned InvInRounding = 2,
  parameter int unsigned InvInOverflow = 1,
  parameter int unsigned InvBits       = 10,
  parameter int unsigned RW            = 18,
  parameter bit          RSigned       = 1'b1,
  parameter int          RFrac         = 10,
  parameter int unsigned YW            = 16,
  parameter bit          YSigned       = 1'b1,
  parameter int          YFrac         = 10,
  parameter int unsigned Rounding      = 0,
  parameter int unsigned Overflow      = 0,
  parameter              ExpFile       = "",
  parameter              InvFile       = ""
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
  localparam int unsigned CountW   = (Words > 1) ? $clog2(Words) : 1;
  localparam int unsigned Buffer   = 2 * Words + 8;  // two vectors, and what the stages between hold
  localparam int unsigned Tokens   = 8;              // results a vector that wait for the next stage
  localparam int unsigned WideW    = (XW + 1 > AddrW) ? XW + 1 : AddrW;
  localparam logic [CountW-1:0] LastWord = CountW'(Words - 1);
  localparam logic [WideW-1:0]  AddrMask = {WideW{1'b1}} >> (WideW - AddrW);

  function automatic logic signed [XW:0] extend(input logic [XW-1:0] x);
    extend = XSigned ? (XW+1)'(signed'(x)) : (XW+1)'(x);
  endfunction

  // ---------------------------------------------------------------- stage 1: the maximum
  logic [Lanes*XW-1:0] x_data;
  logic                x_valid, x_ready, x_last;
  logic signed [XW:0]  top;

  if (Stable) begin : gen_max
    logic [CountW-1:0]  in_q, out_q;
    logic signed [XW:0] max_q, max;
    logic               data_ready, data_valid, max_ready, max_valid, take, pop;
    logic [XW:0]        max_out;

    assign s_axis_tready = data_ready & max_ready;
    assign take          = s_axis_tvalid & s_axis_tready;

    always_comb begin
      max = extend(s_axis_tdata[XW-1:0]);
      if (in_q != '0 && max_q > max) max = max_q;
      for (int unsigned l = 1; l < Lanes; l++) begin
        if (extend(s_axis_tdata[l*XW +: XW]) > max) max = extend(s_axis_tdata[l*XW +: XW]);
      end
    end
    always_ff @(posedge clk_i) begin
      if (take) max_q <= max;
      if (!rst_ni) in_q <= '0;
      else if (take) in_q <= (in_q == LastWord) ? '0 : in_q + CountW'(1);
    end

    hwf_fifo #(.Width(Lanes * XW), .Depth(Buffer)) u_data (
      .clk_i, .rst_ni, .s_axis_tdata, .s_axis_tvalid(take), .s_axis_tready(data_ready),
      .m_axis_tdata(x_data), .m_axis_tvalid(data_valid), .m_axis_tready(pop)
    );
    hwf_fifo #(.Width(XW + 1), .Depth(Tokens)) u_max (
      .clk_i, .rst_ni, .s_axis_tdata(max), .s_axis_tvalid(take & (in_q == LastWord)), .s_axis_tready(max_ready),
      .m_axis_tdata(max_out), .m_axis_tvalid(max_valid), .m_axis_tready(pop & (out_q == LastWord))
    );

    assign x_valid = data_valid & max_valid;
    assign x_last  = out_q == LastWord;
    assign top     = signed'(max_out);
    assign pop     = x_valid & x_ready;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) out_q <= '0;
      else if (pop) out_q <= x_last ? '0 : out_q + CountW'(1);
    end
  end else begin : gen_no_max
    logic [CountW-1:0] in_q;
    assign x_data        = s_axis_tdata;
    assign x_valid       = s_axis_tvalid;
    assign s_axis_tready = x_ready;
    assign x_last        = in_q == LastWord;
    assign top           = '0;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) in_q <= '0;
      else if (x_valid & x_ready) in_q <= x_last ? '0 : in_q + CountW'(1);
    end
  end

  // ---------------------------------------------------------------- stage 2: exp and its sum
  logic [Lanes*ExpBits-1:0] exp_addr_q;
  logic [Lanes*EW-1:0]      e_q, e_data;
  logic                     addr_valid_q, addr_last_q, e_valid_q, e_last_q, sum_valid_q;
  logic                     e_ready, e_valid, e_pop, enable, sum_enable;
  logic signed [SumW-1:0]   acc_q, sum_q, beat_sum, acc;
  logic                     first_q;

  // Beats wait for room in the FIFO of stage 3, the last of a vector also for the sum before it to move on.
  assign enable  = ~e_valid_q | (e_ready & (~e_last_q | sum_enable));
  assign x_ready = enable;

  function automatic logic [ExpBits-1:0] exp_address(input logic signed [XW:0] x, input logic signed [XW:0] from);
    logic [WideW-1:0] wide;
    wide        = Stable ? WideW'(from) - WideW'(x) : WideW'(x);
    exp_address = ExpBits'((wide & AddrMask) >> (AddrW - ExpBits));
  endfunction

  for (genvar l = 0; l < Lanes; l++) begin : gen_address
    always_ff @(posedge clk_i) begin
      if (enable) exp_addr_q[l*ExpBits +: ExpBits] <= exp_address(extend(x_data[l*XW +: XW]), top);
    end
  end

  hwf_table #(.Lanes(Lanes), .Depth(1 << ExpBits), .Width(EW), .AddrW(ExpBits), .File(ExpFile)) u_exp (
    .clk_i, .en_i(enable), .addr_i(exp_addr_q), .data_o(e_q)
  );

  always_comb begin
    beat_sum = '0;
    for (int unsigned l = 0; l < Lanes; l++) begin
      beat_sum = beat_sum + (ESigned ? SumW'(signed'(e_q[l*EW +: EW])) : SumW'(e_q[l*EW +: EW]));
    end
    acc = (first_q ? '0 : acc_q) + beat_sum;
  end

  always_ff @(posedge clk_i) begin
    addr_valid_q <= rst_ni & (enable ? x_valid : addr_valid_q);
    e_valid_q    <= rst_ni & (enable ? addr_valid_q : e_valid_q);
    addr_last_q  <= enable ? x_last : addr_last_q;
    e_last_q     <= enable ? addr_last_q : e_last_q;
    if (enable & e_valid_q) acc_q <= acc;
    if (!rst_ni) first_q <= 1'b1;
    else if (enable & e_valid_q) first_q <= e_last_q;
  end

  hwf_fifo #(.Width(Lanes * EW), .Depth(Buffer)) u_e (
    .clk_i, .rst_ni, .s_axis_tdata(e_q), .s_axis_tvalid(enable & e_valid_q), .s_axis_tready(e_ready),
    .m_axis_tdata(e_data), .m_axis_tvalid(e_valid), .m_axis_tready(e_pop)
  );

  // ---------------------------------------------------------------- the sum becomes a factor
  logic [AccW-1:0]   acc_cast;
  logic [InvInW-1:0] inv_in;
  logic [RW-1:0]     r_q, r_data;
  logic              acc_valid_q, in_valid_q, r_valid_q, r_ready, r_valid, r_pop;

  assign sum_enable = ~r_valid_q | r_ready;

  always_ff @(posedge clk_i) begin
    if (sum_enable) sum_q <= acc;
    sum_valid_q <= rst_ni & (sum_enable ? enable & e_valid_q & e_last_q : sum_valid_q);
    acc_valid_q <= rst_ni & (sum_enable ? sum_valid_q : acc_valid_q);
    in_valid_q  <= rst_ni & (sum_enable ? acc_valid_q : in_valid_q);
    r_valid_q   <= rst_ni & (sum_enable ? in_valid_q : r_valid_q);
  end

  hwf_cast #(
    .InW(SumW), .InSigned(1'b1), .InFrac(EFrac),
    .OutW(AccW), .OutSigned(AccSigned), .OutFrac(EFrac), .Rounding(0), .Overflow(AccOverflow)
  ) u_acc (.clk_i, .en_i(sum_enable), .x_i(sum_q), .y_o(acc_cast));
  hwf_cast #(
    .InW(AccW), .InSigned(AccSigned), .InFrac(EFrac), .OutW(InvInW), .OutSigned(InvInSigned), .OutFrac(InvInFrac),
    .Rounding(InvInRounding), .Overflow(InvInOverflow)
  ) u_inv_in (.clk_i, .en_i(sum_enable), .x_i(acc_cast), .y_o(inv_in));
  hwf_table #(.Lanes(1), .Depth(1 << InvBits), .Width(RW), .AddrW(InvBits), .File(InvFile)) u_inv (
    .clk_i, .en_i(sum_enable), .addr_i(InvBits'(inv_in >> (InvInW - InvBits))), .data_o(r_q)
  );
  hwf_fifo #(.Width(RW), .Depth(Tokens)) u_r (
    .clk_i, .rst_ni, .s_axis_tdata(r_q), .s_axis_tvalid(r_valid_q), .s_axis_tready(r_ready),
    .m_axis_tdata(r_data), .m_axis_tvalid(r_valid), .m_axis_tready(r_pop)
  );

  // ---------------------------------------------------------------- stage 3: the product
  localparam int unsigned ProdW = EW + RW + 2;
  logic [CountW-1:0] word_q;
  logic              prod_valid_q, y_valid_q, y_enable;

  assign y_enable = ~y_valid_q | m_axis_tready;
  assign e_pop    = e_valid & r_valid & y_enable;
  assign r_pop    = e_pop & (word_q == LastWord);

  always_ff @(posedge clk_i) begin
    prod_valid_q <= rst_ni & (y_enable ? e_valid & r_valid : prod_valid_q);
    y_valid_q    <= rst_ni & (y_enable ? prod_valid_q : y_valid_q);
    if (!rst_ni) word_q <= '0;
    else if (e_pop) word_q <= (word_q == LastWord) ? '0 : word_q + CountW'(1);
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_product
    logic signed [EW:0]      e;
    logic signed [RW:0]      r;
    logic signed [ProdW-1:0] prod_q;
    assign e = ESigned ? (EW+1)'(signed'(e_data[l*EW +: EW])) : (EW+1)'(e_data[l*EW +: EW]);
    assign r = RSigned ? (RW+1)'(signed'(r_data)) : (RW+1)'(r_data);
    always_ff @(posedge clk_i) begin
      if (y_enable) prod_q <= ProdW'(e) * ProdW'(r);
    end
    hwf_cast #(
      .InW(ProdW), .InSigned(1'b1), .InFrac(EFrac + RFrac),
      .OutW(YW), .OutSigned(YSigned), .OutFrac(YFrac), .Rounding(Rounding), .Overflow(Overflow)
    ) u_cast (.clk_i, .en_i(y_enable), .x_i(prod_q), .y_o(m_axis_tdata[l*YW +: YW]));
  end
  assign m_axis_tvalid = y_valid_q;
endmodule
