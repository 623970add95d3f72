# SPDX-License-Identifier: Apache-2.0
"""From a float Keras model to a quantized one, after training."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwflow.config.schema import PrepareConfig
from hwflow.errors import UserError
from hwflow.models.source import check_finite
from hwflow.numerics.fixed import FixedType
from hwflow.prepare.build import Scheme, build
from hwflow.prepare.calibrate import channel_magnitudes, magnitudes, outputs_of, saturation_points
from hwflow.prepare.equalize import equalize, even_activations, fill_grids, normalize_slopes
from hwflow.prepare.fold import Folding, fold_batchnorm
from hwflow.prepare.net import WEIGHTED, Net, from_keras
from hwflow.prepare.prune import prune
from hwflow.prepare.quantize import (
    INPUT,
    activation_bits,
    check_exceptions,
    choose_grids,
    is_signed,
    quantized_tensors,
    result_tensor,
    weight_bits,
)
from hwflow.prepare.repair import repair

if TYPE_CHECKING:
    import tensorflow as tf

#: Given a network, its formats and the float network, trains the first for the second.
Trainer = Callable[[Net, Scheme, Net], None]

_REPORT_FRAMES = 8


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A quantized model and how it came about.

    Parameters
    ----------
    model : tf.keras.Model
        QKeras model with weights on their grids; its input layer is called ``input``.
    report : dict
        JSON values: ``layers`` maps each layer to its types and, where its output is quantized, to
        ``sqnr_db`` against the float network on calibration data; ``folding`` tells what folding
        normalizations saved.
    """

    model: tf.keras.Model
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Quantized:
    """A network in number formats, before it is built.

    Parameters
    ----------
    net : Net
        Network whose weights are to be stored in the formats of ``scheme``.
    scheme : Scheme
        The formats.
    exact : Net
        The float network, with all its channels.
    reference : tf.keras.Model
        The network in float32 as a Keras model, before anything is repaired.
    folding : Folding
        What folding normalizations saved.
    """

    net: Net
    scheme: Scheme
    exact: Net
    reference: tf.keras.Model
    folding: Folding


def prepare(
    model: tf.keras.Model,
    calibration: NDArray[np.float32],
    config: PrepareConfig,
    train: Trainer | None = None,
) -> PreparedModel:
    """Quantize a float model.

    Parameters
    ----------
    model : tf.keras.Model
        Float model with one input and one output.
    calibration : ndarray of float32, shape (n, h, w, c)
        Typical inputs on the grid ``fixed<8,1>`` (see :func:`hwflow.faces.align.to_input`).
    config : PrepareConfig
        Numbers of bits, percentile, exceptions by layer.
    train : callable, optional
        Given the network, its formats and the float network, trains the first for the second.

    Returns
    -------
    PreparedModel

    Raises
    ------
    UserError
        When weights or calibration data are not finite or of the wrong form, or the model cannot be
        prepared (:class:`~hwflow.errors.UnsupportedLayerError`).
    ConfigError
        When an exception names a wrong layer.
    """
    found = quantize(model, calibration, config, train)
    quantized = build(found.net, found.scheme)
    layers = _describe(found.net, found.scheme, found.reference, quantized, calibration[:_REPORT_FRAMES])
    report = {"calibration_frames": len(calibration), "folding": asdict(found.folding), "layers": layers}
    return PreparedModel(quantized, report)


def quantize(
    model: tf.keras.Model,
    calibration: NDArray[np.float32],
    config: PrepareConfig,
    train: Trainer | None = None,
) -> Quantized:
    """Quantize a float model without building the result; parameters and errors are those of :func:`prepare`."""
    net, folding = float_net(model, calibration, config)
    exact = copy.deepcopy(net)
    if config.Prune:
        prune(net, config.Prune, calibration)
    reference = build(net)
    scheme = choose_grids(net, activation_ranges(net, reference, calibration, config), config)
    repair(net, scheme, calibration, config)
    if train is not None:
        train(net, scheme, exact)
    return Quantized(net, scheme, exact, reference, folding)


