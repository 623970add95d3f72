// SPDX-License-Identifier: Apache-2.0
//
// hwf_conv2d: folded streaming 2-D convolution; dense layers are its 1x1 case on one pixel.
//
//   y[oy, ox, o] = cast(bias[o] + sum_{ky, kx, c} w[ky, kx, c, o] * x[oy*StrideH + ky - PadTop, ox*StrideW + kx - PadLeft, c])
//
// A window feeds a matrix-vector unit (hwf_mvu). Cycles an output pixel:
// (KernelH * KernelW * InC / Simd) * (OutC / Pe) = reuse factor. Pixels leave Lanes channels a beat.
//
// Where Simd divides InC, pixels arrive Simd channels a beat and are read word by word (hwf_window); a kernel that is
// one pixel, not strided and not replayed needs no memory: its words go straight through. Where Simd does not divide
// InC (several pixels a cycle), pixels arrive whole and whole windows are read (hwf_window_parallel).
// Parameters: see these modules; InLanes is the number of channels a beat that follows.

module hwf_conv2d #(
  parameter int unsigned InC        = 1,
  parameter int unsigned OutC       = 1,
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
  localparam bit         Parallel   = (InC % Simd) != 0,
  localparam int unsigned InLanes   = Parallel ? InC : Simd
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
  if ((KernelH * KernelW * InC) % Simd != 0) begin : gen_bad_simd
    $fatal(1, "hwf_conv2d: Simd must divide KernelH*KernelW*InC");
  end
  if (OutC % Pe != 0) begin : gen_bad_pe
    $fatal(1, "hwf_conv2d: Pe must divide OutC");
  end

  localparam int unsigned Folds = OutC / Pe;

  logic [Simd*XW-1:0] x_data;
  logic               x_valid, x_ready;

  if (KernelH == 1 && KernelW == 1 && StrideH == 1 && StrideW == 1 && Folds == 1) begin : gen_straight
    assign x_data        = s_axis_tdata;
    assign x_valid       = s_axis_tvalid;
    assign s_axis_tready = x_ready;
  end else if (Parallel) begin : gen_parallel
    hwf_window_parallel #(
      .LaneW(XW), .C(InC), .InH(InH), .InW(InW), .OutH(OutH), .OutW(OutW),
      .KernelH(KernelH), .KernelW(KernelW), .StrideH(StrideH), .StrideW(StrideW),
      .PadTop(PadTop), .PadLeft(PadLeft), .Lanes(Simd), .Depthwise(1'b0), .Group(1), .Replays(Folds)
    ) u_window (
      .clk_i, .rst_ni,
      .s_axis_tdata, .s_axis_tvalid, .s_axis_tready,
      .m_axis_tdata(x_data), .m_axis_tvalid(x_valid), .m_axis_tready(x_ready)
    );
  end else begin : gen_window
    hwf_window #(
      .Width(Simd * XW), .Words(InC / Simd),
      .InH(InH), .InW(InW), .OutH(OutH), .OutW(OutW),
      .KernelH(KernelH), .KernelW(KernelW), .StrideH(StrideH), .StrideW(StrideW),
      .PadTop(PadTop), .PadLeft(PadLeft), .Replays(Folds), .Depthwise(1'b0), .Pixels(Pixels)
    ) u_window (
      .clk_i, .rst_ni,
      .s_axis_tdata, .s_axis_tvalid, .s_axis_tready,
      .m_axis_tdata(x_data), .m_axis_tvalid(x_valid), .m_axis_tready(x_ready)
    );
  end

  hwf_mvu #(
    .Pe(Pe), .Simd(Simd), .Depthwise(1'b0), .Folds(Folds), .SynapseFolds(KernelH * KernelW * InC / Simd),
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
