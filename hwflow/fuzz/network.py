# SPDX-License-Identifier: Apache-2.0
"""A network as plain data: drawn by seed, cut down by the shrinker, built as a QKeras model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hwflow.formats import parse
from hwflow.ops.reuse import divisors, legal_depthwise_reuse_factors, legal_reuse_factors

if TYPE_CHECKING:
    import tensorflow as tf

INPUT = "InputLayer"
QUANTIZER = "quantizer"
"""Key that tells a quantizer's parameters from other dictionaries: ``{"quantizer": "ternary", "alpha": 1}``."""
FORMAT = "format"
"""Quantizer that stands for a number format in text form: ``{"quantizer": "format", "text": "minifloat<4,3>"}``."""

CYCLES = 1500
"""Reuse factors stay within this many cycles a frame, so that a simulation costs a fraction of a second."""


@dataclass(frozen=True)
class LayerSpec:
    """One layer.

    Parameters
    ----------
    name : str
        Its name.
    kind : str
        Keras or QKeras class.
    inputs : tuple of str
        Layers it reads.
    args : mapping
        Arguments of the class, quantizers as dictionaries (:data:`QUANTIZER`); ``shape`` of an input.
    hls : mapping
        Its entry under ``HLSConfig.LayerName``, without reuse and parallelization factor.
    fold : float
        Which of the legal reuse factors within :data:`CYCLES` it gets, 0 (the smallest) to 1.
    parallel : float
        Which of the parallelization factors that are legal then it gets, 0 (none) to 1.
    exact : bool
        Whether Keras in float64 computes the same numbers, given inputs for which that holds.
    """

    name: str
    kind: str
    inputs: tuple[str, ...] = ()
    args: Mapping[str, Any] = field(default_factory=dict)
    hls: Mapping[str, Any] = field(default_factory=dict)
    fold: float = 0.0
    parallel: float = 0.0
    exact: bool = True


@dataclass(frozen=True)
class NetSpec:
    """A whole network with its stimuli.

    Parameters
    ----------
    seed : int
        Seed of weights and frames.
    layers : tuple of LayerSpec
        In dataflow order.
    outputs : tuple of str
        Layers whose tensors leave the network.
    io_type : str
        hls4ml's I/O type.
    input_type : str
        Grid of the inputs.
    frames : int
        Frames computed.
    idle, stall : int
        Shares of cycles without input offered and without output taken, in 1/1000, of the run under stalls.
    """

    seed: int
    layers: tuple[LayerSpec, ...]
    outputs: tuple[str, ...]
    io_type: str = "io_stream"
    input_type: str = "ap_fixed<8,1>"
    frames: int = 4
    idle: int = 0
    stall: int = 0

    def layer(self, name: str) -> LayerSpec:
        """The layer of that name."""
        return next(layer for layer in self.layers if layer.name == name)

    def pruned(self) -> NetSpec:
        """Without the layers that no output needs."""
        needed = set(self.outputs)
        for layer in reversed(self.layers):
            if layer.name in needed:
                needed.update(layer.inputs)
        return replace(self, layers=tuple(layer for layer in self.layers if layer.name in needed))

    def exact_layers(self) -> set[str]:
        """Layers for which Keras in float64 gives the same numbers."""
        exact: set[str] = set()
        for layer in self.layers:
            as_in_keras = layer.exact and (layer.kind == INPUT or "Precision" not in layer.hls)
            if as_in_keras and exact.issuperset(layer.inputs):
                exact.add(layer.name)
        return exact

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NetSpec:
        """Inverse of :meth:`to_json`, from a JSON file, too."""
        layers = tuple(LayerSpec(**{**layer, "inputs": tuple(layer["inputs"])}) for layer in data["layers"])
        return cls(**{**data, "layers": layers, "outputs": tuple(data["outputs"])})


#: What formats with parameters that depend on data are fitted to.
_FITTED_TO = np.random.default_rng(0).normal(0, 0.6, 256)


def make_layer(spec: LayerSpec) -> tf.keras.layers.Layer:
    """The Keras layer, without weights."""
    import qkeras
    import tensorflow as tf

    home = qkeras if hasattr(qkeras, spec.kind) else tf.keras.layers
    args = {key: _argument(value) for key, value in spec.args.items()}
    if spec.kind == "QActivation":
        return home.QActivation(args["activation"], name=spec.name)
    return getattr(home, spec.kind)(name=spec.name, **args)


