// SPDX-License-Identifier: Apache-2.0
//
// hwf_supervisor: starts, stops and restarts an accelerator, counts its frames and measures its latency and interval.
//
// | parameter       | legal | meaning                                            |
// |-----------------|-------|----------------------------------------------------|
// | Inputs, Outputs | >= 1  | streams; bit i of a vector belongs to stream i     |
// | Reset           | >= 1  | cycles that a restart holds the accelerator in reset |
//
// While start_i is high every input may begin frames (open_o); after that only those that some other input has begun, so
// that all have taken equally many. first_i and last_i mark transfers of the first and last beat of a frame at an input,
// within_i that an input is inside one; done_i marks the last beat of a frame at an output.
// Latency: cycles from the first beat of a frame at any input to its last beat at the last output, both included. With
// several frames on their way one is measured, and the next that begins after it. Interval: cycles between the ends of the
// last two frames; 0 before the second. Counters have 32 bits and wrap. Restarting clears everything.

module hwf_supervisor #(
  parameter int unsigned Inputs  = 1,
  parameter int unsigned Outputs = 1,
  parameter int unsigned Reset   = 16
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,
  input  logic                  start_i,
  input  logic                  restart_i,
  input  logic [Inputs-1:0]     within_i,
  input  logic [Inputs-1:0]     first_i,
  input  logic [Inputs-1:0]     last_i,
  input  logic [Outputs-1:0]    done_i,
  output logic                  rst_no,
  output logic                  busy_o,
  output logic [Inputs-1:0]     open_o,
  output logic [Inputs*32-1:0]  taken_o,
  output logic [Outputs*32-1:0] done_o,
  output logic [31:0]           latency_o,
  output logic [31:0]           interval_o
);
  localparam int unsigned ResetW = $clog2(Reset + 1);
  logic [ResetW-1:0] reset_q;
  logic              running_q;

  assign rst_no = running_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      reset_q   <= ResetW'(Reset);
      running_q <= 1'b0;
    end else if (restart_i) begin
      reset_q   <= ResetW'(Reset);
      running_q <= 1'b0;
    end else if (reset_q != '0) begin
      reset_q <= reset_q - ResetW'(1);
    end else begin
      running_q <= 1'b1;
    end
  end

  // Frames begun, by the input that is ahead, and frames done, by the output that is behind; before and after this cycle.
  logic [Inputs*32-1:0]  taken_q;
  logic [Outputs*32-1:0] done_q;
  logic [31:0]           begun, finished, finished_next;
  logic [Inputs-1:0]     leads;

  always_comb begin
    begun = taken_q[31:0] + 32'(within_i[0]);
    for (int unsigned i = 1; i < Inputs; i++) begin
      if (ahead(taken_q[i*32 +: 32] + 32'(within_i[i]), begun)) begin
        begun = taken_q[i*32 +: 32] + 32'(within_i[i]);
      end
    end
    for (int unsigned i = 0; i < Inputs; i++) begin
      leads[i] = taken_q[i*32 +: 32] + 32'(within_i[i]) == begun;
    end
    finished      = done_q[31:0];
    finished_next = done_q[31:0] + 32'(done_i[0]);
    for (int unsigned i = 1; i < Outputs; i++) begin
      if (ahead(finished, done_q[i*32 +: 32])) finished = done_q[i*32 +: 32];
      if (ahead(finished_next, done_q[i*32 +: 32] + 32'(done_i[i]))) begin
        finished_next = done_q[i*32 +: 32] + 32'(done_i[i]);
      end
    end
  end

  // Whether counter a is beyond counter b, across their wrap.
  function automatic logic ahead(input logic [31:0] a, input logic [31:0] b);
    logic [31:0] difference;
    difference = a - b;
    ahead      = ~difference[31] & (difference != '0);
  endfunction

  assign open_o  = {Inputs{start_i}} | ~leads;
  assign busy_o  = begun != finished;
  assign taken_o = taken_q;
  assign done_o  = done_q;

  always_ff @(posedge clk_i) begin
    if (!running_q) begin
      taken_q <= '0;
      done_q  <= '0;
    end else begin
      for (int unsigned i = 0; i < Inputs; i++) taken_q[i*32 +: 32] <= taken_q[i*32 +: 32] + 32'(last_i[i]);
      for (int unsigned i = 0; i < Outputs; i++) done_q[i*32 +: 32] <= done_q[i*32 +: 32] + 32'(done_i[i]);
    end
  end

  logic        measuring_q, measuring, first_done_q;
  logic [31:0] time_q, from_q, from, frame_q, frame, last_q;

  assign measuring = measuring_q | (|(first_i & leads));
  assign frame     = measuring_q ? frame_q : begun;
  assign from      = measuring_q ? from_q : time_q;

  always_ff @(posedge clk_i) begin
    time_q  <= time_q + 32'd1;
    frame_q <= frame;
    from_q  <= from;
    if (finished_next != finished) last_q <= time_q;
    if (!running_q) time_q <= '0;
  end

  always_ff @(posedge clk_i) begin
    if (!running_q) begin
      measuring_q  <= 1'b0;
      first_done_q <= 1'b0;
      latency_o    <= '0;
      interval_o   <= '0;
    end else begin
      measuring_q <= measuring & ~ahead(finished_next, frame);
      if (measuring & ahead(finished_next, frame)) latency_o <= time_q - from + 32'd1;
      if (finished_next != finished) begin
        first_done_q <= 1'b1;
        if (first_done_q) interval_o <= time_q - last_q;
      end
    end
  end
endmodule
