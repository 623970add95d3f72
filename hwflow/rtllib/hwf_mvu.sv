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
// sum of the weights given.
//
// Weights are stored as codes; WeightCode names the decoder of a product (function `term`):
//
// | WeightCode  | code of a weight              | product                                                 |
// |-------------|-------------------------------|---------------------------------------------------------|
// | 0 fixed     | WW bits, two's complement or unsigned | w * x, by multipliers (see Pack)                |
// | 1 binary    | 1 bit: negative               | x or ~x                                                 |
// | 2 ternary   | 2 bits, two's complement      | x, ~x or 0                                              |
// | 3 pow2      | WW bits: negative, exponent + 1 or 0 for none | x << exponent, complemented, or 0       |
// | 4 xnor      | 1 bit: positive               | 1 where the signs of w and x agree, else 0              |
// | 5 codebook  | CodeW bits: index of a table of values as in 0 | w * x, by multipliers (Pack 0 or 1)    |
// | 6 minifloat | CodeW bits: sign, exponent e, mantissa of WW - 1 bits m; 0 for none | see below         |
//
// The product of a mini float is {1, m} * x, by multipliers (Pack 0 or 1), and a cycle later shifted by e - ExpLow and
// complemented where the sign is set.
//
// Pack tells how codes 0, 5 and 6 are multiplied:
//
// | Pack | multiplier                                                                                     |
// |------|------------------------------------------------------------------------------------------------|
// | 0    | LUTs: radix-4 digits of w select 0, x, 2x, 3x (3x is computed once for all Pe)                 |
// | 1    | a DSP block each, which also adds: Chain lanes of Simd are summed from block to block          |
// | 2..4 | a DSP block for Pack outputs: their weights, PackBits apart, times x are as many products      |
//
// A complement instead of a negation, and offsets that keep packed products from borrowing of each other, change a
// sum by a constant that depends on the weights only: the bias given includes it with the opposite sign (see
// hwflow/ops/weightcode.py). Codes of packed weights: the first takes WW bits, each further one WW + 1 (less one where
// those below are negative); where the last one does not fit DspW, its high bit tells that one is to be taken off the product.
//
// | parameter | legal         | meaning                                                              |
// |-----------|---------------|----------------------------------------------------------------------|
// | Pe, Simd  | >= 1          | outputs and inputs computed a cycle                                  |
// | Folds     | >= 1          | output folds, outputs = Pe * Folds                                   |
// | SynapseFolds | >= 1       | input words a fold                                                   |
// | Lanes     | divides Pe    | outputs a beat; Pe / Lanes <= SynapseFolds keeps the unit running    |
// | XW, XSigned | 1..32, 0/1  | activation bits, sign                                                |
// | WW, WSigned | 1..32, 0/1  | bits of a weight's code (of a value, {1, m}), sign                   |
// | CodeW     | 1..16         | bits of a stored index or mini float                                 |
// | ExpLow, ShiftMax | >= 0   | smallest exponent code of a mini float, and how much larger they get |
// | Pack      | 0, divides Pe | products a DSP block (1 where Depthwise)                             |
// | PackBits  | >= 1          | distance of packed products: their sum over Chain fits, see above    |
// | DspW      | >= 2          | bits of the wider port of a DSP block                                |
// | Chain     | divides Simd  | lanes summed from DSP block to DSP block (Pack > 0)                  |
// | AccW      | 2..64         | sum bits, signed, on the grid AccFrac                                |
// | BiasW     | 2..64         | bias bits, signed, on the grid SumFrac                               |
// | SumW      | >= AccW       | bits of sum plus bias, signed, on the grid SumFrac >= AccFrac        |
// | OutW, OutSigned, OutFrac, Rounding, Overflow | see hwf_cast | output grid                        |
// | RomBlock   | 0, 1         | weight memory in block RAM with an output register, else left to synthesis |
// | WeightFile | $readmemh    | Folds*SynapseFolds words of codes, [k][p][c] with c lowest, lane i = c*Chain + k |
// | BiasFile   | $readmemh    | Folds*Pe/Lanes words of Lanes*BiasW bits, lane 0 lowest              |
// | TableFile  | $readmemh    | 2**CodeW values of a codebook                                        |
//
// One input word a cycle; s_axis_tready depends on registers only. Latency from the last word of a fold to its first output: 7 cycles, and
//   + 1 with RomBlock or multipliers of LUTs; for a codebook + 1, and one more with RomBlock
//   + 1 for mini floats
//   + Chain where products are packed or chained
//   + ceil(log2(Simd / Chain)) for the adder tree.

