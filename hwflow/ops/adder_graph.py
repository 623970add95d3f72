# SPDX-License-Identifier: Apache-2.0
"""Constant matrix-vector products as graphs of additions: what ``Strategy: distributed_arithmetic`` computes with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwflow.errors import InternalError, UserError
from hwflow.numerics.fixed import Codes, FixedType
from hwflow.tools.da4ml import Problem, solve

MAX_WEIGHT = 1 << 24
"""Weights below this magnitude are exact in the solver's binary32."""


@dataclass(frozen=True, slots=True)
class Term:
    """``value << shift``, or its negative.

    Parameters
    ----------
    value : int
        Number of an input or of an addition's result.
    shift : int
        Places to the left; negative ones drop bits that are always zero.
    negative : bool
        Whether it is subtracted.
    """

    value: int
    shift: int
    negative: bool


@dataclass(frozen=True, slots=True)
class Adder:
    """``(left + right) >> zeros``; at most one term is negative, and the bits dropped are always zero."""

    left: Term
    right: Term
    zeros: int


@dataclass(frozen=True, slots=True)
class AdderGraph:
    """Additions that make every output of a product ``x @ matrix``.

    Parameters
    ----------
    low, high : ndarray of int64, shape (n_values,)
        Exact range of each value: the inputs, then the results of the additions.
    adders : tuple of Adder
        In topological order; the first makes value number ``n_in``.
    outputs : tuple of Term or None
        One an output; None for an output that is always zero.
    """

    low: Codes
    high: Codes
    adders: tuple[Adder, ...]
    outputs: tuple[Term | None, ...]

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return self.low.size - len(self.adders)

    def levels(self) -> list[int]:
        """Additions in a row that each value needs."""
        levels = [0] * self.n_in
        for adder in self.adders:
            levels.append(1 + max(levels[adder.left.value], levels[adder.right.value]))
        return levels

    @property
    def depth(self) -> int:
        """Additions in a row that the slowest output needs."""
        return max(self.levels())

    def type(self, value: int) -> FixedType:
        """Narrowest type of a value."""
        return FixedType.for_range(int(self.low[value]), int(self.high[value]), 0)

    @property
    def bits(self) -> int:
        """Full adders, in bits: what the graph costs."""
        return sum(self.type(self.n_in + i).width - _copied(adder) for i, adder in enumerate(self.adders))

    def evaluate(self, x: Codes) -> Codes:
        """Outputs of input vectors.

        Parameters
        ----------
        x : ndarray of int64, shape (n, n_in)
            Input codes.

        Returns
        -------
        ndarray of int64, shape (n, n_out)
        """
        values = list(x.T)

        def term(item: Term) -> Codes:
            value = values[item.value]
            shifted: Codes = value << item.shift if item.shift >= 0 else value >> -item.shift
            return -shifted if item.negative else shifted

        for adder in self.adders:
            left, right = term(adder.left), term(adder.right)
            values.append((left + right) >> adder.zeros)
        zero = np.zeros(x.shape[0], dtype=np.int64)
        return np.stack([zero if item is None else term(item) for item in self.outputs], axis=1)


def _copied(adder: Adder) -> int:
    """Low bits of a sum that are those of its lower term."""
    low, other = sorted((adder.left, adder.right), key=lambda term: term.shift)
    return 0 if low.negative else max(0, other.shift - low.shift - adder.zeros)


def adder_graph(matrix: Codes, low: Sequence[int], high: Sequence[int]) -> AdderGraph:
    """The smallest graph that da4ml finds for a product.

    Parameters
    ----------
    matrix : ndarray of int64, shape (n_in, n_out)
        Constants.
    low, high : sequence of int, length n_in
        Range of each input.

    Returns
    -------
    AdderGraph

    Raises
    ------
    UserError
        When a constant is too wide for the solver.
    """
    if np.abs(matrix).max(initial=0) >= MAX_WEIGHT:
        raise UserError(
            "weights of more than 24 bits have no adder graph",
            "choose Strategy resource, or narrower weights",
        )
    rows, columns = np.flatnonzero(matrix.any(axis=1)), np.flatnonzero(matrix.any(axis=0))
    if not rows.size:
        return _Builder(matrix, low, high).build([], rows, columns)
    inner = matrix[np.ix_(rows, columns)]
    # da4ml leaves out inputs that are constant; they are asked for with a range, and keep their own in the graph.
    ranges = [(int(low[row]), max(int(high[row]), int(low[row]) + 1)) for row in rows]
    problem = Problem(tuple(tuple(row) for row in inner.tolist()), tuple(ranges))
    graphs = [_Builder(matrix, low, high).build(parts, rows, columns) for parts in solve(problem)]
    return min(graphs, key=lambda graph: (graph.bits, graph.depth))


