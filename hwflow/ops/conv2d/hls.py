# SPDX-License-Identifier: Apache-2.0
"""Convolutions that hls4ml gets wrong: causal padding, folded normalization, strided flat windows, padded rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from hls4ml.model.optimizer import OptimizerPass


def parse_conv1d(
    keras_layer: dict[str, Any], input_names: Any, input_shapes: Any, data_reader: Any
) -> tuple[dict[str, Any], list[Any]]:
    """hls4ml's handler, with all of Keras' causal padding: always one less than the kernel, before the row."""
    from hls4ml.converters.keras.convolution import parse_conv1d_layer
    from hls4ml.converters.keras.qkeras import parse_qconv_layer, parse_qsepconv_layer

    name = keras_layer["class_name"]
    quantized = parse_qsepconv_layer if "Separable" in name else parse_qconv_layer
    parse = quantized if name.startswith("Q") else parse_conv1d_layer
    layer, shape = parse(keras_layer, input_names, input_shapes, data_reader)
    if keras_layer["config"]["padding"] == "causal":
        layer["pad_left"] = layer["filt_width"] - 1
    return layer, shape


def parse_folded(
    keras_layer: dict[str, Any], input_names: Any, input_shapes: Any, data_reader: Any
) -> tuple[dict[str, Any], list[Any]]:
    """QKeras' convolution with batch normalization: the plain layer with the weights QKeras folds."""
    from hls4ml.converters.keras.convolution import parse_conv2d_layer
    from hls4ml.converters.keras.qkeras import get_quantizer_from_config

    kernel = "depthwise" if "Depthwise" in keras_layer["class_name"] else "weight"
    plain = {**keras_layer, "class_name": keras_layer["class_name"].removesuffix("Batchnorm")}
    layer, shape = parse_conv2d_layer(plain, input_names, input_shapes, data_reader)
    inverse, layer["bias_data"] = _normalization(plain["config"], layer["bias_data"], data_reader)
    weights = layer[f"{kernel}_data"]
    # A depthwise kernel (kh, kw, c, m) has an entry for each of its c * m outputs, any other one for the last axis.
    scale = np.reshape(inverse, weights.shape[2:]) if kernel == "depthwise" else inverse
    layer[f"{kernel}_data"] = scale * weights
    layer["use_bias"] = True
    for ours, theirs in ((kernel, "depthwise" if kernel == "depthwise" else "kernel"), ("bias", "bias")):
        layer[f"{ours}_quantizer"] = get_quantizer_from_config(plain, theirs)
    return layer, shape


def _normalization(config: dict[str, Any], bias: Any, data_reader: Any) -> tuple[Any, Any]:
    """Factor of the kernel and folded bias, a channel, by the very float32 operations of QKeras."""
    import tensorflow as tf
    from hls4ml.converters.keras_v2_to_hls import get_weights_data

    def read(variable: str) -> Any:
        return get_weights_data(data_reader, config["name"], variable)

    inverse = tf.math.rsqrt(tf.constant(read("moving_variance")) + config["epsilon"])
    if (gamma := read("gamma")) is not None:
        inverse *= gamma
    offset = inverse * ((0.0 if bias is None else bias) - tf.constant(read("moving_mean")))
    if (beta := read("beta")) is not None:
        offset += beta
    return inverse.numpy(), offset.numpy()


class HwflowFlatWindow(OptimizerPass):  # type: ignore[misc]
    """For C++ of streams: a window one row high gets a second row of zeros, and the input one more row below.

    hls4ml's line buffer takes such a window for one over a single row, and steps to the next row whatever the stride.
    """

    def match(self, node: Any) -> bool:
        """Whether the window is one row high and skips rows; hls4ml knows better for 1×1 convolutions."""
        return (
            node.class_name in ("Conv2D", "DepthwiseConv2D")
            and node.get_attr("filt_height") == 1
            and node.get_attr("stride_height") > 1
            and not (node.class_name == "Conv2D" and node.get_attr("filt_width") == 1)
            and node.model.config.get_config_value("IOType") == "io_stream"
            and node.model.config.backend.name != "Hwflow"
        )

    def transform(self, model: Any, node: Any) -> bool:
        """Change the layer in place."""
        old = node.weights["weight"]
        rows = np.asarray(old.data)
        node.add_weights_variable(
            name="weight",
            var_name=old.name,
            type_name=old.type.name,
            precision=old.type.precision,
            data=np.concatenate([rows, np.zeros_like(rows)]),
        )
        node.set_attr("filt_height", 2)
        node.set_attr("pad_bottom", node.get_attr("pad_bottom") + 1)
        model.config.layer_name_rf[node.name.lower()] = 1
        model.config.layer_name_strategy[node.name.lower()] = "latency"
        node.set_attr("reuse_factor", 1)
        node.set_attr("strategy", "latency")
        return True


class HwflowPadRow(OptimizerPass):  # type: ignore[misc]
    """For C++ of streams: the padding of a row in front of its convolution.

    hls4ml puts it in front of whichever layer reads the convolution's input first.
    """

    def match(self, node: Any) -> bool:
        """Whether a convolution of rows pads them."""
        return (
            node.class_name in ("Conv1D", "DepthwiseConv1D")
            and node.get_attr("pad_left") + node.get_attr("pad_right") > 0
            and node.model.config.get_config_value("IOType") == "io_stream"
            and node.model.config.backend.name != "Hwflow"
        )

    def transform(self, model: Any, node: Any) -> bool:
        """Insert a layer of zeros, and take the padding off the convolution."""
        left, width, right = (int(node.get_attr(key)) for key in ("pad_left", "in_width", "pad_right"))
        padded = {"in_width": left + width + right, "pad_left": 0, "pad_right": 0}
        margins = {"pad_left": left, "pad_right": right, "in_width": width, "out_width": padded["in_width"]}
        kept = {key: node.get_attr(key) for key in ("n_chan", "data_format")}
        zeros = model.make_node("ZeroPadding1D", f"zp1d_{node.name}", {**margins, **kept}, list(node.inputs))
        zeros.get_output_variable().type.precision = node.get_input_variable().type.precision
        for key, value in padded.items():
            node.set_attr(key, value)
        model.insert_node(zeros, before=node)
        return True


AFTER_TYPES = (HwflowFlatWindow, HwflowPadRow)
KERAS_HANDLERS = {
    **dict.fromkeys(("Conv1D", "QConv1D", "SeparableConv1D", "QSeparableConv1D"), parse_conv1d),
    **dict.fromkeys(("QConv2DBatchnorm", "QDepthwiseConv2DBatchnorm"), parse_folded),
}
