# SPDX-License-Identifier: Apache-2.0
"""cocotb test of a whole accelerator: frames in, golden codes out, under stall patterns."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb

from hwflow.verify.bench.streams import PATTERNS, Format, StreamError, TestBench

HERE = Path(os.environ["HWF_BENCH"])
SETUP: dict[str, Any] = json.loads((HERE / "bench.json").read_text())
INTERFACE: dict[str, Any] = json.loads((HERE / SETUP["rtl"] / "interface.json").read_text())
#: Slack of the initiation interval over its bound.
II_SLACK = 1.02


def beats_of(prefix: str) -> list[int]:
    """Beats of a port, one a line in hexadecimal."""
    return [int(line, 16) for line in (HERE / "vectors" / f"{prefix}.hex").read_text().split()]


def format_of(port: dict[str, Any]) -> Format:
    """How the beats of a port are read."""
    signed, _, frac = port["type"]
    return Format(port["lanes"], port["lane_width"], bool(signed), frac, port["beats_per_frame"])


@cocotb.test()  # type: ignore[untyped-decorator]
@cocotb.parametrize(  # type: ignore[untyped-decorator]
    pattern=os.environ.get("PATTERNS", " ".join(PATTERNS)).split()
)
async def frames(dut: Any, pattern: str) -> None:
    """Every output code is the golden one; without stalls the initiation interval is kept."""
    ports = {
        prefix: format_of(port) for prefix, port in zip(SETUP["outputs"], INTERFACE["outputs"], strict=True)
    }
    stimulus = {prefix: beats_of(prefix) for prefix in SETUP["inputs"]}
    golden = {prefix: beats_of(prefix) for prefix in ports}
    bench = TestBench(dut, list(stimulus), {prefix: port.beats_per_frame for prefix, port in ports.items()})
    await bench.start()
    bound = INTERFACE["ii_bound_cycles"]
    await bench.run(
        stimulus,
        {prefix: len(beats) for prefix, beats in golden.items()},
        pattern,
        patience=max(20_000, 8 * bound),
    )
    for prefix, port in ports.items():
        difference = port.compare(bench.sinks[prefix].beats, golden[prefix])
        if difference:
            raise StreamError(f"{prefix}: {difference}")
        ends = bench.sinks[prefix].cycles[port.beats_per_frame - 1 :: port.beats_per_frame]
        slowest = max((b - a for a, b in zip(ends, ends[1:])), default=0)  # noqa: B905, RUF007
        cocotb.log.info(
            "%s: %d frames equal, first after %d cycles, initiation interval %d cycles (bound %d)",
            prefix, len(ends), ends[0] - next(iter(bench.sources.values())).cycles[0] + 1, slowest, bound,
        )  # fmt: skip
        if pattern == "none" and slowest > II_SLACK * bound:
            raise StreamError(f"{prefix}: a frame takes {slowest} cycles, more than {II_SLACK} * {bound}")
