# SPDX-License-Identifier: Apache-2.0
"""Reuse factors and multiplication styles that reach a speed at least cost, or are fastest within a budget.

The interval of an accelerator is the largest (output pixels x reuse factor) of its layers, so that an interval
allows each layer a set of reuse factors of its own, whatever the others have. Which of them to take, and how to
multiply, is a multiple-choice knapsack: one option a layer, and as cost the share of the part that the design takes,
over all its resources and of the tightest one. It is solved as an integer program (HiGHS, through scipy) that proves
its result optimal, or says how far it can be from that. What lies between the layers (FIFOs, width converters, layers
without a reuse factor) follows from the choice: it is counted on the whole design, and the program solved again with
it until the choice stays.

What fits at an interval fits at a longer one, so that the shortest that fits a budget is found by bisection among
the intervals that any layer can have.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hwflow.cost.architectures import macs
from hwflow.cost.resources import node_resources, predict_resources
from hwflow.emit.design import Design, build_design
from hwflow.emit.narrow import narrow, ranges
from hwflow.emit.schedule import busy, fold, own_pace
from hwflow.errors import BudgetError, UserError
from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.ops.distributed import is_distributed
from hwflow.ops.registry import op
from hwflow.ops.weightcode import STYLES
from hwflow.tools.targets import TARGETS, Resources

#: Reuse factors of a layer that are weighed, the largest within an interval: few at first, as smaller ones hold several
#: times the multipliers; more where nothing else keeps the limits, as they need fewer memory blocks.
_FACTORS = (3, 8)
#: Weight of the tightest resource beside the sum of all: what is scarce on the part costs more.
_TIGHTEST = 1.0
#: The sum, where the tightest resource alone counts: it decides among equals.
_SOFT_SUM = 1e-3
#: Distance from the optimum at which the solver may stop, and its time, s.
_GAP, _SECONDS = 1e-3, 20.0
#: Times the whole design is counted for one interval.
_ROUNDS = 3
#: Latency over interval of a deep network, before any is counted.
_LATENCY_GUESS = 3.0


@dataclass(frozen=True, slots=True)
class Option:
    """One way to build a layer.

    Parameters
    ----------
    reuse : int
        Reuse factor.
    style : str
        Style of multiplication.
    cycles : int
        Cycles it works a frame.
    multipliers : int
        Multipliers it holds.
    resources : Resources
        What its module takes.
    """

    reuse: int
    style: str
    cycles: int
    multipliers: int
    resources: Resources


@dataclass(frozen=True, slots=True)
class Budget:
    """What a design may take, and what it is measured by.

    Parameters
    ----------
    limits : mapping of str to int
        Most of each resource (fields of :class:`hwflow.tools.targets.Resources`); the others are not limited.
    scale : mapping of str to int
        What a part holds, by which the use of resources is compared.
    title : str
        What the limits stand for.
    """

    limits: Mapping[str, int]
    scale: Mapping[str, int]
    title: str

    def excess(self, needed: Resources) -> list[str]:
        """What does not fit, in words."""
        return [
            f"{name} {amount(needed, name):,} of {limit:,}"
            for name, limit in self.limits.items()
            if amount(needed, name) > limit
        ]


@dataclass(frozen=True, slots=True)
class Tuned:
    """A folding that was found.

    Parameters
    ----------
    graph : QuantGraph
        The network with it.
    design : Design
        Its accelerator.
    options : mapping of str to Option
        What was chosen for each layer.
    resources : Resources
        Of the whole design.
    interval : int
        Cycles a frame.
    fewest_multipliers : int
        Multipliers that no legal folding of this interval is below.
    gap : float
        Most by which the cost of the layers can be above the optimum, as a share of it.
    """

    graph: QuantGraph
    design: Design
    options: Mapping[str, Option]
    resources: Resources
    interval: int
    fewest_multipliers: int
    gap: float


def amount(needed: Resources, name: str) -> int:
    """Amount of one resource; none where the family does not count it."""
    return getattr(needed, name) or 0


class Tuner:
    """Foldings of one network.

    Parameters
    ----------
    graph : QuantGraph
        The network; its reuse factors do not matter.
    budget : Budget
        Limits and weights of resources.
    target : str
        FPGA family.
    styles : collection of str
        Styles of multiplication that are weighed.
    """

    def __init__(
        self, graph: QuantGraph, budget: Budget, target: str, styles: Collection[str] = STYLES
    ) -> None:
        self.styles = styles
        self.given = graph
        self.graph = narrow(graph)
        self.budget = budget
        self.target = target
        self._ranges = ranges(self.graph)
        self._nodes = self.graph.by_name()
        self._names = sorted({*budget.limits, *budget.scale})
        self._rest: Mapping[str, int] = dict.fromkeys(self._names, 0)
        self._known: dict[tuple[str, int, str], Option] = {}
        #: Legal reuse factors of each layer that has a choice, with the cycles they take a frame.
        self.factors = {node.name: self._cycles(node) for node in self.graph if self._foldable(node)}
        if not self.factors:
            raise UserError("the network has no layer with a reuse factor", "there is nothing to tune")
        fastest = {name: min(pairs, key=lambda pair: pair[1])[0] for name, pairs in self.factors.items()}
        folded = self._folded(self.graph, fastest)
        cycles = busy(folded, fold(folded))
        #: Layer that no folding makes faster than ``bound`` cycles.
        self.binding = max(cycles, key=lambda name: cycles[name])
        self.bound = cycles[self.binding]
        every = {cycles for pairs in self.factors.values() for _, cycles in pairs}
        #: Intervals that a layer can set, ascending.
        self.intervals = sorted({self.bound, *(cycles for cycles in every if cycles > self.bound)})

    # -- what layers can be -----------------------------------------------------------------------------

    def _foldable(self, node: QuantNode) -> bool:
        return not is_distributed(node) and bool(self._legal(node))

    def _legal(self, node: QuantNode) -> list[int]:
        sources = [self._nodes[name] for name in node.inputs]
        spec = op(node.op)
        legal = spec.reuse_factors(node, sources) or []
        return [factor for factor in legal if not spec.check(replace(node, reuse_factor=factor), sources)]

    def _cycles(self, node: QuantNode) -> list[tuple[int, int]]:
        sources = [self._nodes[name] for name in node.inputs]
        return [
            (factor, own_pace(replace(node, reuse_factor=factor), sources)) for factor in self._legal(node)
        ]

    def _folded(
        self, graph: QuantGraph, factors: Mapping[str, int], styles: Mapping[str, str] | None = None
    ) -> QuantGraph:
        """The graph with these reuse factors and styles."""
        styles = styles or {}
        nodes = []
        for node in graph:
            if node.name in factors:
                style = {"mult_style": styles[node.name]} if node.name in styles else {}
                node = replace(node, reuse_factor=factors[node.name], attrs={**node.attrs, **style})
            nodes.append(node)
        return replace(graph, nodes=tuple(nodes))

    def _option(self, name: str, factor: int, cycles: int, style: str) -> Option:
        key = (name, factor, style)
        if key not in self._known:
            node = self._nodes[name]
            node = replace(node, reuse_factor=factor, attrs={**node.attrs, "mult_style": style})
            multipliers = macs(node) // (node.pixels * factor)
            self._known[key] = Option(factor, style, cycles, multipliers, self.own(node))
        return self._known[key]

    def options(self, name: str, interval: int, factors: int = _FACTORS[0]) -> list[Option]:
        """Ways to build a layer within an interval; without those that another one is no worse than.

        Parameters
        ----------
        name : str
            The layer.
        interval : int
            Most cycles a frame.
        factors : int
            Reuse factors that are weighed, the largest ones.
        """
        within = sorted(pair[::-1] for pair in self.factors[name] if pair[1] <= interval)
        found: list[Option] = []
        for cycles, factor in reversed(within[-factors:]):
            for style in self.styles:
                option = self._option(name, factor, cycles, style)
                if not any(self._no_worse(other, option) for other in found):
                    found = [other for other in found if not self._no_worse(option, other)] + [option]
        return found

    def _no_worse(self, one: Option, other: Option) -> bool:
        return all(amount(one.resources, name) <= amount(other.resources, name) for name in self._names)

    def own(self, node: QuantNode) -> Resources:
        """What a node's own module takes, with the smallest line buffer that it can have."""
        sources = [self._nodes[name] for name in node.inputs]
        spec = op(node.op)
        folding = spec.folding(node, sources, [1] * len(sources))
        accesses = spec.access(node, sources) if folding.buffered and not folding.banked else None
        pixels = accesses[0].capacity + 1 if accesses else 0
        intervals = [self._ranges[name] for name in node.inputs]
        return node_resources(node, sources, intervals, folding, pixels, TARGETS[self.target])

    def whole(self, design: Design) -> Resources:
        """What a design takes."""
        return predict_resources(design, TARGETS[self.target]).total

    # -- one interval -----------------------------------------------------------------------------------

    def _solve(self, interval: int, *, soft: bool = False) -> tuple[dict[str, Option], float] | None:
        """Options of least cost, and how far from the optimum they can be; None where nothing keeps the limits.

        With ``soft`` those that come nearest to the limits.
        """
        tries = _FACTORS[-1:] if soft else _FACTORS
        found = (self._program(interval, factors, soft=soft) for factors in tries)
        return next((one for one in found if one is not None), None)

    def _program(self, interval: int, factors: int, *, soft: bool) -> tuple[dict[str, Option], float] | None:
        """The integer program over so many reuse factors of each layer."""
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_matrix

        layers = [(name, self.options(name, interval, factors)) for name in self.factors]
        flat = [option for _, options in layers for option in options]
        use = {name: np.array([amount(o.resources, name) for o in flat], float) for name in self._names}
        scale = self.budget.limits if soft else self.budget.scale
        unit = {name: max(1, count) for name, count in scale.items()}
        weights = sum((use[name] / unit[name] for name in unit), np.zeros(len(flat)))
        of_layer = np.repeat(np.arange(len(layers)), [len(options) for _, options in layers])
        one_each = csr_matrix((np.ones(len(flat)), (of_layer, np.arange(len(flat)))))
        one_each.resize(len(layers), len(flat) + 1)  # the last variable is the use of the tightest resource
        rows = [LinearConstraint(one_each, 1, 1)]
        rows += [
            LinearConstraint([[*use[name] / count, -1]], ub=-self._rest[name] / count)
            for name, count in unit.items()
        ]
        rows += [
            LinearConstraint([[*use[name], 0]], ub=limit - self._rest[name])
            for name, limit in self.budget.limits.items()
            if not soft
        ]
        result = milp(
            [*weights * (_SOFT_SUM if soft else 1), _TIGHTEST],
            constraints=rows,
            integrality=[*np.ones(len(flat)), 0],
            bounds=Bounds(0, [*np.ones(len(flat)), np.inf]),
            options={"mip_rel_gap": _GAP, "time_limit": _SECONDS},
        )
        if result.x is None:
            return None
        chosen = np.flatnonzero(result.x[:-1] > 0.5)  # one a layer, in their order
        names = [name for name, _ in layers]
        return {name: flat[at] for name, at in zip(names, chosen, strict=True)}, float(result.mip_gap or 0)

    def _built(self, options: Mapping[str, Option], gap: float) -> Tuned:
        """The whole design of a choice; what it has beside the options is remembered."""
        factors = {name: option.reuse for name, option in options.items()}
        graph = self._folded(self.given, factors, {name: option.style for name, option in options.items()})
        design = build_design(graph)
        total = self.whole(design)
        own = {name: sum(amount(o.resources, name) for o in options.values()) for name in self._names}
        self._rest = {name: amount(total, name) - own[name] for name in self._names}
        return Tuned(
            graph, design, options, total, design.plan.ii_bound, self.fewest(design.plan.ii_bound), gap
        )

    def fewest(self, interval: int) -> int:
        """Multipliers that no legal folding of an interval is below."""
        largest = {
            name: max(factor for factor, cycles in pairs if cycles <= interval)
            for name, pairs in self.factors.items()
        }
        return sum(macs(self._nodes[name]) // (self._nodes[name].pixels * largest[name]) for name in largest)

    def at(self, interval: int) -> Tuned | None:
        """The design of least cost that takes a frame every ``interval`` cycles; None where it exceeds the limits."""
        tuned: Tuned | None = None
        last: Mapping[str, Option] = {}
        for _ in range(_ROUNDS):
            found = self._solve(interval)
            if found is None or found[0] == last:
                break
            last = found[0]
            built = self._built(*found)
            if not self.budget.excess(built.resources):
                tuned = built
        return tuned

    # -- all intervals ----------------------------------------------------------------------------------

    def fastest(self) -> Tuned:
        """The fastest design within the limits.

        Raises
        ------
        BudgetError
            When not even the slowest fits.
        """
        best: Tuned | None = None
        floor, beaten = 0, len(self.intervals)
        while (place := max(self._shortest(), floor)) < beaten:
            tuned = self.at(self.intervals[place])
            if tuned is None:
                floor = place + 1
            else:
                best, beaten = tuned, place
        if best is None:
            raise BudgetError(
                f"the network is too large for {self.budget.title}: {self.shortfall(self.intervals[-1])}",
                "take a larger part, or fewer bits",
            )
        return best

    def _shortest(self) -> int:
        """Place of the shortest interval that fits, what lies between the layers being as it is known."""
        last = len(self.intervals) - 1
        return bisect_left(range(last), True, key=lambda at: self._solve(self.intervals[at]) is not None)

    def reach(self, interval: int, goal: str, *, explain: bool = True) -> Tuned:
        """The design of least cost that takes a frame every ``interval`` cycles or faster.

        Parameters
        ----------
        interval : int
            Most cycles a frame.
        goal : str
            What is wanted, in words.
        explain : bool
            Whether the error tells what is short and how fast the design can be, which takes some seconds.

        Raises
        ------
        BudgetError
            When that cannot be reached: the bound and the layer that sets it, or what is short.
        """
        self._check_bound(interval, goal)
        place = bisect_right(self.intervals, interval) - 1
        tuned = self.at(self.intervals[place])
        if tuned is None and not explain:
            raise BudgetError(f"{goal} does not fit {self.budget.title}")
        if tuned is None:
            missing = self.shortfall(self.intervals[place])
            fastest = self.fastest()
            raise BudgetError(
                f"{goal} does not fit {self.budget.title}: at {self.intervals[place]:,} cycles a frame {missing}; "
                f"the fastest that fits takes {fastest.interval:,}, {fastest.interval / interval:.3g} times that",
                "take a larger part, lower the target, or use fewer bits",
            )
        return tuned

    def _check_bound(self, interval: int, goal: str) -> None:
        """Refuse an interval that no folding reaches."""
        if interval < self.bound:
            raise BudgetError(
                f"{goal} allows {interval:,} cycles a frame, but {self.binding} takes {self.bound:,} however the "
                f"layers are folded: {self.bound - interval:,} too many",
                "raise the clock, lower the target, or change that layer",
            )

    def shortfall(self, interval: int) -> str:
        """What is short at an interval, by how much, and which layer takes most of it."""
        found = self._solve(interval, soft=True)
        assert found is not None, "without limits there is always a choice"
        tuned = self._built(*found)
        short = max(
            self.budget.limits,
            key=lambda name: amount(tuned.resources, name) / max(1, self.budget.limits[name]),
        )
        used, limit = amount(tuned.resources, short), self.budget.limits[short]
        layer = max(tuned.options, key=lambda name: amount(tuned.options[name].resources, short))
        return (
            f"it takes {used:,} {short.upper()} of {limit:,} ({used / max(1, limit):.3g} times), most of them "
            f"{layer} ({amount(tuned.options[layer].resources, short):,})"
        )

    def within_latency(
        self, latency: int, goal: str, cycles: Callable[[Design], int], longest: int | None = None
    ) -> Tuned:
        """The design of least cost that answers within ``latency`` cycles.

        Latency grows with the interval; the longest that serves is looked for where the ratio of the two, as it was
        counted last, puts it.

        Parameters
        ----------
        latency : int
            Most cycles from the first beat of a frame to its last result.
        goal : str
            What is wanted, in words.
        cycles : callable
            Exact latency of a design, cycles.
        longest : int, optional
            Most cycles a frame, where the interval is limited too.

        Raises
        ------
        BudgetError
            When no design is fast enough: by how much, and through which layer.
        """
        longest = latency if longest is None else min(latency, longest)
        self._check_bound(longest, goal)
        low = bisect_left(self.intervals, self.fastest().interval) if self.budget.limits else 0
        high = bisect_right(self.intervals, longest) - 1
        best: Tuned | None = None
        least, ratio = self.bound, _LATENCY_GUESS
        while low <= high:
            place = min(max(bisect_right(self.intervals, latency / ratio) - 1, low), high)
            tuned = self.at(self.intervals[place])
            if tuned is None:
                low = place + 1
                continue
            least = cycles(tuned.design)
            ratio = least / tuned.interval
            if least <= latency:
                best, low = tuned, place + 1
            else:
                high = place - 1
        if best is None:
            raise BudgetError(
                f"{goal} allows {latency:,} cycles, but the fastest design within {self.budget.title} takes at least "
                f"{least:,}, {least / latency - 1:.1%} more; {self.binding} alone takes {self.bound:,} a frame",
                "raise the clock, take a larger part, or allow more time",
            )
        return best
