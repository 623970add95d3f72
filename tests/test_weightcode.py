# SPDX-License-Identifier: Apache-2.0
"""Which multiplication is chosen for which weights, and that codes and offsets give the exact sums."""

from __future__ import annotations

import numpy as np
import pytest

from hwflow.emit.multipliers import with_multipliers
from hwflow.errors import ConfigError
from hwflow.ir.graph import QuantGraph
from hwflow.numerics.fixed import FixedType
from hwflow.ops import casekit
from hwflow.ops.weightcode import Multiplication, WeightCode, choose, encode

RNG = np.random.default_rng(3)


def grid(bits: int) -> FixedType:
    return FixedType(True, bits, 0)


def weights(values: tuple[int, ...] | int, shape: tuple[int, int] = (16, 16)) -> np.ndarray:
    """Drawn from values, or from all of a signed type of so many bits; each occurs."""
    pool = values if isinstance(values, tuple) else tuple(range(-(1 << (values - 1)), 1 << (values - 1)))
    drawn = RNG.choice(pool, shape)
    drawn.flat[: len(pool)] = pool[: drawn.size]
    return drawn.astype(np.int64)


@pytest.mark.parametrize(
    ("values", "bits", "style", "code", "pack", "chain"),
    [
        ((-4, 4), 8, "auto", WeightCode.BINARY, 0, 1),
        ((-1, 0, 1), 8, "dsp", WeightCode.TERNARY, 0, 1),
        ((0,), 8, "auto", WeightCode.TERNARY, 0, 1),
        ((-8, -2, 0, 1, 4), 8, "auto", WeightCode.POW2, 0, 1),
        ((-16, 1), 8, "auto", WeightCode.FIXED, 2, 4),
        ((-16, 1), 8, "lut", WeightCode.POW2, 0, 1),
        (4, 8, "auto", WeightCode.FIXED, 0, 1),
        (4, 4, "dsp", WeightCode.FIXED, 4, 1),
        (5, 5, "dsp", WeightCode.FIXED, 2, 4),
        (8, 8, "dsp", WeightCode.FIXED, 2, 2),
        (8, 8, "auto", WeightCode.FIXED, 1, 4),
        (5, 6, "auto", WeightCode.FIXED, 2, 4),
        (7, 8, "lut", WeightCode.FIXED, 0, 1),
    ],
)
def test_choice(
    values: tuple[int, ...] | int, bits: int, style: str, code: WeightCode, pack: int, chain: int
) -> None:
    plan = choose(weights(values), 4, 4, grid(bits), style=style)
    assert (plan.code, plan.pack, plan.chain) == (code, pack, chain)


def test_depthwise_weights_are_not_packed() -> None:
    assert choose(weights(7), 4, 4, grid(8), style="dsp", depthwise=True).pack == 1


def test_threshold_is_configurable() -> None:
    assert choose(weights(4), 4, 4, grid(8), lut_bits=3).pack > 0


def test_deep_memories_are_block_ram() -> None:
    assert choose(weights(7, (256, 16)), 4, 1, grid(8)).block
    assert not choose(weights(7, (16, 16)), 4, 1, grid(8)).block


def _factor(code: int, plan: Multiplication) -> tuple[int, int]:
    """The packed operand of a code, as the header of the unit describes it, and what did not fit."""
    total, rest, over = 0, code, 0
    for j in range(plan.pack):
        bits = plan.width + (j > 0)
        field, rest = rest & ((1 << bits) - 1), rest >> bits
        tight = j == plan.pack - 1 and (plan.pack - 1) * plan.pack_bits + plan.width + 1 > 25
        if tight:
            over, field, bits = field >> plan.width, field & ((1 << plan.width) - 1), plan.width
        value = field - (1 << bits) if field >> (bits - 1) and (j or plan.signed) else field
        total = (total & ((1 << (j * plan.pack_bits)) - 1)) + (value << (j * plan.pack_bits))
    return total, over


@pytest.mark.parametrize(("bits", "x_bits"), [(4, 4), (5, 5), (8, 8), (3, 8)])
def test_packed_codes_are_the_weights(bits: int, x_bits: int) -> None:
    matrix = weights(bits, (16, 16))
    plan = choose(matrix, 4, 1, grid(x_bits), style="dsp")
    assert plan.pack > 1
    words = matrix.reshape(16, 4, 4).transpose(1, 0, 2).reshape(-1, 4)
    encoding = encode(words, 4, 1, 16, plan)
    for row, codes in zip(words.tolist(), encoding.memory.words.tolist(), strict=True):
        for group, code in enumerate(codes):
            factor, over = _factor(code, plan)
            expected = sum(
                weight << (j * plan.pack_bits)
                for j, weight in enumerate(row[group * plan.pack : (group + 1) * plan.pack])
            )
            assert factor - (over << ((plan.pack - 1) * plan.pack_bits)) == expected
            assert -(1 << 24) <= factor < 1 << 24


def _graph() -> QuantGraph:
    rng = np.random.default_rng(1)
    source = casekit.tensor((8,), grid(8), "input")
    cast = casekit.quantizer(8, 3)
    node = casekit.dense(
        rng, source, 4, cast, weight=grid(6), bias=casekit.grid(8, 0), reuse=8, name="embedding"
    )
    return QuantGraph("net", (source, node), ("embedding",))


def test_styles_by_name() -> None:
    assert with_multipliers(_graph(), "lut", 4).node("embedding").attrs["mult_style"] == "lut"
    styles = {"default": "lut", "embedding": "dsp"}
    assert with_multipliers(_graph(), styles, 4).node("embedding").attrs["mult_style"] == "dsp"
    assert with_multipliers(_graph(), {}, 2).node("embedding").attrs["lut_bits"] == 2


def test_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"'embeding'.*\n?.*did you mean 'embedding'"):
        with_multipliers(_graph(), {"embeding": "lut"}, 4)
