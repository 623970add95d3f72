# SPDX-License-Identifier: Apache-2.0
"""Cutting a failing network down while it fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from hwflow.fuzz.network import INPUT, QUANTIZER, LayerSpec, NetSpec, output_shape

#: Arguments that count something, with their smallest value.
_SIZES = {
    "filters": 1,
    "units": 1,
    "kernel_size": 1,
    "pool_size": 1,
    "strides": 1,
    "depth_multiplier": 1,
    "padding": 0,
    "cropping": 0,
    "size": 1,
}
_PLAIN = {QUANTIZER: "quantized_bits", "bits": 4, "integer": 0, "alpha": 1}


def shrink(net: NetSpec, fails: Callable[[NetSpec], bool], tries: int = 80) -> NetSpec:
    """The smallest network found that still fails.

    Parameters
    ----------
    net : NetSpec
        A network that fails.
    fails : callable
        Whether a network fails in the same way; a network that cannot be built does not.
    tries : int
        Networks tried at most.

    Returns
    -------
    NetSpec
        Fails, and was reached by steps of :func:`candidates`. Where the tries sufficed no single further step
        gives a network that fails.
    """
    seen = {str(net.to_json())}
    shrunk = True
    while shrunk:
        shrunk = False
        for candidate in candidates(net):
            key = str(candidate.to_json())
            if key in seen:
                continue
            if tries == 0:
                return net
            seen.add(key)
            tries -= 1
            if fails(candidate):
                net, shrunk = candidate, True
                break
    return net


def candidates(net: NetSpec) -> Iterator[NetSpec]:
    """Simpler networks, one step away, the boldest steps first."""
    yield from _cut(net)
    yield from _without_layer(net)
    if net.frames > 1:
        yield replace(net, frames=1)
        yield replace(net, frames=net.frames - 1)
    for number, layer in enumerate(net.layers):
        for simpler in _simpler(layer):
            layers = (*net.layers[:number], simpler, *net.layers[number + 1 :])
            yield replace(net, layers=layers)
    if net.idle or net.stall:
        yield replace(net, idle=0, stall=0)
        yield replace(net, idle=0)
        yield replace(net, stall=0)


def _cut(net: NetSpec) -> Iterator[NetSpec]:
    """The part up to a layer, or the part after it."""
    for layer in net.layers[:-1]:
        if layer.kind != INPUT:
            yield replace(net, outputs=(layer.name,)).pruned()
    if len(net.outputs) > 1:
        for name in net.outputs:
            yield replace(net, outputs=tuple(other for other in net.outputs if other != name)).pruned()
    shapes = _shapes(net)
    for layer in reversed(net.layers):
        if layer.kind != INPUT and layer.name not in net.outputs:
            fresh = LayerSpec(layer.name, INPUT, args={"shape": list(shapes[layer.name])})
            layers = (fresh, *(other for other in net.layers if other is not layer))
            yield replace(net, layers=layers).pruned()


def _shapes(net: NetSpec) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in net.layers:
        if layer.kind == INPUT:
            shapes[layer.name] = tuple(layer.args["shape"])
        else:
            shapes[layer.name] = output_shape(layer, [shapes[name] for name in layer.inputs])
    return shapes


def _without_layer(net: NetSpec) -> Iterator[NetSpec]:
    """One layer less: who read it reads what it read."""
    for layer in net.layers:
        for source in dict.fromkeys(layer.inputs):
            layers = tuple(
                replace(other, inputs=tuple(source if name == layer.name else name for name in other.inputs))
                for other in net.layers
                if other is not layer
            )
            outputs = tuple(dict.fromkeys(source if name == layer.name else name for name in net.outputs))
            if net.layer(source).kind != INPUT or layer.name not in net.outputs:
                yield replace(net, layers=layers, outputs=outputs).pruned()


def _simpler(layer: LayerSpec) -> Iterator[LayerSpec]:
    """Smaller sizes, plainer types, no folding."""
    for key, value in layer.args.items():
        for smaller in _smaller(key, value):
            yield replace(layer, args={**layer.args, key: smaller})
    if "activation" in layer.args and layer.kind not in ("Activation", "QActivation"):
        yield replace(layer, args={key: value for key, value in layer.args.items() if key != "activation"})
    if "bias_quantizer" in layer.args:
        args = {key: value for key, value in layer.args.items() if key != "bias_quantizer"}
        yield replace(layer, args={**args, "use_bias": False})
    for key in layer.hls:
        yield replace(layer, hls={other: value for other, value in layer.hls.items() if other != key})
    if layer.parallel:
        yield replace(layer, parallel=0.0)
    if layer.fold:
        yield replace(layer, fold=0.0, parallel=0.0)


def _smaller(key: str, value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping) and QUANTIZER in value:
        plain = {**_PLAIN, "bits": 8} if key == "activation" else _PLAIN
        if value != plain:
            yield plain
    elif value == "same":
        yield "valid"
    elif key == "shape":
        for axis, size in enumerate(value):
            for less in dict.fromkeys((1, size // 2, size - 1)):
                if 0 < less < size:
                    yield [*value[:axis], less, *value[axis + 1 :]]
    elif key in _SIZES:
        yield from _smaller_size(value, _SIZES[key])


def _smaller_size(value: Any, least: int) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for axis, item in enumerate(value):
            for less in _smaller_size(item, least):
                yield [*value[:axis], less, *value[axis + 1 :]]
    elif isinstance(value, int):
        for less in dict.fromkeys((least, value // 2)):
            if least <= less < value:
                yield less
