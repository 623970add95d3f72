# SPDX-License-Identifier: Apache-2.0
"""How well the resource model predicts what synthesis makes of held-out modules and of whole networks, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from math import log10
from pathlib import Path

from hwflow.cost.calibration import (
    SWEEP,
    Sample,
    calibrate,
    committed,
    errors,
    fit,
    measure,
    networks,
    small,
    write_coefficients,
    write_samples,
)
from hwflow.cost.parts import fits, parts
from hwflow.cost.resources import COEFFICIENTS, coefficients, structure, weigh
from hwflow.cost.sweep import points
from hwflow.emit.design import Design
from hwflow.errors import UserError
from hwflow.report.svg import document, element, line, picture, text
from hwflow.tools.targets import TARGETS, Resources, Target

#: Families whose modules are synthesized.
MEASURED = ("xc7", "ecp5")
#: Network that is shown module by module.
LARGEST = "mobilefacenet-w8a8"
REPORT, SCATTER = "cost-model.md", "cost-model.svg"

_SIDE, _MARGIN = 420.0, 46.0
_STYLE = (
    "text{font:11px sans-serif;fill:#444}.axis{stroke:#999}.equal{stroke:#bbb;stroke-dasharray:4 3}"
    ".xc7{fill:#1f5fa8}.ecp5{fill:#c2571a}circle{fill-opacity:.65}"
)


def recalibrate(design: Design, logs: Path) -> Path:
    """Synthesize the sweep and a network, fit the model, and write the report; returns the report.

    Parameters
    ----------
    design : Design
        A network to compare with synthesis as a whole.
    logs : pathlib.Path
        Folder for Yosys' output.

    Raises
    ------
    UserError
        Where hwflow is installed without its reports.
    """
    package = Path(__file__).parent
    reports = package.parents[1] / "reports"
    if not reports.is_dir():
        raise UserError(f"{reports} is no folder", "calibrate in a checkout of hwflow's sources")
    calibrate(package, MEASURED, logs, design)
    write(reports)
    return reports / REPORT


def trial(names: Sequence[str], limit: int | None, folder: Path) -> Iterator[tuple[str, ...]]:
    """Synthesize some modules of the sweep, fit them, and tell how held-out ones are predicted.

    Parameters
    ----------
    names : sequence of str
        Families.
    limit : int or None
        Modules; all where None.
    folder : pathlib.Path
        Where measurements, coefficients and Yosys' output go.

    Yields
    ------
    tuple of str
        Of each family: name, modules, those held out, and median and 90th percentile of their LUT errors, with these
        coefficients and with the committed ones.
    """
    samples = measure([*islice(small(points()), limit)], names, folder / "logs")
    fitted = {}
    for name in names:
        target, known = TARGETS[name], coefficients(name)
        fitted[name] = fit([sample for sample in samples if not sample.held_out], target, known)
        held = [sample for sample in samples if sample.held_out]
        spread = [errors(held, target, weights).lut for weights in (fitted[name], known)] if held else []
        cells = [_percent(value) for one in spread for value in one] or ["–"] * 4
        yield (name, str(len(samples)), str(len(held)), *cells)
    (folder / Path(SWEEP).name).write_text(write_samples(samples))
    (folder / Path(COEFFICIENTS).name).write_text(write_coefficients(fitted))


def write(folder: Path) -> None:
    """Write report and drawing into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT).write_text(report())
    (folder / SCATTER).write_text(scatter())


def report() -> str:
    """The report as Markdown."""
    sections = (_intro(), _families(), _modules(), _networks(), _layers(LARGEST, TARGETS["xc7"]))
    return "\n".join([text for section in sections for text in section] + [""])


def _held(target: Target) -> list[Sample]:
    return [sample for sample in committed() if sample.held_out and target.name in sample.measured]


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _intro() -> Iterator[str]:
    yield "# Resource model of FPGA targets"
    yield ""
    yield "Made by `hwflow estimate CONFIG --calibrate` from the modules in `hwflow/cost/data/resource_sweep.csv`:"
    yield "cases of all operations, layers drawn by seed, and small modules of MobileFaceNet, each by Yosys."
    yield "Registers, multipliers and memory blocks are counted from the structure of a module and the rules of the"
    yield "family. LUTs are a sum over features of the structure with coefficients fitted to three quarters of the"
    yield "modules. The quarter below was held out by content before the fit and is only predicted."
    yield ""
    yield f"![LUTs of held-out modules, predicted and synthesized]({SCATTER})"
    yield ""


def _families() -> Iterator[str]:
    yield "## Held-out modules by family"
    yield ""
    yield "Relative errors as median and 90th percentile; multipliers and memory blocks as share of exact counts."
    yield ""
    yield "| family | fitted | held out | LUT median | LUT 90 % | FF median | FF 90 % | DSP exact | BRAM exact |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    without = []
    for target in TARGETS.values():
        some = _held(target)
        fitted = sum(target.name in sample.measured for sample in committed()) - len(some)
        if not some:
            without.append(target.name)
            continue
        found = errors(some, target)
        yield (
            f"| {target.name} | {fitted} | {found.count} | {_percent(found.lut[0])} | {_percent(found.lut[1])} "
            f"| {_percent(found.ff[0])} | {_percent(found.ff[1])} | {_percent(found.dsp)} | {_percent(found.bram)} |"
        )
    if without:
        yield ""
        yield (
            f"Not measured: {', '.join(without)}. They follow the rules of their family with the coefficients of the "
            "measured family that has LUTs of the same size."
        )
    yield ""


