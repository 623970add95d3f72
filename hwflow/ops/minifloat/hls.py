# SPDX-License-Identifier: Apache-2.0
"""Activations in number formats for hls4ml: mini floats with C++ of our own, fixed point as a quantizer it knows.

The module is imported by :mod:`hwflow.frontends.hls4ml_ext` once hls4ml is needed; it defines hls4ml classes
at its top level and imports only what exists when hls4ml loads its plugins.
"""

from __future__ import annotations

from typing import Any

from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
from hls4ml.model.attributes import Attribute, ConfigurableAttribute
from hls4ml.model.layers import Layer

from hwflow.errors import UnsupportedLayerError
from hwflow.formats import Fixed, MiniFloat
from hwflow.ops.piecewise import hls as piecewise

HEADERS = ("nnet_hwflow_minifloat.h",)


class HwflowMinifloat(Layer):  # type: ignore[misc]
    """The nearest mini float.

    Attributes: ``n_in`` elements of the tensor; ``exponent`` and ``mantissa``, bits of the format.
    """

    _expected_attributes = (
        Attribute("n_in"),
        Attribute("exponent"),
        Attribute("mantissa"),
        ConfigurableAttribute("reuse_factor", default=1),
    )

    def initialize(self) -> None:
        """Declare the output variable."""
        tensor = self.get_input_variable()
        self.add_output_variable(tensor.shape)
        self.set_attr("n_in", tensor.size())


def parse_qactivation(
    keras_layer: dict[str, Any], input_names: Any, input_shapes: Any, data_reader: Any
) -> tuple[dict[str, Any], list[Any]]:
    """Keras handler of ``QActivation``: number formats are ours, QKeras' own quantizers go the way they went."""
    from hls4ml.converters.keras_v2_to_hls import parse_default_keras_layer
    from qkeras.quantizers import get_quantizer

    form = getattr(get_quantizer(keras_layer["config"]["activation"]), "format", None)
    if isinstance(form, MiniFloat):
        layer = parse_default_keras_layer(keras_layer, input_names)
        layer.pop("activation", None)  # or hls4ml puts another activation behind
        layer |= {
            "class_name": HwflowMinifloat.__name__,
            "exponent": form.exponent,
            "mantissa": form.mantissa,
        }
        return layer, list(input_shapes[0])
    if isinstance(form, Fixed):
        grid = form.grid
        config = {
            "bits": grid.width,
            "integer": grid.integer - grid.signed,
            "keep_negative": grid.signed,
            "alpha": 1,
        }
        activation = {"class_name": "quantized_bits", "config": config}
        keras_layer = {**keras_layer, "config": {**keras_layer["config"], "activation": activation}}
    elif form is not None:
        raise UnsupportedLayerError(
            [f"layer {keras_layer['config']['name']!r}: activations in {form}"], "use fixed or minifloat"
        )
    return piecewise.parse_qactivation(keras_layer, input_names, input_shapes, data_reader)


class HwflowMinifloatConfigTemplate(LayerConfigTemplate):  # type: ignore[misc]
    """The C++ configuration struct."""

    def __init__(self) -> None:
        super().__init__(HwflowMinifloat)

    def format(self, node: Any) -> str:
        """C++ text of one node."""
        form = MiniFloat(node.get_attr("exponent"), node.get_attr("mantissa"))
        lines = [
            f"struct hwflow_minifloat_config{node.index} : nnet::hwflow_minifloat_config {{",
            f"    static const unsigned n_in = {node.get_attr('n_in')};",
            f"    static const unsigned mantissa = {form.mantissa};",
            f"    static const int bias = {form.bias};",
            f"    static const int max_exponent = {(1 << form.exponent) - 1 - form.bias};",
            "};",
        ]
        return "\n".join([*lines, ""])


class HwflowMinifloatFunctionTemplate(FunctionCallTemplate):  # type: ignore[misc]
    """The C++ call."""

    def __init__(self) -> None:
        super().__init__(HwflowMinifloat, include_header=[f"nnet_utils/{HEADERS[0]}"])

    def format(self, node: Any) -> str:
        """C++ text of one node."""
        call = self._default_function_params(node)
        return (
            f"nnet::hwflow_minifloat<{call['input_t']}, {call['output_t']}, "
            f"hwflow_minifloat_config{node.index}>({call['input']}, {call['output']});"
        )


LAYERS = (HwflowMinifloat,)
TEMPLATES = (HwflowMinifloatConfigTemplate, HwflowMinifloatFunctionTemplate)
KERAS_HANDLERS = {"QActivation": parse_qactivation}
