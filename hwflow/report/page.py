# SPDX-License-Identifier: Apache-2.0
"""What the report of one run shows."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

from hwflow.records import EvaluationRecord, FacesRecord, LayerRecord, Metric, RungRecord, bound, keeps
from hwflow.report import costs, dataflow, evaluation, figures, svg, text
from hwflow.report.figures import Band
from hwflow.report.folder import Interface, Port, RunFiles

State = Literal["good", "bad", "open"]

_RUNGS = {
    "qkeras": "QKeras model",
    "csim": "hls4ml C++ simulation",
    "rtl": "SystemVerilog in Verilator",
    "netlist": "synthesized netlist",
}
_REQUIRED = ("qkeras", "csim", "rtl")
_SCOPES = {"output": "output", "layers": "every layer"}


@dataclass(frozen=True, slots=True)
class Check:
    """A line of the verdict.

    Parameters
    ----------
    state : str
        ``good``, ``bad`` or ``open``.
    name, detail : str
        What was checked, and what came out.
    record : RungRecord or None
        The comparison, where it was made.
    """

    state: State
    name: str
    detail: str
    record: RungRecord | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A key figure."""

    name: str
    value: str
    unit: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the report says first."""

    state: State
    title: str
    detail: str


def run_content(run: RunFiles) -> dict[str, Any]:
    """What the template and the twins of a run show."""
    manifest, layers = run.manifest, run.layers or []
    checks = list(_rung_checks(run))
    budget = list(budget_checks(run))
    hardware = _hardware(run.rungs or [])
    bottleneck = max(layers, key=lambda layer: (layer.cycles, layer.macs > 0), default=None)
    seconds = manifest.when_and_where.step_seconds
    durations = dict(sorted(seconds.items(), key=lambda step: (-step[1], step[0])))
    resources = costs.layer_costs(run, layers)
    compared = [(one, rows) for one in resources if (rows := costs.layer_errors(one, layers))]
    drawings = _drawings(run, layers, resources, bottleneck, hardware)
    if compared:
        drawings["agreement"] = figures.agreement(compared[0][1], costs.RESOURCES[compared[0][0].resource])
    if durations:
        drawings["time"] = figures.steps(durations)
    return {
        "run": run,
        "title": run.config.ProjectName,
        "notice": _notice(manifest.status),
        "verdict": verdict(run),
        "checks": checks,
        "budget": budget,
        "key_figures": [figure for figure in _key_figures(run) if figure],
        "layers": list(enumerate(layers, 1)),
        "bottleneck": bottleneck,
        "ties": sum(layer.cycles == bottleneck.cycles for layer in layers) - 1 if bottleneck else 0,
        "totals": {
            name: sum(getattr(layer, name) or 0 for layer in layers)
            for name in ("params", "macs", "multipliers")
        },
        "legend": figures.series(layers),
        "resources": resources,
        "fifos": [_fifo(layer, run) for layer in layers],
        "sizes": [math.prod(layer.shape) for layer in layers],
        "family": costs.shown_family(run),
        "pairs": costs.pairs(run),
        "compared": [
            (costs.RESOURCES[one.resource], len(rows), costs.median_error(rows)) for one, rows in compared
        ],
        "routed": run.routed,
        "families": _families(run),
        "parts": costs.part_rows(run),
        "mcus": costs.mcu_rows(run),
        "mcus_reason": run.cost.mcus_reason if run.cost else _why_absent(run, "cost"),
        "resource_names": costs.RESOURCES,
        "part_resources": costs.PARTS_HAVE,
        "hardware": hardware,
        "farthest": _farthest(run.faces),
        "evaluations": [_evaluation(name, records) for name, records in run.evaluations.items()],
        "drawings": drawings,
        "symbols": _symbols(run.pictures),
        "steps_total": sum(durations.values()),
        "ports": _ports(run.interface) if run.interface else [],
        "command": shlex.join(["hwflow", *manifest.argv]),
        "artifacts": _artifacts(manifest.artifacts),
        "absent": {
            "layers": _why_absent(run, "convert"),
            "cost": _why_absent(run, "cost"),
            "faces": _why_absent(run, "faces", "faces.accuracy"),
            "interface": _why_absent(run, "emit"),
        },
    }


def _fifo(layer: LayerRecord, run: RunFiles) -> str:
    """Most beats that wait, of those that fit, for each FIFO of a layer."""
    fills = run.cost.fifo_fill.get(layer.name, []) if run.cost else []
    known = [*fills, *[None] * len(layer.fifo_beats)]
    pairs = [(depth, fill) for depth, fill in zip(layer.fifo_beats, known, strict=False) if depth]
    return ", ".join(f"{depth:,}" if fill is None else f"{fill:,} of {depth:,}" for depth, fill in pairs)


def _families(run: RunFiles) -> list[tuple[str, dict[str, int | None], str, int]]:
    """Family, resources as predicted, its smallest part that holds the design, and how many do."""
    found = []
    for name, family in (run.cost.families if run.cost else {}).items():
        fitting = [part.part for part in family.parts if part.fits]
        found.append((name, family.total, next(iter(fitting), ""), len(fitting)))
    return found


def _drawings(
    run: RunFiles,
    layers: list[LayerRecord],
    resources: list[costs.LayerCost],
    bottleneck: LayerRecord | None,
    hardware: State,
) -> dict[str, Markup]:
    """Drawings by the names of their files."""
    found: dict[str, Markup] = {}
    if layers:
        fills = run.cost.fifo_fill if run.cost else {}
        if any(layer.inputs for layer in layers):
            found["dataflow"] = dataflow.diagram(layers, fills, bottleneck)
        found["layers"] = figures.bands(layers, list(_bands(run, layers, resources)), bottleneck)
    if run.faces:
        computed = "Accelerator" if hardware == "good" else "Golden integer model"
        for file, name, matrix in (
            ("similarity-float", "Float network", run.faces.similarity_float),
            ("similarity-hardware", computed, run.faces.similarity_hardware),
        ):
            found[file] = figures.similarity(matrix, run.faces.people, name)
        found["roc"] = figures.roc(run.faces)
    for name, records in run.evaluations.items():
        found |= {f"{name}-{kind}": drawing for kind, drawing in evaluation.drawings(records).items()}
    return found


def _bands(run: RunFiles, layers: list[LayerRecord], resources: list[costs.LayerCost]) -> Iterator[Band]:
    """What is drawn of every layer."""
    yield Band(
        "Cycles worked a frame, share of the bound",
        [layer.utilisation for layer in layers],
        lambda share: text.percent(share, 0),
        limit=1.0,
    )
    for name, values in (
        ("Bits of a weight", [layer.weight_bits for layer in layers]),
        ("Multiply-accumulates a frame", [layer.macs for layer in layers]),
        ("Multipliers", [layer.multipliers for layer in layers]),
    ):
        yield Band(name, values, text.compact)
    for one in resources:
        suffix = "; line: predicted" if one.predicted else ""
        yield Band(f"{one.name}{suffix}", one.values, text.compact, one.predicted, "predicted")
    depths = [sum(layer.fifo_beats) for layer in layers]
    fills = run.cost.fifo_fill if run.cost else {}
    waiting = [sum(fill or 0 for fill in fills[layer.name]) if any(layer.fifo_beats) and layer.name in fills else None
               for layer in layers]  # fmt: skip
    note = "; line: most that ever wait" if any(waiting) else ""
    yield Band(f"FIFO depth, beats{note}", depths, text.compact, waiting, "most that wait")


def _symbols(pictures: list[str]) -> Markup:
    """The pictures, for drawings to refer to."""
    found = (
        svg.element(
            "symbol",
            svg.element("image", href=picture, width=44, height=44, preserveAspectRatio="xMidYMid slice"),
            id=f"face-{number}",
            viewBox="0 0 44 44",
        )
        for number, picture in enumerate(pictures)
    )
    return Markup("").join(found)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Face verification on one set.

    Parameters
    ----------
    name : str
        Folder.
    records : list of EvaluationRecord
        One for each way embeddings were computed.
    kinds : list of str
        Those whose angles and t-SNE are drawn: the first, and the one closest to hardware.
    rates : list of str
        False positive rates that a record knows the true positive rate of.
    """

    name: str
    records: list[EvaluationRecord]
    kinds: list[str]
    rates: list[str]


