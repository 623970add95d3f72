# SPDX-License-Identifier: Apache-2.0
"""Tables of reference results, from the metrics of designs in one folder.

``python -m hwflow.report.summary FOLDER`` writes ``FOLDER/README.md`` with all of them; with ``PAGE DESIGN...``
behind it ``FOLDER/PAGE.md``: the named ones beside each other, with their cost.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hwflow.records import Metric, read_metrics

#: Figures of a design by name.
Figures = Mapping[str, Metric]

_KIB = 1 / 1024
_FAMILY, _MCU = "xc7", "stm32h743zi"
_SYNTHESIS = "-synthesis"


class _Row(NamedTuple):
    """A line of a table: what it says, the metric it takes, how that is written, scaled and divided by another one."""

    label: str
    name: str
    form: str = "{:,.0f}"
    scale: float = 1.0
    per: str = ""


_VERIFICATION = (
    _Row("frames compared at the output", "verify.frames"),
    _Row("codes that differ: QKeras (float64)", "verify.qkeras.mismatches"),
    _Row("codes that differ: hls4ml C++", "verify.csim.mismatches"),
    _Row("codes that differ: RTL in Verilator", "verify.rtl.mismatches"),
)
_SIZE = (
    _Row("parameters", "model.params"),
    _Row("multiply-accumulates a frame", "model.macs"),
)
_STORED = (
    _Row("bits of a parameter, mean", "model.weight_bits", "{:.2f}", per="model.params"),
    _Row("weights as stored, KiB", "model.weight_bits", "{:,.1f}", _KIB / 8),
    _Row("bit operations a frame", "model.bops"),
)
_SPEED = (
    _Row("multipliers", "rtl.multipliers"),
    _Row("initiation interval, cycles", "rtl.ii_cycles"),
    _Row("initiation interval, predicted", f"cost.{_FAMILY}.ii_cycles"),
    _Row("bound: largest output pixels × reuse factor", "rtl.ii_bound_cycles"),
    _Row("frames a second at the design's clock", "rtl.fps"),
    _Row("latency, cycles", "rtl.latency_cycles"),
    _Row("latency, predicted", f"cost.{_FAMILY}.latency_cycles"),
)
_FACES = (
    _Row("face verification accuracy, quantized", "faces.accuracy", "{:.2%}"),
    _Row("face verification accuracy, float", "faces.accuracy_float", "{:.2%}"),
    _Row("area under the ROC curve, quantized", "faces.auc", "{:.5f}"),
    _Row("smallest cosine to the float embedding", "embedding.cosine_to_float.min", "{:.4f}"),
)
_SIMULATION = (
    _Row("RTL simulation, processor seconds a frame", "sim.rtl.seconds_per_frame", "{:.3g}"),
    _Row("hls4ml C++ simulation, processor seconds a frame", "sim.csim.seconds_per_frame", "{:.3g}"),
)
_RESOURCES = tuple(
    _Row(f"{title}, {how}", f"{kind}.{_FAMILY}.{name}")
    for name, title in {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram18": "BRAM18"}.items()
    for kind, how in {"cost": "predicted", "synth": "by synthesis"}.items()
)
_CONTROLLER = (
    _Row("flash, KiB", f"mcu.{_MCU}.flash_bytes", "{:,.1f}", _KIB),
    _Row("RAM, KiB", f"mcu.{_MCU}.ram_bytes", "{:,.1f}", _KIB),
    _Row("latency, ms", f"mcu.{_MCU}.latency_ms"),
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
    designs = {path.stem: _figures(path) for path in files}
    lines = [
        "# Reference results",
        "",
        "Written by `make reports`: every example design through the whole flow. Cycles are counted in simulation",
        "of the emitted SystemVerilog, and predicted without it by the model of `hwflow estimate`; both simulation",
        "times are processor time of one run on one core.",
        "",
        *_table(designs, [*_VERIFICATION, *_SIZE, *_SPEED, *_FACES, *_SIMULATION]),
    ]
    return "\n".join(lines) + "\n"


def beside(folder: Path, names: Sequence[str]) -> str:
    """Markdown tables of some designs of a folder: what they recognise, and what that costs.

    Parameters
    ----------
    folder : pathlib.Path
        As for :func:`summary`; ``<design>-synthesis.json`` holds what synthesis counted, where that was done.
    names : sequence of str
        The designs.

    Returns
    -------
    str
    """
    designs = {name: _figures(folder / f"{name}.json") for name in names}
    pages = [
        f"[{name}]({name}{_SYNTHESIS}.md)" for name in names if (folder / f"{name}{_SYNTHESIS}.md").exists()
    ]
    lines = [
        f"# {' and '.join(names)} beside each other",
        "",
        "Written by `make reports` from the figures of their runs.",
        "",
        "## Accuracy",
        "",
        "On people that neither calibrated nor trained the network. Where designs leave out different people, the",
        "float network's own accuracy tells how hard those are that remain.",
        "",
        *_table(designs, [*_FACES, *_SIZE, *_STORED]),
        "",
        "## As an accelerator",
        "",
        "Resources of AMD 7 series: predicted by the model of `hwflow estimate`, and as Yosys counts them"
        + (f", layer by layer: {', '.join(pages)}." if pages else "."),
        "",
        *_table(designs, [*_SPEED, *_RESOURCES, *_VERIFICATION]),
        "",
        "## On a microcontroller",
        "",
        f"As `hwflow estimate` predicts it for an {_MCU.upper()}.",
        "",
        *_table(designs, _CONTROLLER),
    ]
    return "\n".join(lines) + "\n"


def _figures(path: Path) -> Figures:
    """Metrics of a design, with what its synthesis counted where that was done apart from the run."""
    figures = {metric.name: metric for metric in read_metrics(path)}
    apart = path.with_name(f"{path.stem}{_SYNTHESIS}.json")
    if not apart.exists():
        return figures
    found = json.loads(apart.read_bytes())
    counted = {f"synth.{found['target']}.{name}": value for name, value in found["measured"]["total"].items()}
    return figures | {
        name: Metric(name=name, value=value, unit="1", kind="synthesized", source=apart.name)
        for name, value in counted.items()
        if value is not None
    }


def _table(designs: Mapping[str, Figures], rows: Sequence[_Row]) -> Iterator[str]:
    """Lines of a table, a column a design."""
    yield f"| | {' | '.join(designs)} |"
    yield "|---" * (len(designs) + 1) + "|"
    for row in rows:
        cells = [_cell(figures, row) for figures in designs.values()]
        yield f"| {row.label} | {' | '.join(cells)} |"


def _cell(figures: Figures, row: _Row) -> str:
    value = _number(figures, row.name)
    divisor = _number(figures, row.per) if row.per else 1
    return "–" if value is None or not divisor else row.form.format(value * row.scale / divisor)


def _number(figures: Figures, name: str) -> float | None:
    value = figures[name].value if name in figures else None
    return value if isinstance(value, int | float) else None


def main() -> None:
    """Write the page that the command line asks for."""
    folder, (page, *names) = Path(sys.argv[1]), sys.argv[2:] or ["README"]
    (folder / f"{page}.md").write_text(beside(folder, names) if names else summary(folder))


if __name__ == "__main__":
    main()
