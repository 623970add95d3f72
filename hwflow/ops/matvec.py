# SPDX-License-Identifier: Apache-2.0
"""What dense, convolution and depthwise layers share: exact sums, their ranges, and the unit's parameters."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hwflow.errors import UserError
from hwflow.formats import Format, parse
from hwflow.ir.graph import QuantNode, QuantParam
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.ops.base import Folding, Interval, Memory, Window, cast_parameters, grid_parameters
from hwflow.ops.distributed import STRATEGY
from hwflow.ops.frontend import LayerTypes
from hwflow.ops.weightcode import LUT_BITS, Multiplication, choose, encode, shifted

#: Library modules behind every layer with a matrix-vector unit.
MATVEC_MODULES = ("hwf_window", "hwf_window_parallel", "hwf_rom", "hwf_table", "hwf_mvu", "hwf_cast")

#: The strategy that sums in as few cycles as it can.
LATENCY = "latency"

_FLOAT32_EXACT = 1 << 24
_FLOAT64_EXACT = 1 << 53


def exact_float(bound: int) -> type[np.floating[Any]] | None:
    """Fastest float type in which sums up to ``bound`` in magnitude are exact, or None.

    Notes
    -----
    Integers up to 2**24 are exact in IEEE binary32, up to 2**53 in binary64; BLAS adds in any order, and
    every partial sum is bounded by the sum of magnitudes.
    """
    if bound <= _FLOAT32_EXACT:
        return np.float32
    return np.float64 if bound <= _FLOAT64_EXACT else None


def matmul(x: Codes, w: Codes, x_type: FixedType) -> Codes:
    """Exact integer matrix product through BLAS where the sums are small enough.

    Parameters
    ----------
    x : ndarray of int64, shape (n, n_in)
        Activation codes.
    w : ndarray of int64, shape (n_in, n_out)
        Weight codes.
    x_type : FixedType
        Grid of the activations, bounds the sums.

    Returns
    -------
    ndarray of int64, shape (n, n_out)
    """
    peak = max(abs(value) for value in x_type.range())
    bound = int(np.abs(w).sum(axis=0, dtype=np.int64).max(initial=0)) * peak
    kind = exact_float(bound)
    if kind is None:
        return np.asarray(x @ w, dtype=np.int64)
    return np.asarray(x.astype(kind) @ w.astype(kind)).astype(np.int64)


def windows(x: Codes, window: Window) -> Codes:
    """Zero-padded sliding windows.

    Parameters
    ----------
    x : ndarray, shape (n, in_h, in_w, c), or (n, in_w, c) where there is one row
        Frames.
    window : Window
        Geometry.

    Returns
    -------
    ndarray, shape (n, out_h, out_w, c, kernel_h, kernel_w)
        A view of the padded frames.
    """
    bottom = max(0, (window.out_h - 1) * window.stride_h + window.kernel_h - window.pad_top - window.in_h)
    right = max(0, (window.out_w - 1) * window.stride_w + window.kernel_w - window.pad_left - window.in_w)
    x = x.reshape(x.shape[0], window.in_h, window.in_w, x.shape[-1])
    padded = np.pad(x, ((0, 0), (window.pad_top, bottom), (window.pad_left, right), (0, 0)))
    shape = (window.kernel_h, window.kernel_w)
    view: Codes = sliding_window_view(padded, shape, axis=(1, 2))  # type: ignore[call-overload] # numpy < 2
    strided = view[:, :: window.stride_h, :: window.stride_w]
    result: Codes = strided[:, : window.out_h, : window.out_w]
    return result


def spread(kernel: NDArray[Any]) -> NDArray[Any]:
    """Kernel of the convolution that equals a depthwise one: zeros between the channels.

    Parameters
    ----------
    kernel : ndarray, shape (..., channels, multiplier)
        Depthwise kernel.

    Returns
    -------
    ndarray, shape (..., channels, channels * multiplier)

    Examples
    --------
    >>> spread(np.array([[1, 2], [3, 4]])).tolist()
    [[1, 2, 0, 0], [0, 0, 3, 4]]
    """
    *taps, channels, multiplier = kernel.shape
    blocks = kernel[..., None, :] * np.eye(channels, dtype=kernel.dtype)[:, :, None]
    result: Codes = blocks.reshape(*taps, channels, channels * multiplier)
    return result


def accumulator(matrix: Codes, x: Interval) -> tuple[Codes, Codes]:
    """Bounds of every partial sum of ``matrix * x`` over its rows.

    Parameters
    ----------
    matrix : ndarray of int64, shape (terms, channels)
        Weight codes.
    x : Interval
        Range of the activations; an entry a channel, or of shape (terms, 1) an entry a term. Zero is
        included: it is what the padding gives.

    Returns
    -------
    low, high : ndarray of int64, shape (channels,)
        A partial sum, in any order, stays within.
    """
    first, second = matrix * np.minimum(x.low, 0), matrix * np.maximum(x.high, 0)
    return np.minimum(first, second).sum(axis=0), np.maximum(first, second).sum(axis=0)


def sum_interval(acc: tuple[Codes, Codes], acc_frac: int, bias: QuantParam) -> Interval:
    """Range of accumulator plus bias, on the finer grid."""
    frac = max(acc_frac, bias.type.frac)
    shift = frac - acc_frac
    codes = bias.codes << (frac - bias.type.frac)
    return Interval((acc[0] << shift) + codes, (acc[1] << shift) + codes, frac)


def add_bias(acc: Codes, acc_frac: int, bias: QuantParam) -> tuple[Codes, int]:
    """Accumulator plus bias on the finer grid, and its fractional bits."""
    frac = max(acc_frac, bias.type.frac)
    return (acc << (frac - acc_frac)) + (bias.codes << (frac - bias.type.frac)), frac


def signed_width(low: int, high: int) -> int:
    """Bits of the narrowest two's complement type that holds both bounds, at least 2."""
    bits = FixedType.for_range(min(low, -1), max(high, 0), 0).width
    return max(2, bits)


