# SPDX-License-Identifier: Apache-2.0
"""PReLU for hls4ml, which refuses ``shared_axes``: a slope a channel, or a slope an element.

The module is imported by :mod:`hwflow.frontends.hls4ml_ext` once hls4ml is needed; it defines hls4ml classes
at its top level and imports only what exists when hls4ml loads its plugins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
from hls4ml.model.attributes import Attribute, ConfigurableAttribute, TypeAttribute, WeightAttribute
from hls4ml.model.layers import Layer

HEADERS = ("nnet_hwflow_prelu.h",)


class HwflowPReLU(Layer):  # type: ignore[misc]
    """``x`` where it is not negative, ``slope * x`` elsewhere.

    Attributes: ``n_in`` elements of the tensor, ``n_slopes``; weight ``param`` of shape ``(n_slopes,)``, one a
    channel (last axis) or one an element.
    """

    _expected_attributes = (
        Attribute("n_in"),
        Attribute("n_slopes"),
        WeightAttribute("param"),
        TypeAttribute("param"),
        ConfigurableAttribute("reuse_factor", default=1),
    )

    def initialize(self) -> None:
        """Declare the output variable and the slopes."""
        tensor = self.get_input_variable()
        self.add_output_variable(tensor.shape)
        self.set_attr("n_in", tensor.size())
        self.set_attr("n_slopes", self.get_attr("param_data").size)
        self.add_weights_variable(name="param", var_name="a{index}")


def parse_prelu(
    keras_layer: dict[str, Any], input_names: Any, input_shapes: Any, data_reader: Any
) -> tuple[dict[str, Any], list[Any]]:
    """Keras handler: slopes shared over some axes only become one an element."""
    from hls4ml.converters.keras_v2_to_hls import get_weights_data, parse_default_keras_layer

    shape = list(input_shapes[0])
    alpha = np.asarray(get_weights_data(data_reader, keras_layer["config"]["name"], "alpha"))
    if alpha.size != shape[-1]:
        alpha = np.broadcast_to(alpha, shape[1:])
    layer = parse_default_keras_layer(keras_layer, input_names)
    layer["class_name"] = HwflowPReLU.__name__
    layer["param_data"] = alpha.reshape(-1)
    return layer, shape


class HwflowPReLUConfigTemplate(LayerConfigTemplate):  # type: ignore[misc]
    """The C++ configuration struct."""

    def __init__(self) -> None:
        super().__init__(HwflowPReLU)

    def format(self, node: Any) -> str:
        """C++ text of one node."""
        return (
            f"struct hwflow_prelu_config{node.index} : nnet::hwflow_prelu_config {{\n"
            f"    static const unsigned n_in = {node.get_attr('n_in')};\n"
            f"    static const unsigned n_slopes = {node.get_attr('n_slopes')};\n"
            "};\n"
        )


class HwflowPReLUFunctionTemplate(FunctionCallTemplate):  # type: ignore[misc]
    """The C++ call."""

    def __init__(self) -> None:
        super().__init__(HwflowPReLU, include_header=[f"nnet_utils/{HEADERS[0]}"])

    def format(self, node: Any) -> str:
        """C++ text of one node."""
        call = self._default_function_params(node)
        slope = node.get_weights("param")
        return (
            f"nnet::hwflow_prelu<{call['input_t']}, {slope.type.name}, {call['output_t']}, "
            f"hwflow_prelu_config{node.index}>({call['input']}, {slope.name}, {call['output']});"
        )


LAYERS = (HwflowPReLU,)
TEMPLATES = (HwflowPReLUConfigTemplate, HwflowPReLUFunctionTemplate)
KERAS_HANDLERS = {"PReLU": parse_prelu}
