# SPDX-License-Identifier: Apache-2.0
"""Structure of the modules of softmax and of the largest value."""

from __future__ import annotations

from hwflow.ops.costkit import Parameters, Structure, contents, number
from hwflow.ops.librarycost import cast, cast_of, fifo, table


def softmax(s: Structure, p: Parameters) -> None:
    """``hwf_softmax``."""
    lanes, words, x_w = number(p, "Lanes", 1), number(p, "Words"), number(p, "XW")
    e_w, r_w, sum_w, exp_bits = number(p, "EW"), number(p, "RW"), number(p, "SumW"), number(p, "ExpBits")
    e_frac, acc_w, inv_w = number(p, "EFrac"), number(p, "AccW"), number(p, "InvInW")
    deep, tokens = 2 * words + 8, 8
    if number(p, "Stable", 1):
        s.register(x_w + 1)
        s.counter("counter", words - 1)
        s.add("choice", x_w + 1, lanes)
        s.lut("choice", lanes * (x_w + 1))
        fifo(s, {"Width": lanes * x_w, "Depth": deep})
        fifo(s, {"Width": x_w + 1, "Depth": tokens})
        s.add("sum", exp_bits, lanes)
    s.counter("counter", words - 1)
    s.register(lanes * exp_bits + 5 + 2 * sum_w)
    table(s, contents(p, "ExpFile"), lanes)
    s.add("sum", sum_w, lanes)
    fifo(s, {"Width": lanes * e_w, "Depth": deep})
    s.register(4)
    cast(s, sum_w, 1, e_frac, acc_w, number(p, "AccSigned", 1), e_frac, 0, number(p, "AccOverflow"))
    cast(
        s, acc_w, number(p, "AccSigned", 1), e_frac, inv_w, number(p, "InvInSigned", 1), number(p, "InvInFrac"),
        number(p, "InvInRounding"), number(p, "InvInOverflow"),
    )  # fmt: skip
    table(s, contents(p, "InvFile"), 1)
    fifo(s, {"Width": r_w, "Depth": tokens})
    s.counter("counter", words - 1)
    s.register(2 + lanes * (e_w + r_w))
    e_bits, r_bits = e_w + 1 - number(p, "ESigned", 1), r_w + 1 - number(p, "RSigned", 1)
    s.multiply("product", e_bits, r_bits, e_w + r_w, times=lanes)
    cast_of(s, p, e_w + r_w, 1, e_frac + number(p, "RFrac"), times=lanes)
    s.lut("control", 20)


def argmax(s: Structure, p: Parameters) -> None:
    """``hwf_argmax``."""
    lanes, words, x_w = number(p, "Lanes", 1), number(p, "Words"), number(p, "XW")
    channel = max((lanes * words - 1).bit_length(), 1)
    s.register(x_w + 1 - number(p, "XSigned", 1) + channel)
    s.counter("counter", words - 1)
    s.counter("counter", words - 1)
    s.add("choice", x_w + 1, lanes)
    s.lut("choice", lanes * (x_w + 1 + channel))
    fifo(s, {"Width": channel, "Depth": 2})
    s.logic("control", 2 * channel, lanes)


MODULES = {"hwf_softmax": softmax, "hwf_argmax": argmax}
