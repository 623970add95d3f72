# SPDX-License-Identifier: Apache-2.0
"""What a quantization costs in quality, measured by simulation in float32."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hwflow.config.schema import PrepareConfig
from hwflow.errors import ConfigError, UserError
from hwflow.faces.verification import evaluate, paired_cosine
from hwflow.formats import stored_bits
from hwflow.prepare.build import Scheme, build
from hwflow.prepare.equalize import fill_grids
from hwflow.prepare.net import Net
from hwflow.prepare.pipeline import activation_ranges, bits_of_weights, float_net
from hwflow.prepare.quantize import choose_grids
from hwflow.prepare.repair import repair
from hwflow.prepare.simulate import Simulation, simulated_weights
from hwflow.search.ranges import Range, dynamic_ranges

if TYPE_CHECKING:
    import tensorflow as tf

Frames = NDArray[np.float32]
_SCALE_EXPONENT_BITS = 8


@dataclass(frozen=True, slots=True)
class Score:
    """Quality of a quantized network on given inputs.

    Parameters
    ----------
    cosine : float
        Mean cosine of its outputs to those of the float network.
    cosine_min : float
        The smallest one.
    accuracy : float or None
        Verification accuracy where it is known who is shown.
    """

    cosine: float
    cosine_min: float
    accuracy: float | None


class Evaluator:
    """A float network with the data that its quantizations are fitted to and judged on.

    Parameters
    ----------
    model : tf.keras.Model
        Float model.
    calibration : ndarray of float32, shape (n, ...)
        Inputs that ranges and repairs are taken from.
    inputs : ndarray of float32, shape (m, ...)
        Inputs it is judged on.
    people : ndarray of int64, shape (m,), optional
        Who is shown, for the accuracy of verification.
    fill : bool
        Whether each configuration is equalised for its own bits, as :func:`hwflow.prepare.prepare` does; else all of
        them for the bits of the first, which matters little and takes less time.

    Raises
    ------
    UserError
        When there are no inputs, or they are not finite or of the wrong shape.
    """

    def __init__(
        self,
        model: tf.keras.Model,
        calibration: Frames,
        inputs: Frames,
        people: NDArray[np.int64] | None = None,
        *,
        fill: bool = False,
    ) -> None:
        shape = tuple(model.inputs[0].shape[1:])
        if inputs.shape[1:] != shape or not len(inputs):
            raise UserError(
                f"inputs of shape {inputs.shape} do not fit a network for inputs of shape {shape}",
                f"give an array of shape (m, {', '.join(map(str, shape))}) with m of at least 1",
            )
        if not np.isfinite(inputs).all():
            raise UserError("inputs hold NaN or infinite values", "check where they come from")
        if people is not None and len(people) != len(inputs):
            raise UserError(
                f"{len(people)} people for {len(inputs)} inputs", "name one person for every input"
            )
        self._model, self._calibration = model, calibration
        self._inputs, self._people = inputs, people
        self._nets: dict[str, Net] = {}
        self._fill = fill
        self._filled: tuple[str, Net, dict[str, float]] | None = None
        self._simulations: dict[str, Simulation] = {}
        self._ranges: dict[str, dict[str, float]] = {}
        self._reference: NDArray[np.float64] | None = None

    @property
    def reference(self) -> NDArray[np.float64]:
        """Outputs of the float network."""
        if self._reference is None:
            net = self.net(PrepareConfig(Equalize=False))
            self._reference = self._simulate(net, None)
        return self._reference

    def float_score(self) -> Score:
        """Score of the float network itself."""
        return self._score(self.reference)

    def net(self, config: PrepareConfig) -> Net:
        """The folded network, equalised as a configuration says."""
        return self._net_and_scales(config)[0]

    def _net_and_scales(self, config: PrepareConfig) -> tuple[Net, Mapping[str, float]]:
        """The network, and by how much its tensors were scaled for the bits of this configuration."""
        if config.Prune:
            raise ConfigError(
                "Prepare.Prune: bits are judged for a network with all its channels",
                "leave Prune out, or score the design by `hwflow study`",
            )
        key = str(config.Equalize)
        if key not in self._nets:
            self._nets[key], _ = float_net(self._model, self._calibration, config, fill=not self._fill)
        common = self._nets[key]
        if not (self._fill and config.Equalize):
            return common, {}
        bits = bits_of_weights(common, config)
        if self._filled is None or self._filled[0] != str(bits):
            net = copy.deepcopy(common)
            self._filled = str(bits), net, fill_grids(net, bits)
        return self._filled[1:]

    def ranges(self, config: PrepareConfig) -> dict[str, float]:
        """Magnitudes that activations are to hold; kept where they do not depend on bits but by a scale."""
        net, scales = self._net_and_scales(config)
        if config.Calibration in ("mse", "kl"):
            bits = {name: one.ActivationBits for name, one in config.Layers.items()}
            key = f"{config.Equalize} {config.Calibration} {config.ActivationBits} {config.OutputBits} {bits}"
            key += f" {bits_of_weights(net, config)}" if scales else ""
            scales = {}
        else:
            key = f"{config.Equalize} {config.Calibration} {config.Percentile}"
            net = self._nets[str(config.Equalize)]
        if key not in self._ranges:
            self._ranges[key] = activation_ranges(net, build(net), self._calibration, config)
        return {name: scales.get(name, 1.0) * value for name, value in self._ranges[key].items()}

    def dynamic_ranges(self, config: PrepareConfig) -> list[Range]:
        """What kernels and tensors need so that nothing saturates."""
        return dynamic_ranges(self.net(config), self._calibration)

    def quantized(self, config: PrepareConfig) -> tuple[Net, Scheme]:
        """The network as a configuration quantizes and repairs it, and its formats."""
        net = self.net(config)
        scheme = choose_grids(net, self.ranges(config), config)
        if config.Rounding != "nearest" or config.BiasCorrection:
            net = copy.deepcopy(net)
            repair(net, scheme, self._calibration, config)
        return net, scheme

    def score(self, config: PrepareConfig) -> Score:
        """Quality of the network as a configuration quantizes it."""
        return self.score_of(*self.quantized(config))

    def score_of(self, net: Net, scheme: Scheme) -> Score:
        """Quality of a network as :meth:`quantized` gives it."""
        return self._score(self._simulate(net, scheme))

    def verified_score(self, net: Net, scheme: Scheme, frames: int) -> Score:
        """The same as exact arithmetic gives it: the first ``frames`` are computed in float64 as well.

        Where any value of those differs, all are computed in float64.
        """
        outputs = self._simulate(net, scheme)
        exact = self._simulate(net, scheme, slice(frames), "float64")
        if not np.array_equal(outputs[:frames], exact):
            outputs = self._simulate(net, scheme, dtype="float64")
        return self._score(outputs)

    def screened(self, net: Net, scheme: Scheme, frames: int) -> Score:
        """Cosines on so many of the inputs, spread over all; no accuracy."""
        chosen = np.unique(np.linspace(0, len(self._inputs) - 1, frames).astype(int))
        cosine = self._cosines(self._simulate(net, scheme, chosen), self.reference[chosen])
        return Score(float(cosine.mean()), float(cosine.min()), None)

    def weight_bits(self, config: PrepareConfig) -> float:
        """Mean bits of a weight as stored, with what is stored once for many: codebooks, scales."""
        net = self.net(config)
        scheme = choose_grids(net, self.ranges(config), config)
        return stored_weight_bits(net, scheme, config)

    def _simulate(
        self,
        net: Net,
        scheme: Scheme | None,
        chosen: slice | NDArray[np.int64] = slice(None),
        dtype: Literal["float32", "float64"] = "float32",
    ) -> NDArray[np.float64]:
        if dtype not in self._simulations:
            self._simulations[dtype] = Simulation(net, dtype=dtype)
        weights, formats = simulated_weights(net, scheme), scheme.activations if scheme else {}
        return self._simulations[dtype].run(self._inputs[chosen], weights, formats)

    def _score(self, outputs: NDArray[np.float64]) -> Score:
        cosine = self._cosines(outputs, self.reference)
        accuracy = None
        if self._people is not None:
            accuracy = float(evaluate(outputs.reshape(len(outputs), -1), self._people).accuracy)
        return Score(float(cosine.mean()), float(cosine.min()), accuracy)

    @staticmethod
    def _cosines(outputs: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = paired_cosine(
            outputs.reshape(len(outputs), -1), reference.reshape(len(reference), -1)
        )
        return found


def stored_weight_bits(net: Net, scheme: Scheme, config: PrepareConfig) -> float:
    """Mean bits of a weight as stored, with what is stored once for many: codebooks, scales."""
    counts = {name: net.nodes[name].arrays["kernel"].size for name in scheme.weights}
    per_scale = config.ScaleBits if config.Scale == "channel" else _SCALE_EXPONENT_BITS
    scales = per_scale * sum(scale.size for scale in scheme.scales.values())
    return (stored_bits(scheme.weights, counts) + scales) / sum(counts.values())
