# SPDX-License-Identifier: Apache-2.0
"""Search for the fewest bits whose quality stays within a margin.

Each choice, the bits of a layer's weights or of a tensor, is tried alone first: what it loses is its sensitivity.
Losses are taken to add up. A walk from many bits to few then picks, budget by budget, the choices of least loss,
and measures each pick: ``greedy`` always takes the step that loses least a bit saved, ``milp`` solves the choice
for each budget as an integer program. The walk ends where the margin is exceeded twice in a row.

References
----------
P. Gysel, J. Pimentel, M. Motamedi, S. Ghiasi, "Ristretto: A Framework for Empirical Study of Resource-Efficient
Inference in Convolutional Neural Networks", IEEE TNNLS 29 (2018) (search by layer type under a margin).
Z. Yao et al., "HAWQ-V3: Dyadic Neural Network Quantization", ICML 2021 (integer program over sensitivities).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from hwflow.config.schema import LayerBits, PrepareConfig
from hwflow.errors import ConfigError, UserError, did_you_mean
from hwflow.prepare.net import WEIGHTED, Net
from hwflow.prepare.quantize import (
    activation_bits,
    layer_group,
    quantized_tensors,
    result_tensor,
    weight_bits,
)
from hwflow.search.evaluator import Evaluator, Score
from hwflow.search.ranges import Range

T = TypeVar("T")
Bits = dict[str, int]
_VERSION = 1


class Progress(Protocol):
    """Shows the advance of long loops."""

    def track(self, items: Iterable[T], total: int, description: str) -> Iterator[T]:
        """Pass items through, showing how many have gone by."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is searched, and within which margin.

    Parameters
    ----------
    method : str
        ``greedy`` or ``milp``.
    scope : str
        What shares its bits: every ``layer`` its own, all layers of a ``type``, or the whole ``network``.
    tune : str
        ``weights``, ``activations`` or ``both``.
    metric : str
        ``cosine`` of the outputs to those of the float network, which needs no labels, or ``accuracy``.
    margin : float
        Largest loss: of the mean cosine, or of the accuracy in points.
    fewest, most : int
        Bits that are tried.
    cost : str
        ``storage``, bits that are stored; or ``bops``, bits of weights times MACs.
    step : float
        Mean bits from one budget to the next.
    """

    method: Literal["greedy", "milp"] = "milp"
    scope: Literal["layer", "type", "network"] = "layer"
    tune: Literal["weights", "activations", "both"] = "weights"
    metric: Literal["cosine", "accuracy"] = "cosine"
    margin: float = 0.05
    fewest: int = 3
    most: int = 8
    cost: Literal["storage", "bops"] = "storage"
    step: float = 0.25

    def __post_init__(self) -> None:
        if not 2 <= self.fewest <= self.most <= 16:
            raise UserError(
                f"bits from {self.fewest} to {self.most} cannot be searched",
                "choose 2 to 16, the smaller first",
            )
        if not self.margin > 0 or not self.step > 0:
            raise UserError(
                f"margin {self.margin} and step {self.step} have to be above 0", "choose larger ones"
            )


@dataclass(frozen=True, slots=True)
class Choice:
    """Layers, or tensors, that share their bits.

    Parameters
    ----------
    name : str
        Layer or group, with what is chosen: ``weights of conv``.
    key : str
        Key of the exceptions by layer: ``WeightBits`` or ``ActivationBits``.
    layers : tuple of str
        Names of the nodes.
    cost : int
        What one bit costs.
    """

    name: str
    key: str
    layers: tuple[str, ...]
    cost: int


@dataclass(frozen=True, slots=True)
class Point:
    """One measured pick of the walk.

    Parameters
    ----------
    bits : dict of str to int
        Bits of each choice.
    mean_bits : float
        Mean of the bits, weighted by what a bit costs.
    predicted : float
        Loss that the sensitivities predict.
    score : Score
        What was measured.
    loss : float
        Its loss in the metric of the search.
    within : bool
        Whether the loss is within the margin.
    """

    bits: Bits
    mean_bits: float
    predicted: float
    score: Score
    loss: float
    within: bool


@dataclass(slots=True)
class Found:
    """Outcome of a search.

    Parameters
    ----------
    config : PrepareConfig
        The cheapest configuration within the margin.
    best : Point
        Where the walk found it.
    walk : list of Point
        All measured picks, from many bits to few.
    sensitivity : dict of str to dict of int to float
        Loss of each choice alone at each number of bits.
    float_score : Score
        Score of the float network.
    """

    config: PrepareConfig
    best: Point
    walk: list[Point]
    sensitivity: dict[str, dict[int, float]]
    float_score: Score

    def pareto(self) -> list[Point]:
        """Points of the walk that no other beats in both bits and loss."""
        return [
            p
            for p in self.walk
            if not any(
                (q.mean_bits <= p.mean_bits and q.loss < p.loss)
                or (q.mean_bits < p.mean_bits and q.loss <= p.loss)
                for q in self.walk
            )
        ]


@dataclass(slots=True)
class State:
    """Scores measured so far, on disk after each one, so that a search goes on where it ended.

    Parameters
    ----------
    path : pathlib.Path or None
        The file; None keeps nothing.
    key : str
        What the scores hold for; those of another key are dropped.
    """

    path: Path | None
    key: str
    scores: dict[str, Score] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is None or not self.path.exists():
            return
        try:
            data = json.loads(self.path.read_text())
            if data["key"] == self.key:
                self.scores = {name: Score(**score) for name, score in data["scores"].items()}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.path} is not the state of a search: {error}", "remove the file"
            ) from error

    def get(self, name: str, measure: Callable[[], Score]) -> Score:
        """The score of a name, measured if it is not known."""
        if name not in self.scores:
            self.scores[name] = measure()
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                data = {"key": self.key, "scores": {n: asdict(score) for n, score in self.scores.items()}}
                part = self.path.with_suffix(".part")
                part.write_text(json.dumps(data, indent=1) + "\n")
                part.replace(self.path)
        return self.scores[name]


def search(
    evaluator: Evaluator,
    config: PrepareConfig,
    settings: Settings,
    *,
    state: Path | None = None,
    fingerprint: str = "",
    progress: Progress,
) -> Found:
    """Find the fewest bits within the margin.

    Parameters
    ----------
    evaluator : Evaluator
        The float network and its data.
    config : PrepareConfig
        What is not searched: repair, calibration, exceptions by layer, which stay as they are.
    settings : Settings
        What is searched.
    state : pathlib.Path, optional
        File that holds what was measured, to go on after an interruption.
    fingerprint : str
        What the measurements depend on beyond the configuration: model, data.
    progress : Progress
        Told of each measurement.

    Raises
    ------
    UserError
        When the metric needs labels that are not there, or nothing is within the margin.
    """
    net = evaluator.net(config)
    choices = choices_of(net, config, settings)
    searched = {"config": config.model_dump(mode="json"), "fingerprint": fingerprint, "version": _VERSION}
    known = State(state, _digest(searched))
    best_score = known.get("float", evaluator.float_score)
    loss_of = _loss_function(settings, best_score)

    def measure(bits: Bits) -> Score:
        with_bits = configured(config, choices, bits)
        return known.get(_digest({c.name: bits[c.name] for c in choices}), lambda: evaluator.score(with_bits))

    most = {choice.name: settings.most for choice in choices}
    base = loss_of(measure(most))
    tried = [
        (choice.name, bits)
        for choice in choices
        for bits in range(settings.most - 1, settings.fewest - 1, -1)
    ]
    alone: dict[str, dict[int, float]] = {choice.name: {settings.most: 0.0} for choice in choices}
    for name, bits in progress.track(tried, len(tried), "sensitivity"):
        loss = loss_of(measure({**most, name: bits})) - base
        alone[name][bits] = max(loss, alone[name][bits + 1])  # fewer bits never lose less

    walk: list[Point] = []
    picks = list(_picks(choices, alone, settings))
    for pick in progress.track(picks, len(picks), "walk"):
        score = measure(pick)
        loss = loss_of(score)
        predicted = base + sum(alone[name][bits] for name, bits in pick.items())
        walk.append(
            Point(pick, mean_bits(choices, pick), predicted, score, loss, bool(loss <= settings.margin))
        )
        if len(walk) > 1 and not (walk[-1].within or walk[-2].within):
            break
    good = [point for point in walk if point.within]
    if not good:
        raise UserError(
            f"no bits from {settings.fewest} to {settings.most} stay within the margin of {settings.margin:g} "
            f"({settings.metric}); at {settings.most} bits the loss is {walk[0].loss:.3g}",
            "allow a larger margin, more bits, or repair (Rounding: adaptive, BiasCorrection: true)",
        )
    best = min(good, key=lambda point: (point.mean_bits, point.loss))
    return Found(configured(config, choices, best.bits), best, walk, alone, best_score)


def _digest(data: Any) -> str:
    """A name of JSON values."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:32]


