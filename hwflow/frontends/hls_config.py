# SPDX-License-Identifier: Apache-2.0
"""hls4ml's ``HLSConfig``: checked, and resolved to what holds for each layer.

hls4ml reads this dictionary with ``.get()``, so a misspelt key or layer name does nothing, and an entry
of ``LayerType`` under a QKeras class name does nothing either. Here both are errors or take effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwflow.config.hls import SOFTMAX_STRATEGIES, STRATEGIES, HlsConfig, HlsLayer, HlsModel
from hwflow.errors import ConfigError, UserError, did_you_mean
from hwflow.numerics.fixed import Cast

TOP_KEYS = (*HlsConfig.model_fields, "Flows", "Optimizers", "SkipOptimizers")
LAYER_KEYS = tuple(HlsLayer.model_fields)
AUTO = "auto"
PARALLEL_KEY = "ParallelizationFactor"


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """What the configuration may say about one layer.

    Parameters
    ----------
    name : str
        Name of the layer.
    classes : tuple of str
        Names it goes by under ``LayerType``: the hls4ml class and the Keras class.
    types : tuple of str
        Keys it has under ``Precision``.
    keys : tuple of str
        Its configuration keys.
    """

    name: str
    classes: tuple[str, ...]
    types: tuple[str, ...]
    keys: tuple[str, ...] = LAYER_KEYS


def check_config(config: Mapping[str, Any], layers: Sequence[LayerInfo]) -> None:
    """Refuse what hls4ml would silently ignore.

    Parameters
    ----------
    config : mapping
        ``HLSConfig``.
    layers : sequence of LayerInfo
        Layers of the model.

    Raises
    ------
    ConfigError
        With every unknown key, layer name, layer class, strategy and unreadable precision.
    """
    problems = [*_unknown(config, TOP_KEYS, "HLSConfig")]
    model = config.get("Model") or {}
    if not isinstance(model, Mapping):
        problems.append("HLSConfig.Model is not a mapping")
        model = {}
    problems += _unknown(model, HlsModel.model_fields, "HLSConfig.Model")
    problems += _section_values(model, ("default", "maximum"), "HLSConfig.Model")
    by_class: dict[str, list[LayerInfo]] = {}
    for layer in layers:
        for name in layer.classes:
            by_class.setdefault(name, []).append(layer)
    by_name = {layer.name: [layer] for layer in layers}
    for section, known in (("LayerType", by_class), ("LayerName", by_name)):
        entries = config.get(section) or {}
        if not isinstance(entries, Mapping):
            problems.append(f"HLSConfig.{section} is not a mapping")
            continue
        problems += _unknown(entries, known, f"HLSConfig.{section}")
        for name in entries.keys() & known.keys():
            where = f"HLSConfig.{section}.{name}"
            values = entries[name] or {}
            if not isinstance(values, Mapping):
                problems.append(f"{where} is not a mapping")
                continue
            members = known[name]
            problems += _unknown(values, {key for member in members for key in member.keys}, where)
            types = ["default", *dict.fromkeys(key for member in members for key in member.types)]
            softmax = all("Softmax" in member.classes for member in members)
            problems += _section_values(values, types, where, SOFTMAX_STRATEGIES if softmax else STRATEGIES)
    if problems:
        raise ConfigError(
            "HLSConfig is wrong:" + "".join(f"\n  - {problem}" for problem in sorted(problems)),
            "mend the keys named above",
        )


def _unknown(found: Iterable[Any], known: Iterable[str], where: str) -> list[str]:
    known = list(known)
    return [f"{where}: unknown {key!r}; {did_you_mean(str(key), known)}" for key in found if key not in known]


def _section_values(
    values: Mapping[str, Any], types: Sequence[str], where: str, strategies: Sequence[str] = STRATEGIES
) -> list[str]:
    """Problems with the values of Precision, ReuseFactor, ParallelizationFactor and Strategy."""
    problems = []
    precision = values.get("Precision")
    if isinstance(precision, Mapping):
        problems += _unknown(precision, types, f"{where}.Precision")
    for text in precision.values() if isinstance(precision, Mapping) else [precision]:
        if text is None or text == AUTO:
            continue
        try:
            Cast.parse(str(text))
        except UserError as error:
            problems.append(f"{where}.Precision: {error.message}")
    strategy = values.get("Strategy")
    if strategy is not None and str(strategy).lower() not in {name.lower() for name in strategies}:
        problems.append(f"{where}.Strategy: {strategy!r} is not supported; choose {' or '.join(strategies)}")
    for key in ("ReuseFactor", PARALLEL_KEY):
        factor = values.get(key)
        if factor is not None and (isinstance(factor, bool) or not isinstance(factor, int) or factor < 1):
            problems.append(f"{where}.{key}: {factor!r} is not a positive integer")
    return problems


def setting(config: Mapping[str, Any], layer: LayerInfo, *keys: str) -> Any:
    """The value of a key for a layer: ``LayerName`` over ``LayerType`` over ``Model``, or None.

    Of several keys the first that an entry has holds.
    """
    for values in (*_entries(config, layer), config.get("Model")):
        for key in keys:
            if isinstance(values, Mapping) and values.get(key) is not None:
                return values[key]
    return None


def own_setting(config: Mapping[str, Any], layer: LayerInfo, key: str) -> Any:
    """The value of a key for a layer by its name or type; the model's default does not count."""
    return next((entry[key] for entry in _entries(config, layer) if entry.get(key) is not None), None)


def precision(config: Mapping[str, Any], layer: LayerInfo, kind: str, *, named: bool = False) -> str | None:
    """The precision the configuration gives a layer's type by name or class, None for 'auto' or nothing.

    With ``named`` only an entry for this very type counts, not one for all types of the layer.
    ``Model.Precision`` does not count: hls4ml means it for types that cannot be inferred.
    """
    given = _given_precision(config, layer, kind, named)
    return None if given == AUTO else given


def is_auto(config: Mapping[str, Any], layer: LayerInfo, kind: str) -> bool:
    """Whether the configuration says 'auto' for a layer's type."""
    return _given_precision(config, layer, kind, False) == AUTO


def _given_precision(config: Mapping[str, Any], layer: LayerInfo, kind: str, named: bool) -> str | None:
    for values in _entries(config, layer):
        given = values.get("Precision")
        if isinstance(given, Mapping):
            given = given.get(kind) or (None if named else given.get("default"))
        elif named:
            given = None
        if given is not None:
            return str(given)
    return None


def _entries(config: Mapping[str, Any], layer: LayerInfo) -> list[Mapping[str, Any]]:
    """Entries that name the layer or its class, the strongest first."""
    by_type, by_name = config.get("LayerType"), config.get("LayerName")
    found = [by_name.get(layer.name)] if isinstance(by_name, Mapping) else []
    found += [by_type.get(name) for name in layer.classes] if isinstance(by_type, Mapping) else []
    return [entry for entry in found if isinstance(entry, Mapping)]
