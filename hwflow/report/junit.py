# SPDX-License-Identifier: Apache-2.0
"""JUnit XML of runs: a test case for each comparison and each line of a budget, as CI systems show them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hwflow.budget import budget_lines
from hwflow.errors import HwflowError
from hwflow.files import write_text
from hwflow.records import Metric, RungRecord
from hwflow.report.folder import read_run

NAME = "junit.xml"

_TITLES = {
    "qkeras": "QKeras",
    "csim": "hls4ml C++",
    "rtl": "RTL in Verilator",
    "netlist": "netlist of Yosys",
}
#: Steps that make the comparisons, where their name is another.
_STEPS = {"rtl": "rtlsim"}
#: What XML 1.0 cannot hold.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Suite:
    """All that CI is told of one design.

    Parameters
    ----------
    name : str
        The design.
    file : str
        Its YAML file, which CI systems link.
    rungs : sequence of RungRecord
        Comparisons that were made.
    metrics : sequence of Metric
        Figures of the run.
    budget : mapping of str to float
        Limits of the design.
    seconds : mapping of str to float
        Time of each step of the run, s.
    started : str
        When the run began, ISO 8601.
    host : str
        Machine it ran on.
    error : HwflowError or None
        What ended the run before its time.
    """

    name: str
    file: str
    rungs: Sequence[RungRecord] = ()
    metrics: Sequence[Metric] = ()
    budget: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    started: str = ""
    host: str = ""
    error: HwflowError | None = None


def suite_of(run: Path, name: str, file: str) -> Suite:
    """What a run folder has to tell.

    Raises
    ------
    UserError
        When it is no run folder, or damaged.
    """
    found = read_run(run)
    circumstances = found.manifest.when_and_where
    return Suite(
        name, file, found.rungs or (), found.metrics, found.config.Hwflow.Budget,
        circumstances.step_seconds, circumstances.started, circumstances.host,
    )  # fmt: skip


def write_junit(path: Path, suites: Iterable[Suite]) -> None:
    """Write the suites as one file."""
    root = ET.Element("testsuites", name="hwflow")
    for suite in suites:
        root.append(_suite(suite))
    _count(root)
    del root.attrib["skipped"]  # which the schema knows of suites only
    root.set("time", _time(sum(float(suite.get("time", "0")) for suite in root)))
    ET.indent(root)
    write_text(path, f"<?xml version='1.0' encoding='utf-8'?>\n{ET.tostring(root, encoding='unicode')}\n")


def _suite(suite: Suite) -> ET.Element:
    element = ET.Element("testsuite", name=_clean(suite.name), file=_clean(suite.file))
    if suite.started:
        element.set("timestamp", suite.started[: len("2026-01-31T12:00:00")])  # the schema knows no zone
    if suite.host:
        element.set("hostname", _clean(suite.host))
    properties = ET.SubElement(element, "properties")
    for metric in sorted(suite.metrics, key=lambda metric: metric.name):
        if metric.value is not None:
            ET.SubElement(properties, "property", name=metric.name, value=_clean(str(metric.value)))
    cases = [*_rung_cases(suite), *_budget_cases(suite)]
    if suite.error is not None:
        case = _case(suite, "run", "the run", 0.0)
        _outcome(case, "error", type(suite.error).__name__, suite.error.message, str(suite.error))
        cases.append(case)
    element.extend(cases)
    _count(element)
    element.set("time", _time(sum(suite.seconds.values())))
    return element


def _rung_cases(suite: Suite) -> Iterator[ET.Element]:
    """A case for each comparison, and one for each rung that was left out."""
    timed: set[str] = set()
    for rung in suite.rungs:
        seconds = 0.0 if rung.rung in timed else suite.seconds.get(_STEPS.get(rung.rung, rung.rung), 0.0)
        timed.add(rung.rung)
        scope = "every layer" if rung.scope == "layers" else rung.scope
        case = _case(suite, "verify", f"{_TITLES.get(rung.rung, rung.rung)}, {scope}", seconds)
        tensors = f" in {rung.tensors} tensors" if rung.tensors > 1 else ""
        compared = f"{rung.values} codes of {rung.frames} frames{tensors} compared with the golden integers"
        if rung.mismatches:
            message = f"{rung.mismatches} of {rung.values} codes differ; first {rung.first_difference}"
            _outcome(case, "failure", "mismatch", message, compared)
        else:
            ET.SubElement(case, "system-out").text = _clean(f"{compared}, all equal")
        yield case
    for metric in suite.metrics:
        rung_name = metric.name.removeprefix("verify.").removesuffix(".mismatches")
        if metric.name == f"verify.{rung_name}.mismatches" and metric.value is None:
            case = _case(suite, "verify", _TITLES.get(rung_name, rung_name), 0.0)
            ET.SubElement(case, "skipped", message=_clean(metric.reason))
            yield case


def _budget_cases(suite: Suite) -> Iterator[ET.Element]:
    """A case for each limit that there is a figure for."""
    known = {metric.name for metric in suite.metrics}
    for line in budget_lines(suite.budget, suite.metrics):
        if suite.error is not None and line.name not in known:
            continue  # the run did not get there, which is told once
        case = _case(suite, "budget", line.name, 0.0)
        if line.kept:
            ET.SubElement(case, "system-out").text = _clean(line.text)
        else:
            _outcome(case, "failure", "budget", line.text, line.text)
        yield case


def _case(suite: Suite, group: str, name: str, seconds: float) -> ET.Element:
    return ET.Element(
        "testcase", classname=_clean(f"{suite.name}.{group}"), name=_clean(name), time=_time(seconds)
    )


def _outcome(case: ET.Element, tag: str, kind: str, message: str, text: str) -> None:
    ET.SubElement(case, tag, type=kind, message=_clean(message)).text = _clean(text)


def _count(element: ET.Element) -> None:
    """Set the numbers of test cases of an element, by what became of them."""
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(name, str(sum(case.find(tag) is not None for case in cases)))


def _time(seconds: float) -> str:
    return f"{seconds:.3f}"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("�", text)