def _evaluation(name: str, records: list[EvaluationRecord]) -> Evaluated:
    shown = [record.embeddings for record in records if record.people]
    rates = dict.fromkeys(
        rate
        for record in records
        for rate, value in record.measures[0].tpr_at_fpr.items()
        if value is not None
    )
    return Evaluated(name, records, list(dict.fromkeys([*shown[:1], *shown[-1:]])), list(rates))


def _artifacts(names: Iterable[str]) -> list[tuple[str, int]]:
    """Number of files by folder, the flow's own notes left out."""
    tops = (name.split("/")[0] for name in names)
    return sorted(Counter(top for top in tops if not top.startswith(".")).items())


def _notice(status: str) -> str:
    """What to know about a run that did not end well; ``running`` is how the report's own step sees it."""
    if status.startswith("failed"):
        return f"This run {status}"
    return "This run was stopped early; later steps have not run." if status == "partial" else ""


def _rung_checks(run: RunFiles) -> Iterator[Check]:
    """One line a comparison, and one for each that should have been made and was not."""
    found: dict[str, list[RungRecord]] = {}
    for record in run.rungs or []:
        found.setdefault(record.rung, []).append(record)
    for rung in dict.fromkeys([*_RUNGS, *found]):
        title = _RUNGS.get(rung, rung)
        for record in found.get(rung, []):
            name = f"{title}, {_SCOPES.get(record.scope, record.scope)}"
            yield Check(_state(record), name, record.first_difference, record)
        required = rung in _REQUIRED or (rung == "netlist" and run.config.Hwflow.Verify.Netlist)
        if required and rung not in found:
            yield Check("open", title, _why_absent(run, "verify", f"verify.{rung}.mismatches"))


