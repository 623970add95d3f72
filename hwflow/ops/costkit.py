# SPDX-License-Identifier: Apache-2.0
"""What a module is made of, as far as its parameters tell: registers, sums, choices, memories, multipliers.

An operation's ``cost.py`` describes its modules in these words; what a family makes of them follows from its rules
(:mod:`hwflow.tools.fabric`). Registers, memory blocks and multipliers are counted. LUTs are estimated feature by
feature, in units of what the structure would take by itself; a coefficient for each feature, fitted to synthesis
results (:mod:`hwflow.cost.resources`), accounts for what logic optimization saves.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np
from numpy.typing import NDArray

from hwflow.ops.base import Memory
from hwflow.tools.fabric import Fabric, Placed

#: LUTs of a table of a function, relative to one of any values.
_SMOOTH = 0.3
#: Words of a memory whose columns are LUTs.
_SMALL = 64


@dataclass(frozen=True, slots=True)
class Contents:
    """What synthesis sees of a constant memory.

    Parameters
    ----------
    depth : int
        Words.
    columns : ndarray of int64, shape (width,)
        A number for each bit of a word, low bit first: 0 where it is the same in all words; equal numbers stand
        for equal bits, which are looked for only in memories that logic may hold.
    """

    depth: int
    columns: NDArray[np.int64]

    @property
    def width(self) -> int:
        """Bits of a word."""
        return int(self.columns.size)

    @property
    def live(self) -> NDArray[np.bool_]:
        """Bits that are not the same in all words."""
        return self.columns > 0

    def distinct(self, low: int, width: int) -> int:
        """Different bits among ``width`` from ``low`` on."""
        part = self.columns[low : low + width]
        return int(np.unique(part[part > 0]).size)

    @classmethod
    def of_words(cls, words: Sequence[int], width: int) -> Contents:
        """Of words of so many bits."""
        changing = 0
        for word in words:
            changing |= word ^ words[0]
        live = np.array([changing >> bit & 1 for bit in range(width)], dtype=bool)
        if len(words) > _SMALL:
            return cls(len(words), np.where(live, np.arange(1, width + 1), 0))
        return cls._numbered(
            len(words),
            [tuple(word >> bit & 1 for word in words) if live[bit] else None for bit in range(width)],
        )

    @classmethod
    def of_memory(cls, memory: Memory) -> Contents:
        """Of a memory that has not been written yet."""
        words, shifts = memory.words, np.arange(memory.lane_width)
        depth = len(words)
        changing = np.bitwise_or.reduce(words ^ words[:1], axis=0)
        live = ((changing[:, None] >> shifts) & 1).astype(bool).reshape(-1)
        if depth > _SMALL:
            return cls(depth, np.where(live, np.arange(1, live.size + 1), 0))
        bits = ((words[:, :, None] >> shifts) & 1).astype(np.uint8).reshape(depth, -1)
        packed = np.packbits(bits, axis=0).T
        return cls._numbered(
            depth, [column.tobytes() if on else None for column, on in zip(packed, live, strict=True)]
        )

    @classmethod
    def _numbered(cls, depth: int, columns: Sequence[Hashable | None]) -> Contents:
        numbers: dict[Hashable | None, int] = {None: 0}
        found = [numbers.setdefault(column, len(numbers)) for column in columns]
        return cls(depth, np.array(found, dtype=np.int64))


#: Parameters of a module: numbers, lists of them, and what is known of its memories.
Parameters = Mapping[str, "int | tuple[int, ...] | Contents"]


@dataclass(slots=True)
class Structure:
    """What has been counted of a module.

    Parameters
    ----------
    fabric : Fabric
        Rules of the family.
    ff, dsp : int
        Flip-flops, hard multipliers.
    cells, blocks, large : int
        Memory blocks as synthesis instantiates them, in the unit of the family (18 Kb for AMD), and large ones.
    luts : dict of str to float
        LUTs by feature.
    """

    fabric: Fabric
    ff: int = 0
    dsp: int = 0
    cells: int = 0
    blocks: int = 0
    large: int = 0
    luts: dict[str, float] = field(default_factory=dict)

    def register(self, bits: int) -> None:
        """Flip-flops."""
        self.ff += bits

    def lut(self, feature: str, amount: float) -> None:
        """LUTs known otherwise."""
        if amount > 0:
            self.luts[feature] = self.luts.get(feature, 0.0) + amount

    def logic(self, feature: str, inputs: float, times: float = 1) -> None:
        """A function of so many inputs, as a tree of LUTs, so many times."""
        if inputs > 1:
            self.lut(feature, times * ceil((inputs - 1) / (self.fabric.lut_inputs - 1)))

    def add(self, feature: str, bits: int, times: float = 1) -> None:
        """A sum: a carry chain, or logic where it is too narrow for one."""
        if bits < 1:
            return
        if bits < self.fabric.least_carry:
            self.lut(feature, times * bits * (1 if self.fabric.lut_inputs > 4 else 1.25))
        elif self.fabric.lut_inputs > 4:
            self.lut(feature, times * bits)
        else:
            self.lut(feature, times * 2 * ceil(bits / 2))

    def step(self, feature: str, bits: int, times: float = 1) -> None:
        """A sum with a constant: a carry chain with inputs of its own takes the register as it is."""
        if bits < self.fabric.least_carry or self.fabric.lut_inputs <= 4:
            self.add(feature, bits, times)

    def choice(self, feature: str, bits: float, inputs: int) -> None:
        """One function of so many inputs for each bit, where most inputs are control that all bits share.

        Mapping is for speed: up to the widest function that hard multiplexers make of LUTs, each bit decodes its
        control anew; wider control is decoded once, at the price of a level.
        """
        extra = max(inputs - self.fabric.lut_inputs, 0)
        if self.fabric.lut_inputs > 4:
            own = 1.5 if extra == 1 else 1.0
        else:
            own = float(1 << extra) if extra <= 3 else 1.0
        self.lut(feature, bits * own)

    def state(self, feature: str, bits: int, controls: int = 3) -> None:
        """Next value of a small counter under so many control signals."""
        if bits >= self.fabric.least_carry:
            self.add(feature, bits)
            if self.fabric.lut_inputs <= 4:  # where a LUT in front of the carry has no inputs left
                self.choice(feature, bits, controls + 2)
        else:
            self.choice(feature, bits, controls + bits)

    def mux(self, feature: str, ways: int, bits: float) -> None:
        """A choice of one of ``ways`` words."""
        if ways > 1:
            inputs = 4 if self.fabric.lut_inputs > 4 else 2  # words one LUT chooses from
            first = ceil(ways / inputs)
            self.lut(feature, bits * (first + max(first - self.fabric.free_mux, 0) / self.fabric.free_mux))

    def counter(self, feature: str, last: int, *, spare: bool = False) -> None:
        """A counter from 0 to ``last`` with its register and the comparison with its end.

        ``spare`` stands for a width that holds ``last + 1`` too.
        """
        if last:
            bits = (last + spare).bit_length()
            self.register(bits)
            self.state(feature, bits, 0)
            self.logic(feature, bits)
        elif spare and self.fabric.keeps_idle:
            self.register(1)

    def memory(self, depth: int, width: int, *, reads: int = 1, registered: bool = True) -> Placed:
        """A memory with a write port and registered reads at once or, where not ``registered``, without a register.

        Returns
        -------
        Placed
            Where it went.
        """
        placed = self.fabric.place(depth, width, written=True, reads=reads)
        self.blocks += placed.blocks
        self.cells += placed.cells
        self.large += placed.large
        self.lut("memory.lut", placed.luts)
        if placed.kind is None:
            self.register(depth * width)
            self.mux("memory.read", depth, width * reads)
            self.lut("memory.write", depth)
        elif placed.banks > 1:
            self.mux("memory.banks", placed.banks, width * reads)
            self.lut("memory.banks", placed.banks)
        if placed.in_block and placed.banks > 1:
            self.register((placed.banks - 1).bit_length() * reads)
        if not placed.in_block and registered:
            self.register(width * reads)
        if placed.emulated:
            address = max(depth - 1, 1).bit_length()
            self.register(width * (1 + reads) + address + 1 + reads)
            self.lut("memory.emulated", width * reads + address / 2)
        return placed

    def rom(
        self,
        feature: str,
        contents: Contents,
        *,
        reads: int = 1,
        block: bool = False,
        low: int = 0,
        width: int | None = None,
        smooth: bool = False,
        registered: bool = True,
    ) -> Placed:
        """A constant memory with registered reads of the bits from ``low`` on.

        ``smooth`` stands for the values of a function, whose high bits are simple; where not ``registered``, a
        multiplier holds what is read.
        """
        width = contents.width if width is None else width
        used = np.zeros(contents.width, dtype=bool)
        used[low : low + width] = True
        live = contents.live
        seen = int((used & live).sum())
        placed = self.fabric.place(
            contents.depth, int(live.sum()), written=False, reads=reads, block=block, used=used[live]
        )
        self.blocks += placed.blocks
        self.cells += placed.cells
        if placed.kind is None:
            seen = contents.distinct(low, width)
            share = _SMOOTH if smooth else 1.0
            self.lut(feature, reads * seen * self._rom_luts(contents.depth) * share)
            self.register(seen * reads * registered)
        elif placed.banks > 1:
            self.mux("memory.banks", placed.banks, seen * reads)
            self.register((placed.banks - 1).bit_length() * reads)
        return placed

    def _rom_luts(self, depth: int) -> float:
        """LUTs of a function of the address, as mapping finds them: not each table of its own is one LUT."""
        if depth <= 2:
            return 0  # an address bit itself
        if self.fabric.lut_inputs > 4:
            # Large ones become a tree of multiplexers, of so many words a LUT.
            return 1 if depth <= 32 else max(2.0, depth / 24)
        tables = ceil(depth / 16)
        return tables + (tables - 1) // self.fabric.free_mux

    def multiply(self, feature: str, a: int, b: int, y: int, *, signed: bool = True, times: int = 1) -> int:
        """Products of ``a`` and ``b`` bits, of which ``y`` bits are needed; returns the hard blocks of one."""
        number = self.fabric.blocks(a, b, y, signed=signed)
        self.dsp += number * times
        if number > 1 and not self.fabric.packs_registers:  # blocks that add take their parts in
            self.add("product.parts", max(y - self.fabric.multipliers[-1].a_partial, 1), times * (number - 1))
        if not number:
            self.lut(feature, times * min(a, b) * max(a, b))
        return number

    def constant(self, feature: str, bits: int, factor: int, y: int, *, times: int = 1) -> int:
        """Products of ``bits`` bits and a constant; a power of two is wires. Returns the hard blocks of one."""
        odd = abs(factor) // (abs(factor) & -abs(factor)) if factor else 0
        if odd <= 1:
            return 0
        return self.multiply(feature, bits, factor.bit_length() + 1, y, times=times)


def number(parameters: Parameters, name: str, default: int = 0) -> int:
    """A numeric parameter, or its default."""
    value = parameters.get(name, default)
    if not isinstance(value, int):
        raise TypeError(f"parameter {name} is no number")
    return value


def contents(parameters: Parameters, name: str) -> Contents:
    """What is known of a memory."""
    value = parameters[name]
    if not isinstance(value, Contents):
        raise TypeError(f"parameter {name} is no memory")
    return value


#: Counts the structure of a module with these parameters.
Describe = Callable[[Structure, Parameters], None]
