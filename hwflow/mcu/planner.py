# SPDX-License-Identifier: Apache-2.0
"""Memory planning: an order of execution, lifetimes of tensors, and where each one lies.

A task reads tensors and writes one; its scratch memory lives as long as the task. A tensor lives from the task
that writes it to the last one that reads it. Where a task's last reads stay ahead of its writes, its output may
begin so many bytes before a dying input (its *lead*) and run over it: a pointwise layer needs no second tensor, a
3x3 depthwise layer one row and a pixel more.

The arena's size is at least what lives at any one time (the lower bound); a placement that reaches it is optimal.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

ALIGNMENT = 8
"""Bytes every buffer begins at a multiple of."""

_SCRATCH = " (scratch)"
_MAX_STATES = 20_000
_MAX_NODES = 200_000


def aligned(size: int) -> int:
    """Bytes a buffer takes.

    Examples
    --------
    >>> aligned(1), aligned(16)
    (8, 16)
    """
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, slots=True)
class Task:
    """One layer as the planner sees it.

    Parameters
    ----------
    name : str
        The tensor it writes.
    reads : tuple of str
        Tensors it reads.
    size : int
        Bytes of the tensor.
    leads : mapping of str to int
        For tensors it reads that its output may run over: bytes the output must begin before them, at least.
    scratch : int
        Bytes of scratch memory.
    """

    name: str
    reads: tuple[str, ...]
    size: int
    leads: Mapping[str, int] = field(default_factory=dict)
    scratch: int = 0


@dataclass(frozen=True, slots=True)
class Buffer:
    """A piece of memory over a span of time.

    Parameters
    ----------
    name : str
        The tensor, or the task and that it is its scratch memory.
    size : int
        Bytes.
    first, last : int
        Steps, both included, over which it is taken.
    leads : mapping of str to int
        Buffers that end as this one begins and that it may run over, with its lead in bytes.
    """

    name: str
    size: int
    first: int
    last: int
    leads: Mapping[str, int] = field(default_factory=dict)

    def reach(self, other: Buffer) -> int:
        """Bytes of this buffer that another one above it must stay clear of."""
        size = aligned(self.size)
        return min(size, aligned(self.leads[other.name])) if other.name in self.leads else size

    def overlaps(self, other: Buffer) -> bool:
        """Whether both are taken at one time."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Plan:
    """A memory plan.

    Parameters
    ----------
    order : tuple of str
        Tasks in order of execution.
    tensors, scratch : mapping of str to int
        Offsets in the arena, bytes; of tensors, and of each task's scratch memory.
    buffers : tuple of (Buffer, int)
        Buffers and their offsets.
    peak : int
        Size of the arena, bytes.
    bound : int
        What lives at one time at least, under this order, bytes.
    """

    order: tuple[str, ...]
    tensors: Mapping[str, int]
    scratch: Mapping[str, int]
    buffers: tuple[tuple[Buffer, int], ...]
    peak: int
    bound: int


def plan(tasks: Sequence[Task], outputs: Iterable[str], inputs: Mapping[str, int]) -> Plan:
    """Plan the memory of a network.

    Parameters
    ----------
    tasks : sequence of Task
        In a topological order.
    outputs : iterable of str
        Tensors that must survive to the end.
    inputs : mapping of str to int
        Bytes of the tensors that are there from the beginning.

    Returns
    -------
    Plan
        With the order of least peak, where the graph is small enough to search all of them.
    """
    graph = _Graph(tuple(tasks), frozenset(outputs), dict(inputs))
    order = _best_order(graph)
    tensors, scratch = _buffers(graph, order)
    everything = [*tensors, *scratch]
    bound = lower_bound(everything)
    offsets = place(everything, bound)
    return Plan(
        tuple(graph.tasks[number].name for number in order),
        {buffer.name: offset for buffer, offset in zip(tensors, offsets, strict=False)},
        {
            buffer.name.removesuffix(_SCRATCH): offset
            for buffer, offset in zip(scratch, offsets[len(tensors) :], strict=True)
        },
        tuple(zip(everything, offsets, strict=True)),
        _peak(everything, offsets),
        bound,
    )


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """Bytes that no placement can do without: the largest sum at one time, less what may be run over."""
    by_name = {buffer.name: buffer for buffer in buffers}
    peak = 0
    for time in {buffer.first for buffer in buffers}:
        live = [buffer for buffer in buffers if buffer.first <= time <= buffer.last]
        total = sum(aligned(buffer.size) for buffer in live)
        for buffer in live:
            if buffer.first == time:
                total -= _saving(buffer, [by_name[name] for name in buffer.leads])
        peak = max(peak, total, *(aligned(buffer.size) for buffer in live))
    return peak


