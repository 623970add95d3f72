# SPDX-License-Identifier: Apache-2.0
"""Dense layers on tensors with more axes: a convolution of one pixel, as hls4ml makes it, with its quantizers."""

from __future__ import annotations

from typing import Any

import numpy as np


def parse_dense(
    keras_layer: dict[str, Any], input_names: Any, input_shapes: Any, data_reader: Any
) -> tuple[dict[str, Any], list[Any]]:
    """hls4ml's handler; where the input is no vector, its layer becomes a convolution (which drops no quantizer)."""
    from hls4ml.converters.keras.core import parse_dense_layer
    from hls4ml.converters.keras.qkeras import parse_qdense_layer

    parse = parse_qdense_layer if keras_layer["class_name"] == "QDense" else parse_dense_layer
    layer, shape = parse(keras_layer, input_names, input_shapes, data_reader)
    sizes = dict(zip(("width", "height"), reversed(input_shapes[0][1:-1]), strict=False))
    if not sizes:
        return layer, shape
    layer["class_name"] = keras_layer["class_name"].replace("Dense", f"Conv{len(sizes)}D")
    layer["n_chan"], layer["n_filt"] = layer.pop("n_in"), layer.pop("n_out")
    layer["weight_data"] = np.expand_dims(layer["weight_data"], tuple(range(len(sizes))))
    for axis, size in sizes.items():
        layer |= {f"in_{axis}": size, f"out_{axis}": size, f"filt_{axis}": 1, f"stride_{axis}": 1}
    layer |= dict.fromkeys(("pad_left", "pad_right", "pad_top", "pad_bottom"), 0)
    return layer, shape


KERAS_HANDLERS = dict.fromkeys(("Dense", "QDense"), parse_dense)
