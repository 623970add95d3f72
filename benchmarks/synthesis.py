# SPDX-License-Identifier: Apache-2.0
"""A whole network by Yosys beside what the resource model predicts, layer by layer.

``python -m benchmarks.synthesis RUN FOLDER [FAMILY]`` reads the network of a run folder and writes
``<name of RUN>-synthesis.json`` and ``.md``. Modules that have been synthesized before come out of the cache; from
scratch MobileFaceNet takes about ten processor minutes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from hwflow.cost.parts import Part, fits, parts, uses
from hwflow.cost.resources import predict_resources
from hwflow.emit.design import Design, build_design
from hwflow.ir.serialize import load_graph
from hwflow.synth.modules import DesignResult, ModuleResult, synthesize_design
from hwflow.tools.targets import TARGETS, Resources, Target
from hwflow.verify.rtlsim import cores

COUNTS = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram18": "BRAM18"}


def record(
    design: Design, target: Target, measured: DesignResult, predicted: DesignResult, distinct: int
) -> dict[str, object]:
    """Figures as they go into the JSON file."""
    return {
        "network": design.graph.name,
        "target": target.name,
        "command": target.command,
        "modules": distinct,
        "seconds": round(measured.seconds, 1),
        "measured": {"total": asdict(measured.total), "layers": _plain(measured.layers)},
        "predicted": {"total": asdict(predicted.total), "layers": _plain(predicted.layers)},
        "smallest": {name: part and part.part for name, part in _smallest(design, target, measured).items()},
    }


def _plain(layers: Mapping[str, Resources]) -> dict[str, dict[str, int | None]]:
    return {name: asdict(found) for name, found in layers.items()}


def _smallest(design: Design, target: Target, measured: DesignResult) -> dict[str, Part | None]:
    """Smallest listed part that holds the network: of this family as measured, of the others as predicted."""
    found: dict[str, Part | None] = {}
    for family in TARGETS.values():
        total = measured.total if family is target else predict_resources(design, family).total
        held = [part for part in parts().values() if part.target == family.name and fits(part, total)]
        found[family.name] = min(held, key=lambda part: part.lut or 0, default=None)
    return found


def report(
    title: str, design: Design, target: Target, measured: DesignResult, predicted: DesignResult, distinct: int
) -> Iterator[str]:
    """The same as Markdown."""
    yield f"# {title} by synthesis, layer by layer"
    yield ""
    minutes = f"{measured.seconds / 60:.0f}"
    yield f"Made by `make reports`: every module by Yosys (`{target.command}`),"
    yield f"beside the prediction of the resource model. The {distinct} different ones took {minutes} minutes, one"
    yield "after the other on a core that others used too. A layer counts with the buffers in front of it and the"
    yield "copies of its result."
    yield ""
    yield "| | measured | predicted | error |"
    yield "|---|---:|---:|---:|"
    for name, title in COUNTS.items():
        real, ours = getattr(measured.total, name), getattr(predicted.total, name)
        yield f"| {title} | {real:,} | {ours:,} | {_error(ours, real)} |"
    yield ""
    yield from _parts(design, target, measured)
    heads = " | ".join(f"{title} | predicted | error" for title in COUNTS.values())
    yield f"| layer | {heads} |"
    yield "|---" + "|---:" * 3 * len(COUNTS) + "|"
    for layer, found in measured.layers.items():
        pairs = [(getattr(found, name), getattr(predicted.layers[layer], name)) for name in COUNTS]
        yield f"| {layer} | " + " | ".join(f"{a:,} | {b:,} | {_error(b, a)}" for a, b in pairs) + " |"


def _error(ours: int, real: int) -> str:
    return "" if ours == real else f"{100 * (ours / real - 1):+.1f} %" if real else f"+{ours}"


def _parts(design: Design, target: Target, measured: DesignResult) -> Iterator[str]:
    """Parts that hold it."""
    found = _smallest(design, target, measured)
    part = found[target.name]
    if part is None:
        yield f"No listed part of {target.title} holds it."
    else:
        shares = ", ".join(
            f"{100 * use.share:.0f} % of its {COUNTS.get(use.resource, use.resource.upper())}"
            for use in uses(part, measured.total)
            if use.share
        )
        yield f"The smallest listed part of {target.title} that holds it is **{part.part}**: {shares}."
    others = [f"{part.part} ({name})" for name, part in found.items() if part and name != target.name]
    if others:
        yield f"Of other families, by prediction: {', '.join(others)}."
    yield ""


def main() -> None:
    """Synthesize and write both files."""
    run, folder = map(Path, sys.argv[1:3])
    target = TARGETS[sys.argv[3] if len(sys.argv) > 3 else "xc7"]
    design = build_design(load_graph(run / "graph"))
    distinct = 0

    def count(results: Iterable[ModuleResult], number: int) -> Iterable[ModuleResult]:
        nonlocal distinct
        distinct = number
        return results

    measured = synthesize_design(design, target, logs=run / "logs" / "synth", jobs=cores(), track=count)
    predicted = predict_resources(design, target)
    name = run.resolve().name
    found = record(design, target, measured, predicted, distinct)
    text = report(name, design, target, measured, predicted, distinct)
    (folder / f"{name}-synthesis.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / f"{name}-synthesis.md").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
