# SPDX-License-Identifier: Apache-2.0
"""Automatic folding of a network: speeds and parts, multipliers beside what no folding is below.

``python -m benchmarks.tune RUN FOLDER [JOBS]`` reads the network of a run folder and writes ``tune.md``. Resources are
predicted, cycles counted exactly. JOBS rows are made at the same time.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

from hwflow.cost.architectures import macs
from hwflow.cost.cycles import predict_cycles
from hwflow.cost.parts import Part, find_part, resource_names
from hwflow.cost.tune import Budget, Tuned, Tuner
from hwflow.errors import BudgetError
from hwflow.ir.serialize import load_graph

CLOCK = 200e6
FPS = (60, 400, 1000)
#: The part of the speeds: the smallest listed one that holds the weights of MobileFaceNet at 8 bits.
PART = "xczu9eg"
FRAMES = 2
#: Parts whose fastest design is looked for: some that cannot hold the network, and some that can.
PARTS = ("xc7z020", "lfe5u-85", "xc7z045", "xczu7ev", "xczu9eg", "xcu250")

HEAD = """\
# Automatic folding

Written by `make reports`: `hwflow tune` on {name}, {macs:,} multiply-accumulates a frame, at {clock:g} MHz.

## Speeds on {part}

The multipliers of a speed have three bounds. *MACs x fps / clock* would be busy all the time. *Any folding*: every
layer holds whole multipliers, so at least its MACs over the cycles of a frame, rounded up. *Legal folding*: reuse
factors are those of hls4ml's rule, and every layer takes its largest one within the cycles of a frame; as an interval
is the maximum over the layers, no choice of legal factors has fewer. Cycles of this network's pointwise layers are
powers of two times 49, so that they double from one legal factor to the next: a speed just above one of these steps
costs almost twice the multipliers that it would keep busy.

"""


COLUMNS = (
    *(
        "wanted, fps",
        "reached, fps",
        "interval, cycles",
        "counted",
        "multipliers",
        "legal folding",
        "any folding",
    ),
    *("MACs x fps / clock, wanted", "reached", "LUT", "FF", "DSP", "BRAM18", "processor s"),
)

FASTEST = """
## Fastest within a part

| part | fps | interval, cycles | multipliers | LUT | FF | DSP | block RAM | processor s |
|---|---|---|---|---|---|---|---|---|
"""


def budget(part: Part) -> Budget:
    """What a part holds."""
    held = {name: getattr(part, name) for name in resource_names(part) if getattr(part, name) is not None}
    return Budget(held, {name: count for name, count in held.items() if count}, part.part)


def speed_row(run: Path, fps: int) -> str:
    """Row of one wanted speed."""
    part = find_part(PART)
    start = time.process_time()
    tuner = Tuner(load_graph(run / "graph"), budget(part), part.target)
    tuned = tuner.reach(int(CLOCK / fps), f"{fps} fps")
    seconds = time.process_time() - start
    counted = predict_cycles(tuned.design, FRAMES, log=run / "logs" / f"timing-{fps}.log")
    allowed, work = int(CLOCK / fps), [macs(node) for node in tuner.graph if macs(node)]
    reached = CLOCK / tuned.interval
    cells = [
        *(f"{fps:,}", f"{reached:,.1f}", f"{tuned.interval:,}", f"{counted.ii:,}"),
        *(
            f"{_multipliers(tuned):,}",
            f"{tuner.fewest(allowed):,}",
            f"{sum(-(-one // allowed) for one in work):,}",
        ),
        *(f"{sum(work) * fps / CLOCK:,.1f}", f"{sum(work) / tuned.interval:,.1f}"),
        *(f"{getattr(tuned.resources, name):,}" for name in ("lut", "ff", "dsp", "bram18")),
        f"{seconds:.1f}",
    ]
    return f"| {' | '.join(cells)} |\n"


def part_row(run: Path, code: str) -> str:
    """Row of one part."""
    part = find_part(code)
    start = time.process_time()
    try:
        tuned = Tuner(load_graph(run / "graph"), budget(part), part.target).fastest()
    except BudgetError as error:
        return f"| {part.part} | {error.message.split(': ', 1)[1]} | | | | | | | |\n"
    seconds = time.process_time() - start
    cells = [
        *(part.part, f"{CLOCK / tuned.interval:,.1f}", f"{tuned.interval:,}", f"{_multipliers(tuned):,}"),
        *(f"{getattr(tuned.resources, name):,}" for name in resource_names(part)[:4]),
        f"{seconds:.1f}",
    ]
    return f"| {' | '.join(cells)} |\n"


def _multipliers(tuned: Tuned) -> int:
    return sum(option.multipliers for option in tuned.options.values())


def main() -> None:
    """Write ``tune.md`` into the folder given on the command line."""
    run, folder = map(Path, sys.argv[1:3])
    graph = load_graph(run / "graph")
    text = HEAD.format(name=graph.name, macs=sum(map(macs, graph)), clock=CLOCK / 1e6, part=PART)
    text += f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n"
    with ProcessPoolExecutor(int(sys.argv[3]) if len(sys.argv) > 3 else 1) as pool:
        speeds = pool.map(speed_row, repeat(run), FPS)
        fastest = pool.map(part_row, repeat(run), PARTS)
        text += "".join(speeds) + FASTEST + "".join(fastest)
    (folder / "tune.md").write_text(text)


if __name__ == "__main__":
    main()
