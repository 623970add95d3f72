# SPDX-License-Identifier: Apache-2.0
"""Checks of Keras layers that several operations share: weights, biases, built-in activations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hwflow.errors import UserError
from hwflow.numerics.codes import narrowest_type
from hwflow.numerics.quantizers import MAX_WEIGHT_BITS, activation_cast, constant_type
from hwflow.ops.piecewise.functions import quantizer_pieces

_FLOAT_REMEDY = "use the QKeras layer with alpha=1 quantizers, or give its Precision under HLSConfig"
_ALPHA_REMEDY = "use alpha=1 or alpha='auto_po2'"


def check_weights(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    """Kernels, bias and built-in activation of a layer with weights."""
    folded = hasattr(layer, "get_folded_weights")  # the batch normalization within the layer is in these
    kernels = [name for name in ("kernel", "depthwise_kernel", "pointwise_kernel") if hasattr(layer, name)]
    values = dict(zip((kernels[0], "bias"), layer.get_folded_weights(), strict=True)) if folded else {}
    for name in kernels:
        quantizer = getattr(layer, f"{name.removesuffix('_kernel')}_quantizer_internal", None)
        if quantizer is None:
            if not has_precision:
                what = name.replace("kernel", "weights").replace("_", " ")
                yield f"its {what} are not quantized", _FLOAT_REMEDY
        elif hasattr(quantizer, "format"):
            continue  # whatever its values, they lie on a grid
        elif constant_type(_quantized(quantizer, values.get(name, getattr(layer, name))), None) is None:
            yield (
                f"the scale of its {type(quantizer).__name__} weights is no power of two (alpha="
                f"{_alpha(quantizer)}), so that they fit no type of {MAX_WEIGHT_BITS} bits",
                _ALPHA_REMEDY,
            )
    if layer.use_bias or folded:
        quantizer = getattr(layer, "bias_quantizer_internal", None)
        bias = values.get("bias", layer.bias)
        codes = np.asarray(bias) if quantizer is None else _quantized(quantizer, bias)
        if narrowest_type(codes, MAX_WEIGHT_BITS) is None and (quantizer is not None or not has_precision):
            yield "its biases lie on no fixed-point grid", "quantize them, for example with quantized_bits"
    if hasattr(layer.activation, "format"):
        yield f"its activation is in {layer.activation.format}", "put it into a QActivation layer behind"
    else:
        yield from check_function(layer.activation)


def _quantized(quantizer: Any, variable: Any) -> Any:
    import tensorflow as tf

    return np.asarray(quantizer(tf.convert_to_tensor(variable)), np.float64)


def _alpha(quantizer: Any) -> str:
    alpha = getattr(quantizer, "alpha", None)
    return repr(alpha) if alpha is None or isinstance(alpha, str | int | float) else "a tensor"


FUNCTIONS = (
    "linear",
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "softplus",
    "softsign",
    "sigmoid",
    "tanh",
    "hard_sigmoid",
    "softmax",
    "binary_tanh",
)
"""Activation functions without parameters that hls4ml converts."""


def check_function(function: Any) -> Iterator[tuple[str, str]]:
    """An activation function or quantizer."""
    if function is None or getattr(function, "__name__", "") in FUNCTIONS:
        return
    form = getattr(function, "format", None)
    if form is not None:
        if form.weights_only:
            yield f"activations cannot be in {form}, a format of weights", "use fixed<W,I> or minifloat<E,M>"
        return
    name = getattr(function, "__name__", "") or type(function).__name__
    if not hasattr(function, "get_config"):
        yield (
            f"the activation {name} is not supported",
            f"use a QKeras quantizer or one of {', '.join(FUNCTIONS)}",
        )
        return
    try:
        if quantizer_pieces(name, function.get_config()) is None:
            activation_cast(name, function.get_config())
    except UserError as error:
        yield (
            error.message,
            "use quantized_bits, quantized_relu, quantized_tanh, quantized_sigmoid, binary or ternary",
        )


def check_geometry(layer: Any) -> Iterator[tuple[str, str]]:
    """Layout, padding and dilation of a convolution."""
    if any(rate != 1 for rate in layer.dilation_rate):
        yield f"dilation_rate {tuple(layer.dilation_rate)}", "only 1 is supported"
    if layer.data_format != "channels_last":
        yield f"data_format {layer.data_format}", "use channels_last"
    if layer.padding not in ("same", "valid", "causal"):
        yield f"padding {layer.padding!r}", "use 'same' or 'valid', or 'causal' in one dimension"
