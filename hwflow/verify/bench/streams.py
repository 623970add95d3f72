# SPDX-License-Identifier: Apache-2.0
"""AXI-Stream source, sink and test bench for cocotb, with idle and back-pressure patterns.

Beats are integers, lane 0 in the low bits. The rules of AXI-Stream (AMBA IHI 0051) are checked at every clock edge:
once ``tvalid`` is high it stays so, and ``tdata`` and ``tlast`` stay what they are, until ``tready`` takes the beat.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer
from cocotb.utils import get_sim_time

PERIOD_NS = 10
#: Stall patterns: name to (pattern of the source, pattern of the sink).
PATTERNS = {
    "none": ("none", "none"),
    "idle": ("random", "none"),
    "stall": ("none", "random"),
    "random": ("random", "random"),
    "bursty": ("bursty", "bursty"),
    "lazy": ("none", "lazy"),
}


class StreamError(AssertionError):
    """A stream breaks the protocol, stops, or carries wrong data."""


def pauses(kind: str, rng: Random) -> Iterator[bool]:
    """Endless pattern of cycles: True where nothing is offered or taken.

    Parameters
    ----------
    kind : str
        ``none``; ``random`` (every other cycle on average); ``bursty`` (runs of 1 to 24 cycles).
    rng : random.Random
        Where the randomness comes from.
    """
    if kind == "none":
        while True:
            yield False
    if kind == "random":
        while True:
            yield rng.random() < 0.5
    if kind == "bursty":
        while True:
            for paused in (False, True):
                for _ in range(rng.randint(1, 24)):
                    yield paused
    raise ValueError(f"no stall pattern {kind!r}")


def lanes_of(beat: int, lanes: int, width: int, signed: bool) -> list[int]:
    """Codes of one beat.

    Examples
    --------
    >>> lanes_of(0x21F, 3, 4, True)
    [-1, 1, 2]
    """
    codes = [(beat >> (lane * width)) & ((1 << width) - 1) for lane in range(lanes)]
    return [code - (1 << width) if signed and code >> (width - 1) else code for code in codes]


def beat_of(codes: Sequence[int], width: int) -> int:
    """Inverse of :func:`lanes_of`."""
    return sum((int(code) & ((1 << width) - 1)) << (lane * width) for lane, code in enumerate(codes))


@dataclass(frozen=True)
class Format:
    """What the beats of a stream mean.

    Parameters
    ----------
    lanes, width : int
        Values a beat, and bits of one.
    signed : bool
        Two's complement when true.
    frac : int
        Fractional bits.
    beats_per_frame : int
        Beats of one frame.
    """

    lanes: int
    width: int
    signed: bool
    frac: int
    beats_per_frame: int

    def compare(self, got: Sequence[int], expected: Sequence[int]) -> str:
        """The first wrong value in words; empty when all are right."""
        for beat, (one, other) in enumerate(zip(got, expected, strict=True)):
            if one == other:
                continue
            frame, in_frame = divmod(beat, self.beats_per_frame)
            pairs = zip(
                *(lanes_of(b, self.lanes, self.width, self.signed) for b in (one, other)), strict=True
            )
            for lane, (a, b) in enumerate(pairs):
                if a != b:
                    return (
                        f"frame {frame}, value {in_frame * self.lanes + lane} (beat {in_frame}, lane {lane}): "
                        f"expected {self._text(b)}, got {self._text(a)}"
                    )
            return f"frame {frame}, beat {in_frame}: padding bits are not zero: {one:#x}"
        return ""

    def _text(self, code: int) -> str:
        return f"{code} ({code & ((1 << self.width) - 1):#x} = {code * 2.0**-self.frac:g})"


class StreamSource:
    """Sends beats; offers garbage while it pauses.

    Parameters
    ----------
    dut : cocotb handle
        Module with the stream's signals.
    prefix : str
        Of their names, as in ``<prefix>_tdata``.
    """

    def __init__(self, dut: Any, prefix: str) -> None:
        self.prefix = prefix
        self.clock = dut.clk_i
        self.data = getattr(dut, f"{prefix}_tdata")
        self.valid = getattr(dut, f"{prefix}_tvalid")
        self.ready = getattr(dut, f"{prefix}_tready")
        self.garbage = (1 << len(self.data)) - 1
        #: Cycle in which each beat was taken.
        self.cycles: list[int] = []
        self.valid.value = 0

    async def send(self, beats: Sequence[int], pattern: Iterator[bool]) -> None:
        """Offer beats one after the other, each until it is taken."""
        for beat in beats:
            while next(pattern):
                await RisingEdge(self.clock)
            self.data.value = beat
            self.valid.value = 1
            await RisingEdge(self.clock)
            while not self.ready.value:
                await RisingEdge(self.clock)
            self.cycles.append(cycle())
            self.data.value = beat ^ self.garbage
            self.valid.value = 0


class StreamSink:
    """Takes beats and watches the protocol.

    Parameters
    ----------
    dut : cocotb handle
        Module with the stream's signals.
    prefix : str
        Of their names.
    beats_per_frame : int
        Where ``tlast`` must be, if the stream has it.
    """

    def __init__(self, dut: Any, prefix: str, beats_per_frame: int = 1) -> None:
        self.prefix = prefix
        self.beats_per_frame = beats_per_frame
        self.clock = dut.clk_i
        self.data = getattr(dut, f"{prefix}_tdata")
        self.valid = getattr(dut, f"{prefix}_tvalid")
        self.ready = getattr(dut, f"{prefix}_tready")
        self.last = getattr(dut, f"{prefix}_tlast", None)
        self.beats: list[int] = []
        #: Cycle in which each beat was taken.
        self.cycles: list[int] = []
        #: First cycle in which each beat was offered.
        self.offered: list[int] = []
        self.ready.value = 0

    async def receive(self, count: int, kind: str, rng: Random) -> None:
        """Take ``count`` beats; ``kind`` is one of :func:`pauses`, or ``lazy``: ready only after valid."""
        pattern = pauses("none" if kind == "lazy" else kind, rng)
        held: tuple[int, ...] | None = None
        while len(self.beats) < count:
            ready = held is not None if kind == "lazy" else not next(pattern)
            self.ready.value = ready
            await RisingEdge(self.clock)
            if not self.valid.value:
                if held is not None:
                    raise StreamError(
                        f"{self.prefix}: tvalid fell before the beat was taken, cycle {cycle()}"
                    )
                continue
            beat = self._sample()
            if held is None:
                self.offered.append(cycle())
            elif beat != held:
                raise StreamError(
                    f"{self.prefix}: beat {len(self.beats)} changed while stalled, cycle {cycle()}: "
                    f"{held[0]:#x} became {beat[0]:#x}"
                )
            held = None if ready else beat
            if ready:
                self._take(beat)
        self.ready.value = 0

    def _sample(self) -> tuple[int, ...]:
        data = int(self.data.value)
        return (data,) if self.last is None else (data, int(self.last.value))

    def _take(self, beat: tuple[int, ...]) -> None:
        self.cycles.append(cycle())
        self.beats.append(beat[0])
        final = len(self.beats) % self.beats_per_frame == 0
        if len(beat) > 1 and bool(beat[1]) != final:
            raise StreamError(f"{self.prefix}: tlast is {beat[1]} at beat {len(self.beats) - 1}")


def cycle() -> int:
    """Running number of the present clock cycle."""
    return int(get_sim_time("ns")) // PERIOD_NS


class TestBench:
    """Clock, reset and streams of a module.

    Parameters
    ----------
    dut : cocotb handle
        Module with ``clk_i`` and ``rst_ni``.
    sources : sequence of str
        Prefixes of its input streams.
    sinks : mapping of str to int
        Prefixes of its output streams, and beats of a frame of each.
    """

    __test__ = False  # not a test class of pytest

    def __init__(self, dut: Any, sources: Sequence[str], sinks: Mapping[str, int]) -> None:
        self.dut = dut
        self.sources = {prefix: StreamSource(dut, prefix) for prefix in sources}
        self.sinks = {prefix: StreamSink(dut, prefix, beats) for prefix, beats in sinks.items()}

    async def start(self) -> None:
        """Start the clock and reset."""
        cocotb.start_soon(Clock(self.dut.clk_i, PERIOD_NS, "ns").start())
        self.dut.rst_ni.value = 0
        for _ in range(4):
            await RisingEdge(self.dut.clk_i)
        self.dut.rst_ni.value = 1

    async def run(
        self, beats: Mapping[str, Sequence[int]], counts: Mapping[str, int], pattern: str = "none", *,
        patience: int = 20_000, drain: int = 64,
    ) -> None:  # fmt: skip
        """Send and receive all beats, then see that nothing more comes.

        Parameters
        ----------
        beats : mapping of str to sequence of int
            What each source sends.
        counts : mapping of str to int
            How many beats each sink awaits.
        pattern : str
            A key of :data:`PATTERNS`.
        patience : int
            Cycles without any transfer that are taken for a deadlock.
        drain : int
            Cycles in which nothing more may come.
        """
        source_kind, sink_kind = PATTERNS[pattern]
        seed = cocotb.RANDOM_SEED
        tasks = [
            cocotb.start_soon(source.send(beats[name], pauses(source_kind, Random(f"{seed}/{name}"))))
            for name, source in self.sources.items()
        ]
        tasks += [
            cocotb.start_soon(sink.receive(counts[name], sink_kind, Random(f"{seed}/{name}")))
            for name, sink in self.sinks.items()
        ]
        watch = cocotb.start_soon(self._watch(patience))
        for task in tasks:
            await task
        watch.cancel()
        await self._drained(drain)

    async def _watch(self, patience: int) -> None:
        while True:
            before = self._transfers()
            await Timer(patience * PERIOD_NS, "ns")
            if before == self._transfers():
                raise StreamError(
                    f"deadlock: no transfer for {patience} cycles after {before} (beats by stream)"
                )

    def _transfers(self) -> dict[str, int]:
        sent = {name: len(source.cycles) for name, source in self.sources.items()}
        return sent | {name: len(sink.cycles) for name, sink in self.sinks.items()}

    async def _drained(self, cycles: int) -> None:
        for sink in self.sinks.values():
            sink.ready.value = 1
        for _ in range(cycles):
            await RisingEdge(self.dut.clk_i)
            for sink in self.sinks.values():
                if sink.valid.value:
                    raise StreamError(f"{sink.prefix}: a beat more than expected, {int(sink.data.value):#x}")
