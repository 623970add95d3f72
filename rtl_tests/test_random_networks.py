# SPDX-License-Identifier: Apache-2.0
"""Random whole networks through the fast Verilator harness: codes, rate and freedom of deadlock."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from hwflow.cost.cycles import predict_cycles
from hwflow.emit.design import build_design
from hwflow.emit.rtl import write_rtl
from hwflow.ops.casekit import random_codes
from hwflow.tools.verilator import QUICK
from hwflow.verify.golden import run_golden
from hwflow.verify.rtlsim import RtlSimulator
from rtl_tests.networks import random_network

FRAMES = 6
#: Shares of cycles without input and without output taken, in 1/1000.
STALLS = [(0, 0), (900, 0), (0, 900), (500, 500), (30, 990), (990, 10)]
II_SLACK = 1.02


@pytest.mark.sim
@pytest.mark.parametrize("number", range(4))
def test_random_network(number: int, tmp_path: Path, request: pytest.FixtureRequest, rerun: str) -> None:
    graph = random_network(100 * request.config.getoption("--hwf-seed") + number)
    design = build_design(graph)
    write_rtl(design, tmp_path / "rtl")
    (name,), (out,) = graph.inputs, graph.outputs
    source = graph.node(name)
    codes = random_codes(np.random.default_rng(number), (FRAMES, *source.shape), source.type)
    golden = run_golden(graph, {name: codes}, keep=[node.name for node in graph])
    simulator = RtlSimulator(tmp_path / "rtl", tmp_path / "sim.log")
    simulator.build(flags=QUICK)

    for tensor, traced in simulator.trace(codes).items():
        assert np.array_equal(traced, golden[tensor]), (
            f"first layer that differs: {tensor}; run again: {rerun}"
        )
    for (idle, stall), seed in product(STALLS, (1, 2)):
        result = simulator.run(codes, idle=idle, stall=stall, seed=seed)
        assert np.array_equal(result.codes, golden[out]), f"idle {idle}, stall {stall}, seed {seed}; {rerun}"
    result = simulator.run(codes)
    assert result.ii_cycles is not None
    ratio = result.ii_cycles / design.plan.ii_bound
    assert ratio <= II_SLACK, f"initiation interval {result.ii_cycles}, bound {design.plan.ii_bound}; {rerun}"
    predicted = predict_cycles(design, FRAMES, log=tmp_path / "timing.log")
    assert (predicted.latency, predicted.ii) == (result.latency_cycles, result.ii_cycles), rerun
