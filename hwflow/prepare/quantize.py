# SPDX-License-Identifier: Apache-2.0
"""Choosing the fixed-point grid of every tensor, kernel, bias and slope."""

from __future__ import annotations

from hwflow.config.schema import PrepareConfig
from hwflow.errors import ConfigError, did_you_mean
from hwflow.formats import Fixed, Format, fit_groups, parse
from hwflow.numerics.fixed import FixedType
from hwflow.prepare.build import Scheme
from hwflow.prepare.grids import activation_grid, as_format, best_grid, bias_grid, channel_scales, offset_grid
from hwflow.prepare.net import ACTIVATIONS, MEANS, MOVES, WEIGHTED, Floats, Net, Node

INPUT = FixedType(True, 8, 7)
"""Grid of the network's input: pixels less 128, over 128."""
_OFFSET_BITS = 16


def quantized_tensors(net: Net) -> list[str]:
    """Names of the nodes whose tensor gets a quantizer, in the order of the network.

    A convolution or dense layer whose readers are all activations or additions stays raw, and so does
    an addition before activations: their exact accumulators go on.
    """
    names = []
    for node in net:
        if node.kind in ("input", *MOVES):
            continue
        raw_readers = {*ACTIVATIONS, "add"} if node.kind in WEIGHTED else {*ACTIVATIONS}
        readers = {reader.kind for reader in net.readers(node.name)}
        if node.kind in (*ACTIVATIONS, *MEANS) or not readers or not readers <= raw_readers:
            names.append(node.name)
    return names


def result_tensor(net: Net) -> str:
    """Name of the node that makes the values of the network's output."""
    node = net.nodes[net.output]
    while node.kind in MOVES and len(node.inputs) == 1:
        node = net.nodes[node.inputs[0]]
    return node.name


def tensor_frac(net: Net, formats: dict[str, Format], name: str) -> int:
    """Fractional bits of a tensor that a layer with weights reads."""
    node = net.nodes[name]
    if node.kind in MOVES:
        return max(tensor_frac(net, formats, source) for source in node.inputs)
    return (INPUT if node.kind == "input" else formats[name].grid).frac


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
    result = result_tensor(net)
    for name, magnitude in ranges.items():
        bits = activation_bits(config, name, is_result=name == result)
        grid = activation_grid(magnitude, bits, signed=is_signed(net, name))
        own = config.ActivationFormat is not None and name != result
        scheme.activations[name] = parse(str(config.ActivationFormat)) if own else as_format(grid)
    scheme.weights.update(_shared_formats(net, config))
    for node in net:
        if node.kind == "prelu":
            scheme.slopes[node.name] = best_grid(node.arrays["slope"], config.SlopeBits)
        if node.kind in WEIGHTED:
            if node.name not in scheme.weights:
                _choose_fixed(node, scheme, config)
            choose_bias(net, node, scheme)
    return scheme


def weight_format(config: PrepareConfig, layer: str) -> str | None:
    """Text form of the format of a layer's weights; None for fixed point."""
    exception = config.Layers.get(layer)
    if exception is None or (exception.WeightFormat is None and exception.WeightBits is None):
        return config.WeightFormat
    return exception.WeightFormat


def _shared_formats(net: Net, config: PrepareConfig) -> dict[str, Format]:
    """Formats other than fixed point, fitted to the layers that share them."""
    kernels: dict[str, dict[str, Floats]] = {}
    for node in net:
        text = weight_format(config, node.name) if node.kind in WEIGHTED else None
        if text is not None:
            kernels.setdefault(text, {})[node.name] = node.arrays["kernel"]
    found: dict[str, Format] = {}
    for text, tensors in kernels.items():
        groups = {name: layer_group(net.nodes[name]) for name in tensors}
        scope = groups if config.FormatScope == "group" else config.FormatScope
        found |= fit_groups(parse(text), tensors, scope)
    return found


def layer_group(node: Node) -> str:
    """Which layers are alike: ``conv``, ``pointwise``, ``depthwise`` or ``dense``."""
    return "pointwise" if node.kind == "conv" and node.arrays["kernel"].shape[:2] == (1, 1) else node.kind


def _choose_fixed(node: Node, scheme: Scheme, config: PrepareConfig) -> None:
    """Fixed point for a layer's weights, and their scales."""
    kernel, bits = node.arrays["kernel"], weight_bits(config, node.name)
    if config.Scale == "layer":
        scheme.weights[node.name] = as_format(best_grid(kernel, bits))
        return
    scheme.weights[node.name] = Fixed(bits, 1)
    scheme.scales[node.name] = channel_scales(
        kernel,
        bits,
        axis=2 if node.kind == "depthwise" else kernel.ndim - 1,
        power_of_two=config.Scale == "channel_po2",
        precision=config.ScaleBits,
    )


def choose_bias(net: Net, node: Node, scheme: Scheme) -> None:
    """Grid of a layer's bias: that of its sums, or behind scales one of its own."""
    bias = node.arrays["bias"]
    if node.name in scheme.scales:
        scheme.biases[node.name] = offset_grid(bias, _OFFSET_BITS)
    else:
        weights = scheme.weights[node.name]
        fixed = isinstance(weights, Fixed)
        grid = weights.grid if fixed else weights.grid_of(weights.quantize(node.arrays["kernel"]))
        frac = grid.frac + tensor_frac(net, scheme.activations, node.inputs[0])
        scheme.biases[node.name] = bias_grid(bias, frac)


def is_signed(net: Net, name: str) -> bool:
    """Whether a quantized tensor takes negative values."""
    return net.nodes[name].kind != "relu"


def activation_bits(config: PrepareConfig, tensor: str, *, is_result: bool) -> int:
    """Bits of a quantized tensor."""
    return _bits(config, tensor, "ActivationBits", config.OutputBits if is_result else config.ActivationBits)


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
        When one names no layer, or bits that its layer has not, or weights are to have one bit, or scales that
        their format has not.
    UserError
        When a number format is unknown.
    """
    weighted = [node.name for node in net if node.kind in WEIGHTED]
    quantized = quantized_tensors(net)
    formats = {layer: weight_format(config, layer) for layer in weighted}
    for layer, text in formats.items():
        if text is not None:
            parse(text)
            if config.Scale != "layer":
                raise ConfigError(
                    f"Prepare: Scale {config.Scale!r} is for fixed point; layer {layer!r} has weights of {text}",
                    "leave out Scale, or WeightFormat",
                )
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
        if (bits.WeightBits or bits.WeightFormat) is not None and name not in weighted:
            raise ConfigError(f"Prepare/Layers: layer {name!r} has no weights", did_you_mean(name, weighted))
        if bits.ActivationBits is not None and name not in quantized:
            raise ConfigError(
                f"Prepare/Layers: the output of layer {name!r} is not quantized; it goes on exactly",
                did_you_mean(name, quantized),
            )
