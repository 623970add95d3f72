# SPDX-License-Identifier: Apache-2.0
"""Every operation at all its cases: a new folder under ``ops/`` is tested without a line here."""

from __future__ import annotations

import numpy as np
import pytest

from hwflow.emit.design import build_design, check
from hwflow.emit.narrow import narrow, ranges
from hwflow.numerics.fixed import Codes
from hwflow.ops.base import Case, OpSpec
from hwflow.ops.casekit import case_graph, random_codes
from hwflow.ops.registry import op, ops
from hwflow.ops.reuse import pixel_cycles
from hwflow.verify.golden import run_golden
from tests import naive

CASES = [
    pytest.param(spec, case, id=f"{name}-{case.name}")
    for name, spec in ops().items()
    for case in spec.cases()
]
COMPUTING = [point for point in CASES if point.values[0].arity]  # type: ignore[union-attr]


def frames(case: Case, count: int) -> dict[str, Codes]:
    """Random codes of the inputs, then each input's extremes."""
    rng = np.random.default_rng(7)
    data = {}
    for node in case.inputs:
        low, high = node.type.range()
        extremes = np.stack([np.full(node.shape, low), np.full(node.shape, high)])
        data[node.name] = np.concatenate([random_codes(rng, (count, *node.shape), node.type), extremes])
    return data


@pytest.mark.parametrize("name", ops())
def test_names_of_cases_are_unique(name: str) -> None:
    names = [case.name for case in op(name).cases()]
    assert names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("spec", "case"), COMPUTING)
def test_reference_equals_naive_evaluation(spec: OpSpec, case: Case) -> None:
    graph, data = case_graph(case), frames(case, 2)
    got = run_golden(graph, data)[case.node.name]
    for frame in range(got.shape[0]):
        expected = naive.run(graph, {name: codes[frame] for name, codes in data.items()})[case.node.name]
        assert np.array_equal(got[frame], expected)


@pytest.mark.parametrize(("spec", "case"), COMPUTING)
def test_codes_stay_within_their_interval(spec: OpSpec, case: Case) -> None:
    graph, data = case_graph(case), frames(case, 40)
    exact, frac = spec.exact(case.node, [(data[node.name], node.type) for node in case.inputs])
    before = spec.interval(case.node, [ranges(graph)[node.name] for node in case.inputs])
    after = ranges(graph)[case.node.name]
    assert before.frac == frac
    assert after.frac == case.node.type.frac
    for interval, codes in ((before, exact), (after, run_golden(graph, data)[case.node.name])):
        assert interval.low.shape == interval.high.shape == (case.node.channels,)
        assert (codes >= interval.low).all()
        assert (codes <= interval.high).all()


@pytest.mark.parametrize(("spec", "case"), COMPUTING)
def test_narrowing_changes_no_code(spec: OpSpec, case: Case) -> None:
    graph, data = case_graph(case), frames(case, 10)
    narrowed = narrow(graph)
    node = narrowed.node(case.node.name)
    assert node.type.width <= case.node.type.width
    assert np.array_equal(run_golden(narrowed, data)[node.name], run_golden(graph, data)[node.name])


@pytest.mark.parametrize(("spec", "case"), CASES)
def test_case_can_become_hardware(spec: OpSpec, case: Case) -> None:
    graph = case_graph(case)
    check(graph)
    design = build_design(graph)
    folding = design.plan.folding[case.node.name]
    assert case.node.channels % folding.out_lanes == 0
    if folding.pe:
        products = case.node.params["weight"].codes.size
        assert folding.multipliers == folding.pe * folding.simd
        assert folding.cycles == pixel_cycles(case.node) == products // folding.multipliers
        # The outputs of one fold leave before those of the next are ready.
        assert folding.pe // folding.out_lanes <= folding.cycles


@pytest.mark.parametrize("name", [name for name, spec in ops().items() if spec.modules])
def test_modules_exist(name: str) -> None:
    from hwflow.emit.rtl import library_path

    assert all(library_path(module).stat().st_size for module in op(name).modules)
