# SPDX-License-Identifier: Apache-2.0
"""The wanted kind of multipliers, a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hwflow.errors import ConfigError, did_you_mean
from hwflow.ir.graph import QuantGraph

DEFAULT = "default"


def with_multipliers(graph: QuantGraph, styles: str | Mapping[str, str], lut_bits: int) -> QuantGraph:
    """The graph with ``mult_style`` and ``lut_bits`` at every layer that multiplies by weights.

    Parameters
    ----------
    graph : QuantGraph
        The network.
    styles : str or mapping of str to str
        Style of all layers, or styles by layer name; the others have that of ``default``, or ``auto``.
    lut_bits : int
        Products with a factor of at most so many bits use LUTs under ``auto``.

    Raises
    ------
    ConfigError
        When a name is not that of such a layer.
    """
    chosen = {DEFAULT: styles} if isinstance(styles, str) else dict(styles)
    layers = [node.name for node in graph if "weight" in node.params]
    for name in chosen:
        if name != DEFAULT and name not in layers:
            raise ConfigError(
                f"Hwflow.MultStyle names {name!r}, which is no layer with weights",
                did_you_mean(name, [*layers, DEFAULT]),
            )
    nodes = tuple(
        replace(
            node,
            attrs={
                **node.attrs,
                "mult_style": chosen.get(node.name, chosen.get(DEFAULT, "auto")),
                "lut_bits": lut_bits,
            },
        )
        if node.name in layers
        else node
        for node in graph
    )
    return replace(graph, nodes=nodes)
