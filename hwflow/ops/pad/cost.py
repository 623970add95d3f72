# SPDX-License-Identifier: Apache-2.0
"""Structure of the padding module."""

from __future__ import annotations

from hwflow.ops.costkit import Parameters, Structure, number
from hwflow.ops.librarycost import fifo


def pad(s: Structure, p: Parameters) -> None:
    """``hwf_pad``."""
    width, beats = number(p, "Width"), number(p, "Beats", 1)
    fifo(s, p)
    for size, before, after in (("InH", "Top", "Bottom"), ("InW", "Left", "Right")):
        first = max(number(p, before), 0)
        end = first + number(p, size, 1) + max(number(p, after), 0)
        bits = end.bit_length() + 1
        s.register(bits - 1)
        s.add("control", bits)
        s.logic("control", bits, 4)
    s.register(beats.bit_length() if beats > 1 else 0)
    s.add("control", beats.bit_length())
    s.register(width + 1)
    s.lut("control", 8)


MODULES = {"hwf_pad": pad}
