# SPDX-License-Identifier: Apache-2.0
"""The QuantGraph: a typed, purely integer network (specification in ``spec.md``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwflow.errors import InternalError
from hwflow.numerics.fixed import Cast, Codes, FixedType

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class QuantParam:
    """A constant tensor of integer codes (weights, biases, slopes).

    Parameters
    ----------
    codes : ndarray of int64
        Integer codes, in the shape the operation's specification gives.
    type : FixedType
        Grid of the codes; every code lies in its range.
    """

    codes: Codes
    type: FixedType

    def __post_init__(self) -> None:
        low, high = self.type.range()
        if self.codes.size and (self.codes.min() < low or self.codes.max() > high):
            raise InternalError(f"parameter codes leave the range of {self.type}")
        self.codes.setflags(write=False)


@dataclass(frozen=True, slots=True)
class QuantNode:
    """One operation; its only output tensor carries the node's name.

    Parameters
    ----------
    name : str
        Unique name, that of the layer it came from.
    op : str
        Key in the operation registry.
    inputs : tuple of str
        Names of the producing nodes, in order.
    shape : tuple of int
        Output shape without the batch axis, channels last.
    cast : Cast
        Output grid and how exact results get there.
    attrs : mapping
        Attributes of the operation (JSON values only).
    params : mapping of str to QuantParam
        Constant tensors.
    reuse_factor : int
        Times each multiplier is used an output pixel (1 where there is none).
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    cast: Cast
    attrs: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, QuantParam] = field(default_factory=dict)
    reuse_factor: int = 1

    @property
    def type(self) -> FixedType:
        """Grid of the output codes."""
        return self.cast.type

    @property
    def channels(self) -> int:
        """Size of the last axis."""
        return self.shape[-1]

    @property
    def pixels(self) -> int:
        """Product of all axes but the last."""
        return int(np.prod(self.shape[:-1], dtype=np.int64))


@dataclass(frozen=True, slots=True)
class QuantGraph:
    """Nodes in topological order.

    Parameters
    ----------
    name : str
        Name of the design, a legal identifier.
    nodes : tuple of QuantNode
        Every node after the nodes it reads.
    outputs : tuple of str
        Names of the nodes whose tensors leave the accelerator.
    """

    name: str
    nodes: tuple[QuantNode, ...]
    outputs: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input nodes, in order."""
        return tuple(node.name for node in self.nodes if node.op == "input")

    def __iter__(self) -> Iterator[QuantNode]:
        return iter(self.nodes)

    def node(self, name: str) -> QuantNode:
        """The node of that name."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise InternalError(f"graph {self.name} has no node {name!r}")

    def by_name(self) -> dict[str, QuantNode]:
        """All nodes by name."""
        return {node.name: node for node in self.nodes}

    def consumers(self) -> dict[str, list[tuple[str, int]]]:
        """For each node the readers of its tensor, as (reader, input position)."""
        readers: dict[str, list[tuple[str, int]]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for position, name in enumerate(node.inputs):
                readers[name].append((node.name, position))
        return readers
