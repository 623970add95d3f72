# SPDX-License-Identifier: Apache-2.0
"""What the report of several designs shows: runs and the designs of studies, side by side."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hwflow.errors import UserError
from hwflow.records import DesignRecord, ProofRecord, StudyRecord, direction
from hwflow.report import costs, files, scatter, text
from hwflow.report.folder import STUDY, RunFiles, is_study, read_run, read_study_folder
from hwflow.report.page import Figure, State, Verdict, budget_checks, verdict
from hwflow.report.scatter import Axis, Mark

#: What is said of a design's state.
STATES = {"front": "on the front", "weighed": "weighed", "refused": "outside the limits", "failed": "failed"}
_ORDER = tuple(STATES)
#: Figures of runs that make columns, where a run has them; ``{family}`` is the FPGA family of the first run.
_COLUMNS = (
    "faces.accuracy", "faces.auc", "embedding.cosine_to_float.min", "rtl.fps", "rtl.ii_cycles",
    "rtl.latency_cycles", "synth.{family}.lut", "synth.{family}.ff", "synth.{family}.dsp", "synth.{family}.bram18",
    "cost.{family}.lut", "cost.{family}.ff", "cost.{family}.dsp", "cost.{family}.bram18", "model.macs",
    "model.bops", "model.weight_bits", "rtl.multipliers",
)  # fmt: skip
#: What runs are set against each other by, in order of preference.
_QUALITY = ("faces.accuracy", "embedding.cosine_to_float.min", "rtl.fps", "cost.{family}.fps")
_PRICE = ("synth.{family}.lut", "cost.{family}.lut", "rtl.multipliers", "model.bops", "rtl.ii_cycles")
#: Figures of a study and what a run of the design measures of them.
_MEASURED = {
    "cost.ii_cycles": "rtl.ii_cycles",
    "cost.latency_cycles": "rtl.latency_cycles",
    "cost.lut": "synth.{family}.lut",
    "cost.ff": "synth.{family}.ff",
    "cost.dsp": "synth.{family}.dsp",
    "cost.bram": "synth.{family}.bram",
    "cost.bram18": "synth.{family}.bram18",
    "cost.uram": "synth.{family}.uram",
    "quality.accuracy": "faces.accuracy",
}
#: Columns of figures on paper.
_PRINTED = 4
_SYNTHESIZED = re.compile(r"synth\.([\w-]+)\.lut")


@dataclass(slots=True)
class Entry:
    """A design.

    Parameters
    ----------
    name, group : str
        What it is called, and the study it is of.
    state : str
        A key of :data:`STATES`.
    choices : dict of str to (str or float)
        What was chosen for it.
    metrics : dict of str to float
        Figures.
    proof : tuple of (State, str)
        What simulation says of it.
    reason : str
        Why it was refused, or the error.
    link : str
        Its own report, relative to this one.
    """

    name: str
    group: str
    state: str
    choices: dict[str, str | float]
    metrics: dict[str, float]
    proof: tuple[State, str]
    reason: str = ""
    link: str = ""
    pairs: list[costs.Pair] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LimitCheck:
    """A limit of a study: what it asks for, and how many designs break it of those that are known."""

    name: str
    asks: str
    broken: int
    known: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice of a study: how many designs made it, and how many of those are on the front."""

    dimension: str
    value: str
    designs: int
    front: int


@dataclass(frozen=True, slots=True)
class Study:
    """A study as the report shows it."""

    name: str
    record: StudyRecord
    entries: list[Entry]
    limits: list[LimitCheck]
    choices: list[Choice]
    command: str
    facts: list[tuple[str, str]]