def _state(record: RungRecord) -> State:
    return "bad" if record.mismatches else "good" if record.values else "open"


def _hardware(rungs: Iterable[RungRecord]) -> State:
    """Whether the simulated hardware gave the golden outputs."""
    found = [_state(record) for record in rungs if (record.rung, record.scope) == ("rtl", "output")]
    return found[0] if found else "open"


def _why_absent(run: RunFiles, step: str, metric: str = "") -> str:
    """Why the result of a step is not there."""
    found = run.by_name.get(metric)
    if found and found.reason:
        return found.reason
    reached = step in run.manifest.when_and_where.step_seconds
    return f"step {step} {'left no record' if reached else 'was not reached'}"


def budget_checks(run: RunFiles) -> Iterator[Check]:
    """One line a limit of the design's budget."""
    for name, limit in run.config.Hwflow.Budget.items():
        metric, value = run.by_name.get(name), run.number(name)
        unit = f" {metric.unit}" if metric and metric.unit != "1" else ""
        if metric is None:
            yield Check("open", name, f"the run has no such figure; {bound(name)} {limit:,g}")
        elif value is None:
            yield Check(
                "bad", name, f"no value: {metric.reason or 'no number'}; {bound(name)} {limit:,g}{unit}"
            )
        else:
            state: State = "good" if keeps(name, value, limit) else "bad"
            yield Check(state, name, f"{value:,.6g}{unit}, {bound(name)} {limit:,g}{unit}")


def verdict(run: RunFiles) -> Verdict:
    """What is to be said of a run first."""
    rungs = run.rungs or []
    missing = [check.name for check in _rung_checks(run) if check.state == "open"]
    budget = list(budget_checks(run))
    over = [check.name for check in budget if check.state == "bad"]
    unknown = [check.name for check in budget if check.state == "open"]
    differing = [record for record in rungs if record.mismatches]
    if differing:
        total = sum(record.mismatches for record in differing)
        where = next((record.first_difference for record in differing if record.first_difference), "")
        detail = f"{text.plural(total, 'code')} differ" + ("s" if total == 1 else "")
        return Verdict("bad", "Not bit-exact", f"{detail}{f'; first difference: {where}' if where else ''}.")
    if not any(record.values for record in rungs):
        return Verdict("open", "Not verified", "Nothing was compared in this run.")
    compared = f"{text.plural(sum(record.values for record in rungs), 'code')} compared exactly, all equal"
    if over:
        return Verdict("bad", "Bit-exact, but over budget", f"{compared}. Over budget: {', '.join(over)}.")
    if missing:
        return Verdict(
            "open", "Bit-exact as far as compared", f"{compared}. Not compared: {', '.join(missing)}."
        )
    if unknown:
        return Verdict(
            "open",
            "Bit-exact, budget not wholly known",
            f"{compared}. Without figures: {', '.join(unknown)}.",
        )
    return Verdict("good", "Bit-exact", f"{compared}.")


def _key_figures(run: RunFiles) -> Iterator[Figure | None]:
    """The figures that sum up a design; ``None`` for what the run has no word about."""
    yield from _speed(run)
    yield from _size(run)
    yield _simulation(run)
    yield from _accuracy(run)


