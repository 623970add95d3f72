# SPDX-License-Identifier: Apache-2.0
"""Pooling for hls4ml where its own is missing or wrong, in the style of its own layers.

hls4ml 1.3.0 has in ``io_stream`` neither overlapping windows nor ``same`` padding (it asserts), takes the padding
of a maximum over unsigned values for a large value, ignores ``keepdims``, and knows no QKeras pooling.
"""

from __future__ import annotations

from typing import Any

from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
from hls4ml.model.attributes import Attribute, ConfigurableAttribute, TypeAttribute
from hls4ml.model.layers import Layer

from hwflow.ops.pool import quantized_factor

HEADERS = ("nnet_hwflow_pooling.h",)

_SIZES = (
    "in_height", "in_width", "out_height", "out_width", "pool_height", "pool_width", "stride_height",
    "stride_width", "pad_top", "pad_left", "n_filt",
)  # fmt: skip


class HwflowPooling(Layer):  # type: ignore[misc]
    """Largest value or mean of a window of rows and columns.

    Attributes: those of hls4ml's ``Pooling2D``, ``shape`` of the output; with the weight ``scale`` of shape (1,)
    the sum of the window times this instead of its mean.
    """

    _expected_attributes = (
        *(Attribute(size) for size in _SIZES),
        Attribute("pool_op", value_type=str),
        Attribute("shape", value_type=list),
        TypeAttribute("accum"),
        ConfigurableAttribute("reuse_factor", default=1),
    )

    def initialize(self) -> None:
        """Declare the output variable and the factor."""
        self.add_output_variable(self.get_attr("shape"))
        if self.get_attr("scale_data") is not None:
            self.add_weights_variable(name="scale", var_name="s{index}")


def parse_pooling(
    keras_layer: dict[str, Any], input_names: Any, input_shapes: Any, data_reader: Any
) -> tuple[dict[str, Any], list[Any]]:
    """hls4ml's handlers where its C++ is right for both I/O types, else a :class:`HwflowPooling`."""
    from hls4ml.converters.keras.pooling import parse_global_pooling_layer, parse_pooling_layer
    from qkeras import get_quantizer

    keras_class = keras_layer["class_name"].removeprefix("Q")
    handler = parse_global_pooling_layer if keras_class.startswith("Global") else parse_pooling_layer
    plain = {**keras_layer, "class_name": keras_class}
    layer, shape = handler(plain, input_names, input_shapes, data_reader)
    layer.setdefault("pool_op", "Max" if "Max" in keras_class else "Average")
    if layer.get("activation", "") is None:
        del layer["activation"]
    whole = "pool_width" not in layer
    quantizer = keras_layer["config"].get("average_quantizer")
    if not (quantizer or layer.get("keepdims") or (not whole and _is_beyond_hls4ml(layer))):
        return layer, shape
    layer["class_name"] = HwflowPooling.__name__
    if "n_in" in layer:
        layer |= {
            "in_height": 1,
            "in_width": layer["n_in"],
            "out_height": 1,
            "out_width": layer.get("n_out", 1),
        }
        layer |= {"pool_height": 1, "stride_height": 1, "pad_top": 0}
    if whole:
        layer |= {
            f"{key}_{axis}": layer[f"in_{axis}"] for key in ("pool", "stride") for axis in ("height", "width")
        }
        layer |= {"out_height": 1, "out_width": 1, "pad_top": 0, "pad_left": 0}
    layer["shape"] = [int(size) for size in shape[1:]]
    if quantizer:
        layer["scale_data"] = quantized_factor(
            get_quantizer(quantizer), layer["pool_height"] * layer["pool_width"]
        )
    return layer, shape


def _is_beyond_hls4ml(layer: dict[str, Any]) -> bool:
    """Whether windows overlap, leave gaps or reach into the padding."""
    axes = [axis for axis in ("height", "width") if f"pool_{axis}" in layer]
    pads = any(layer.get(f"pad_{side}") for side in ("top", "bottom", "left", "right"))
    return pads or any(layer[f"pool_{axis}"] != layer[f"stride_{axis}"] for axis in axes)


class HwflowPoolingConfigTemplate(LayerConfigTemplate):  # type: ignore[misc]
    """The C++ configuration struct."""

    def __init__(self) -> None:
        super().__init__(HwflowPooling)

    def format(self, node: Any) -> str:
        """C++ text of one node."""
        lines = [f"    static const unsigned {size} = {node.get_attr(size)};\n" for size in _SIZES]
        return (
            f"struct hwflow_pooling_config{node.index} : nnet::hwflow_pooling_config {{\n{''.join(lines)}"
            f"    static const nnet::Pool_Op pool_op = nnet::{node.get_attr('pool_op')};\n"
            f"    typedef {node.types['accum_t'].name} accum_t;\n"
            "};\n"
        )


class HwflowPoolingFunctionTemplate(FunctionCallTemplate):  # type: ignore[misc]
    """The C++ call."""

    def __init__(self) -> None:
        headers = [
            "nnet_utils/nnet_pooling.h",
            "nnet_utils/nnet_pooling_stream.h",
            f"nnet_utils/{HEADERS[0]}",
        ]
        super().__init__(HwflowPooling, include_header=headers)

    def format(self, node: Any) -> str:
        """C++ text of one node."""
        call = self._default_function_params(node)
        config = f"hwflow_pooling_config{node.index}"
        if "scale" in node.weights:
            mean, value = f"nnet::hwflow_scaled_sum<{config}, {node.get_weights('scale').type.name}>", "scale"
            mean += f"({node.get_weights(value).name}[0])"
        else:
            mean = f"nnet::hwflow_mean<{config}>()"
        return (
            f"nnet::hwflow_pooling<{call['input_t']}, {call['output_t']}, {config}>"
            f"({call['input']}, {call['output']}, {mean});"
        )


LAYERS = (HwflowPooling,)
TEMPLATES = (HwflowPoolingConfigTemplate, HwflowPoolingFunctionTemplate)
KERAS_HANDLERS = dict.fromkeys(
    (
        *(
            f"{kind}Pooling{rank}D"
            for rank in (1, 2)
            for kind in ("Max", "Average", "GlobalMax", "GlobalAverage")
        ),
        "QAveragePooling2D",
        "QGlobalAveragePooling2D",
    ),
    parse_pooling,
)
