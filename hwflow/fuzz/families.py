# SPDX-License-Identifier: Apache-2.0
"""What a random network can be made of: layer families with their weights, each a function that draws one layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwflow.fuzz.network import FORMAT, QUANTIZER
from hwflow.numerics.fixed import Overflow, Rounding
from hwflow.ops.distributed import STRATEGY

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A layer without name and inputs (see :class:`hwflow.fuzz.network.LayerSpec`)."""

    kind: str
    args: Mapping[str, Any]
    hls: Mapping[str, Any] = field(default_factory=dict)
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Family:
    """Layers that are drawn alike.

    Parameters
    ----------
    kinds : tuple of str
        Keras classes; those that hwflow supports are drawn.
    weight : float
        How often it is chosen, against the other families.
    ranks : tuple of int
        Ranks of the tensors that it reads, batch axis left out.
    draw : callable
        Makes a layer of a class for tensors of a shape; None where none fits.
    merges : bool
        Whether it reads several tensors.
    widens : bool
        Whether its exact result is so much wider than its input that a quantizer should follow soon.
    """

    kinds: tuple[str, ...]
    weight: float
    ranks: tuple[int, ...]
    draw: Callable[[Draw, str, Shape], Drawn | None]
    merges: bool = False
    widens: bool = False


class Draw:
    """Random choices.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where they come from.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def flip(self, share: float = 0.5) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < share)

    def number(self, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``, both included."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, *items: Any) -> Any:
        """One of the items."""
        return items[self.number(0, len(items) - 1)]

    # -- grids -----------------------------------------------------------------------------------------

    def weight_quantizer(self) -> dict[str, Any]:
        """Of a kernel: fixed point, with a scale a layer, binary, ternary, power of two, a format of hwflow's own."""
        kind = self.pick("fixed", "fixed", "fixed", "scaled", "binary", "ternary", "po2", FORMAT)
        if kind in ("fixed", "scaled"):
            bits = self.number(2, 8)
            alpha: Any = 1 if kind == "fixed" else "auto_po2"
            return {QUANTIZER: "quantized_bits", "bits": bits, "integer": self.number(0, 1), "alpha": alpha}
        if kind == "po2":
            return {QUANTIZER: "quantized_po2", "bits": self.number(3, 4), "max_value": self.pick(1, 2)}
        if kind == FORMAT:
            exponent, mantissa = self.number(2, 3), self.number(1, 3)
            minifloat = f"minifloat<{exponent},{mantissa}>"
            table = f"codebook<{self.pick(4, 8, 16)},fixed<{self.number(4, 8)}>>"
            return {QUANTIZER: FORMAT, "text": self.pick(minifloat, table, f"hybrid<8,{minifloat}>")}
        return {QUANTIZER: kind, "alpha": 1}

    def bias_quantizer(self) -> dict[str, Any]:
        """Of a bias."""
        return {
            QUANTIZER: "quantized_bits",
            "bits": self.number(3, 8),
            "integer": self.number(0, 2),
            "alpha": 1,
        }

    def quantizer(self) -> dict[str, Any]:
        """Of an activation: any width, signed or not, symmetric or not, integer bits up to beyond the width."""
        if self.flip():
            bits = self.number(1, 8)
            return {QUANTIZER: "quantized_relu", "bits": bits, "integer": self.number(0, 5)}
        drawn = {
            QUANTIZER: "quantized_bits",
            "bits": self.number(2, 10),
            "integer": self.number(0, 4),
            "alpha": 1,
        }
        extra: dict[str, Any] = self.pick({}, {}, {"symmetric": 1}, {"keep_negative": 0})
        return drawn | extra

    def precision(self) -> str:
        """A type with every rounding and overflow mode, integer bits negative or above the width."""
        width = self.number(2, 12)
        integer = self.number(-2, width + 2)
        rounding = self.pick(*Rounding).value
        overflow = self.pick(*Overflow).value
        return f"{self.pick('ap_fixed', 'ap_ufixed')}<{width},{integer},{rounding},{overflow}>"

    def strategy(self) -> dict[str, Any]:
        """How the C++ multiplies; the result is the same."""
        name = self.pick("", "", "latency", "resource", STRATEGY)
        return {"Strategy": name} if name else {}

    # -- parts of layers -------------------------------------------------------------------------------

    def window(self, shape: Shape, largest: int = 3) -> list[int]:
        """A kernel or pool that fits."""
        sizes = [self.number(1, min(largest, size)) for size in shape[:-1]]
        return [max(sizes[0], 1)] * len(sizes) if self.flip() and len(set(shape[:-1])) == 1 else sizes

    def strides(self, shape: Shape) -> list[int]:
        """Steps of a window; hls4ml and Keras take them equal where they are not 1 in depthwise layers."""
        return [self.pick(1, 1, 2)] * (len(shape) - 1)

    def weighted(self, kernel: str = "kernel", biased: bool = True) -> dict[str, Any]:
        """Quantizers of a layer with weights, and now and then an activation of its own."""
        args: dict[str, Any] = {f"{kernel}_quantizer": self.weight_quantizer()}
        if self.flip(0.8):
            args["bias_quantizer"] = self.bias_quantizer()
        else:
            args["use_bias"] = False
        if self.flip(0.15):
            args["activation"] = self.quantizer()
        return args


