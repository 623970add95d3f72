# SPDX-License-Identifier: Apache-2.0
"""Automatic folding: optimal choices, budgets, what is out of reach, and the design that is written."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
import yaml

from hwflow.config.folding import to_yaml, with_folding
from hwflow.config.load import parse_config
from hwflow.cost.parts import find_part, resource_names
from hwflow.cost.tune import Budget, Option, Tuner
from hwflow.emit.design import Design
from hwflow.errors import BudgetError
from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.ops.casekit import grid
from hwflow.ops.registry import op
from hwflow.tools.targets import Resources
from rtl_tests.networks import Builder, tiny_mobilefacenet

SCALE = {"lut": 1000, "ff": 2000, "dsp": 20}


@cache
def three_layers() -> QuantGraph:
    net = Builder(np.random.default_rng(5), 1000)
    x = net.quantize(net.conv(net.input((6, 6, 3), grid(8, 7)), 4, 3))
    x = net.quantize(net.depthwise(x, 3))
    net.conv(x, 6, 1)
    return net.graph("three")


class Priced(Tuner):
    """With prices that make it worth while to mix styles and factors; the streams between cost a constant."""

    BETWEEN = Resources(lut=100, ff=50)

    def own(self, node: QuantNode) -> Resources:
        sources = [self.graph.node(name) for name in node.inputs]
        count = op(node.op).folding(node, sources, [1]).multipliers
        memory = 40 * node.reuse_factor // 9
        if node.attrs["mult_style"] == "lut":
            return Resources(lut=31 * count + memory, ff=7 * count)
        if node.attrs["mult_style"] == "auto":
            return Resources(lut=5 * count + memory, ff=3 * count, dsp=count)
        return Resources(lut=11 * count + memory, ff=19 * count, dsp=-(-count // 2))

    def whole(self, design: Design) -> Resources:
        nodes = [node for node in design.graph if node.name in self.factors]
        return sum((self.own(node) for node in nodes), self.BETWEEN)


def cost(options: tuple[Option, ...]) -> float:
    total = sum((option.resources for option in options), Priced.BETWEEN)
    shares = [getattr(total, name) / count for name, count in SCALE.items()]
    return sum(shares) + max(shares)


@pytest.mark.parametrize("limits", [{}, {"lut": 1000, "ff": 2000, "dsp": 20}, {"dsp": 3}, {"lut": 600}])
@pytest.mark.parametrize("interval", [200, 500, 1500])
def test_no_combination_of_options_costs_less(limits: dict[str, int], interval: int) -> None:
    tuner = Priced(three_layers(), Budget(limits, SCALE, "the budget"), "xc7")
    tuner.at(max(tuner.intervals))  # now it is known what the streams cost
    every = product(*(tuner.options(name, interval) for name in tuner.factors))
    allowed = [
        combination
        for combination in every
        if not tuner.budget.excess(sum((option.resources for option in combination), Priced.BETWEEN))
    ]
    tuned = tuner.at(interval)
    if not allowed:
        assert tuned is None
        return
    assert tuned is not None
    assert cost(tuple(tuned.options.values())) <= min(map(cost, allowed)) * 1.002
    assert tuned.interval <= interval
    assert not tuner.budget.excess(tuned.resources)


def test_options_that_are_left_out_would_not_have_served() -> None:
    tuner = Priced(three_layers(), Budget({}, SCALE, ""), "xc7")
    for name in tuner.factors:
        kept = tuner.options(name, 500)
        assert all(option.cycles <= 500 for option in kept)
        largest = max(factor for factor, cycles in tuner.factors[name] if cycles <= 500)
        assert largest in {option.reuse for option in kept}
        for one, other in product(kept, kept):
            better = [getattr(one.resources, key) < getattr(other.resources, key) for key in SCALE]
            assert one is other or any(better)


def real(graph: QuantGraph, part: str, **limits: int) -> Tuner:
    found = find_part(part)
    held = {name: getattr(found, name) for name in resource_names(found) if getattr(found, name)}
    return Tuner(graph, Budget(held | limits, held, part), found.target)


def test_fewest_multipliers_are_those_of_the_largest_factors() -> None:
    tuner = real(tiny_mobilefacenet(), "xczu9eg")
    tuned = tuner.reach(1200, "1,200 cycles")
    assert tuned.interval <= 1200
    assert (
        tuned.fewest_multipliers == tuner.fewest(1200) <= sum(o.multipliers for o in tuned.options.values())
    )
    nodes = tuned.graph.by_name()
    for name, option in tuned.options.items():
        assert (nodes[name].reuse_factor, nodes[name].attrs["mult_style"]) == (option.reuse, option.style)
        assert option.cycles <= 1200
    whole = tuned.design.plan.folding
    assert {name: whole[name].multipliers for name in tuned.options} == {
        name: option.multipliers for name, option in tuned.options.items()
    }


def test_the_fastest_within_a_budget_has_no_faster_one_that_fits() -> None:
    graph = tiny_mobilefacenet()
    slow = real(graph, "lfe5u-25").reach(10**6, "any").resources.lut
    tuned = real(graph, "lfe5u-25", lut=slow + 1500).fastest()
    assert tuned.resources.lut <= slow + 1500
    again = real(graph, "lfe5u-25", lut=slow + 1500)
    shorter = [interval for interval in again.intervals if interval < tuned.interval]
    assert shorter
    assert again.at(shorter[-1]) is None


def test_a_goal_beyond_the_bound_names_the_layer_that_sets_it() -> None:
    tuner = real(tiny_mobilefacenet(), "xczu9eg")
    assert (tuner.bound, tuner.binding) == (144, "input")  # a pixel a cycle
    with pytest.raises(BudgetError, match=r"1 fps allows 100 cycles .* input takes 144 .* 44 too many"):
        tuner.reach(100, "1 fps")


def test_what_does_not_fit_is_told_with_what_is_short() -> None:
    tuner = real(tiny_mobilefacenet(), "lfe5u-25", lut=500)
    with pytest.raises(BudgetError, match=r"too large for lfe5u-25: it takes .* LUT of 500 .* times"):
        tuner.fastest()
    graph = tiny_mobilefacenet()
    slow = real(graph, "lfe5u-25").reach(10**6, "any").resources.lut
    with pytest.raises(
        BudgetError, match=r"at 1\d\d cycles a frame it takes .* of .* times.* the fastest that fits"
    ):
        real(graph, "lfe5u-25", lut=slow + 1500).reach(150, "150 cycles")


@pytest.mark.parametrize("allowed", [3000, 2000])
def test_latency_is_reached_by_the_longest_interval_that_serves(allowed: int) -> None:
    tuner = Priced(three_layers(), Budget({}, SCALE, "the budget"), "xc7")
    tuned = tuner.within_latency(allowed, "so long", lambda design: 2 * design.plan.ii_bound + 100)
    every = [found.interval for interval in tuner.intervals if (found := tuner.at(interval))]
    assert tuned.interval == max(interval for interval in every if 2 * interval + 100 <= allowed)
    with pytest.raises(BudgetError, match="so long allows 90 cycles, but the fastest"):
        tuner.within_latency(90, "so long", lambda design: 2 * design.plan.ii_bound + 100)


def test_adder_graphs_stay_as_they_are() -> None:
    graph = three_layers()
    first = next(node for node in graph if node.op == "conv2d")
    still = replace(first, reuse_factor=1, attrs={**first.attrs, "strategy": "distributed_arithmetic"})
    nodes = tuple(still if node is first else node for node in graph)
    tuner = Priced(replace(graph, nodes=nodes), Budget({}, SCALE, ""), "xc7")
    assert first.name not in tuner.factors and len(tuner.factors) == 2


DESIGN = """\
# A design.
# Of two lines.
HLSConfig:
  Model: {ReuseFactor: 1}  # a default
  LayerName:
    conv: {ReuseFactor: 9, Strategy: Resource}
    sep: {ReuseFactor: 4}
