# SPDX-License-Identifier: Apache-2.0
"""Number formats as QKeras quantizers: for kernels, biases and, where the format allows, activations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from qkeras.quantizers import BaseQuantizer

from hwflow.errors import UserError
from hwflow.formats.base import Format, LevelFormat
from hwflow.formats.fixed import Fixed
from hwflow.formats.scaled import Scaled
from hwflow.formats.text import from_json, parse


@tf.keras.utils.register_keras_serializable("hwflow")
class FormatQuantizer(BaseQuantizer):  # type: ignore[misc]
    """A fitted number format in QKeras' place of a quantizer.

    Gradients pass through unchanged. Parameters that depend on data are constants of the quantizer.

    Parameters
    ----------
    format : Format, str or mapping
        The format, its text form or what its ``to_json`` gave.
    spec : str
        Text form of the format that :func:`refit` fits anew, for example between epochs; empty to keep this one.

    Raises
    ------
    UserError
        When the format is none, or has not been fitted.
    """

    def __init__(self, format: Format | str | Mapping[str, Any], spec: str = "") -> None:
        super().__init__()
        if isinstance(format, str):
            format = parse(format)
        self.format = format if isinstance(format, Format) else from_json(format)
        self.format.require_fitted("quantizer")
        self.spec = spec

    def __call__(self, x: Any) -> Any:
        """Quantize a tensor in its own arithmetic, float32 or float64."""
        return _straight_through(self.format, tf.convert_to_tensor(x))

    def __str__(self) -> str:
        return str(self.format)

    @property
    def bits(self) -> int:
        """Bits of a stored value, by which QKeras scales initial weights."""
        return self.format.code_bits

    def max(self) -> float:
        """Largest value, which QKeras initializes and clips weights by."""
        return float(np.ldexp(float(self.format.grid.range()[1]), -self.format.grid.frac))

    def min(self) -> float:
        """Smallest value."""
        return float(np.ldexp(float(self.format.grid.range()[0]), -self.format.grid.frac))

    def get_config(self) -> dict[str, Any]:
        """What :meth:`from_config` needs, as plain data."""
        return {"format": self.format.to_json(), "spec": self.spec}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> FormatQuantizer:
        """The quantizer of a stored configuration."""
        return cls(**config)


# QKeras and models saved as .h5 name a quantizer of an activation without its package.
tf.keras.utils.get_custom_objects()[FormatQuantizer.__name__] = FormatQuantizer


def refit(model: tf.keras.Model) -> None:
    """Fit the quantizers of a model's weights that have a ``spec`` to the weights as they are now.

    Parameters
    ----------
    model : tf.keras.Model
        Model with layers of QKeras.
    """
    for layer in model.layers:
        for name, weight in _WEIGHTS.items():
            quantizer, values = (
                getattr(layer, f"{name}_quantizer_internal", None),
                getattr(layer, weight, None),
            )
            if isinstance(quantizer, FormatQuantizer) and quantizer.spec and values is not None:
                quantizer.format = parse(quantizer.spec).fit(values.numpy(), where=f"{layer.name}: {weight}")
    # What Keras has traced holds the former parameters.
    model.train_function = model.test_function = model.predict_function = None


_WEIGHTS = {
    "kernel": "kernel",
    "depthwise": "depthwise_kernel",
    "pointwise": "pointwise_kernel",
    "bias": "bias",
}


def _straight_through(format_: Format, x: Any) -> Any:
    """The quantized tensor, with the gradient of the tensor itself."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def quantized(x: Any) -> Any:
        return _quantized(format_, x), lambda upstream: upstream

    return quantized(x)


def _quantized(format_: Format, x: Any) -> Any:
    if isinstance(format_, LevelFormat):
        dtype = x.dtype.as_numpy_dtype
        codes = tf.searchsorted(tf.constant(format_.thresholds(dtype)), tf.reshape(x, [-1]), side="left")
        return tf.reshape(tf.gather(tf.constant(np.asarray(format_.levels, dtype)), codes), tf.shape(x))
    if isinstance(format_, Fixed):
        (low, high), unit = format_.grid.range(), 2.0**-format_.grid.frac
        return tf.clip_by_value(tf.round(x / unit), low, high) * unit
    if isinstance(format_, Scaled):
        if x.shape.rank is not None and (
            x.shape.rank < -format_.axis or x.shape[format_.axis] != len(format_.scales)
        ):
            raise UserError(
                f"{format_}: {len(format_.scales)} scales for weights of shape {tuple(x.shape)}",
                "fit it to the layer's weights; depthwise kernels have their channels on axis -2",
            )
        shape = [-1] + [1] * (-1 - format_.axis)
        scales = tf.reshape(tf.constant(format_.scales, x.dtype), shape)
        safe = tf.where(scales > 0, scales, tf.ones_like(scales))
        return _quantized(format_.inner, x / safe) * scales
    raise UserError(f"{format_} has no quantizer", "use a format of hwflow.formats")
