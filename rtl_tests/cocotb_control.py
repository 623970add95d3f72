# SPDX-License-Identifier: Apache-2.0
"""A package with two inputs and outputs behind its registers: bus, start, stop, restart, counters, measurements."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from hwflow.verify.bench.streams import PATTERNS, PERIOD_NS, StreamSink, StreamSource, pauses

SETUP: dict[str, Any] = json.loads(Path(os.environ["HWF_CONTROL"]).read_text())
REGISTERS: dict[str, Any] = SETUP["registers"]
PORTS: dict[str, Any] = SETUP["ports"]
INPUTS = [name for name in PORTS if name.startswith("s")]
OUTPUTS = [name for name in PORTS if name.startswith("m")]
START, RESTART = 1, 2
BUSY, READY, EARLY = 1, 2, 4


class Package:
    """The device under test: its bus, and its streams by the names the stream classes know."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.clk_i = dut.aclk
        self.rng = Random(cocotb.RANDOM_SEED)
        self.sources: dict[str, StreamSource] = {}
        self.sinks: dict[str, StreamSink] = {}
        self.master: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.dut, name)

    async def begin(self) -> None:
        """Clock, reset, and the protocol of the bus watched."""
        cocotb.start_soon(Clock(self.dut.aclk, PERIOD_NS, "ns").start())
        self.dut.aresetn.value = 0
        self.master = AxiLiteMaster(
            AxiLiteBus.from_prefix(self.dut, "s_axi"),
            self.dut.aclk,
            self.dut.aresetn,
            reset_active_level=False,
        )
        for name in INPUTS:
            self.sources[name] = StreamSource(self, name)
            getattr(self.dut, f"{name}_tlast").value = 0
        for name in OUTPUTS:
            self.sinks[name] = StreamSink(self, name, PORTS[name]["beats"])
        await self.wait(4)
        self.dut.aresetn.value = 1
        offers = [("s_axi_b", "s_axi_bresp"), ("s_axi_r", "s_axi_rdata")]
        offers += [(f"core_{name}_t", f"{name}_tdata") for name in INPUTS]
        for stream, data in offers:
            cocotb.start_soon(self._watch(f"{stream}valid", f"{stream}ready", data))
        cocotb.start_soon(self._silent())
        await self.wait(24)

    async def _silent(self) -> None:
        """Nothing is offered in reset."""
        valids = [getattr(self.dut, f"{name}_tvalid") for name in OUTPUTS]
        while True:
            await RisingEdge(self.clk_i)
            assert self.dut.rst_n.value or not any(valid.value for valid in valids), "valid during reset"

    async def _watch(self, valid: str, ready: str, data: str) -> None:
        """What is offered stays until it is taken, but for a restart."""
        names = (valid, ready, data, "rst_n")
        offered, taken, value, running = (getattr(self.dut, name) for name in names)
        held = None
        while True:
            await RisingEdge(self.clk_i)
            now = int(value.value) if offered.value else None
            stays = held is None or held == now or (valid.startswith("core") and not running.value)
            assert stays, f"{valid} fell, or {data} changed, before it was taken"
            held = now if offered.value and not taken.value else None

    async def wait(self, cycles: int) -> None:
        """Some cycles."""
        for _ in range(cycles):
            await RisingEdge(self.clk_i)

    async def read(self, name: str) -> int:
        """A register."""
        return int(await self.master.read_dword(REGISTERS[name]["offset"]))

    async def write(self, name: str, word: int) -> None:
        """A register."""
        await self.master.write_dword(REGISTERS[name]["offset"], word)

    async def frames(self, count: int, pattern: str) -> None:
        """Send golden frames and compare what comes."""
        kinds = PATTERNS[pattern]
        for sink in self.sinks.values():
            sink.beats.clear()
            sink.cycles.clear()
        tasks = [cocotb.start_soon(self.send(name, count, pauses(kinds[0], self.rng))) for name in INPUTS]
        for name in OUTPUTS:
            beats = count * PORTS[name]["beats"]
            tasks.append(cocotb.start_soon(self.sinks[name].receive(beats, kinds[1], self.rng)))
        for task in tasks:
            await task
        for name in OUTPUTS:
            beats = PORTS[name]["vectors"][: count * PORTS[name]["beats"]]
            assert self.sinks[name].beats == beats, f"{name}: not the golden codes"

    async def send(self, name: str, count: int, pattern: Iterator[bool]) -> None:
        """Golden frames, ``tlast`` at the end of each."""
        last, beats = getattr(self.dut, f"{name}_tlast"), PORTS[name]["beats"]
        for number, beat in enumerate(PORTS[name]["vectors"][: count * beats]):
            last.value = number % beats == beats - 1
            await self.sources[name].send([beat], pattern)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def registers_read_what_the_map_says(dut: Any) -> None:
    """Constants and start values, whatever the bus's own stalls; other addresses read 0."""
    package = Package(dut)
    await package.begin()
    write, read = package.master.write_if, package.master.read_if
    for channel in (read.ar_channel, read.r_channel, write.aw_channel, write.w_channel, write.b_channel):
        channel.set_pause_generator(pauses("bursty", Random(package.rng.random())))
    start = {"status": READY}
    known = {register["offset"]: register["value"] for register in REGISTERS.values()}
    known |= {REGISTERS[name]["offset"]: value for name, value in start.items()}
    for offset in range(0, SETUP["size"], 4):
        found = int(await package.master.read_dword(offset))
        assert found == known.get(offset, 0), (
            f"{offset:#x} reads {found:#x}, expected {known.get(offset, 0):#x}"
        )
        if offset != REGISTERS["control"]["offset"]:
            await package.master.write_dword(offset, 0xFFFFFFFF)
            assert int(await package.master.read_dword(offset)) == found, f"{offset:#x} could be written"


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def writes_in_every_order(dut: Any) -> None:
    """Address first, data first, both at once; only the bytes that are named; several on their way."""
    package = Package(dut)
    await package.begin()
    write = package.master.write_if
    offset = REGISTERS["control"]["offset"]
    for round_ in range(40):
        write.aw_channel.set_pause_generator(pauses(("none", "random", "bursty")[round_ % 3], package.rng))
        write.w_channel.set_pause_generator(pauses(("bursty", "none", "random")[round_ % 3], package.rng))
        write.b_channel.set_pause_generator(pauses(("none", "bursty")[round_ % 2], package.rng))
        value = package.rng.randrange(2)
        await package.write("control", value)
        assert await package.read("control") == value
        await package.master.write_byte(offset + 1, 0xFF)  # not the byte with the field
        assert await package.read("control") == value
        orders = [package.master.init_write(offset, bytes([bit])) for bit in (1 - value, value, 1 - value)]
        for order in orders:
            await order.wait()
        assert await package.read("control") == 1 - value


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(pattern=["none", "random", "bursty", "lazy"])
async def frames_are_counted(dut: Any, pattern: str) -> None:
    """Golden codes; as many frames counted as went in and came out; nothing is on its way at the end."""
    package = Package(dut)
    await package.begin()
    await package.write("control", START)
    count = SETUP["frames"] // 4
    for round_ in (1, 2):
        await package.frames(count, pattern)
        await package.wait(2)
        for name in PORTS:
            assert await package.read(f"{name}_frames") == round_ * count
        assert await package.read("status") == READY
    await package.write("control", START | RESTART)
    assert await package.read("status") == 0
    await package.wait(20)
    assert [await package.read(name) for name in ("latency", "interval", f"{INPUTS[0]}_frames")] == [0, 0, 0]
    assert await package.read("control") == START
    await package.frames(1, "none")
    assert await package.read("latency") == SETUP["latency"]
    assert await package.read("interval") == 0
    await package.write("control", START | RESTART)
    await package.wait(20)
    await package.frames(2, pattern)
    ends = [
        [sink.cycles[PORTS[name]["beats"] * (i + 1) - 1] for name, sink in package.sinks.items()]
        for i in (0, 1)
    ]
    await package.wait(2)
    assert await package.read("interval") == max(ends[1]) - max(ends[0])


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def stops_between_frames(dut: Any) -> None:
    """Without start nothing is taken; a stop lets begun frames end, at all inputs equally many."""
    package = Package(dut)
    await package.begin()
    tasks = [
        cocotb.start_soon(package.send(name, SETUP["frames"], pauses("none", package.rng))) for name in INPUTS
    ]
    await package.wait(50)
    assert not any(source.cycles for source in package.sources.values())
    for name in OUTPUTS:
        beats = SETUP["frames"] * PORTS[name]["beats"]
        tasks.append(cocotb.start_soon(package.sinks[name].receive(beats, "random", package.rng)))
    stopped = []
    while any(not task.done() for task in tasks):
        await package.write("control", START)
        await package.wait(package.rng.randrange(1, 12))
        await package.write("control", 0)
        await package.wait(SETUP["latency"] * 4)
        assert await package.read("status") == READY, "a frame has begun at one input only, or is stuck"
        counts = {await package.read(f"{name}_frames") for name in PORTS}
        assert len(counts) == 1, f"inputs and outputs have counted {counts}"
        stopped += counts
    assert len(set(stopped)) > 2
    for name in OUTPUTS:
        assert package.sinks[name].beats == PORTS[name]["vectors"]


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def restarts_in_the_middle(dut: Any) -> None:
    """Whatever was on its way is gone, and the next frames are right."""
    package = Package(dut)
    await package.begin()
    for _ in range(8):
        await package.write("control", START)
        name = package.rng.choice(INPUTS)
        getattr(dut, f"{name}_tlast").value = 0
        beats = PORTS[name]["vectors"][: package.rng.randrange(1, 2 * PORTS[name]["beats"])]
        task = cocotb.start_soon(package.sources[name].send(beats, pauses("none", package.rng)))
        await package.wait(package.rng.randrange(1, SETUP["latency"]))
        await package.write("control", RESTART)
        task.cancel()
        package.sources[name].valid.value = 0
        await package.wait(20)
        assert await package.read("status") == READY and await package.read("control") == 0
        for port in OUTPUTS:
            assert not getattr(dut, f"{port}_tvalid").value
        await package.write("control", START)
        await package.frames(1, "none")
        assert await package.read("latency") == SETUP["latency"]
        await package.frames(2, "random")
        await package.write("control", RESTART)
        await package.wait(20)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def tells_a_transfer_that_ends_early(dut: Any) -> None:
    """``tlast`` at a beat that ends no frame, remembered until 1 is written."""
    package = Package(dut)
    await package.begin()
    await package.write("control", START)
    name = next(name for name in INPUTS if PORTS[name]["beats"] > 1)
    last = getattr(dut, f"{name}_tlast")
    last.value = 1
    await package.sources[name].send(PORTS[name]["vectors"][:1], pauses("none", package.rng))
    last.value = 0
    await package.wait(2)
    assert await package.read("status") == READY | BUSY | EARLY
    await package.write("status", BUSY | READY)
    assert await package.read("status") == READY | BUSY | EARLY
    await package.write("status", EARLY)
    assert await package.read("status") == READY | BUSY
