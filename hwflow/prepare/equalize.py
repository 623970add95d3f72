# SPDX-License-Identifier: Apache-2.0
"""Cross-layer equalisation: the same function with weights that share one scale a layer.

Tensors that are tied together by additions and positively homogeneous activations form a group; a
group may be scaled channel by channel, as long as every layer that writes it is scaled likewise and
every layer that reads it is scaled back. The groups of the network's input and output stay as they are.

References
----------
M. Nagel, M. van Baalen, T. Blankevoort, M. Welling, "Data-Free Quantization Through Weight
Equalization and Bias Correction", ICCV 2019. Groups extend it to residual branches.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hwflow.prepare.grids import best_grid, to_grid
from hwflow.prepare.net import ACTIVATIONS, MEANS, WEIGHTED, Floats, Net, Node

_ROUNDS = 50
_SETTLED = 1e-3
# how far activations are evened out at the cost of weights: 0 not at all, 1 fully; best on MobileFaceNet
_ACTIVATION_SHARE = 0.25
_FACTORS = 2.0 ** (np.arange(16) / 16)


@dataclass(slots=True)
class Group:
    """Tensors with common channel scales, and the layers that write and read them."""

    channels: int
    tensors: list[str] = field(default_factory=list)
    writers: list[Node] = field(default_factory=list)
    readers: list[Node] = field(default_factory=list)


def normalize_slopes(net: Net) -> None:
    """Bring PReLU slopes into -1..1 by flipping channels.

    With ``f(x) = max(x, 0) + s min(x, 0)``, ``f(x) = -s g(-x)`` where ``g`` has the slope ``1 / s``:
    the layer before is negated and the layers behind are scaled by ``-s``. Slopes of one network
    then share a fine fixed-point grid.
    """
    for node in net:
        if node.kind != "prelu":
            continue
        source = net.nodes[node.inputs[0]]
        readers = net.readers(node.name)
        private = source.kind in WEIGHTED and len(net.readers(source.name)) == 1
        if not private or node.name == net.output or any(r.kind not in WEIGHTED for r in readers):
            continue
        slope = node.arrays["slope"]
        steep = np.abs(slope) > 1
        factor = np.where(steep, -slope, 1.0)
        scale_output(source, np.where(steep, -1.0, 1.0))
        node.arrays["slope"] = np.where(steep, 1 / np.where(steep, slope, 1.0), slope)
        for reader in readers:
            scale_input(reader, factor)


def equalize(net: Net) -> None:
    """Even out the ranges of weights, channel by channel, until they settle."""
    groups = free_groups(net)
    for _ in range(_ROUNDS):
        moved = 0.0
        for group in groups:
            written = np.max([output_range(node) for node in group.writers], axis=0)
            read = np.max([input_range(node, group.channels) for node in group.readers], axis=0)
            usable = (written > 0) & (read > 0)
            scale = np.sqrt(np.divide(read, written, out=np.ones_like(read), where=usable))
            rescale(group, scale)
            moved = max(moved, float(np.abs(np.log(scale)).max()))
        if moved < _SETTLED:
            return


def even_activations(net: Net, ranges: dict[str, Floats]) -> None:
    """Give back a part of the evenness of weights to make the channels of activations more even.

    Parameters
    ----------
    net : Net
        Equalised network.
    ranges : dict of str to ndarray of float64
        Magnitude of each channel, of each tensor that will be quantized.

    Notes
    -----
    Scales are rounded to eighths of a power of two: the last digits of measured ranges, which may
    differ between machines, then do not reach the weights.
    """
    for group in free_groups(net):
        measured = [ranges[name] for name in group.tensors if name in ranges]
        if not measured:
            continue
        spread = np.max(measured, axis=0)
        mean = spread.mean()
        if mean > 0:
            exponent = _ACTIVATION_SHARE * np.log2(mean / np.maximum(spread, 1e-3 * spread.max()))
            rescale(group, 2.0 ** (np.rint(8 * exponent) / 8))


def fill_grids(net: Net, bits: dict[str, int]) -> dict[str, float]:
    """Scale groups as a whole so that weights make the most of their power-of-two ranges.

    Parameters
    ----------
    net : Net
        Equalised network.
    bits : dict of str to int
        Bits of the weights of each layer.

    Returns
    -------
    dict of str to float
        By how much the tensors were scaled.
    """
    scales = {node.name: 1.0 for node in net}

    def noise(node: Node, factor: float) -> float:
        kernel = node.arrays["kernel"] * factor
        energy = float(np.square(kernel).sum())
        error = to_grid(kernel, best_grid(kernel, bits[node.name])) - kernel
        return float(np.square(error).sum()) / energy if energy else 0.0

    def total_noise(group: Group, factor: float) -> float:
        return sum(noise(node, factor) for node in group.writers) + sum(
            noise(node, 1 / factor) for node in group.readers
        )

    for _ in range(2):
        for group in free_groups(net):
            best = min(_FACTORS, key=lambda factor: total_noise(group, factor))
            rescale(group, np.full(group.channels, best))
            for name in group.tensors:
                scales[name] *= float(best)
    return scales


def free_groups(net: Net) -> list[Group]:
    """Groups of tensors that may be scaled, in the order of the network."""
    root: dict[str, str] = {node.name: node.name for node in net}

    def find(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    for node in net:
        if node.kind in (*ACTIVATIONS, *MEANS, "add", "flatten", "maxpool"):
            for source in node.inputs:
                root[find(node.name)] = find(source)
    groups: dict[str, Group] = {}
    for node in net:
        group = groups.setdefault(find(node.name), Group(node.channels))
        group.tensors.append(node.name)
        group.channels = min(group.channels, node.channels)  # that before a flatten
        if node.kind in WEIGHTED:
            group.writers.append(node)
            groups[find(node.inputs[0])].readers.append(node)
    fixed = {find(net.input.name), find(net.output)}
    for node in net:  # channels of several groups lie side by side
        if node.kind == "concat":
            fixed |= {find(name) for name in (node.name, *node.inputs)}
    return [group for name, group in groups.items() if name not in fixed and group.readers]


def rescale(group: Group, scale: Floats) -> None:
    """Multiply every tensor of a group by positive channel scales, keeping the network's function."""
    for node in group.writers:
        scale_output(node, scale)
    for node in group.readers:
        scale_input(node, 1 / scale)


