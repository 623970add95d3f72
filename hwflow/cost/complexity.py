# SPDX-License-Identifier: Apache-2.0
"""Complexity of a network, whatever it runs on: parameters, multiply-accumulates, bit operations, memory.

Two conventions of multiply-accumulates are in use. *MACs* count every weight once an output pixel. *MACC*, ST's
count, adds one an output element of a layer with biases and one an element of a rectifier; see
:attr:`hwflow.cost.architectures.LayerTable.st_macc`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwflow.cost.architectures import macs, table_of
from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.ops.registry import op


def conv_macs(height: int, width: int, channels: int, filters: int, kernel: int) -> int:
    """Multiply-accumulates of a standard convolution, ``H * W * C * N * k**2``.

    Parameters
    ----------
    height, width : int
        Frame of the result, pixels; that of the input where the stride is 1 and the padding ``same``.
    channels, filters : int
        Channels read and written.
    kernel : int
        Height and width of the kernel, pixels.

    References
    ----------
    A. G. Howard et al., "MobileNets", arXiv:1704.04861, section 3.1.

    Examples
    --------
    >>> conv_macs(56, 56, 64, 128, 3)
    231211008
    """
    return height * width * channels * filters * kernel**2


def separable_macs(height: int, width: int, channels: int, filters: int, kernel: int) -> int:
    """Multiply-accumulates of a depthwise-separable convolution, ``H * W * C * (N + k**2)``.

    Parameters and reference are those of :func:`conv_macs`; ``C * k**2`` a pixel are the depthwise half's.

    Examples
    --------
    >>> conv_macs(56, 56, 64, 128, 3) / separable_macs(56, 56, 64, 128, 3)
    8.408759124087592
    """
    return height * width * channels * (filters + kernel**2)


@dataclass(frozen=True, slots=True)
class NodeComplexity:
    """Complexity of one node.

    Parameters
    ----------
    params : int
        Stored constants.
    macs : int
        Multiply-accumulates a frame.
    bops : int
        Bit operations a frame: multiply-accumulates times bits of a weight times bits of an activation.
    weight_bits : int
        Bits of all stored constants.
    bits_a_weight : int or None
        Bits of one weight; None where there are none.
    activation_bits : int
        Bits of the result; 0 where the node only renames its input.
    """

    params: int
    macs: int
    bops: int
    weight_bits: int
    bits_a_weight: int | None
    activation_bits: int


@dataclass(frozen=True, slots=True)
class Complexity:
    """Complexity of a network.

    Parameters
    ----------
    nodes : mapping of str to NodeComplexity
        By node, in dataflow order.
    st_macc : int
        ST's MACC.
    activation_bits_peak : int
        Bits of all tensors that are alive at once, at most: from the node that makes them to their last reader.
    """

    nodes: Mapping[str, NodeComplexity]
    st_macc: int
    activation_bits_peak: int

    def total(self, name: str) -> int:
        """Sum of a figure of :class:`NodeComplexity` over all nodes."""
        return sum(getattr(node, name) or 0 for node in self.nodes.values())

    def figures(self) -> dict[str, int]:
        """The figures of the whole network by name."""
        sums = {
            name: self.total(name) for name in ("params", "macs", "bops", "weight_bits", "activation_bits")
        }
        return {**sums, "st_macc": self.st_macc, "activation_bits_peak": self.activation_bits_peak}


def complexity(graph: QuantGraph) -> Complexity:
    """Complexity of an integer network.

    Parameters
    ----------
    graph : QuantGraph
        The network.

    Returns
    -------
    Complexity
    """
    nodes = graph.by_name()
    found = {node.name: _of(node, [nodes[name] for name in node.inputs]) for node in graph}
    return Complexity(found, table_of(graph).st_macc, _peak(graph, found))


def _of(node: QuantNode, inputs: list[QuantNode]) -> NodeComplexity:
    weight = node.params.get("weight")
    bits, work = (None, 0) if weight is None else (weight.type.width, macs(node))
    is_view = bool(inputs) and not op(node.op).modules
    return NodeComplexity(
        params=sum(param.codes.size for param in node.params.values()),
        macs=work,
        bops=work * bits * inputs[0].type.width if bits else 0,
        weight_bits=sum(param.codes.size * param.type.width for param in node.params.values()),
        bits_a_weight=bits,
        activation_bits=0 if is_view else node.pixels * node.channels * node.type.width,
    )


def _peak(graph: QuantGraph, found: Mapping[str, NodeComplexity]) -> int:
    """Most bits of tensors that are alive while a node works, in dataflow order."""
    owner: dict[str, str] = {}
    last: dict[str, int] = {}
    for step, node in enumerate(graph):
        view = not found[node.name].activation_bits
        owner[node.name] = owner[node.inputs[0]] if view else node.name
        for name in (node.name, *node.inputs):
            last[owner[name]] = step
    last |= {owner[name]: len(graph.nodes) for name in graph.outputs}
    alive: dict[str, int] = {}
    peak = 0
    for step, node in enumerate(graph):
        alive[owner[node.name]] = found[owner[node.name]].activation_bits
        peak = max(peak, sum(alive.values()))
        alive = {name: bits for name, bits in alive.items() if last[name] > step}
    return peak
