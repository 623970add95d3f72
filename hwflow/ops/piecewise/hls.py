# SPDX-License-Identifier: Apache-2.0
"""Activations of straight pieces for hls4ml, whose own C++ lacks them or computes something else.

``ReLU`` loses its ``max_value``, ``negative_slope`` and ``threshold`` in hls4ml, ``relu6`` has no streaming C++, and
the QKeras quantizers are those of :func:`hwflow.ops.piecewise.functions.quantizer_pieces`.

The module is imported by :mod:`hwflow.frontends.hls4ml_ext` once hls4ml is needed; it defines hls4ml classes
at its top level and imports only what exists when hls4ml loads its plugins.
"""

from __future__ import annotations

from typing import Any

from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
from hls4ml.model.attributes import Attribute, ConfigurableAttribute
from hls4ml.model.layers import Layer

from hwflow.numerics.fixed import FixedType
from hwflow.ops.piecewise.functions import Pieces, constants, quantizer_pieces, relu_pieces

HEADERS = ("nnet_hwflow_piecewise.h",)


class HwflowPiecewise(Layer):  # type: ignore[misc]
    """``slope * x + offset`` of the piece in which x lies.

    Attributes: ``n_in`` elements of the tensor; ``pieces`` (:class:`hwflow.ops.piecewise.functions.Pieces`);
    ``piece_starts`` and ``exact_type``, once types are set.
    """

    _expected_attributes = (
        Attribute("n_in"),
        Attribute("pieces", value_type=Pieces),
        ConfigurableAttribute("reuse_factor", default=1),
    )

    def initialize(self) -> None:
        """Declare the output variable."""
        tensor = self.get_input_variable()
        self.add_output_variable(tensor.shape)
        self.set_attr("n_in", tensor.size())


def _layer(keras_layer: dict[str, Any], input_names: Any, pieces: Pieces) -> dict[str, Any]:
    from hls4ml.converters.keras_v2_to_hls import parse_default_keras_layer

    layer: dict[str, Any] = parse_default_keras_layer(keras_layer, input_names)
    layer.pop("activation", None)  # or hls4ml puts another activation behind
    return layer | {"class_name": HwflowPiecewise.__name__, "pieces": pieces}


def parse_relu(
    keras_layer: dict[str, Any], input_names: Any, input_shapes: Any, data_reader: Any
) -> tuple[dict[str, Any], list[Any]]:
    """Keras handler of ``ReLU``: the plain rectifier stays hls4ml's."""
    from hls4ml.converters.keras.core import parse_activation_layer

    config = keras_layer["config"]
    top, slope, threshold = (config.get(key) for key in ("max_value", "negative_slope", "threshold"))
    if top is None and not slope and not threshold:
        return parse_activation_layer(keras_layer, input_names, input_shapes, data_reader)  # type: ignore[no-any-return]
    pieces = relu_pieces(None if top is None else float(top), float(slope or 0), float(threshold or 0))
    return _layer(keras_layer, input_names, pieces), list(input_shapes[0])


def parse_activation(
    keras_layer: dict[str, Any], input_names: Any, input_shapes: Any, data_reader: Any
) -> tuple[dict[str, Any], list[Any]]:
    """Keras handler of ``Activation``: ``relu6`` is ours, the rest stays hls4ml's."""
    from hls4ml.converters.keras.core import parse_activation_layer

    if keras_layer["config"]["activation"] != "relu6":
        return parse_activation_layer(keras_layer, input_names, input_shapes, data_reader)  # type: ignore[no-any-return]
    return _layer(keras_layer, input_names, relu_pieces(6.0, 0.0, 0.0)), list(input_shapes[0])


def parse_qactivation(
    keras_layer: dict[str, Any], input_names: Any, input_shapes: Any, data_reader: Any
) -> tuple[dict[str, Any], list[Any]]:
    """Keras handler of ``QActivation``: quantizers that are pieces are ours, the rest stays hls4ml's."""
    from hls4ml.converters.keras.qkeras import parse_qactivation_layer
    from qkeras.quantizers import get_quantizer

    quantizer = get_quantizer(keras_layer["config"]["activation"])
    name = getattr(quantizer, "__name__", "") or type(quantizer).__name__
    config = quantizer.get_config() if hasattr(quantizer, "get_config") else {}
    pieces = quantizer_pieces(name, config)
    if pieces is None:
        return parse_qactivation_layer(keras_layer, input_names, input_shapes, data_reader)  # type: ignore[no-any-return]
    return _layer(keras_layer, input_names, pieces), list(input_shapes[0])


class HwflowPiecewiseConfigTemplate(LayerConfigTemplate):  # type: ignore[misc]
    """The C++ configuration struct, with the function itself."""

    def __init__(self) -> None:
        super().__init__(HwflowPiecewise)

    def format(self, node: Any) -> str:
        """C++ text of one node."""
        pieces, starts = node.get_attr("pieces"), node.get_attr("piece_starts")
        source = node.get_input_variable().type.precision
        slope, offset = constants(pieces.slopes).type, constants(pieces.offsets).type
        edges = FixedType.for_range(min(0, *starts), max(1, *starts), source.width - source.integer)
        # The exact result: slope times input, on the grid that also holds the offsets.
        exact = node.get_attr("exact_type")
        lines = [
            f"struct hwflow_piecewise_config{node.index} : nnet::hwflow_piecewise_config {{",
            f"    static const unsigned n_in = {node.get_attr('n_in')};",
            f"    typedef {_cpp(exact)} exact_t;",
            "    template <class data_T> static exact_t value(data_T x) {",
            "        #pragma HLS INLINE",
        ]
        for piece, (a, b) in enumerate(zip(pieces.slopes, pieces.offsets, strict=True)):
            value = f"return exact_t({_cpp(slope)}({a!r}) * x + {_cpp(offset)}({b!r}));"
            if piece < len(starts):
                edge = f"{_cpp(edges)}({starts[piece] * 2.0**-edges.frac!r})"
                lines.append(f"        if (x < {edge})")
                lines.append(f"            {value}")
            else:
                lines.append(f"        {value}")
        return "\n".join([*lines, "    }", "};", ""])


def _cpp(grid: FixedType) -> str:
    """C++ type of a grid."""
    return f"ap_{'' if grid.signed else 'u'}fixed<{grid.width}, {grid.integer}>"


class HwflowPiecewiseFunctionTemplate(FunctionCallTemplate):  # type: ignore[misc]
    """The C++ call."""

    def __init__(self) -> None:
        super().__init__(HwflowPiecewise, include_header=[f"nnet_utils/{HEADERS[0]}"])

    def format(self, node: Any) -> str:
        """C++ text of one node."""
        call = self._default_function_params(node)
        return (
            f"nnet::hwflow_piecewise<{call['input_t']}, {call['output_t']}, "
            f"hwflow_piecewise_config{node.index}>({call['input']}, {call['output']});"
        )


LAYERS = (HwflowPiecewise,)
TEMPLATES = (HwflowPiecewiseConfigTemplate, HwflowPiecewiseFunctionTemplate)
KERAS_HANDLERS = {"ReLU": parse_relu, "Activation": parse_activation, "QActivation": parse_qactivation}
