# SPDX-License-Identifier: Apache-2.0
"""From a QuantGraph to layers: a kernel or a stored row, element-wise stages, a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from hwflow.emit.narrow import narrow
from hwflow.errors import UnsupportedLayerError
from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.mcu.planner import Plan, Task, plan
from hwflow.numerics.fixed import Codes, FixedType, Overflow
from hwflow.ops.base import Interval, Window
from hwflow.ops.mcukit import (
    I64,
    Form,
    Kernel,
    RowKernel,
    RowStage,
    Stage,
    Storage,
    Tensor,
    View,
    fits,
    storage_of,
)
from hwflow.ops.registry import op, ops

ROWS = "mcu/runtime/hwf_rows.c"
_MAX_FIELD = (1 << 16) - 1


@dataclass(frozen=True, slots=True)
class Layer:
    """What one kernel call computes.

    Parameters
    ----------
    name : str
        Node whose tensor it writes.
    nodes : tuple of str
        All nodes in it, in order.
    source : str
        Tensor it reads.
    kernel : Kernel
        Kernel with its constants.
    stages : tuple of Stage
        What happens to each row before it is stored.
    bits : int
        Width of a row's values, 32 or 64.
    shape : tuple of int
        Shape of the tensor it writes.
    """

    name: str
    nodes: tuple[str, ...]
    source: str
    kernel: Kernel
    stages: tuple[Stage, ...]
    bits: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A network as layers with a memory plan.

    Parameters
    ----------
    graph : QuantGraph
        The network, types narrowed to proven ranges.
    layers : tuple of Layer
        In order of execution.
    tensors : dict of str to Tensor
        Tensors that lie in memory.
    homes : dict of str to str
        For each input and output node the tensor that holds its codes.
    plan : Plan
        Where tensors and scratch memory lie.
    """

    graph: QuantGraph
    layers: tuple[Layer, ...]
    tensors: dict[str, Tensor]
    homes: dict[str, str]
    plan: Plan

    @property
    def macs(self) -> int:
        """Multiply-accumulates a frame."""
        return sum(layer.kernel.macs for layer in self.layers)


@cache
def lowering(name: str) -> Form | None:
    """C form of an operation: ``LOWERING`` of its ``mcu.py``, or None where there is none."""
    module = f"{type(op(name)).__module__}.mcu"
    if find_spec(module) is None:
        return None
    found: Form = import_module(module).LOWERING
    return found


def emittable() -> list[str]:
    """Names of the operations that have a C form."""
    return [name for name in ops() if name == "input" or lowering(name) is not None]


def lower(graph: QuantGraph, *, wide: bool = False) -> Program:
    """Join a graph's nodes to layers and plan their memory.

    Parameters
    ----------
    graph : QuantGraph
        The network.
    wide : bool
        Compute in 64 bits throughout, not only where 32 are too few.

    Returns
    -------
    Program

    Raises
    ------
    UnsupportedLayerError
        With every node that has no C form.
    """
    missing = [
        f"layer {node.name!r}: {reason}" for node in graph if node.op != "input" for reason in reasons(node)
    ]
    if missing:
        raise UnsupportedLayerError(missing, f"the C form knows {', '.join(emittable())}")
    return _Builder(narrow(_rewritten(graph)), wide).program()


def _rewritten(graph: QuantGraph) -> QuantGraph:
    """Nodes by the nodes that have kernels or stages for them."""
    nodes: list[QuantNode] = []
    for node in graph:
        form = lowering(node.op) if node.op != "input" else None
        nodes += (node,) if form is None else form.rewritten(node, [graph.node(name) for name in node.inputs])
    return replace(graph, nodes=tuple(nodes))


def reasons(node: QuantNode) -> list[str]:
    """Why a node has no C form; empty when it has one."""
    form = lowering(node.op)
    return [f"operation {node.op!r} has no C form yet"] if form is None else form.reasons(node)


class _Open:
    """A layer while it grows: the row after its last node."""

    def __init__(self, node: QuantNode, source: str, wide: bool) -> None:
        self.source = source
        self.head: QuantNode | None = node if isinstance(lowering(node.op), RowKernel) else None
        self.nodes: list[QuantNode] = []
        self.stages: list[Stage] = []
        self.wide = wide
        self.channels = 0  # of the row it begins with, where that comes out of memory


