# SPDX-License-Identifier: Apache-2.0
"""Which multiplication is chosen for which weights, and that codes and offsets give the exact sums."""

from __future__ import annotations

import numpy as np
import pytest

from hwflow.emit.bipolar import with_bipolar
from hwflow.emit.multipliers import with_multipliers
from hwflow.errors import ConfigError, UserError
from hwflow.formats import Format, parse
from hwflow.ir.graph import QuantGraph
from hwflow.numerics.codes import to_codes
from hwflow.numerics.fixed import Cast, FixedType
from hwflow.ops import casekit
from hwflow.ops.piecewise.functions import step_pieces
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


def test_sums_along_blocks_take_longer_than_in_a_tree() -> None:
    chained, tree = (
        choose(weights(7, (64, 4)), 4, 16, grid(8), chained=chained) for chained in (True, False)
    )
    assert (chained.chain, tree.chain) == (16, 1)
    assert chained.latency(16) - tree.latency(16) == 16 - 4


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


def stored(text: str, shape: tuple[int, int] = (16, 8)) -> tuple[np.ndarray, FixedType, Format]:
    """Codes of normally distributed weights in a format, their grid, and the format."""
    values = RNG.normal(0, 0.4, shape)
    form = parse(text).fit(values)
    values = form.quantize(values)
    return to_codes(values, form.grid_of(values)), form.grid_of(values), form


@pytest.mark.parametrize(
    ("text", "code", "bits"),
    [
        ("codebook<16>", WeightCode.CODEBOOK, 4),
        ("codebook<2,fixed<4>>", WeightCode.CODEBOOK, 1),
        ("hybrid<8,minifloat<4,3>>", WeightCode.CODEBOOK, 3),
        ("minifloat<4,3>", WeightCode.MINIFLOAT, 8),
        ("minifloat<5,0>", WeightCode.MINIFLOAT, 6),
        ("pow2<-9,0>", WeightCode.POW2, 5),
        ("ternary", WeightCode.TERNARY, 2),
        ("binary", WeightCode.BINARY, 1),
        ("fixed<8>", WeightCode.FIXED, 8),
    ],
)
@pytest.mark.parametrize("style", ["auto", "lut", "dsp"])
def test_stored_weights_are_read_back(text: str, code: WeightCode, bits: int, style: str) -> None:
    matrix, weight, form = stored(text)
    plan = choose(matrix, 4, 4, grid(8), style=style, stored=form, frac=weight.frac)
    assert plan.code is code
    words = matrix.reshape(4, 4, 2, 4).transpose(2, 0, 3, 1).reshape(8, 16)
    encoding = encode(words, 4, 4, 4, plan)
    assert encoding.memory.lane_width <= bits or plan.pack > 1
    if code not in (WeightCode.CODEBOOK, WeightCode.MINIFLOAT):
        return
    assert encoding.memory.lane_width == plan.stored == bits == form.code_bits
    codes = (
        encoding.memory.words.reshape(8, plan.chain, 4, 4 // plan.chain).transpose(0, 2, 3, 1).reshape(8, 16)
    )
    if code is WeightCode.CODEBOOK:
        values = np.array(plan.table)[codes]
    else:
        mantissa = plan.width - 1
        size = (1 << mantissa) + (codes & ((1 << mantissa) - 1))
        exponent = (codes >> mantissa) & ((1 << form.exponent) - 1)
        assert set(np.unique(exponent[codes != 0]) - plan.exp_low) <= set(range(plan.span + 1))
        size = np.where(codes & ((1 << (bits - 1)) - 1), size << np.maximum(exponent - plan.exp_low, 0), 0)
        values = np.where(codes >> (bits - 1), -size, size)
        # The codes are those of the format: sign, exponent with its bias, mantissa.
        real = np.ldexp(size, exponent.min(initial=99, where=codes != 0) - form.bias - mantissa)
        assert np.array_equal(real, np.abs(np.ldexp(words.astype(float), -weight.frac)))
    scale = 2.0**plan.shift
    assert np.array_equal(values * scale, words)


def test_a_network_wide_codebook_keeps_its_index_in_a_layer_of_few_values() -> None:
    matrix = np.array([[3, -4], [3, 8]], dtype=np.int64)
    plan = choose(matrix, 2, 1, grid(8), stored=parse("codebook<16>"))
    assert plan.stored == 4 and plan.table == (-4, 3, 8, *(0,) * 13)


@pytest.mark.parametrize("text", ["codebook<4>", "minifloat<2,1>", "pow2<-6,0>", "ternary", "binary"])
def test_weights_of_other_values_than_their_format_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="no values of the format") as caught:
        choose(weights(6), 4, 4, grid(8), stored=parse(text), frac=5)
    assert caught.value.remedy


@pytest.mark.parametrize("magnitude", [1, 4])
def test_signs_of_one_magnitude_are_compared(magnitude: int) -> None:
    matrix = weights((-2, 2))
    plan = choose(matrix, 4, 4, grid(4), bipolar=magnitude)
    assert plan.code is WeightCode.XNOR
    words = matrix.reshape(4, 4, 4, 4).transpose(2, 0, 3, 1).reshape(16, 16)
    encoding = encode(words, 4, 4, 4, plan)
    x = RNG.choice((-magnitude, magnitude), 16)
    agree = ((matrix > 0) == (x > 0)[:, None]).sum(axis=0)
    assert np.array_equal(((agree << encoding.halved) - encoding.offset) << plan.shift, x @ matrix)


def test_layers_behind_signs_compare_them_unless_they_read_padding() -> None:
    rng = np.random.default_rng(1)
    source = casekit.tensor((6, 6, 4), grid(8), "input")
    pieces = step_pieces(((0.0, True),), (-0.5, 0.5))
    sign = casekit.piecewise(source, Cast(FixedType(True, 4, 2)), pieces, "sign")
    nodes = [source, sign]
    for name, kernel, same in (("same", 3, True), ("valid", 3, False), ("point", 1, True)):
        attrs = casekit.window_attrs(sign, kernel, same=same)
        cast = casekit.quantizer(8, 3)
        nodes.append(
            casekit.conv2d(rng, sign, 4, attrs, cast, weight=grid(2), bias=grid(4), reuse=4, name=name)
        )
    nodes.append(casekit.reshape(sign, (144,), "flat"))
    nodes.append(
        casekit.dense(rng, nodes[-1], 4, cast, weight=grid(2), bias=grid(4), reuse=144, name="dense")
    )
    nodes.append(casekit.dense(rng, nodes[-1], 4, cast, weight=grid(2), bias=grid(4), reuse=4, name="behind"))
    graph = with_bipolar(QuantGraph("net", tuple(nodes), ("same", "valid", "point", "behind")))
    found = {node.name: node.attrs.get("bipolar", 0) for node in graph if "weight" in node.params}
    assert found == {"same": 0, "valid": 2, "point": 2, "dense": 2, "behind": 0}
    # Steps to values of two magnitudes, or of one that is no power of two, are no signs.
    for values in ((-1.0, 0.0, 1.0), (-0.75, 0.75)):
        breaks = ((0.0, True), (1.0, True))[: len(values) - 1]
        step = casekit.piecewise(source, Cast(FixedType(True, 6, 2)), step_pieces(breaks, values), "sign")
        assert (
            not with_bipolar(QuantGraph("net", (source, step, nodes[3]), ("valid",)))
            .node("valid")
            .attrs.get("bipolar")
        )


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
