# SPDX-License-Identifier: Apache-2.0
"""Search for the bits of each layer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hwflow.cli.app import app
from hwflow.config.load import load_config
from hwflow.config.schema import LayerBits, PrepareConfig
from hwflow.errors import ConfigError, UserError
from hwflow.models import registry
from hwflow.search import Evaluator, Score, Settings, dynamic_ranges, search
from hwflow.search.bits import Choice, _greedy, _milp, choices_of, mean_bits
from hwflow.search.ranges import integer_bits

pytestmark = pytest.mark.tf


def frames(count: int, seed: int) -> np.ndarray:
    codes = np.random.default_rng(seed).integers(-128, 128, (count, 16, 16, 3))
    return (codes / 128).astype(np.float32)


class Counted:
    """Progress that counts, and can fail on the way."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.count, self.stop_after = 0, stop_after

    def track(self, items: Iterable[Any], total: int, description: str) -> Iterator[Any]:
        for item in items:
            self.count += 1
            if self.count > self.stop_after:
                raise KeyboardInterrupt
            yield item


@pytest.fixture(scope="module")
def tiny() -> Any:
    return registry.load("mobilefacenet-tiny")


@pytest.fixture(scope="module")
def evaluator(tiny: Any) -> Evaluator:
    return Evaluator(tiny, frames(16, 0), frames(8, 1))


COARSE = Settings(scope="type", fewest=3, most=8, margin=0.02, step=1)


# picks ---------------------------------------------------------------------------------------------

CHOICES = [
    Choice("a", "WeightBits", ("a",), 30),
    Choice("b", "WeightBits", ("b",), 50),
    Choice("c", "WeightBits", ("c",), 20),
]
ALONE = {
    "a": {4: 0.0, 3: 0.01, 2: 0.5},
    "b": {4: 0.0, 3: 0.2, 2: 0.21},
    "c": {4: 0.0, 3: 0.0, 2: 0.3},
}
SMALL = Settings(fewest=2, most=4)


def total_loss(bits: dict[str, int]) -> float:
    return sum(ALONE[name][value] for name, value in bits.items())


@pytest.mark.parametrize("mean", [4.0, 3.8, 3.5, 3.2, 3.0, 2.5, 2.0])
def test_the_integer_program_finds_the_least_loss(mean: float) -> None:
    names = [choice.name for choice in CHOICES]
    every = [dict(zip(names, bits, strict=True)) for bits in product((2, 3, 4), repeat=3)]
    best = min(total_loss(bits) for bits in every if mean_bits(CHOICES, bits) <= mean)
    found = _milp(CHOICES, ALONE, mean * 100, SMALL)
    assert mean_bits(CHOICES, found) <= mean
    assert total_loss(found) == pytest.approx(best)
    greedy = _greedy(CHOICES, ALONE, mean * 100, SMALL)
    assert mean_bits(CHOICES, greedy) <= mean
    assert total_loss(greedy) >= best - 1e-12


def test_greedy_takes_what_costs_nothing_first() -> None:
    assert _greedy(CHOICES, ALONE, 380, SMALL) == {"a": 4, "b": 4, "c": 3}
    assert _greedy(CHOICES, ALONE, 350, SMALL) == {"a": 3, "b": 4, "c": 3}


# the search ----------------------------------------------------------------------------------------


def test_choices_cover_every_layer_once(evaluator: Evaluator) -> None:
    config = PrepareConfig(Layers={"stem_conv": LayerBits(WeightBits=8)})
    net = evaluator.net(config)
    for scope in ("layer", "type", "network"):
        choices = choices_of(net, config, Settings(scope=scope, tune="both"))
        for key, missing in (("WeightBits", "stem_conv"), ("ActivationBits", "embedding")):
            layers = [name for choice in choices if choice.key == key for name in choice.layers]
            assert len(layers) == len(set(layers)) and missing not in layers
        weights = [choice for choice in choices if choice.key == "WeightBits"]
        assert len(weights) == {"layer": 18, "type": 2, "network": 1}[scope]
    bops = choices_of(net, config, Settings(scope="network", cost="bops"))
    assert bops[0].cost == registry.MODELS["mobilefacenet-tiny"].macs - 8 * 8 * 4 * 27


