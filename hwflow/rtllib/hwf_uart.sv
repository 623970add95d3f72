// SPDX-License-Identifier: Apache-2.0
//
// hwf_uart: byte streams over a serial line, 8N1.
//
// | parameter | legal | meaning                  |
// |-----------|-------|--------------------------|
// | Divider   | >= 4  | clock cycles of one bit  |
//
// s_axis takes bytes to send, one in 10 * Divider cycles. m_axis gives received bytes; the line cannot be held back,
// so a byte that arrives while the one before it waits is lost, and overrun_o is high from then on. break_o is high
// while the line has been low for 16 bits or more (a "break"), which no byte does.

module hwf_uart #(
  parameter int unsigned Divider = 25
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       rxd_i,
  output logic       txd_o,
  input  logic [7:0] s_axis_tdata,
  input  logic       s_axis_tvalid,
  output logic       s_axis_tready,
  output logic [7:0] m_axis_tdata,
  output logic       m_axis_tvalid,
  input  logic       m_axis_tready,
  output logic       overrun_o,
  output logic       break_o
);
  localparam int unsigned TickW  = $clog2(Divider);
  localparam int unsigned BreakW = $clog2(16 * Divider + 1);

  // Sender: the start bit, eight bits, low first, the stop bit.
  logic [8:0]       tx_q;
  logic [3:0]       tx_bits_q;
  logic [TickW-1:0] tx_tick_q;
  logic             txd_q;

  assign s_axis_tready = tx_bits_q == '0;
  assign txd_o         = txd_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      tx_q      <= '1;
      tx_bits_q <= '0;
      tx_tick_q <= '0;
      txd_q     <= 1'b1;
    end else if (s_axis_tready) begin
      if (s_axis_tvalid) begin
        tx_q      <= {1'b1, s_axis_tdata};
        tx_bits_q <= 4'd10;
        tx_tick_q <= TickW'(Divider - 1);
        txd_q     <= 1'b0;
      end
    end else if (tx_tick_q != '0) begin
      tx_tick_q <= tx_tick_q - TickW'(1);
    end else begin
      tx_q      <= {1'b1, tx_q[8:1]};
      tx_bits_q <= tx_bits_q - 4'd1;
      tx_tick_q <= TickW'(Divider - 1);
      txd_q     <= tx_q[0];
    end
  end

  // Receiver: each bit is sampled in its middle; after the stop bit the next start bit may come at once.
  typedef enum logic [2:0] {Idle, Start, Data, Stop, Low} state_e;
  state_e            state_q;
  logic [1:0]        sync_q;
  logic [7:0]        rx_q, byte_q;
  logic [2:0]        rx_bit_q;
  logic [TickW-1:0]  rx_tick_q;
  logic [BreakW-1:0] low_q;
  logic              rxd, sample, valid_q, overrun_q;

  assign rxd           = sync_q[1];
  assign sample        = rx_tick_q == '0;
  assign m_axis_tdata  = byte_q;
  assign m_axis_tvalid = valid_q;
  assign overrun_o     = overrun_q;
  assign break_o       = low_q == BreakW'(16 * Divider);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      sync_q    <= '1;
      state_q   <= Idle;
      rx_q      <= '0;
      byte_q    <= '0;
      rx_bit_q  <= '0;
      rx_tick_q <= '0;
      valid_q   <= 1'b0;
      overrun_q <= 1'b0;
      low_q     <= '0;
    end else begin
      sync_q    <= {sync_q[0], rxd_i};
      valid_q   <= valid_q & ~m_axis_tready;
      rx_tick_q <= sample ? TickW'(Divider - 1) : rx_tick_q - TickW'(1);
      low_q     <= rxd ? '0 : break_o ? low_q : low_q + BreakW'(1);
      unique case (state_q)
        Idle:
          if (!rxd) begin
            state_q   <= Start;
            rx_tick_q <= TickW'(Divider / 2);
          end
        Start:
          if (sample) begin
            state_q  <= rxd ? Idle : Data;
            rx_bit_q <= '0;
          end
        Data:
          if (sample) begin
            rx_q     <= {rxd, rx_q[7:1]};
            rx_bit_q <= rx_bit_q + 3'd1;
            if (rx_bit_q == 3'd7) state_q <= Stop;
          end
        Stop:
          if (sample) begin
            state_q <= rxd ? Idle : Low;
            if (rxd && valid_q && !m_axis_tready) begin
              overrun_q <= 1'b1;
            end else if (rxd) begin
              byte_q  <= rx_q;
              valid_q <= 1'b1;
            end
          end
        Low:  // a break, or noise
          if (rxd) state_q <= Idle;
        default: state_q <= Idle;
      endcase
    end
  end
endmodule