def output_range(node: Node) -> Floats:
    """Largest weight magnitude of each output channel."""
    kernel = np.abs(node.arrays["kernel"])
    axes = (0, 1, 3) if node.kind == "depthwise" else tuple(range(kernel.ndim - 1))
    result: Floats = kernel.max(axis=axes)
    return result


def input_range(node: Node, channels: int) -> Floats:
    """Largest weight magnitude of each input channel."""
    kernel = np.abs(node.arrays["kernel"])
    if node.kind == "depthwise":
        result: Floats = kernel.max(axis=(0, 1, 3))
        return result
    # a dense layer behind a flatten reads each channel once a pixel
    result = kernel.reshape(-1, channels, kernel.shape[-1]).max(axis=(0, 2))
    return result


def scale_output(node: Node, scale: Floats) -> None:
    """Multiply the output channels of a layer."""
    kernel = node.arrays["kernel"]
    node.arrays["kernel"] = kernel * (scale[:, None] if node.kind == "depthwise" else scale)
    node.arrays["bias"] = node.arrays["bias"] * scale


def scale_input(node: Node, scale: Floats) -> None:
    """Multiply the weights that read each input channel."""
    kernel = node.arrays["kernel"]
    if node.kind == "depthwise":
        node.arrays["kernel"] = kernel * scale[:, None]
    else:
        parts = kernel.reshape(-1, scale.size, kernel.shape[-1]) * scale[:, None]
        node.arrays["kernel"] = parts.reshape(kernel.shape)
