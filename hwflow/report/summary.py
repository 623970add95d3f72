# SPDX-License-Identifier: Apache-2.0
"""Table of reference results: ``python -m hwflow.report.summary FOLDER`` turns metrics into a README."""

from __future__ import annotations

import sys
from pathlib import Path

from hwflow.records import Metric, read_metrics

_ROWS = (
    ("frames compared at the output", "verify.frames", "{:,.0f}"),
    ("codes that differ: QKeras (float64)", "verify.qkeras.mismatches", "{:,.0f}"),
    ("codes that differ: hls4ml C++", "verify.csim.mismatches", "{:,.0f}"),
    ("codes that differ: RTL in Verilator", "verify.rtl.mismatches", "{:,.0f}"),
    ("parameters", "model.params", "{:,.0f}"),
    ("multiply-accumulates a frame", "model.macs", "{:,.0f}"),
    ("multipliers", "rtl.multipliers", "{:,.0f}"),
    ("initiation interval, cycles", "rtl.ii_cycles", "{:,.0f}"),
    ("initiation interval, predicted", "cost.xc7.ii_cycles", "{:,.0f}"),
    ("bound: largest output pixels × reuse factor", "rtl.ii_bound_cycles", "{:,.0f}"),
    ("frames a second at the design's clock", "rtl.fps", "{:,.0f}"),
    ("latency, cycles", "rtl.latency_cycles", "{:,.0f}"),
    ("latency, predicted", "cost.xc7.latency_cycles", "{:,.0f}"),
    ("face verification accuracy, quantized", "faces.accuracy", "{:.2%}"),
    ("face verification accuracy, float", "faces.accuracy_float", "{:.2%}"),
    ("area under the ROC curve, quantized", "faces.auc", "{:.5f}"),
    ("smallest cosine to the float embedding", "embedding.cosine_to_float.min", "{:.4f}"),
    ("RTL simulation, processor seconds a frame", "sim.rtl.seconds_per_frame", "{:.3g}"),
    ("hls4ml C++ simulation, processor seconds a frame", "sim.csim.seconds_per_frame", "{:.3g}"),
)


def summary(folder: Path) -> str:
    """Markdown table of all ``*.json`` metrics of a folder, a column a design.

    Parameters
    ----------
    folder : pathlib.Path
        Holds ``<design>.json`` files as :func:`hwflow.records.write_metrics` writes them.

    Returns
    -------
    str
    """
    # results with a text of their own are no metrics of a design
    files = [path for path in sorted(folder.glob("*.json")) if not path.with_suffix(".md").exists()]
    designs = {path.stem: {m.name: m for m in read_metrics(path)} for path in files}
    lines = [
        "# Reference results",
        "",
        "Written by `make reports`: every example design through the whole flow. Cycles are counted in simulation",
        "of the emitted SystemVerilog, and predicted without it by the model of `hwflow estimate`; both simulation",
        "times are processor time of one run on one core.",
        "",
        "| | " + " | ".join(designs) + " |",
        "|---" * (len(designs) + 1) + "|",
    ]
    for label, name, form in _ROWS:
        cells = [_cell(metrics.get(name), form) for metrics in designs.values()]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(metric: Metric | None, form: str) -> str:
    if metric is None or metric.value is None or isinstance(metric.value, str):
        return "–"
    return form.format(metric.value)


def main() -> None:
    """Write ``README.md`` into the folder given on the command line."""
    folder = Path(sys.argv[1])
    (folder / "README.md").write_text(summary(folder))


if __name__ == "__main__":
    main()
