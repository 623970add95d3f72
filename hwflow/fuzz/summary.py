# SPDX-License-Identifier: Apache-2.0
"""What a campaign covered and found, as JSON and as a page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwflow.errors import EXIT_INTERNAL, EXIT_MISMATCH, EXIT_OK, EXIT_TOOL
from hwflow.fuzz.campaign import Entry
from hwflow.fuzz.ladder import Verdict

_MISMATCHES = (Verdict.QKERAS, Verdict.CSIM, Verdict.RTL, Verdict.STALLED)


def summarize(entries: Sequence[Entry], *, seed: int, io: str, seconds: float) -> dict[str, Any]:
    """Figures of a campaign.

    Parameters
    ----------
    entries : sequence of Entry
        All networks.
    seed : int
        The campaign's seed.
    io : str
        Its I/O type.
    seconds : float
        Wall-clock time of this call, s; resumed networks cost nothing.

    Returns
    -------
    dict
        Plain data: ``networks``, ``mismatches``, ``deadlocks``, ``slow`` (interval above 1.02 times the bound),
        ``mispredicted`` (latency or interval other than the timing model says),
        ``tool_failures``, ``faults``, ``refused`` draws, ``codes`` compared, ``layers``, ``ops`` and ``types`` by
        number of networks, ``failures``, and times.
    """
    verdicts = Counter(entry.result.verdict for entry in entries)
    stages: Counter[str] = Counter()
    for entry in entries:
        stages.update(entry.result.stage_seconds)
    reasons = Counter(_short(reason) for entry in entries for reason in entry.refused)
    return {
        "networks": len(entries),
        "seed": seed,
        "io": io,
        "mismatches": sum(verdicts[verdict] for verdict in _MISMATCHES),
        "deadlocks": verdicts[Verdict.DEADLOCK],
        "slow": verdicts[Verdict.INTERVAL],
        "mispredicted": verdicts[Verdict.CYCLES],
        "tool_failures": verdicts[Verdict.TOOL],
        "faults": verdicts[Verdict.FAULT],
        "refused": sum(reasons.values()),
        "refusals": dict(reasons.most_common()),
        "codes": sum(entry.result.codes for entry in entries),
        "layers": _networks_with(entries, "layers"),
        "ops": _networks_with(entries, "ops"),
        "types": _networks_with(entries, "types"),
        "failures": [
            {
                "number": entry.number,
                "seed": entry.seed,
                "verdict": entry.result.verdict.value,
                "detail": entry.result.detail,
                "design": f"{entry.saved}/design.yaml",
            }
            for entry in entries
            if entry.saved
        ],
        "seconds": round(seconds, 1),
        "network_seconds": round(sum(entry.result.seconds for entry in entries), 1),
        "stage_seconds": {stage: round(spent, 1) for stage, spent in stages.most_common()},
    }


def exit_code(summary: Mapping[str, Any]) -> int:
    """3 for a difference, a deadlock, a broken bound or wrong cycles; else 4 for a tool failure, 70 for a fault."""
    if any(summary[kind] for kind in ("mismatches", "deadlocks", "slow", "mispredicted")):
        return EXIT_MISMATCH
    if summary["tool_failures"]:
        return EXIT_TOOL
    return EXIT_INTERNAL if summary["faults"] else EXIT_OK


def write_summary(summary: Mapping[str, Any], folder: Path) -> None:
    """Write ``fuzz.json`` and ``fuzz.md``."""
    (folder / "fuzz.json").write_text(json.dumps(summary, indent=1) + "\n")
    (folder / "fuzz.md").write_text(_page(summary))


def _networks_with(entries: Sequence[Entry], kind: str) -> dict[str, int]:
    """In how many networks each layer, operation or type occurs, the commonest first."""
    count: Counter[str] = Counter()
    for entry in entries:
        count.update(getattr(entry.result, kind).keys())
    return dict(count.most_common())


def _short(reason: str) -> str:
    """A refusal without the names of layers."""
    line = reason.splitlines()[-1].strip(" -")
    return line.partition(": ")[2][:120] or line[:120]


def _page(summary: Mapping[str, Any]) -> str:
    rows = [
        ("networks", summary["networks"]),
        ("codes compared", f"{summary['codes']:,}"),
        ("mismatches", summary["mismatches"]),
        ("deadlocks", summary["deadlocks"]),
        ("intervals above 1.02 × the bound", summary["slow"]),
        ("latency or interval other than predicted", summary["mispredicted"]),
        ("tool failures", summary["tool_failures"]),
        ("faults", summary["faults"]),
        ("draws refused by hwflow, with a reason", summary["refused"]),
        ("time a network, s", f"{summary['network_seconds'] / max(summary['networks'], 1):.1f}"),
    ]
    lines = [
        "# Random networks",
        "",
        f"`hwflow fuzz --count {summary['networks']} --seed {summary['seed']} --io {summary['io']}`: each network is "
        "computed by QKeras in float64, by the",
        "golden model in integers, by hls4ml's C++ and by the RTL in Verilator, with and without stalls; all codes are "
        "compared, layer",
        "by layer, the initiation interval with its bound, latency and interval with those of the timing model.",
        "",
        *_table(("", ""), rows),
        "",
        *_table(("Keras layer", "networks"), summary["layers"].items()),
        "",
        *_table(("operation", "networks"), summary["ops"].items()),
        "",
        *_table(("types", "networks"), summary["types"].items()),
    ]
    if summary["failures"]:
        lines += ["", *_table(("failure", "seed", "first difference"), _failures(summary))]
    return "\n".join(lines) + "\n"


def _failures(summary: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    return [
        (failure["verdict"], failure["seed"], " ".join(failure["detail"].split())[:200])
        for failure in summary["failures"]
    ]


def _table(columns: Sequence[str], rows: Any) -> list[str]:
    head = f"| {' | '.join(columns)} |"
    return [head, "|" + "---|" * len(columns), *(f"| {' | '.join(map(str, row))} |" for row in rows)]
