# SPDX-License-Identifier: Apache-2.0
"""Running a quantized Keras model without float32's rounding.

QKeras computes in float32, where sums beyond 2**24 units of their grid lose low bits. The same layers
run in float64 are exact up to 2**53 units, far beyond any sum of a real network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import UnsupportedLayerError, UserError, did_you_mean
from hwflow.models.building import without_autograph

if TYPE_CHECKING:
    import tensorflow as tf


def predict_exact(
    model: tf.keras.Model,
    x: NDArray[Any] | Sequence[NDArray[Any]],
    outputs: Sequence[str] | None = None,
    *,
    batch_size: int = 4,
) -> dict[str, NDArray[np.float64]]:
    """Evaluate a quantized Keras model in float64.

    Parameters
    ----------
    model : tf.keras.Model
        QKeras model.
    x : ndarray, shape (n, ...), or sequence of such arrays
        Inputs; one array an input of the model, in its order.
    outputs : sequence of str or None
        Names of the layers whose outputs are wanted; the model's output layers by default.
    batch_size : int
        Inputs computed at once.

    Returns
    -------
    dict of str to ndarray of float64
        Output of each layer asked for.

    Raises
    ------
    UserError
        When the model has no such layer, or another number of inputs.
    UnsupportedLayerError
        When a quantizer cannot be run exactly.
    """
    import tensorflow as tf

    names = list(outputs) if outputs is not None else [t._keras_history.layer.name for t in model.outputs]
    known = [layer.name for layer in model.layers]
    for name in names:
        if name not in known:
            raise UserError(f"model {model.name!r} has no layer {name!r}", did_you_mean(name, known))
    inputs = [x] if isinstance(x, np.ndarray) else list(x)
    if len(inputs) != len(model.inputs):
        raise UserError(f"model {model.name!r} has {len(model.inputs)} inputs, got {len(inputs)} arrays")
    with _floatx64():
        twin = _widened(model)
        probe = tf.keras.Model(twin.inputs, [twin.get_layer(name).output for name in names])
        batches = (
            [tf.constant(values[i : i + batch_size], tf.float64) for values in inputs]
            for i in range(0, len(inputs[0]), batch_size)
        )
        parts = [[part.numpy() for part in tf.nest.flatten(probe(b, training=False))] for b in batches]
    columns = zip(*parts, strict=True)
    return {name: np.concatenate(column) for name, column in zip(names, columns, strict=True)}


@contextmanager
def _floatx64() -> Iterator[None]:
    """Let Keras and QKeras compute in float64; their setting is global."""
    from tensorflow.keras import backend

    before = backend.floatx()
    backend.set_floatx("float64")
    try:
        yield
    finally:
        backend.set_floatx(before)


def _widened(model: tf.keras.Model) -> tf.keras.Model:
    """The same model with float64 layers."""
    import tensorflow as tf

    # cloning would keep float32 inputs
    inputs = [
        tf.keras.Input(batch_shape=tensor.shape, dtype="float64", name=tensor._keras_history.layer.name)
        for tensor in model.inputs
    ]
    twin = without_autograph(
        tf.keras.models.clone_model, model, input_tensors=inputs, clone_function=_widened_layer
    )
    for original in model.layers:
        weights = [weight.astype(np.float64) for weight in original.get_weights()]
        twin.get_layer(original.name).set_weights(weights)
    return twin


def _widened_layer(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
    twin = type(layer).from_config({**layer.get_config(), "dtype": "float64"})
    for quantizer, weight in _weights(layer).items():
        if getattr(layer, quantizer, None) is not None and weight is not None:
            setattr(twin, quantizer, _constant(getattr(layer, quantizer), weight))
    for attribute in ("quantizer", "activation"):
        if hasattr(twin, attribute):
            setattr(twin, attribute, _widened_quantizer(getattr(twin, attribute), layer.name))
    return twin


def _weights(layer: tf.keras.layers.Layer) -> dict[str, Any]:
    """What the quantizers of a layer's weights are given, by attribute."""
    names = ("kernel", "depthwise_kernel", "pointwise_kernel", "bias", "gamma", "beta")
    weights = {name: getattr(layer, name, None) for name in (*names, "moving_mean", "moving_variance")}
    if hasattr(layer, "get_folded_weights"):  # with the normalization that it holds
        kernel = "depthwise_kernel" if weights["depthwise_kernel"] is not None else "kernel"
        weights[kernel], weights["bias"] = layer.get_folded_weights()
    short = {name: name.removesuffix("_kernel").removeprefix("moving_") for name in weights}
    return {f"{short[name]}_quantizer_internal": weight for name, weight in weights.items()}


def _constant(quantizer: Any, weight: Any) -> Any:
    """A quantizer of weights as the constant that it gives: QKeras computes scales (``auto_po2``) in float32 only."""
    import tensorflow as tf
    from tensorflow.keras import backend

    backend.set_floatx("float32")
    try:
        values = np.asarray(quantizer(tf.convert_to_tensor(weight)), np.float64)
    finally:
        backend.set_floatx("float64")
    # rows of separable layers come with one more axis
    return lambda weight: tf.reshape(tf.constant(values), weight.shape)


def _widened_quantizer(quantizer: Any, layer: str) -> Any:
    """``quantized_relu`` casts to float32 by itself; all other quantizers follow Keras' setting."""
    import tensorflow as tf

    if type(quantizer).__name__ != "quantized_relu":
        return quantizer
    q = quantizer
    if q.use_sigmoid or (q.relu_upper_bound is not None and not q.is_quantized_clip):
        raise UnsupportedLayerError(
            [f"layer {layer!r}: quantized_relu with a sigmoid or an upper bound"],
            "use a plain quantized_relu",
        )
    signed = int(q.negative_slope != 0)
    levels, unit = 2.0 ** (q.bits - signed), 2.0 ** (q.integer - q.bits + signed)

    def relu(x: Any) -> Any:
        codes = tf.clip_by_value(tf.round(x / unit), 0.0, levels - 1) * unit
        if not signed:
            return codes
        negative = tf.clip_by_value(tf.round(x / unit * q.negative_slope), -q.negative_slope * levels, 0.0)
        return codes + negative * unit

    return relu
