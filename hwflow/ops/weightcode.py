# SPDX-License-Identifier: Apache-2.0
"""How a matrix-vector unit stores weights and multiplies by them: the choice, the codes, the constants they leave.

The unit (``hwf_mvu``) complements where it should negate, adds offsets to products packed into one DSP block, and
counts agreeing signs instead of adding them. Each makes the sum of an output differ by a constant that depends on
its weights only, ``Encoding.offset``, which the bias takes back. A further weight code is a further branch of
:func:`choose` and :func:`encode`, and of the function ``term`` of the unit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from hwflow.errors import UserError
from hwflow.formats import Binary, Codebook, Format, MiniFloat, Pow2, Ternary
from hwflow.numerics.codes import from_codes
from hwflow.numerics.fixed import Codes, FixedType
from hwflow.ops.base import Memory

#: Values of a layer's multiplication style.
STYLES = ("auto", "dsp", "lut")
#: Under ``auto``, products with a factor of at most so many bits are formed by LUTs.
LUT_BITS = 4
#: Bits of the ports of a DSP block, the wider and the narrower one (DSP48E1), and of its adder.
DSP_PORTS = (25, 18)
DSP_SUM = 48
#: Longest chain of DSP blocks; Yosys cascades up to 20, and each one is a cycle of latency.
_LONGEST_CHAIN = 16
#: Largest exponent for which ``auto`` prefers shifts to a DSP block (a LUT6 selects one of four).
_MAX_SHIFT = 3
#: LUTs worth a block RAM of 18 Kb, and bits of its word (Artix-7: 190 LUTs there are a block).
_LUTS_A_BLOCK, _BLOCK_WIDTH, _BLOCK_DEPTH = 120, 36, 512


class WeightCode(IntEnum):
    """Decoders of the unit."""

    FIXED = 0
    BINARY = 1
    TERNARY = 2
    POW2 = 3
    XNOR = 4
    CODEBOOK = 5
    MINIFLOAT = 6


@dataclass(frozen=True, slots=True)
class Multiplication:
    """How a unit multiplies.

    Parameters
    ----------
    code : WeightCode
        Decoder.
    shift : int
        Power of two that all weights are multiples of.
    width : int
        Bits of a weight's code; of the values of a codebook, of the mantissa of a mini float with its leading one.
    signed : bool
        Whether a fixed-point code is two's complement.
    pack : int
        0: LUTs; otherwise products a DSP block.
    pack_bits : int
        Distance of packed products.
    chain : int
        Lanes summed from DSP block to DSP block.
    block : bool
        Whether the weights lie in block RAM.
    stored : int
        Bits of an index or a mini float as stored, 0 for other codes.
    exp_low, span : int
        Smallest exponent code of the mini floats, and how much larger they get.
    table : tuple of int
        Values of the codebook.
    bipolar : int
        Magnitude that all activations have under the code XNOR.
    """

    code: WeightCode
    shift: int
    width: int
    signed: bool = False
    pack: int = 0
    pack_bits: int = 1
    chain: int = 1
    block: bool = False
    stored: int = 0
    exp_low: int = 0
    span: int = 0
    table: tuple[int, ...] = ()
    bipolar: int = 0

    def latency(self, simd: int) -> int:
        """Cycles from the last word of a fold to its first output (header of ``hwf_mvu``)."""
        digits = self.code in _MULTIPLIED and self.pack == 0
        linked = self.chain if self.pack > 1 or self.chain > 1 else 0
        decoding = 1 + int(self.block) if self.code is WeightCode.CODEBOOK else int(self.block or digits)
        scaling = int(self.code is WeightCode.MINIFLOAT)
        return 7 + decoding + scaling + linked + (simd // self.chain - 1).bit_length()

    def parameters(self) -> dict[str, int | Memory]:
        """Parameters of the unit."""
        parameters: dict[str, int | Memory] = {
            "WeightCode": int(self.code), "WW": self.width, "WSigned": int(self.signed), "Pack": self.pack,
            "PackBits": self.pack_bits, "DspW": DSP_PORTS[0], "Chain": self.chain, "RomBlock": int(self.block),
        }  # fmt: skip
        if self.stored:
            parameters["CodeW"] = self.stored
        if self.code is WeightCode.CODEBOOK:
            parameters["TableFile"] = Memory(np.array(self.table, np.int64)[:, None], self.width)
        if self.code is WeightCode.MINIFLOAT:
            parameters |= {"ExpLow": self.exp_low, "ShiftMax": self.span}
        return parameters


_MULTIPLIED = (WeightCode.FIXED, WeightCode.CODEBOOK, WeightCode.MINIFLOAT)


@dataclass(frozen=True, slots=True)
class Encoding:
    """Weights as the unit reads them.

    Parameters
    ----------
    memory : Memory
        Contents of the weight memory.
    offset : ndarray of int64, shape (outputs,)
        What the unit's sum has above the exact one, on the grid of the products.
    halved : int
        Bits the unit's sum is coarser by than the grid of the products.
    """

    memory: Memory
    offset: Codes
    halved: int = 0


def choose(
    matrix: Codes,
    pe: int,
    simd: int,
    x: FixedType,
    *,
    style: str = "auto",
    lut_bits: int = LUT_BITS,
    depthwise: bool = False,
    bipolar: int = 0,
    stored: Format | None = None,
    frac: int = 0,
    chained: bool = True,
) -> Multiplication:
    """Cheapest exact way to multiply by these weights, as they are to be stored.

    Parameters
    ----------
    matrix : ndarray of int64, shape (terms, outputs)
        Weight codes; ``simd`` terms in a row are read together.
    pe, simd : int
        Folding.
    x : FixedType
        Grid of the activations.
    style : str
        ``lut``: no DSP blocks. ``dsp``: as many products a DSP block as fit. ``auto``: LUTs where a factor has at most
        ``lut_bits`` bits, otherwise DSP blocks that also hold the sums, packed only where whole sums still fit.
        Weights of +-1 and 0 need no multiplier under any style; powers of two become shifts under ``lut``, and
        under ``auto`` while the shifts are short.
    lut_bits : int
        Bits, see ``style``.
    depthwise : bool
        Whether every output has activations of its own, which leaves nothing to pack.
    bipolar : int
        The magnitude that all activations have, a power of two in units of their grid; 0 where they have several.
    stored : Format or None
        Format of the weights, which decides how they are stored; fixed point leaves the choice as it is.
    frac : int
        Fractional bits of the weights.
    chained : bool
        Whether DSP blocks may add from one to the next, a cycle each; otherwise a tree of adders does, in fewer.

    Raises
    ------
    UserError
        When the weights have other values than their format.
    """
    if isinstance(stored, Codebook):
        plan = _codebook(matrix, stored)
        if style != "lut" and (style == "dsp" or min(x.width, plan.width) > lut_bits):
            plan = _dsp(matrix >> plan.shift, pe, simd, x, plan, style, unpacked=True, chained=chained)
        return _placed(matrix, pe, simd, plan)
    if isinstance(stored, MiniFloat):
        plan = _minifloat(matrix, stored, frac)
        dsp = style != "lut" and (style == "dsp" or min(x.width, plan.width) > lut_bits)
        return _placed(matrix, pe, simd, replace(plan, pack=int(dsp)))
    used = _distinct(matrix)
    zeros, used = bool((used == 0).any()), np.abs(used[used != 0])
    shift = min((int(value & -value).bit_length() - 1 for value in used.tolist()), default=0)
    sizes = {int(value) >> shift for value in used.tolist()}
    powers = all(size & (size - 1) == 0 for size in sizes)
    if (isinstance(stored, Binary) and (zeros or sizes != {1})) or (
        isinstance(stored, Ternary | Pow2) and not (powers and (sizes <= {1} or isinstance(stored, Pow2)))
    ):
        raise _not_of(stored)
    if sizes <= {1} and not isinstance(stored, Pow2):
        if zeros or not sizes or isinstance(stored, Ternary):
            plan = Multiplication(WeightCode.TERNARY, shift, 2)
        elif bipolar:
            plan = Multiplication(WeightCode.XNOR, shift, 1, bipolar=bipolar)
        else:
            plan = Multiplication(WeightCode.BINARY, shift, 1)
        return _placed(matrix, pe, simd, plan)
    largest = max(sizes, default=1).bit_length() - 1
    if isinstance(stored, Pow2) or (
        powers and (style == "lut" or (style == "auto" and largest <= _MAX_SHIFT))
    ):
        plan = Multiplication(WeightCode.POW2, shift, 1 + (largest + 1).bit_length())
        return _placed(matrix, pe, simd, plan)
    grid = FixedType.for_range(int(matrix.min()) >> shift, int(matrix.max()) >> shift, 0)
    plan = Multiplication(WeightCode.FIXED, shift, grid.width, grid.signed)
    if style != "lut" and (style == "dsp" or min(x.width, grid.width) > lut_bits):
        plan = _dsp(matrix >> shift, pe, simd, x, plan, style, unpacked=depthwise, chained=chained)
    return _placed(matrix, pe, simd, plan)


def _not_of(stored: Format) -> UserError:
    """Weights that were changed after they were quantized, or scaled by other factors than a power of two."""
    return UserError(
        f"its weights are no values of the format {stored} that they are to be stored in",
        "quantize them by the format, without a scale a channel, or leave out weight_format",
    )


def _codebook(matrix: Codes, stored: Codebook) -> Multiplication:
    """Indices of the distinct values; what the codebook has beyond them is zero."""
    values = np.unique(matrix)
    if values.size > stored.size:
        raise _not_of(stored)
    joint = int(np.bitwise_or.reduce(np.abs(values)))
    shift = (joint & -joint).bit_length() - 1 if joint else 0
    grid = FixedType.for_range(int(values.min()) >> shift, int(values.max()) >> shift, 0)
    table = np.zeros(stored.size, np.int64)
    table[: values.size] = values >> shift
    return Multiplication(
        WeightCode.CODEBOOK,
        shift,
        grid.width,
        grid.signed,
        stored=stored.code_bits,
        table=tuple(table.tolist()),
    )


def _minifloat(matrix: Codes, stored: MiniFloat, frac: int) -> Multiplication:
    """Mantissas with their leading one, on the grid of the last mantissa bit at the smallest exponent."""
    values = from_codes(matrix, FixedType(True, 64, frac))
    if not np.array_equal(stored.quantize(values), values):
        raise _not_of(stored)
    used = np.abs(matrix[matrix != 0])
    low, high = (int(used.min()).bit_length(), int(used.max()).bit_length()) if used.size else (1, 1)
    # In units of the weights, a number with the exponent code e begins at bit e - bias + frac.
    exp_low = low - 1 - frac + stored.bias if used.size else 0
    return Multiplication(
        WeightCode.MINIFLOAT, low - 1 - stored.mantissa, stored.mantissa + 1, stored=stored.code_bits,
        exp_low=exp_low, span=high - low,
    )  # fmt: skip


def shifted(codes: Codes, shift: int) -> Codes:
    """Codes in units of ``2**shift``, of which they are multiples; finer units where the shift is negative."""
    return codes >> shift if shift >= 0 else codes << -shift


def _distinct(codes: Codes) -> Codes:
    """Values that occur, ascending; counted, as sorting a large layer's weights takes longer."""
    low, high = int(codes.min()), int(codes.max())
    if high - low >= codes.size:
        return np.unique(codes)
    return np.flatnonzero(np.bincount(codes.reshape(-1) - low)) + low


