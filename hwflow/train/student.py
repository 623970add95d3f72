# SPDX-License-Identifier: Apache-2.0
"""A network that is trained while it computes on quantized values."""

from __future__ import annotations

import operator
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from hwflow.formats import Fixed, Format
from hwflow.prepare.build import Scheme, over_outputs
from hwflow.prepare.net import ACTIVATIONS, WEIGHTED, Floats, Net, Node
from hwflow.prepare.simulate import compute, limits_of, quantize, sums
from hwflow.train.fused import Chain, total

if TYPE_CHECKING:
    import tensorflow as tf


class Student:
    """The float weights of a network, and its forward pass in the formats of a scheme.

    Every weight is divided by the range of its format, so that one learning rate suits all layers. Rounding passes
    gradients on unchanged (straight-through estimator; Bengio et al., "Estimating or propagating gradients through
    stochastic neurons", 2013), saturation passes none. Biases are not rounded: their grids are fine.

    Parameters
    ----------
    net : Net
        Folded network; its arrays are the start.
    scheme : Scheme, optional
        Formats; without them the network computes in float32.
    """

    def __init__(self, net: Net, scheme: Scheme | None = None) -> None:
        import tensorflow as tf

        self._net, self._scheme = net, scheme
        self._ranges = {
            (node.name, key): _range(node, key, scheme)
            for node in net
            for key in node.arrays
            if node.kind in (*WEIGHTED, "prelu")
        }
        self._variables = {
            place: tf.Variable(
                net.nodes[place[0]].arrays[place[1]] / range_, dtype=tf.float32, name="/".join(place)
            )
            for place, range_ in self._ranges.items()
        }

    @property
    def variables(self) -> list[tf.Variable]:
        """What is trained, in the order of the network."""
        return list(self._variables.values())

    def __call__(self, x: tf.Tensor, kept: Collection[str] = ()) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Output for a batch, and the tensors named in ``kept``."""
        tensors: dict[str, Chain] = {}
        for node in self._net:
            chain = self._node(node, [tensors[name] for name in node.inputs]) if node.inputs else Chain.of(x)
            chain = self._quantized(node, chain)
            if node.name in kept or not self._goes_on(node):
                chain = Chain.of(chain.compute())
            tensors[node.name] = chain
        return tensors[self._net.output].compute(), {name: tensors[name].compute() for name in kept}

    def _node(self, node: Node, inputs: list[Chain]) -> Chain:
        """A node's output before quantization."""
        weights = self._weights(node)
        if node.kind in WEIGHTED:
            return Chain.of(sums(node, inputs[0].compute(), weights[0])).then(operator.add, weights[1])
        if node.kind in ACTIVATIONS:
            return inputs[0].then(lambda x, *slopes: compute(node, [x], slopes), *weights)
        if node.kind == "add":
            return total(inputs)
        return Chain.of(compute(node, [chain.compute() for chain in inputs], []))

    def _quantized(self, node: Node, chain: Chain) -> Chain:
        format_ = self._scheme.activations.get(node.name) if self._scheme else None
        if isinstance(format_, Fixed):
            limits = limits_of(format_.grid)
            return chain.then(lambda x: _clipped(x, limits))
        return chain if format_ is None else Chain.of(_through(chain.compute(), format_))

    def _goes_on(self, node: Node) -> bool:
        """Whether the one that reads a node works element by element."""
        readers = [reader.kind for reader in self._net.readers(node.name)]
        return len(readers) == 1 and readers[0] in (*ACTIVATIONS, "add")

    def store(self) -> None:
        """Write the weights back into the network."""
        for (name, key), range_ in self._ranges.items():
            self._net.nodes[name].arrays[key] = self._variables[name, key].numpy().astype(np.float64) * range_

    def _weights(self, node: Node) -> list[tf.Tensor]:
        if node.kind not in (*WEIGHTED, "prelu"):
            return []
        values = {key: self._variables[node.name, key] * self._ranges[node.name, key] for key in node.arrays}
        if self._scheme is None:
            return list(values.values())
        if node.kind == "prelu":
            return [_clipped(values["slope"], limits_of(self._scheme.slopes[node.name]))]
        kernel, scale = values["kernel"], self._scheme.scales.get(node.name)
        if scale is None:
            return [_through(kernel, self._scheme.weights[node.name]), values["bias"]]
        over = over_outputs(node, scale).astype(np.float32)
        return [_through(kernel / over, self._scheme.weights[node.name]) * over, values["bias"]]


def _range(node: Node, key: str, scheme: Scheme | None) -> float:
    """A power of two at least as large as the values of an array, or its format's range where it has one."""
    if scheme and key == "kernel" and node.name not in scheme.scales:
        format_ = scheme.weights[node.name]
        if isinstance(format_, Fixed):
            return float(2.0 ** (format_.grid.integer - 1))
    peak = float(np.abs(_flat(node.arrays[key])).max(initial=0.0))
    return float(2.0 ** np.ceil(np.log2(peak))) if peak > 0 else 1.0


def _flat(values: Floats) -> Floats:
    return np.asarray(values).ravel()


def _through(x: tf.Tensor, format_: Format) -> tf.Tensor:
    """Quantize; gradients pass through the rounding."""
    if isinstance(format_, Fixed):
        return _clipped(x, limits_of(format_.grid))
    from hwflow.formats.keras import FormatQuantizer

    return FormatQuantizer(format_)(x)


def _clipped(x: tf.Tensor, limits: tuple[float, float, float]) -> tf.Tensor:
    import tensorflow as tf

    step, low, high = limits
    inside = tf.clip_by_value(x, low * step, high * step)
    return inside + tf.stop_gradient(quantize(x, limits) - inside)
