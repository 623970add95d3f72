# SPDX-License-Identifier: Apache-2.0
"""Running a network on quantized values in float32, fast: for searching, not for proving.

Sums of products are those of TensorFlow in float32, so that a value half a step from the next may be rounded the
other way than in the exact model; :mod:`hwflow.prepare.exact` is the reference. In float64 all sums of codes are
exact, at two to three times the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwflow.formats import Fixed, Format
from hwflow.numerics.fixed import FixedType
from hwflow.prepare.build import Scheme, stored_values
from hwflow.prepare.net import ACTIVATIONS, WEIGHTED, Net, Node

if TYPE_CHECKING:
    import tensorflow as tf

_BATCH = 20

Tensors = dict[str, Any]


class Simulation:
    """A network compiled once, for any number of quantizations.

    Parameters
    ----------
    net : Net
        Folded network.
    batch_size : int
        Inputs computed at once.
    dtype : str
        ``float32`` or ``float64``.
    """

    def __init__(self, net: Net, batch_size: int = _BATCH, dtype: str = "float32") -> None:
        self._net = net
        self._batch = batch_size
        self._dtype = dtype
        self._compiled: dict[Any, Callable[..., Any]] = {}

    def run(
        self, x: NDArray[np.float32], weights: Mapping[str, Sequence[Any]], formats: Mapping[str, Format]
    ) -> NDArray[np.float64]:
        """Outputs of the network.

        Parameters
        ----------
        x : ndarray of float32, shape (n, ...)
            Inputs.
        weights : mapping of str to sequence of ndarray
            Kernel and bias, or slopes, by layer (see :func:`simulated_weights`).
        formats : mapping of str to Format
            Formats of the tensors that are quantized.

        Returns
        -------
        ndarray of float64, shape (n, ...)
        """
        import tensorflow as tf

        others = {name: format_ for name, format_ in formats.items() if not isinstance(format_, Fixed)}
        grids = {name: format_.grid for name, format_ in formats.items() if name not in others}
        forward = self._forward(frozenset(grids), others)
        constants = {name: [tf.constant(w, self._dtype) for w in values] for name, values in weights.items()}
        limits = {name: tf.constant(limits_of(grid), self._dtype) for name, grid in grids.items()}
        parts = [
            forward(tf.constant(x[start : start + self._batch], self._dtype), constants, limits).numpy()
            for start in range(0, len(x), self._batch)
        ]
        outputs: NDArray[np.float64] = np.concatenate(parts).astype(np.float64)
        return outputs

    def _forward(self, fixed: frozenset[str], others: Mapping[str, Format]) -> Callable[..., Any]:
        """The compiled network that quantizes certain tensors; the grids of those in fixed point may vary."""
        import tensorflow as tf

        from hwflow.formats.keras import FormatQuantizer

        quantizers = {name: FormatQuantizer(format_) for name, format_ in others.items()}
        key = fixed, frozenset(others.items())

        def forward(x: Any, weights: Mapping[str, Any], limits: Mapping[str, Any]) -> Any:
            tensors: Tensors = {}
            for node in self._net:
                inputs = [tensors[name] for name in node.inputs]
                y = x if node.kind == "input" else compute(node, inputs, weights.get(node.name, ()))
                if node.name in fixed:
                    y = quantize(y, limits[node.name])
                elif node.name in quantizers:
                    y = quantizers[node.name](y)
                tensors[node.name] = y
            return tensors[self._net.output]

        if key not in self._compiled:
            self._compiled[key] = tf.function(forward, autograph=False)
        return self._compiled[key]


def simulated_weights(net: Net, scheme: Scheme | None = None) -> dict[str, list[NDArray[np.float64]]]:
    """Kernels, biases and slopes as the hardware holds them, or the float ones without a scheme."""
    return {node.name: stored_values(node, scheme) for node in net if node.kind in (*WEIGHTED, "prelu")}


def quantize_to(x: tf.Tensor, format_: Format) -> tf.Tensor:
    """Quantize a tensor to any format of activations."""
    if isinstance(format_, Fixed):
        return quantize(x, limits_of(format_.grid))
    from hwflow.formats.keras import FormatQuantizer

    return FormatQuantizer(format_)(x)


def limits_of(grid: FixedType) -> tuple[float, float, float]:
    """Step, lowest and highest code of a grid."""
    low, high = grid.range()
    return 2.0**-grid.frac, float(low), float(high)


def quantize(x: tf.Tensor, limits: Any) -> tf.Tensor:
    """Round half to even to a grid, saturating; ``limits`` as of :func:`limits_of`."""
    import tensorflow as tf

    return tf.clip_by_value(tf.round(x / limits[0]), limits[1], limits[2]) * limits[0]


def compute(node: Node, inputs: Sequence[Any], weights: Sequence[Any]) -> tf.Tensor:
    """Output of a node, before quantization.

    Parameters
    ----------
    node : Node
        Any but the input.
    inputs : sequence of tf.Tensor
        What it reads.
    weights : sequence of tf.Tensor
        Kernel and bias, or slopes.
    """
    import tensorflow as tf

    if node.kind in WEIGHTED:
        return sums(node, inputs[0], weights[0]) + weights[1]
    if node.kind in ACTIVATIONS:
        positive = tf.nn.relu(inputs[0])
        return positive if node.kind == "relu" else positive + weights[0] * (inputs[0] - positive)
    if node.kind == "add":
        return tf.add_n(list(inputs))
    if node.kind == "concat":
        return tf.concat(inputs, axis=-1)
    if node.kind == "flatten":
        return tf.reshape(inputs[0], (-1, *node.shape))
    if node.kind == "mean":
        return tf.reduce_mean(inputs[0], axis=(1, 2), keepdims=bool(node.attrs.get("keepdims")))
    pool = tf.nn.max_pool2d if node.kind == "maxpool" else tf.nn.avg_pool2d
    return pool(inputs[0], node.attrs["pool_size"], node.attrs["strides"], node.attrs["padding"].upper())


def sums(node: Node, x: Any, kernel: Any) -> tf.Tensor:
    """Sums of products of a layer with weights, without its bias."""
    import tensorflow as tf

    if node.kind == "dense":
        return tf.matmul(x, kernel)
    height, width = node.attrs["strides"]
    function = tf.nn.conv2d if node.kind == "conv" else tf.nn.depthwise_conv2d
    return function(x, kernel, (1, height, width, 1), node.attrs["padding"].upper())