@dataclass
class _Builder:
    """Turns da4ml's operations into additions of distinct values, and proves that they make the matrix.

    Every value is known by its coefficients, a row of integers without a common power of two: equal rows are one
    value, whatever its sign, and give its exact range.
    """

    matrix: Codes
    low: Sequence[int]
    high: Sequence[int]
    rows: list[Codes] = field(default_factory=list)
    adders: list[Adder] = field(default_factory=list)
    known: dict[bytes, int] = field(default_factory=dict)

    def build(self, parts: Sequence[Any], rows: Codes, columns: Codes) -> AdderGraph:
        """Chain da4ml's parts, whose inputs and outputs are some rows and columns of the matrix."""
        for row in np.eye(self.matrix.shape[0], dtype=np.int64):
            self._remember(row)
        terms: list[Term | None] = [Term(int(row), 0, False) for row in rows]
        for part in parts:
            terms = self._part(part, terms)
        outputs: list[Term | None] = [None] * self.matrix.shape[1]
        for column, item in zip(columns, terms, strict=True):
            outputs[column] = item
        self._prove(outputs)
        return self._pruned(outputs)

    def _part(self, part: dict[str, Any], inputs: list[Term | None]) -> list[Term | None]:
        buffer: list[Term | None] = []
        for id0, id1, opcode, data in part["ops"]:
            if opcode == -1:
                buffer.append(_shifted(inputs[id0], part["in_shifts"][id0]))
            elif opcode in (0, 1):
                buffer.append(self._sum(buffer[id0], _shifted(buffer[id1], data, negate=opcode == 1)))
            else:
                raise InternalError(f"da4ml used operation {opcode} in a linear graph")
        return [
            None if index < 0 else _shifted(buffer[index], shift, negate=negative)
            for index, shift, negative in part["outputs"]
        ]

    def _sum(self, left: Term | None, right: Term | None) -> Term | None:
        """The sum of two terms, by a new addition where no value is that sum."""
        if left is None or right is None:
            return left or right
        # Both or the first negative: add the opposite, or swap.
        flip = left.negative and right.negative
        base = min(left.shift, right.shift)
        left, right = (Term(t.value, t.shift - base, t.negative and not flip) for t in (left, right))
        rows = [(self.rows[t.value] << t.shift) * (-1 if t.negative else 1) for t in (left, right)]
        row = rows[0] + rows[1]
        if not row.any():
            return None
        common = int(np.bitwise_or.reduce(row))
        zeros = (common & -common).bit_length() - 1
        row >>= zeros
        same, opposite = self.known.get(row.tobytes()), self.known.get((-row).tobytes())
        if same is not None:
            return Term(same, base + zeros, flip)
        if opposite is not None:
            return Term(opposite, base + zeros, not flip)
        self.adders.append(Adder(right, left, zeros) if left.negative else Adder(left, right, zeros))
        return Term(self._remember(row), base + zeros, flip)

    def _remember(self, row: Codes) -> int:
        self.rows.append(row)
        self.known[row.tobytes()] = len(self.rows) - 1
        return len(self.rows) - 1

    def _prove(self, outputs: Sequence[Term | None]) -> None:
        for column, item in enumerate(outputs):
            made = np.zeros(self.matrix.shape[0], dtype=np.int64)
            if item is not None:
                row = self.rows[item.value]
                made = row << item.shift if item.shift >= 0 else row >> -item.shift
                made = -made if item.negative else made
            if not np.array_equal(made, self.matrix[:, column]):
                raise InternalError(f"da4ml's adder graph does not make column {column} of its matrix")

    def _pruned(self, outputs: Sequence[Term | None]) -> AdderGraph:
        """Only what the outputs need, with ranges."""
        n_in = self.matrix.shape[0]
        used = {item.value for item in outputs if item is not None}
        for number in range(len(self.rows) - 1, n_in - 1, -1):
            if number in used:
                adder = self.adders[number - n_in]
                used |= {adder.left.value, adder.right.value}
        kept = [*range(n_in), *(number for number in range(n_in, len(self.rows)) if number in used)]
        place = {number: i for i, number in enumerate(kept)}

        def moved(item: Term) -> Term:
            return Term(place[item.value], item.shift, item.negative)

        adders = tuple(
            Adder(moved(adder.left), moved(adder.right), adder.zeros)
            for adder in (self.adders[number - n_in] for number in kept[n_in:])
        )
        coefficients = np.array([self.rows[number] for number in kept])
        low, high = np.asarray(self.low, dtype=np.int64), np.asarray(self.high, dtype=np.int64)
        positive, negative = np.maximum(coefficients, 0), np.minimum(coefficients, 0)
        return AdderGraph(
            positive @ low + negative @ high,
            positive @ high + negative @ low,
            adders,
            tuple(None if item is None else moved(item) for item in outputs),
        )


def _shifted(item: Term | None, shift: int, *, negate: bool = False) -> Term | None:
    return None if item is None else Term(item.value, item.shift + shift, item.negative ^ negate)


def stages(graph: AdderGraph, adders_a_stage: int, after: int = 1) -> Iterator[int]:
    """The stage in which each value is made, additions spread evenly.

    Parameters
    ----------
    graph : AdderGraph
        Any graph.
    adders_a_stage : int
        Additions in a row between two registers, at most.
    after : int
        Additions that follow the graph in its last stage: bias and cast.
    """
    total = graph.depth + after
    count = -(-total // adders_a_stage)
    ends = [total * (stage + 1) // count for stage in range(count)]
    for level in graph.levels():
        yield next(stage for stage, end in enumerate(ends) if level <= end)
