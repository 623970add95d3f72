# SPDX-License-Identifier: Apache-2.0
"""Concatenation of any number of tensors, which hls4ml has of two only."""

from __future__ import annotations

from typing import Any

from hls4ml.model.attributes import ConfigurableAttribute
from hls4ml.model.layers import Layer
from hls4ml.model.optimizer import OptimizerPass

from hwflow.ops.merge.hls import inner_name, replace_by


class HwflowConcatenate(Layer):  # type: ignore[misc]
    """A concatenation of more than two tensors, until it is taken apart.

    Attributes: ``axis`` as in Keras, ``op`` as in hls4ml.
    """

    _expected_attributes = (ConfigurableAttribute("reuse_factor", default=1),)

    def initialize(self) -> None:
        """Declare the output variable."""
        shapes = [self.get_input_variable(name).shape for name in self.inputs]
        self.add_output_variable(_joined([[None, *shape] for shape in shapes], self.get_attr("axis"))[1:])


def _joined(shapes: list[list[Any]], axis: int) -> list[Any]:
    shape = list(shapes[0])
    shape[axis] = sum(other[axis] for other in shapes)
    return shape


def parse_concatenate(
    keras_layer: dict[str, Any], input_names: Any, input_shapes: Any, data_reader: Any
) -> tuple[dict[str, Any], list[Any]]:
    """hls4ml's handler for two tensors; more become a :class:`HwflowConcatenate`."""
    from hls4ml.converters.keras.merge import parse_merge_layer

    layer, shape = parse_merge_layer(keras_layer, input_names[:2], input_shapes[:2], data_reader)
    if len(input_names) > 2:
        layer |= {"class_name": HwflowConcatenate.__name__, "inputs": input_names}
        shape = _joined(input_shapes, layer["axis"])
    return layer, shape


class HwflowConcatenateTree(OptimizerPass):  # type: ignore[misc]
    """A concatenation of more than two tensors as a tree; what is in between stays exact."""

    def match(self, node: Any) -> bool:
        """Whether the layer joins more than two tensors."""
        return bool(node.class_name == HwflowConcatenate.__name__)

    def transform(self, model: Any, node: Any) -> bool:
        """Replace one layer; the root of the tree has its name."""
        attributes = {key: node.get_attr(key) for key in ("op", "axis")}
        operands = list(node.inputs)
        tree: list[Any] = []
        while len(operands) > 2:
            pairs = [operands[i : i + 2] for i in range(0, len(operands), 2)]
            operands = []
            for pair in pairs:
                if len(pair) == 2:
                    name = inner_name(model, f"{node.name}_{len(tree) + 1}")
                    tree.append(model.make_node("Concatenate", name, dict(attributes), pair))
                operands.append(tree[-1].name if len(pair) == 2 else pair[0])
        root = model.make_node("Concatenate", node.name, attributes, operands, node.outputs.copy())
        replace_by(model, node, [*tree, root])
        return True


LAYERS = (HwflowConcatenate,)
KERAS_HANDLERS = {"Concatenate": parse_concatenate}
BEFORE_TYPES = (HwflowConcatenateTree,)
