# SPDX-License-Identifier: Apache-2.0
"""Timing model of a folded graph: line-buffer and FIFO sizes that sustain the initiation interval.

The source is throttled to one frame every ``period`` cycles, its pixels evenly spread, and every buffer
is taken as unbounded. The largest occupancy seen then is the size each buffer needs. A dataflow graph with
those sizes admits this schedule, and self-timed execution is never slower than any admissible schedule
(monotonicity of marked graphs, Baccelli et al., "Synchronization and Linearity", 1992), so the accelerator
keeps at least this rate without a throttle, and cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.ops.base import Folding, Window
from hwflow.ops.registry import op

Times = NDArray[np.float64]

#: Slack of the modelled period over the bound, for the few cycles of pipeline fill the model leaves out.
_PERIOD_SLACK = 1.005
#: Frames simulated; the third is in steady state.
_FRAMES = 3
#: Cycles a beat may spend in forks, converters and register stages of a connection.
_EDGE_LATENCY = 8
#: Beats of a FIFO that only decouples ready paths.
MIN_FIFO = 2


@dataclass(frozen=True, slots=True)
class Schedule:
    """Buffers and bounds of a folded graph.

    Parameters
    ----------
    folding : mapping of str to Folding
        Folding a node.
    pixels : mapping of str to int
        Line-buffer capacity of each node that has one, pixels.
    fifo : mapping of (str, int) to int
        Depth, beats of the producer, of the FIFO on input ``position`` of node ``name``.
    ii_bound : int
        Largest (output pixels x reuse factor) of all layers, cycles, or the beats of a frame where a layer
        reads more than that; this folding cannot be faster.
    bottleneck : str
        Layer that sets it.
    """

    folding: Mapping[str, Folding]
    pixels: Mapping[str, int]
    fifo: Mapping[tuple[str, int], int]
    ii_bound: int
    bottleneck: str


@dataclass(frozen=True, slots=True)
class _Pixels:
    """When the first and the last beat of each pixel leave a node."""

    first: Times
    last: Times


def schedule(graph: QuantGraph) -> Schedule:
    """Fold every node and size every buffer.

    Parameters
    ----------
    graph : QuantGraph
        A checked graph.

    Returns
    -------
    Schedule
    """
    nodes = graph.by_name()
    folding = fold(graph)
    cycles = {
        node.name: _busy(node, [nodes[name] for name in node.inputs], folding[node.name]) for node in graph
    }
    bottleneck = max(cycles, key=lambda name: cycles[name])
    period = cycles[bottleneck] * _PERIOD_SLACK

    times: dict[str, _Pixels] = {}
    pixels: dict[str, int] = {}
    fifo: dict[tuple[str, int], int] = {}
    for node in graph:
        fold_ = folding[node.name]
        if node.op == "input":
            times[node.name] = _source(node, period)
            continue
        sources = [nodes[name] for name in node.inputs]
        arrivals = [_delayed(times[name], _EDGE_LATENCY) for name in node.inputs]
        if fold_.pe:
            times[node.name], capacity = _matvec(node, fold_, arrivals[0], period)
            if fold_.window is not None:
                pixels[node.name] = capacity
            fifo[node.name, 0] = MIN_FIFO if fold_.window is None else 0
        elif len(arrivals) > 1:
            times[node.name] = _join(arrivals, fold_.latency)
            for position, arrival in enumerate(arrivals):
                beats = sources[position].channels // folding[sources[position].name].out_lanes
                fifo[node.name, position] = _join_depth(arrival, times[node.name], beats)
        else:
            times[node.name] = _reshaped(_delayed(arrivals[0], fold_.latency), node, sources[0])
            fifo[node.name, 0] = 0
    return Schedule(folding, pixels, fifo, cycles[bottleneck], bottleneck)


def fold(graph: QuantGraph) -> dict[str, Folding]:
    """Folding of every node, in graph order."""
    nodes = graph.by_name()
    folding: dict[str, Folding] = {}
    for node in graph:
        lanes = [folding[name].out_lanes for name in node.inputs]
        folding[node.name] = op(node.op).folding(node, [nodes[name] for name in node.inputs], lanes)
    return folding


def _busy(node: QuantNode, sources: list[QuantNode], folding: Folding) -> int:
    """Cycles a node works a frame: computing, or taking in what it reads where a stride skips most of that."""
    reading = [source.pixels * source.channels // folding.in_lanes for source in sources]
    return max(node.pixels * folding.cycles, *reading, 0)


def _source(node: QuantNode, period: float) -> _Pixels:
    frames = np.arange(_FRAMES)[:, None] * period
    first = (frames + np.arange(node.pixels)[None, :] * (period / node.pixels)).ravel()
    return _Pixels(first, first + period / node.pixels * 0.999)


def _delayed(times: _Pixels, cycles: float) -> _Pixels:
    return _Pixels(times.first + cycles, times.last + cycles)


def _matvec(node: QuantNode, folding: Folding, arrival: _Pixels, period: float) -> tuple[_Pixels, int]:
    """Output times of a matrix-vector layer and the line-buffer capacity it needs."""
    window = folding.window or Window(1, node.pixels, 1, node.pixels)
    frame = window.in_h * window.in_w
    offsets = (np.arange(_FRAMES) * frame)[:, None]
    needed = (window.needed()[None, :] + offsets).ravel()
    first = (window.first()[None, :] + offsets).ravel()
    ready = arrival.last[needed]
    # start[i] = max(ready[i], start[i - 1] + cycles), unrolled.
    steps = np.arange(ready.size) * float(folding.cycles)
    start = np.maximum.accumulate(ready - steps) + steps
    done = start + folding.cycles
    folds = max(1, node.channels // folding.pe)
    out = _Pixels(start + folding.cycles / folds + folding.latency, done + folding.latency)
    # While pixel p is written, the window being read must not need more than the capacity behind it.
    finished = np.searchsorted(done, arrival.first, side="right")
    base = np.append(first, frame * _FRAMES - window.pad_top * window.in_w - window.pad_left)[finished]
    occupancy = np.arange(arrival.first.size) - base + 1
    return out, max(int(occupancy.max()) + 1, window.min_pixels + 1)


def _join(arrivals: list[_Pixels], latency: int) -> _Pixels:
    first = np.maximum.reduce([arrival.first for arrival in arrivals])
    last = np.maximum.reduce([arrival.last for arrival in arrivals])
    return _Pixels(first + latency, last + latency)


def _join_depth(arrival: _Pixels, joined: _Pixels, beats: int) -> int:
    """Beats that wait for the other input of a join."""
    waiting = np.searchsorted(arrival.first, joined.last, side="left") - np.arange(joined.last.size)
    pixels = int(waiting.max())
    return MIN_FIFO if pixels <= 1 else (pixels + 1) * beats


def _reshaped(times: _Pixels, node: QuantNode, source: QuantNode) -> _Pixels:
    """Times on the pixel raster of the new shape."""
    if node.pixels == source.pixels:
        return times
    values = source.pixels * source.channels // node.pixels
    ends = (np.arange(1, node.pixels * _FRAMES + 1) * values - 1) // source.channels
    starts = (np.arange(node.pixels * _FRAMES) * values) // source.channels
    return _Pixels(times.first[starts], times.last[ends])
