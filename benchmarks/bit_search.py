# SPDX-License-Identifier: Apache-2.0
"""``hwflow search`` on MobileFaceNet with published weights: by layer and by layer type, greedy and by integer program.

Run as ``python -m benchmarks.bit_search [FOLDER]``: writes ``reports/bit-search.json`` and ``.md``. Searches share what
they measure and go on where they ended (``FOLDER``, ``runs/bit-search`` by default). Takes about twenty minutes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DESIGN = "hls_configs/mobilefacenet-w8a8.yaml"
MARGIN, FRAMES = 0.1, 20
SEARCHES = (("milp", "layer"), ("greedy", "layer"), ("milp", "type"))


def run(method: str, scope: str, folder: Path, state: Path) -> dict[str, Any]:
    """One search; what it found."""
    program = Path(sys.executable).with_name("hwflow")
    options = ["--method", method, "--scope", scope, "--margin", str(MARGIN), "--frames", str(FRAMES)]
    folder.mkdir(parents=True, exist_ok=True)
    if state.exists():
        shutil.copy(state, folder / "state.json")
    subprocess.run([program, "search", DESIGN, "--out", folder, *options], check=True)
    shutil.copy(folder / "state.json", state)
    found: dict[str, Any] = json.loads((folder / "search.json").read_text())
    return found


def report(results: Mapping[str, Mapping[str, Any]]) -> str:
    """All walks side by side, and the bits of the first search."""
    first = next(iter(results.values()))
    unseen = first["unseen_people"]["float"]
    lines = [
        "# Bits of MobileFaceNet found by search",
        "",
        f"Written by `python -m benchmarks.bit_search`: `hwflow search {DESIGN}`.",
        "Published weights, no training, rounding to the nearest, 8-bit activations. The search sees",
        f"{FRAMES} faces of people 1 to 10 and no labels; it may lose {MARGIN:g} of the mean cosine to the float",
        "embeddings. Accuracy is that on people 11 to 40, measured once for the configuration chosen (float:",
        f"{100 * unseen['accuracy']:.2f} %). Mean bits are weighted by the weights of a layer.",
        "",
        "| search | mean bits chosen | accuracy, % | to float, points | mean cosine |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, found in results.items():
        score = found["unseen_people"]["quantized"]
        lines.append(
            f"| {name} | {found['best']['mean_bits']:.2f} | {100 * score['accuracy']:.2f} "
            f"| {100 * (score['accuracy'] - unseen['accuracy']):+.2f} | {score['cosine']:.4f} |"
        )
    for name, found in results.items():
        lines += [
            "",
            f"## Walk: {name}",
            "",
            "| mean bits | loss | predicted | within the margin |",
            "|--:|--:|--:|---|",
        ]
        lines += [
            f"| {p['mean_bits']:.2f} | {p['loss']:.4f} | {p['predicted']:.4f} | {'yes' if p['within'] else 'no'} |"
            for p in found["walk"]
        ]
        beaten = len(found["walk"]) - len(found["pareto"])
        lines += [
            "",
            f"On the Pareto front: all points but {beaten}."
            if beaten
            else "All points are on the Pareto front.",
        ]
    lines += [
        "",
        f"## Bits: {next(iter(results))}",
        "",
        "| layer | weights | bits | integer bits |",
        "|---|--:|--:|--:|",
    ]
    lines += [
        f"| {name} | {row['weights']:,} | {row['weight_bits']} | {row['weight_integer_bits']} |"
        for name, row in first["layers"].items()
        if "weights" in row
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    """Run all searches."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/bit-search")
    results = {
        f"{method}, {scope} by {scope}": run(
            method, scope, folder / f"{method}-{scope}", folder / "state.json"
        )
        for method, scope in SEARCHES
    }
    Path("reports/bit-search.json").write_text(json.dumps(results) + "\n")
    Path("reports/bit-search.md").write_text(report(results))


if __name__ == "__main__":
    main()
