# SPDX-License-Identifier: Apache-2.0
"""Depth multipliers, which hls4ml's C++ leaves out, and separable convolutions with all of their configuration."""

from __future__ import annotations

from collections import ChainMap
from typing import Any

import numpy as np
from hls4ml.model.optimizer import OptimizerPass
from hls4ml.model.optimizer.passes.seperable_to_dw_conv import SeparableToDepthwiseAndConv

from hwflow.ops.matvec import spread

_AXES = ("height", "width")
_KEPT = (
    *(f"{what}_{axis}" for what in ("in", "out", "filt", "stride") for axis in _AXES),
    *("pad_top", "pad_bottom", "pad_left", "pad_right", "n_chan", "n_filt", "data_format", "bias_data"),
)


class HwflowSplitSeparable(SeparableToDepthwiseAndConv):  # type: ignore[misc]
    """hls4ml's split into a depthwise and a pointwise convolution.

    hls4ml takes over what the configuration says under the layer's own class only, and gives the type of the
    result to the tensor in between as well.
    """

    def transform(self, model: Any, node: Any) -> bool:
        """Split one layer."""
        section = model.config.config["HLSConfig"]
        by_type = section.get("LayerType") or {}
        found = [(section.get("LayerName") or {}).get(node.name)]
        found += [by_type.get(name) for name in (node.class_name, node.get_attr("class_name"))]
        entries = [entry for entry in found if entry]
        types = [entry["Precision"] for entry in entries if entry.get("Precision") is not None]
        entry = dict(ChainMap(*entries))
        if types and all(isinstance(given, dict) for given in types):
            entry["Precision"] = dict(ChainMap(*types))
            entry["Precision"].setdefault("depthwise_result", "auto")
        model.config.set_name_config(node.name, entry)
        return bool(super().transform(model, node))


class HwflowDepthMultiplier(OptimizerPass):  # type: ignore[misc]
    """For C++: a depthwise convolution with several filters a channel is one with zeros between them."""

    def match(self, node: Any) -> bool:
        """Whether the layer has several filters a channel."""
        return (
            node.class_name in ("DepthwiseConv1D", "DepthwiseConv2D")
            and node.get_attr("depth_multiplier", 1) > 1
            and node.model.config.backend.name != "Hwflow"
        )

    def transform(self, model: Any, node: Any) -> bool:
        """Replace one layer; the configuration knows its types by name."""
        weights = spread(np.asarray(node.weights["weight"].data))
        attributes = {key: node.attributes[key] for key in _KEPT if key in node.attributes}
        attributes |= {"weight_data": weights, "reuse_factor": 1}
        model.config.layer_name_rf[node.name.lower()] = 1
        model.config.layer_name_strategy[node.name.lower()] = "latency"
        kind = node.class_name.removeprefix("Depthwise")
        model.replace_node(
            node, model.make_node(kind, node.name, attributes, node.inputs.copy(), node.outputs.copy())
        )
        return True


BEFORE_TYPES = (HwflowSplitSeparable,)
AFTER_TYPES = (HwflowDepthMultiplier,)
