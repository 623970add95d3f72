# SPDX-License-Identifier: Apache-2.0
"""Build and run the bench in this folder: ``PATTERNS="none random" SEED=1 python run.py`` (what ``make`` does)."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from hwflow.verify.bench.simulate import Bench, BenchError


def main() -> None:
    """Run; exit 1 with what failed, where, and the waveform."""
    here = Path(__file__).resolve().parent
    rtl = (here / json.loads((here / "bench.json").read_text())["rtl"]).resolve()
    work = here / "build"
    work.mkdir(exist_ok=True)
    # Memory files are named relative to the folder the simulator runs in.
    if not (work / "mem").exists():
        (work / "mem").symlink_to(os.path.relpath(rtl / "mem", work))
    bench = Bench(
        sources=[rtl / line for line in (rtl / "filelist.f").read_text().split()],
        top=json.loads((rtl / "interface.json").read_text())["top"],
        module="test_accelerator",
        build=work / "sim",
        work=work,
        seed=int(os.environ.get("SEED", "1")),
        env={"HWF_BENCH": str(here)},
    )
    try:
        bench.run()
    except BenchError as error:
        raise SystemExit(f"FAILED\n{error}\nrun again: make SEED={error.seed}") from error
    sys.stdout.write(f"PASSED: {bench.top} gives its golden vectors under every stall pattern\n")


if __name__ == "__main__":
    main()
