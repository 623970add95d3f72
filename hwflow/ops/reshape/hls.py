# SPDX-License-Identifier: Apache-2.0
"""Reshape for hls4ml between any two shapes, and layers that do nothing once training is over.

hls4ml 1.3.0 leaves a -1 in the shape that later layers see, and in ``io_stream`` repacks only where one number of
channels divides the other. Flattened streams it hands on as they are: dense layers take words of any length,
element-wise ones lose all but the first values.
"""

from __future__ import annotations

from math import prod
from typing import Any

from hls4ml.backends.template import FunctionCallTemplate
from hls4ml.model.attributes import Attribute, ConfigurableAttribute
from hls4ml.model.layers import Layer
from hls4ml.model.optimizer import OptimizerPass

from hwflow.ops.reshape import TRAINING_LAYERS

HEADERS = ("nnet_hwflow_reshape.h",)


class HwflowReshape(Layer):  # type: ignore[misc]
    """The same values under another shape.

    Attribute: ``target_shape`` without the batch axis.
    """

    _expected_attributes = (
        Attribute("target_shape", value_type=list),
        ConfigurableAttribute("reuse_factor", default=1),
    )

    def initialize(self) -> None:
        """Declare the output variable."""
        self.add_output_variable(self.get_attr("target_shape"))


def parse_reshape(
    keras_layer: dict[str, Any], input_names: Any, input_shapes: Any, data_reader: Any
) -> tuple[dict[str, Any], list[Any]]:
    """A :class:`HwflowReshape`; hls4ml's flatten where one axis is left."""
    from hls4ml.converters.keras_v2_to_hls import parse_default_keras_layer

    layer = parse_default_keras_layer(keras_layer, input_names)
    shape = [int(size) for size in keras_layer["config"]["target_shape"]]
    if -1 in shape:
        shape[shape.index(-1)] = prod(input_shapes[0][1:]) // -prod(shape)
    layer |= {"class_name": "Reshape" if len(shape) == 1 else HwflowReshape.__name__, "target_shape": shape}
    return layer, [input_shapes[0][0], *shape]


def parse_training_layer(
    keras_layer: dict[str, Any], input_names: Any, input_shapes: Any, data_reader: Any
) -> tuple[dict[str, Any], list[Any]]:
    """A linear activation, which hls4ml removes."""
    from hls4ml.converters.keras_v2_to_hls import parse_default_keras_layer

    layer = parse_default_keras_layer(keras_layer, input_names)
    return layer | {"class_name": "Activation", "activation": "linear"}, list(input_shapes[0])


class HwflowReshapeFunctionTemplate(FunctionCallTemplate):  # type: ignore[misc]
    """The C++ call."""

    def __init__(self) -> None:
        super().__init__(HwflowReshape, include_header=[f"nnet_utils/{HEADERS[0]}"])

    def format(self, node: Any) -> str:
        """C++ text of one node."""
        call = self._default_function_params(node)
        size = prod(node.get_attr("target_shape"))
        types = f"{call['input_t']}, {call['output_t']}, {size}"
        return f"nnet::hwflow_reshape<{types}>({call['input']}, {call['output']});"


class HwflowRepackFlattened(OptimizerPass):  # type: ignore[misc]
    """A flattened stream in words of its own length, for readers other than dense layers."""

    def match(self, node: Any) -> bool:
        """Whether the layer flattens a stream that others than dense layers read."""
        return (
            node.class_name == "Reshape"
            and len(node.get_output_variable().shape) == 1 < len(node.get_input_variable().shape)
            and node.model.config.get_config_value("IOType") == "io_stream"
            and any(reader.class_name != "Dense" for reader in node.get_output_nodes())
        )

    def transform(self, model: Any, node: Any) -> bool:
        """Replace one layer."""
        attributes = {"target_shape": [int(size) for size in node.get_output_variable().shape]}
        model.replace_node(node, model.make_node(HwflowReshape, node.name, attributes, node.inputs.copy()))
        return True


LAYERS = (HwflowReshape,)
TEMPLATES = (HwflowReshapeFunctionTemplate,)
BEFORE_TYPES = (HwflowRepackFlattened,)
KERAS_HANDLERS = {"Reshape": parse_reshape, **dict.fromkeys(TRAINING_LAYERS, parse_training_layer)}
