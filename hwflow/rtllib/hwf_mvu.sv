// SPDX-License-Identifier: Apache-2.0
//
// hwf_mvu: folded matrix-vector unit of dense, convolution and depthwise layers.
//
// For each output fold f (Folds) the products of SynapseFolds input words are summed, then the Pe sums leave
// Lanes at a time with their bias:
//
//   Depthwise = 0:  y[f*Pe + p] = bias + sum_s sum_i  w[f][s][p][i] * x[f][s][i]       (x: Simd values a beat)
//   Depthwise = 1:  y[f*Pe + p] = bias + sum_s sum_i  w[f][s][p][i] * x[f][s][i][p]    (x: Simd*Pe values a beat)
//
// and are cast to the output grid. Words arrive in the order for f, for s. Sums are exact: AccW bits hold every
// partial sum of the weights given.
//
// | parameter | legal         | meaning                                                              |
// |-----------|---------------|----------------------------------------------------------------------|
// | Pe, Simd  | >= 1          | outputs and inputs computed a cycle                                  |
// | Folds     | >= 1          | output folds, outputs = Pe * Folds                                   |
// | SynapseFolds | >= 1       | input words a fold                                                   |
// | Lanes     | divides Pe    | outputs a beat; Pe / Lanes <= SynapseFolds keeps the unit running    |
// | XW, XSigned | 1..32, 0/1  | activation bits, sign                                                |
// | WW, WSigned | 1..32, 0/1  | weight bits, sign                                                    |
// | AccW      | 2..64         | sum bits, signed, on the grid AccFrac                                |
// | BiasW     | 2..64         | bias bits, signed, on the grid SumFrac                               |
// | SumW      | >= AccW       | bits of sum plus bias, signed, on the grid SumFrac >= AccFrac        |
// | OutW, OutSigned, OutFrac, Rounding, Overflow | see hwf_cast | output grid                        |
// | WeightFile | $readmemh    | Folds*SynapseFolds words of Pe*Simd*WW bits, [p][i] with i lowest    |
// | BiasFile   | $readmemh    | Folds*Pe/Lanes words of Lanes*BiasW bits, lane 0 lowest              |
//
// One input word a cycle. Latency from the last word of a fold to its first output: 6 cycles (7 with Simd > 1).

