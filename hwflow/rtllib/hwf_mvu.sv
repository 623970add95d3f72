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
// One input word a cycle. Latency from the last word of a fold to its first output: 7 cycles (8 with Simd > 1).

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
  localparam int unsigned CalcW  = (XW + WW + 1 <= 32) ? 32 : XW + WW + 1;

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

  // Datapath registers load whenever the pipeline moves, valid or not: that is all but always, and what is not
  // valid is never used.
  always_ff @(posedge clk_i) begin
    if (enable) begin
      w_q      <= weights[addr_q];
      x_q      <= s_axis_tdata;
      first0_q <= syn_q == '0;
      last0_q  <= syn_q == SynW'(SynapseFolds - 1);
    end
  end

  // Control registers are written every cycle: selecting is cheaper to simulate than branching.
  always_ff @(posedge clk_i) begin
    valid0_q <= rst_ni & (enable ? s_axis_tvalid : valid0_q);
    if (!rst_ni) begin
      addr_q <= '0;
      syn_q  <= '0;
    end else if (take) begin
      addr_q <= (addr_q == AddrW'(Depth - 1)) ? '0 : addr_q + AddrW'(1);
      syn_q  <= (syn_q == SynW'(SynapseFolds - 1)) ? '0 : syn_q + SynW'(1);
    end
  end

  // ---------------------------------------------------------------- stages after the operands
  logic valid1_q, first1_q, last1_q;  // products
  logic valid2, first2, last2;        // sums over Simd
  logic done_q;                       // sums over a whole fold
  logic busy_q, drain_last, advance, load, out_enable;
  logic [SlotW-1:0] slot_q;

  assign load   = enable & done_q;
  assign enable = ~(done_q & busy_q & ~drain_last);

  always_ff @(posedge clk_i) begin
    first1_q <= enable ? first0_q : first1_q;
    last1_q  <= enable ? last0_q : last1_q;
    valid1_q <= rst_ni & (enable ? valid0_q : valid1_q);
    done_q   <= rst_ni & (enable ? valid2 & last2 : done_q);
  end

  if (Simd == 1) begin : gen_no_tree
    assign valid2 = valid1_q;
    assign first2 = first1_q;
    assign last2  = last1_q;
  end else begin : gen_tree
    logic valid2_q, first2_q, last2_q;
    always_ff @(posedge clk_i) begin
      first2_q <= enable ? first1_q : first2_q;
      last2_q  <= enable ? last1_q : last2_q;
      valid2_q <= rst_ni & (enable ? valid1_q : valid2_q);
    end
    assign valid2 = valid2_q;
    assign first2 = first2_q;
    assign last2  = last2_q;
  end

  // ---------------------------------------------------------------- datapath
  // The registers of the datapath are private to this block and written from the last stage to the first, each
  // after its reader: blocking assignments then are registers, and a simulator needs no shadow copies of the arrays.
  // Products are kept in whole words, which a simulator need not mask; synthesis merges the copies of the sign.
  logic signed [CalcW-1:0]  prod [Pe*Simd];
  logic signed [AccW-1:0]   term [Pe];
  logic signed [AccW-1:0]   acc [Pe];
  logic signed [AccW-1:0]   result [Pe];
  logic [Lanes*AccW-1:0]    pick_q;
  /* verilator lint_off BLKSEQ */
  always_ff @(posedge clk_i) begin
    logic signed [CalcW-1:0] x, w;
    if (out_enable) begin
      for (int unsigned l = 0; l < Lanes; l++) begin
        pick_q[l*AccW +: AccW] <= (Slots == 1) ? result[l] : result[32'(slot_q)*Lanes + l];
      end
    end
    if (load) begin
      for (int unsigned p = 0; p < Pe; p++) result[p] = acc[p];
    end
    if (enable & valid2) begin
      for (int unsigned p = 0; p < Pe; p++) begin
        acc[p] = ((first2 || SynapseFolds == 1) ? '0 : acc[p]) + ((Simd == 1) ? AccW'(prod[p]) : term[p]);
      end
    end
    if (Simd > 1 && enable) begin
      for (int unsigned p = 0; p < Pe; p++) begin
        term[p] = '0;
        for (int unsigned i = 0; i < Simd; i++) term[p] = term[p] + AccW'(prod[p*Simd+i]);
      end
    end
    if (enable) begin
      for (int unsigned p = 0; p < Pe; p++) begin
        for (int unsigned i = 0; i < Simd; i++) begin
          x = XSigned ? CalcW'(signed'(x_q[(Depthwise ? i*Pe+p : i)*XW +: XW]))
                      : CalcW'(x_q[(Depthwise ? i*Pe+p : i)*XW +: XW]);
          w = WSigned ? CalcW'(signed'(w_q[(p*Simd+i)*WW +: WW])) : CalcW'(w_q[(p*Simd+i)*WW +: WW]);
          prod[p*Simd+i] = x * w;
        end
      end
    end
  end
  /* verilator lint_on BLKSEQ */

  // ---------------------------------------------------------------- output: pick, add bias, cast
  logic [Lanes*BiasW-1:0] biases [Biases];
  initial $readmemh(BiasFile, biases);

  logic [BiasAW-1:0]            bias_addr_q;
  logic [Lanes*BiasW-1:0]       bias_q;
  logic                         pick_valid_q, sum_valid_q, out_valid_q;

  // The three output stages move together.
  assign out_enable = ~out_valid_q | m_axis_tready;
  assign advance    = busy_q & out_enable;
  assign drain_last = advance & (slot_q == SlotW'(Slots - 1));

  always_ff @(posedge clk_i) begin
    busy_q       <= rst_ni & (load | (busy_q & ~drain_last));
    pick_valid_q <= rst_ni & (out_enable ? busy_q : pick_valid_q);
    sum_valid_q  <= rst_ni & (out_enable ? pick_valid_q : sum_valid_q);
    out_valid_q  <= rst_ni & (out_enable ? sum_valid_q : out_valid_q);
    if (!rst_ni) begin
      slot_q      <= '0;
      bias_addr_q <= '0;
    end else begin
      slot_q      <= (slot_q == SlotW'(Slots - 1) && advance) ? '0 : slot_q + SlotW'(advance);
      bias_addr_q <= (bias_addr_q == BiasAW'(Biases - 1) && advance) ? '0 : bias_addr_q + BiasAW'(advance);
    end
  end

  always_ff @(posedge clk_i) begin
    if (out_enable) bias_q <= biases[bias_addr_q];
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    logic signed [SumW-1:0] sum_q;
    always_ff @(posedge clk_i) begin
      if (out_enable) begin
        sum_q <= (SumW'(signed'(pick_q[l*AccW +: AccW])) <<< (SumFrac - AccFrac))
                 + SumW'(signed'(bias_q[l*BiasW +: BiasW]));
      end
    end
    hwf_cast #(
      .InW(SumW), .InSigned(1'b1), .InFrac(SumFrac),
      .OutW(OutW), .OutSigned(OutSigned), .OutFrac(OutFrac), .Rounding(Rounding), .Overflow(Overflow)
    ) u_cast (.clk_i, .en_i(out_enable), .x_i(sum_q), .y_o(m_axis_tdata[l*OutW +: OutW]));
  end
  assign m_axis_tvalid = out_valid_q;
endmodule
