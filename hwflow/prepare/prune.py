# SPDX-License-Identifier: Apache-2.0
"""Taking channels out, so that layers become smaller.

Only channels that one layer writes and one layer reads can go without touching others: those between two
convolutions, with activations and depthwise layers on the way, as inside the blocks of MobileNetV2. What a channel is
worth is how much it can move the sums of its reader: its magnitude on calibration data times the norm of the weights
that read it.

References
----------
H. Li, A. Kadav, I. Durdanovic, H. Samet, H. P. Graf, "Pruning Filters for Efficient ConvNets", ICLR 2017 (filters as a
whole, ranked within their layer; there by their own norms).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import ConfigError
from hwflow.prepare.build import build
from hwflow.prepare.calibrate import channel_magnitudes
from hwflow.prepare.net import ACTIVATIONS, Net, Node


@dataclass(frozen=True, slots=True)
class Span:
    """Channels between two convolutions.

    Parameters
    ----------
    writer, reader : Node
        The convolutions.
    between : tuple of Node
        Depthwise layers and activations on the way, in order.
    """

    writer: Node
    reader: Node
    between: tuple[Node, ...]

    @property
    def last(self) -> Node:
        """The node that the reader reads."""
        return self.between[-1] if self.between else self.writer


def spans(net: Net) -> Iterator[Span]:
    """All channels that can be taken out, in the order of the network."""
    for reader in net:
        if reader.kind != "conv":
            continue
        between: list[Node] = []
        node = net.nodes[reader.inputs[0]]
        while node.kind in ("depthwise", *ACTIVATIONS) and _private(net, node):
            between.insert(0, node)
            node = net.nodes[node.inputs[0]]
        if node.kind == "conv" and _private(net, node):
            yield Span(node, reader, tuple(between))


def _private(net: Net, node: Node) -> bool:
    return len(net.readers(node.name)) == 1 and node.name != net.output


def prune(net: Net, share: float, calibration: NDArray[np.float32]) -> None:
    """Take the channels out that matter least, the same share in every place where that is possible.

    Parameters
    ----------
    net : Net
        Folded network; its layers become smaller.
    share : float
        Share of the channels, below 1; at least one is left.
    calibration : ndarray of float32, shape (n, ...)
        Typical inputs.

    Raises
    ------
    ConfigError
        When the network has no such channels.
    """
    found = list(spans(net))
    if not found:
        raise ConfigError(
            f"Prepare.Prune: model {net.name!r} has no channels between two convolutions alone",
            "leave Prune out",
        )
    magnitudes = channel_magnitudes(build(net), [span.last.name for span in found], calibration)
    for span in found:
        weights = np.sqrt(np.square(span.reader.arrays["kernel"]).sum(axis=(0, 1, 3)))
        worth = magnitudes[span.last.name] * weights
        count = max(1, round((1 - share) * span.writer.channels))
        _keep(span, np.sort(np.argsort(-worth, kind="stable")[:count]))


def _keep(span: Span, channels: NDArray[np.int64]) -> None:
    """Leave some channels of a span."""
    for node in (span.writer, *span.between):
        node.shape = (*node.shape[:-1], len(channels))
        for key, values in node.arrays.items():
            axis = 2 if node.kind == "depthwise" and key == "kernel" else -1
            node.arrays[key] = np.take(values, channels, axis)
    span.reader.arrays["kernel"] = np.take(span.reader.arrays["kernel"], channels, axis=2)