def content(places: Sequence[Path], out: Path) -> dict[str, Any]:
    """What the template and the twins of several designs show.

    Parameters
    ----------
    places : sequence of pathlib.Path
        Run folders and folders of studies.
    out : pathlib.Path
        Where the report will lie.
    """
    studies = [_study(place, out, named=len(places) > 1) for place in places if is_study(place)]
    runs = [(place, _run(place)) for place in places if not is_study(place)]
    family = next((found for _, run in runs if (found := costs.shown_family(run))), "")
    entries = [entry for study in studies for entry in study.entries]
    entries += [_entry(place, run, out) for place, run in runs]
    axes, x_at, y_at = _axes(studies, entries, family)
    if axes:
        _place_runs([entry for entry in entries if not entry.group], entries, axes[x_at], axes[y_at])
    first = next((name for study in studies for name in study.record.objectives), "")
    entries.sort(key=lambda entry: (_ORDER.index(entry.state), _first(entry, first)))
    marks = [_mark(number, entry, axes) for number, entry in enumerate(entries)]
    marks.sort(key=lambda mark: (mark.weighed, "front" in mark.class_.split()))
    verdicts = [_study_verdict(study) for study in studies]
    verdicts += [_runs_verdict([run for _, run in runs])] if runs else []
    columns = _columns(studies, entries, family)
    return {
        "title": ", ".join([*(study.name for study in studies), *(place.name for place, _ in runs)]),
        "verdict": _joint(verdicts),
        "studies": studies,
        "runs": [(place.name, verdict(run), list(budget_checks(run))) for place, run in runs],
        "key_figures": [figure for study in studies for figure in _key_figures(study, len(studies) > 1)],
        "entries": list(enumerate(entries)),
        "excluded": [entry for entry in entries if entry.state in ("refused", "failed")],
        "states": STATES,
        "counts": Counter(entry.state for entry in entries),
        "groups": len(studies) + bool(runs) > 1,
        "proven": any(entry.proof[1] for entry in entries),
        "choices": list(dict.fromkeys(name for entry in entries for name in entry.choices)),
        "columns": columns,
        "printed": _PRINTED,
        "axes": axes,
        "x_at": x_at,
        "y_at": y_at,
        "plot_data": scatter.script_data(axes, marks),
        "drawings": {"designs": scatter.plot(axes, marks, x_at, y_at)} if axes else {},
        "pairs": [(entry, pair) for entry in entries for pair in entry.pairs],
        "commands": [study.command for study in studies]
        + [shlex.join(["hwflow", *run.manifest.argv]) for _, run in runs],
        "facts": [(study.name, study.facts) for study in studies]
        + [(place.name, _run_facts(run)) for place, run in runs],
    }


def _run(place: Path) -> RunFiles:
    if place.is_dir() and not (place / "manifest.json").is_file():
        raise UserError(
            f"{place} is neither a run folder nor a study: it holds no manifest.json and no {STUDY}",
            "name folders that `hwflow run` wrote, or those of studies that have ended",
        )
    return read_run(place)


def _first(entry: Entry, objective: str) -> tuple[float, int, str]:
    """Order within a state: by the first objective, the best first."""
    value = entry.metrics.get(objective)
    number = int(entry.name) if entry.name.isdigit() else 0
    return (0.0 if value is None else -(direction(objective) or 1) * value, number, entry.name)


# ------------------------------------------------------------------------------------------------ studies


def _study(place: Path, out: Path, *, named: bool) -> Study:
    record = read_study_folder(place)
    name = record.name or place.name
    front = set(record.front)
    entries = [
        _designed(place, out, name, record, design, design.number in front) for design in record.designs
    ]
    provenance = record.provenance
    versions = provenance.get("versions") or {}
    git = provenance.get("git") or {}
    killed = sum(not session.get("ended") for session in record.sessions)
    seconds = sum(design.seconds for design in record.designs)
    facts = [
        ("Sessions", f"{len(record.sessions)}{f', of them killed: {killed}' if killed else ''}"),
        ("Processor time", text.seconds(seconds) if seconds else ""),
        ("Definition", _words(record.definition)),
        ("Study", f"sha256 {provenance['study_sha256']}" if "study_sha256" in provenance else ""),
        ("Base design", f"sha256 {provenance['base_sha256']}" if "base_sha256" in provenance else ""),
        (
            "Source",
            f"{git['commit']}{', with uncommitted changes' if git.get('dirty') else ''}" if git else "",
        ),
        ("Versions", ", ".join(f"{tool} {version}" for tool, version in versions.items() if version)),
    ]
    argv = provenance.get("argv")
    return Study(
        name=name,
        record=record,
        entries=entries,
        limits=list(_limits(record)),
        choices=list(_choices(entries)),
        command=shlex.join(["hwflow", *argv]) if argv else "",
        facts=[(what, words) for what, words in facts if words],
    )


