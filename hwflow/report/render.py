# SPDX-License-Identifier: Apache-2.0
"""``report.html`` of a run folder: one file that needs nothing else."""

from __future__ import annotations

import logging
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jinja2

from hwflow.records import FacesRecord, LayerRecord, Metric, RungRecord, bound, keeps
from hwflow.report import figures, text
from hwflow.report.folder import Interface, Port, RunFiles, read_run

logger = logging.getLogger(__name__)

NAME = "report.html"

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


def render_report(run_dir: Path) -> Path:
    """Write the report of a run.

    Parameters
    ----------
    run_dir : pathlib.Path
        A run folder.

    Returns
    -------
    pathlib.Path
        ``report.html`` in that folder. The same files give the same bytes.

    Raises
    ------
    UserError
        When the folder is no run folder, holds no metrics, or a file in it is damaged.
    """
    run = read_run(run_dir)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hwflow.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {function.__name__: function for function in text.FILTERS}
    html = environment.get_template("report.html.j2").render(_page(run))
    target = run_dir / NAME
    partial = target.with_name(f".{NAME}.partial")
    partial.write_text(html, encoding="utf-8")
    partial.replace(target)
    logger.debug("report: %s, %d bytes", target, len(html))
    return target


def _page(run: RunFiles) -> dict[str, Any]:
    """What the template shows."""
    manifest, layers = run.manifest, run.layers or []
    checks = list(_rung_checks(run))
    budget = list(_budget_checks(run))
    working = [(number, layer) for number, layer in enumerate(layers, 1) if layer.macs]
    hardware = _hardware(run.rungs or [])
    bottleneck = max(layers, key=lambda layer: layer.cycles, default=None)
    seconds = manifest.when_and_where.step_seconds
    durations = dict(sorted(seconds.items(), key=lambda step: (-step[1], step[0])))
    return {
        "run": run,
        "plural": text.plural,
        "notice": _notice(manifest.status),
        "verdict": _verdict(run.rungs or [], checks, budget),
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
        "legend": figures.series([layer for _, layer in working]),
        "workload": figures.workload(working) if working else None,
        "hardware": hardware,
        "heat_maps": _heat_maps(run.faces, "Accelerator" if hardware == "good" else "Golden integer model"),
        "farthest": _farthest(run.faces),
        "roc": figures.roc(run.faces) if run.faces else None,
        "steps": figures.steps(durations) if durations else None,
        "steps_total": sum(durations.values()),
        "ports": _ports(run.interface) if run.interface else [],
        "command": shlex.join(["hwflow", *manifest.argv]),
        "artifacts": _artifacts(manifest.artifacts),
        "absent": {
            "layers": _why_absent(run, "convert"),
            "faces": _why_absent(run, "faces", "faces.accuracy"),
            "interface": _why_absent(run, "emit"),
        },
    }


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


def _budget_checks(run: RunFiles) -> Iterator[Check]:
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


def _verdict(rungs: list[RungRecord], checks: list[Check], budget: list[Check]) -> Verdict:
    differing = [record for record in rungs if record.mismatches]
    missing = [check.name for check in checks if check.state == "open"]
    over = [check.name for check in budget if check.state == "bad"]
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


def _heat_maps(faces: FacesRecord | None, quantized: str) -> list[tuple[str, Any]]:
    if faces is None:
        return []
    pairs = (("Float network", faces.similarity_float), (quantized, faces.similarity_hardware))
    return [(name, figures.similarity(matrix, faces.people, name)) for name, matrix in pairs]


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
