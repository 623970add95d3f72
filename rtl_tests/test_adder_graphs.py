# SPDX-License-Identifier: Apache-2.0
"""Adder graphs of random matrices: exact in Python, and as modules side by side in one simulator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwflow.errors import InternalError, ToolNotFoundError, UserError
from hwflow.numerics.fixed import Cast, Codes, FixedType, Overflow, Rounding, apply_cast
from hwflow.ops import adder_graph as module
from hwflow.ops.adder_graph import AdderGraph, adder_graph, stages
from hwflow.ops.adder_graph_sv import ADDER_GRAPH_MODULES, Network, network_module
from hwflow.tools import da4ml
from rtl_tests.units import Port, Unit, format_of, pack, simulate_units

ROUNDINGS, OVERFLOWS = tuple(Rounding), tuple(Overflow)
#: How many random networks are simulated; the solver takes about a second for each that is not cached.
NETWORKS = 14


def random_matrix(rng: np.random.Generator, n_in: int, n_out: int, width: int) -> Codes:
    """Signed constants, a few of them zero."""
    codes = rng.integers(-(1 << (width - 1)), 1 << (width - 1), (n_in, n_out), dtype=np.int64)
    return codes * (rng.random((n_in, n_out)) < 0.8)


def columns(rng: np.random.Generator, low: Codes, high: Codes, count: int) -> Codes:
    """Input vectors within ranges: the extremes, then random ones."""
    return np.concatenate([[low, high], rng.integers(low, high, (count, low.size), endpoint=True)])


@settings(max_examples=12)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_graph_equals_its_matrix_within_exact_ranges(n_in: int, n_out: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = random_matrix(rng, n_in, n_out, width)
    low = rng.integers(-9, 4, n_in)
    high = low + rng.integers(0, 20, n_in)
    graph = adder_graph(matrix, low.tolist(), high.tolist())
    x = columns(rng, low, high, 30)
    assert np.array_equal(graph.evaluate(x), x @ matrix)
    assert_values_within(graph, x)
    stage = list(stages(graph, 2))
    for number, adder in enumerate(graph.adders, start=graph.n_in):
        assert stage[number] >= max(stage[adder.left.value], stage[adder.right.value])


def assert_values_within(graph: AdderGraph, x: Codes) -> None:
    """No value leaves its range, and both ends of each range are reached by some input of the ranges."""
    outputs = tuple(module.Term(value, 0, False) for value in range(graph.low.size))
    values = replace(graph, outputs=outputs).evaluate(x)
    assert (values >= graph.low).all()
    assert (values <= graph.high).all()


def test_special_matrices() -> None:
    zero = adder_graph(np.zeros((3, 2), dtype=np.int64), [0] * 3, [1] * 3)
    assert zero.outputs == (None, None)
    assert zero.depth == 0
    wires = adder_graph(np.array([[4, 0, -1], [0, 0, 0]]), [-2, -2], [1, 1])
    assert not wires.adders
    assert np.array_equal(wires.evaluate(np.array([[-2, 1]])), [[-8, 0, 2]])


def test_inputs_that_never_change_stay_in_the_graph() -> None:
    matrix = np.random.default_rng(0).integers(-1, 2, (6, 3))
    graph = adder_graph(matrix, [0, 0, -4, -4, 3, 0], [0, 3, 3, 3, 3, 0])
    x = np.array([[0, 2, 1, -3, 3, 0], [0, 0, -4, 3, 3, 0]])
    assert np.array_equal(graph.evaluate(x), x @ matrix)


def test_a_multiple_is_as_narrow_as_its_range() -> None:
    """3x as 4x - x is never negative where x is not."""
    graph = adder_graph(np.array([[3]]), [0], [63])
    assert (graph.low.min(), graph.high.max()) == (0, 189)


def test_a_wrong_graph_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = np.array([[3, 5]])
    parts = [{"in_shifts": [0], "ops": [[0, -1, -1, 0]], "outputs": [[0, 0, False], [0, 2, False]]}]
    monkeypatch.setattr(module, "solve", lambda problem: [parts])
    with pytest.raises(InternalError, match="column 0"):
        adder_graph(matrix, [0], [1])


def test_weights_too_wide_are_refused() -> None:
    with pytest.raises(UserError, match="24 bits"):
        adder_graph(np.array([[1 << 24]]), [0], [1])


def test_without_da4ml_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(da4ml, "package_version", lambda name: None)
    with pytest.raises(ToolNotFoundError, match="da4ml") as caught:
        adder_graph(np.array([[3]]), [0], [1])
    assert "hwflow[da]" in str(caught.value.remedy)


def network_unit(rng: np.random.Generator, number: int) -> Unit:
    """A network of random shape, formats and modes, with and without the register at its output."""
    n_in, n_out, width = (int(rng.integers(1, high)) for high in (9, 6, 9))
    matrix = random_matrix(rng, n_in, n_out, width)
    x_type = FixedType(bool(rng.integers(2)), int(rng.integers(1, 9)), int(rng.integers(-3, 6)))
    frac = x_type.frac + int(rng.integers(-2, 6))
    bias_frac = frac + int(rng.integers(3))
    bias = rng.integers(-60, 61, n_out) * int(rng.integers(2))
    grid = FixedType(bool(rng.integers(2)), int(rng.integers(1, 14)), bias_frac - int(rng.integers(-2, 7)))
    cast = Cast(grid, ROUNDINGS[number % 7], OVERFLOWS[number % 4])
    low, high = x_type.range()
    parameters = {
        "OutW": grid.width, "OutSigned": int(grid.signed), "OutFrac": grid.frac,
        "Rounding": number % 7, "Overflow": number % 4,
    }  # fmt: skip
    graph = adder_graph(matrix, [low] * n_in, [high] * n_in)
    network = Network(graph, frac, bias, bias_frac, x_type, parameters, None)
    name, text = network_module(network)
    assert network_module(network) == (name, text)
    x = columns(rng, np.full(n_in, low), np.full(n_in, high), 20)
    expected = apply_cast((x @ matrix << (bias_frac - frac)) + bias, bias_frac, cast)
    registered = number % 2
    return Unit(
        label=f"network{number}",
        module=name,
        parameters={"OutReg": registered},
        inputs=(Port("s_axis", n_in * x_type.width),),
        outputs=(Port("m_axis", n_out * grid.width),),
        stimulus={"s_axis": pack(x, n_in, x_type.width)},
        expected={"m_axis": pack(expected, n_out, grid.width)},
        formats={"m_axis": format_of(grid, n_out, 1)},
        sources={name: text},
        claims={"latency": network.latency + registered, "ii": 1},
    )


@pytest.mark.sim
def test_generated_modules(sim_build: Path, sim_env: None, seed: int, rerun: str) -> None:
    rng = np.random.default_rng(seed)
    units = [network_unit(rng, number) for number in range(NETWORKS)]
    simulate_units(units, ADDER_GRAPH_MODULES, "adder_graphs", sim_build, seed, rerun)
