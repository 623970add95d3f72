# SPDX-License-Identifier: Apache-2.0
"""Small whole networks: a MobileFaceNet in miniature, and random ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.numerics.fixed import Cast, FixedType, Overflow, Rounding
from hwflow.ops import casekit
from hwflow.ops.casekit import Pair, grid, quantizer
from hwflow.ops.concat.cases import concat
from hwflow.ops.pad.cases import pad
from hwflow.ops.permute.cases import permute
from hwflow.ops.pool.cases import pool
from hwflow.ops.registry import op
from hwflow.ops.upsample.cases import upsample


class Builder:
    """Appends layers with random parameters.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of parameters.
    cycles : int
        Reuse factors are the largest that keep every layer within this many cycles a frame.
    """

    def __init__(self, rng: np.random.Generator, cycles: int) -> None:
        self.rng = rng
        self.cycles = cycles
        self.nodes: list[QuantNode] = []

    def _append(self, node: QuantNode) -> QuantNode:
        self.nodes.append(node)
        return node

    def _name(self, kind: str) -> str:
        return f"{kind}{len(self.nodes)}"

    def _folded(self, node: QuantNode, source: QuantNode, n_in: int, n_out: int, largest: bool) -> QuantNode:
        """The node with a reuse factor that hardware supports."""
        products = n_in * n_out
        legal = [rf for rf in range(1, products + 1) if products % rf == 0]
        if node.op != "depthwise_conv2d":
            legal = [rf for rf in legal if (n_in % rf == 0 if rf <= n_in else rf % n_in == 0)]
        legal = [rf for rf in legal if not op(node.op).check(replace(node, reuse_factor=rf), [source])]
        within = [rf for rf in legal if rf * node.pixels <= self.cycles] or legal[:1]
        return replace(node, reuse_factor=max(within) if largest else int(self.rng.choice(within)))

    def input(self, shape: tuple[int, ...], type_: FixedType) -> QuantNode:
        """The input."""
        return self._append(casekit.tensor(shape, type_, "input"))

    def conv(
        self, x: QuantNode, channels: int, kernel: Pair, stride: Pair = 1, *, same: bool = True, largest: bool = True,
        weight: FixedType | None = None,
    ) -> QuantNode:  # fmt: skip
        """A convolution with its exact result."""
        attrs = casekit.window_attrs(x, kernel, stride, same=same)
        weight = weight or grid(6, 6)
        n_in = attrs["kernel_h"] * attrs["kernel_w"] * x.channels
        cast = Cast(grid(40, x.type.frac + weight.frac))
        bias = grid(8, x.type.frac + 3)
        node = casekit.conv2d(
            self.rng, x, channels, attrs, cast, weight=weight, bias=bias, reuse=n_in, name=self._name("conv")
        )
        return self._append(self._folded(node, x, n_in, channels, largest))

    def depthwise(
        self, x: QuantNode, kernel: Pair, stride: Pair = 1, *, same: bool = True, largest: bool = True
    ) -> QuantNode:
        """A depthwise convolution with its exact result."""
        attrs = casekit.window_attrs(x, kernel, stride, same=same)
        weight = grid(6, 5)
        taps = attrs["kernel_h"] * attrs["kernel_w"]
        cast = Cast(grid(40, x.type.frac + weight.frac))
        bias = grid(8, x.type.frac + 3)
        node = casekit.depthwise_conv2d(
            self.rng, x, attrs, cast, weight=weight, bias=bias, reuse=taps, name=self._name("depthwise")
        )
        return self._append(self._folded(node, x, taps, x.channels, largest))

    def dense(self, x: QuantNode, outputs: int, *, largest: bool = True) -> QuantNode:
        """A fully connected layer with its exact result."""
        cast, bias = Cast(grid(40, x.type.frac + 5)), grid(8, x.type.frac + 3)
        node = casekit.dense(
            self.rng,
            x,
            outputs,
            cast,
            weight=grid(6, 5),
            bias=bias,
            reuse=x.channels,
            name=self._name("dense"),
        )
        return self._append(self._folded(node, x, x.channels, outputs, largest))

    def quantize(self, x: QuantNode, cast: Cast | None = None, function: str = "linear") -> QuantNode:
        """An activation."""
        return self._append(casekit.activation(x, cast or quantizer(8, 3), function, self._name("act")))

    def prelu(self, x: QuantNode) -> QuantNode:
        """A parametric rectifier with its exact result."""
        cast = Cast(grid(50, x.type.frac + 5))
        return self._append(casekit.prelu(self.rng, x, cast, grid(7, 5), self._name("prelu")))

    def add(self, a: QuantNode, b: QuantNode) -> QuantNode:
        """A sum with its exact result."""
        cast = Cast(grid(48, max(a.type.frac, b.type.frac)))
        return self._append(casekit.add(a, b, cast, self._name("add")))

    def reshape(self, x: QuantNode, shape: tuple[int, ...]) -> QuantNode:
        """A reshape."""
        return self._append(casekit.reshape(x, shape, self._name("reshape")))

    def pool(
        self, x: QuantNode, kernel: int, stride: int = 1, *, same: bool = True, mean: bool = False
    ) -> QuantNode:
        """A maximum, or a mean with three more fractional bits."""
        attrs = casekit.window_attrs(x, kernel, stride, same=same)
        if not mean:
            return self._append(pool(x, attrs, Cast(x.type), name=self._name("max")))
        cast, frac = Cast(grid(x.type.width + 4, x.type.frac + 3)), x.type.frac + 3
        return self._append(pool(x, attrs, cast, "average", frac=frac, name=self._name("mean")))

    def moved(self, x: QuantNode) -> QuantNode:
        """The values of a frame elsewhere: with margins, cropped, repeated, turned or joined."""
        kind = self.rng.choice(["pad", "crop", "upsample", "permute", "columns", "channels"])
        name, height = self._name(str(kind)), x.shape[0]
        if kind == "pad":
            top, bottom, left, right = (int(margin) for margin in self.rng.integers(0, 2, 4))
            return self._append(pad(x, (top, bottom, left, right), name))
        if kind == "crop":
            return self._append(pad(x, (-1 if height > 3 else 0, 0, 0, -1 if x.shape[1] > 3 else 0), name))
        if kind == "upsample":
            return self._append(upsample(x, *((2, 1) if height < 6 else (1, 1)), name))
        if kind == "permute":
            return self._append(permute(x, (1, 0, 2), name))
        other = self.quantize(x, Cast(x.type, overflow=Overflow.SAT))
        axis = 2 if kind == "channels" and x.channels < 6 else 0
        return self._append(concat(x, other, axis, Cast(x.type), f"{name}_joined"))

    def graph(self, name: str) -> QuantGraph:
        """What has been built; the last node is the output."""
        return QuantGraph(name, tuple(self.nodes), (self.nodes[-1].name,))


def tiny_mobilefacenet(cycles: int = 1200) -> QuantGraph:
    """The face network's topology: strided stem, bottlenecks with and without residual, global depthwise, embedding."""
    net = Builder(np.random.default_rng(11), cycles)

    def rectified(x: QuantNode) -> QuantNode:
        return net.quantize(net.prelu(x))

    x = rectified(net.conv(net.input((12, 12, 3), grid(8, 7)), 8, 3, 2))
    x = rectified(net.depthwise(x, 3))
    for expanded, channels, stride in ((8, 4, 2), (8, 4, 1)):
        y = rectified(net.conv(x, expanded, 1))
        y = rectified(net.depthwise(y, 3, stride))
        y = net.conv(y, channels, 1)
        x = net.quantize(net.add(x, y) if stride == 1 else y)
    x = rectified(net.conv(x, 16, 1))
    x = net.quantize(net.depthwise(x, x.shape[0], same=False))
    x = net.quantize(net.conv(x, 6, 1), quantizer(12, 6))
    net.reshape(x, (6,))
    return net.graph("tiny_mobilefacenet")