module hwf_mvu #(
  parameter int unsigned Pe           = 1,
  parameter int unsigned Simd         = 1,
  parameter bit          Depthwise    = 1'b0,
  parameter int unsigned Folds        = 1,
  parameter int unsigned SynapseFolds = 1,
  parameter int unsigned Lanes        = 1,
  parameter int unsigned XW           = 8,
  parameter bit          XSigned      = 1'b1,
  parameter int unsigned WW           = 8,
  parameter bit          WSigned      = 1'b1,
  parameter int unsigned AccW         = 24,
  parameter int          AccFrac      = 0,
  parameter int unsigned BiasW        = 8,
  parameter int unsigned SumW         = 25,
  parameter int          SumFrac      = 0,
  parameter int unsigned OutW         = 8,
  parameter bit          OutSigned    = 1'b1,
  parameter int          OutFrac      = 0,
  parameter int unsigned Rounding     = 0,
  parameter int unsigned Overflow     = 0,
  parameter              WeightFile   = "",
  parameter              BiasFile     = ""
) (
  input  logic                                     clk_i,
  input  logic                                     rst_ni,
  input  logic [(Depthwise ? Pe : 1)*Simd*XW-1:0]  s_axis_tdata,
  input  logic                                     s_axis_tvalid,
  output logic                                     s_axis_tready,
  output logic [Lanes*OutW-1:0]                    m_axis_tdata,
  output logic                                     m_axis_tvalid,
  input  logic                                     m_axis_tready
);
  if (Pe % Lanes != 0) begin : gen_bad_lanes
    $fatal(1, "hwf_mvu: Lanes must divide Pe");
  end
  if (SumFrac < AccFrac) begin : gen_bad_frac
    $fatal(1, "hwf_mvu: SumFrac is below AccFrac");
  end

  localparam int unsigned Depth  = Folds * SynapseFolds;
  localparam int unsigned AddrW  = (Depth > 1) ? $clog2(Depth) : 1;
  localparam int unsigned SynW   = $clog2(SynapseFolds + 1);
  localparam int unsigned Slots  = Pe / Lanes;
  localparam int unsigned SlotW  = (Slots > 1) ? $clog2(Slots) : 1;
  localparam int unsigned Biases = Folds * Slots;
  localparam int unsigned BiasAW = (Biases > 1) ? $clog2(Biases) : 1;
  localparam int unsigned XWords = (Depthwise ? Pe : 1) * Simd;
  localparam int unsigned ProdW  = XW + WW + 1;

  // Everything up to the sums moves together and stops while the last results wait to be taken.
  logic enable;

  // ---------------------------------------------------------------- operands
  logic [Pe*Simd*WW-1:0] weights [Depth];
  initial $readmemh(WeightFile, weights);

  logic [AddrW-1:0]      addr_q;
  logic [SynW-1:0]       syn_q;
  logic [Pe*Simd*WW-1:0] w_q;
  logic [XWords*XW-1:0]  x_q;
  logic                  valid0_q, first0_q, last0_q;
  logic                  take;

  assign s_axis_tready = enable;
  assign take          = s_axis_tvalid & enable;

  always_ff @(posedge clk_i) begin
    if (take) begin
      w_q      <= weights[addr_q];
      x_q      <= s_axis_tdata;
      first0_q <= syn_q == '0;
      last0_q  <= syn_q == SynW'(SynapseFolds - 1);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      addr_q   <= '0;
      syn_q    <= '0;
      valid0_q <= 1'b0;
    end else if (enable) begin
      valid0_q <= s_axis_tvalid;
      if (s_axis_tvalid) begin
        addr_q <= (addr_q == AddrW'(Depth - 1)) ? '0 : addr_q + AddrW'(1);
        syn_q  <= (syn_q == SynW'(SynapseFolds - 1)) ? '0 : syn_q + SynW'(1);
      end
    end
  end

  // ---------------------------------------------------------------- products
  logic signed [ProdW-1:0] prod_q [Pe*Simd];
  logic                    valid1_q, first1_q, last1_q;
  for (genvar p = 0; p < Pe; p++) begin : gen_pe
    for (genvar i = 0; i < Simd; i++) begin : gen_simd
      localparam int unsigned Xi = Depthwise ? i * Pe + p : i;
      logic signed [XW:0] x;
      logic signed [WW:0] w;
      assign x = XSigned ? (XW + 1)'(signed'(x_q[Xi*XW +: XW])) : {1'b0, x_q[Xi*XW +: XW]};
      assign w = WSigned ? (WW + 1)'(signed'(w_q[(p*Simd+i)*WW +: WW])) : {1'b0, w_q[(p*Simd+i)*WW +: WW]};
      always_ff @(posedge clk_i) begin
        if (enable & valid0_q) prod_q[p*Simd+i] <= ProdW'(x * w);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (enable) begin
      first1_q <= first0_q;
      last1_q  <= last0_q;
    end
    if (!rst_ni) valid1_q <= 1'b0;
    else if (enable) valid1_q <= valid0_q;
  end

  // ---------------------------------------------------------------- sum over Simd
  logic signed [AccW-1:0] term [Pe];
  logic                   valid2, first2, last2;
  if (Simd == 1) begin : gen_no_tree
    for (genvar p = 0; p < Pe; p++) begin : gen_term
      assign term[p] = AccW'(prod_q[p]);
    end
    assign valid2 = valid1_q;
    assign first2 = first1_q;
    assign last2  = last1_q;
  end else begin : gen_tree
    logic signed [AccW-1:0] term_q [Pe];
    logic                   valid2_q, first2_q, last2_q;
    for (genvar p = 0; p < Pe; p++) begin : gen_term
      logic signed [AccW-1:0] sum;
      always_comb begin
        sum = '0;
        for (int unsigned i = 0; i < Simd; i++) sum = sum + AccW'(prod_q[p*Simd+i]);
      end
      always_ff @(posedge clk_i) begin
        if (enable & valid1_q) term_q[p] <= sum;
      end
      assign term[p] = term_q[p];
    end
    always_ff @(posedge clk_i) begin
      if (enable) begin
        first2_q <= first1_q;
        last2_q  <= last1_q;
      end
      if (!rst_ni) valid2_q <= 1'b0;
      else if (enable) valid2_q <= valid1_q;
    end
    assign valid2 = valid2_q;
    assign first2 = first2_q;
    assign last2  = last2_q;
  end

  // ---------------------------------------------------------------- accumulation and results
  logic signed [AccW-1:0] result_q [Pe];
  logic                   busy_q, drain_last, advance, load;
  logic [SlotW-1:0]       slot_q;

  assign load   = enable & valid2 & last2;
  assign enable = ~(valid2 & last2 & busy_q & ~drain_last);

  if (SynapseFolds == 1) begin : gen_no_acc
    for (genvar p = 0; p < Pe; p++) begin : gen_result
      always_ff @(posedge clk_i) begin
        if (load) result_q[p] <= term[p];
      end
    end
    logic unused_first;
    assign unused_first = first2;
  end else begin : gen_acc
    logic signed [AccW-1:0] acc_q [Pe];
    for (genvar p = 0; p < Pe; p++) begin : gen_result
      logic signed [AccW-1:0] acc_d;
      assign acc_d = (first2 ? '0 : acc_q[p]) + term[p];
      always_ff @(posedge clk_i) begin
        if (enable & valid2) acc_q[p] <= acc_d;
        if (load) result_q[p] <= acc_d;
      end
    end
  end

  // ---------------------------------------------------------------- output: pick, add bias, cast
  logic [Lanes*BiasW-1:0] biases [Biases];
  initial $readmemh(BiasFile, biases);

  logic [BiasAW-1:0]            bias_addr_q;
  logic [Lanes*BiasW-1:0]       bias_q;
  logic signed [AccW-1:0]       pick_q [Lanes];
  logic signed [SumW-1:0]       sum_q [Lanes];
  logic                         pick_valid_q, sum_valid_q, out_valid_q;
  logic                         sum_ready, pick_ready, out_ready;

  assign out_ready  = ~out_valid_q | m_axis_tready;
  assign sum_ready  = ~sum_valid_q | out_ready;
  assign pick_ready = ~pick_valid_q | sum_ready;
  assign advance    = busy_q & pick_ready;
  assign drain_last = advance & (slot_q == SlotW'(Slots - 1));

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      busy_q      <= 1'b0;
      slot_q      <= '0;
      bias_addr_q <= '0;
    end else begin
      if (load) busy_q <= 1'b1;
      else if (drain_last) busy_q <= 1'b0;
      if (advance) begin
        slot_q      <= (slot_q == SlotW'(Slots - 1)) ? '0 : slot_q + SlotW'(1);
        bias_addr_q <= (bias_addr_q == BiasAW'(Biases - 1)) ? '0 : bias_addr_q + BiasAW'(1);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      pick_valid_q <= 1'b0;
      sum_valid_q  <= 1'b0;
      out_valid_q  <= 1'b0;
    end else begin
      if (pick_ready) pick_valid_q <= busy_q;
      if (sum_ready) sum_valid_q <= pick_valid_q;
      if (out_ready) out_valid_q <= sum_valid_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (advance) bias_q <= biases[bias_addr_q];
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    logic [OutW-1:0] y, y_q;
    always_ff @(posedge clk_i) begin
      if (advance) pick_q[l] <= (Slots == 1) ? result_q[l] : result_q[32'(slot_q)*Lanes + l];
      if (sum_ready & pick_valid_q) begin
        sum_q[l] <= (SumW'(pick_q[l]) <<< (SumFrac - AccFrac)) + SumW'(signed'(bias_q[l*BiasW +: BiasW]));
      end
      if (out_ready & sum_valid_q) y_q <= y;
    end
    hwf_cast #(
      .InW(SumW), .InSigned(1'b1), .InFrac(SumFrac),
      .OutW(OutW), .OutSigned(OutSigned), .OutFrac(OutFrac), .Rounding(Rounding), .Overflow(Overflow)
    ) u_cast (.x_i(sum_q[l]), .y_o(y));
    assign m_axis_tdata[l*OutW +: OutW] = y_q;
  end
  assign m_axis_tvalid = out_valid_q;
endmodule
