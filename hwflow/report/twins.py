# SPDX-License-Identifier: Apache-2.0
"""The twins of a report: the same as Markdown, its tables as CSV, its drawings as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from hwflow.report import costs, text
from hwflow.report.designs import STATES
from hwflow.report.files import MARKDOWN, csv_text, drawing_file, markdown, markdown_table
from hwflow.report.folder import RunFiles

_MARKS = {"good": "✓", "bad": "✗", "open": "○"}
#: Drawings of a run that stand in its Markdown, with their headings.
_SHOWN = {"layers": "Load and cost of each layer", "dataflow": "Dataflow"}


def of_run(content: Mapping[str, Any]) -> dict[str, str]:
    """Files beside the report of a run, by name."""
    run: RunFiles = content["run"]
    found = {
        MARKDOWN: _joined(_run_lines(content)),
        "metrics.csv": csv_text(
            ("name", "value", "unit", "kind", "source", "reason"),
            ((m.name, m.value, m.unit, m.kind, m.source, m.reason) for m in run.metrics),
        ),
    }
    if content["layers"]:
        found["layers.csv"] = _layers_csv(content)
    if content["parts"]:
        found["parts.csv"] = csv_text(
            ("part", "family", "fits", "resource", "used", "available"),
            (
                (row.record.part, row.family, _yes(row.record.fits), use.resource, use.used, use.available)
                for row in content["parts"]
                for use in row.record.uses
            ),
        )
    if content["mcus"]:
        found["microcontrollers.csv"] = csv_text(
            ("name", "flash_bytes", "flash_available", "ram_bytes", "ram_available", "latency_ms",
             "latency_error", "misfits"),
            (
                (m.name, m.flash_bytes, m.flash_available, m.ram_bytes, m.ram_available, m.latency_ms,
                 m.latency_error, "; ".join(m.misfits))
                for m, _, _ in content["mcus"]
            ),
        )  # fmt: skip
    return found | _drawings(content)


def _drawings(content: Mapping[str, Any]) -> dict[str, str]:
    symbols = content.get("symbols", "")
    return {
        f"{name}.svg": drawing_file(drawing, symbols if name.startswith("similarity") else "")
        for name, drawing in content["drawings"].items()
    }


def _yes(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(lines).rstrip("\n") + "\n"


def _head(content: Mapping[str, Any]) -> list[str]:
    verdict = content["verdict"]
    return [
        f"# {markdown(content['title'])}: {verdict.title}",
        "",
        f"{_MARKS[verdict.state]} {markdown(verdict.detail)}",
        "",
    ]


def _key_figures(content: Mapping[str, Any]) -> list[str]:
    rows = ((f.name, f"{f.value} {f.unit}".strip(), f.detail) for f in content["key_figures"])
    return ["## Key figures", "", *markdown_table(("figure", ">value", ""), rows)]


def _checks(name: str, checks: Iterable[Any]) -> list[str]:
    rows = [(_MARKS[check.state], check.name, check.detail) for check in checks]
    return markdown_table(("", name, ""), rows) if rows else []


def _run_lines(content: Mapping[str, Any]) -> Iterable[str]:
    run: RunFiles = content["run"]
    yield from _head(content)
    if content["notice"]:
        yield from (content["notice"], "")
    rows = [(_MARKS[check.state], check.name, *_compared(check)) for check in content["checks"]]
    yield from markdown_table(("", "compared with the golden integers", ">codes", ">mismatches", ""), rows)
    yield from _checks("budget", content["budget"])
    yield from _key_figures(content)
    if content["pairs"]:
        yield from ("## Estimate beside measurement", "")
        yield from markdown_table(
            ("figure", ">estimate", ">measured", ">error", "how it was measured"),
            (
                (
                    pair.name,
                    text.grouped(pair.estimate),
                    text.grouped(pair.measured),
                    text.error(pair.error),
                    pair.how,
                )
                for pair in content["pairs"]
            ),
        )
    if content["families"]:
        yield from _cost_lines(content)
    for name, title in _SHOWN.items():
        if name in content["drawings"]:
            yield from (f"## {title}", "", f"![{title}]({name}.svg)", "")
    if content["layers"]:
        yield from ("## Layers", "", *_layer_lines(content))
    if run.faces:
        yield from ("## Faces", "")
        rates = (
            ("accuracy", run.faces.accuracy_float, run.faces.accuracy_quantized),
            ("area under ROC", run.faces.auc_float, run.faces.auc_quantized),
        )
        cells = (
            (name, text.decimal(a, 5), text.decimal(b, 5), text.signed(b - a, 5)) for name, a, b in rates
        )
        yield from markdown_table(("", ">float", ">quantized", ">difference"), cells)
        yield from ("![ROC](roc.svg)", "")
        yield from ("![Cosine similarity, float](similarity-float.svg)", "")
        yield from ("![Cosine similarity, hardware](similarity-hardware.svg)", "")
    for one in content["evaluations"]:
        yield from (f"## {markdown(one.records[0].dataset)}", "", *_evaluation_lines(one))
    yield from ("## Reproduce", "", "```sh", content["command"], "```", "")
    yield f"Design sha256 `{run.manifest.config.sha256}`; hwflow {run.manifest.versions.get('hwflow')}."


def _compared(check: Any) -> tuple[str, str, str]:
    record = check.record
    if record is None:
        return "", "", check.detail
    return text.grouped(record.values), text.grouped(record.mismatches), check.detail


def _cost_lines(content: Mapping[str, Any]) -> Iterable[str]:
    yield from ("## FPGA families, predicted", "")
    yield from markdown_table(
        (
            "family",
            *(f">{name}" for name in costs.RESOURCES.values()),
            "smallest part that fits",
            ">parts that fit",
        ),
        (
            (name, *(text.grouped(total.get(key)) for key in costs.RESOURCES), smallest or "none", count)
            for name, total, smallest, count in content["families"]
        ),
    )
    yield from ("## Microcontrollers", "")
    if not content["mcus"]:
        yield from (f"None: {markdown(content['mcus_reason'])}.", "")
        return
    yield from markdown_table(
        ("microcontroller", "fits", ">flash, bytes", ">RAM, bytes", ">latency, ms", ">median error"),
        (
            (
                mcu.name, "; ".join(mcu.misfits) or "yes", text.grouped(mcu.flash_bytes), text.grouped(mcu.ram_bytes),
                text.milliseconds(mcu.latency_ms), text.percent(mcu.latency_error, 0),
            )
            for mcu, _, _ in content["mcus"]
        ),
    )  # fmt: skip


def _layer_lines(content: Mapping[str, Any]) -> list[str]:
    rows = [
        (
            number,
            layer.name + (" (bottleneck)" if layer is content["bottleneck"] else ""),
            layer.op,
            text.shape(layer.shape),
            layer.weight_bits or "",
            text.grouped(layer.macs) if layer.macs else "",
            text.grouped(layer.reuse_factor) if layer.reuse_factor else "",
            f"{layer.pe}×{layer.simd}" if layer.pe and layer.simd else "",
            text.grouped(layer.cycles) if layer.cycles else "",
            text.percent(layer.utilisation, 0),
            *(
                text.grouped(one.values[number - 1]) if one.values[number - 1] else ""
                for one in content["resources"]
            ),
            content["fifos"][number - 1],
        )
        for number, layer in content["layers"]
    ]
    header = (">#", "layer", "operation", ">shape", ">bits", ">MACs", ">reuse", ">PE×SIMD", ">cycles", ">busy",
              *(f">{one.name}" for one in content["resources"]), ">FIFO")  # fmt: skip
    return markdown_table(header, rows)


def _layers_csv(content: Mapping[str, Any]) -> str:
    fields = ("name", "op", "output_type", "weight_bits", "params", "macs", "reuse_factor", "pe", "simd",
              "multipliers", "cycles", "utilisation", "buffer_pixels")  # fmt: skip
    resources, family = content["resources"], content["family"]
    named: list[str] = []
    for one in resources:
        named += [
            f"{one.resource}_{family}",
            *([f"{one.resource}_{family}_predicted"] if one.predicted else []),
        ]
    rows = []
    for number, layer in content["layers"]:
        counts: list[int | None] = []
        for one in resources:
            counts += [one.values[number - 1], *([one.predicted[number - 1]] if one.predicted else [])]
        rows.append(
            (
                number,
                text.shape(layer.shape),
                *(getattr(layer, field) for field in fields),
                *counts,
                " ".join(map(str, layer.fifo_beats)),
                content["fifos"][number - 1],
                _yes(layer is content["bottleneck"]),
            )
        )
    header = ("number", "shape", *fields, *named, "fifo_beats", "fifo_fill", "bottleneck")
    return csv_text(header, rows)


def _evaluation_lines(one: Any) -> list[str]:
    rows = [
        (
            record.embeddings, measure.measure, accuracy.protocol if accuracy else "",
            text.percent(accuracy.mean, 2) if accuracy else "", text.percent(measure.eer, 2),
            text.decimal(measure.auc, 5), *(text.percent(measure.tpr_at_fpr.get(rate), 2) for rate in one.rates),
        )
        for record in one.records
        for measure in record.measures
        for accuracy in measure.accuracies or [None]
    ]  # fmt: skip
    header = ("embeddings", "measure", "protocol", ">accuracy", ">EER", ">area under ROC",
              *(f">TPR at FPR {rate}" for rate in one.rates))  # fmt: skip
    shown = {"roc": "ROC"} | {
        f"{drawing}-{kind}": f"{title}, {kind}"
        for kind in one.kinds
        for drawing, title in (("tsne", "t-SNE"), ("angles", "Angles"))
    }
    drawings = [
        line for name, title in shown.items() for line in (f"![{title}]({quote(one.name)}-{name}.svg)", "")
    ]
    return [*markdown_table(header, rows), *drawings]


# ------------------------------------------------------------------------------------------------ several designs


def of_designs(content: Mapping[str, Any]) -> dict[str, str]:
    """Files beside the report of several designs, by name."""
    figures = list(dict.fromkeys(name for _, entry in content["entries"] for name in entry.metrics))
    header = ("design", "study", "state", "proof", "reason", *content["choices"], *figures)
    rows = (
        (
            entry.name, entry.group, entry.state, entry.proof[1], entry.reason,
            *(entry.choices.get(name) for name in content["choices"]), *(entry.metrics.get(name) for name in figures),
        )
        for _, entry in content["entries"]
    )  # fmt: skip
    found = {MARKDOWN: _joined(_designs_lines(content)), "designs.csv": csv_text(header, rows)}
    return found | _drawings(content)


def _designs_lines(content: Mapping[str, Any]) -> Iterable[str]:
    yield from _head(content)
    for study in content["studies"]:
        if study.limits:
            rows = ((one.name, one.asks, one.broken, one.known) for one in study.limits)
            yield from markdown_table((f"limits of {study.name}", "", ">broken by", ">of designs"), rows)
    for name, verdict, budget in content["runs"]:
        yield from (
            f"{_MARKS[verdict.state]} {markdown(name)}: {verdict.title}. {markdown(verdict.detail)}",
            "",
        )
        yield from _checks("budget", budget)
    if content["key_figures"]:
        yield from _key_figures(content)
    if content["drawings"]:
        yield from ("## Designs", "", "![Designs over two figures](designs.svg)", "")
    shown = [entry for _, entry in content["entries"] if entry.state == "front" or not entry.group]
    header = ("design", "state", "proof", *content["choices"], *(f">{name}" for name in content["columns"]))
    yield from markdown_table(
        header,
        (
            (
                f"{entry.group} {entry.name}".strip() if content["groups"] else entry.name,
                STATES[entry.state],
                entry.proof[1],
                *(
                    text.plain(entry.choices[name]) if name in entry.choices else ""
                    for name in content["choices"]
                ),
                *(text.plain(entry.metrics.get(name)) for name in content["columns"]),
            )
            for entry in shown
        ),
    )
    yield from ("All designs: [designs.csv](designs.csv).", "")
    if content["pairs"]:
        yield from ("## Estimate beside measurement", "")
        yield from markdown_table(
            ("design", "figure", ">estimate", ">measured", ">error", "measured as"),
            (
                (entry.name, pair.name, text.plain(pair.estimate), text.plain(pair.measured), text.error(pair.error),
                 pair.how)
                for entry, pair in content["pairs"]
            ),
        )  # fmt: skip
    if content["excluded"]:
        yield from ("## Refused and failed", "")
        yield from markdown_table(
            ("design", "state", "reason"),
            ((entry.name, STATES[entry.state], entry.reason) for entry in content["excluded"]),
        )
    yield from ("## Reproduce", "", "```sh", *filter(None, content["commands"]), "```", "")
    for name, facts in content["facts"]:
        yield from (f"- {markdown(name)}: {markdown(what)} {markdown(words)}" for what, words in facts)


# ------------------------------------------------------------------------------------------------ comparisons


def of_changes(content: Mapping[str, Any]) -> str:
    """A comparison as Markdown; what is equal is left out."""
    return _joined(_changes_lines(content))


def _changes_lines(content: Mapping[str, Any]) -> Iterable[str]:
    yield from _head(content)
    yield from (f"A: {markdown(content['a'])}", f"B: {markdown(content['b'])}", "")
    rows = [
        (_MARKS.get(content["marks"].get(change.verdict, ""), ""), change.name, before, after,
         "" if change.unit == "1" else change.unit, ratio, change.verdict)
        for change, before, after, ratio in content["changes"]
        if change.verdict != "equal"
    ]  # fmt: skip
    if rows:
        yield from markdown_table(("", "figure", ">A", ">B", "unit", ">change", "verdict"), rows)
    if content["folding"]:
        yield from ("## Layers", "", *markdown_table(("layer", "what", ">A", ">B"), content["folding"]))
    if content["keys"]:
        yield from ("## Design", "")
        yield from markdown_table(("key", "A", "B"), ((key, *pair) for key, pair in content["keys"].items()))