@pytest.mark.parametrize("method", ["milp", "greedy"])
def test_the_search_meets_its_margin(evaluator: Evaluator, method: Any) -> None:
    settings = Settings(**{**COARSE_FIELDS, "method": method})
    found = search(evaluator, PrepareConfig(), settings, progress=Counted())
    assert found.best.within and found.best.loss <= settings.margin
    assert found.best.loss == pytest.approx(1 - evaluator.score(found.config).cosine)
    assert found.best.mean_bits < 8
    assert [p.mean_bits for p in found.walk] == sorted((p.mean_bits for p in found.walk), reverse=True)
    front = found.pareto()
    assert front and [p.loss for p in front] == sorted(p.loss for p in front)
    for row in found.sensitivity.values():
        losses = [row[bits] for bits in sorted(row)]
        assert losses == sorted(losses, reverse=True)


COARSE_FIELDS = {name: getattr(COARSE, name) for name in Settings.__dataclass_fields__}


def test_activations_are_searched_too(evaluator: Evaluator) -> None:
    settings = Settings(**{**COARSE_FIELDS, "tune": "activations", "margin": 0.05})
    found = search(evaluator, PrepareConfig(), settings, progress=Counted())
    changed = {row.ActivationBits for row in found.config.Layers.values()}
    assert min(bits for bits in changed if bits) < 8
    assert all(row.WeightBits is None for row in found.config.Layers.values())


