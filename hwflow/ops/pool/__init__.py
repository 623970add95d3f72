# SPDX-License-Identifier: Apache-2.0
"""Largest value and mean of a window, sliding or global."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil, log2, prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwflow.ir.graph import QuantNode
from hwflow.numerics.codes import narrowest_type
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.numerics.quantizers import MAX_WEIGHT_BITS
from hwflow.ops.base import (
    Access,
    Folding,
    FollowingOp,
    Instance,
    Interval,
    Memory,
    Window,
    cast_parameters,
    grid_parameters,
    lanes_for,
)
from hwflow.ops.conv2d import window_parameters
from hwflow.ops.frontend import KerasCheck, LayerTypes
from hwflow.ops.keras import check_function
from hwflow.ops.lowering import output_shape, parameter, result_cast
from hwflow.ops.matvec import signed_width, windows


def _check_pool(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    if layer.data_format != "channels_last":
        yield f"data_format {layer.data_format}", "use channels_last"


def _check_quantized_pool(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    yield from _check_pool(layer, has_precision)
    yield from check_function(layer.activation)
    if layer.average_quantizer_internal is None:
        return
    pixels = prod(getattr(layer, "pool_size", None) or layer.input_shape[1:3])
    if narrowest_type(quantized_factor(layer.average_quantizer_internal, pixels), MAX_WEIGHT_BITS) is None:
        yield "its average_quantizer leaves no fixed-point factor", "use quantized_bits with alpha=1"
    if getattr(layer, "padding", "valid") == "same" and any(
        (size % stride or stride) < pool
        for size, stride, pool in zip(layer.input_shape[1:3], layer.strides, layer.pool_size, strict=True)
    ):
        yield (
            "its average_quantizer meets windows that reach into the padding, whose mean QKeras scales by the "
            "full window",
            "use padding='valid' with ZeroPadding2D, or leave average_quantizer out",
        )


def quantized_factor(quantizer: Any, pixels: int) -> NDArray[np.float64]:
    """The factor 1/pixels, of shape (1,), that a QKeras pooling layer with an ``average_quantizer`` takes."""
    import tensorflow as tf

    return np.asarray(quantizer(tf.constant(1.0 / pixels, tf.float32)), np.float64).reshape(1)


class PoolOp(FollowingOp):
    """``y[c] = cast(max x[c])`` or ``cast(trunc(sum x[c] * 2^(frac - x_frac) / n))`` over a window.

    ``n`` counts the window's pixels inside the frame, and the quotient is rounded toward zero on the grid
    ``2^-frac`` of hls4ml's accumulator. With the parameter ``scale`` (1,) the mean is ``sum x[c] * scale``.
    """

    name: ClassVar[str] = "pool"
    hls4ml_classes: ClassVar[tuple[str, ...]] = (
        "Pooling1D",
        "Pooling2D",
        "GlobalPooling1D",
        "GlobalPooling2D",
        "HwflowPooling",
    )
    modules: ClassVar[tuple[str, ...]] = (
        "hwf_pool",
        "hwf_window",
        "hwf_window_parallel",
        "hwf_dwc",
        "hwf_cast",
    )

    keras: ClassVar[Mapping[str, KerasCheck]] = {
        **{f"{prefix}Pooling{rank}D": _check_pool for rank in (1, 2)
           for prefix in ("Max", "Average", "GlobalMax", "GlobalAverage")},
        "QAveragePooling2D": _check_quantized_pool,
        "QGlobalAveragePooling2D": _check_quantized_pool,
    }  # fmt: skip

    def types(self, layer: LayerTypes) -> Cast:
        grid = layer.input_type()
        if layer.node.get_attr("pool_op") == "Max":
            layer.set_accum(grid)
            return layer.given("result") or layer.input_cast()
        sizes = _sizes(Window(**_geometry(layer.node)))
        total, (low, high) = int(sizes.max()), grid.range()
        summed = FixedType.for_range(low * total, high * total, grid.frac)
        if "scale" in layer.node.weights:
            codes, scale = layer.constant("scale", "scale")
            layer.set_accum(summed)
            ends = [end * total * int(codes[0]) for end in (low, high)]
            return layer.result(FixedType.for_range(min(ends), max(ends), grid.frac + scale.frac))
        if layer.given("accum", named=True) is None:
            more = _finer(sizes)
            summed = FixedType(summed.signed, summed.width + more, summed.frac + more)
        layer.set_accum(summed)
        frac = _accum_frac(layer.node)
        ends = [end << (frac - grid.frac) for end in (low, high)]
        return layer.result(FixedType.for_range(min(ends), max(ends), frac))

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        attrs: dict[str, Any] = _geometry(layer)
        attrs["function"] = "max" if layer.get_attr("pool_op") == "Max" else "average"
        params = {}
        if "scale" in layer.weights:
            params["scale"] = parameter(layer, "scale", (1,))
        elif attrs["function"] == "average":
            attrs["frac"] = _accum_frac(layer)
        shape = output_shape(layer)
        return QuantNode(name, self.name, (inputs[0].name,), shape, result_cast(layer), attrs, params)

    def approximates(self, node: QuantNode, inputs: Sequence[QuantNode]) -> bool:
        if node.attrs["function"] == "max" or "scale" in node.params:
            return False
        frac = int(node.attrs["frac"])
        finer = 1 << (frac - inputs[0].type.frac)
        return node.type.frac < frac or bool((finer % _sizes(Window.of(node))).any())

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        x = inputs[0]
        if node.attrs["function"] == "max":
            return x
        if "scale" in node.params:
            scale = node.params["scale"]
            factor = int(scale.codes[0]) * int(_sizes(Window.of(node)).max())
            ends = x.low * factor, x.high * factor
            return Interval(np.minimum(*ends), np.maximum(*ends), x.frac + scale.type.frac)
        frac = int(node.attrs["frac"])
        return Interval(x.low << (frac - x.frac), x.high << (frac - x.frac), frac)

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        codes, x_type = inputs[0]
        window = Window.of(node)
        frames = codes.reshape(codes.shape[0], window.in_h, window.in_w, node.channels)
        shape = (codes.shape[0], *node.shape)
        if node.attrs["function"] == "max":
            # The padding's zero stands for the smallest code.
            lowest = x_type.range()[0]
            return windows(frames - lowest, window).max(axis=(-2, -1)).reshape(shape) + lowest, x_type.frac
        total = windows(frames, window).sum(axis=(-2, -1))
        if "scale" in node.params:
            scale = node.params["scale"]
            return (total * scale.codes[0]).reshape(shape), x_type.frac + scale.type.frac
        frac = int(node.attrs["frac"])
        quotient = (np.abs(total) << (frac - x_type.frac)) // _sizes(window)[:, :, None]
        return (np.sign(total) * quotient).reshape(shape), frac

    def folding_within(
        self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int], cycles: int
    ) -> Folding:
        channels, window = node.channels, Window.of(node)
        taps, read = window.kernel_h * window.kernel_w, window.in_h * window.in_w
        if _is_whole(window):
            pe = lanes_for(channels, max(1, cycles // read))
            return Folding((pe,), pe, channels // pe, latency=7)
        work = max(taps * node.pixels, read)
        pe = lanes_for(channels, max(1, cycles // work))
        simd = 1
        if pe == channels and work > cycles and window.kernel_w <= window.in_w:
            simd = lanes_for(taps, max(1, cycles // node.pixels))
        return Folding(
            in_lanes=(pe,),
            out_lanes=lanes_for(pe, taps // simd),
            cycles=taps // simd * channels // pe,
            latency=12,
            buffered=True,
            banked=window if simd > 1 else None,
        )

    def access(self, node: QuantNode, inputs: Sequence[QuantNode]) -> tuple[Access, ...]:
        window = Window.of(node)
        if _is_whole(window):
            last = np.array([inputs[0].pixels - 1], dtype=np.int64)
            return (Access(last, last),)
        return (window.access(),)

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        window, source = Window.of(node), inputs[0]
        pe, taps = folding.in_lanes[0], window.kernel_h * window.kernel_w
        whole = _is_whole(window)
        parameters: dict[str, int | Memory] = {
            "C": node.channels,
            "Whole": int(whole),
            "Pe": pe,
            "Simd": 1 if whole else taps * node.channels // pe // folding.cycles,
            "Lanes": folding.out_lanes,
            "QFrac": source.type.frac,
        }
        parameters |= window_parameters(window, pixels) | grid_parameters("X", source.type, frac=False)
        if node.attrs["function"] == "average":
            parameters |= _mean_parameters(node, ranges[0], source.type.frac)
        return Instance("hwf_pool", parameters | cast_parameters(node))


def _geometry(layer: Any) -> dict[str, int]:
    """Window attributes of an hls4ml layer."""
    in_h = int(layer.get_attr("in_height") or 1)
    in_w = int(layer.get_attr("in_width") or layer.get_attr("n_in"))
    whole = layer.get_attr("pool_width") is None
    return {
        "in_h": in_h,
        "in_w": in_w,
        "out_h": 1 if whole else int(layer.get_attr("out_height") or 1),
        "out_w": 1 if whole else int(layer.get_attr("out_width") or layer.get_attr("n_out")),
        "kernel_h": in_h if whole else int(layer.get_attr("pool_height") or 1),
        "kernel_w": in_w if whole else int(layer.get_attr("pool_width")),
        "stride_h": in_h if whole else int(layer.get_attr("stride_height") or 1),
        "stride_w": in_w if whole else int(layer.get_attr("stride_width")),
        "pad_top": int(layer.get_attr("pad_top") or 0),
        "pad_left": int(layer.get_attr("pad_left") or 0),
    }


def _accum_frac(layer: Any) -> int:
    """Fractional bits of the accumulator, on whose grid hls4ml divides."""
    precision = layer.types["accum_t"].precision
    return int(precision.width - precision.integer)


def _sizes(window: Window) -> Codes:
    """Pixels of each window inside the frame, shape (out_h, out_w)."""
    ones = np.ones((1, window.in_h, window.in_w, 1), dtype=np.int64)
    sizes: Codes = windows(ones, window).sum(axis=(-2, -1))[0, :, :, 0]
    return sizes


def _finer(sizes: Codes) -> int:
    """Fractional bits a mean needs beyond those of its terms.

    Exact where all sizes are powers of two. Elsewhere enough that a later rounding to the grid of the terms, or
    a coarser one, equals that of the exact mean: one that is no tie differs from it by at least 1/(2 n).
    """
    largest = int(sizes.max())
    exact = all(int(size) & (int(size) - 1) == 0 for size in np.unique(sizes))
    return largest.bit_length() - 1 if exact else ceil(log2(largest)) + 1


def _is_whole(window: Window) -> bool:
    """Whether the only window is the frame."""
    return (window.kernel_h, window.kernel_w, window.out_h, window.out_w) == (window.in_h, window.in_w, 1, 1)


def _mean_parameters(node: QuantNode, x: Interval, x_frac: int) -> dict[str, int | Memory]:
    """Widths and constants of the division."""
    sizes = _sizes(Window.of(node))
    total = int(sizes.max())
    low, high = total * min(int(x.low.min()), 0), total * max(int(x.high.max()), 0)
    counted = int(sizes.min()) < total
    if "scale" in node.params:
        scale = node.params["scale"]
        scales, shift, frac = [int(scale.codes[0])], 0, x_frac + scale.type.frac
    else:
        frac = int(node.attrs["frac"])
        divisors = [max(size, 1) for size in range(total + 1)] if counted else [total]
        used = {int(size) for size in np.unique(sizes)}
        scales, shift = reciprocals(divisors, used, max(-low, high), frac - x_frac)
    width = max(1, max(scales).bit_length())
    return {
        "Average": 1,
        "CountPad": int(counted),
        "SumW": signed_width(low, high),
        "ScaleW": width,
        "Shift": shift,
        "QFrac": frac,
        "Scales": len(scales),
        "ScaleFile": Memory(np.array(scales, dtype=np.int64)[:, None], width),
    }


def reciprocals(divisors: Sequence[int], used: set[int], peak: int, up: int) -> tuple[list[int], int]:
    """Constants ``m`` and the smallest ``shift`` with ``s * m >> shift == (s << up) // n`` for ``0 <= s <= peak``.

    Parameters
    ----------
    divisors : sequence of int
        Each ``n``; 0 stands in the result for one that is not ``used``.
    used : set of int
        Divisors that occur.
    peak : int
        Largest dividend.
    up : int
        Bits the dividend is shifted before the division.

    Notes
    -----
    With ``m = ceil(2^(shift + up) / n)`` and ``e = m n - 2^(shift + up)`` the product is the quotient plus
    ``s e / (n 2^shift)``, which must stay below ``1 / n``: ``peak * e < 2^shift`` [1]_.

    References
    ----------
    .. [1] T. Granlund and P. L. Montgomery, "Division by invariant integers using multiplication", PLDI 1994.

    Examples
    --------
    >>> reciprocals([9], {9}, 255, 4), reciprocals([4], {4}, 255, 2)
    (([3641], 11), ([1], 0))
    """
    for shift in range(64):
        scales = {n: -(-(1 << (shift + up)) // n) for n in used}
        if all(peak * (m * n - (1 << (shift + up))) < 1 << shift for n, m in scales.items()):
            return [scales.get(n, 0) for n in divisors], shift
    raise ValueError("no shift below 64 bits divides exactly")
