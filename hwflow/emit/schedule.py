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
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.ops.base import Access, Folding, Window, pixel_lanes
from hwflow.ops.registry import op

Times = NDArray[np.float64]

#: Slack of the modelled period over the bound, for the few cycles of pipeline fill the model leaves out.
_PERIOD_SLACK = 1.005
#: Frames simulated beside those that can be on their way at once; the third is in steady state.
_FRAMES = 3
#: Cycles a beat may spend in forks, converters and register stages of a connection, at least and at most: a branch
#: that is quicker than thought fills its FIFO sooner, a slower one lets the other's wait longer.
_EDGE_LATENCIES = (0, 8)
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
        Capacity of the pixel buffer of each node that has one, pixels.
    fifo : mapping of (str, int) to int
        Depth of the FIFO on input ``position`` of node ``name``, beats: of the producer where that is the node's
        only input, else of the wider side.
    ii_bound : int
        Largest (output pixels x reuse factor / parallelization factor) of all layers, cycles, or the beats of a frame
        that a stream carries where these are more; this folding cannot be faster.
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
    folding = fold(graph)
    cycles = busy(graph, folding)
    bottleneck = max(cycles, key=lambda name: cycles[name])
    period = cycles[bottleneck] * _PERIOD_SLACK

    paces = _paces(graph, folding)
    quick, slow = (_buffers(graph, folding, paces, period, latency) for latency in _EDGE_LATENCIES)
    pixels = {name: max(count, slow[0][name]) for name, count in quick[0].items()}
    fifo = {place: max(depth, slow[1][place]) for place, depth in quick[1].items()}
    return Schedule(folding, pixels, fifo, cycles[bottleneck], bottleneck)