def test_a_search_goes_on_where_it_ended(evaluator: Evaluator, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with pytest.raises(KeyboardInterrupt):
        search(evaluator, PrepareConfig(), COARSE, state=state, progress=Counted(stop_after=4))
    known = len(json.loads(state.read_text())["scores"])
    assert known >= 5

    class Watched:
        """An evaluator that counts what is measured anew."""

        measured = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(evaluator, name)

        def score(self, config: PrepareConfig) -> Score:
            self.measured += 1
            return evaluator.score(config)

    watched: Any = Watched()
    found = search(watched, PrepareConfig(), COARSE, state=state, progress=Counted())
    total = len(json.loads(state.read_text())["scores"])
    assert watched.measured == total - known
    again: Any = Watched()
    assert search(again, PrepareConfig(), COARSE, state=state, progress=Counted()) == found
    assert again.measured == 0
    other: Any = Watched()
    search(other, PrepareConfig(), COARSE, state=state, fingerprint="other data", progress=Counted())
    assert other.measured > 0


def test_a_broken_state_is_named(evaluator: Evaluator, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(UserError, match="not the state of a search"):
        search(evaluator, PrepareConfig(), COARSE, state=tmp_path / "state.json", progress=Counted())


def test_what_cannot_be_searched_is_refused(evaluator: Evaluator, tiny: Any) -> None:
    with pytest.raises(UserError, match="bits from 1 to 8"):
        Settings(fewest=1)
    with pytest.raises(UserError, match="bits from 9 to 8"):
        Settings(fewest=9)
    with pytest.raises(UserError, match="above 0"):
        Settings(margin=0)
    tight = Settings(**{**COARSE_FIELDS, "margin": 1e-9})
    with pytest.raises(UserError, match=r"no bits from 3 to 8.*\n.*larger margin"):
        search(evaluator, PrepareConfig(), tight, progress=Counted())
    labels = Settings(**{**COARSE_FIELDS, "metric": "accuracy"})
    with pytest.raises(UserError, match="known people"):
        search(evaluator, PrepareConfig(), labels, progress=Counted())
    with pytest.raises(ConfigError, match="did you mean 'stem_conv'"):
        search(
            evaluator,
            PrepareConfig(Layers={"stem_cnov": LayerBits(WeightBits=4)}),
            COARSE,
            progress=Counted(),
        )
    nan = frames(3, 2)
    nan[1, 2, 3] = np.nan
    for data, people, message in (
        (frames(2, 0)[:0], None, "do not fit"),
        (frames(2, 0)[:, :8], None, "do not fit"),
        (nan, None, "NaN"),
        (frames(2, 0), np.zeros(3, np.int64), "3 people for 2 inputs"),
    ):
        with pytest.raises(UserError, match=message):
            Evaluator(tiny, frames(4, 0), data, people)
    with pytest.raises(UserError, match="do not fit"):
        Evaluator(tiny, frames(4, 0)[:0], frames(2, 0)).score(PrepareConfig())


# ranges --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("largest", "bits"), [(0.99, 1), (1.0, 2), (0.49, 0), (0.0, 1), (100.0, 8)])
def test_integer_bits_hold_the_largest(largest: float, bits: int) -> None:
    assert integer_bits(largest, signed=True) == bits
    assert largest == 0 or 2.0 ** (bits - 2) <= largest < 2.0 ** (bits - 1)


def test_dynamic_ranges_are_those_of_the_data(evaluator: Evaluator) -> None:
    net = evaluator.net(PrepareConfig(Equalize=False))
    rows = {(row.kind, row.name): row for row in dynamic_ranges(net, frames(4, 3))}
    kernel = net.nodes["stem_conv"].arrays["kernel"]
    assert rows["weights", "stem_conv"].largest == np.abs(kernel).max()
    assert rows["weights", "stem_conv"].count == kernel.size
    assert rows["activations", "stem_conv_prelu"].count == 8 * 8 * 4


# stored bits ---------------------------------------------------------------------------------------


def test_stored_bits_count_tables_and_scales(evaluator: Evaluator) -> None:
    weights = 1836 - sum(
        values.size
        for node in evaluator.net(PrepareConfig())
        for key, values in node.arrays.items()
        if key != "kernel"
    )
    assert evaluator.weight_bits(PrepareConfig(WeightBits=5)) == 5
    book = evaluator.weight_bits(PrepareConfig(WeightFormat="codebook<4>", FormatScope="network"))
    assert book == pytest.approx(2 + 4 * 16 / weights)
    channels = evaluator.weight_bits(PrepareConfig(WeightBits=5, Scale="channel", ScaleBits=8))
    outputs = sum(node.channels for node in evaluator.net(PrepareConfig()) if "kernel" in node.arrays)
    assert channels == pytest.approx(5 + 8 * outputs / weights)


# command -------------------------------------------------------------------------------------------


def test_the_command_writes_a_design(tmp_path: Path) -> None:
    design = tmp_path / "small.yaml"
    design.write_text(
        "Backend: Hwflow\nProjectName: small_net\n"
        "Hwflow:\n  Model: {Source: mobilefacenet-tiny, Prepare: {ActivationBits: 7}}\n"
    )
    out = tmp_path / "found"
    words = ["search", str(design), "--out", str(out), "--scope", "type", "--step", "1", "--margin", "0.05"]
    result = CliRunner().invoke(app, [*words, "--frames", "6", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["best"]["within"] and told["unseen_people"] is None
    prepare = load_config(out / "config.yaml").Hwflow.Model.Prepare
    assert prepare is not None and prepare.ActivationBits == 7
    bits = {name: row.WeightBits for name, row in prepare.Layers.items()}
    assert bits == {name: row["weight_bits"] for name, row in told["layers"].items() if "weights" in row}
    assert all(
        "activation_integer_bits" in row for row in told["layers"].values() if "activation_bits" in row
    )
    assert "| mean bits |" in (out / "search.md").read_text()
    quantized = design.with_name("mlp.yaml")
    quantized.write_text("Hwflow:\n  Model: {Source: jet-mlp}\n")
    result = CliRunner().invoke(app, ["search", str(quantized)])
    assert result.exit_code == 1 and "Prepare is missing" in result.output
