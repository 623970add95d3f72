# SPDX-License-Identifier: Apache-2.0
"""Host side of an accelerator of hwflow: values to codes, codes to beats, frames over DMA, registers.

Needs numpy; :class:`Accelerator` also needs an overlay of PYNQ, or anything with the same methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Port:
    """One AXI-Stream port and the format of its frames.

    Parameters
    ----------
    name : str
        Prefix of its signals.
    shape : tuple of int
        Of one frame, channels last.
    signed : bool
        Whether codes are two's complement.
    width, frac : int
        Bits of a code, and those of them behind the point.
    lanes : int
        Codes a beat, the first in the low bits.
    beat_bytes : int
        Bytes of a beat, the lowest first.
    beats : int
        Beats of a frame.
    """

    name: str
    shape: tuple[int, ...]
    signed: bool
    width: int
    frac: int
    lanes: int
    beat_bytes: int
    beats: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return self.beats * self.beat_bytes

    def quantize(self, values: ArrayLike) -> NDArray[np.int64]:
        """Nearest codes of values, ties to even; what is out of range becomes the nearest code in it.

        Parameters
        ----------
        values : array_like of float
            Any shape.
        """
        low = -(1 << (self.width - 1)) if self.signed else 0
        high = (1 << (self.width - self.signed)) - 1
        scaled = np.rint(np.ldexp(np.asarray(values, dtype=np.float64), self.frac))
        if np.isnan(scaled).any():
            raise ValueError(f"{self.name}: not-a-number has no code")
        inside = (scaled > low) & (scaled < high)  # limits of 64 bits are no floats
        return np.where(inside, np.where(inside, scaled, 0).astype(np.int64), np.where(scaled > 0, high, low))

    def values(self, codes: ArrayLike) -> NDArray[np.float64]:
        """Values of codes."""
        return np.ldexp(np.asarray(codes, dtype=np.float64), -self.frac)

    def pack(self, codes: ArrayLike) -> NDArray[np.uint8]:
        """Bytes of whole frames.

        Parameters
        ----------
        codes : array_like of int64, shape (frames, ...shape)

        Returns
        -------
        ndarray of uint8, shape (frames, frame_bytes)
        """
        rows = np.asarray(codes, dtype=np.int64).reshape(-1, self.lanes)
        bits = np.zeros((len(rows), 8 * self.beat_bytes), dtype=np.uint8)
        planes = (rows[:, :, None] >> np.arange(self.width)) & 1
        bits[:, : self.lanes * self.width] = planes.reshape(len(rows), -1)
        return np.packbits(bits, axis=1, bitorder="little").reshape(-1, self.frame_bytes)

    def unpack(self, raw: bytes | NDArray[np.uint8]) -> NDArray[np.int64]:
        """Codes of whole frames, shape (frames, ...shape): the inverse of :meth:`pack`."""
        data = np.frombuffer(raw, dtype=np.uint8) if isinstance(raw, bytes) else np.asarray(raw, np.uint8)
        bits = np.unpackbits(data.reshape(-1, self.beat_bytes), axis=1, bitorder="little")
        planes = bits[:, : self.lanes * self.width].reshape(-1, self.width).astype(np.int64)
        codes: NDArray[np.int64] = planes @ np.left_shift(np.int64(1), np.arange(self.width, dtype=np.int64))
        if self.signed and self.width < 64:
            codes -= (codes >> (self.width - 1)) << self.width
        return codes.reshape(-1, *self.shape)


#: Offset of a register, and lowest bit and width of each of its fields.
RegisterMap = Mapping[str, tuple[int, Mapping[str, tuple[int, int]]]]


class Registers:
    """Control and status registers.

    Parameters
    ----------
    mmio : object
        With ``read(offset)`` and ``write(offset, word)``, such as ``pynq.MMIO``.
    registers : mapping
        Of the generated module.
    """

    def __init__(self, mmio: Any, registers: RegisterMap) -> None:
        self._mmio = mmio
        self._registers = registers

    def read(self, register: str, field: str | None = None) -> int:
        """Value of a register, or of one of its fields."""
        offset, fields = self._registers[register]
        word = int(self._mmio.read(offset))
        if field is None:
            return word
        low, width = fields[field]
        return (word >> low) & ((1 << width) - 1)

    def write(self, register: str, **fields: int) -> None:
        """Write a register; fields that are not named become 0."""
        offset, known = self._registers[register]
        self._mmio.write(offset, sum(value << known[name][0] for name, value in fields.items()))

    def network(self) -> str:
        """Content hash of the network in the device, SHA-256."""
        return "".join(f"{self.read(f'hash{i}'):08x}" for i in range(8))


class Accelerator:
    """Frames through an accelerator in an FPGA.

    Parameters
    ----------
    dmas : sequence
        DMA engines as PYNQ has them: number i sends to input i and receives from output i.
    allocate : callable
        ``allocate(shape, dtype)`` of a buffer that the engines reach, such as ``pynq.allocate``.
    inputs, outputs : sequence of Port
        Of the generated module.
    registers : Registers, optional
        Where the accelerator has them: it is then restarted here.
    network : str
        Content hash that is expected there.
    """

    def __init__(
        self,
        dmas: Sequence[Any],
        allocate: Any,
        inputs: Sequence[Port],
        outputs: Sequence[Port],
        registers: Registers | None = None,
        network: str = "",
    ) -> None:
        self._dmas, self._allocate = dmas, allocate
        self._inputs, self._outputs = inputs, outputs
        self.registers = registers
        if registers is not None:
            if network and registers.network() != network:
                raise RuntimeError(f"the device holds the network {registers.network()}, not {network}")
            registers.write("control", start=1, reset=1)
            while not registers.read("status", "ready"):
                pass

    def codes(self, *codes: ArrayLike) -> tuple[NDArray[np.int64], ...]:
        """Output codes of input codes.

        Parameters
        ----------
        *codes : array_like of int64, shape (frames, ...shape)
            One for each input.

        Returns
        -------
        tuple of ndarray of int64, shape (frames, ...shape)
            One for each output.
        """
        packed = [port.pack(one) for port, one in zip(self._inputs, codes, strict=True)]
        frames = len(packed[0])
        sources = [self._allocate(shape=one.shape, dtype=np.uint8) for one in packed]
        sinks = [self._allocate(shape=(port.frame_bytes,), dtype=np.uint8) for port in self._outputs]
        results = [np.empty((frames, port.frame_bytes), dtype=np.uint8) for port in self._outputs]
        try:
            for dma, buffer, one in zip(self._dmas, sources, packed):  # noqa: B905
                buffer[:] = one
                dma.sendchannel.transfer(buffer)
            for frame in range(frames):  # a frame ends with tlast, and so does a transfer
                for dma, buffer in zip(self._dmas, sinks):  # noqa: B905
                    dma.recvchannel.transfer(buffer)
                for dma, buffer, result in zip(self._dmas, sinks, results):  # noqa: B905
                    dma.recvchannel.wait()
                    result[frame] = buffer
            for dma, _ in zip(self._dmas, sources):  # noqa: B905
                dma.sendchannel.wait()
        finally:
            for buffer in (*sources, *sinks):
                buffer.freebuffer()
        return tuple(port.unpack(result) for port, result in zip(self._outputs, results, strict=True))

    def __call__(self, *values: ArrayLike) -> tuple[NDArray[np.float64], ...]:
        """Output values of input values, which are rounded to the inputs' grids first."""
        codes = self.codes(*(port.quantize(one) for port, one in zip(self._inputs, values, strict=True)))
        return tuple(port.values(one) for port, one in zip(self._outputs, codes, strict=True))