def _words(definition: Mapping[str, Any]) -> str:
    """Keys of a study on one line, without those that say nothing."""

    def one(value: Any) -> str:
        if isinstance(value, Mapping):
            parts = (f"{key}: {one(item)}" for key, item in value.items() if item not in (None, {}, []))
            return "{" + ", ".join(parts) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(one(item) for item in value) + "]"
        return str(value)

    return ", ".join(
        f"{key}: {one(value)}" for key, value in definition.items() if value not in (None, {}, [])
    )


def _designed(
    place: Path, out: Path, group: str, record: StudyRecord, design: DesignRecord, is_front: bool
) -> Entry:
    state = "front" if is_front else {"complete": "weighed"}.get(design.state, design.state)
    said = record.verified.get(str(design.number))
    proof: tuple[State, str] = ("open", "")
    if said is not None:
        proof = ("good", "bit-exact") if said == "exact" else ("bad", said)
    run = record.proofs.get(str(design.number))
    return Entry(
        name=str(design.number),
        group=group,
        state=state,
        choices={name: _choice(value) for name, value in design.point.items()},
        metrics=_finite(design.metrics.items()),
        proof=proof,
        reason=design.reason,
        link=_link(place / run.run / files.NAME, out) if run else "",
        pairs=list(_pairs(design, run)) if run else [],
    )


