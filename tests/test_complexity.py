# SPDX-License-Identifier: Apache-2.0
"""Parameters, multiply-accumulates, bit operations and memory of a network."""

from __future__ import annotations

import numpy as np
import pytest

from hwflow.cost.complexity import complexity, conv_macs, separable_macs
from hwflow.ir.graph import QuantGraph
from hwflow.ops.casekit import grid
from rtl_tests.networks import Builder, tiny_mobilefacenet


@pytest.mark.parametrize(("channels", "filters", "kernel"), [(3, 8, 3), (4, 6, 5)])
def test_formulas_count_what_layers_do(channels: int, filters: int, kernel: int) -> None:
    net = Builder(np.random.default_rng(1), 10**6)
    x = net.input((7, 9, channels), grid(8, 7))
    whole = net.conv(x, filters, kernel)
    depthwise = net.depthwise(x, kernel)
    pointwise = net.conv(depthwise, filters, 1)
    nodes = complexity(net.graph("net")).nodes
    assert nodes[whole.name].macs == conv_macs(7, 9, channels, filters, kernel)
    halves = nodes[depthwise.name].macs + nodes[pointwise.name].macs
    assert halves == separable_macs(7, 9, channels, filters, kernel)


def test_bits_of_constants_operations_and_tensors() -> None:
    net = Builder(np.random.default_rng(2), 10**6)
    image = net.input((4, 4, 2), grid(8, 7))
    conv = net.conv(image, 3, 3, weight=grid(5, 4))  # biases of 8 bits, results of 40
    act = net.quantize(conv)
    both = net.add(act, net.quantize(act))
    net.reshape(both, (48,))
    found = complexity(net.graph("net"))
    node = found.nodes[conv.name]
    assert (node.params, node.macs) == (54 + 3, 16 * 54)
    assert (node.weight_bits, node.bops) == (54 * 5 + 3 * 8, 16 * 54 * 5 * 8)
    assert found.figures() == {
        "params": 57,
        "macs": 864,
        "bops": 864 * 40,
        "weight_bits": 294,
        "st_macc": 864 + 48,  # a bias an output element
        "activation_bits": 32 * 8 + 48 * (40 + 8 + 8 + 48),  # the reshaped tensor is a view
        "activation_bits_peak": 48 * (8 + 8 + 48),
    }


def test_a_tensor_lives_until_its_last_reader() -> None:
    net = Builder(np.random.default_rng(3), 10**6)
    early = net.quantize(net.input((10,), grid(8, 7)))
    late = net.quantize(net.quantize(net.quantize(early)))
    graph = net.graph("chain")
    assert complexity(graph).activation_bits_peak == 2 * 80
    net.add(early, late)  # now the first activation waits for the last
    assert complexity(net.graph("branch")).activation_bits_peak == 80 + 80 + 480
    kept = QuantGraph("kept", graph.nodes, (early.name, late.name))
    assert complexity(kept).activation_bits_peak == 3 * 80


def test_sums_are_those_of_the_nodes() -> None:
    found = complexity(tiny_mobilefacenet())
    assert found.total("macs") == sum(node.macs for node in found.nodes.values()) > 10_000
    assert found.figures()["params"] == sum(node.params for node in found.nodes.values())
