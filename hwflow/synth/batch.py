# SPDX-License-Identifier: Apache-2.0
"""Many small modules in one run of Yosys.

Reading a family's cell library takes longer than the synthesis of a small module. Here the modules, each flattened,
hang side by side under a top module that only keeps them, and share one run. No pass looks across their borders;
their counts differ from those of runs of their own by the order in which equal choices are met, a few LUTs.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hwflow.errors import ToolError
from hwflow.synth.modules import ModuleJob, ModuleResult
from hwflow.tools.paths import cache_dir
from hwflow.tools.targets import Target
from hwflow.tools.yosys import read_slang, run_yosys

_TOP = "batch"


def synthesize_batch(jobs: Sequence[ModuleJob], target: Target, log: Path) -> list[ModuleResult]:
    """Synthesize modules together, or find the results in the cache.

    Parameters
    ----------
    jobs : sequence of ModuleJob
        What to synthesize; generated sources of the same name are the same.
    target : Target
        FPGA family.
    log : pathlib.Path
        Where Yosys' output goes.

    Returns
    -------
    list of ModuleResult
        In the order of the jobs; the time of the run is shared out evenly.

    Raises
    ------
    ToolError
        When synthesis fails.
    """
    key = hashlib.sha256("".join(job.key(target) for job in jobs).encode()).hexdigest()
    record = cache_dir("synth-batch") / f"{key}.json"
    if not record.exists():
        with tempfile.TemporaryDirectory(prefix="hwflow-synth-") as scratch:
            record.write_text(json.dumps(_run(jobs, target, Path(scratch), log)))
    data = json.loads(record.read_text())
    each = data["seconds"] / len(jobs)
    return [ModuleResult(cells, target.resources(cells), each) for cells in data["cells"]]


def _run(jobs: Sequence[ModuleJob], target: Target, folder: Path, log: Path) -> dict[str, object]:
    (folder / "mem").mkdir()
    commands = []
    for number, job in enumerate(jobs):
        sources = folder / str(number)
        sources.mkdir()
        for name, text in job.memories.items():
            (folder / name).write_text(text)
        for name, text in job.sources.items():
            (sources / f"{name}.sv").write_text(text)
        files = [sources / f"{name}.sv" for name in sorted(job.sources)]
        commands += [
            read_slang(files, job.module, job.parameters),
            f"hierarchy -check -top {job.module}",
            "proc",
            "flatten",
            f"design -stash {number}",
        ]
    commands += [f"design -copy-from {n} -as job{n} {job.module}" for n, job in enumerate(jobs)]
    kept = "".join(f"  (* keep *) job{number} u{number} ();\n" for number in range(len(jobs)))
    (folder / f"{_TOP}.v").write_text(f"module {_TOP};\n{kept}endmodule\n")
    words = [word for word in target.command.split() if word != "-flatten"]
    if "-flatten" not in target.command:
        words.append("-noflatten")
    stat = folder / "stat.json"
    commands += [f"read_verilog {_TOP}.v", f"{' '.join(words)} -top {_TOP}", f"tee -q -o {stat} stat -json"]
    seconds = run_yosys(commands, script=folder / "run.ys", log=log, cwd=folder)
    try:
        modules = json.loads(stat.read_text())["modules"]
        cells = [modules[f"\\job{number}"].get("num_cells_by_type", {}) for number in range(len(jobs))]
    except (OSError, ValueError, KeyError) as error:
        raise ToolError(
            "yosys", ["stat", "-json"], 0, log, [f"report {stat} cannot be read: {error}"]
        ) from error
    return {"cells": cells, "seconds": seconds}
