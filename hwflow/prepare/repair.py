# SPDX-License-Identifier: Apache-2.0
"""Repair of a quantized network on calibration data, without training: rounding and biases, layer by layer.

Both look at what the layers before have already done to a layer's inputs. Rounding is chosen for the least squared
error of the layer's outputs: weights are rounded one input after the other, and the error of each is made up for by
those still to come, as far as the inputs go together. Then the mean error that is left in each output channel is
taken out of the bias.

References
----------
M. Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", ICML 2020 (the objective).
E. Frantar, S. Ashkboos, T. Hoefler, D. Alistarh, "GPTQ: Accurate Post-Training Quantization for Generative
Pre-trained Transformers", ICLR 2023 (rounding with feedback of the error through the Cholesky factor of the inverse
second moments).
M. Nagel, M. van Baalen, T. Blankevoort, M. Welling, "Data-Free Quantization Through Weight Equalization and Bias
Correction", ICCV 2019 (bias correction; here the empirical one).
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwflow.config.schema import PrepareConfig
from hwflow.formats import Format
from hwflow.prepare.build import Scheme, over_outputs, stored_values
from hwflow.prepare.net import WEIGHTED, Floats, Net, Node
from hwflow.prepare.quantize import choose_bias
from hwflow.prepare.simulate import compute, quantize_to

_FRAMES = 48
_ROWS = 20_000
_LEAST_FRAMES = 12
_DAMPING = 0.01


def repair(net: Net, scheme: Scheme, calibration: NDArray[np.float32], config: PrepareConfig) -> None:
    """Change kernels and biases of a network for a scheme; the grids of biases follow.

    Parameters
    ----------
    net : Net
        Network whose kernels are changed to values of the scheme, and whose biases are changed.
    scheme : Scheme
        Grids; those of biases are chosen anew.
    calibration : ndarray of float32, shape (n, ...)
        Typical inputs; every few of them are used.
    config : PrepareConfig
        Which repairs are wanted.
    """
    import tensorflow as tf

    adaptive, correct = config.Rounding == "adaptive", config.BiasCorrection
    if not (adaptive or correct):
        return
    x = tf.constant(calibration[:: ceil(len(calibration) / _FRAMES)], tf.float32)
    exact: dict[str, Any] = {net.input.name: x}
    rounded: dict[str, Any] = {net.input.name: x}
    left = {node.name: len(net.readers(node.name)) for node in net}
    for node in net:
        if node.kind == "input":
            continue
        reads = [exact[name] for name in node.inputs]
        noisy = [rounded[name] for name in node.inputs]
        y = compute(node, reads, _tensors(node, None))
        if node.kind in WEIGHTED and adaptive:
            _round_kernel(node, scheme, noisy[0])
        z = compute(node, noisy, _tensors(node, scheme))
        if node.kind in WEIGHTED and correct:
            axes = list(range(len(y.shape) - 1))
            error = tf.reduce_mean(tf.cast(y, tf.float64) - tf.cast(z, tf.float64), axes).numpy()
            node.arrays["bias"] = node.arrays["bias"] + error
            choose_bias(net, node, scheme)
            z = compute(node, noisy, _tensors(node, scheme))
        format_ = scheme.activations.get(node.name)
        exact[node.name], rounded[node.name] = y, z if format_ is None else quantize_to(z, format_)
        for name in node.inputs:
            left[name] -= 1
            if not left[name]:
                del exact[name], rounded[name]


def _tensors(node: Node, scheme: Scheme | None) -> list[Any]:
    import tensorflow as tf

    has_weights = node.kind in WEIGHTED or node.kind == "prelu"
    return [tf.constant(w, tf.float32) for w in stored_values(node, scheme)] if has_weights else []


def _round_kernel(node: Node, scheme: Scheme, x: Any) -> None:
    """Round a kernel for the least error of the outputs on inputs ``x``."""
    kernel = node.arrays["kernel"]
    scale = over_outputs(node, scheme.scales.get(node.name, np.ones(node.channels)))
    columns = _as_columns(node, kernel / scale)
    rounded = feedback_round(columns, _moments(node, x), scheme.weights[node.name])
    node.arrays["kernel"] = _as_kernel(node, rounded) * scale


def feedback_round(weights: Floats, moments: Floats, format_: Format) -> Floats:
    """Round matrices so that their products with given inputs change little.

    Parameters
    ----------
    weights : ndarray of float64, shape (groups, inputs, outputs)
        Matrices.
    moments : ndarray of float64, shape (groups, inputs, inputs)
        Second moments of the inputs of each.
    format_ : Format
        Format of the result; values beyond its range saturate.

    Returns
    -------
    ndarray of float64
        As ``weights``.

    Notes
    -----
    With ``U`` the upper Cholesky factor of the inverse moments, the error ``e`` of row ``i`` over ``U[i, i]``
    is best made up for by taking ``U[i, j] e`` from every later row ``j``. Strong inputs come first, as there is
    most left to make up for them; the diagonal is raised by a hundredth of its mean, so that inputs that the
    data do not tell apart are left alone.
    """
    inputs = weights.shape[1]
    diagonal = np.diagonal(moments, axis1=1, axis2=2)
    order = np.argsort(-diagonal, axis=1, kind="stable")
    work = np.take_along_axis(weights, order[:, :, None], axis=1)
    damping = _DAMPING * diagonal.mean(axis=1) + np.finfo(np.float64).tiny
    damped = moments + damping[:, None, None] * np.eye(inputs)
    damped = np.take_along_axis(np.take_along_axis(damped, order[:, :, None], 1), order[:, None, :], 2)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
    for i in range(inputs):
        value = work[:, i].copy()
        work[:, i] = format_.quantize(value)
        error = (value - work[:, i]) / upper[:, i, i, None]
        work[:, i + 1 :] -= upper[:, i, i + 1 :, None] * error[:, None, :]
    result = np.empty_like(work)
    np.put_along_axis(result, order[:, :, None], work, axis=1)
    return result


def _as_columns(node: Node, kernel: Floats) -> Floats:
    """A kernel as (groups, inputs, outputs): one matrix, or a column for each channel of a depthwise layer."""
    if node.kind == "depthwise":
        return kernel.reshape(-1, node.channels).T[:, :, None]
    return kernel.reshape(1, -1, node.channels)


def _as_kernel(node: Node, columns: Floats) -> Floats:
    """Inverse of :func:`_as_columns`."""
    shape = node.arrays["kernel"].shape
    return (columns[:, :, 0].T if node.kind == "depthwise" else columns).reshape(shape)


def _moments(node: Node, x: Any) -> Floats:
    """Second moments of what each weight is multiplied with, shape (groups, inputs, inputs)."""
    import tensorflow as tf

    taps = node.arrays["kernel"].shape[:2] if node.kind != "dense" else (1, 1)
    pixels = int(np.prod(node.shape[:-1])) if node.kind != "dense" else 1
    x = x[:: max(1, x.shape[0] // max(_LEAST_FRAMES, ceil(_ROWS / pixels)))]
    if node.kind != "dense" and (taps != (1, 1) or node.attrs["strides"] != (1, 1)):
        sizes, strides = (1, *taps, 1), (1, *node.attrs["strides"], 1)
        x = tf.image.extract_patches(x, sizes, strides, (1, 1, 1, 1), node.attrs["padding"].upper())
    # rows of a patch are ordered as the kernel: row, column, channel
    rows = tf.reshape(x, (-1, x.shape[-1]))
    rows = rows[:: ceil(rows.shape[0] / _ROWS)]
    count = float(rows.shape[0])
    if node.kind == "depthwise":
        rows = tf.transpose(tf.reshape(rows, (-1, taps[0] * taps[1], node.channels)), (2, 0, 1))
    else:
        rows = rows[None]
    moments: Floats = (tf.matmul(rows, rows, transpose_a=True).numpy() / count).astype(np.float64)
    return moments
