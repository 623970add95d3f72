# SPDX-License-Identifier: Apache-2.0
"""Which layers of a Keras model become hardware; all findings at once, before anything is built."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hwflow.errors import UnsupportedLayerError
from hwflow.frontends.hls_config import LayerInfo, setting
from hwflow.models.source import is_quantized
from hwflow.ops.frontend import KerasCheck
from hwflow.ops.registry import ops

if TYPE_CHECKING:
    import tensorflow as tf


def check_supported(model: tf.keras.Model, hls_config: Mapping[str, Any] | None = None) -> list[str]:
    """Find everything in a model that hwflow cannot turn into hardware.

    Parameters
    ----------
    model : tf.keras.Model
        The quantized model.
    hls_config : mapping, optional
        The user's ``HLSConfig``; layers with float weights are accepted where it gives their precision.

    Returns
    -------
    list of str
        One line a finding: layer, class, reason and remedy. Empty when the model is supported.
    """
    findings = [f"model: {reason}; {remedy}" for reason, remedy in _check_model(model)]
    for layer in model.layers:
        where, check = f"{layer.name} ({type(layer).__name__})", _CHECKS.get(type(layer).__name__)
        if check is None:
            findings.append(f"{where}: there is no hardware for this layer type")
            continue
        reasons = check(layer, _has_precision(hls_config or {}, layer))
        findings += [f"{where}: {reason}; {remedy}" for reason, remedy in reasons]
    return findings


def supported_layers() -> frozenset[str]:
    """Keras classes that become hardware, given arguments that pass their checks."""
    return frozenset(_CHECKS)


def refuse_unsupported(model: tf.keras.Model, hls_config: Mapping[str, Any] | None = None) -> None:
    """Raise what :func:`check_supported` finds as one error.

    Raises
    ------
    UnsupportedLayerError
        With all findings.
    """
    findings = check_supported(model, hls_config)
    if not findings:
        return
    if not is_quantized(model):
        raise UnsupportedLayerError(
            findings, "this is a float model: add 'Prepare: {}' under Hwflow/Model to have it quantized"
        )
    supported = ", ".join(sorted(_CHECKS))
    raise UnsupportedLayerError(findings, f"change these layers; supported are {supported}")


def _has_precision(config: Mapping[str, Any], layer: Any) -> bool:
    """Whether the configuration gives a precision that holds for the layer."""
    info = LayerInfo(layer.name, (type(layer).__name__,), ())
    return setting(config, info, "Precision") is not None


def _check_model(model: Any) -> Iterator[tuple[str, str]]:
    if not getattr(model, "_is_graph_network", False):
        yield "it is a subclassed model without a static graph", "build it as Functional or Sequential"
        return
    yield from _check_ports(model)
    names = Counter(layer.name.lower() for layer in model.layers)
    for name in sorted(name for name, count in names.items() if count > 1):
        yield f"several layers are named {name!r} but for upper and lower case", "rename one of them"
    for layer in model.layers:
        if not re.fullmatch(r"[A-Za-z_]\w*", layer.name, re.ASCII):
            yield f"the layer name {layer.name!r} is no C++ identifier", "rename it: letters, digits and _"
        if len(layer.inbound_nodes) > 1 and type(layer).__name__ != "InputLayer":
            yield f"layer {layer.name!r} is used {len(layer.inbound_nodes)} times", "use one layer each time"
        # hls4ml finds a variable by a word in its name, which begins with that of the layer.
        words = [word for word in ("kernel", "bias", "gamma", "beta") if hasattr(layer, word)]
        for word in words:
            taken = next((weight.name for weight in layer.weights if word in weight.name), word)
            if word not in taken.rpartition("/")[2]:
                yield f"hls4ml takes {taken!r} for the {word} of layer {layer.name!r}", "rename the layer"
        if not np.all([np.isfinite(weight).all() for weight in layer.get_weights()]):
            yield f"weights of layer {layer.name!r} are not finite (NaN or infinity)", "train it again"


def _check_ports(model: Any) -> Iterator[tuple[str, str]]:
    """Inputs and outputs: each a stream of its own."""
    for tensor in model.inputs:
        layer = tensor._keras_history.layer
        if any(size is None for size in tensor.shape[1:]):
            yield f"its input shape {tuple(tensor.shape[1:])} is not fixed", "give all sizes"
        if not any(node.layer in model.layers for node in layer.outbound_nodes):
            yield f"its input {layer.name!r} feeds no layer", "leave it out of the model's inputs"
    makers = Counter(tensor._keras_history.layer.name for tensor in model.outputs)
    for name in sorted(name for name, count in makers.items() if count > 1):
        yield f"layer {name!r} makes {makers[name]} of its outputs", "name it once among the outputs"
    for name in sorted({tensor._keras_history.layer.name for tensor in model.inputs} & makers.keys()):
        yield f"its input {name!r} is an output, too", "leave it out of the outputs"


_CHECKS: Mapping[str, KerasCheck] = {
    **{name: check for spec in ops().values() for name, check in spec.keras.items()},
}
