// SPDX-License-Identifier: Apache-2.0
//
// hwf_dwc: stream width converter between InLanes and OutLanes values a beat, lane 0 first.
//
// | parameter | legal | meaning                                                            |
// |-----------|-------|--------------------------------------------------------------------|
// | LaneW     | >= 1  | bits of one value                                                  |
// | InLanes, OutLanes | >= 1 | values a beat; a frame is a whole number of both's multiple |
//
// No bubble at the full rate of the narrower side. Where neither count divides the other, the stream is
// widened to their least common multiple and narrowed again.

module hwf_dwc #(
  parameter int unsigned LaneW    = 8,
  parameter int unsigned InLanes  = 1,
  parameter int unsigned OutLanes = 1
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic [InLanes*LaneW-1:0]  s_axis_tdata,
  input  logic                      s_axis_tvalid,
  output logic                      s_axis_tready,
  output logic [OutLanes*LaneW-1:0] m_axis_tdata,
  output logic                      m_axis_tvalid,
  input  logic                      m_axis_tready
);
  function automatic int unsigned gcd(input int unsigned a, input int unsigned b);
    int unsigned x, y, t;
    x = a;
    y = b;
    while (y != 0) begin
      t = x % y;
      x = y;
      y = t;
    end
    gcd = x;
  endfunction

  localparam int unsigned MidLanes = InLanes / gcd(InLanes, OutLanes) * OutLanes;
  localparam int unsigned Up       = MidLanes / InLanes;
  localparam int unsigned Down     = MidLanes / OutLanes;
  localparam int unsigned MidW     = MidLanes * LaneW;

  logic [MidW-1:0] mid_data;
  logic            mid_valid, mid_ready;

  if (Up == 1) begin : gen_no_up
    assign mid_data      = s_axis_tdata;
    assign mid_valid     = s_axis_tvalid;
    assign s_axis_tready = mid_ready;
  end else begin : gen_up
    localparam int unsigned IdxW = $clog2(Up + 1);
    logic [MidW-1:0] shift_q;
    logic [IdxW-1:0] fill_q;
    logic            full;
    assign full          = fill_q == IdxW'(Up);
    assign s_axis_tready = ~full | mid_ready;
    assign mid_data      = shift_q;
    assign mid_valid     = full;
    always_ff @(posedge clk_i) begin
      if (s_axis_tvalid & s_axis_tready) begin
        shift_q <= {s_axis_tdata, shift_q[MidW-1:InLanes*LaneW]};
      end
    end
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        fill_q <= '0;
      end else if (s_axis_tvalid & s_axis_tready) begin
        fill_q <= full ? IdxW'(1) : fill_q + IdxW'(1);
      end else if (full & mid_ready) begin
        fill_q <= '0;
      end
    end
  end

  if (Down == 1) begin : gen_no_down
    assign m_axis_tdata  = mid_data;
    assign m_axis_tvalid = mid_valid;
    assign mid_ready     = m_axis_tready;
  end else begin : gen_down
    localparam int unsigned IdxW = $clog2(Down + 1);
    localparam int unsigned OutW = OutLanes * LaneW;
    logic [MidW-1:0] shift_q;
    logic [IdxW-1:0] left_q;
    assign mid_ready     = (left_q == '0) | ((left_q == IdxW'(1)) & m_axis_tready);
    assign m_axis_tdata  = shift_q[OutW-1:0];
    assign m_axis_tvalid = left_q != '0;
    always_ff @(posedge clk_i) begin
      if (mid_valid & mid_ready) shift_q <= mid_data;
      else if (m_axis_tready) shift_q <= MidW'(shift_q[MidW-1:OutW]);
    end
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        left_q <= '0;
      end else if (mid_valid & mid_ready) begin
        left_q <= IdxW'(Down);
      end else if (m_axis_tvalid & m_axis_tready) begin
        left_q <= left_q - IdxW'(1);
      end
    end
  end

  if (Up == 1 && Down == 1) begin : gen_wire
    logic unused_clock;
    assign unused_clock = &{1'b0, clk_i, rst_ni};
  end
endmodule
