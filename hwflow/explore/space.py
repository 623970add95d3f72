# SPDX-License-Identifier: Apache-2.0
"""A point of the space: the choices a sampler makes, and the design they mean."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any

from hwflow.config.schema import PrepareConfig
from hwflow.errors import ConfigError, did_you_mean
from hwflow.explore.schema import SpaceConfig
from hwflow.prepare.net import WEIGHTED, Net
from hwflow.prepare.quantize import layer_group

if TYPE_CHECKING:
    import optuna

#: A value for each name of the space.
Point = Mapping[str, Any]

_BITS = "WeightBits"
_PLAIN = ("ActivationBits", "Scale", "WeightFormat", "Calibration", "BiasCorrection")
#: What varies the hardware of one network.
HARDWARE = ("Fps", "MultStyle", "Part")


def dimensions(space: SpaceConfig) -> dict[str, list[Any]]:
    """Choices of every dimension, by name: ``WeightBits``, ``WeightBits/pointwise``, ``Fps`` …"""
    found: dict[str, list[Any]] = {}
    if isinstance(space.WeightBits, dict):
        found |= {f"{_BITS}/{place}": choices for place, choices in space.WeightBits.items()}
    elif space.WeightBits is not None:
        found[_BITS] = space.WeightBits
    for name in (*_PLAIN, *HARDWARE):
        choices = getattr(space, name)
        if choices is not None:
            found[name] = choices
    return found


def size(space: SpaceConfig) -> int:
    """How many different designs a space holds."""
    return prod(len(set(choices)) for choices in dimensions(space).values())


def suggest(trial: optuna.Trial, space: SpaceConfig) -> dict[str, Any]:
    """The sampler's choice for a trial."""
    return {name: trial.suggest_categorical(name, choices) for name, choices in dimensions(space).items()}


def check_places(space: SpaceConfig, net: Net) -> None:
    """Check that what bits are given for exists in the network.

    Raises
    ------
    ConfigError
        When a name is neither a layer type nor a layer with weights.
    """
    if not isinstance(space.WeightBits, dict):
        return
    weighted = {node.name: layer_group(node) for node in net if node.kind in WEIGHTED}
    known = sorted({*weighted, *weighted.values()})
    for place in space.WeightBits:
        if place not in known:
            raise ConfigError(
                f"Space.WeightBits names {place!r}, neither a layer type nor a layer with weights",
                did_you_mean(place, known),
            )


def prepared(base: PrepareConfig, point: Point, net: Net) -> PrepareConfig:
    """The quantization of a point; bits of a layer's name come before those of its type."""
    changed: dict[str, Any] = {name: point[name] for name in _PLAIN if name in point}
    if _BITS in point:
        changed[_BITS] = point[_BITS]
    layers = {name: dict(one.model_dump(exclude_none=True)) for name, one in base.Layers.items()}
    for node in net:
        places = (f"{_BITS}/{node.name}", f"{_BITS}/{layer_group(node)}") if node.kind in WEIGHTED else ()
        bits = next((point[place] for place in places if place in point), None)
        if bits is not None:
            layers[node.name] = {**layers.get(node.name, {}), _BITS: bits}
    return PrepareConfig.model_validate({**base.model_dump(), **changed, "Layers": layers})