def _modules() -> Iterator[str]:
    yield "## Held-out modules by kind"
    yield ""
    yield "| module | family | held out | LUT median | LUT 90 % | FF median | FF 90 % | DSP exact | BRAM exact |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|"
    for module in sorted({sample.module for sample in committed() if sample.held_out}):
        for target in TARGETS.values():
            some = [sample for sample in _held(target) if sample.module == module]
            if some:
                found = errors(some, target)
                yield (
                    f"| {module} | {target.name} | {found.count} | {_percent(found.lut[0])} | {_percent(found.lut[1])} "
                    f"| {_percent(found.ff[0])} | {_percent(found.ff[1])} | {_percent(found.dsp)} "
                    f"| {_percent(found.bram)} |"
                )
    yield ""


def _layers(name: str, target: Target) -> Iterator[str]:
    """A network module by module, and the parts that hold it."""
    samples = networks().get(name, ())
    if not samples:
        return
    yield f"## {name}, module by module"
    yield ""
    yield "The smallest listed part of each family that holds the predicted sum:"
    yield ""
    yield "| family | LUT | FF | DSP | BRAM | smallest part |"
    yield "|---|---:|---:|---:|---:|---|"
    for family in TARGETS.values():
        total = sum((_predicted(sample, family) for sample in samples), family.resources({}))
        fitting = sorted(
            (part for part in parts().values() if part.target == family.name and fits(part, total)),
            key=lambda part: part.lut or 0,
        )
        verdict = fitting[0].part if fitting else "none that is listed"
        yield f"| {family.name} | {total.lut:,} | {total.ff:,} | {total.dsp} | {_memory(total)} | {verdict} |"
    yield ""
    yield f"On {target.name}, by module:"
    yield ""
    yield "Figures of Yosys stand where the module has been synthesized on its own."
    yield ""
    yield "| module | LUT predicted | LUT Yosys | FF predicted | FF Yosys | DSP | BRAM |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for sample in samples:
        ours, theirs = _predicted(sample, target), sample.measured.get(target.name)
        lut, ff = ("", "") if theirs is None else (f"{theirs.lut:,}", f"{theirs.ff:,}")
        yield (
            f"| {sample.point.partition('/')[2].removeprefix('t_')} | {ours.lut:,} | {lut} | {ours.ff:,} | {ff} "
            f"| {ours.dsp} | {_memory(ours)} |"
        )
    yield ""


def _predicted(sample: Sample, target: Target) -> Resources:
    return weigh(structure(sample.module, sample.parameters, target), target, coefficients(target.name))


def _networks() -> Iterator[str]:
    yield "## Whole networks"
    yield ""
    yield "Sums over the modules. Of `mobilefacenet-w8a8` three quarters of the small modules took part in the fit, of"
    yield "the other networks none. Where not every module has been synthesized, both sums are over those that were."
    yield ""
    yield "| network | family | modules | LUT predicted | LUT Yosys | error | FF predicted | FF Yosys | DSP | BRAM |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for name, samples in networks().items():
        for target in TARGETS.values():
            some = [sample for sample in samples if target.name in sample.measured]
            if not some:
                continue
            empty = target.resources({})
            ours = sum((_predicted(sample, target) for sample in some), empty)
            theirs = sum((sample.measured[target.name] for sample in some), empty)
            yield (
                f"| {name} | {target.name} | {len(some)} of {len(samples)} | {ours.lut:,} | {theirs.lut:,} "
                f"| {100 * (ours.lut - theirs.lut) / max(theirs.lut, 1):+.1f} % | {ours.ff:,} | {theirs.ff:,} "
                f"| {ours.dsp} / {theirs.dsp} | {_memory(ours)} / {_memory(theirs)} |"
            )
    yield ""


def _memory(found: Resources) -> int:
    return found.bram if found.bram18 is None else found.bram18


def scatter() -> str:
    """LUTs of held-out modules, predicted over synthesized, on logarithmic axes."""
    points = []
    for target in (TARGETS["xc7"], TARGETS["ecp5"]):
        for sample in _held(target):
            wanted, found = sample.measured[target.name].lut, _predicted(sample, target).lut
            points.append((wanted, found, target.name))
    low, high = 0.0, log10(max([10, *(max(point[:2]) for point in points)])) + 0.1
    marks = [
        element(
            "circle", cx=_place(wanted, low, high), cy=_SIDE - _place(found, low, high), r=3.2, class_=name
        )
        for wanted, found, name in points
    ]
    return document(
        picture(_SIDE + 10, _SIDE + 10, "LUTs predicted over LUTs synthesized", [*_axes(low, high), *marks]),
        _STYLE,
    )


def _place(value: float, low: float, high: float) -> float:
    return round(_MARGIN + (log10(max(value, 1)) - low) / (high - low) * (_SIDE - _MARGIN), 1)


def _axes(low: float, high: float) -> Sequence[str]:
    base = _SIDE - _MARGIN
    drawn: list[str] = [
        line(_MARGIN, base, _SIDE, base, "axis"),
        line(_MARGIN, base, _MARGIN, 0, "axis"),
        line(_MARGIN, base, _SIDE, 0, "equal"),
        text("LUTs by Yosys", _SIDE, base + 30, "end"),
        text("LUTs predicted", 4, 12),
    ]
    for power in range(int(high) + 1):
        at = _place(10**power, low, high)
        drawn += [
            text(f"{10**power:,}", at, base + 15, "middle"),
            text(f"{10**power:,}", 40, _SIDE - at + 4, "end"),
        ]
    for number, name in enumerate(("xc7", "ecp5")):
        drawn.append(element("circle", cx=_MARGIN + 20, cy=30 + 16 * number, r=4, class_=name))
        drawn.append(text(name, _MARGIN + 30, 34 + 16 * number))
    return drawn
