# SPDX-License-Identifier: Apache-2.0
"""hwf_cast over all its inputs and modes, hwf_tlast under every handshake, hwf_tap's file."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from hwflow.numerics.fixed import Cast, FixedType, Overflow, Rounding
from hwflow.verify.bench.streams import PERIOD_NS, lanes_of
from tests import naive

MODES = list(product(Rounding, Overflow))
#: Output port: signed input, its fractional bits, output grid.
GRIDS = {
    "signed_o": (True, 5, FixedType(True, 4, 2)),
    "unsigned_o": (False, 2, FixedType(False, 4, 1)),
    "finer_o": (True, -2, FixedType(True, 12, 3)),
}


async def start(dut: Any) -> None:
    """Clock and reset."""
    cocotb.start_soon(Clock(dut.clk_i, PERIOD_NS, "ns").start())
    dut.rst_ni.value = 0
    dut.en_i.value = 0
    dut.tvalid_i.value = 0
    for _ in range(3):
        await RisingEdge(dut.clk_i)
    dut.rst_ni.value = 1


def expected_codes(port: str, x: int) -> list[int]:
    """What every mode must make of the raw byte ``x``."""
    signed, frac, grid = GRIDS[port]
    value = Fraction(x - 256 if signed and x > 127 else x) / Fraction(2) ** frac
    return [naive.cast(value, Cast(grid, rounding, overflow)) for rounding, overflow in MODES]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def cast_all_codes_in_all_modes(dut: Any) -> None:
    """Every input code, one a cycle; the result follows one cycle later."""
    await start(dut)
    dut.en_i.value = 1
    dut.x_i.value = 0
    await RisingEdge(dut.clk_i)
    for x in range(256):
        dut.x_i.value = (x + 1) % 256
        await RisingEdge(dut.clk_i)
        for port, (_, _, grid) in GRIDS.items():
            got = lanes_of(int(getattr(dut, port).value), len(MODES), grid.width, grid.signed)
            for mode, one, other in zip(MODES, got, expected_codes(port, x), strict=True):
                assert one == other, f"hwf_cast {port} {mode}: x = {x:#04x}: expected {other}, got {one}"
        relu = naive.cast(
            Fraction(max(x - 256 if x > 127 else x, 0), 32), Cast(FixedType(False, 4, 2), *MODES[25])
        )
        assert int(dut.relu_o.value) == relu, f"hwf_cast relu: x = {x:#04x}"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def cast_holds_without_enable(dut: Any) -> None:
    """The result changes where en_i is high only."""
    await start(dut)
    rng = Random(cocotb.RANDOM_SEED)
    held = None
    for _ in range(200):
        x, enable = rng.getrandbits(8), rng.random() < 0.5
        dut.x_i.value = x
        dut.en_i.value = enable
        await RisingEdge(dut.clk_i)
        if held is not None:
            got = lanes_of(int(dut.signed_o.value), len(MODES), 4, True)
            assert got == expected_codes("signed_o", held), f"hwf_cast: not the result of {held:#04x}"
        held = x if enable else held


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def tlast_marks_the_last_beat(dut: Any) -> None:
    """Only transfers count."""
    await start(dut)
    rng = Random(cocotb.RANDOM_SEED)
    beats = 0
    for _ in range(300):
        valid, ready = rng.random() < 0.6, rng.random() < 0.6
        dut.tvalid_i.value = valid
        dut.tready_i.value = ready
        dut.tdata_i.value = 0
        await RisingEdge(dut.clk_i)
        assert int(dut.tlast1_o.value) == 1
        assert int(dut.tlast5_o.value) == (beats % 5 == 4), f"hwf_tlast: beat {beats} of frames of 5"
        beats += valid and ready
    assert beats > 50


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def tap_writes_accepted_beats(dut: Any) -> None:
    """Leaves the beats it must have written beside the file, which ends up complete with the simulation."""
    await start(dut)
    rng = Random(cocotb.RANDOM_SEED)
    beats = []
    for _ in range(100):
        data, valid, ready = rng.getrandbits(40), rng.random() < 0.6, rng.random() < 0.6
        dut.tdata_i.value = data
        dut.tvalid_i.value = valid
        dut.tready_i.value = ready
        await RisingEdge(dut.clk_i)
        if valid and ready:
            beats.append(data)
    dut.tvalid_i.value = 0
    await RisingEdge(dut.clk_i)
    Path(os.environ["HWF_TAP_BEATS"]).write_text(json.dumps(beats))
