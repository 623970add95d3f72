# SPDX-License-Identifier: Apache-2.0
"""From a QuantGraph to module instances and streams: everything the RTL writer prints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hwflow.emit.bipolar import with_bipolar
from hwflow.emit.memfile import memory_name, memory_text
from hwflow.emit.narrow import narrow, ranges
from hwflow.emit.schedule import Schedule, schedule
from hwflow.errors import UnsupportedLayerError
from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.ops.base import Memory, Window, pixel_lanes
from hwflow.ops.registry import op

#: Modules every design uses.
_COMMON = ("hwf_tlast", "hwf_tap")


@dataclass(frozen=True, slots=True)
class Stream:
    """An AXI-Stream connection.

    Parameters
    ----------
    name : str
        Prefix of its signals.
    lane_width : int
        Bits of one value.
    lanes : int
        Values a beat.
    """

    name: str
    lane_width: int
    lanes: int

    @property
    def width(self) -> int:
        """Bits of one beat."""
        return self.lane_width * self.lanes


@dataclass(frozen=True, slots=True)
class Block:
    """A module instance with its connections.

    Parameters
    ----------
    module, label : str
        Module and instance name.
    parameters : mapping of str to int or str
        Numbers, or names of memory files.
    inputs : tuple of (port prefix, Stream)
        Streams it reads.
    outputs : tuple of Stream
        Streams it writes; more than one only for a fork.
    node : str
        Node it belongs to: that it computes, whose input it buffers, or whose output it copies.
    """

    module: str
    label: str
    parameters: Mapping[str, int | str]
    inputs: tuple[tuple[str, Stream], ...]
    outputs: tuple[Stream, ...]
    node: str


@dataclass(frozen=True, slots=True)
class Tap:
    """Where a node's tensor can be observed in simulation."""

    node: str
    stream: Stream


@dataclass(frozen=True, slots=True)
class Design:
    """A whole accelerator.

    Parameters
    ----------
    name : str
        Top module.
    graph : QuantGraph
        The narrowed graph it implements.
    plan : Schedule
        Folding and buffer sizes.
    blocks : tuple of Block
        Module instances in dataflow order.
    inputs, outputs : tuple of Stream
        Streams at the ports.
    taps : tuple of Tap
        One a node.
    memories : mapping of str to str
        File name to contents.
    modules : tuple of str
        Library modules the design needs.
    sources : mapping of str to str
        Generated modules beside the top: name to SystemVerilog.
    """

    name: str
    graph: QuantGraph
    plan: Schedule
    blocks: tuple[Block, ...]
    inputs: tuple[Stream, ...]
    outputs: tuple[Stream, ...]
    taps: tuple[Tap, ...]
    memories: Mapping[str, str]
    modules: tuple[str, ...]
    sources: Mapping[str, str]


def check(graph: QuantGraph) -> None:
    """Refuse a graph that cannot become hardware, all reasons at once.

    Raises
    ------
    UnsupportedLayerError
        With every finding.
    """
    nodes = graph.by_name()
    findings = [
        finding
        for node in graph
        for finding in op(node.op).check(node, [nodes[name] for name in node.inputs])
    ]
    if findings:
        raise UnsupportedLayerError(findings)


def build_design(graph: QuantGraph) -> Design:
    """Fold, size and connect a graph.

    Parameters
    ----------
    graph : QuantGraph
        The network, reuse factors set.

    Returns
    -------
    Design

    Raises
    ------
    UnsupportedLayerError
        When :func:`check` finds something.
    """
    check(graph)
    graph = with_bipolar(narrow(graph))
    return _Builder(graph, schedule(graph)).build()


