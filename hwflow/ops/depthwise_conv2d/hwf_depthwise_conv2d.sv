// SPDX-License-Identifier: Apache-2.0
//
// hwf_depthwise_conv2d: folded streaming depthwise 2-D convolution (Multiplier filters a channel).
//
//   y[oy, ox, o] = cast(bias[o] + sum_{ky, kx} w[ky, kx, o]
//                                 * x[oy*StrideH + ky - PadTop, ox*StrideW + kx - PadLeft, o / Multiplier])
//
// A window feeds a matrix-vector unit (hwf_mvu). Cycles an output pixel: KernelH * KernelW * C * Multiplier
// / (Pe * Simd) = reuse factor; Pe is a multiple of Multiplier. Pixels leave Lanes channels a beat. With Simd = 1 they
// arrive Pe / Multiplier channels a beat and are read word by word (hwf_window, one channel group after the other); with
// several kernel positions a cycle (Simd > 1) they arrive whole and whole windows are read (hwf_window_parallel).
// Parameters: see these modules.

module hwf_depthwise_conv2d #(
  parameter int unsigned C          = 1,
  parameter int unsigned Multiplier = 1,
  parameter int unsigned InH        = 1,
  parameter int unsigned InW        = 1,
  parameter int unsigned OutH       = 1,
  parameter int unsigned OutW       = 1,
  parameter int unsigned KernelH    = 1,
  parameter int unsigned KernelW    = 1,
  parameter int unsigned StrideH    = 1,
  parameter int unsigned StrideW    = 1,
  parameter int unsigned PadTop     = 0,
  parameter int unsigned PadLeft    = 0,
  parameter int unsigned Pixels     = 2,
  parameter int unsigned Pe         = 1,
  parameter int unsigned Simd       = 1,
  parameter int unsigned Lanes      = 1,
  parameter int unsigned XW         = 8,
  parameter bit          XSigned    = 1'b1,
  parameter int unsigned WeightCode = 0,
  parameter int unsigned WW         = 8,
  parameter bit          WSigned    = 1'b1,
  parameter int unsigned CodeW      = 1,
  parameter int unsigned ExpLow     = 0,
  parameter int unsigned ShiftMax   = 0,
  parameter int unsigned Pack       = 1,
  parameter int unsigned PackBits   = 1,
  parameter int unsigned DspW       = 25,
  parameter int unsigned Chain      = 1,
  parameter bit          RomBlock   = 1'b0,
  parameter int unsigned AccW       = 24,
  parameter int          AccFrac    = 0,
  parameter int unsigned BiasW      = 8,
  parameter int unsigned SumW       = 25,
  parameter int          SumFrac    = 0,
  parameter int unsigned YW         = 8,
  parameter bit          YSigned    = 1'b1,
  parameter int          YFrac      = 0,
  parameter int unsigned Rounding   = 0,
  parameter int unsigned Overflow   = 0,
  parameter              WeightFile = "",
  parameter              BiasFile   = "",
  parameter              TableFile  = "",
  localparam int unsigned Group     = Pe / Multiplier,
  localparam int unsigned InLanes   = (Simd > 1) ? C : Group
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [InLanes*XW-1:0] s_axis_tdata,
  input  logic                s_axis_tvalid,
  output logic                s_axis_tready,
  output logic [Lanes*YW-1:0] m_axis_tdata,
  output logic                m_axis_tvalid,
  input  logic                m_axis_tready
);
  if (Pe % Multiplier != 0 || C % Group != 0) begin : gen_bad_pe
    $fatal(1, "hwf_depthwise_conv2d: Pe must be a multiple of Multiplier that divides C * Multiplier");
  end

  if ((KernelH * KernelW) % Simd != 0) begin : gen_bad_simd
    $fatal(1, "hwf_depthwise_conv2d: Simd must divide KernelH*KernelW");
  end

  logic [Group*Simd*XW-1:0] window_data;
  logic [Pe*Simd*XW-1:0]    x_data;
  logic                     x_valid, x_ready;

  if (Simd > 1) begin : gen_parallel
    hwf_window_parallel #(
      .LaneW(XW), .C(C), .InH(InH), .InW(InW), .OutH(OutH), .OutW(OutW),
      .KernelH(KernelH), .KernelW(KernelW), .StrideH(StrideH), .StrideW(StrideW),
      .PadTop(PadTop), .PadLeft(PadLeft), .Lanes(Group * Simd), .Depthwise(1'b1), .Group(Group)
    ) u_window (
      .clk_i, .rst_ni,
      .s_axis_tdata, .s_axis_tvalid, .s_axis_tready,
      .m_axis_tdata(window_data), .m_axis_tvalid(x_valid), .m_axis_tready(x_ready)
    );
  end else begin : gen_window
    hwf_window #(
      .Width(Group * XW), .Words(C / Group),
      .InH(InH), .InW(InW), .OutH(OutH), .OutW(OutW),
      .KernelH(KernelH), .KernelW(KernelW), .StrideH(StrideH), .StrideW(StrideW),
      .PadTop(PadTop), .PadLeft(PadLeft), .Replays(1), .Depthwise(1'b1), .Pixels(Pixels)
    ) u_window (
      .clk_i, .rst_ni,
      .s_axis_tdata, .s_axis_tvalid, .s_axis_tready,
      .m_axis_tdata(window_data), .m_axis_tvalid(x_valid), .m_axis_tready(x_ready)
    );
  end

  // Every value goes to the Multiplier filters of its channel.
  for (genvar l = 0; l < Pe * Simd; l++) begin : gen_lane
    assign x_data[l*XW +: XW] = window_data[(l / Multiplier)*XW +: XW];
  end

  hwf_mvu #(
    .Pe(Pe), .Simd(Simd), .Depthwise(1'b1), .Folds(C / Group), .SynapseFolds(KernelH * KernelW / Simd),
    .Lanes(Lanes), .XW(XW), .XSigned(XSigned),
    .WeightCode(WeightCode), .WW(WW), .WSigned(WSigned), .Pack(Pack), .PackBits(PackBits), .DspW(DspW), .Chain(Chain),
    .RomBlock(RomBlock), .CodeW(CodeW), .ExpLow(ExpLow), .ShiftMax(ShiftMax),
    .AccW(AccW), .AccFrac(AccFrac), .BiasW(BiasW), .SumW(SumW), .SumFrac(SumFrac),
    .OutW(YW), .OutSigned(YSigned), .OutFrac(YFrac), .Rounding(Rounding), .Overflow(Overflow),
    .WeightFile(WeightFile), .BiasFile(BiasFile), .TableFile(TableFile)
  ) u_mvu (
    .clk_i, .rst_ni,
    .s_axis_tdata(x_data), .s_axis_tvalid(x_valid), .s_axis_tready(x_ready),
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );
endmodule