def _speed(run: RunFiles) -> Iterator[Figure | None]:
    period_ns = run.config.ClockPeriod
    interval, bound = run.number("rtl.ii_cycles"), run.number("rtl.ii_bound_cycles")
    latency = run.number("rtl.latency_cycles")
    clock = f"at {text.significant(1e3 / period_ns)} MHz"
    if interval:
        yield Figure("Throughput", text.significant(1e9 / (interval * period_ns)), "frames/s", clock)
        ratio = f"{interval / bound:.4f} × bound of {bound:,.0f}" if bound else ""
        yield Figure("Initiation interval", text.grouped(interval), "cycles", ratio)
    else:
        yield _unknown(run, "rtl.ii_cycles", "Initiation interval")
        if bound:
            fps = text.significant(1e9 / (bound * period_ns))
            yield Figure("Bound of the interval", text.grouped(bound), "cycles", f"{fps} frames/s {clock}")
    if latency:
        duration = text.seconds(latency * period_ns * 1e-9)
        yield Figure("Latency", duration, "", f"{latency:,.0f} cycles, first value in to last out")
    else:
        yield _unknown(run, "rtl.latency_cycles", "Latency")


def _size(run: RunFiles) -> Iterator[Figure]:
    layers = run.layers or []
    busy = [layer for layer in layers if layer.macs and layer.multipliers]
    macs = run.number("model.macs") or sum(layer.macs for layer in layers)
    params = run.number("model.params") or sum(layer.params for layer in layers)
    if busy:
        slots = sum((layer.multipliers or 0) * _bound(run, busy) for layer in busy)
        share = sum(layer.macs for layer in busy) / slots if slots else None
        multipliers = sum(layer.multipliers or 0 for layer in layers)
        yield Figure(
            "Multipliers",
            text.grouped(multipliers),
            "",
            f"matrix units at work {text.percent(share, 0)} of the time",
        )
    if params:
        bits = sorted({layer.weight_bits for layer in layers if layer.weight_bits})
        span = "" if not bits else f"{bits[0]}" if len(bits) == 1 else f"{bits[0]} to {bits[-1]}"
        detail = f"{params:,.0f}{f'; weights of {span} bits' if span else ''}"
        yield Figure("Parameters", text.compact(params), "", detail)
    if macs:
        yield Figure("Multiply-accumulates", text.compact(macs), "a frame", f"{macs:,.0f}")


def _bound(run: RunFiles, layers: list[LayerRecord]) -> float:
    """Bound of the initiation interval, cycles."""
    return run.number("rtl.ii_bound_cycles") or max(layer.cycles for layer in layers)


def _simulation(run: RunFiles) -> Figure | None:
    rtl, csim = run.number("sim.rtl.seconds_per_frame"), run.number("sim.csim.seconds_per_frame")
    if not rtl:
        return _unknown(run, "sim.rtl.seconds_per_frame", "RTL simulation")
    detail = ""
    if csim:
        pace = f"{csim / rtl:.1f} × faster" if rtl < csim else f"{rtl / csim:.1f} × slower"
        detail = f"{pace} than C++ at {text.seconds(csim)}"
    return Figure("RTL simulation", text.seconds(rtl), "a frame", detail)


def _accuracy(run: RunFiles) -> Iterator[Figure]:
    faces, cosine = run.faces, run.number("embedding.cosine_to_float.min")
    if faces:
        yield Figure(
            "Verification accuracy",
            text.percent(faces.accuracy_quantized, 2),
            "",
            f"float network {text.percent(faces.accuracy_float, 2)}",
        )
        yield Figure(
            "Area under ROC",
            text.decimal(faces.auc_quantized, 5),
            "",
            f"float network {text.decimal(faces.auc_float, 5)}",
        )
    if cosine is not None:
        yield Figure("Cosine to float", text.decimal(cosine, 4), "", "smallest over all embeddings compared")


def _unknown(run: RunFiles, metric: str, name: str) -> Figure | None:
    """A figure the run tried to have."""
    found: Metric | None = run.by_name.get(metric)
    return Figure(name, text.NONE, "", found.reason) if found and found.reason else None


def _farthest(faces: FacesRecord | None) -> float:
    """Largest difference of the two similarity matrices."""
    if faces is None:
        return 0.0
    return max(
        (
            abs(a - b)
            for first, second in zip(faces.similarity_float, faces.similarity_hardware, strict=True)
            for a, b in zip(first, second, strict=True)
        ),
        default=0.0,
    )


def _ports(interface: Interface) -> list[tuple[str, str, Port]]:
    """Streams of the top module: prefix of the signals, direction, format."""
    return [
        (name, direction, port)
        for prefix, direction, ports in (
            ("s_axis", "in", interface.inputs),
            ("m_axis", "out", interface.outputs),
        )
        for name, port in zip(_port_names(prefix, len(ports)), ports, strict=True)
    ]


def _port_names(prefix: str, count: int) -> list[str]:
    return [prefix] if count == 1 else [f"{prefix}_{number}" for number in range(count)]