def _buffers(
    graph: QuantGraph,
    folding: Mapping[str, Folding],
    paces: Mapping[str, float],
    period: float,
    edge_latency: int,
) -> tuple[dict[str, int], dict[tuple[str, int], int]]:
    """Sizes of pixel buffers and FIFOs where every connection takes ``edge_latency`` cycles."""
    nodes = graph.by_name()
    # As many frames as can be on their way at once, and the first ones of steady state.
    way = sum(fold_.latency + fold_.cycles + edge_latency for fold_ in folding.values())
    frames = _FRAMES + int(way / period)
    times: dict[str, _Pixels] = {}
    pixels: dict[str, int] = {}
    fifo: dict[tuple[str, int], int] = {}
    for node in graph:
        fold_ = folding[node.name]
        if node.op == "input":
            times[node.name] = _source(node, period, frames)
            continue
        sources = [nodes[name] for name in node.inputs]
        arrivals = [_delayed(times[name], edge_latency) for name in node.inputs]
        gap = 0
        if fold_.skip:
            lanes = pixel_lanes(sources[0].channels, folding[sources[0].name].out_lanes)
            arrivals, sources, gap = _skipped(fold_.skip, arrivals[0], sources[0], lanes, fold_.in_lanes[0])
        # Values wait in the producer's beats; in front of a reader that takes turns in the wider ones, so that it
        # finds them at its own pace.
        beats = [
            -(-source.channels // max(folding[source.name].out_lanes, lanes if len(sources) > 1 else 1))
            for source, lanes in zip(sources, fold_.in_lanes, strict=True)
        ]
        accesses = op(node.op).access(node, sources)
        if accesses is None:
            rastered = [_reshaped(arrival, node, s) for arrival, s in zip(arrivals, sources, strict=True)]
            times[node.name] = _paced(_join(rastered, fold_.latency), paces[node.name])
            for position, arrival in enumerate(arrivals):
                fifo[node.name, position] = (
                    _join_depth(arrival, times[node.name], beats[position]) if len(arrivals) > 1 else 0
                )
            continue
        if fold_.skip:
            accesses = (fold_.skip.reduced().access(),)
        if fold_.banked:
            accesses = (fold_.banked.banked_access(),)
        times[node.name], held = _computed(node, fold_, paces[node.name], accesses, arrivals, sources)
        if fold_.banked:
            # A row is released whole, and the next one is being written meanwhile.
            beyond = held[0] + fold_.banked.in_w - fold_.banked.banked_pixels
            fifo[node.name, 0] = max(beyond * beats[0], MIN_FIFO) if beyond > 0 else 0
        elif fold_.buffered:
            pixels[node.name] = max(held[0], accesses[0].capacity + 1)
            fifo[node.name, 0] = gap
        else:
            for position, count in enumerate(held):
                fifo[node.name, position] = count * beats[position] if len(held) > 1 else max(gap, MIN_FIFO)
    return pixels, fifo


def fold(graph: QuantGraph) -> dict[str, Folding]:
    """Folding of every node, in graph order: the reuse factors set the pace, the other layers follow it."""
    nodes = graph.by_name()
    pace = max(own_pace(node, [nodes[name] for name in node.inputs]) for node in graph)
    folding: dict[str, Folding] = {}
    for node in graph:
        lanes = [folding[name].out_lanes for name in node.inputs]
        sources = [nodes[name] for name in node.inputs]
        folding[node.name] = op(node.op).folding_within(node, sources, lanes, pace)
    return folding


def busy(graph: QuantGraph, folding: Mapping[str, Folding]) -> dict[str, int]:
    """Cycles each node works a frame; the largest is the bound of the initiation interval."""
    nodes = graph.by_name()
    return {
        node.name: _busy(node, [nodes[name] for name in node.inputs], folding[node.name]) for node in graph
    }


def own_pace(node: QuantNode, sources: list[QuantNode]) -> int:
    """Cycles a frame takes in an input or in a matrix-vector unit, whatever the lanes around it; else 0."""
    folding = op(node.op).folding(node, sources, [1] * len(sources))
    return _busy(node, sources, folding) if folding.pe or not sources else 0


def _busy(node: QuantNode, sources: list[QuantNode], folding: Folding) -> int:
    """Cycles a node works a frame: computing, or taking in what it reads."""
    reading = [
        (int(folding.skip.read_pixels().sum()) if folding.skip else source.pixels) * source.channels // lanes
        for source, lanes in zip(sources, folding.in_lanes, strict=True)
    ]
    return max(node.pixels * folding.cycles, *reading, 0)


def _paces(graph: QuantGraph, folding: Mapping[str, Folding]) -> dict[str, float]:
    """Cycles a pixel of each node: its own, or those of readers that take it without a buffer between them."""
    nodes, readers = graph.by_name(), graph.consumers()
    paces: dict[str, float] = {}
    for node in reversed(graph.nodes):
        pace = float(folding[node.name].cycles)
        for name, position in readers[node.name]:
            reader, fold_ = nodes[name], folding[name]
            if fold_.skip:  # what waits for it does so in beats of this node
                continue
            pace = max(pace, node.channels / fold_.in_lanes[position])
            if len(reader.inputs) == 1 and not fold_.buffered:
                pace = max(pace, paces[name] * reader.pixels / node.pixels)
        paces[node.name] = pace
    return paces


def _paced(times: _Pixels, cycles: float) -> _Pixels:
    """Times of pixels that leave through a stream that takes ``cycles`` a pixel."""
    steps = np.arange(times.last.size) * cycles
    last = np.maximum.accumulate(times.last - steps) + steps
    return _Pixels(np.maximum(times.first, np.append(times.first[:1], last[:-1])), last)


def _source(node: QuantNode, period: float, count: int) -> _Pixels:
    frames = np.arange(count)[:, None] * period
    first = (frames + np.arange(node.pixels)[None, :] * (period / node.pixels)).ravel()
    return _Pixels(first, first + period / node.pixels * 0.999)


def _delayed(times: _Pixels, cycles: float) -> _Pixels:
    return _Pixels(times.first + cycles, times.last + cycles)


def _computed(
    node: QuantNode,
    folding: Folding,
    pace: float,
    accesses: tuple[Access, ...],
    arrivals: list[_Pixels],
    sources: list[QuantNode],
) -> tuple[_Pixels, list[int]]:
    """Output times of a node that waits for whole pixels, and how many pixels of each input it keeps waiting."""
    count = arrivals[0].last.size // sources[0].pixels
    frames = np.arange(count)[:, None]
    ready = np.zeros(count * node.pixels)
    for access, arrival, source in zip(accesses, arrivals, sources, strict=True):
        last = np.maximum.accumulate(access.last)
        needed = (last[None, :] + frames * source.pixels).ravel()
        # Nothing is needed yet where that lies before the first frame.
        ready = np.maximum(ready, np.where(needed < 0, 0.0, arrival.last[np.maximum(needed, 0)]))
    # start[i] = max(ready[i], start[i - 1] + pace), unrolled.
    steps = np.arange(ready.size) * pace
    start = np.maximum.accumulate(ready - steps) + steps
    done = start + pace
    folds = max(1, node.channels // (folding.pe or folding.out_lanes))
    out = _Pixels(start + folding.cycles / folds + folding.latency, done + folding.latency)
    held = []
    for access, arrival, source in zip(accesses, arrivals, sources, strict=True):
        # While pixel p is written, what is being read must not need more than the capacity behind it.
        first = np.minimum.accumulate(access.first[::-1])[::-1]
        first = (first[None, :] + frames * source.pixels).ravel()
        finished = np.searchsorted(done, arrival.first, side="right")
        base = np.append(first, first[0] + count * source.pixels)[finished]
        held.append(int((np.arange(arrival.first.size) - base).max()) + 2)
    return out, held


def _skipped(
    window: Window, arrival: _Pixels, source: QuantNode, lanes: int, lanes_in: int
) -> tuple[list[_Pixels], list[QuantNode], int]:
    """What is left of an input without unread pixels: when the node takes it, its frame, beats that wait for it."""
    kept = np.flatnonzero(window.read_pixels())
    count = arrival.last.size // source.pixels
    numbers = (kept[None, :] + np.arange(count)[:, None] * source.pixels).ravel()
    left = _Pixels(arrival.first[numbers], arrival.last[numbers])
    cycles = source.channels / lanes_in
    taken = _paced(_Pixels(left.first, np.maximum(left.last, left.first + cycles)), cycles)
    reduced = window.reduced()
    frame = replace(source, shape=(reduced.in_h, reduced.in_w, source.channels))
    return [taken], [frame], _join_depth(left, taken, source.channels // lanes)


def _join(arrivals: list[_Pixels], latency: int) -> _Pixels:
    first = np.maximum.reduce([arrival.first for arrival in arrivals])
    last = np.maximum.reduce([arrival.last for arrival in arrivals])
    return _Pixels(first + latency, last + latency)


def _join_depth(arrival: _Pixels, joined: _Pixels, beats: int) -> int:
    """Beats that wait for the other input of a join."""
    arrived, taken = _beats(arrival, beats), _beats(joined, beats)
    waiting = int((np.searchsorted(arrived, taken, side="left") - np.arange(taken.size)).max())
    return MIN_FIFO if waiting <= MIN_FIFO else waiting + beats


def _beats(times: _Pixels, beats: int) -> Times:
    """Times of the beats of all pixels, evenly spread between the first and the last of each."""
    share = np.arange(beats) / max(beats - 1, 1)
    spread: Times = (times.first[:, None] + (times.last - times.first)[:, None] * share).ravel()
    return np.maximum.accumulate(spread)


def _reshaped(times: _Pixels, node: QuantNode, source: QuantNode) -> _Pixels:
    """Times on the pixel raster of the new shape."""
    if node.pixels == source.pixels:
        return times
    values = source.pixels * source.channels // node.pixels
    count = node.pixels * (times.last.size // source.pixels)
    ends = (np.arange(1, count + 1) * values - 1) // source.channels
    starts = (np.arange(count) * values) // source.channels
    return _Pixels(times.first[starts], times.last[ends])