def choices_of(net: Net, config: PrepareConfig, settings: Settings) -> list[Choice]:
    """What can be chosen; layers that the configuration gives bits or a format already are left alone."""
    unknown = next((name for name in config.Layers if name not in net.nodes), None)
    if unknown is not None:
        raise ConfigError(f"Prepare/Layers: there is no layer {unknown!r}", did_you_mean(unknown, net.nodes))
    found: list[Choice] = []
    if settings.tune in ("weights", "both"):
        if config.WeightFormat is not None:
            raise ConfigError(
                f"Prepare/WeightFormat: bits of {config.WeightFormat} cannot be searched", "take the key out"
            )
        layers = [
            node.name for node in net if node.kind in WEIGHTED and _is_free(config, node.name, "Weight")
        ]
        costs = {name: _weight_cost(net, name, settings.cost) for name in layers}
        groups = {name: layer_group(net.nodes[name]) for name in layers}
        found += _grouped("weights", "WeightBits", costs, groups, settings.scope)
    if settings.tune in ("activations", "both"):
        result = result_tensor(net)
        tensors = [
            name for name in quantized_tensors(net) if name != result and _is_free(config, name, "Activation")
        ]
        costs = {name: int(np.prod(net.nodes[name].shape)) for name in tensors}
        groups = {name: net.nodes[name].kind for name in tensors}
        found += _grouped("activations", "ActivationBits", costs, groups, settings.scope)
    if not found:
        raise UserError("the configuration leaves no bits to be searched", "take exceptions by layer out")
    return found


