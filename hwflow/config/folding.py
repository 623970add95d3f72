# SPDX-License-Identifier: Apache-2.0
"""A design's YAML with another folding: reuse factors and multiplication styles by layer, all else as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from copy import deepcopy
from itertools import takewhile
from typing import Any

import yaml

_HALVES = {"_depthwise": "DepthwiseReuseFactor", "_pointwise": "PointwiseReuseFactor"}
_WIDTH = 110


def with_folding(
    data: Mapping[str, Any],
    factors: Mapping[str, int],
    styles: Mapping[str, str],
    layers: Collection[str],
) -> dict[str, Any]:
    """A design with these reuse factors and styles.

    Parameters
    ----------
    data : mapping
        Keys and values of the design's YAML.
    factors : mapping of str to int
        Reuse factor of each node.
    styles : mapping of str to str
        Multiplication style of each node.
    layers : collection of str
        Layers of the model. The halves of a separable convolution are two nodes, named under one layer.

    Returns
    -------
    dict
    """
    design: dict[str, Any] = deepcopy(dict(data))
    hls = design["HLSConfig"] = design.get("HLSConfig") or {}
    by_name = hls["LayerName"] = hls.get("LayerName") or {}
    for node, factor in factors.items():
        half = next((end for end in _HALVES if node.endswith(end) and node not in layers), "")
        layer = node.removesuffix(half)
        entry = by_name[layer] = by_name.get(layer) or {}
        if half:
            entry.pop("ReuseFactor", None)  # it would hold for both halves
        entry[_HALVES[half] if half else "ReuseFactor"] = factor
    if styles:
        common = Counter(styles.values()).most_common(1)[0][0]
        others = {node: style for node, style in styles.items() if style != common}
        design["Hwflow"]["MultStyle"] = {"default": common, **others} if others else common
    return design


def to_yaml(design: Mapping[str, Any], text: str, remark: str) -> str:
    """YAML of a design.

    Parameters
    ----------
    design : mapping
        Its keys and values.
    text : str
        YAML it was made from; the comment it begins with is kept.
    remark : str
        A further line of comment.
    """
    head = [line.rstrip() for line in takewhile(lambda line: line.startswith("#"), text.splitlines())]
    body = yaml.safe_dump(design, sort_keys=False, default_flow_style=None, width=_WIDTH, allow_unicode=True)
    return "\n".join([*head, *(["#"] if head else []), f"# {remark}", body])
