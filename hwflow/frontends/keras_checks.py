# SPDX-License-Identifier: Apache-2.0
"""Which layers of a Keras model become hardware; all findings at once, before anything is built."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hwflow.errors import UnsupportedLayerError, UserError
from hwflow.frontends.hls_config import LayerInfo, setting
from hwflow.frontends.quantizers import MAX_WEIGHT_BITS, activation_cast, constant_type
from hwflow.models.source import is_quantized
from hwflow.numerics.codes import narrowest_type

if TYPE_CHECKING:
    import tensorflow as tf

_Check = Callable[[Any, bool], Iterator[tuple[str, str]]]

_FLOAT_REMEDY = "use the QKeras layer with alpha=1 quantizers, or give its Precision under HLSConfig"
_ALPHA_REMEDY = "use alpha=1 or alpha='auto_po2'"


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
    supported = ", ".join(name for name in _CHECKS if name != "BatchNormalization")
    raise UnsupportedLayerError(findings, f"change these layers; supported are {supported}")


def _has_precision(config: Mapping[str, Any], layer: Any) -> bool:
    """Whether the configuration gives a precision that holds for the layer."""
    info = LayerInfo(layer.name, (type(layer).__name__,), ())
    return setting(config, info, "Precision") is not None


def _check_model(model: Any) -> Iterator[tuple[str, str]]:
    if not getattr(model, "_is_graph_network", False):
        yield "it is a subclassed model without a static graph", "build it as Functional or Sequential"
        return
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        yield (
            f"it has {len(model.inputs)} inputs and {len(model.outputs)} outputs",
            "one input and one output are supported",
        )
    if any(size is None for size in model.inputs[0].shape[1:]):
        yield f"its input shape {tuple(model.inputs[0].shape[1:])} is not fixed", "give all sizes"
    names = Counter(layer.name.lower() for layer in model.layers)
    for name in sorted(name for name, count in names.items() if count > 1):
        yield f"several layers are named {name!r} but for upper and lower case", "rename one of them"
    for layer in model.layers:
        if not re.fullmatch(r"[A-Za-z_]\w*", layer.name, re.ASCII):
            yield f"the layer name {layer.name!r} is no C++ identifier", "rename it: letters, digits and _"
        if len(layer.inbound_nodes) > 1 and type(layer).__name__ != "InputLayer":
            yield f"layer {layer.name!r} is used {len(layer.inbound_nodes)} times", "use one layer each time"
        if not np.all([np.isfinite(weight).all() for weight in layer.get_weights()]):
            yield f"weights of layer {layer.name!r} are not finite (NaN or infinity)", "train it again"


def _nothing(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    return iter(())


def _check_conv(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    if tuple(layer.dilation_rate) != (1, 1):
        yield f"dilation_rate {tuple(layer.dilation_rate)}", "only (1, 1) is supported"
    if layer.data_format != "channels_last":
        yield f"data_format {layer.data_format}", "use channels_last"
    if layer.padding not in ("same", "valid"):
        yield f"padding {layer.padding!r}", "use 'same' or 'valid'"
    if layer.__class__.__name__.endswith("DepthwiseConv2D"):
        if layer.depth_multiplier != 1:
            yield f"depth_multiplier {layer.depth_multiplier}", "only 1 is supported"
    elif layer.groups != 1:
        yield f"groups {layer.groups}", "only 1 is supported"
    yield from _check_weights(layer, has_precision)


def _check_dense(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    if len(layer.input_shape) != 2:
        yield f"input of shape {tuple(layer.input_shape[1:])}", "flatten it first"
    yield from _check_weights(layer, has_precision)


def _check_weights(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    """Kernel, bias and built-in activation of a layer with weights."""
    kernel = "depthwise" if hasattr(layer, "depthwise_kernel") else "kernel"
    quantizer = getattr(layer, f"{kernel}_quantizer_internal", None)
    if quantizer is None:
        if not has_precision:
            yield "its weights are not quantized", _FLOAT_REMEDY
    else:
        weights = layer.depthwise_kernel if kernel == "depthwise" else layer.kernel
        if constant_type(_quantized(quantizer, weights), None) is None:
            yield (
                f"the scale of its {type(quantizer).__name__} weights is no power of two (alpha="
                f"{_alpha(quantizer)}), so that they fit no type of {MAX_WEIGHT_BITS} bits",
                _ALPHA_REMEDY,
            )
    if layer.use_bias:
        quantizer = getattr(layer, "bias_quantizer_internal", None)
        values = layer.bias.numpy() if quantizer is None else _quantized(quantizer, layer.bias)
        if narrowest_type(values, MAX_WEIGHT_BITS) is None and (quantizer is not None or not has_precision):
            yield "its biases lie on no fixed-point grid", "quantize them, for example with quantized_bits"
    yield from _check_function(layer.activation)


def _quantized(quantizer: Any, variable: Any) -> Any:
    import tensorflow as tf

    return np.asarray(quantizer(tf.convert_to_tensor(variable)), np.float64)


def _alpha(quantizer: Any) -> str:
    alpha = getattr(quantizer, "alpha", None)
    return repr(alpha) if alpha is None or isinstance(alpha, str | int | float) else "a tensor"


def _check_function(function: Any) -> Iterator[tuple[str, str]]:
    """An activation function or quantizer."""
    if function is None or getattr(function, "__name__", "") in ("linear", "relu"):
        return
    name = getattr(function, "__name__", "") or type(function).__name__
    if not hasattr(function, "get_config"):
        yield f"the activation {name} is not supported", "use linear, relu or a QKeras quantizer"
        return
    try:
        activation_cast(type(function).__name__, function.get_config())
    except UserError as error:
        yield error.message, "use quantized_bits or quantized_relu without a slope"


def _check_activation(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    return _check_function(layer.activation)


def _check_qactivation(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    return _check_function(layer.quantizer)


def _check_relu(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    if layer.max_value is not None or layer.negative_slope or layer.threshold:
        yield "max_value, negative_slope or threshold is set", "use quantized_relu or PReLU"


def _check_prelu(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    slopes = layer.alpha.numpy()
    if slopes.size != slopes.shape[-1]:
        yield (
            f"slopes of shape {slopes.shape}, one an element",
            "share them: PReLU(shared_axes=[1, 2]) has one a channel",
        )
    if not has_precision and narrowest_type(slopes, MAX_WEIGHT_BITS) is None:
        yield "its slopes lie on no fixed-point grid", "round them, or give Precision.param under HLSConfig"


def _check_add(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    shapes = [tuple(shape[1:]) for shape in layer.input_shape]
    if len(shapes) != 2:
        yield f"{len(shapes)} inputs", "add two tensors at a time"
    if len(set(shapes)) != 1:
        yield f"inputs of different shapes {shapes}", "broadcasting is not supported"


def _check_batchnorm(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    yield "it is not folded", "let hwflow prepare the model, or fold it into the layer before"


_CHECKS: Mapping[str, _Check] = {
    "InputLayer": _nothing,
    "QConv2D": _check_conv,
    "Conv2D": _check_conv,
    "QDepthwiseConv2D": _check_conv,
    "DepthwiseConv2D": _check_conv,
    "QDense": _check_dense,
    "Dense": _check_dense,
    "QActivation": _check_qactivation,
    "Activation": _check_activation,
    "ReLU": _check_relu,
    "PReLU": _check_prelu,
    "Add": _check_add,
    "Flatten": _nothing,
    "Dropout": _nothing,
    "BatchNormalization": _check_batchnorm,
}
