# SPDX-License-Identifier: Apache-2.0
"""1-D and 2-D convolution, pointwise included; a 1-D one has one row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.ops.base import (
    Access,
    Folding,
    Instance,
    Interval,
    Memory,
    OpSpec,
    Window,
    dense_folding,
    lanes_for,
)
from hwflow.ops.distributed import (
    distributed_folding,
    distributed_instance,
    is_beatwise,
    is_distributed,
    window_of,
)
from hwflow.ops.frontend import KerasCheck, LayerTypes
from hwflow.ops.keras import check_geometry, check_weights
from hwflow.ops.lowering import (
    bias_or_zero,
    output_shape,
    parallel_attrs,
    parameter,
    result_cast,
    reuse_factor,
)
from hwflow.ops.matvec import (
    MATVEC_MODULES,
    accumulator,
    add_bias,
    format_attrs,
    matmul,
    multiplication,
    strategy_attrs,
    sum_interval,
    unit_parameters,
    weight_words,
    weighted_types,
    windows,
)
from hwflow.ops.reuse import PARALLEL, legal_for, legal_reuse_factors, pixel_cycles

# Attributes of the window here and in hls4ml; what a 1-D layer, whose frame is one row, has in their place.
_WINDOW_ATTRS = {
    "in_h": ("in_height", 1),
    "in_w": ("in_width", None),
    "out_h": ("out_height", 1),
    "out_w": ("out_width", None),
    "kernel_h": ("filt_height", 1),
    "kernel_w": ("filt_width", None),
    "stride_h": ("stride_height", 1),
    "stride_w": ("stride_width", None),
    "pad_top": ("pad_top", 0),
    "pad_left": ("pad_left", 0),
}


def window_attrs(layer: Any) -> dict[str, int]:
    """Window attributes of an hls4ml layer."""
    return {ours: int(layer.get_attr(theirs, default)) for ours, (theirs, default) in _WINDOW_ATTRS.items()}


def positions(layer: Any) -> int:
    """Kernel positions of an hls4ml layer."""
    return int(layer.get_attr("filt_height", 1)) * int(layer.get_attr("filt_width"))


def _check_conv(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    yield from check_geometry(layer)
    if layer.groups != 1:
        yield f"groups {layer.groups}", "only 1 is supported"
    yield from check_weights(layer, has_precision)


def _check_separable(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    yield from check_geometry(layer)
    yield from check_weights(layer, has_precision)


class Conv2dOp(OpSpec):
    """``y[o] = cast(bias[o] + sum w[ky, kx, c, o] * x[oy*s + ky - pad, ox*s + kx - pad, c])``.

    The tensors of a 1-D convolution keep their shape (width, channels).

    Parameters of the node: ``weight`` (kernel_h, kernel_w, in_channels, out_channels) and ``bias``
    (out_channels,).
    """

    name: ClassVar[str] = "conv2d"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("Conv1D", "Conv2D", "PointwiseConv1D", "PointwiseConv2D")
    modules: ClassVar[tuple[str, ...]] = ("hwf_conv2d", *MATVEC_MODULES)
    parallel: ClassVar[bool] = True

    keras: ClassVar[Mapping[str, KerasCheck]] = {
        **dict.fromkeys(("Conv1D", "QConv1D", "Conv2D", "QConv2D", "QConv2DBatchnorm"), _check_conv),
        **dict.fromkeys(
            ("SeparableConv1D", "QSeparableConv1D", "SeparableConv2D", "QSeparableConv2D"), _check_separable
        ),
    }

    def types(self, layer: LayerTypes) -> Cast:
        return weighted_types(layer, "weight")

    def legal_reuse(self, layer: Any) -> list[int]:
        return legal_reuse_factors(positions(layer) * layer.get_attr("n_chan"), layer.get_attr("n_filt"))

    def reuse_factors(self, node: QuantNode, inputs: Sequence[QuantNode]) -> list[int]:
        return legal_for(node, legal_reuse_factors(*self._matrix(node).shape))

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        attrs = window_attrs(layer)
        shape = output_shape(layer)
        kernel = (attrs["kernel_h"], attrs["kernel_w"], inputs[0].channels, shape[-1])
        params = {"weight": parameter(layer, "weight", kernel), "bias": bias_or_zero(layer, shape[-1])}
        attrs_all = {**attrs, **strategy_attrs(layer), **format_attrs(layer), **parallel_attrs(layer)}
        return QuantNode(
            name,
            self.name,
            (inputs[0].name,),
            shape,
            result_cast(layer),
            attrs_all,
            params,
            reuse_factor(layer),
        )

    def _matrix(self, node: QuantNode) -> Codes:
        return node.params["weight"].codes.reshape(-1, node.channels)

    def _accumulator(self, node: QuantNode, x: Interval) -> tuple[Codes, Codes]:
        positions = int(node.attrs["kernel_h"]) * int(node.attrs["kernel_w"])
        low, high = np.tile(x.low, positions), np.tile(x.high, positions)
        return accumulator(self._matrix(node), Interval(low[:, None], high[:, None], x.frac))

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        acc_frac = inputs[0].frac + node.params["weight"].type.frac
        return sum_interval(self._accumulator(node, inputs[0]), acc_frac, node.params["bias"])

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        codes, x_type = inputs[0]
        window = Window.of(node)
        if window.is_pixel:
            rows = codes.reshape(-1, codes.shape[-1])
        else:
            rows = windows(codes, window).transpose(0, 1, 2, 4, 5, 3).reshape(-1, self._matrix(node).shape[0])
        acc = matmul(rows, self._matrix(node), x_type).reshape(codes.shape[0], *node.shape)
        return add_bias(acc, x_type.frac + node.params["weight"].type.frac, node.params["bias"])

    def folding(self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int]) -> Folding:
        if is_distributed(node):
            return distributed_folding(node, self._matrix(node), inputs[0].channels)
        n_in, n_out = self._matrix(node).shape
        pe, simd = dense_folding(n_in, n_out, pixel_cycles(node))
        channels, parallel = inputs[0].channels, self._parallel(node)
        lanes_in = channels if parallel else simd
        window = Window.of(node)
        skip = window.unread(channels // lanes_in, pixel_cycles(node))
        straight = (skip.reduced() if skip else window).is_pixel and pe == n_out
        return Folding(
            in_lanes=(lanes_in,),
            out_lanes=lanes_for(pe, n_in // simd),
            cycles=pixel_cycles(node),
            pe=pe,
            simd=simd,
            multipliers=pe * simd,
            latency=3 + multiplication(node, inputs[0], pe, simd).latency(simd),
            buffered=not straight,
            banked=window if parallel and not straight else None,
            skip=skip,
        )

    def access(self, node: QuantNode, inputs: Sequence[QuantNode]) -> tuple[Access, ...] | None:
        return None if is_beatwise(node) else (Window.of(node).access(),)

    def check(self, node: QuantNode, inputs: Sequence[QuantNode]) -> list[str]:
        return check_parallel(node, self._parallel(node))

    def _parallel(self, node: QuantNode) -> bool:
        """Whether several pixels are read a cycle."""
        if is_distributed(node):
            return window_of(node) is not None
        n_in, n_out = self._matrix(node).shape
        return node.params["weight"].codes.shape[2] % dense_folding(n_in, n_out, pixel_cycles(node))[1] != 0

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        matrix = self._matrix(node)
        if is_distributed(node):
            return distributed_instance(node, inputs[0], ranges[0], matrix)
        words = weight_words(matrix, folding)
        acc = self._accumulator(node, ranges[0])
        parameters: dict[str, int | Memory] = {
            "InC": inputs[0].channels,
            "OutC": node.channels,
            "Simd": folding.simd,
        }
        parameters |= window_parameters(folding.skip.reduced() if folding.skip else Window.of(node), pixels)
        return Instance("hwf_conv2d", parameters | unit_parameters(node, inputs[0], acc, folding, words))


def window_parameters(window: Window, pixels: int) -> dict[str, int]:
    """Geometry parameters of a module with a line buffer."""
    names = {
        "InH": "in_h",
        "InW": "in_w",
        "OutH": "out_h",
        "OutW": "out_w",
        "KernelH": "kernel_h",
        "KernelW": "kernel_w",
        "StrideH": "stride_h",
        "StrideW": "stride_w",
        "PadTop": "pad_top",
        "PadLeft": "pad_left",
    }
    return {ours: int(getattr(window, theirs)) for ours, theirs in names.items()} | {"Pixels": pixels}


def check_parallel(node: QuantNode, parallel: bool) -> list[str]:
    """Whether a layer can compute and read as much at once: whole windows must not be wider than the frame."""
    at_once = int(node.attrs.get(PARALLEL, 1))
    if node.reuse_factor % at_once:
        return [
            f"layer {node.name!r}: ParallelizationFactor {at_once} does not divide ReuseFactor {node.reuse_factor}"
        ]
    if parallel and int(node.attrs["kernel_w"]) > int(node.attrs["in_w"]):
        return [
            f"layer {node.name!r}: {pixel_cycles(node)} cycles an output pixel read several pixels a cycle, which a "
            "kernel wider than its frame does not allow; choose a reuse factor of at least the kernel's size, "
            "without a parallelization factor"
        ]
    return []
