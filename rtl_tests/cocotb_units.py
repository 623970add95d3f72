# SPDX-License-Identifier: Apache-2.0
"""Plays the vectors of every unit in a bench under every stall pattern."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import cocotb

from hwflow.verify.bench.streams import PATTERNS, Format, StreamError, TestBench

VECTORS: dict[str, Any] = json.loads(Path(os.environ["HWF_VECTORS"]).read_text())


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(label=list(VECTORS), pattern=list(PATTERNS))
async def unit(dut: Any, label: str, pattern: str) -> None:
    """All beats right, in order, none lost or made up; claimed cycles met."""
    vectors = VECTORS[label]
    formats = {name: Format(**fields) for name, fields in vectors["formats"].items()}
    bench = TestBench(
        dut,
        [f"{label}_{name}" for name in vectors["stimulus"]],
        {f"{label}_{name}": format_.beats_per_frame for name, format_ in formats.items()},
    )
    await bench.start()
    await bench.run(
        {f"{label}_{name}": beats for name, beats in vectors["stimulus"].items()},
        {f"{label}_{name}": len(beats) for name, beats in vectors["expected"].items()},
        pattern,
    )
    for name, expected in vectors["expected"].items():
        difference = formats[name].compare(bench.sinks[f"{label}_{name}"].beats, expected)
        if difference:
            raise StreamError(f"{label}, {name}: {difference}")
    if pattern == "none":
        check_claims(bench, label, vectors)


def check_claims(bench: TestBench, label: str, vectors: dict[str, Any]) -> None:
    """Measured cycles against those the unit claims."""
    claims = vectors["claims"]
    source = next(iter(bench.sources.values()))
    for name, fields in vectors["formats"].items():
        sink = bench.sinks[f"{label}_{name}"]
        latency = sink.offered[0] - source.cycles[claims.get("latency_from", 0)]
        if latency != claims.get("latency", latency) or latency > claims.get("latency_max", latency):
            raise StreamError(f"{label}, {name}: latency is {latency} cycles, claimed: {claims}")
        ends = sink.cycles[fields["beats_per_frame"] - 1 :: fields["beats_per_frame"]]
        slowest = max((b - a for a, b in pairwise(ends)), default=0)
        cocotb.log.info("%s %s: slowest frame %d cycles, claims %s", label, name, slowest, claims)
        if "ii" in claims and slowest > claims["ii"]:
            raise StreamError(f"{label}, {name}: a frame takes {slowest} cycles, {claims['ii']} claimed")
        exact = {"first_frame": ends[0] - source.cycles[0] + 1, "interval": slowest}
        wrong = {key: value for key, value in exact.items() if value != claims.get(key, value)}
        if wrong:
            raise StreamError(f"{label}, {name}: {wrong} cycles, by the timing model {claims}")