def _dsp(
    matrix: Codes,
    pe: int,
    simd: int,
    x: FixedType,
    plain: Multiplication,
    style: str,
    *,
    unpacked: bool,
    chained: bool,
) -> Multiplication:
    """DSP blocks: how many products each, one where ``unpacked``, and how many lanes are summed where ``chained``."""
    x_width = x.width + (0 if x.signed else 1)
    if plain.width + 1 > DSP_PORTS[0] or x_width > DSP_PORTS[1]:
        return replace(plain, pack=1)
    longest = min(simd, _LONGEST_CHAIN) if chained else 1
    dividing = [lanes for lanes in range(longest, 0, -1) if simd % lanes == 0]
    # Left to itself, pack only what leaves no sum outside.
    chains = [lanes for lanes in dividing if lanes == simd > 1] if style == "auto" else dividing
    for pack in (4, 3, 2):
        if pe % pack or unpacked:
            continue
        for lanes in chains:
            bits = _field(matrix, lanes, x)
            spare = (pack - 1) * bits + plain.width + 1
            if pack * bits < DSP_SUM and spare <= DSP_PORTS[0] + int(lanes == 1 and plain.signed):
                return replace(plain, pack=pack, pack_bits=bits, chain=lanes)
    return replace(plain, pack=1, chain=dividing[0])


