// SPDX-License-Identifier: Apache-2.0
//
// hwf_axil: AXI4-Lite slave of 32-bit registers (AMBA AXI, IHI 0022).
//
// | parameter | legal | meaning                   |
// |-----------|-------|---------------------------|
// | AddrW     | >= 3  | bits of a byte address    |
//
// A write is told in one cycle, wr_en_o, once its address and its data are there, in whatever order they came. Reading
// has no effect, so that rd_data_i may follow rd_addr_o within the cycle; it is registered here. One write and one
// read at a time each, the two independent of each other; every access is answered with OKAY. The bus's
// outputs depend on registers only. Unaligned addresses mean the word they lie in.

module hwf_axil #(
  parameter int unsigned AddrW = 8
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic [AddrW-1:0] s_axi_awaddr,
  input  logic             s_axi_awvalid,
  output logic             s_axi_awready,
  input  logic [31:0]      s_axi_wdata,
  input  logic [3:0]       s_axi_wstrb,
  input  logic             s_axi_wvalid,
  output logic             s_axi_wready,
  output logic [1:0]       s_axi_bresp,
  output logic             s_axi_bvalid,
  input  logic             s_axi_bready,
  input  logic [AddrW-1:0] s_axi_araddr,
  input  logic             s_axi_arvalid,
  output logic             s_axi_arready,
  output logic [31:0]      s_axi_rdata,
  output logic [1:0]       s_axi_rresp,
  output logic             s_axi_rvalid,
  input  logic             s_axi_rready,
  output logic             wr_en_o,
  output logic [AddrW-1:2] wr_addr_o,
  output logic [31:0]      wr_data_o,
  output logic [3:0]       wr_strb_o,
  output logic [AddrW-1:2] rd_addr_o,
  input  logic [31:0]      rd_data_i
);
  // What has come of a write waits, its ready low, until it is told; the answer is taken before the next is told.
  logic aw_held_q, w_held_q, bvalid_q, rvalid_q;

  assign s_axi_awready = ~aw_held_q;
  assign s_axi_wready  = ~w_held_q;
  assign s_axi_bvalid  = bvalid_q;
  assign s_axi_bresp   = 2'b00;
  assign wr_en_o       = aw_held_q & w_held_q & ~bvalid_q;

  always_ff @(posedge clk_i) begin
    if (s_axi_awvalid & s_axi_awready) wr_addr_o <= s_axi_awaddr[AddrW-1:2];
    if (s_axi_wvalid & s_axi_wready) begin
      wr_data_o <= s_axi_wdata;
      wr_strb_o <= s_axi_wstrb;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      aw_held_q <= 1'b0;
      w_held_q  <= 1'b0;
      bvalid_q  <= 1'b0;
    end else begin
      aw_held_q <= aw_held_q ? ~wr_en_o : s_axi_awvalid;
      w_held_q  <= w_held_q ? ~wr_en_o : s_axi_wvalid;
      bvalid_q  <= bvalid_q ? ~s_axi_bready : wr_en_o;
    end
  end

  assign s_axi_arready = ~rvalid_q;
  assign s_axi_rvalid  = rvalid_q;
  assign s_axi_rresp   = 2'b00;
  assign rd_addr_o     = s_axi_araddr[AddrW-1:2];

  always_ff @(posedge clk_i) begin
    if (s_axi_arvalid & s_axi_arready) s_axi_rdata <= rd_data_i;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) rvalid_q <= 1'b0;
    else rvalid_q <= rvalid_q ? ~s_axi_rready : s_axi_arvalid;
  end

  logic unused_low;
  assign unused_low = &{1'b0, s_axi_awaddr[1:0], s_axi_araddr[1:0]};
endmodule
