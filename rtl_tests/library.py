# SPDX-License-Identifier: Apache-2.0
"""The shared stream modules at their parameter points, with vectors computed word by word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from random import Random
from typing import Any

import numpy as np

from hwflow.emit.memfile import memory_name, memory_text
from hwflow.numerics.fixed import Cast, FixedType, Overflow, Rounding
from hwflow.ops.base import Memory, Window
from hwflow.ops.weightcode import choose, encode
from hwflow.verify.bench.streams import beat_of
from rtl_tests.units import Port, Unit
from tests import naive

#: Modules in dependency order.
MODULES = (
    "hwf_fifo",
    "hwf_dwc",
    "hwf_fork",
    "hwf_uart",
    "hwf_skip",
    "hwf_window",
    "hwf_window_parallel",
    "hwf_cast",
    "hwf_rom",
    "hwf_mvu",
)


def _raw(width: int, beats_per_frame: int = 1) -> dict[str, Any]:
    return {"lanes": 1, "width": width, "signed": False, "frac": 0, "beats_per_frame": beats_per_frame}


def fifo(depth: int, width: int, rng: Random) -> Unit:
    """Everything comes out in order, two cycles after it went in."""
    beats = [rng.getrandbits(width) for _ in range(60)]
    return Unit(
        f"fifo_{depth}", "hwf_fifo", {"Width": width, "Depth": depth}, (Port("s_axis", width),),
        (Port("m_axis", width),), {"s_axis": beats}, {"m_axis": beats}, {"m_axis": _raw(width)},
        claims={"latency": 2, "ii": 1},
    )  # fmt: skip


def dwc(lane: int, lanes_in: int, lanes_out: int, rng: Random) -> Unit:
    """The same values, more or fewer a beat, at the rate of the narrower side."""
    values = [rng.getrandbits(lane) for _ in range(lanes_in * lanes_out * 12)]

    def beats(lanes: int) -> list[int]:
        return [beat_of(values[i : i + lanes], lane) for i in range(0, len(values), lanes)]

    # Over one common multiple of both widths the narrower side sets the pace.
    return Unit(
        f"dwc_{lanes_in}_{lanes_out}", "hwf_dwc", {"LaneW": lane, "InLanes": lanes_in, "OutLanes": lanes_out},
        (Port("s_axis", lane * lanes_in),), (Port("m_axis", lane * lanes_out),),
        {"s_axis": beats(lanes_in)}, {"m_axis": beats(lanes_out)},
        {"m_axis": {"lanes": lanes_out, "width": lane, "signed": False, "frac": 0, "beats_per_frame": lanes_in}},
        claims={"ii": max(lanes_in, lanes_out)},
    )  # fmt: skip


def uart(divider: int, rng: Random) -> Unit:
    """Bytes come back over a line from the sender to the receiver."""
    label, beats = f"uart_{divider}", [0, 255, *(rng.getrandbits(8) for _ in range(10))]
    streams = [
        f".{p}_{s}({label}_{p}_{s})" for p in ("s_axis", "m_axis") for s in ("tdata", "tvalid", "tready")
    ]
    line = [".clk_i", ".rst_ni", f".rxd_i({label}_line)", f".txd_o({label}_line)"]
    line += [f".overrun_o({label}_unused[0])", f".break_o({label}_unused[1])"]
    return Unit(
        label, "hwf_uart", {"Divider": divider}, (Port("s_axis", 8),), (Port("m_axis", 8),),
        {"s_axis": beats}, {"m_axis": beats}, {"m_axis": _raw(8)}, claims={"ii": 10 * divider + 1},
        connections=", ".join([*line, *streams]), glue=f"  logic {label}_line;\n  logic [1:0] {label}_unused;",
    )  # fmt: skip


def fork(outputs: int, rng: Random) -> Unit:
    """Each reader gets every beat once."""
    beats = [rng.getrandbits(11) for _ in range(60)]
    label = f"fork_{outputs}"
    names = [f"m_axis_{i}" for i in range(outputs)]

    def joined(signal: str) -> str:
        return "{" + ", ".join(f"{label}_{name}_{signal}" for name in reversed(names)) + "}"

    data = joined("tdata")
    return Unit(
        label, "hwf_fork", {"Width": 11, "Outputs": outputs}, (Port("s_axis", 11),),
        tuple(Port(name, 11) for name in names), {"s_axis": beats}, dict.fromkeys(names, beats),
        dict.fromkeys(names, _raw(11)), claims={"ii": 1},
        connections=(
            f".clk_i, .rst_ni, .s_axis_tdata({label}_s_axis_tdata), .s_axis_tvalid({label}_s_axis_tvalid), "
            f".s_axis_tready({label}_s_axis_tready), .m_axis_tdata({label}_data), "
            f".m_axis_tvalid({joined('tvalid')}), .m_axis_tready({joined('tready')})"
        ),
        glue=f"  logic [10:0] {label}_data;\n  assign {data} = {{{outputs}{{{label}_data}}}};",
    )  # fmt: skip


@dataclass(frozen=True)
class Geometry:
    """A window over frames, pixels."""

    in_h: int
    in_w: int
    kernel_h: int
    kernel_w: int
    stride_h: int = 1
    stride_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    same: bool = False

    @property
    def out(self) -> tuple[int, int]:
        """Window positions."""
        if self.same:
            return -(-self.in_h // self.stride_h), -(-self.in_w // self.stride_w)
        return (self.in_h - self.kernel_h) // self.stride_h + 1, (
            self.in_w - self.kernel_w
        ) // self.stride_w + 1

    def parameters(self) -> dict[str, int]:
        """Module parameters."""
        out_h, out_w = self.out
        return {
            "InH": self.in_h, "InW": self.in_w, "OutH": out_h, "OutW": out_w, "KernelH": self.kernel_h,
            "KernelW": self.kernel_w, "StrideH": self.stride_h, "StrideW": self.stride_w,
            "PadTop": self.pad_top, "PadLeft": self.pad_left,
        }  # fmt: skip

    def windows(self, frame: list[list[int]]) -> list[list[list[int]]]:
        """For each position, in raster order, the pixels of its window (each a list of channels)."""
        zero = [0] * len(frame[0])
        out_h, out_w = self.out
        found = []
        for oy, ox in product(range(out_h), range(out_w)):
            taps = []
            for ky, kx in product(range(self.kernel_h), range(self.kernel_w)):
                iy, ix = oy * self.stride_h + ky - self.pad_top, ox * self.stride_w + kx - self.pad_left
                inside = 0 <= iy < self.in_h and 0 <= ix < self.in_w
                taps.append(frame[iy * self.in_w + ix] if inside else zero)
            found.append(taps)
        return found


def _frames(geometry: Geometry, channels: int, width: int, rng: Random) -> list[list[list[int]]]:
    pixels = geometry.in_h * geometry.in_w
    return [[[rng.getrandbits(width) for _ in range(channels)] for _ in range(pixels)] for _ in range(4)]


def window(
    name: str, geometry: Geometry, words: int, rng: Random, *, replays: int = 1, extra: int = 1
) -> Unit:
    """Windows word by word; ``replays`` 0 stands for the depthwise order."""
    frames = _frames(geometry, words, 7, rng)
    expected = []
    for taps in (taps for frame in frames for taps in geometry.windows(frame)):
        if replays == 0:
            expected += [tap[word] for word in range(words) for tap in taps]
        else:
            expected += [value for tap in taps for value in tap] * replays
    minimum = (geometry.kernel_h - 1) * geometry.in_w + geometry.kernel_w
    first = geometry.windows([[i] for i in range(geometry.in_h * geometry.in_w)])[0]
    parameters = geometry.parameters() | {
        "Width": 7, "Words": words, "Replays": max(replays, 1), "Depthwise": int(replays == 0),
        "Pixels": minimum + extra,
    }  # fmt: skip
    return Unit(
        f"window_{name}", "hwf_window", parameters, (Port("s_axis", 7),), (Port("m_axis", 7),),
        {"s_axis": [value for frame in frames for pixel in frame for value in pixel]}, {"m_axis": expected},
        {"m_axis": _raw(7, len(expected) // len(frames))},
        claims={"latency": 2, "latency_from": (max(tap[0] for tap in first) + 1) * words - 1},
    )  # fmt: skip


def skip(name: str, geometry: Geometry, beats: int, rng: Random) -> Unit:
    """The pixels that some window reads, each once and in their order."""
    frames = _frames(geometry, beats, 9, rng)
    numbers = geometry.windows([[i + 1] for i in range(geometry.in_h * geometry.in_w)])
    read = sorted({tap[0] - 1 for taps in numbers for tap in taps if tap[0]})
    window = Window(
        geometry.in_h, geometry.in_w, *geometry.out, geometry.kernel_h, geometry.kernel_w,
        geometry.stride_h, geometry.stride_w, geometry.pad_top, geometry.pad_left,
    )  # fmt: skip
    return Unit(
        f"skip_{name}", "hwf_skip", {"Width": 9, "Beats": beats} | window.skip_parameters(), (Port("s_axis", 9),),
        (Port("m_axis", 9),), {"s_axis": [beat for frame in frames for pixel in frame for beat in pixel]},
        {"m_axis": [beat for frame in frames for pixel in read for beat in frame[pixel]]},
        {"m_axis": _raw(9, len(read) * beats)},
        claims={"latency": 0, "latency_from": read[0] * beats, "ii": geometry.in_h * geometry.in_w * beats},
    )  # fmt: skip


def window_parallel(
    name: str, geometry: Geometry, channels: int, lanes: int, rng: Random, group: int = 0, replays: int = 1
) -> Unit:
    """Whole windows in chunks; a ``group`` of channels stands for the depthwise order."""
    lane = 5
    frames = _frames(geometry, channels, lane, rng)
    expected = []
    for taps in (taps for frame in frames for taps in geometry.windows(frame)):
        if group:
            values = [
                tap[g * group + p] for g in range(channels // group) for tap in taps for p in range(group)
            ]
        else:
            values = [value for tap in taps for value in tap]
        expected += [beat_of(values[i : i + lanes], lane) for i in range(0, len(values), lanes)] * replays
    parameters = geometry.parameters() | {
        "LaneW": lane, "C": channels, "Lanes": lanes, "Depthwise": int(group > 0), "Group": max(group, 1),
        "Replays": replays,
    }  # fmt: skip
    out_h, out_w = geometry.out
    chunks = geometry.kernel_h * geometry.kernel_w * channels // lanes * replays
    row = max(out_w * max(chunks, geometry.stride_w), geometry.in_w)
    return Unit(
        f"parallel_{name}", "hwf_window_parallel", parameters, (Port("s_axis", channels * lane),),
        (Port("m_axis", lanes * lane),),
        {"s_axis": [beat_of(pixel, lane) for frame in frames for pixel in frame]}, {"m_axis": expected},
        {"m_axis": {"lanes": lanes, "width": lane, "signed": False, "frac": 0,
                    "beats_per_frame": len(expected) // len(frames)}},
        claims={"ii": max(out_h * row, geometry.in_h * geometry.in_w)},
    )  # fmt: skip


def _grid(name: str) -> FixedType:
    """``s4`` and ``u4``: signed and unsigned codes of 4 bits."""
    return FixedType(name[0] == "s", int(name[1:]), 0)


def _weights(kind: str, rng: Random) -> Callable[[], int]:
    """Draws weights of a grid, or of a set of values."""
    sets = {"binary": (-2, 2), "ternary": (-1, 0, 1), "pow2": (-8, -4, -2, -1, 0, 1, 2, 4)}
    if kind in sets:
        return lambda: rng.choice(sets[kind])
    low, high = _grid(kind).range()
    return lambda: rng.choice((low, high, rng.randint(low, high)))


def mvu(
    name: str, pe: int, simd: int, folds: int, synapse_folds: int, lanes: int, rng: Random, *,
    depthwise: bool = False, x_type: str = "s5", weights: str = "s4", style: str = "auto",
    lut_bits: int = 0, bipolar: bool = False, block: bool = False,
) -> Unit:  # fmt: skip
    """Sums of products, with bias on a finer grid, rounded and saturated."""
    vectors = 6
    out = Cast(FixedType(True, 6, 0), Rounding.RND_CONV, Overflow.SAT)
    frac, sum_frac = 3, 5
    draw = _weights(weights, rng)
    grid = _grid(x_type)
    low, high = grid.range()

    groups = pe if depthwise else 1
    shape = folds, synapse_folds, pe, simd
    weight = {index: draw() for index in product(*map(range, shape))}
    bias = [rng.randint(-256, 255) for _ in range(folds * pe)]
    stimulus, expected = [], []
    for vector in range(vectors):
        x = {
            index: rng.choice((-1, 1)) if bipolar else (low, high, rng.randint(low, high))[min(vector, 2)]
            for index in product(range(folds), range(synapse_folds), range(simd), range(groups))
        }
        stimulus += [
            beat_of([x[f, s, i, g] for i in range(simd) for g in range(groups)], grid.width)
            for f, s in product(range(folds), range(synapse_folds))
        ]
        codes = []
        for f, p in product(range(folds), range(pe)):
            acc = sum(
                weight[f, s, p, i] * x[f, s, i, p if depthwise else 0]
                for s, i in product(range(synapse_folds), range(simd))
            )
            total = naive.Fraction(acc, 2**frac) + naive.Fraction(bias[f * pe + p], 2**sum_frac)
            codes.append(naive.cast(total, out))
        expected += [beat_of(codes[i : i + lanes], out.type.width) for i in range(0, len(codes), lanes)]
    words = np.array([weight[index] for index in product(*map(range, shape))]).reshape(-1, pe * simd)
    matrix = words.reshape(folds, synapse_folds, pe, simd).transpose(1, 3, 0, 2).reshape(-1, folds * pe)
    plan = choose(
        matrix, pe, simd, grid, style=style, lut_bits=lut_bits, depthwise=depthwise, bipolar=bipolar
    )
    plan = replace(plan, block=block)
    encoding = encode(words, pe, simd, synapse_folds, plan)
    scale = sum_frac - frac + plan.shift
    taken = np.array(bias) - (encoding.offset << scale)
    bias_width = FixedType.for_range(min(int(taken.min()), -1), int(taken.max()), 0).width + 1
    memories = {}
    for kind, memory in (
        ("weight", encoding.memory), ("bias", Memory(taken.reshape(-1, lanes), bias_width)),
    ):  # fmt: skip
        text = memory_text(memory)
        memories[memory_name(text, kind)] = text
    weight_file, bias_file = (f"mem/{memory}" for memory in memories)
    acc_width = grid.width + 10 + (synapse_folds * simd).bit_length()
    parameters: dict[str, int | str] = {
        "Pe": pe, "Simd": simd, "Depthwise": int(depthwise), "Folds": folds, "SynapseFolds": synapse_folds,
        "Lanes": lanes, "XW": grid.width, "XSigned": int(grid.signed), **plan.parameters(),
        "AccW": acc_width, "AccFrac": frac - plan.shift - encoding.halved, "BiasW": bias_width,
        "SumW": max(acc_width + scale + encoding.halved, bias_width) + 1, "SumFrac": sum_frac,
        "OutW": out.type.width, "OutSigned": 1, "OutFrac": out.type.frac, "Rounding": 6, "Overflow": 1,
        "WeightFile": weight_file, "BiasFile": bias_file,
    }  # fmt: skip
    beats = folds * pe // lanes
    return Unit(
        f"mvu_{name}", "hwf_mvu", parameters, (Port("s_axis", simd * groups * grid.width),),
        (Port("m_axis", lanes * out.type.width),), {"s_axis": stimulus}, {"m_axis": expected},
        {"m_axis": {"lanes": lanes, "width": out.type.width, "signed": True, "frac": 0, "beats_per_frame": beats}},
        memories=memories,
        claims={
            "latency": plan.latency(simd), "latency_from": synapse_folds - 1,
            "ii": folds * max(synapse_folds, pe // lanes),
        },
    )  # fmt: skip


def units(seed: int) -> list[Unit]:
    """Every shared stream module at its parameter points."""
    rng = Random(seed)
    same3 = Geometry(5, 6, 3, 3, pad_top=1, pad_left=1, same=True)
    return [
        fifo(2, 9, rng), fifo(5, 8, rng), fifo(16, 70, rng),
        dwc(5, 3, 3, rng), dwc(5, 1, 4, rng), dwc(5, 6, 2, rng), dwc(5, 4, 6, rng), dwc(5, 3, 2, rng),
        dwc(1, 8, 1, rng),
        fork(2, rng), fork(3, rng),
        uart(4, rng), uart(13, rng),
        skip("point", Geometry(5, 6, 1, 1, 2, 2), 2, rng),
        skip("padded", Geometry(5, 9, 3, 3, 4, 4, 1, 0, same=True), 1, rng),
        skip("columns", Geometry(4, 7, 3, 1, 1, 3, 1, 0, same=True), 3, rng),
        skip("ends", Geometry(8, 7, 3, 3, 3, 3), 1, rng),
        window("same3", same3, 2, rng),
        window("replays", same3, 2, rng, replays=3),
        window("depthwise", same3, 3, rng, replays=0),
        window("stride2", Geometry(7, 6, 3, 3, 2, 2, 1, 0, same=True), 1, rng, extra=9),
        window("valid", Geometry(6, 5, 3, 2), 1, rng),
        window("skips", Geometry(8, 7, 2, 2, 3, 3), 1, rng, extra=12),
        window("same5", Geometry(4, 5, 5, 5, pad_top=2, pad_left=2, same=True), 1, rng),
        window("global", Geometry(4, 4, 4, 4), 3, rng, replays=0),
        window("tiny", Geometry(1, 1, 3, 3, pad_top=1, pad_left=1, same=True), 2, rng),
        window("point", Geometry(3, 4, 1, 1), 2, rng, replays=2),
        window_parallel("whole", same3, 2, 18, rng),
        window_parallel("chunks", same3, 2, 6, rng),
        window_parallel("replays", same3, 2, 9, rng, replays=3),
        window_parallel("depthwise", same3, 4, 6, rng, group=2),
        window_parallel("stride2", Geometry(7, 6, 3, 3, 2, 2, 1, 0, same=True), 2, 9, rng),
        window_parallel("valid", Geometry(6, 5, 3, 2), 3, 9, rng),
        window_parallel("ahead", Geometry(6, 5, 3, 3), 2, 9, rng),
        window_parallel("ahead2", Geometry(5, 7, 2, 4, 1, 1), 1, 4, rng),
        window_parallel("skips", Geometry(8, 7, 2, 2, 3, 3), 1, 4, rng),
        window_parallel("same5", Geometry(6, 5, 5, 5, pad_top=2, pad_left=2, same=True), 1, 5, rng),
        window_parallel("global", Geometry(4, 4, 4, 4), 2, 8, rng, group=2),
        window_parallel("row", Geometry(1, 5, 1, 3, pad_left=1, same=True), 2, 3, rng),
        mvu("wide", 4, 2, 1, 6, 2, rng), mvu("folded", 3, 1, 4, 5, 1, rng), mvu("once", 6, 3, 1, 1, 6, rng),
        mvu("single", 1, 1, 1, 1, 1, rng), mvu("unsigned", 2, 2, 2, 4, 1, rng, x_type="u5", weights="u4"),
        mvu("depthwise", 3, 1, 2, 9, 1, rng, depthwise=True),
        mvu("positions", 2, 3, 2, 3, 2, rng, depthwise=True), mvu("starved", 4, 1, 2, 2, 1, rng),
        mvu("block", 4, 1, 3, 4, 2, rng, block=True), mvu("luts", 4, 5, 2, 4, 1, rng, style="lut"),
        mvu("luts_block", 2, 1, 2, 3, 1, rng, style="lut", weights="s7", block=True),
        mvu("luts_unsigned", 2, 2, 1, 3, 2, rng, style="lut", weights="u3", x_type="u4"),
        mvu("luts_depthwise", 2, 2, 2, 4, 1, rng, style="lut", weights="s6", depthwise=True),
        mvu("packed_4", 8, 2, 2, 4, 2, rng, style="dsp", x_type="s4"),
        mvu("packed_3", 3, 2, 2, 4, 1, rng, style="dsp", x_type="u3"),
        mvu("packed_2", 4, 1, 2, 5, 1, rng, style="dsp", weights="s8", x_type="s8", block=True),
        mvu("packed_u", 2, 3, 1, 4, 1, rng, style="dsp", weights="u7", x_type="u8"),
        mvu("chained", 2, 6, 2, 4, 1, rng, weights="s8", x_type="s8"),
        mvu("chains", 2, 34, 1, 2, 1, rng, weights="s8", x_type="u8", block=True),
        mvu("chained_packed", 4, 4, 2, 4, 1, rng, weights="s5", x_type="s6"),
        mvu("binary", 4, 3, 2, 4, 1, rng, weights="binary"),
        mvu("ternary", 4, 3, 2, 4, 1, rng, weights="ternary"),
        mvu("pow2", 4, 3, 2, 4, 1, rng, weights="pow2"),
        mvu("binary_depthwise", 2, 3, 2, 3, 2, rng, weights="binary", depthwise=True),
        mvu("xnor", 4, 8, 2, 4, 1, rng, weights="binary", x_type="s2", bipolar=True),
    ]  # fmt: skip