def random_network(seed: int) -> QuantGraph:
    """A random network of a dozen layers: kernels, strides, residuals, pools, moved values, grids, reuse factors."""
    rng = np.random.default_rng(seed)
    net = Builder(rng, int(rng.integers(300, 1200)))

    def flip() -> bool:
        return bool(rng.integers(2))

    def quantized(x: QuantNode) -> QuantNode:
        if flip():
            x = net.prelu(x)
        rounding = Rounding(str(rng.choice([mode.value for mode in Rounding])))
        overflow = Overflow(str(rng.choice([mode.value for mode in Overflow])))
        width, signed = int(rng.integers(2, 9)), flip()
        cast = Cast(FixedType(signed, width, int(rng.integers(0, 5))), rounding, overflow)
        return net.quantize(x, cast, "linear" if flip() else "relu")

    size = int(rng.integers(6, 11))
    x = net.input(
        (size, size + int(rng.integers(0, 3)), int(rng.integers(1, 4))), grid(8, int(rng.integers(0, 8)))
    )
    x = quantized(net.conv(x, int(rng.integers(2, 7)), 3, int(rng.integers(1, 3)), largest=flip()))

    def geometry(x: QuantNode) -> tuple[int, int, bool]:
        """Kernel, stride and padding."""
        return int(rng.integers(1, min(3, *x.shape[:2]) + 1)), int(rng.integers(1, 3)), flip()

    for _ in range(3):
        side = min(x.shape[:2])
        kernel, stride, same = geometry(x)
        if flip():  # residual
            y = quantized(net.conv(x, x.channels + int(rng.integers(0, 3)), kernel, largest=flip()))
            y = quantized(net.depthwise(y, min(3, side), largest=flip()))
            y = net.conv(y, x.channels, 1, largest=flip())
            x = quantized(net.add(x, y))
        elif flip():
            x = quantized(net.depthwise(x, kernel, stride, same=same, largest=flip()))
        else:
            x = quantized(net.conv(x, int(rng.integers(2, 7)), kernel, stride, same=same, largest=flip()))
        if flip():
            x = net.moved(x)
        if flip():
            x = quantized(net.pool(x, int(rng.integers(2, 4)), int(rng.integers(1, 3)), mean=flip()))
    if flip():
        x = net.quantize(net.depthwise(x, x.shape[:2], same=False, largest=flip()))
    x = net.reshape(x, (x.pixels * x.channels,))
    net.dense(x, int(rng.integers(2, 6)), largest=flip())
    return net.graph(f"random_{seed}")