class _Builder:
    def __init__(self, graph: QuantGraph, plan: Schedule) -> None:
        self.graph = graph
        self.plan = plan
        self.nodes = graph.by_name()
        self.ranges = ranges(graph)
        self.blocks: list[Block] = []
        self.memories: dict[str, str] = {}
        self.modules: set[str] = set(_COMMON)
        self.sources: dict[str, str] = {}
        #: Streams handed out to the readers of each node, in reader order.
        self.branches: dict[str, list[Stream]] = {}

    def build(self) -> Design:
        taps = [Tap(node.name, self._node(node)) for node in self.graph]
        inputs = tuple(tap.stream for tap in taps if self.nodes[tap.node].op == "input")
        outputs = tuple(self.branches[name].pop(0) for name in self.graph.outputs)
        return Design(
            self.graph.name,
            self.graph,
            self.plan,
            tuple(self.blocks),
            inputs,
            outputs,
            tuple(taps),
            self.memories,
            tuple(sorted(self.modules - self.sources.keys())),
            self.sources,
        )

    def _node(self, node: QuantNode) -> Stream:
        """Instantiate a node and what connects it; returns its output stream."""
        folding = self.plan.folding[node.name]
        sources = [self.nodes[name] for name in node.inputs]
        streams = tuple(
            self._connected(node, position, lanes) for position, lanes in enumerate(folding.in_lanes)
        )
        instance = op(node.op).instance(
            node,
            sources,
            [self.ranges[name] for name in node.inputs],
            folding,
            self.plan.pixels.get(node.name, 0),
        )
        if instance is None:
            result = (
                streams[0] if streams else Stream(identifier(node.name), node.type.width, folding.out_lanes)
            )
        else:
            result = Stream(identifier(node.name), node.type.width, folding.out_lanes)
            parameters = {key: self._parameter(key, value) for key, value in instance.parameters.items()}
            if instance.output_register and self._stored_by_reader(node):
                parameters[instance.output_register] = 0
            ports = tuple(zip(instance.inputs, streams, strict=True))
            self._add(
                Block(instance.module, f"u_{identifier(node.name)}", parameters, ports, (result,), node.name)
            )
            self.modules.update(op(node.op).modules if instance.modules is None else instance.modules)
            self.sources.update(instance.sources)
        self._fan_out(node, result)
        return result

    def _stored_by_reader(self, node: QuantNode) -> bool:
        """Whether what leaves a node is stored at once: by its only reader, or by whoever takes the output."""
        readers = self.graph.consumers()[node.name]
        if self.graph.outputs.count(node.name) + len(readers) > 1:
            return False
        return all(op(self.nodes[name].op).registers_input for name, _ in readers)

    def _fan_out(self, node: QuantNode, stream: Stream) -> None:
        readers = len(self.graph.consumers()[node.name]) + self.graph.outputs.count(node.name)
        if readers <= 1:
            self.branches[node.name] = [stream]
            return
        copies = tuple(
            Stream(f"{stream.name}_to{i}", stream.lane_width, stream.lanes) for i in range(readers)
        )
        parameters = {"Width": stream.width, "Outputs": readers}
        self._add(
            Block("hwf_fork", f"u_{stream.name}_fork", parameters, (("s_axis", stream),), copies, node.name)
        )
        self.branches[node.name] = list(copies)

    def _connected(self, node: QuantNode, position: int, lanes: int) -> Stream:
        """The producer's stream, in the lanes the node reads, behind its FIFO."""
        stream = self.branches[node.inputs[position]].pop(0)
        base = f"{identifier(node.name)}_in{position}"
        skip = self.plan.folding[node.name].skip
        if skip:
            stream = self._skipped(stream, skip, self.nodes[node.inputs[position]].channels, base, node.name)
        # Where streams join, what waits is kept in wide beats; elsewhere in narrow ones.
        widened_first = len(node.inputs) > 1 and stream.lanes < lanes
        if widened_first:
            stream = self._converted(stream, lanes, base, node.name)
        depth = self.plan.fifo.get((node.name, position), 0)
        if depth:
            behind = Stream(f"{base}_fifo", stream.lane_width, stream.lanes)
            parameters = {"Width": stream.width, "Depth": depth}
            self._add(
                Block("hwf_fifo", f"u_{behind.name}", parameters, (("s_axis", stream),), (behind,), node.name)
            )
            stream = behind
        return stream if stream.lanes == lanes else self._converted(stream, lanes, base, node.name)

    def _skipped(self, stream: Stream, window: Window, channels: int, base: str, node: str) -> Stream:
        """A stream without the pixels that no position of the window reads."""
        lanes = pixel_lanes(channels, stream.lanes)
        if lanes != stream.lanes:
            stream = self._converted(stream, lanes, f"{base}_pixels", node)
        other = Stream(f"{base}_skip", stream.lane_width, lanes)
        parameters = {"Width": stream.width, "Beats": channels // lanes} | window.skip_parameters()
        self._add(Block("hwf_skip", f"u_{other.name}", parameters, (("s_axis", stream),), (other,), node))
        return other

    def _converted(self, stream: Stream, lanes: int, base: str, node: str) -> Stream:
        """A stream with another number of lanes."""
        other = Stream(f"{base}_dwc", stream.lane_width, lanes)
        parameters = {"LaneW": stream.lane_width, "InLanes": stream.lanes, "OutLanes": lanes}
        self._add(Block("hwf_dwc", f"u_{other.name}", parameters, (("s_axis", stream),), (other,), node))
        return other

    def _add(self, block: Block) -> None:
        self.blocks.append(block)
        self.modules.add(block.module)

    def _parameter(self, key: str, value: int | Memory) -> int | str:
        if not isinstance(value, Memory):
            return value
        text = memory_text(value)
        name = memory_name(text, key.removesuffix("File").lower())
        self.memories[name] = text
        return f"mem/{name}"


def identifier(name: str) -> str:
    """A legal, lower-case SystemVerilog identifier for a layer name.

    Examples
    --------
    >>> identifier("Conv-1/relu")
    't_conv_1_relu'
    """
    return "t_" + re.sub(r"[^a-z0-9_]", "_", name.lower())