def weight_words(matrix: Codes, folding: Folding) -> Codes:
    """Weight memory of a unit in which every output reads every input.

    Parameters
    ----------
    matrix : ndarray of int64, shape (n_in, n_out)
        Weight codes.
    folding : Folding
        PE divides ``n_out``, SIMD divides ``n_in``.

    Returns
    -------
    ndarray of int64, shape (depth, pe * simd)
        Words in the order for output fold, for input word; lanes PE by PE.
    """
    n_in, n_out = matrix.shape
    folds, synapse_folds = n_out // folding.pe, n_in // folding.simd
    blocks = matrix.reshape(synapse_folds, folding.simd, folds, folding.pe)
    return blocks.transpose(2, 0, 3, 1).reshape(folds * synapse_folds, folding.pe * folding.simd)


def weighted_types(layer: LayerTypes, kernel: str) -> Cast:
    """Constants, accumulator and result of a layer ``bias + sum(weight * input)``.

    Parameters
    ----------
    layer : LayerTypes
        Layer with the constants ``weight`` and ``bias``.
    kernel : str
        Attribute that holds the kernel: ``weight``, or ``depthwise`` where channels are not summed.
    """
    quantized = layer.is_quantized("weight")
    weights, weight_grid = layer.constant("weight", kernel)
    biases, bias_grid = layer.constant("bias", "bias")
    summed = tuple(range(weights.ndim - (2 if kernel == "depthwise" else 1)))
    accum = sum_type(weights, summed, weight_grid, layer.input_type(), biases, bias_grid)
    layer.set_accum(accum)
    return layer.result(accum, quantized=quantized)


def sum_type(
    weights: NDArray[np.int64],
    summed: tuple[int, ...],
    weight_grid: FixedType,
    input_grid: FixedType,
    biases: NDArray[np.int64],
    bias_grid: FixedType,
) -> FixedType:
    """Narrowest type that holds ``bias + sum(weight * input)`` for every input code.

    Parameters
    ----------
    weights : ndarray of int64
        Weight codes; the axes left after summing are the outputs.
    summed : tuple of int
        Axes that are summed over.
    weight_grid, input_grid, bias_grid : FixedType
        Types of weights, inputs and biases.
    biases : ndarray of int64
        Bias codes, one an output.

    Returns
    -------
    FixedType

    Examples
    --------
    >>> sum_type(np.array([[3], [-1]]), (0,), FixedType(True, 3, 0), FixedType(False, 2, 1),
    ...          np.array([1]), FixedType(False, 1, 0))
    FixedType(signed=True, width=5, frac=1)
    """
    low, high = input_grid.range()
    positive = np.maximum(weights, 0).sum(axis=summed).reshape(-1).astype(object)
    negative = np.minimum(weights, 0).sum(axis=summed).reshape(-1).astype(object)
    product_frac = weight_grid.frac + input_grid.frac
    frac = max(product_frac, bias_grid.frac)
    offset = biases.reshape(-1).astype(object) * 2 ** (frac - bias_grid.frac)
    scale = 2 ** (frac - product_frac)
    least = (positive * low + negative * high) * scale + offset
    most = (positive * high + negative * low) * scale + offset
    return FixedType.for_range(int(least.min()), int(most.max()), frac)