def _is_free(config: PrepareConfig, name: str, what: str) -> bool:
    exception = config.Layers.get(name)
    if exception is None:
        return True
    given = (
        exception.ActivationBits if what == "Activation" else exception.WeightBits or exception.WeightFormat
    )
    return given is None


def _weight_cost(net: Net, name: str, cost: str) -> int:
    node = net.nodes[name]
    pixels = int(np.prod(node.shape[:-1])) if node.kind != "dense" else 1
    return node.arrays["kernel"].size * (pixels if cost == "bops" else 1)


def _grouped(
    what: str, key: str, costs: Mapping[str, int], groups: Mapping[str, str], scope: str
) -> list[Choice]:
    members: dict[str, list[str]] = {}
    for name in costs:
        group = {"layer": name, "type": groups[name], "network": "the network"}[scope]
        members.setdefault(group, []).append(name)
    return [
        Choice(f"{what} of {group}", key, tuple(names), sum(costs[name] for name in names))
        for group, names in members.items()
    ]


def configured(config: PrepareConfig, choices: Sequence[Choice], bits: Bits) -> PrepareConfig:
    """The configuration with chosen bits as exceptions by layer, where they differ from its defaults."""
    layers = {name: exception.model_dump() for name, exception in config.Layers.items()}
    for choice in choices:
        for name in choice.layers:
            layers.setdefault(name, {})[choice.key] = bits[choice.name]
    result: PrepareConfig = config.model_copy(
        update={"Layers": {name: LayerBits(**keys) for name, keys in layers.items()}}
    )
    return result


