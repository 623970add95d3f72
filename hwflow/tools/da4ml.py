# SPDX-License-Identifier: Apache-2.0
"""da4ml's solver of constant matrix-vector products, run in a process of its own.

References
----------
C. Sun et al., "da4ml: Distributed Arithmetic for Real-time Neural Networks on FPGAs", arXiv:2507.04535, 2025.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwflow.errors import ToolError, ToolNotFoundError
from hwflow.tools.paths import cache_dir
from hwflow.tools.runner import run_tool
from hwflow.tools.versions import package_version

REMEDY = "pip install 'hwflow[da]'"

# Numba takes a minute to compile the solver; below this many squared digits plain Python is faster.
_INTERPRETED = 4e7

EXTRA_DEPTH = 2
"""Additions in a row beyond the least that a matrix needs, in exchange for fewer of them."""

# How da4ml picks subexpressions, and how deep it may split the matrix in two: each is tried.
_TRIALS = (("wmc", 0), ("wmc", 2), ("mc", 0))

# A script: numba reads its environment when it is imported, and a solver's memory goes with its process.
_DRIVER = """\
import json, sys
import numpy as np
from da4ml.cmvm.api import jit_solve
from da4ml.cmvm.types import QInterval
from numba.typed import List
problem = json.load(open(sys.argv[1]))
kernel = np.array(problem["matrix"], dtype=np.float32)
ranges = List([QInterval(float(low), float(high), 1.0) for low, high in problem["ranges"]])
times = List([0.0] * len(ranges))
found = []
for method, split in problem["trials"]:
    pipeline = jit_solve(kernel, method0=method, hard_dc=problem["extra_depth"], decompose_dc=split,
                         qintervals=ranges, latencies=times, adder_size=1, carry_size=-1)
    found.append([
        {
            "in_shifts": [int(s) for s in part.inp_shifts],
            "ops": [[int(v) for v in op[:4]] for op in part.ops],
            "outputs": [[int(i), int(s), bool(n)]
                        for i, s, n in zip(part.out_idxs, part.out_shifts, part.out_negs)],
        }
        for part in pipeline.solutions
    ])
with open(sys.argv[2], "w") as file:
    json.dump(found, file)
"""


@dataclass(frozen=True, slots=True)
class Problem:
    """A matrix-vector product ``x @ matrix``.

    Parameters
    ----------
    matrix : tuple of tuple of int
        Integers below 2**24 in magnitude, a row an input; no row and no column of zeros only.
    ranges : tuple of (int, int)
        Smallest and largest value of each input.
    """

    matrix: tuple[tuple[int, ...], ...]
    ranges: tuple[tuple[int, int], ...]


def solve(problem: Problem) -> list[list[dict[str, Any]]]:
    """Adder graphs of a product, cached by content.

    Parameters
    ----------
    problem : Problem
        Matrix and input ranges.

    Returns
    -------
    list of list of dict
        For each trial the parts to be chained, each with ``in_shifts``, ``ops`` (``id0, id1, opcode, data`` as
        in da4ml's DAIS: -1 input ``id0``, 0 and 1 sum and difference of ``id0`` and ``id1 << data``) and
        ``outputs`` (operand or -1, shift, negative).

    Raises
    ------
    ToolNotFoundError
        When da4ml is not installed.
    ToolError
        When it fails.
    """
    version = package_version("da4ml")
    if version is None or importlib.util.find_spec("da4ml") is None:
        raise ToolNotFoundError("Strategy distributed_arithmetic needs the package da4ml", REMEDY)
    fields = asdict(problem) | {"trials": _TRIALS, "extra_depth": EXTRA_DEPTH}
    text = json.dumps(fields)
    key = hashlib.sha256(f"{version}\n{_DRIVER}\n{text}".encode()).hexdigest()
    folder = cache_dir("adder-graphs")
    result = folder / f"{key}.json"
    if not result.exists():
        _run(text, sum(map(digits, problem.matrix)), folder / f"{key}.{os.getpid()}", result)
    found: list[list[dict[str, Any]]] = json.loads(result.read_text())
    return found


def _run(text: str, terms: int, scratch: Path, result: Path) -> None:
    """Solve in a fresh process; the result appears whole or not at all."""
    question, answer, log = (scratch.with_suffix(f"{scratch.suffix}.{kind}") for kind in ("in", "out", "log"))
    question.write_text(text)
    interpreted = len(_TRIALS) * terms**2 <= _INTERPRETED
    try:
        run_tool(
            [sys.executable, "-c", _DRIVER, question, answer],
            log=log,
            tool="da4ml",
            env={"NUMBA_DISABLE_JIT": "1"} if interpreted else None,
        )
        if not answer.exists():
            raise ToolError("da4ml", ["-c", "..."], 0, log, ["it ended without a result"])
        answer.replace(result)
        log.unlink()
    finally:
        question.unlink()


def digits(numbers: Sequence[int]) -> int:
    """Nonzero digits of numbers in canonical signed-digit form: those of ``3 * n`` xor ``n``.

    Examples
    --------
    >>> digits([0, 4, -7, 5])
    5
    """
    return sum(bin((3 * abs(number)) ^ abs(number)).count("1") for number in numbers)
