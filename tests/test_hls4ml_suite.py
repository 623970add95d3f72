# SPDX-License-Identifier: Apache-2.0
"""A part of the suite in hls4ml's way of testing; ``make suite`` runs all of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.hls4ml_cases import IO_TYPES, Case, cases
from benchmarks.hls4ml_suite import Outcome, passed_before, remember, run_case, write_report

ALL = {case.ident: case for case in cases()}
CHOSEN = (
    "dense-resource-rf4",
    "activation-leaky",
    "conv1d-same-stride2-resource",
    "depthconv2d-same-x2",
    "sepconv2d-valid-stride1",
    "pooling2d-average-same-stride1",
    "globalpooling-max1d",
    "merge-subtract-swapped",
    "concatenate-3d-axis3",
    "graph-residual",
    "graph-two-outputs",
    "qkeras-conv-QConv2D",
)


@pytest.mark.tf
@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("io_type", IO_TYPES)
@pytest.mark.parametrize("ident", CHOSEN)
def test_exact_and_close(ident: str, io_type: str, tmp_path: Path) -> None:
    outcome = run_case(ALL[ident], io_type, tmp_path)
    assert outcome.codes > 0
    assert outcome.different == 0, f"{outcome.different} of {outcome.codes} codes differ from the C++"
    assert outcome.close, f"{outcome.error:g} from Keras"


def test_the_suite_covers_the_layer_list() -> None:
    assert len(ALL) == len(cases()), "two cases have one name"
    io = Counter(io_type for case in ALL.values() for io_type in case.io_types)
    assert min(io.values()) >= 75
    assert sum(io.values()) >= 150
    assert len({case.theme for case in ALL.values()}) >= 20


def test_report_counts_what_failed(tmp_path: Path) -> None:
    case = next(iter(ALL))
    outcomes = [
        Outcome(case, "io_stream", codes=4, close=True),
        Outcome(case, "io_parallel", codes=4, different=1, close=True),
        Outcome(case, "io_parallel", codes=4, error=9.0),
        Outcome(case, "io_parallel", failure="ConfigError: no"),
    ]
    assert [outcome.passed for outcome in outcomes] == [True, False, False, False]
    write_report(outcomes, tmp_path)
    page = (tmp_path / "hls4ml-suite.md").read_text()
    assert "1 of 4 cases pass" in page
    assert "1 of 4 codes differ from the C++" in page and "9 from Keras" in page and "ConfigError: no" in page


def test_only_what_passed_with_the_same_code_is_left_out(tmp_path: Path) -> None:
    state = tmp_path / "new" / "state.jsonl"
    good = Outcome("a", "io_stream", codes=4, close=True, code="now")
    other = replace(good, case="b", code="before")
    for outcome in good, other, replace(good, case="c", different=1):
        remember(state, outcome)
    with state.open("a") as stream:
        stream.write('{"code": "now", "case": "cut')
    assert passed_before(state, "now") == {("a", "io_stream"): good}
    assert list(passed_before(state, None).values()) == [good, other]


def test_cases_are_reproducible() -> None:
    case = Case("a", "b", list, (2, 3))
    assert case.ident == "a-b"
