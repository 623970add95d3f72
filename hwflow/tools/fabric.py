# SPDX-License-Identifier: Apache-2.0
"""What synthesis makes of memories and multipliers on a family, by rule: the arithmetic of Yosys' mapping passes.

Memories follow ``memory_libmap``: for every kind of memory of the family and every width it offers, blocks and logic
around them are weighed, and the cheapest of memory blocks, LUT memory and plain logic is taken. Multipliers follow
``mul2dsp``. Figures are those of the family's library files in Yosys (``brams*.txt``, ``lutrams*.txt``,
``synth_*.cc``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class MemoryKind:
    """A memory of a family.

    Parameters
    ----------
    block : bool
        Whether it is a memory block with a registered read port; otherwise LUTs with an unregistered one.
    cost, scaled : int
        Price of one, and how much of it goes by the share of its width that is used.
    address_bits : int
        Address bits at the narrowest width.
    widths : tuple of int
        Data widths; each one doubles the one before, a parity bit aside.
    byte : int
        Bits that share a write enable; 0 where that is the whole word.
    rom_ports : int
        Read ports where nothing is written, 0 where it cannot hold constants.
    write_width : int
        Narrowest width that can be written.
    write_score : int
        Price of what Yosys adds so that a read at the address being written gives the old word.
    units : int
        Blocks (in the unit of the family's parts) or LUTs that one takes.
    large : bool
        Whether it is a large block, which parts count apart from the others (UltraRAM).
    """

    block: bool
    cost: int
    address_bits: int
    widths: tuple[int, ...]
    units: int
    scaled: int = 0
    byte: int = 0
    rom_ports: int = 0
    write_width: int = 0
    write_score: int = 1
    large: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """How a memory is held.

    Parameters
    ----------
    kind : MemoryKind or None
        None stands for logic: registers or, without a write port, LUTs.
    blocks, luts : int
        Memory blocks in the unit of the family, and LUTs used as memory.
    cells : int
        Memory blocks as they are instantiated.
    banks : int
        Memories one behind the other, between which the address chooses.
    copies : int
        Copies for further read ports.
    large : int
        Large blocks.
    """

    kind: MemoryKind | None
    blocks: int = 0
    luts: int = 0
    cells: int = 0
    banks: int = 1
    copies: int = 1
    large: int = 0

    @property
    def in_block(self) -> bool:
        """Whether memory blocks hold it."""
        return self.kind is not None and self.kind.block

    @property
    def emulated(self) -> bool:
        """Whether logic around the blocks makes them give the old word."""
        return self.kind is not None and self.kind.block and self.kind.write_score > 1


@dataclass(frozen=True, slots=True)
class MultiplierRule:
    """Multipliers that become a hard block.

    Parameters
    ----------
    a_max, b_max, a_partial, b_partial : int
        Operand widths of the block, and of its share in a larger product.
    a_min, b_min, y_min : int
        Least widths of operands and product for which the block is taken.
    units : int
        Multipliers it counts as.
    """

    a_max: int
    b_max: int
    a_partial: int
    b_partial: int
    a_min: int = 2
    b_min: int = 2
    y_min: int = 0
    units: int = 1


@dataclass(frozen=True, slots=True)
class Fabric:
    """Rules of a family.

    Parameters
    ----------
    lut_inputs : int
        Inputs of a LUT.
    free_mux : int
        LUTs that hard multiplexers join to one function at no further LUT.
    least_carry : int
        Bits of the narrowest sum that gets a carry chain.
    memories : tuple of MemoryKind
        In the order in which Yosys looks at them.
    rom_bit, ram_bit : float
        Price of a bit in logic, constant or not.
    multipliers : tuple of MultiplierRule
        Tried one after the other.
    signed_only : bool
        Whether unsigned operands take one bit more.
    packs_registers : bool
        Whether registers around a product move into its block.
    shift_registers : bool
        Whether LUTs hold shift registers.
    keeps_idle : bool
        Whether registers stay that nothing ever moves away from zero.
    """

    lut_inputs: int
    free_mux: int
    least_carry: int
    memories: tuple[MemoryKind, ...]
    rom_bit: float
    ram_bit: float
    multipliers: tuple[MultiplierRule, ...]
    signed_only: bool = False
    packs_registers: bool = False
    shift_registers: bool = False
    keeps_idle: bool = False

    def place(
        self,
        depth: int,
        width: int,
        *,
        written: bool,
        reads: int = 1,
        block: bool = False,
        used: NDArray[np.bool_] | None = None,
    ) -> Placed:
        """Where a memory with registered reads goes.

        Parameters
        ----------
        depth, width : int
            Words and bits of a word, constant ones left out.
        written : bool
            Whether it has a write port.
        reads : int
            Read ports.
        block : bool
            Whether memory blocks are demanded.
        used : ndarray of bool, shape (width,), optional
            Bits of a word that are read; blocks that hold none of them vanish.
        """
        if width == 0 or depth == 0:
            return Placed(None)
        price = (
            float("inf") if block else float(int(depth * width * (self.ram_bit if written else self.rom_bit)))
        )
        best = Placed(None)
        bits = np.ones(width, dtype=bool) if used is None else used
        cheapest: dict[tuple[bool, bool], tuple[float, Placed]] = {}
        for kind in self.memories:
            if (block and not kind.block) or (not written and not kind.rom_ports):
                continue
            found = self._geometry(kind, depth, bits, written, reads)
            style = kind.block, kind.large
            if found and (style not in cheapest or found[0] < cheapest[style][0]):
                cheapest[style] = found
        for cost, placed in cheapest.values():
            if cost < price:
                price, best = float(int(cost)), placed
        return best

    def _geometry(
        self, kind: MemoryKind, depth: int, used: NDArray[np.bool_], written: bool, reads: int
    ) -> tuple[float, Placed] | None:
        """Price and shape of a memory of this kind, at the best of its widths."""
        best: tuple[float, int, int] | None = None  # price, bits of a block, banks
        width = used.size
        copies = 1 if written else ceil(reads / kind.rom_ports)
        score = (kind.write_score if written else 1) + (reads - 1)
        for level, unit in enumerate(kind.widths):
            if written and unit < kind.write_width:
                continue
            byte = 1 if not written else min(kind.byte or unit, unit)
            banks = ceil(depth / (1 << (kind.address_bits - level)))
            total = banks * ceil(width / byte) * byte
            number = ceil(total / unit)
            cost = float((kind.cost - kind.scaled) * number * copies)
            cost += kind.scaled * banks * width / unit * copies
            cost += 0.5 * (banks - 1) * width * reads
            cost += 0.5 * banks if written and banks > 1 else 0
            cost += 2 * score
            if best is None or cost < int(best[0]):
                best = (cost, unit, banks)
        if best is None:
            return None
        cost, unit, banks = best
        byte = 1 if not written else min(kind.byte or unit, unit)
        spread = np.tile(np.pad(used, (0, -width % byte)), banks)
        occupied = np.logical_or.reduceat(spread, np.arange(0, spread.size, unit))
        found = int(np.count_nonzero(occupied)) * copies
        if kind.large:
            return cost, Placed(kind, banks=banks, copies=copies, large=found)
        blocks, luts = (found * kind.units, 0) if kind.block else (0, found * kind.units)
        cells = found * max(kind.units // 2, 1) if kind.block else 0
        return cost, Placed(kind, blocks, luts, cells, banks, copies)

    def blocks(self, a: int, b: int, y: int, *, signed: bool = True) -> int:
        """Hard multipliers of a product of ``a`` and ``b`` bits, of which ``y`` bits are needed; 0 for logic."""
        a, b = max(a, b), min(a, b)
        for rule in self.multipliers:
            if a < rule.a_min or b < rule.b_min or y < rule.y_min:
                continue
            if self.signed_only and not signed:
                a, b = a + 1, b + 1
            return self._split(rule, a, b) * rule.units
        return 0

    def _split(self, rule: MultiplierRule, a: int, b: int) -> int:
        head = int(self.signed_only)
        if a < rule.a_min or b < rule.b_min:
            return 0
        if a > rule.a_max:
            step = rule.a_partial - head
            parts = (a - rule.a_max + step - 1) // step
            return parts * self._split(rule, rule.a_partial, b) + self._split(rule, a - parts * step, b)
        if b > rule.b_max:
            step = rule.b_partial - head
            parts = (b - rule.b_max + step - 1) // step
            return parts * self._split(rule, a, rule.b_partial) + self._split(rule, a, b - parts * step)
        return 1


def _xilinx_blocks(*, cascade: bool) -> tuple[MemoryKind, ...]:
    half, full = (1, 2, 4, 9, 18, 36), (1, 2, 4, 9, 18, 36, 72)
    kinds = [
        MemoryKind(True, 129, 14, half[:-1], 1, byte=9, rom_ports=2),
        MemoryKind(True, 257, 15, full[:-1], 2, byte=9, rom_ports=2),
    ]
    if cascade:
        kinds.append(MemoryKind(True, 513, 16, (1,), 4, byte=9, rom_ports=2))
    return (
        *kinds,
        MemoryKind(True, 129, 14, half, 1, byte=9, rom_ports=1),
        MemoryKind(True, 257, 15, full, 2, byte=9, rom_ports=1),
    )


def _lattice_memories(*, emulated: bool, block_cost: int, scaled: int, luts: int) -> tuple[MemoryKind, ...]:
    """LUT memory of 16 x 4, blocks of 16 Kb with two ports and with one for each direction."""
    widths, score = (1, 2, 4, 9, 18, 36), 7 if emulated else 1
    return (
        MemoryKind(False, 4, 4, (4,), luts, scaled=scaled),
        MemoryKind(True, block_cost, 14, widths[:-1], 1, byte=9, rom_ports=2, write_score=7),
        MemoryKind(
            True,
            128,
            14,
            widths,
            1,
            byte=9,
            rom_ports=1,
            write_score=score,
            write_width=36 if emulated else 0,
        ),
    )


def _xilinx(a_max: int, memories: Sequence[MemoryKind]) -> Fabric:
    return Fabric(
        6,
        4,
        3,
        tuple(memories),
        1 / 64,
        1.0,
        (MultiplierRule(a_max, 18, 18, 18, y_min=9),),
        signed_only=True,
        packs_registers=True,
        shift_registers=True,
    )


_ECP5 = _lattice_memories(emulated=True, block_cost=128, scaled=0, luts=6)
_GOWIN = (
    MemoryKind(False, 4, 4, (4,), 8, scaled=4),
    MemoryKind(True, 128, 14, (1, 2, 4, 9, 18, 36), 1, byte=9, rom_ports=1),
    MemoryKind(True, 128, 14, (1, 2, 4, 9, 18), 1, byte=9, rom_ports=2, write_score=7),
    MemoryKind(True, 128, 14, (1, 2, 4, 9, 18, 36), 1, byte=9, rom_ports=1, write_score=7),
)
_ICE40 = (MemoryKind(True, 64, 11, (2, 4, 8, 16), 1, rom_ports=1, write_score=7),)

# Gowin and Nexus: products of 36, 18 and 9 bits.
_WIDE = MultiplierRule(36, 36, 36, 36, 22, 22, units=4)
_NARROW = (MultiplierRule(18, 18, 18, 18, 10, 4), MultiplierRule(9, 9, 9, 9, 4, 4))

_ULTRASCALE = (
    MemoryKind(False, 16, 5, (14,), 8, scaled=16),
    MemoryKind(False, 16, 6, (7,), 8, scaled=16),
    *_xilinx_blocks(cascade=False),
)

_FABRICS: Mapping[str, Fabric] = {
    "xc7": _xilinx(
        25,
        [
            MemoryKind(False, 8, 5, (6,), 4, scaled=7),
            MemoryKind(False, 8, 6, (3,), 4, scaled=7),
            *_xilinx_blocks(cascade=True),
        ],
    ),
    "xcup": _xilinx(27, _ULTRASCALE),
    "xcup-uram": _xilinx(27, [*_ULTRASCALE, MemoryKind(True, 1024, 12, (72,), 1, byte=8, large=True)]),
    "ecp5": Fabric(4, 4, 5, _ECP5, 1 / 16, 1.0, (MultiplierRule(18, 18, 18, 18),), keeps_idle=True),
    "ice40": Fabric(
        4, 1, 3, _ICE40, 1 / 16, 1.0, (MultiplierRule(16, 16, 16, 16, y_min=11),), packs_registers=True
    ),
    "gowin": Fabric(4, 8, 3, _GOWIN, 1 / 16, 1.0, (_WIDE, *_NARROW)),
    "nexus": Fabric(
        4,
        2,
        5,
        _lattice_memories(emulated=False, block_cost=129, scaled=0, luts=6),
        1 / 16,
        1.0,
        (_WIDE, MultiplierRule(36, 18, 36, 18, 22, 10, units=2), *_NARROW),
    ),
}


def fabric(name: str) -> Fabric:
    """Rules of a family, by its key in :data:`hwflow.tools.targets.TARGETS`."""
    return _FABRICS[name]