def _finite(figures: Iterable[tuple[str, object]]) -> dict[str, float]:
    """Figures that are numbers."""
    return {
        name: value
        for name, value in figures
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _pairs(design: DesignRecord, run: ProofRecord) -> Iterator[costs.Pair]:
    """What the study predicted of a design beside what its run measured."""
    families = [match[1] for name in run.metrics if (match := _SYNTHESIZED.fullmatch(name))]
    for name, other in _MEASURED.items():
        measured = other.format(family=families[0] if families else "")
        value, estimate = run.metrics.get(measured), design.metrics.get(name)
        if isinstance(value, int | float) and estimate is not None:
            yield costs.Pair(name, "", measured, estimate, value)


def _link(target: Path, out: Path) -> str:
    """Address of one report as seen from another; empty where that does not exist."""
    return quote(Path(os.path.relpath(target, out)).as_posix()) if target.is_file() else ""


def _limits(record: StudyRecord) -> Iterator[LimitCheck]:
    for name, limit in (record.definition.get("Limits") or {}).items():
        least, most = limit.get("Min"), limit.get("Max")
        known = [design.metrics[name] for design in record.designs if name in design.metrics]
        broken = sum((least is not None and v < least) or (most is not None and v > most) for v in known)
        asks = [f"at least {text.plain(least)}"] if least is not None else []
        asks += [f"at most {text.plain(most)}"] if most is not None else []
        yield LimitCheck(name, ", ".join(asks), broken, len(known))
    part = record.definition.get("Part")
    if part:
        small = sum(design.reason.startswith("does not fit") for design in record.designs)
        yield LimitCheck("Part", f"fits {part}", small, len(record.designs))


def _choices(entries: Sequence[Entry]) -> Iterator[Choice]:
    """Choices of dimensions that offer more than one."""
    for dimension in dict.fromkeys(name for entry in entries for name in entry.choices):
        made = [(entry.choices[dimension], entry) for entry in entries if dimension in entry.choices]
        values = sorted({value for value, _ in made}, key=lambda value: (isinstance(value, str), value))
        for value in values if len(values) > 1 else ():
            of = [entry for chosen, entry in made if chosen == value]
            front = sum(entry.state == "front" for entry in of)
            yield Choice(dimension, text.plain(value), len(of), front)


def _choice(value: Any) -> str | float:
    """A choice as it is shown and sorted: numbers stay such."""
    if value is None:
        return "none"
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _study_verdict(study: Study) -> Verdict:
    counts = Counter(entry.state for entry in study.entries)
    front, proofs = counts["front"], Counter(e.proof[0] for e in study.entries if e.proof[1])
    weighed = front + counts["weighed"]
    detail = (
        f"{study.name}: {text.plural(len(study.entries), 'design')}, of which {weighed:,} weighed, "
        f"{counts['refused']:,} outside the limits, {counts['failed']:,} failed."
    )
    front_words = f"{text.plural(front, 'design')} on the front"
    if not front:
        return Verdict("bad", "No design keeps the limits", detail)
    if proofs["bad"]:
        return Verdict("bad", f"{front_words}, {text.plural(proofs['bad'], 'run')} failed", detail)
    if proofs["good"] == front:
        return Verdict("good", f"{front_words}, all proven bit-exact", detail)
    proven = (
        f"{proofs['good']:,} of them proven bit-exact" if proofs["good"] else "none of them proven in RTL yet"
    )
    return Verdict("open", f"{front_words}, {proven}", detail)


def _key_figures(study: Study, several: bool) -> Iterator[Figure]:
    """The best of each objective, and the design closest to the best of all."""
    front = [entry for entry in study.entries if entry.state == "front"]
    objectives = study.record.objectives
    if not front:
        return
    suffix = f", {study.name}" if several else ""
    for name, wanted in objectives.items():
        sign = 1 if wanted == "maximize" else -1
        one = max(front, key=lambda entry: sign * entry.metrics[name])
        word = "Largest" if wanted == "maximize" else "Smallest"
        yield Figure(f"{word} {name}{suffix}", text.plain(one.metrics[name]), "", f"design {one.name}")
    if len(objectives) > 1 and len(front) > 2:
        one = min(front, key=lambda entry: _distance(entry, front, objectives))
        values = ", ".join(f"{name} {text.plain(one.metrics[name])}" for name in objectives)
        yield Figure(f"Compromise{suffix}", f"design {one.name}", "", f"nearest to the best of all: {values}")


def _distance(entry: Entry, front: Sequence[Entry], objectives: Mapping[str, str]) -> float:
    """Distance to the best value of every objective, each scaled to the range it has on the front."""
    total = 0.0
    for name, wanted in objectives.items():
        values = [one.metrics[name] for one in front]
        best = max(values) if wanted == "maximize" else min(values)
        span = max(values) - min(values)
        total += ((entry.metrics[name] - best) / span) ** 2 if span else 0.0
    return total


# ------------------------------------------------------------------------------------------------ runs


def _entry(place: Path, run: RunFiles, out: Path) -> Entry:
    found = verdict(run)
    return Entry(
        name=place.name,
        group="",
        state="weighed",
        choices={},
        metrics=_finite((metric.name, metric.value) for metric in run.metrics),
        proof=(found.state, found.title),
        link=_link(place / files.NAME, out),
    )


def _place_runs(runs: Iterable[Entry], entries: Iterable[Entry], x: Axis, y: Axis) -> None:
    """Tell which runs no other design beats in the figures that are shown first."""
    rivals = [
        e for e in entries if e.state in ("front", "weighed") and x.name in e.metrics and y.name in e.metrics
    ]
    points = [(e.metrics[x.name], e.metrics[y.name]) for e in rivals]
    best = [rivals[number] for number in scatter.best(points, x, y)] if x.toward and y.toward else []
    for run in runs:
        if any(run is one for one in best):
            run.state = "front"


def _run_facts(run: RunFiles) -> list[tuple[str, str]]:
    manifest = run.manifest
    dirty = ", with uncommitted changes" if manifest.git and manifest.git.dirty else ""
    return [
        ("Design", f"sha256 {manifest.config.sha256}"),
        *([("Source", f"{manifest.git.commit}{dirty}")] if manifest.git else []),
        ("hwflow", str(manifest.versions.get("hwflow"))),
    ]


def _runs_verdict(runs: Sequence[RunFiles]) -> Verdict:
    found = [verdict(run) for run in runs]
    good = sum(one.state == "good" for one in found)
    state: State = (
        "bad" if any(one.state == "bad" for one in found) else "good" if good == len(runs) else "open"
    )
    title = f"{good:,} of {text.plural(len(runs), 'run')} bit-exact and within budget"
    return Verdict(state, title, f"{text.plural(len(runs), 'run')} side by side.")


def _joint(verdicts: Sequence[Verdict]) -> Verdict:
    state: State = next((s for s in ("bad", "open") if any(one.state == s for one in verdicts)), "good")
    return Verdict(state, "; ".join(one.title for one in verdicts), " ".join(one.detail for one in verdicts))


# ------------------------------------------------------------------------------------------------ figures


def _axes(studies: Sequence[Study], entries: Sequence[Entry], family: str) -> tuple[list[Axis], int, int]:
    """Figures that designs can be set against each other by, and the two that are shown first."""
    wanted: dict[str, int] = {}
    for study in studies:
        wanted |= {name: 1 if way == "maximize" else -1 for name, way in study.record.objectives.items()}
    names = dict.fromkeys([*wanted, *sorted(name for entry in entries for name in entry.metrics)])
    rivals = [entry for entry in entries if entry.state in ("front", "weighed")] or entries
    axes = []
    for name in names:
        toward = wanted.get(name, direction(name))
        values = [entry.metrics[name] for entry in rivals if name in entry.metrics]
        if toward and len(set(values)) > 1:
            axes.append(scatter.axis(name, values, toward))
    if len(axes) < 2:
        return [], 0, 0
    known = {axis.name: sum(axis.name in entry.metrics for entry in rivals) for axis in axes}
    order = list(known)

    def shown(objectives: Iterable[str], usual: Iterable[str], other: int) -> int:
        """An objective, else what most of the designs have of the usual figures, else any."""
        names = [
            *objectives,
            *sorted((name.format(family=family) for name in usual), key=lambda name: -known.get(name, 0)),
        ]
        found = (order.index(name) for name in names if name in known)
        return next((at for at in found if at != other), int(other == 0))

    y_at = shown((name for name in wanted if wanted[name] > 0), _QUALITY, -1)
    return axes, shown((name for name in wanted if wanted[name] < 0), _PRICE, y_at), y_at


def _columns(studies: Sequence[Study], entries: Sequence[Entry], family: str) -> list[str]:
    """Figures that make columns of the table."""
    named = [name for study in studies for name in study.record.objectives]
    named += sorted({name for study in studies for entry in study.entries for name in entry.metrics})
    if any(not entry.group for entry in entries):
        named += [name.format(family=family) for name in _COLUMNS]
    wanted = {
        name for study in studies for name in (*study.record.objectives, *(x.name for x in study.limits))
    }
    known = {name: [entry.metrics[name] for entry in entries if name in entry.metrics] for name in named}
    if len(entries) == 1:
        return [name for name, values in known.items() if values]
    # what is the same for all says nothing; the CSV holds it
    return [name for name, values in known.items() if len(set(values)) > 1 or (values and name in wanted)]


def _mark(number: int, entry: Entry, axes: Sequence[Axis]) -> Mark:
    weighed = entry.state in ("front", "weighed")
    proven = ["exact"] if entry.proof[0] == "good" else []
    said = [STATES[entry.state], *([entry.proof[1]] if entry.proof[1] else [])]
    title = f"Design {entry.name}" if entry.group else entry.name
    choices = ", ".join(f"{name} {text.plain(value)}" for name, value in entry.choices.items())
    shown = [axis.name for axis in axes][:12]
    lines = [
        f"{title}: {', '.join(said)}",
        *([choices] if choices else []),
        *(f"{name} {text.plain(entry.metrics[name])}" for name in shown if name in entry.metrics),
        *([entry.reason] if entry.reason else []),
    ]
    values = [entry.metrics.get(axis.name) for axis in axes]
    return Mark(number, entry.name, " ".join([entry.state, *proven]), weighed, values, lines)