def _saving(buffer: Buffer, inputs: Sequence[Buffer]) -> int:
    """Most bytes that a buffer can share with those it may run over."""
    size = aligned(buffer.size)
    shared = sum(min(aligned(one.size), size - buffer.reach(one)) for one in inputs)
    return min(size, shared)


@dataclass(slots=True)
class _Graph:
    tasks: tuple[Task, ...]
    outputs: frozenset[str]
    inputs: dict[str, int]
    readers: dict[str, int] = field(default_factory=dict)  # bit mask of the tasks that read a tensor
    makers: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.readers = dict.fromkeys((*self.inputs, *(task.name for task in self.tasks)), 0)
        self.sizes = {name: aligned(size) for name, size in self.inputs.items()}
        for number, task in enumerate(self.tasks):
            self.makers[task.name] = number
            self.sizes[task.name] = aligned(task.size)
            for name in task.reads:
                self.readers[name] |= 1 << number

    def dies(self, name: str, done: int) -> bool:
        """Whether nobody needs a tensor once these tasks are done."""
        return name not in self.outputs and not self.readers[name] & ~done

    def leads(self, number: int, done: int) -> dict[str, int]:
        """Leads of a task towards the tensors that die with it, given the tasks done before."""
        task = self.tasks[number]
        after = done | 1 << number
        return {name: lead for name, lead in task.leads.items() if self.dies(name, after)}

    def saving(self, number: int, done: int) -> int:
        """Bytes that a task's output can share with those tensors."""
        size = self.sizes[self.tasks[number].name]
        leads = self.leads(number, done).items()
        return min(size, sum(min(self.sizes[name], max(size - aligned(lead), 0)) for name, lead in leads))


def _best_order(graph: _Graph) -> list[int]:
    """Order whose largest sum of live bytes is least (best-first over sets of finished tasks)."""
    count = len(graph.tasks)
    given = list(range(count))
    needs = [
        sum(1 << graph.makers[name] for name in set(task.reads) if name in graph.makers)
        for task in graph.tasks
    ]
    start = sum(graph.sizes[name] for name in graph.inputs)
    heap: list[tuple[int, int, int, int, tuple[int, ...]]] = [(start, 0, 0, start, ())]
    best: dict[int, int] = {0: start}
    while heap:
        peak, negative, done, live, order = heapq.heappop(heap)
        if -negative == count:
            return list(order)
        if len(best) > _MAX_STATES:
            return given
        if best[done] < peak:
            continue
        for number, task in enumerate(graph.tasks):
            if done >> number & 1 or needs[number] & ~done:
                continue
            after = done | 1 << number
            added = graph.sizes[task.name] - graph.saving(number, done)
            here = max(peak, live + added + aligned(task.scratch))
            freed = sum(graph.sizes[name] for name in set(task.reads) if graph.dies(name, after))
            if graph.dies(task.name, after):
                freed += graph.sizes[task.name]
            if here < best.get(after, here + 1):
                best[after] = here
                state = (here, negative - 1, after, live + graph.sizes[task.name] - freed, (*order, number))
                heapq.heappush(heap, state)
    return given


