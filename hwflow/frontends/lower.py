# SPDX-License-Identifier: Apache-2.0
"""hls4ml ModelGraph to QuantGraph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwflow.errors import UnsupportedLayerError
from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.ops.registry import op_for_hls4ml

if TYPE_CHECKING:
    from hls4ml.model.graph import ModelGraph


def lower(model: ModelGraph, name: str) -> QuantGraph:
    """Lower a converted model to integers.

    Parameters
    ----------
    model : ModelGraph
        Graph with explicit, exact types (backend ``Hwflow``).
    name : str
        Name of the design, becomes the top module.

    Returns
    -------
    QuantGraph
        One node a layer, under the layer's name.

    Raises
    ------
    UnsupportedLayerError
        With every layer that has no hardware.
    UserError
        When weights are not on the grid of their type.
    """
    producers: dict[str, str] = {}
    nodes: dict[str, QuantNode] = {}
    findings: list[str] = []
    # The ports keep the order of the model's inputs, in which hls4ml passes them.
    place = {name: number for number, name in enumerate(model.inputs)}
    for layer in sorted(model.get_layers(), key=lambda layer: place.get(layer.name, len(place))):
        spec = op_for_hls4ml(layer.class_name)
        if spec is None:
            findings.append(f"layer {layer.name!r}: {layer.class_name} has no hardware yet")
            continue
        if findings:
            continue  # producers may be missing; the findings are what counts
        inputs = [] if spec.arity == 0 else [nodes[producers[tensor]] for tensor in layer.inputs]
        node = spec.lower(layer, layer.name, inputs)
        nodes[layer.name] = node
        producers.update(dict.fromkeys(layer.outputs, layer.name))
    if findings:
        raise UnsupportedLayerError(findings, "`hwflow check` lists what is supported")
    return QuantGraph(name, tuple(nodes.values()), tuple(producers[tensor] for tensor in model.outputs))