Hwflow:
  Model: {Source: jet-mlp}
  Seed: 3
"""


def test_the_new_design_keeps_all_but_the_folding() -> None:
    factors = {"conv": 27, "sep_depthwise": 6, "sep_pointwise": 8, "my_depthwise": 2}
    styles = {"conv": "lut", "sep_depthwise": "auto", "sep_pointwise": "lut", "my_depthwise": "lut"}
    layers = {"conv", "sep", "my_depthwise"}
    text = to_yaml(with_folding(yaml.safe_load(DESIGN), factors, styles, layers), DESIGN, "Folded.")
    assert text.startswith("# A design.\n# Of two lines.\n#\n# Folded.\nHLSConfig:")
    design = yaml.safe_load(text)
    assert design["HLSConfig"]["Model"] == {"ReuseFactor": 1}
    assert design["HLSConfig"]["LayerName"] == {
        "conv": {"ReuseFactor": 27, "Strategy": "Resource"},
        "sep": {"DepthwiseReuseFactor": 6, "PointwiseReuseFactor": 8},
        "my_depthwise": {"ReuseFactor": 2},
    }
    assert design["Hwflow"] == {
        "Model": {"Source": "jet-mlp"},
        "Seed": 3,
        "MultStyle": {"default": "lut", "sep_depthwise": "auto"},
    }
    assert parse_config(design, "new").Hwflow.Seed == 3


def test_one_style_needs_no_names() -> None:
    design = with_folding({"Hwflow": {}}, {"a": 2, "b": 1}, {"a": "dsp", "b": "dsp"}, {"a", "b"})
    assert design["Hwflow"] == {"MultStyle": "dsp"}
    assert design["HLSConfig"] == {"LayerName": {"a": {"ReuseFactor": 2}, "b": {"ReuseFactor": 1}}}