class _Builder:
    def __init__(self, graph: QuantGraph, wide: bool) -> None:
        self.graph = graph
        self.wide = wide
        self.nodes = graph.by_name()
        self.readers = graph.consumers()
        self.ranges: dict[str, Interval] = {}
        self.homes: dict[str, str] = {}  # node -> tensor with its codes
        self.open: dict[str, _Open] = {}  # by the last node of the layer
        self.tensors: dict[str, Tensor] = {}
        self.layers: dict[str, Layer] = {}
        self.findings: list[str] = []

    def program(self) -> Program:
        for node in self.graph:
            exact = op(node.op).interval(node, [self.ranges[name] for name in node.inputs])
            self.ranges[node.name] = exact if node.op == "input" else exact.cast(node)
            form = lowering(node.op) if node.op != "input" else None
            if node.op == "input":
                self._keep(node)
            elif isinstance(form, View):
                self.homes[node.name] = self._stored(node.inputs[0])
            else:
                self._grow(node, form, exact)
                if node.name in self.graph.outputs or len(self.readers[node.name]) != 1:
                    self._stored(node.name)
        for name in self.graph.outputs:
            self._stored(name)
        if self.findings:
            raise UnsupportedLayerError(self.findings, "choose smaller layers or narrower types")
        return self._planned()

    def _grow(self, node: QuantNode, form: Form | None, exact: Interval) -> None:
        """Open a layer with a node, or add the node to the layer that makes its row."""
        if isinstance(form, RowKernel):
            layer = _Open(node, self._stored(node.inputs[0]), self.wide)
            self._widen(layer, self.ranges[node.inputs[0]], exact, node, self._tensor(node.inputs[0]))
            layer.wide |= any(storage_of(param.type) is I64 for param in node.params.values())
            layer.wide |= form.peak(node, self.ranges[node.inputs[0]]) >= 1 << 31
        else:
            assert isinstance(form, RowStage)
            growing = [name for name in node.inputs if name in self.open and not form.from_memory]
            row = growing[-1] if growing else node.inputs[0]
            others = list(node.inputs)
            others.remove(row)
            operands = [self._tensor(name) for name in others]  # closes the layers that make them
            if row in self.open:
                layer = self.open.pop(row)
            else:
                layer = _Open(node, self._stored(row), self.wide)
                layer.channels = self.nodes[row].channels
                layer.wide |= self._tensor(row).storage is I64
            for tensor in operands:
                self._widen(layer, self.ranges[row], exact, node, tensor)
            self._widen(layer, self.ranges[row], exact, node, None)
            layer.wide |= form.peak(node, self.ranges[row]) >= 1 << 31
            found = form.stages(node, self.ranges[row], operands)
            layer.wide |= any(stage.data is not None and stage.storage is I64 for stage in found)
            layer.stages += found
        layer.stages += _cast(node, exact)
        layer.nodes.append(node)
        self.open[node.name] = layer

    def _widen(
        self, layer: _Open, row: Interval, exact: Interval, node: QuantNode, tensor: Tensor | None
    ) -> None:
        """Note whether a node's values need 64 bits, or more than there are."""
        drop = exact.frac - node.type.frac
        low, high = int(exact.low.min()), int(exact.high.max())
        # What a cast computes with: rounding adds up to half a unit of the new grid, a finer grid appends bits.
        half = 1 << max(drop - 1, 0)
        widest = max(-low, high + 1, (-low) << max(-drop, 0), (high + 1) << max(-drop, 0)) + half
        if widest > 1 << 63 or drop > 62:
            self.findings.append(f"layer {node.name!r}: its values or their cast need more than 64 bits")
        layer.wide |= (
            not (fits(row, 32) and fits(exact, 32) and widest <= 1 << 31)
            or drop > 30
            or storage_of(node.type) is I64
            or (tensor is not None and tensor.storage is I64)
        )

    def _tensor(self, name: str) -> Tensor:
        return self.tensors[self._stored(name)]

    def _stored(self, name: str) -> str:
        """The tensor that holds a node's codes; closes the layer that makes them."""
        if name not in self.homes:
            self._close(self.nodes[name])
        return self.homes[name]

    def _keep(self, node: QuantNode) -> None:
        self.tensors[node.name] = Tensor(node, self._storage(node), self.ranges[node.name])
        self.homes[node.name] = node.name

    def _storage(self, node: QuantNode) -> Storage:
        """Storage of a tensor: packed only where every reader takes packed codes."""
        storage = storage_of(node.type)
        whole = node.channels * storage.bits % 8 == 0
        for reader in self._codes_read_by(node.name):
            form = lowering(reader.op)
            if isinstance(form, RowKernel) and form.min_code_bits > storage.bits:
                return storage_of(replace_width(node.type, form.min_code_bits))
            if isinstance(form, View) and not (whole and reader.channels * storage.bits % 8 == 0):
                return storage_of(replace_width(node.type, 8))
        if node.op == "input" or self._leaves(node.name):
            return storage_of(replace_width(node.type, 8))
        return storage

    def _codes_read_by(self, name: str) -> list[QuantNode]:
        """Nodes that read a node's codes, also through views."""
        found = []
        for reader, _ in self.readers[name]:
            node = self.nodes[reader]
            found.append(node)
            if isinstance(lowering(node.op), View):
                found += self._codes_read_by(reader)
        return found

    def _leaves(self, name: str) -> bool:
        """Whether a node's codes leave the network, also through views."""
        return name in self.graph.outputs or any(
            isinstance(lowering(self.nodes[reader].op), View) and self._leaves(reader)
            for reader, _ in self.readers[name]
        )

    def _close(self, node: QuantNode) -> None:
        layer = self.open.pop(node.name)
        self._keep(node)
        source = self.tensors[layer.source]
        bits = 64 if layer.wide else 32
        if layer.head is not None:
            form = lowering(layer.head.op)
            assert isinstance(form, RowKernel)
            seen = self.nodes[layer.head.inputs[0]]  # the same codes, perhaps under another shape
            kernel = form.kernel(layer.head, Tensor(seen, source.storage, self.ranges[seen.name]), layer.wide)
        else:
            height, width, _ = frame(node.shape)
            kernel = Kernel(
                f"hwf_elementwise_{bits}",
                ROWS,
                Window(height, width, height, width),
                layer.channels,
                scratch=node.channels * bits // 8,
            )
        self._check(node, kernel, layer)
        self.layers[node.name] = Layer(
            node.name,
            tuple(one.name for one in layer.nodes),
            layer.source,
            kernel,
            (*kernel.stages, *layer.stages),
            bits,
            node.shape,
        )

    def _check(self, node: QuantNode, kernel: Kernel, layer: _Open) -> None:
        """Whether sizes fit the 16-bit fields of a layer's description."""
        window = kernel.window
        sizes = [getattr(window, name) for name in Window.__slots__]
        if max(*sizes, node.channels, kernel.channels) > _MAX_FIELD:
            self.findings.append(f"layer {node.name!r}: a dimension is beyond {_MAX_FIELD}")

    def _planned(self) -> Program:
        """Order the layers and place tensors and scratch memory."""
        size = {
            name: tensor.storage.row_bytes(tensor.node.channels) * tensor.node.pixels
            for name, tensor in self.tensors.items()
        }
        tasks = []
        for layer in self.layers.values():
            row, kernel = self.tensors[layer.name], layer.kernel
            first = first_pixels(kernel.window) if kernel.first is None else kernel.first
            # What it reads: tensor, bytes of a pixel, first pixel each output pixel needs. A stage needs its own.
            reads = [(layer.source, kernel.channels, first)]
            reads += [
                (self.homes[stage.tensor], self.nodes[stage.tensor].channels, np.arange(row.node.pixels))
                for stage in layer.stages
                if stage.tensor
            ]
            leads: dict[str, int] = {}
            for name, channels, needed in reads:
                read = self.tensors[name].storage.row_bytes(channels)
                written = row.storage.row_bytes(row.node.channels)
                leads[name] = max(lead(needed, read, written), leads.get(name, 0))
            names = tuple(name for name, _, _ in reads)
            tasks.append(Task(layer.name, names, size[layer.name], leads, kernel.scratch))
        outputs = [self.homes[name] for name in self.graph.outputs]
        inputs = {name: size[name] for name in self.graph.inputs}
        memory = plan(tasks, outputs, inputs)
        ends = (*self.graph.inputs, *self.graph.outputs)
        return Program(
            self.graph,
            tuple(self.layers[name] for name in memory.order),
            self.tensors,
            {name: self.homes[name] for name in ends},
            memory,
        )


