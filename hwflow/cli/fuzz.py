# SPDX-License-Identifier: Apache-2.0
"""``hwflow fuzz``: random networks through every rung of the verification ladder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.run import show_progress


class Io(str, Enum):
    """I/O type of the networks."""

    STREAM = "io_stream"
    PARALLEL = "io_parallel"
    BOTH = "both"


@guarded
def fuzz(
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Networks.")] = 10,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of all random choices.")] = 1,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where results and failing designs go.")
    ] = Path("runs/fuzz"),
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Networks at a time.  [default: the number of cores]"),
    ] = None,
    io: Annotated[Io, typer.Option("--io", help="I/O type of the networks.")] = Io.BOTH,
    as_json: JsonFlag = False,
) -> None:
    """Compare QKeras, golden integers, C++ and RTL on random networks.

    Networks differ in topology, layers, precision, reuse factors, I/O type and stalls; the same seed gives the same
    networks. One that fails is made as small as possible and saved as a design that `hwflow run` repeats. Called
    again, an interrupted campaign goes on. Exit code 3 when a code differs, an accelerator deadlocks or is slower
    than its bound; 4 when a tool fails.
    """
    from hwflow.fuzz.campaign import run_campaign
    from hwflow.fuzz.summary import exit_code, summarize, write_summary
    from hwflow.verify.rtlsim import cores

    start = time.monotonic()
    with ExitStack() as stack:
        entries = run_campaign(
            count, seed, out, io=io.value, jobs=jobs or cores(), progress=show_progress(stack)
        )
    summary = summarize(entries, seed=seed, io=io.value, seconds=time.monotonic() - start)
    write_summary(summary, out)
    if as_json:
        emit_json(summary)
    else:
        _show(summary, out)
    if code := exit_code(summary):
        raise typer.Exit(code)


def _show(summary: Mapping[str, Any], out: Path) -> None:
    table(
        ("layer", ">networks", "types", ">networks "),
        [
            (*left, *right)
            for left, right in _side_by_side(list(summary["layers"].items()), list(summary["types"].items()))
        ],
    )
    for failure in summary["failures"]:
        echo(f"{failure['verdict']}: {' '.join(failure['detail'].split())}")
        echo(f"  repeat: hwflow run {out / failure['design']}")
    echo(
        f"{summary['networks']} networks, {summary['codes']:,} codes: {summary['mismatches']} mismatches, "
        f"{summary['deadlocks']} deadlocks, {summary['slow']} too slow, "
        f"{summary['mispredicted']} with other cycles than predicted, {summary['tool_failures']} tool failures, "
        f"{summary['faults']} faults; {summary['seconds']:.0f} s"
    )


def _side_by_side(
    left: list[tuple[str, int]], right: list[tuple[str, int]]
) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Rows of two lists of different lengths."""
    blank = ("", "")
    return [
        (
            (left[i][0], str(left[i][1])) if i < len(left) else blank,
            (right[i][0], str(right[i][1])) if i < len(right) else blank,
        )
        for i in range(max(len(left), len(right)))
    ]
