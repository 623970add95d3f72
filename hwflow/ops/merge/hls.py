# SPDX-License-Identifier: Apache-2.0
"""Merges of any number of tensors, which hls4ml has of two only, and dot products."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from hls4ml.model.attributes import ConfigurableAttribute
from hls4ml.model.layers import Layer
from hls4ml.model.optimizer import OptimizerPass


class HwflowMerge(Layer):  # type: ignore[misc]
    """A merge of more than two tensors, until it is taken apart.

    Attribute: ``op``, the function.
    """

    _expected_attributes = (ConfigurableAttribute("reuse_factor", default=1),)

    def initialize(self) -> None:
        """Declare the output variable."""
        self.add_output_variable(self.get_input_variable().shape)


def parse_merge(
    keras_layer: dict[str, Any], input_names: Any, input_shapes: Any, data_reader: Any
) -> tuple[dict[str, Any], list[Any]]:
    """hls4ml's handler for two tensors; more become a :class:`HwflowMerge`."""
    from hls4ml.converters.keras.merge import parse_merge_layer
    from hls4ml.converters.keras_v2_to_hls import parse_default_keras_layer

    if len(input_names) == 2:
        return parse_merge_layer(keras_layer, input_names, input_shapes, data_reader)  # type: ignore[no-any-return]
    layer = parse_default_keras_layer(keras_layer, input_names)
    layer |= {"class_name": HwflowMerge.__name__, "op": keras_layer["class_name"].lower()}
    return layer, list(input_shapes[0])


class HwflowMergeTree(OptimizerPass):  # type: ignore[misc]
    """A merge of more than two tensors as a tree of merges; what is in between stays exact."""

    def match(self, node: Any) -> bool:
        """Whether the layer merges more than two tensors."""
        return bool(node.class_name == HwflowMerge.__name__)

    def transform(self, model: Any, node: Any) -> bool:
        """Replace one layer; the root of the tree has its name."""
        operands, tree = list(node.inputs), list[Any]()
        while len(operands) > 2:
            pairs = [operands[i : i + 2] for i in range(0, len(operands), 2)]
            operands = [pair[0] if len(pair) == 1 else _append(model, node, tree, pair) for pair in pairs]
        root = model.make_node("Merge", node.name, {"op": node.get_attr("op")}, operands, node.outputs.copy())
        replace_by(model, node, [*tree, root])
        return True


def _append(model: Any, node: Any, tree: list[Any], pair: list[str]) -> str:
    name = inner_name(model, f"{node.name}_{len(tree) + 1}")
    tree.append(model.make_node("Merge", name, {"op": node.get_attr("op")}, pair))
    return name


class HwflowDotProduct(OptimizerPass):  # type: ignore[misc]
    """A dot product as the sum of a product: hls4ml's own has no type for the products it adds."""

    def match(self, node: Any) -> bool:
        """Whether the layer is a dot product."""
        return bool(node.class_name == "Dot")

    def transform(self, model: Any, node: Any) -> bool:
        """Replace one layer; the sum, a dense layer whose weights are one, has its name."""
        name = inner_name(model, f"{node.name}_product")
        size = node.get_input_variable().shape[0]
        elements = model.make_node("Merge", name, {"op": "multiply"}, node.inputs.copy())
        attributes = {
            "n_in": size,
            "n_out": 1,
            "weight_data": np.ones((size, 1)),
            "bias_data": np.zeros(1),
            "class_name": node.get_attr("class_name"),
        }
        sections = [model.config.config["HLSConfig"].get(key) or {} for key in ("LayerType", "LayerName")]
        entry = {**(sections[0].get("Dot") or {}), **(sections[1].get(node.name) or {})}
        if not isinstance(entry.get("Precision"), str):
            entry["Precision"] = {"result": "auto", **(entry.get("Precision") or {})}
        model.config.set_name_config(node.name, entry)
        total = model.make_node("Dense", node.name, attributes, [name], node.outputs.copy())
        replace_by(model, node, [elements, total])
        return True


def inner_name(model: Any, name: str) -> str:
    """A free name for a layer whose type is exact, whatever the configuration says of its class."""
    while name in model.graph:
        name += "_"
    entry = {"Precision": {"result": "auto"}}
    model.config.set_name_config(name, entry)
    model.config.parse_name_config(name, entry)
    return name


def replace_by(model: Any, node: Any, nodes: list[Any]) -> None:
    """Put nodes, the last of which makes the outputs of the old one, in its place."""
    items: list[tuple[str, Any]] = []
    for name, other in model.graph.items():
        items += [(new.name, new) for new in nodes] if other is node else [(name, other)]
    model.graph = OrderedDict(items)


LAYERS = (HwflowMerge,)
KERAS_HANDLERS = dict.fromkeys(("Add", "Multiply", "Average", "Maximum", "Minimum"), parse_merge)
BEFORE_TYPES = (HwflowMergeTree, HwflowDotProduct)