def multiplication(
    node: QuantNode, source: QuantNode, pe: int, simd: int, *, depthwise: bool = False
) -> Multiplication:
    """How the unit of a layer multiplies, by its attributes.

    ``mult_style`` and ``lut_bits`` choose multipliers, the ``strategy`` ``latency`` adder trees behind them,
    ``weight_format`` how weights are stored, and ``bipolar`` is the magnitude of activations that have no other (see
    :func:`choose`).
    """
    weight = node.params["weight"]
    try:
        return choose(
            weight.codes.reshape(-1, node.channels),
            pe,
            simd,
            source.type,
            style=str(node.attrs.get("mult_style", "auto")),
            lut_bits=int(node.attrs.get("lut_bits", LUT_BITS)),
            depthwise=depthwise,
            bipolar=int(node.attrs.get("bipolar", 0)),
            stored=_stored(str(node.attrs.get("weight_format", ""))),
            frac=weight.type.frac,
            chained=node.attrs.get("strategy") != LATENCY,
        )
    except UserError as error:
        raise UserError(f"layer {node.name!r}: {error.message}", error.remedy) from error


@lru_cache(maxsize=64)
def _stored(text: str) -> Format | None:
    """The format that an attribute ``weight_format`` names."""
    return parse(text) if text else None


def strategy_attrs(layer: Any) -> dict[str, str]:
    """Attribute of a node whose hls4ml layer has a strategy that its hardware knows of."""
    strategy = str(layer.get_attr("strategy", "")).lower()
    return {"strategy": strategy} if strategy in (STRATEGY, LATENCY) else {}


def format_attrs(layer: Any) -> dict[str, str]:
    """Attribute of a node whose hls4ml layer has a quantizer of :mod:`hwflow.formats` for its weights."""
    found = layer.get_attr("weight_format") or layer.get_attr("depthwise_format")
    return {"weight_format": str(found)} if found else {}


def unit_parameters(
    node: QuantNode,
    source: QuantNode,
    acc: tuple[Codes, Codes],
    folding: Folding,
    words: Codes,
    *,
    depthwise: bool = False,
) -> dict[str, int | Memory]:
    """Parameters of a layer module that drive its matrix-vector unit (see ``hwf_mvu``).

    Parameters
    ----------
    node : QuantNode
        Layer with parameters ``weight`` and ``bias``.
    source : QuantNode
        Producer of its input.
    acc : (ndarray, ndarray)
        Bounds of the partial sums a channel.
    folding : Folding
        Folding of the layer.
    words : ndarray of int64, shape (depth, lanes)
        Weight codes in the order the unit reads them.
    depthwise : bool
        Whether every output has activations of its own.
    """
    weight, bias = node.params["weight"], node.params["bias"]
    plan = multiplication(node, source, folding.pe, folding.simd, depthwise=depthwise)
    folds = node.channels // folding.pe
    encoding = encode(words, folding.pe, folding.simd, words.shape[0] // folds, plan)
    product_frac = source.type.frac + weight.type.frac
    total = sum_interval(acc, product_frac, bias)
    product_frac -= plan.shift
    # What the unit sums is coarser by the powers of two that are not stored, and off by a constant.
    least = (shifted(acc[0], plan.shift) + encoding.offset) >> encoding.halved
    most = (shifted(acc[1], plan.shift) + encoding.offset) >> encoding.halved
    acc_w = signed_width(int(least.min()), int(most.max()))
    acc_frac = product_frac - encoding.halved
    bias_codes = (bias.codes << (total.frac - bias.type.frac)) - (
        encoding.offset << (total.frac - product_frac)
    )
    bias_w = signed_width(int(bias_codes.min()), int(bias_codes.max()))
    sum_w = max(
        signed_width(int(total.low.min()), int(total.high.max())), acc_w + total.frac - acc_frac, bias_w
    )
    parameters: dict[str, int | Memory] = {
        "Pe": folding.pe,
        "Lanes": folding.out_lanes,
        "AccW": acc_w,
        "AccFrac": acc_frac,
        "BiasW": bias_w,
        "SumW": sum_w,
        "SumFrac": total.frac,
        "WeightFile": encoding.memory,
        "BiasFile": Memory(bias_codes.reshape(-1, folding.out_lanes), bias_w),
    }
    parameters |= plan.parameters()
    parameters |= grid_parameters("X", source.type, frac=False)
    return parameters | cast_parameters(node)