def float_net(
    model: tf.keras.Model, calibration: NDArray[np.float32], config: PrepareConfig, *, fill: bool = True
) -> tuple[Net, Folding]:
    """The network as it will be quantized: checked, folded, equalised where that is asked for.

    Parameters
    ----------
    model, calibration, config
        As :func:`prepare`.
    fill : bool
        Whether equalisation ends with :func:`fill_grids`, the only part of it that depends on bits.

    Returns
    -------
    (Net, Folding)
        The network, and what folding its normalizations saved.

    Raises
    ------
    UserError, ConfigError
        As :func:`prepare`.
    """
    check_finite(model)
    net = from_keras(model)
    _check_calibration(net, calibration)
    folding = fold_batchnorm(net)
    check_exceptions(net, config)
    if config.Equalize:
        normalize_slopes(net)
        equalize(net)
        even_activations(net, channel_magnitudes(build(net), quantized_tensors(net), calibration))
        if fill:
            fill_grids(net, bits_of_weights(net, config))
    return net, folding


def bits_of_weights(net: Net, config: PrepareConfig) -> dict[str, int]:
    """Bits of the weights of each layer that has any."""
    return {node.name: weight_bits(config, node.name) for node in net if node.kind in WEIGHTED}


def activation_ranges(
    net: Net, reference: tf.keras.Model, calibration: NDArray[np.float32], config: PrepareConfig
) -> dict[str, float]:
    """Magnitude that each quantized tensor is to hold, by the method of calibration asked for.

    Parameters
    ----------
    net : Net
        Network.
    reference : tf.keras.Model
        The same as a float model.
    calibration : ndarray of float32, shape (n, ...)
        Typical inputs.
    config : PrepareConfig
        Method, and bits of the tensors.
    """
    names, result = quantized_tensors(net), result_tensor(net)
    if config.Calibration in ("percentile", "max"):
        share = config.Percentile if config.Calibration == "percentile" else 100
        return magnitudes(reference, names, calibration, share)
    bits = {name: activation_bits(config, name, is_result=name == result) for name in names}
    grids = {name: FixedType(is_signed(net, name), bits[name], 0) for name in names}
    return saturation_points(reference, grids, calibration, config.Calibration)


def _check_calibration(net: Net, calibration: NDArray[np.float32]) -> None:
    shape = net.input.shape
    if calibration.shape[1:] != shape or not len(calibration):
        raise UserError(
            f"calibration data of shape {calibration.shape} do not fit inputs of shape {shape}",
            f"give an array of shape (n, {', '.join(map(str, shape))}) with n of at least 1",
        )
    if not np.isfinite(calibration).all():
        raise UserError("calibration data hold NaN or infinite values", "check where they come from")
    codes = np.ldexp(calibration, INPUT.frac)
    low, high = INPUT.range()
    if not np.array_equal(codes, np.clip(np.rint(codes), low, high)):
        raise UserError(
            f"calibration data do not lie on the input grid {INPUT}", "turn pixels into (pixel - 128) / 128"
        )


def _describe(
    net: Net,
    scheme: Scheme,
    reference: tf.keras.Model,
    quantized: tf.keras.Model,
    frames: NDArray[np.float32],
) -> dict[str, dict[str, Any]]:
    """Types of every layer, and the noise of every quantized output."""
    names = list(scheme.activations)
    exact = outputs_of(reference, names, frames)
    stored = {layer.name for layer in quantized.layers}
    noisy = outputs_of(quantized, [f"{n}_q" if f"{n}_q" in stored else n for n in names], frames)
    layers: dict[str, dict[str, Any]] = {node.name: {} for node in net}
    for kind, grids in (
        ("weight_type", scheme.weights),
        ("bias_type", scheme.biases),
        ("slope_type", scheme.slopes),
        ("activation_type", scheme.activations),
    ):
        for name, grid in grids.items():
            layers[name][kind] = str(grid)
    for name, a, b in zip(names, exact, noisy, strict=True):
        noise = float(np.square(b - a).sum())
        layers[name]["sqnr_db"] = 10 * np.log10(float(np.square(a).sum()) / noise) if noise else None
    return layers
