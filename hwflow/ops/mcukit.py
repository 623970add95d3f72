# SPDX-License-Identifier: Apache-2.0
"""What an operation says about its C form: storage of codes, kernels that start a layer, stages that follow.

An operation's folder holds ``mcu.py`` with ``LOWERING``, a :class:`RowKernel`, :class:`RowStage` or :class:`View`,
and the C source it names. ``hwflow/mcu`` joins kernels and stages to layers (see ``hwflow/mcu/runtime/hwf.h``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from hwflow.ir.graph import QuantNode, QuantParam
from hwflow.numerics.fixed import Codes, FixedType
from hwflow.ops.base import Interval, Window


@dataclass(frozen=True, slots=True)
class Storage:
    """How codes lie in memory.

    Parameters
    ----------
    enum : str
        Its name in C.
    bits : int
        Bits a code; below 8 they are packed and each pixel begins with a new byte.
    signed : bool
        Whether the field is two's complement.
    """

    enum: str
    bits: int
    signed: bool

    def row_bytes(self, channels: int) -> int:
        """Bytes of one pixel."""
        return -(-channels * self.bits // 8)

    @property
    def c_type(self) -> str:
        """The C type of a code (of a byte of packed ones)."""
        return f"{'' if self.signed and self.bits >= 8 else 'u'}int{max(8, self.bits)}_t"


_STORAGES = {
    (bits, signed): Storage(f"HWF_{'IU'[not signed]}{bits}", bits, signed)
    for bits in (1, 2, 4, 8, 16)
    for signed in (True, False)
}
I32, I64 = Storage("HWF_I32", 32, True), Storage("HWF_I64", 64, True)


def storage_of(type_: FixedType) -> Storage:
    """The narrowest storage of a grid's codes.

    Examples
    --------
    >>> storage_of(FixedType(True, 6, 0)).enum, storage_of(FixedType(False, 3, 0)).enum
    ('HWF_I8', 'HWF_U4')
    """
    for bits in (1, 2, 4, 8, 16):
        if type_.width <= bits:
            return _STORAGES[bits, type_.signed]
    return I32 if type_.width <= 32 - (not type_.signed) else I64


@dataclass(frozen=True, slots=True)
class Tensor:
    """A node's codes, as a kernel reads them.

    Parameters
    ----------
    node : QuantNode
        Producer.
    storage : Storage
        How they lie in memory.
    interval : Interval
        Range of the codes.
    """

    node: QuantNode
    storage: Storage
    interval: Interval

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest code; zero is included, which padding gives."""
        return min(int(self.interval.low.min()), 0), max(int(self.interval.high.max()), 0)


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel with its constants.

    Parameters
    ----------
    function : str
        C function.
    source : str
        C file, relative to the folder ``hwflow``.
    window : Window
        Geometry of the layer.
    channels : int
        Channels of the input.
    scratch : int
        Bytes of scratch memory.
    weights : bytes
        Packed weights.
    bias : Codes or None
        Biases on the grid of the sum.
    zero, step : int
        A weight is ``zero + step * field``.
    storage : Storage
        How the weights are packed.
    acc_shift : int
        Bits appended to the sum of products before the bias.
    macs : int
        Multiply-accumulates a frame.
    stages : tuple of Stage
        Steps of its own on each row, before those of the node.
    first : Codes or None
        First input pixel that each output pixel reads, where the window does not tell.
    """

    function: str
    source: str
    window: Window
    channels: int
    scratch: int
    weights: bytes = b""
    bias: Codes | None = None
    zero: int = 0
    step: int = 1
    storage: Storage = _STORAGES[8, True]
    acc_shift: int = 0
    macs: int = 0
    stages: tuple[Stage, ...] = ()
    first: Codes | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """An element-wise step on a row of values.

    Parameters
    ----------
    function : str
        C function, without its width.
    source : str
        C file, relative to the folder ``hwflow``.
    shift : int
        Bits appended to the row (dropped, for a cast).
    up : int
        Bits appended to the data.
    data : Codes or None
        Constants, one a channel.
    storage : Storage or None
        Storage of the constants, or of the other tensor.
    tensor : str
        Name of the other tensor, where there is one.
    by_pixel : bool
        Whether the data hold a row a pixel, or one row for all.
    begin : int
        Channel from which on the data lie in the row, where they do not fill it.
    rounding, overflow : str
        Modes of a cast.
    type : FixedType or None
        Grid a cast goes to.
    """

    function: str
    source: str
    shift: int = 0
    up: int = 0
    data: Codes | None = field(default=None, compare=False)
    storage: Storage | None = None
    tensor: str = ""
    by_pixel: bool = False
    begin: int = 0
    rounding: str = "TRN"
    overflow: str = "WRAP"
    type: FixedType | None = None


class Form:
    """The C form of an operation."""

    def reasons(self, node: QuantNode) -> list[str]:
        """Why a node has no C form although its operation has one; empty when it has."""
        return []

    def rewritten(self, node: QuantNode, inputs: Sequence[QuantNode]) -> tuple[QuantNode, ...]:
        """The node by other nodes, of which the last has its name; itself where it has kernel or stages of its own."""
        return (node,)

    def peak(self, node: QuantNode, x: Interval) -> int:
        """Largest magnitude on the way from x to the exact result, where that itself does not tell."""
        return 0


class RowKernel(Form, ABC):
    """An operation that computes rows from its first input.

    Its kernel goes through the output pixels in raster order and reads all that a pixel needs before it stores that
    pixel's row: the planner lets outputs run over inputs on that.

    Attributes
    ----------
    min_code_bits : int
        Fewest bits of a stored code that its fast kernels read; narrower codes are not packed for it.
    """

    min_code_bits: ClassVar[int] = 1

    @abstractmethod
    def kernel(self, node: QuantNode, source: Tensor, wide: bool) -> Kernel:
        """The kernel of a node; 64-bit values where ``wide``."""


class RowStage(Form, ABC):
    """An element-wise operation; the row comes from one of its inputs.

    Attributes
    ----------
    from_memory : bool
        Whether the row must be the first input's, out of memory, and not one that a layer still works on: where
        the operation changes the number of channels.
    """

    from_memory: ClassVar[bool] = False

    @abstractmethod
    def stages(self, node: QuantNode, row: Interval, others: Sequence[Tensor]) -> tuple[Stage, ...]:
        """Steps from the row to the exact result, before the node's cast.

        Parameters
        ----------
        node : QuantNode
            The node.
        row : Interval
            Range of the row.
        others : sequence of Tensor
            The other inputs, in order.
        """


class View(Form):
    """An operation that leaves the codes where they are."""


def words(values: Codes, bits: int) -> bytes:
    """Integers of 8, 16, 32 or 64 bits as little-endian bytes (two's complement)."""
    return np.asarray(values, dtype=np.int64).astype(f"<i{bits // 8}").tobytes()


def pack_fields(fields: Codes, bits: int) -> bytes:
    """Unsigned fields as bytes, low bits first, each row padded to whole bytes.

    Examples
    --------
    >>> pack_fields(np.array([[1, 2, 3]]), 4).hex()
    '2103'
    """
    rows, length = fields.shape
    planes = (fields[:, :, None] >> np.arange(bits)) & 1
    flat = np.pad(planes.reshape(rows, length * bits), ((0, 0), (0, -length * bits % 8)))
    return np.packbits(flat.astype(np.uint8), axis=1, bitorder="little").tobytes()


def pack_rows(rows: Codes, storage: Storage) -> bytes:
    """Rows of codes as the C function ``hwf_load`` reads them."""
    if storage.bits < 8:
        return pack_fields(rows & ((1 << storage.bits) - 1), storage.bits)
    return words(rows, storage.bits)


@dataclass(frozen=True, slots=True)
class Fields:
    """Weights as ``zero + step * field`` with unsigned fields.

    Parameters
    ----------
    fields : ndarray of int64
        In the shape of the weights.
    bits : int
        8, 4, 2 or 1.
    zero, step : int
        Offset and factor.
    """

    fields: Codes
    bits: int
    zero: int
    step: int


def weight_fields(codes: Codes) -> Fields | None:
    """Fewest bits that hold weights as fields, or None beyond 8 bits.

    Examples
    --------
    >>> weight_fields(np.array([-1, 1, 1]))
    Fields(fields=array([0, 1, 1]), bits=1, zero=-1, step=2)
    >>> weight_fields(np.array([-8, 7])).bits
    1
    """
    low, high = int(codes.min()), int(codes.max())
    if high - low > 255 or not -(1 << 15) <= low <= high < 1 << 15:
        return None
    if np.isin(codes, (low, high)).all():
        step = max(high - low, 1)
        return Fields((codes - low) // step, 1, low, step)
    bits = next(bits for bits in (2, 4, 8) if high - low < 1 << bits)
    return Fields(codes - low, bits, low, 1)


def fits(interval: Interval, bits: int) -> bool:
    """Whether every value is a signed integer of that many bits."""
    limit = 1 << (bits - 1)
    return -limit <= int(interval.low.min()) and int(interval.high.max()) < limit


@dataclass(frozen=True, slots=True)
class Sum:
    """Bias and shift of a sum of products: ``(acc << shift) + bias``."""

    shift: int
    bias: Codes

    @classmethod
    def of(cls, acc_frac: int, bias: QuantParam) -> Sum:
        """Both on the finer of the two grids."""
        frac = max(acc_frac, bias.type.frac)
        return cls(frac - acc_frac, bias.codes << (frac - bias.type.frac))


def constants_storage(codes: Codes) -> Storage:
    """The narrowest storage of whole bytes for constants."""
    needed = FixedType.for_range(int(codes.min()), int(codes.max()), 0)
    return storage_of(FixedType(needed.signed, max(needed.width, 8), 0))


def c_source(op: str) -> str:
    """Path of an operation's C file, relative to the folder ``hwflow``."""
    return f"ops/{op}/hwf_{op}.c"