module hwf_mvu #(
  parameter int unsigned Pe           = 1,
  parameter int unsigned Simd         = 1,
  parameter bit          Depthwise    = 1'b0,
  parameter int unsigned Folds        = 1,
  parameter int unsigned SynapseFolds = 1,
  parameter int unsigned Lanes        = 1,
  parameter int unsigned XW           = 8,
  parameter bit          XSigned      = 1'b1,
  parameter int unsigned WeightCode   = 0,
  parameter int unsigned WW           = 8,
  parameter bit          WSigned      = 1'b1,
  parameter int unsigned CodeW        = 1,
  parameter int unsigned ExpLow       = 0,
  parameter int unsigned ShiftMax     = 0,
  parameter int unsigned Pack         = 1,
  parameter int unsigned PackBits     = 1,
  parameter int unsigned DspW         = 25,
  parameter int unsigned Chain        = 1,
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
  parameter bit          RomBlock     = 1'b0,
  parameter              WeightFile   = "",
  parameter              BiasFile     = "",
  parameter              TableFile    = ""
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
  localparam bit          Codebook  = (WeightCode == 5);
  localparam bit          MiniFloat = (WeightCode == 6);

  if ((WeightCode != 0 && !Codebook && !MiniFloat && Pack != 0) || (WeightCode != 0 && Pack > 1)
      || (MiniFloat && Chain > 1)) begin : gen_bad_code
    $fatal(1, "hwf_mvu: Pack is for fixed-point weights, Chain not for mini floats");
  end

  localparam int unsigned Depth  = Folds * SynapseFolds;
  localparam int unsigned AddrW  = (Depth > 1) ? $clog2(Depth) : 1;
  localparam int unsigned SynW   = $clog2(SynapseFolds + 1);
  localparam int unsigned Slots  = Pe / Lanes;
  localparam int unsigned SlotW  = (Slots > 1) ? $clog2(Slots) : 1;
  localparam int unsigned Biases = Folds * Slots;
  localparam int unsigned BiasAW = (Biases > 1) ? $clog2(Biases) : 1;
  localparam int unsigned XWords = (Depthwise ? Pe : 1) * Simd;

  // Products: Group outputs share a multiplier, and a code of GroupW bits.
  localparam int unsigned Group  = (Pack > 1) ? Pack : 1;
  localparam int unsigned Groups = Pe / Group;
  localparam int unsigned GroupW = MiniFloat ? CodeW : WW + (Group - 1) * (WW + 1);
  localparam int unsigned FactorsW = MiniFloat ? WW : GroupW; // of which x is multiplied by
  localparam int unsigned Chains = Simd / Chain;
  localparam int unsigned WordW  = Groups * Chains * GroupW;
  localparam bit          Linked = (Pack > 1) || (Chain > 1);
  localparam bit          Digits = (Pack == 0) && (WeightCode == 0 || Codebook || MiniFloat);
  // Bits of a packed operand; the last weight takes one bit less where it must.
  localparam int unsigned SpareW = (Group - 1) * PackBits + WW + 1;
  localparam bit          Tight  = (Group > 1) && (SpareW > DspW);
  localparam int unsigned FactorW = (Group == 1) ? WW + 1 : (Tight ? SpareW - 1 : SpareW);
  localparam int unsigned ShiftW = (WeightCode == 3) ? (1 << (WW - 1)) : WW;
  localparam int unsigned ProdW  = (Group > 1) ? Group * PackBits + 1 : XW + ShiftW + 3;
  localparam int unsigned LinkW  = (Group > 1) ? ProdW : AccW;
  // Whole words, which a simulator need not mask; synthesis merges the copies of the sign.
  localparam int unsigned CalcW  = (ProdW <= 32 && FactorW <= 32) ? 32 : ((ProdW > FactorW) ? ProdW : FactorW);

  // Stages: operands 0..Wait, products, chain, tree; valid_q[Last] goes with what is accumulated.
  localparam int unsigned Wait   = Codebook ? (RomBlock ? 2 : 1) : ((RomBlock || Digits) ? 1 : 0);
  localparam int unsigned Levels = $clog2(Chains);
  localparam int unsigned Last   = Wait + 1 + (MiniFloat ? 1 : 0) + (Linked ? Chain : 0) + Levels;

  if ((Pack > 0 && Pe % Pack != 0) || (Pack > 1 && Depthwise) || Simd % Chain != 0 || (Pack == 0 && Chain > 1)
      || (Tight && (Chain > 1 || !WSigned))) begin : gen_bad_pack
    $fatal(1, "hwf_mvu: Pack must divide Pe, Chain must divide Simd, needs Pack, and packed weights that fit DspW");
  end

  // Everything up to the sums moves together and stops while the last results wait to be taken.
  logic enable;

  // ---------------------------------------------------------------- operands
  logic [AddrW-1:0]     addr_q;
  logic [SynW-1:0]      syn_q;
  logic                 take;
  logic [WordW-1:0]     weight [Chain];
  logic [Last:0]        valid_q, first_q, last_q;

  assign s_axis_tready = enable;
  assign take          = s_axis_tvalid & enable;

  for (genvar k = 0; k < Chain; k++) begin : gen_rom
    // Lane k of a chain works k cycles later.
    logic [AddrW-1:0] addr;
    if (k == 0) begin : gen_first
      assign addr = addr_q;
    end else begin : gen_later
      logic [AddrW-1:0] addr_k_q;
      always_ff @(posedge clk_i) begin
        if (enable) addr_k_q <= gen_rom[k-1].addr;
      end
      assign addr = addr_k_q;
    end

    if (Codebook) begin : gen_codebook
      localparam int unsigned IndicesW = Groups * Chains * CodeW;
      logic [IndicesW-1:0] indices;
      hwf_rom #(
        .Width(IndicesW), .Depth(Depth), .FileW(Chain * IndicesW), .Low(k * IndicesW), .Block(RomBlock), .Stages(Wait),
        .File(WeightFile)
      ) u_rom (.clk_i, .en_i(enable), .addr_i(addr), .data_o(indices));
      hwf_table #(
        .Lanes(Groups * Chains), .Depth(1 << CodeW), .Width(WW), .AddrW(CodeW), .File(TableFile)
      ) u_table (.clk_i, .en_i(enable), .addr_i(indices), .data_o(weight[k]));
    end else begin : gen_codes
      hwf_rom #(
        .Width(WordW), .Depth(Depth), .FileW(Chain * WordW), .Low(k * WordW), .Block(RomBlock), .Stages(Wait + 1),
        .File(WeightFile)
      ) u_rom (.clk_i, .en_i(enable), .addr_i(addr), .data_o(weight[k]));
    end
  end

  // Control registers are written every cycle: selecting is cheaper to simulate than branching.
  always_ff @(posedge clk_i) begin
    valid_q <= {(Last + 1){rst_ni}} & (enable ? {valid_q[Last-1:0], s_axis_tvalid} : valid_q);
    first_q <= enable ? {first_q[Last-1:0], syn_q == '0} : first_q;
    last_q  <= enable ? {last_q[Last-1:0], syn_q == SynW'(SynapseFolds - 1)} : last_q;
    if (!rst_ni) begin
      addr_q <= '0;
      syn_q  <= '0;
    end else if (take) begin
      addr_q <= (addr_q == AddrW'(Depth - 1)) ? '0 : addr_q + AddrW'(1);
      syn_q  <= (syn_q == SynW'(SynapseFolds - 1)) ? '0 : syn_q + SynW'(1);
    end
  end

  // ---------------------------------------------------------------- stages after the operands
  logic done_q;  // sums over a whole fold
  logic busy_q, drain_last, advance, load, out_enable;
  logic [SlotW-1:0] slot_q;

  assign load   = enable & done_q;
  assign enable = ~(done_q & busy_q & ~drain_last);

  always_ff @(posedge clk_i) begin
    done_q <= rst_ni & (enable ? valid_q[Last] & last_q[Last] : done_q);
  end

  // ---------------------------------------------------------------- products
  // A further weight code is a further branch here.
  function automatic logic signed [CalcW-1:0] term(
    input logic signed [CalcW-1:0] x, input logic signed [CalcW-1:0] x3, input logic [FactorsW-1:0] code
  );
    logic signed [CalcW-1:0] size;
    logic [31:0]   exponent;
    logic [WW+1:0] bits;
    unique case (WeightCode)
      0, 5, 6: if (Pack == 0) begin
        bits = WSigned ? (WW+2)'(signed'(code[WW-1:0])) : (WW+2)'(code[WW-1:0]);
        term = '0;
        for (int unsigned b = 0; b < WW; b += 2) begin
          if (WSigned && b + 2 >= WW) begin
            size = bits[b] ? (bits[b+1] ? ~x : x) : (bits[b+1] ? ~(x <<< 1) : '0);
          end else begin
            size = bits[b] ? (bits[b+1] ? x3 : x) : (bits[b+1] ? x <<< 1 : '0);
          end
          term = term + (size <<< b);
        end
      end else begin
        term = x * (WSigned ? CalcW'(signed'(code[WW-1:0])) : CalcW'(code[WW-1:0]));
      end
      1: term = code[0] ? ~x : x;
      2: term = 1'(code >> 1) ? ~x : (code[0] ? x : '0);
      3: begin
        exponent = 32'(code) & ((32'd1 << (WW - 1)) - 32'd1);
        size     = x <<< (exponent - 32'd1);
        term     = (exponent == 0) ? '0 : (1'(code >> (WW - 1)) ? ~size : size);
      end
      default: term = CalcW'(x[CalcW-1] ^ code[0]);
    endcase
  endfunction

  // The product of a mini float from that of its mantissa.
  function automatic logic signed [AccW-1:0] scaled(
    input logic signed [AccW-1:0] product, input logic [GroupW-1:0] code
  );
    logic [31:0]            up;
    logic signed [AccW-1:0] size;
    up     = ((32'(code) & ((32'd1 << (GroupW - 1)) - 32'd1)) >> (WW - 1)) - ExpLow;
    size   = product <<< (up & ((32'd1 << $clog2(ShiftMax + 1)) - 32'd1));
    scaled = ((code & ~(GroupW'(1) << (GroupW - 1))) == '0) ? '0 : (code[GroupW-1] ? ~size : size);
  endfunction

  // Few words need few bits of an index.
  /* verilator lint_off UNUSEDSIGNAL */
  function automatic logic signed [CalcW-1:0] operand(input logic [XWords*XW-1:0] word, input int unsigned i);
    operand = XSigned ? CalcW'(signed'(word[i*XW +: XW])) : CalcW'(word[i*XW +: XW]);
  endfunction
  /* verilator lint_on UNUSEDSIGNAL */

  // The weights of a group as one factor; a borrow from below is in the codes.
  function automatic logic signed [CalcW-1:0] factor(input logic [FactorsW-1:0] code);
    logic signed [CalcW-1:0] part;
    factor = WSigned ? CalcW'(signed'(code[WW-1:0])) : CalcW'(code[WW-1:0]);
    for (int unsigned j = 1; j < Group; j++) begin
      part = CalcW'(signed'((WW + 1)'(code >> (j * (WW + 1) - 1))));
      if (Tight && j == Group - 1) part = CalcW'(signed'(WW'(code >> (j * (WW + 1) - 1))));
      factor = (part <<< (j * PackBits)) | (factor & ((CalcW'(1) << (j * PackBits)) - CalcW'(1)));
    end
  endfunction

  // What is added to a packed product: offsets of all but the last one, and what a weight that did not fit left out.
  function automatic logic signed [LinkW-1:0] offset(input logic signed [LinkW-1:0] x, input logic [FactorsW-1:0] code);
    offset = '0;
    for (int unsigned j = 0; j + 1 < Group; j++) begin
      offset = offset + (((LinkW'(1) << (PackBits - 1)) - LinkW'(1)) << (j * PackBits));
    end
    if (Tight && code[FactorsW-1]) offset = offset - (x <<< ((Group - 1) * PackBits));
  endfunction

  // Nodes of a level of the tree, and of those below it.
  function automatic int unsigned level_size(input int unsigned level);
    level_size = (Chains + (1 << level) - 1) >> level;
  endfunction
  function automatic int unsigned level_base(input int unsigned level);
    level_base = 0;
    for (int unsigned t = 1; t < level; t++) level_base = level_base + level_size(t);
  endfunction

  localparam int unsigned Nodes = (Levels == 0) ? 1 : level_base(Levels + 1);

  // One product of a packed sum.
  function automatic logic signed [AccW-1:0] split(input logic signed [LinkW-1:0] sum, input int unsigned j);
    if (Group == 1) split = AccW'(sum);
    else if (j + 1 < Group) split = AccW'(sum[j*PackBits +: PackBits]);
    else split = AccW'(sum >>> ((Group - 1) * PackBits));
  endfunction

  // ---------------------------------------------------------------- datapath
  // The registers of the datapath are private to this block and written from the last stage to the first, each
  // after its reader: blocking assignments then are registers, and a simulator needs no shadow copies of the arrays.
  logic        [XWords*XW-1:0]  x_q [Chain+Wait];     // the word, and later for the lanes of a chain
  logic signed [CalcW-1:0]      x3_q [XWords];        // threefold, for digits
  logic signed [CalcW-1:0]      prod [Groups*Simd];
  logic        [GroupW-1:0]     code_q [Groups*Simd]; // of the products of mini floats, which are scaled next
  logic signed [AccW-1:0]       scaled_q [Groups*Simd];
  logic signed [LinkW-1:0]      off [Groups*Chains];
  logic signed [LinkW-1:0]      link [Groups*Simd];   // sums along a chain
  logic signed [AccW-1:0]       node [Pe*Nodes];      // adder tree, level by level
  logic signed [AccW-1:0]       acc [Pe];
  logic signed [AccW-1:0]       result [Pe];
  logic [Lanes*AccW-1:0]        pick_q;
  /* verilator lint_off BLKSEQ */
  always_ff @(posedge clk_i) begin
    logic signed [CalcW-1:0] x;
    logic signed [AccW-1:0]  a, b;
    logic [FactorsW-1:0]     code;
    if (out_enable) begin
      for (int unsigned l = 0; l < Lanes; l++) begin
        pick_q[l*AccW +: AccW] <= (Slots == 1) ? result[l] : result[32'(slot_q)*Lanes + l];
      end
    end
    if (load) begin
      for (int unsigned p = 0; p < Pe; p++) result[p] = acc[p];
    end
    if (enable & valid_q[Last]) begin
      for (int unsigned p = 0; p < Pe; p++) begin
        if (Levels > 0) a = node[p*Nodes+Nodes-1];
        else if (Linked) a = split(link[(p/Group)*Simd+Simd-1], p % Group);
        else a = MiniFloat ? scaled_q[p*Simd] : AccW'(prod[p*Simd]);
        acc[p] = ((first_q[Last] || SynapseFolds == 1) ? '0 : acc[p]) + a;
      end
    end
    if (Levels > 0 && enable) begin
      for (int unsigned t = Levels; t >= 1; t--) begin
        for (int unsigned p = 0; p < Pe; p++) begin
          for (int unsigned j = 0; j < level_size(t); j++) begin
            b = '0;
            if (t > 1) begin
              a = node[p*Nodes+level_base(t-1)+2*j];
              if (2*j + 1 < level_size(t-1)) b = node[p*Nodes+level_base(t-1)+2*j+1];
            end else if (Linked) begin
              a = split(link[((p/Group)*Chains+2*j)*Chain+Chain-1], p % Group);
              if (2*j + 1 < Chains) b = split(link[((p/Group)*Chains+2*j+1)*Chain+Chain-1], p % Group);
            end else begin
              a = MiniFloat ? scaled_q[p*Simd+2*j] : AccW'(prod[p*Simd+2*j]);
              if (2*j + 1 < Chains) b = MiniFloat ? scaled_q[p*Simd+2*j+1] : AccW'(prod[p*Simd+2*j+1]);
            end
            node[p*Nodes+level_base(t)+j] = a + b;
          end
        end
      end
    end
    if (Linked && enable) begin
      for (int unsigned g = 0; g < Groups * Chains; g++) begin
        for (int unsigned k = Chain - 1; k >= 1; k--) link[g*Chain+k] = link[g*Chain+k-1] + LinkW'(prod[g*Chain+k]);
        link[g*Chain] = off[g] + LinkW'(prod[g*Chain]);
      end
    end
    if (MiniFloat && enable) begin
      for (int unsigned i = 0; i < Groups * Simd; i++) scaled_q[i] = scaled(AccW'(prod[i]), code_q[i]);
    end
    if (enable) begin
      for (int unsigned g = 0; g < Groups; g++) begin
        for (int unsigned i = 0; i < Simd; i++) begin
          x    = operand(x_q[i%Chain+Wait], Depthwise ? i*Pe+g : i);
          code = FactorsW'(weight[i%Chain][(g*Chains+i/Chain)*GroupW +: GroupW]);
          if (MiniFloat) begin
            code[WW-1]       = 1'b1;
            code_q[g*Simd+i] = weight[0][(g*Chains+i)*GroupW +: GroupW];
          end
          if (Group > 1) prod[g*Simd+i] = x * factor(code);
          else prod[g*Simd+i] = term(x, Digits ? x3_q[Depthwise ? i*Pe+g : i] : '0, code);
          if (Linked && i % Chain == 0) off[g*Chains+i/Chain] = offset(LinkW'(x), code);
        end
      end
    end
    if (Digits && enable) begin
      for (int unsigned i = 0; i < XWords; i++) begin
        x       = operand(x_q[Digits ? Wait - 1 : 0], i);
        x3_q[i] = x + (x <<< 1);
      end
    end
    if (enable) begin
      for (int unsigned j = Chain + Wait - 1; j >= 1; j--) x_q[j] = x_q[j-1];
      x_q[0] = s_axis_tdata;
    end
  end
  /* verilator lint_on BLKSEQ */

  // ---------------------------------------------------------------- output: pick, add bias, cast
  logic [Lanes*BiasW-1:0] biases [Biases];
  initial $readmemh(BiasFile, biases);

  logic [BiasAW-1:0]            bias_addr_q;
  logic [Lanes*BiasW-1:0]       bias_q;
  logic                         pick_valid_q, sum_valid_q, out_valid_q;

  // The three output stages move together, and without looking at m_axis_tready: what then finds no taker is held.
  logic [Lanes*OutW-1:0]        out_data, held_q;
  logic                         held_valid_q;

  assign out_enable = ~held_valid_q;
  assign advance    = busy_q & out_enable;
  assign drain_last = advance & (slot_q == SlotW'(Slots - 1));

  always_ff @(posedge clk_i) begin
    busy_q       <= rst_ni & (load | (busy_q & ~drain_last));
    pick_valid_q <= rst_ni & (out_enable ? busy_q : pick_valid_q);
    sum_valid_q  <= rst_ni & (out_enable ? pick_valid_q : sum_valid_q);
    out_valid_q  <= rst_ni & (out_enable ? sum_valid_q : out_valid_q);
    held_valid_q <= rst_ni & (held_valid_q | out_valid_q) & ~m_axis_tready;
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
    ) u_cast (.clk_i, .en_i(out_enable), .x_i(sum_q), .y_o(out_data[l*OutW +: OutW]));
  end

  always_ff @(posedge clk_i) begin
    if (out_enable) held_q <= out_data;
  end
  assign m_axis_tdata  = held_valid_q ? held_q : out_data;
  assign m_axis_tvalid = held_valid_q | out_valid_q;
endmodule
