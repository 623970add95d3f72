# SPDX-License-Identifier: Apache-2.0
"""Batch normalization as Keras and QKeras compute it, folded by hls4ml only where that loses nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from hls4ml.model.optimizer import OptimizerPass
from hls4ml.model.optimizer.passes.bn_fuse import FuseBatchNormalization
from hls4ml.model.types import UnspecifiedPrecisionType
from numpy.typing import NDArray

Values = NDArray[np.float32]


def scale_and_bias(layer: Any) -> tuple[Values, Values]:
    """Factor and offset a channel of a Keras or QKeras layer, by the float32 operations of Keras."""
    names = {"gamma": layer.scale, "beta": layer.center, "moving_mean": True, "moving_variance": True}
    quantizers = {
        name: getattr(layer, f"{name.removeprefix('moving_')}_quantizer_internal", None) for name in names
    }
    values = {name: getattr(layer, name) for name, there in names.items() if there}
    return _affine(values, quantizers, layer.epsilon)


def parse_normalization(
    keras_layer: dict[str, Any], input_names: Any, input_shapes: Any, data_reader: Any
) -> tuple[dict[str, Any], list[Any]]:
    """hls4ml's handler, with what Keras computes, and the quantizers of QKeras, which it leaves out."""
    from hls4ml.converters.keras.core import parse_batchnorm_layer
    from qkeras import get_quantizer

    layer, shape = parse_batchnorm_layer(keras_layer, input_names, input_shapes, data_reader)
    config, there = keras_layer["config"], {"gamma": layer["use_gamma"], "beta": layer["use_beta"]}
    values = {name: layer.pop(f"{name}_data") for name in ("gamma", "beta", "mean", "variance")}
    quantizers = {name: get_quantizer(config.get(f"{name}_quantizer")) for name in values}
    layer["scale_data"], layer["bias_data"] = _affine(
        {_long(name): value for name, value in values.items() if there.get(name, True)},
        {_long(name): quantizer for name, quantizer in quantizers.items()},
        layer["epsilon"],
    )
    return layer, shape


def _long(name: str) -> str:
    return f"moving_{name}" if name in ("mean", "variance") else name


def _affine(values: dict[str, Any], quantizers: dict[str, Any], epsilon: float) -> tuple[Values, Values]:
    import tensorflow as tf

    def value(name: str) -> Any:
        tensor, quantizer = tf.convert_to_tensor(values[name]), quantizers.get(name)
        return tensor if quantizer is None else quantizer(tensor)

    scale = tf.math.rsqrt(value("moving_variance") + epsilon)
    if "gamma" in values:
        scale *= value("gamma")
    bias = -value("moving_mean") * scale
    if "beta" in values:
        bias += value("beta")
    return scale.numpy(), bias.numpy()


class HwflowSkipLinear(OptimizerPass):  # type: ignore[misc]
    """No layer for 'linear' between a layer without types of its own and its normalization."""

    def match(self, node: Any) -> bool:
        """Whether the layer passes on what it gets, to a normalization alone."""
        readers = [other for other in node.model.graph.values() if set(node.outputs) & set(other.inputs)]
        return (
            node.class_name == "Activation"
            and node.get_attr("activation") == "linear"
            and node.get_attr("activation_quantizer") is None
            and _has_no_type(node)
            and _has_no_type(node.get_input_node())
            and [reader.class_name for reader in readers] == ["BatchNormalization"]
        )

    def transform(self, model: Any, node: Any) -> bool:
        """Remove one layer."""
        model.remove_node(node)
        return True


def _has_no_type(node: Any) -> bool:
    return isinstance(node.get_output_variable().type.precision, UnspecifiedPrecisionType)


class HwflowFuseNormalization(FuseBatchNormalization):  # type: ignore[misc]
    """hls4ml's fusion into the layer before, of float layers without types of their own.

    hls4ml's also takes depthwise layers, whose kernel it scales along the wrong axis, and forgets the type
    that the configuration gives the normalization's result.
    """

    def match(self, node: Any) -> bool:
        """Whether the layer is a normalization that can move into the one before it."""
        return (
            node.class_name == "BatchNormalization"
            and _has_no_type(node)
            and not node.get_input_node().class_name.startswith("Depthwise")
            and super().match(node)
        )


KERAS_HANDLERS = dict.fromkeys(("BatchNormalization", "QBatchNormalization"), parse_normalization)
BEFORE_TYPES = (HwflowSkipLinear, HwflowFuseNormalization)