def _field(matrix: Codes, chain: int, x: FixedType) -> int:
    """Bits that hold the sum of a chain's products plus their offset."""
    low, high = x.range()
    weights = matrix.reshape(-1, chain, matrix.shape[1])
    first, second = weights * low, weights * high
    least = int(np.minimum(np.minimum(first, second), 0).sum(axis=1).min())
    most = int(np.maximum(np.maximum(first, second), 0).sum(axis=1).max())
    return max((-least).bit_length(), (max(most, 1) - 1).bit_length()) + 1


def _placed(matrix: Codes, pe: int, simd: int, plan: Multiplication) -> Multiplication:
    """The plan with its weights in LUTs or in block RAM, whichever is worth less."""
    depth, group = matrix.size // (pe * simd), max(plan.pack, 1)
    width = pe * simd // group * (plan.stored or plan.width + (group - 1) * (plan.width + 1))
    luts = width * (4 * -(-depth // 64) // 3)
    blocks = -(-width // _BLOCK_WIDTH) * -(-depth // _BLOCK_DEPTH)
    return replace(plan, block=depth > 64 and luts > _LUTS_A_BLOCK * blocks)


def encode(words: Codes, pe: int, simd: int, synapse_folds: int, plan: Multiplication) -> Encoding:
    """Weight memory of a unit.

    Parameters
    ----------
    words : ndarray of int64, shape (folds * synapse_folds, pe * simd)
        Weight codes in the order the unit reads them, lanes PE by PE.
    pe, simd, synapse_folds : int
        Folding.
    plan : Multiplication
        What :func:`choose` returned.
    """
    weights = shifted(words.reshape(-1, pe, simd), plan.shift)
    negative = weights < 0
    unit = 0  # of the offset, for every negative weight
    halved = 0
    codes = weights
    width = plan.stored or plan.width
    if plan.code in (WeightCode.FIXED, WeightCode.CODEBOOK) and plan.pack == 0:
        unit = -(4 ** ((plan.width - 1) // 2)) if plan.signed else 0
    if plan.code is WeightCode.CODEBOOK:
        codes = np.searchsorted(np.unique(weights), weights).astype(np.int64)
    elif plan.code is WeightCode.MINIFLOAT:
        codes, unit = _minifloat_codes(weights, plan), -1
    elif plan.code is WeightCode.FIXED and plan.pack:
        codes, width = _packed(weights, plan)
    elif plan.code is WeightCode.BINARY:
        codes, unit = negative.astype(np.int64), -1
    elif plan.code is WeightCode.TERNARY:
        unit = -1
    elif plan.code is WeightCode.POW2:
        exponents = np.where(weights == 0, 0, np.log2(np.maximum(np.abs(weights), 1)).astype(np.int64) + 1)
        codes, unit = exponents + (negative.astype(np.int64) << (plan.width - 1)), -1
    elif plan.code is WeightCode.XNOR:
        codes, halved = (~negative).astype(np.int64), plan.bipolar.bit_length()
    offset = _by_output(negative * unit, synapse_folds)
    if halved:
        offset = np.full_like(offset, synapse_folds * simd * plan.bipolar)
    if plan.pack > 1:
        low = np.arange(pe) % plan.pack + 1 < plan.pack
        count = synapse_folds * (simd // plan.chain) * ((1 << (plan.pack_bits - 1)) - 1)
        offset = np.tile(np.where(low, count, 0), offset.size // pe)
    lanes = codes.reshape(codes.shape[0], -1, simd // plan.chain, plan.chain).transpose(0, 3, 1, 2)
    return Encoding(Memory(lanes.reshape(codes.shape[0], -1), width), offset, halved)


def _minifloat_codes(weights: Codes, plan: Multiplication) -> Codes:
    """Sign, exponent and mantissa of weights in units of the last mantissa bit at the smallest exponent."""
    bits = plan.width - 1  # of the mantissa as stored
    sizes = np.abs(weights)
    up = np.frexp(np.maximum(sizes, 1).astype(np.float64))[1] - plan.width
    codes = ((up + plan.exp_low) << bits) + ((sizes >> np.maximum(up, 0)) - (1 << bits))
    return np.where(sizes == 0, 0, codes + ((weights < 0).astype(np.int64) << (plan.stored - 1)))


def _by_output(values: Codes, synapse_folds: int) -> Codes:
    """Sums over the words of a fold and the lanes of an output, in the order of outputs."""
    depth, pe, simd = values.shape
    total: Codes = (
        values.reshape(depth // synapse_folds, synapse_folds, pe, simd).sum(axis=(1, 3)).reshape(-1)
    )
    return total.astype(np.int64)


def _packed(weights: Codes, plan: Multiplication) -> tuple[Codes, int]:
    """Codes of ``plan.pack`` outputs each, and their bits: see the header of ``hwf_mvu``."""
    depth, pe, simd = weights.shape
    pack, width = max(plan.pack, 1), plan.width
    fields = weights.reshape(depth, pe // pack, pack, simd)
    codes = fields[:, :, 0] & ((1 << width) - 1)
    borrow = (fields[:, :, 0] < 0).astype(np.int64)
    tight = (pack - 1) * plan.pack_bits + width + 1 > DSP_PORTS[0]
    for j in range(1, pack):
        value = fields[:, :, j] - borrow
        borrow = (value < 0).astype(np.int64)
        if tight and j == pack - 1:
            over = value < -(1 << (width - 1))
            value = ((value + over) & ((1 << width) - 1)) | (over.astype(np.int64) << width)
        codes = codes | ((value & ((1 << (width + 1)) - 1)) << (width + (j - 1) * (width + 1)))
    return codes, width + (pack - 1) * (width + 1)