def _conv(draw: Draw, kind: str, shape: Shape) -> Drawn:
    args = {
        "filters": draw.number(1, 6),
        "kernel_size": draw.window(shape),
        "strides": draw.strides(shape),
        "padding": draw.pick("same", "valid"),
    }
    return Drawn(kind, args | draw.weighted(), draw.strategy())


def _depthwise(draw: Draw, kind: str, shape: Shape) -> Drawn:
    args = {
        "kernel_size": draw.window(shape),
        "strides": draw.strides(shape),
        "padding": draw.pick("same", "valid"),
        "depth_multiplier": draw.pick(1, 1, 1, 2),
    }
    return Drawn(kind, args | draw.weighted("depthwise"), draw.strategy())


def _folded(draw: Draw, kind: str, shape: Shape) -> Drawn:
    """A convolution that holds its batch normalization."""
    base = _depthwise(draw, kind, shape) if "Depthwise" in kind else _conv(draw, kind, shape)
    args = {key: value for key, value in base.args.items() if key not in ("use_bias", "activation")}
    return Drawn(kind, {**args, "bias_quantizer": draw.bias_quantizer()}, base.hls)


def _separable(draw: Draw, kind: str, shape: Shape) -> Drawn:
    weights = draw.weighted("depthwise")
    args = {
        "filters": draw.number(1, 6),
        "kernel_size": draw.window(shape),
        "strides": draw.strides(shape),
        "padding": draw.pick("same", "valid"),
        "pointwise_quantizer": draw.weight_quantizer(),
    }
    return Drawn(kind, args | weights)


def _dense(draw: Draw, kind: str, shape: Shape) -> Drawn:
    return Drawn(kind, {"units": draw.number(1, 12)} | draw.weighted(), draw.strategy())


def _quantize(draw: Draw, kind: str, shape: Shape) -> Drawn:
    if draw.flip(0.1):
        text = f"minifloat<{draw.number(2, 4)},{draw.number(1, 3)}>"
        return Drawn(kind, {"activation": {QUANTIZER: FORMAT, "text": text}})
    return Drawn(kind, {"activation": draw.quantizer()})


def _quantize_by_type(draw: Draw, kind: str, shape: Shape) -> Drawn:
    """An activation whose type the configuration gives."""
    hls = {"Precision": {"result": draw.precision()}}
    return Drawn(kind, {"activation": draw.pick("linear", "relu")}, hls)


def _prelu(draw: Draw, kind: str, shape: Shape) -> Drawn:
    return Drawn(kind, {"shared_axes": list(range(1, len(shape)))} if len(shape) > 1 else {})


def _plain(draw: Draw, kind: str, shape: Shape) -> Drawn:
    return Drawn(kind, {})


def _pool(draw: Draw, kind: str, shape: Shape) -> Drawn:
    one_dimensional = len(shape) == 2
    size, strides = draw.window(shape), draw.pick(None, *range(1, 3))
    args = {
        "pool_size": size[0] if one_dimensional else size,
        "strides": strides,
        "padding": draw.pick("same", "valid"),
    }
    return Drawn(kind, args, exact="Average" not in kind)


def _global_pool(draw: Draw, kind: str, shape: Shape) -> Drawn:
    return Drawn(kind, {"keepdims": draw.flip()}, exact="Average" not in kind)


def _pad(draw: Draw, kind: str, shape: Shape) -> Drawn:
    sides = [[draw.number(0, 2), draw.number(0, 2)] for _ in shape[:-1]]
    return Drawn(kind, {"padding": sides[0] if len(shape) == 2 else sides})


def _crop(draw: Draw, kind: str, shape: Shape) -> Drawn | None:
    if min(shape[:-1]) < 3:
        return None
    sides = [[draw.number(0, 1), draw.number(0, 1)] for _ in shape[:-1]]
    return Drawn(kind, {"cropping": sides[0] if len(shape) == 2 else sides})


def _upsample(draw: Draw, kind: str, shape: Shape) -> Drawn | None:
    if math.prod(shape[:-1]) > 64:
        return None
    size = [draw.number(1, 2) for _ in shape[:-1]]
    return Drawn(kind, {"size": size[0] if len(shape) == 2 else size})