def first_pixels(window: Window) -> Codes:
    """First pixel inside the frame that each output pixel reads."""
    rows = np.maximum(np.arange(window.out_h) * window.stride_h - window.pad_top, 0)
    cols = np.maximum(np.arange(window.out_w) * window.stride_w - window.pad_left, 0)
    numbers: Codes = (rows[:, None] * window.in_w + cols[None, :]).ravel().astype(np.int64)
    return numbers


def lead(first: Codes, read: int, written: int) -> int:
    """Bytes that a layer's output must begin before its input, at least, to run over it.

    A layer reads all that an output pixel needs before it stores that pixel's row. So each row may end where the
    input begins that later pixels still need.

    Parameters
    ----------
    first : ndarray of int64
        First input pixel that each output pixel reads.
    read, written : int
        Bytes of an input and of an output pixel.

    Examples
    --------
    >>> lead(np.arange(30), 4, 4), lead(first_pixels(Window(5, 6, 5, 6, 3, 3, pad_top=1, pad_left=1)), 4, 4)
    (0, 28)
    """
    needed = np.minimum.accumulate(first[::-1])[::-1][1:]  # by the pixels after each one but the last
    ends = np.arange(1, needed.size + 1) * written
    return int(np.max(ends - needed * read, initial=0))


def replace_width(type_: FixedType, least: int) -> FixedType:
    """The type with at least so many bits."""
    return replace(type_, width=max(type_.width, least))


def frame(shape: Sequence[int]) -> tuple[int, int, int]:
    """Height, width and channels of a tensor; all pixels in one line where it is no image."""
    pixels = 1
    for size in shape[:-1]:
        pixels *= size
    height, width = (shape[0], shape[1]) if len(shape) == 3 else (1, pixels)
    return height, width, shape[-1]


def _cast(node: QuantNode, exact: Interval) -> list[Stage]:
    """The node's cast, unless it leaves every code as it is."""
    low, high = node.type.range()
    if node.cast.overflow is Overflow.SAT_SYM and node.type.signed:
        low = -high
    same = exact.frac == node.type.frac and low <= int(exact.low.min()) and int(exact.high.max()) <= high
    if same:
        return []
    return [
        Stage(
            "hwf_cast",
            ROWS,
            shift=exact.frac - node.type.frac,
            rounding=node.cast.rounding.value,
            overflow=node.cast.overflow.value,
            type=node.type,
        )
    ]