def _buffers(graph: _Graph, order: Sequence[int]) -> tuple[list[Buffer], list[Buffer]]:
    """Buffers of the tensors, and of the tasks' scratch memory, under an order."""
    end = len(order)
    born = dict.fromkeys(graph.inputs, 0)
    last = {name: end if name in graph.outputs else 0 for name in graph.inputs}
    leads: dict[str, dict[str, int]] = {}
    scratch = []
    done = 0
    for step, number in enumerate(order):
        task = graph.tasks[number]
        leads[task.name] = graph.leads(number, done)
        born[task.name] = step
        last[task.name] = end if task.name in graph.outputs else step
        for name in task.reads:
            last[name] = max(last[name], step)
        if task.scratch:
            scratch.append(Buffer(task.name + _SCRATCH, task.scratch, step, step))
        done |= 1 << number
    tensors = [Buffer(name, graph.sizes[name], born[name], last[name], leads.get(name, {})) for name in born]
    return tensors, scratch


def place(buffers: Sequence[Buffer], bound: int) -> list[int]:
    """Offsets of buffers so that no two that overlap in time overlap in memory.

    Every best placement is the lowest-fit placement of some order of the buffers (that of its offsets), so a
    search over orders finds it; greedy orders come first, the search stops at the lower bound.

    Parameters
    ----------
    buffers : sequence of Buffer
        What to place.
    bound : int
        Peak below which none can be, bytes.

    Returns
    -------
    list of int
        Offsets, bytes.
    """
    greedy: tuple[Callable[[Buffer], tuple[int, int]], ...] = (
        lambda b: (-b.size, b.first),
        lambda b: (b.first - b.last, -b.size),
        lambda b: (-b.size * (b.last - b.first + 1), b.first),
        lambda b: (b.first, -b.size),
        lambda b: (b.last, -b.size),
    )
    best: list[int] = []
    best_peak = -1
    for key in greedy:
        found = _lowest_fit(buffers, sorted(range(len(buffers)), key=lambda i: (*key(buffers[i]), i)))
        peak = _peak(buffers, found)
        if best_peak < 0 or peak < best_peak:
            best, best_peak = found, peak
        if best_peak == bound:
            return best
    return _search(buffers, bound, best, best_peak)


def _peak(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    return max((o + aligned(b.size) for b, o in zip(buffers, offsets, strict=True)), default=0)


def _fit(buffers: Sequence[Buffer], offsets: Sequence[int], number: int) -> int:
    """Lowest offset at which a buffer fits beside those placed (offset at least 0)."""
    buffer = buffers[number]
    # Offsets it must not have: from where it would reach into another one, to that one's end.
    taken = sorted(
        (offsets[i] - buffer.reach(other), offsets[i] + other.reach(buffer))
        for i, other in enumerate(buffers)
        if offsets[i] >= 0 and other.overlaps(buffer)
    )
    at = 0
    for begin, stop in taken:
        if at <= begin:
            break
        at = max(at, stop)
    return at


def _lowest_fit(buffers: Sequence[Buffer], order: Sequence[int]) -> list[int]:
    offsets = [-1] * len(buffers)
    for number in order:
        offsets[number] = _fit(buffers, offsets, number)
    return offsets


def _search(buffers: Sequence[Buffer], bound: int, best: list[int], best_peak: int) -> list[int]:
    """Branch and bound over orders, within a number of nodes; offsets never descend along an order."""
    nodes = 0
    offsets = [-1] * len(buffers)

    def descend(left: frozenset[int], floor: int) -> None:
        nonlocal nodes, best, best_peak
        if not left:
            best, best_peak = offsets[:], _peak(buffers, offsets)
            return
        for number in sorted(left, key=lambda i: (-buffers[i].size, i)):
            nodes += 1
            if nodes > _MAX_NODES or best_peak == bound:
                return
            at = _fit(buffers, offsets, number)
            if at < floor or at + aligned(buffers[number].size) >= best_peak:
                continue
            offsets[number] = at
            descend(left - {number}, at)
            offsets[number] = -1

    descend(frozenset(range(len(buffers))), 0)
    return best