def _argument(value: Any) -> Any:
    """Quantizers from dictionaries, tuples from the lists of JSON."""
    import qkeras

    if isinstance(value, Mapping) and value.get(QUANTIZER) == FORMAT:
        from hwflow.formats.keras import FormatQuantizer

        return FormatQuantizer(parse(value["text"]).fit(_FITTED_TO))
    if isinstance(value, Mapping) and QUANTIZER in value:
        parameters = {key: item for key, item in value.items() if key != QUANTIZER}
        return getattr(qkeras, value[QUANTIZER])(**parameters)
    return tuple(_argument(item) for item in value) if isinstance(value, list | tuple) else value


def output_shape(spec: LayerSpec, inputs: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Shape of a layer's tensor, batch axis left out.

    Parameters
    ----------
    spec : LayerSpec
        Any layer but an input.
    inputs : sequence of tuple of int
        Shapes it reads.
    """
    shapes = [(None, *shape) for shape in inputs]
    shape = make_layer(spec).compute_output_shape(shapes[0] if len(shapes) == 1 else shapes)
    return tuple(int(size) for size in tuple(shape)[1:])


def build_model(net: NetSpec) -> tf.keras.Model:
    """The QKeras model with random weights by seed and layer name."""
    import tensorflow as tf

    tensors: dict[str, Any] = {}
    for spec in net.layers:
        if spec.kind == INPUT:
            tensors[spec.name] = tf.keras.Input(tuple(spec.args["shape"]), name=spec.name)
            continue
        read = [tensors[name] for name in spec.inputs]
        tensors[spec.name] = make_layer(spec)(read[0] if len(read) == 1 else read)
    inputs = [tensors[spec.name] for spec in net.layers if spec.kind == INPUT]
    model = tf.keras.Model(inputs, [tensors[name] for name in net.outputs], name="fuzz")
    for layer in model.layers:
        if layer.weights:
            rng = _rng(net.seed, layer.name)
            layer.set_weights([_weight(rng, variable.name, variable.shape) for variable in layer.weights])
    return model


def _rng(seed: int, name: str) -> np.random.Generator:
    """Random numbers that depend on nothing but seed and name, so that other layers may come and go."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))


def _weight(rng: np.random.Generator, variable: str, shape: Sequence[int]) -> Any:
    """Random values of a weight, coarse enough for a fixed-point type where no quantizer stands in between."""
    kind, shape = variable.split("/")[-1].partition(":")[0], tuple(shape)
    if kind == "alpha":  # slopes
        return np.rint(rng.normal(0, 24, shape)) / 32
    if kind == "moving_variance":
        return rng.uniform(0.25, 4, shape)
    if kind == "gamma":
        return rng.uniform(0.5, 2, shape) * rng.choice((-1, 1), shape)
    if kind == "iteration":
        return np.zeros(shape, np.int64)
    return rng.normal(0, 0.6, shape)


def hls_config(net: NetSpec, model: tf.keras.Model) -> dict[str, Any]:
    """``HLSConfig`` of the network, with the reuse factors that its folds stand for."""
    entries: dict[str, Any] = {}
    for spec in net.layers:
        entry = dict(spec.hls)
        layer = model.get_layer(spec.name)
        legal = _legal(layer)
        if legal:
            pixels = math.prod(layer.output_shape[1:-1])
            within = [factor for factor in legal if factor * pixels <= CYCLES] or legal[:1]
            factor = entry["ReuseFactor"] = within[round(spec.fold * (len(within) - 1))]
            shared = [n for n in divisors(factor) if net.io_type == "io_stream" or pixels % n == 0]
            if spec.parallel:
                entry["ParallelizationFactor"] = shared[round(spec.parallel * (len(shared) - 1))]
        if entry:
            entries[spec.name] = entry
    return {"Model": {"Precision": "fixed<16,6>", "ReuseFactor": 1}, "LayerName": entries}


def _legal(layer: tf.keras.layers.Layer) -> list[int]:
    """Legal reuse factors of a layer, none where it has no multipliers to share."""
    legal = []
    if hasattr(layer, "depthwise_kernel"):
        *window, channels, _ = layer.depthwise_kernel.shape
        legal.append(legal_depthwise_reuse_factors(math.prod(window), channels))
    for name in ("kernel", "pointwise_kernel"):
        if hasattr(layer, name):
            *reads, writes = getattr(layer, name).shape
            legal.append(legal_reuse_factors(math.prod(reads), writes))
    # both halves of a separable layer get the factor
    return sorted(set(legal[0]).intersection(*legal[1:])) if legal else []
