# SPDX-License-Identifier: Apache-2.0
"""Number formats: their values, rounding, fitting, text form and storage."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwflow.errors import UserError
from hwflow.formats import (
    Codebook,
    LevelFormat,
    MiniFloat,
    Scaled,
    compression_rate,
    fit_groups,
    from_json,
    network_rate,
    parse,
    stored_bits,
)
from hwflow.numerics.codes import from_codes, to_codes
from hwflow.numerics.fixed import FixedType

SPECS = (
    "fixed<8>",
    "fixed<4,mse>",
    "fixed<8,2>",
    "ufixed<6,1>",
    "minifloat<4,3>",
    "minifloat<5,2>",
    "minifloat<3,0>",
    "pow2<-6,0>",
    "pow2<-3,2>",
    "codebook<16>",
    "codebook<8,fixed<6>>",
    "hybrid<16,minifloat<4,3>>",
    "binary",
    "ternary",
    "ternary<0.33>",
    "auto<fixed<8>>",
    "auto<ternary>",
    "auto_po2<fixed<4>>",
    "auto_po2<binary>",
    "auto_po2<fixed<5>,-2>",
)


def weights(seed: int = 0, shape: tuple[int, ...] = (3, 3, 6, 8)) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.3, shape)


@pytest.mark.parametrize("spec", SPECS)
def test_format_is_exact_on_its_grid_and_survives_text_and_json(spec: str) -> None:
    values = np.abs(weights()) if spec.startswith("u") else weights()
    found = parse(spec).fit(values)
    assert found.fitted and from_json(found.to_json()) == found
    assert str(parse(str(found))) == str(found)
    quantized = found.quantize(values)
    assert np.array_equal(from_codes(to_codes(quantized, found.grid), found.grid), quantized)
    part = found.grid_of(quantized)
    assert np.array_equal(from_codes(to_codes(quantized, part), part), quantized)
    assert np.unique(quantized).size <= 2**found.code_bits * (8 if isinstance(found, Scaled) else 1)
    if not isinstance(found, Scaled):
        assert np.array_equal(found.quantize(quantized), quantized)


@pytest.mark.parametrize("spec", [s for s in SPECS if not s.startswith(("auto", "ternary<"))])
def test_quantize_takes_the_nearest_value(spec: str) -> None:
    values = np.abs(weights()).ravel() if spec.startswith("u") else weights().ravel()
    found = parse(spec).fit(values)
    if isinstance(found, LevelFormat):
        levels = np.asarray(found.levels)
    else:
        low, high = found.grid.range()
        levels = from_codes(np.arange(low, high + 1), found.grid)
    best = np.abs(values[:, None] - levels).min(axis=1)
    assert np.array_equal(np.abs(found.quantize(values) - values), best)


@pytest.mark.parametrize(("exponent", "mantissa"), [(4, 3), (5, 2), (2, 1), (3, 0), (1, 3)])
def test_minifloat_values_follow_the_definition(exponent: int, mantissa: int) -> None:
    found = MiniFloat(exponent, mantissa)
    bias = 2 ** (exponent - 1) - 1
    values = {0.0}
    for sign, e, m in itertools.product((1, -1), range(2**exponent), range(2**mantissa)):
        if e or m:  # that code is zero
            values.add(sign * (1 + m / 2**mantissa) * 2.0 ** (e - bias))
    assert found.levels == tuple(sorted(values))
    assert len(values) == 2**found.code_bits - 1


def test_minifloat_rounds_half_to_even_and_saturates() -> None:
    found = MiniFloat(4, 3)
    assert found.quantize([1e9, -1e9]).tolist() == [480.0, -480.0]
    # 1.0625 lies between 1.0 (m = 0) and 1.125 (m = 1); 1.1875 between m = 1 and m = 2.
    assert found.quantize([1.0625, -1.0625, 1.1875, 1.9375]).tolist() == [1.0, -1.0, 1.25, 2.0]
    smallest = 2.0**-7 * 1.125
    assert found.quantize([smallest / 2, smallest / 2 * 1.001, -smallest]).tolist() == [
        0,
        smallest,
        -smallest,
    ]


def test_minifloat_grid_of_values_starts_at_their_smallest_exponent() -> None:
    values = MiniFloat(4, 3).quantize([0.25, -1.75, 0.0])
    assert MiniFloat(4, 3).grid_of(values) == FixedType(True, 7, 5)


def test_pow2_stores_a_sign_an_exponent_or_zero() -> None:
    found = parse("pow2<-6,0>")
    assert found.code_bits == 4 and found.grid == FixedType(True, 8, 6)
    assert found.quantize([0.75, 0.76, 0.74, 2**-7, 0.01, -9]).tolist() == [0.5, 1, 0.5, 0, 2**-6, -1]


@pytest.mark.parametrize(
    ("values", "integer"),
    [
        ([0.99], 1),
        ([1.0], 2),
        ([-1.0], 1),
        ([-1.01], 2),
        ([0.2, -0.24], -1),
        ([0.0, 0.0], 1),
        ([-1e-30], -30),
    ],
)
def test_dynamic_range_places_the_binary_point(values: list[float], integer: int) -> None:
    assert str(parse("fixed<8>").fit(values)) == f"fixed<8,{integer}>"


def test_squared_error_places_the_binary_point_lower_where_outliers_are_few() -> None:
    values = np.append(weights().ravel(), 4.0)
    by_range, by_error = parse("fixed<4>").fit(values), parse("fixed<4,mse>").fit(values)
    error = [float(np.square(f.quantize(values) - values).sum()) for f in (by_range, by_error)]
    assert error[1] < error[0] and by_error.grid.frac > by_range.grid.frac


def test_codebook_is_deterministic_and_better_than_fixed_point() -> None:
    values = weights().astype(np.float32)
    first, second = (parse("codebook<16>").fit(values) for _ in range(2))
    assert first == second and len(set(first.table)) == 16
    errors = [
        float(np.square(f.quantize(values) - values).mean())
        for f in (first, parse("fixed<4,mse>").fit(values))
    ]
    assert errors[0] < errors[1]


def test_codebook_of_few_distinct_values_holds_them() -> None:
    values = np.array([0.5, -0.25, 0.5, 0.0] * 4)
    found = parse("codebook<8>").fit(values)
    assert np.array_equal(found.quantize(values), values) and len(found.table) == 8


def test_channel_scales_are_powers_of_two_or_lie_on_one_grid() -> None:
    values = weights() * 2.0 ** np.arange(8)
    po2, real, plain = (parse(s).fit(values) for s in ("auto_po2<fixed<4>>", "auto<fixed<4>>", "fixed<4>"))
    assert np.array_equal(np.log2(po2.scales) % 1, np.zeros(8))
    errors = [
        float(np.square(f.quantize(values) / 2.0 ** np.arange(8) - weights()).mean())
        for f in (real, po2, plain)
    ]
    assert errors == sorted(errors) and real.grid.width <= 20
    depthwise = parse("auto_po2<fixed<4>,-2>").fit(values.swapaxes(2, 3))
    assert depthwise.scales == po2.scales


def test_groups_share_one_codebook() -> None:
    tensors = {name: weights(seed, (64, 8)) for seed, name in enumerate(("a", "b", "c"))}
    counts = {name: value.size for name, value in tensors.items()}
    spec = parse("codebook<16,fixed<32>>")
    one, two, each = (
        fit_groups(spec, tensors, s) for s in ("network", {"a": "x", "b": "y", "c": "x"}, "layer")
    )
    assert one["a"] is one["c"] and two["a"] is two["c"] and two["a"] is not two["b"]
    assert [stored_bits(f, counts) for f in (one, two, each)] == [4 * 1536 + sets * 512 for sets in (1, 2, 3)]
    assert compression_rate(each, counts) == 32 * 1536 / (4 * 1536 + 3 * 512)


# Parameters of the folded networks: those of Keras less what folding removes.
DENSENET = {"2.0": (64, 1_479_104 - 19_008), "1.0": (19, 381_888 - 5_056)}
TABLE_5_18 = {
    ("2.0", 1, 512): 3.55,
    ("2.0", 3, 512): 3.54,
    ("2.0", 64, 16): 7.95,
    ("1.0", 1, 512): 3.54,
    ("1.0", 3, 512): 3.50,
    ("1.0", 19, 16): 7.94,
}


def shared_rate(parameters: int, sets: int, size: int, centroid: str) -> float:
    """Rate of a network whose parameters are spread over so many codebooks."""
    share = np.array([parameters // sets + (number < parameters % sets) for number in range(sets)])
    table = tuple(np.linspace(-1, 1, size).tolist())
    formats = {str(n): Codebook(size, parse(centroid), table) for n in range(sets)}
    return compression_rate(formats, {str(n): int(count) for n, count in enumerate(share)})


@pytest.mark.parametrize(("network", "sets", "size"), TABLE_5_18)
def test_codebook_rates_are_those_of_the_thesis(network: str, sets: int, size: int) -> None:
    rate = shared_rate(DENSENET[network][1], sets, size, "fixed<32,1>")
    # It rounds 3.538 to 3.54 but cuts 7.949 and 7.955: a unit of the last digit is left open.
    assert abs(rate - TABLE_5_18[network, sets, size]) < 0.01


@pytest.mark.parametrize("network", DENSENET)
def test_hybrid_rates_are_those_of_the_thesis(network: str) -> None:
    sets, parameters = DENSENET[network]
    rate = shared_rate(parameters, sets, 16, "minifloat<4,3>")
    assert round(rate, 2) == 7.99
    assert round(network_rate(8, 8), 2) == 5.33  # the thesis takes the rounded rate of the parameters


def test_fixed_point_rate_is_that_of_the_thesis_for_the_larger_network() -> None:
    # 8-bit convolutions, a 4-bit dense layer of 256 inputs and 128 outputs, 8-bit features. For the smaller network the
    # same gives 4.09, not the 4.02 of the text; the 3 that it names after folding recomputes for neither.
    formats = {"conv": parse("fixed<8,1>"), "dense": parse("fixed<4,1>")}
    dense = 256 * 128 + 128
    rates = [compression_rate(formats, {"conv": n - dense, "dense": dense}) for n in (1_479_104, 381_888)]
    assert [round(network_rate(rate, 8), 2) for rate in rates] == [4.02, 4.09]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("floaty<3>", "unknown"),
        ("fixed<1>", "number of bits is 1"),
        ("fixed<33,2>", "number of bits is 33"),
        ("fixed<8,x>", "wrong parameters"),
        ("fixed<8,2", "no closing"),
        ("minifloat<0,3>", "exponent bits is 0"),
        ("minifloat<4,11>", "mantissa bits is 11"),
        ("minifloat<4>", "wrong parameters"),
        ("pow2<2,-3>", "span"),
        ("pow2<-41,0>", "smallest exponent is -41"),
        ("codebook<12>", "number of centroids is 12"),
        ("codebook<1>", "number of centroids is 1"),
        ("codebook<16,pow2<0,1>>", "centroids cannot be"),
        ("hybrid<16,fixed<8>>", "wrong parameters"),
        ("binary<2>", "wrong parameters"),
        ("ternary<1.5>", "threshold is 1.5"),
        ("auto<minifloat<4,3>>", "range of its own"),
        ("auto<fixed<8>,0>", "axis 0"),
    ],
)
def test_bad_text_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        parse(text)
    assert caught.value.remedy


def test_bad_values_are_refused_by_place() -> None:
    for bad in (np.nan, np.inf):
        with pytest.raises(UserError, match=r"conv1: 1 of 2 values are NaN or infinite") as caught:
            parse("fixed<8>").fit([0.0, bad], where="conv1")
        assert caught.value.remedy
    with pytest.raises(UserError, match="conv1: there are no values"):
        parse("minifloat<4,3>").quantize([], where="conv1")
    with pytest.raises(UserError, match=r"conv1: codebook<16> has 16 centroids for 9 values") as caught:
        parse("codebook<16>").fit(np.arange(9.0), where="conv1")
    assert "at most 8" in caught.value.remedy
    with pytest.raises(UserError, match="no parameters yet"):
        parse("fixed<8>").quantize([0.5])
    with pytest.raises(UserError, match="below zero"):
        parse("ufixed<8>").fit([-0.5])
    with pytest.raises(UserError, match="scope"):
        fit_groups(parse("fixed<8>"), {"a": [1.0]}, "block")
    with pytest.raises(UserError, match="no group is given"):
        fit_groups(parse("fixed<8>"), {"a": [1.0], "b": [1.0]}, {"a": "x"})