def _reshape(draw: Draw, kind: str, shape: Shape) -> Drawn:
    size, channels = math.prod(shape), draw.pick(1, 2, 3, 4)
    while size % channels:
        channels -= 1
    target = draw.pick([size], [size // channels, channels])
    return Drawn(kind, {"target_shape": target})


def _permute(draw: Draw, kind: str, shape: Shape) -> Drawn:
    return Drawn(kind, {"dims": [int(axis) + 1 for axis in draw.rng.permutation(len(shape))]})


def _table(draw: Draw, kind: str, shape: Shape) -> Drawn:
    """An activation that hardware looks up: its grid comes from the configuration."""
    functions = ("sigmoid", "tanh", "elu", "selu", "softplus", "softsign", "hard_sigmoid")
    precision = {"Precision": {"result": f"ap_fixed<{draw.number(6, 12)},{draw.number(2, 4)},RND,SAT>"}}
    return Drawn(kind, {"activation": draw.pick(*functions)}, precision, exact=False)


def _leaky(draw: Draw, kind: str, shape: Shape) -> Drawn:
    return Drawn(kind, {"alpha": draw.pick(0.125, 0.25, 0.5)})


def _threshold(draw: Draw, kind: str, shape: Shape) -> Drawn:
    return Drawn(kind, {"theta": draw.pick(0.25, 0.5, 1.0)})


def _elu(draw: Draw, kind: str, shape: Shape) -> Drawn:
    precision = {"Precision": {"result": f"ap_fixed<{draw.number(6, 12)},{draw.number(2, 4)},RND,SAT>"}}
    return Drawn(kind, {"alpha": draw.pick(0.5, 1.0)}, precision, exact=False)


def _softmax(draw: Draw, kind: str, shape: Shape) -> Drawn:
    return Drawn(kind, {}, {"Precision": {"result": "ap_fixed<16,4,RND,SAT>"}}, exact=False)


def _batch_norm(draw: Draw, kind: str, shape: Shape) -> Drawn:
    hls = {"Precision": {"scale": "ap_fixed<8,3>", "bias": "ap_fixed<8,3>"}}
    return Drawn(kind, {}, hls, exact=False)


def _merge(draw: Draw, kind: str, shape: Shape) -> Drawn:
    return Drawn(kind, {})


def _concatenate(draw: Draw, kind: str, shape: Shape) -> Drawn:
    return Drawn(kind, {"axis": -1})


FAMILIES: Mapping[str, Family] = {
    "conv2d": Family(("QConv2D",), 5, (3,), _conv, widens=True),
    "conv1d": Family(("QConv1D",), 5, (2,), _conv, widens=True),
    "depthwise": Family(("QDepthwiseConv2D",), 3, (3,), _depthwise, widens=True),
    "folded": Family(("QConv2DBatchnorm", "QDepthwiseConv2DBatchnorm"), 1, (3,), _folded, widens=True),
    "separable2d": Family(("QSeparableConv2D",), 1.5, (3,), _separable, widens=True),
    "separable1d": Family(("QSeparableConv1D",), 2, (2,), _separable, widens=True),
    "dense": Family(("QDense",), 5, (1,), _dense, widens=True),
    "prelu": Family(("PReLU",), 1, (1, 2, 3), _prelu, widens=True),
    "leaky": Family(("LeakyReLU",), 1, (1, 2, 3), _leaky, widens=True),
    "batch_norm": Family(
        ("BatchNormalization", "QBatchNormalization"), 1, (1, 2, 3), _batch_norm, widens=True
    ),
    "quantize": Family(("QActivation",), 3, (1, 2, 3), _quantize),
    "type": Family(("Activation",), 1, (1, 2, 3), _quantize_by_type),
    "table": Family(("Activation",), 0.7, (1, 2, 3), _table),
    "elu": Family(("ELU",), 0.3, (1, 2, 3), _elu),
    "threshold": Family(("ThresholdedReLU",), 0.3, (1, 2, 3), _threshold),
    "softmax": Family(("Softmax",), 0.4, (1,), _softmax),
    "relu": Family(("ReLU",), 0.5, (1, 2, 3), _plain),
    "pool2d": Family(("MaxPooling2D", "AveragePooling2D"), 1.5, (3,), _pool),
    "pool1d": Family(("MaxPooling1D", "AveragePooling1D"), 1.5, (2,), _pool),
    "global2d": Family(("GlobalMaxPooling2D", "GlobalAveragePooling2D"), 0.5, (3,), _global_pool),
    "global1d": Family(("GlobalMaxPooling1D", "GlobalAveragePooling1D"), 0.5, (2,), _global_pool),
    "pad": Family(("ZeroPadding2D",), 0.7, (3,), _pad),
    "pad1d": Family(("ZeroPadding1D",), 0.7, (2,), _pad),
    "crop": Family(("Cropping2D",), 0.5, (3,), _crop),
    "crop1d": Family(("Cropping1D",), 0.5, (2,), _crop),
    "upsample": Family(("UpSampling2D",), 0.5, (3,), _upsample),
    "upsample1d": Family(("UpSampling1D",), 0.5, (2,), _upsample),
    "flatten": Family(("Flatten",), 0.5, (2, 3), _plain),
    "reshape": Family(("Reshape",), 0.4, (1, 2, 3), _reshape),
    "permute": Family(("Permute",), 0.4, (2, 3), _permute),
    "merge": Family(("Add", "Subtract", "Maximum", "Minimum"), 3, (1, 2, 3), _merge, merges=True),
    "average": Family(("Average",), 0.7, (1, 2, 3), _merge, merges=True),
    "multiply": Family(("Multiply",), 0.7, (1, 2, 3), _merge, merges=True, widens=True),
    "concatenate": Family(("Concatenate",), 1.5, (1, 2, 3), _concatenate, merges=True),
}
