# SPDX-License-Identifier: Apache-2.0
"""Folding batch normalization into the layer before it."""

from __future__ import annotations

from hwflow.errors import UnsupportedLayerError
from hwflow.prepare.net import WEIGHTED, Net


def fold_batchnorm(net: Net) -> None:
    """Fold every batch normalization into the convolution or dense layer whose only reader it is.

    Raises
    ------
    UnsupportedLayerError
        Lists the batch normalizations that follow something else.
    """
    findings = []
    for node in net:
        if node.kind != "batchnorm":
            continue
        source = net.nodes[node.inputs[0]]
        if source.kind not in WEIGHTED or len(net.readers(source.name)) != 1:
            findings.append(f"batch normalization {node.name!r} does not follow a layer of its own")
            continue
        scale = node.arrays["scale"]
        kernel = source.arrays["kernel"]
        source.arrays["kernel"] = kernel * (scale[:, None] if source.kind == "depthwise" else scale)
        source.arrays["bias"] = source.arrays["bias"] * scale + node.arrays["shift"]
        net.bypass(node.name)
    if findings:
        raise UnsupportedLayerError(findings, "put it right behind a convolution or dense layer")
