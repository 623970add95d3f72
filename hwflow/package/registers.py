# SPDX-License-Identifier: Apache-2.0
"""The one description of the control and status registers; everything that knows registers is made from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from hwflow import __version__
from hwflow.package.content import Content, Port

#: "HWF1".
ID = 0x48574631
#: Counts changes of this map that a driver has to know.
MAP_VERSION = 1
_PORTS, _STRIDE = 0x40, 0x20
_HASH_WORDS = 8
_SHAPE = 3


class Access(str, Enum):
    """What software can do with a field."""

    CONST = "constant"
    RO = "read-only"
    RW = "read-write"
    PULSE = "write 1 to trigger, reads 0"
    W1C = "write 1 to clear"


@dataclass(frozen=True, slots=True)
class Field:
    """Some bits of a register.

    Parameters
    ----------
    name : str
        In lower case.
    low, width : int
        Lowest bit and number of bits.
    access : Access
        What software can do.
    text : str
        Its meaning.
    value : int
        Of a constant; what others hold after reset is 0.
    """

    name: str
    low: int
    width: int
    access: Access
    text: str
    value: int = 0

    @property
    def mask(self) -> int:
        """Its bits within the register."""
        return ((1 << self.width) - 1) << self.low

    @property
    def bits(self) -> str:
        """Its bits as ``[high:low]``."""
        return f"[{self.low + self.width - 1}:{self.low}]" if self.width > 1 else f"[{self.low}]"


@dataclass(frozen=True, slots=True)
class Register:
    """A word of 32 bits.

    Parameters
    ----------
    name : str
        In lower case.
    offset : int
        Byte address.
    text : str
        Its meaning.
    fields : tuple of Field
        From the lowest bit up; bits without a field read 0.
    """

    name: str
    offset: int
    text: str
    fields: tuple[Field, ...]

    @property
    def constant(self) -> int | None:
        """Its value where it has no other."""
        if any(field.access is not Access.CONST for field in self.fields):
            return None
        return sum((field.value << field.low) & field.mask for field in self.fields)

    @property
    def writable(self) -> bool:
        """Whether writing has an effect."""
        return any(field.access in (Access.RW, Access.PULSE, Access.W1C) for field in self.fields)

    def signal(self, field: Field) -> str:
        """Name of a field's signal."""
        return f"{self.name}_{field.name}"


def register_map(content: Content) -> tuple[Register, ...]:
    """Registers of a package, by address."""
    major, minor, patch = (int(part) for part in __version__.split(".")[:3])
    return (
        _word("id", 0x00, "Tells an accelerator of hwflow: 'HWF1'.", ID),
        Register(
            "version",
            0x04,
            "Version of hwflow that made it, and of this map.",
            (
                Field("patch", 0, 8, Access.CONST, "hwflow, third number", patch),
                Field("minor", 8, 8, Access.CONST, "hwflow, second number", minor),
                Field("major", 16, 8, Access.CONST, "hwflow, first number", major),
                Field("map", 24, 8, Access.CONST, "register map", MAP_VERSION),
            ),
        ),
        Register(
            "control",
            0x08,
            "Starting and stopping.",
            (
                Field(
                    "start", 0, 1, Access.RW, "1: frames are taken; 0: none begins, those begun are finished"
                ),
                Field(
                    "reset", 1, 1, Access.PULSE, "restart: drops all frames, clears counters and measurements"
                ),
            ),
        ),
        Register(
            "status",
            0x0C,
            "What it does.",
            (
                Field("busy", 0, 1, Access.RO, "a frame has begun and is not done"),
                Field("ready", 1, 1, Access.RO, "out of reset"),
                Field("early_last", 2, 1, Access.W1C, "tlast came with a beat that does not end a frame"),
            ),
        ),
        Register(
            "ports",
            0x10,
            "Number of streams.",
            (
                Field("inputs", 0, 8, Access.CONST, "inputs", len(content.inputs)),
                Field("outputs", 8, 8, Access.CONST, "outputs", len(content.outputs)),
            ),
        ),
        _counter(
            "latency", 0x14, "Cycles of the frame measured last, from its first beat in to its last beat out."
        ),
        _counter("interval", 0x18, "Cycles between the ends of the last two frames; 0 before the second."),
        *(
            _word(
                f"hash{i}",
                0x20 + 4 * i,
                f"Content hash of the network (SHA-256), word {i} of {_HASH_WORDS}.",
                int(content.graph_sha256[8 * i : 8 * i + 8], 16),
            )
            for i in range(_HASH_WORDS)
        ),
        *(register for i, port in enumerate(content.ports) for register in _port(port, _PORTS + _STRIDE * i)),
    )


def address_bits(registers: tuple[Register, ...]) -> int:
    """Bits of a byte address."""
    return registers[-1].offset.bit_length()


def _word(name: str, offset: int, text: str, value: int) -> Register:
    return Register(name, offset, text, (Field("value", 0, 32, Access.CONST, "constant", value),))


def _counter(name: str, offset: int, text: str) -> Register:
    return Register(name, offset, text, (Field("count", 0, 32, Access.RO, "cycles or frames; wraps"),))


def _port(port: Port, offset: int) -> Iterator[Register]:
    way = "taken" if port.is_input else "given"
    kind, frac = port.type, port.type.frac & 0xFF
    yield _counter(
        f"{port.prefix}_frames", offset, f"Frames {way} whole by {port.prefix} since the last restart."
    )
    shape = (*port.shape, *(0,) * _SHAPE)[:_SHAPE]
    for i in range(_SHAPE):
        text = f"Dimension {i} of a frame of {port.prefix}; 0: there is none."
        yield _word(f"{port.prefix}_shape{i}", offset + 4 + 4 * i, text, shape[i])
    yield Register(
        f"{port.prefix}_type",
        offset + 0x10,
        f"Fixed-point grid of {port.prefix}: a value is code * 2^-frac.",
        (
            Field("width", 0, 8, Access.CONST, "bits of a code", kind.width),
            Field("frac", 8, 8, Access.CONST, "fractional bits, two's complement", frac),
            Field("signed", 16, 1, Access.CONST, "1: codes are two's complement", int(kind.signed)),
        ),
    )
    yield Register(
        f"{port.prefix}_beat",
        offset + 0x14,
        f"A beat of {port.prefix}.",
        (
            Field("lanes", 0, 16, Access.CONST, "values a beat, the first in the low bits", port.lanes),
            Field("bytes", 16, 16, Access.CONST, "bytes of tdata", port.width // 8),
        ),
    )
    yield _word(f"{port.prefix}_beats", offset + 0x18, f"Beats of a frame of {port.prefix}.", port.beats)
