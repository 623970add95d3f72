# SPDX-License-Identifier: Apache-2.0
"""Choosing the fixed-point grid of every tensor, kernel, bias and slope."""

from __future__ import annotations

from hwflow.config.schema import PrepareConfig
from hwflow.errors import ConfigError, did_you_mean
from hwflow.numerics.fixed import FixedType
from hwflow.prepare.build import Scheme
from hwflow.prepare.grids import activation_grid, best_grid, bias_grid
from hwflow.prepare.net import ACTIVATIONS, WEIGHTED, Net

INPUT = FixedType(True, 8, 7)
"""Grid of the network's input: pixels less 128, over 128."""


def quantized_tensors(net: Net) -> list[str]:
    """Names of the nodes whose tensor gets a quantizer, in the order of the network.

    A convolution or dense layer whose readers are all activations or additions stays raw, and so does
    an addition before activations: their exact accumulators go on.
    """
    names = []
    for node in net:
        if node.kind in ("input", "flatten"):
            continue
        raw_readers = {*ACTIVATIONS, "add"} if node.kind in WEIGHTED else {*ACTIVATIONS}
        readers = {reader.kind for reader in net.readers(node.name)}
        if node.kind in ACTIVATIONS or not readers or not readers <= raw_readers:
            names.append(node.name)
    return names


def result_tensor(net: Net) -> str:
    """Name of the node that makes the values of the network's output."""
    return source_of_values(net, net.output)


def source_of_values(net: Net, name: str) -> str:
    """The node that makes a tensor's values: flattening only arranges them."""
    node = net.nodes[name]
    return source_of_values(net, node.inputs[0]) if node.kind == "flatten" else name


def choose_grids(net: Net, ranges: dict[str, float], config: PrepareConfig) -> Scheme:
    """Grids of a network.

    Parameters
    ----------
    net : Net
        Folded and equalised network.
    ranges : dict of str to float
        Magnitude each quantized tensor must hold.
    config : PrepareConfig
        Numbers of bits.

    Returns
    -------
    Scheme
    """
    scheme = Scheme({}, {}, {}, {})
    grids = scheme.activations
    result = result_tensor(net)
    for name, magnitude in ranges.items():
        default = config.OutputBits if name == result else config.ActivationBits
        bits = _bits(config, name, "ActivationBits", default)
        grids[name] = activation_grid(magnitude, bits, signed=net.nodes[name].kind != "relu")
    for node in net:
        if node.kind == "prelu":
            scheme.slopes[node.name] = best_grid(node.arrays["slope"], config.SlopeBits)
        if node.kind in WEIGHTED:
            weights = best_grid(node.arrays["kernel"], weight_bits(config, node.name))
            source = source_of_values(net, node.inputs[0])
            frac = weights.frac + (INPUT if net.nodes[source].kind == "input" else grids[source]).frac
            scheme.weights[node.name] = weights
            scheme.biases[node.name] = bias_grid(node.arrays["bias"], frac)
    return scheme


def weight_bits(config: PrepareConfig, layer: str) -> int:
    """Bits of a layer's weights."""
    return _bits(config, layer, "WeightBits", config.WeightBits)


def _bits(config: PrepareConfig, layer: str, key: str, default: int) -> int:
    exception = config.Layers.get(layer)
    bits: int | None = getattr(exception, key) if exception else None
    return default if bits is None else bits


def check_exceptions(net: Net, config: PrepareConfig) -> None:
    """Check the exceptions by layer name of a configuration.

    Raises
    ------
    ConfigError
        When one names no layer, or bits that its layer has not, or weights are to have one bit.
    """
    weighted = [node.name for node in net if node.kind in WEIGHTED]
    quantized = quantized_tensors(net)
    for name in weighted:
        if weight_bits(config, name) == 1:
            raise ConfigError(
                f"Prepare: 1-bit weights of layer {name!r} cannot be had by rounding trained ones",
                "use at least 2 bits, or bring a model that was trained with binary weights",
            )
    for name, bits in config.Layers.items():
        if name not in net.nodes:
            raise ConfigError(
                f"Prepare/Layers: model {net.name!r} has no layer {name!r}", did_you_mean(name, net.nodes)
            )
        if bits.WeightBits is not None and name not in weighted:
            raise ConfigError(f"Prepare/Layers: layer {name!r} has no weights", did_you_mean(name, weighted))
        if bits.ActivationBits is not None and name not in quantized:
            raise ConfigError(
                f"Prepare/Layers: the output of layer {name!r} is not quantized; it goes on exactly",
                did_you_mean(name, quantized),
            )