def mean_bits(choices: Sequence[Choice], bits: Bits) -> float:
    """Mean of the bits, weighted by what a bit costs."""
    return sum(c.cost * bits[c.name] for c in choices) / sum(c.cost for c in choices)


def _loss_function(settings: Settings, best: Score) -> Callable[[Score], float]:
    if settings.metric == "cosine":
        return lambda score: 1 - score.cosine
    if best.accuracy is None:
        raise UserError("accuracy needs faces of known people", "search by cosine, or use Data: {Kind: orl}")
    wanted = best.accuracy

    def loss(score: Score) -> float:
        assert score.accuracy is not None, "the same data have labels every time"
        return 100 * (wanted - score.accuracy)

    return loss


def _picks(
    choices: Sequence[Choice], alone: Mapping[str, Mapping[int, float]], settings: Settings
) -> Iterator[Bits]:
    """Picks from the most bits to the fewest; none twice."""
    total = sum(choice.cost for choice in choices)
    budgets = np.arange(settings.most, settings.fewest - settings.step / 2, -settings.step) * total
    pick_within = _greedy if settings.method == "greedy" else _milp
    before: Bits | None = None
    for budget in budgets:
        pick = pick_within(choices, alone, float(budget), settings)
        if pick != before:
            yield pick
        before = pick


def _greedy(
    choices: Sequence[Choice], alone: Mapping[str, Mapping[int, float]], budget: float, settings: Settings
) -> Bits:
    """Take the step that loses least a bit saved, from the most bits, until the budget is met."""
    bits = {choice.name: settings.most for choice in choices}
    spent = sum(choice.cost * settings.most for choice in choices)
    while spent > budget + 1e-6:
        steps = [choice for choice in choices if bits[choice.name] > settings.fewest]

        def price(choice: Choice) -> tuple[float, str]:
            now = bits[choice.name]
            return (alone[choice.name][now - 1] - alone[choice.name][now]) / choice.cost, choice.name

        taken = min(steps, key=price)
        bits[taken.name] -= 1
        spent -= taken.cost
    return bits


def _milp(
    choices: Sequence[Choice], alone: Mapping[str, Mapping[int, float]], budget: float, settings: Settings
) -> Bits:
    """The pick of least predicted loss within the budget."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    options = range(settings.fewest, settings.most + 1)
    count = len(options)
    total = sum(choice.cost for choice in choices)
    losses = np.array([alone[c.name][b] for c in choices for b in options])
    costs = np.array([c.cost * b for c in choices for b in options], np.float64) / total
    one_each = np.kron(np.eye(len(choices)), np.ones(count))
    # a hair of cost breaks ties the same way everywhere
    result = milp(
        losses + 1e-9 * costs,
        integrality=np.ones(losses.size),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(costs[None], 0, budget / total + 1e-9),
        ],
    )
    assert result.x is not None, "the fewest bits of all meet every budget"
    chosen = np.argmax(result.x.reshape(-1, count), axis=1)
    return {choice.name: options[int(index)] for choice, index in zip(choices, chosen, strict=True)}


def bits_by_layer(net: Net, config: PrepareConfig, ranges: Iterable[Range]) -> dict[str, dict[str, Any]]:
    """Bits of the weights and of the outputs of each layer that has any, and integer bits that never saturate."""
    result = result_tensor(net)
    found: dict[str, dict[str, Any]] = {}
    for needed in ranges:
        row = found.setdefault(needed.name, {})
        if needed.kind == "weights":
            row["weights"] = needed.count
            row["weight_bits"] = weight_bits(config, needed.name)
            row["weight_integer_bits"] = needed.integer_bits
        else:
            row["activation_bits"] = activation_bits(config, needed.name, is_result=needed.name == result)
            row["activation_integer_bits"] = needed.integer_bits
    return {node.name: found[node.name] for node in net if node.name in found}
