# SPDX-License-Identifier: Apache-2.0
"""``Strategy: distributed_arithmetic``: layers of constant products without multipliers, a vector or window a cycle."""

from __future__ import annotations

from functools import lru_cache
from math import ceil, log2

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Codes
from hwflow.ops.adder_graph import AdderGraph, adder_graph
from hwflow.ops.adder_graph_sv import ADDER_GRAPH_MODULES, ADDERS_A_STAGE, Network, network_module
from hwflow.ops.base import Folding, Instance, Interval, Window, cast_parameters
from hwflow.tools.da4ml import EXTRA_DEPTH, digits

STRATEGY = "distributed_arithmetic"

#: Cycles of the whole-window reader in front of a convolution.
_WINDOW_LATENCY = 6


def is_distributed(node: QuantNode) -> bool:
    """Whether a node has this strategy."""
    return node.attrs.get("strategy") == STRATEGY


def is_beatwise(node: QuantNode) -> bool:
    """Whether a node of this strategy makes each beat from one beat of its input."""
    return is_distributed(node) and window_of(node) is None


def window_of(node: QuantNode) -> Window | None:
    """The window in front of a node's products, where a beat of its input is not what they read."""
    window = Window.of(node) if "kernel_h" in node.attrs else None
    return None if window is None or window.is_pixel else window


def distributed_folding(node: QuantNode, matrix: Codes, channels: int) -> Folding:
    """Folding of a node: everything at once.

    Parameters
    ----------
    node : QuantNode
        The node.
    matrix : ndarray of int64, shape (n_in, n_out)
        Its constants.
    channels : int
        Channels of its input.
    """
    column = max(digits(list(column)) for column in matrix.T.tolist())
    depth = ceil(log2(max(column, 1))) + EXTRA_DEPTH
    registers = -(-(depth + 1) // ADDERS_A_STAGE)
    return Folding(
        in_lanes=(channels,),
        out_lanes=node.channels,
        cycles=1,
        latency=registers + (_WINDOW_LATENCY if window_of(node) else 0),
        buffered=window_of(node) is not None,
        banked=window_of(node),
    )


def distributed_instance(node: QuantNode, source: QuantNode, x: Interval, matrix: Codes) -> Instance:
    """The generated module of a node.

    Parameters
    ----------
    node : QuantNode
        Layer with parameters ``weight`` and ``bias``.
    source : QuantNode
        Producer of its input.
    x : Interval
        Range of the input, an entry a channel.
    matrix : ndarray of int64, shape (n_in, n_out)
        Constants; the inputs are kernel positions times channels, channels fastest.
    """
    window = window_of(node)
    low, high = x.low, x.high
    if window is not None:  # the padding is zero
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    repeats = matrix.shape[0] // low.size
    graph = _graph(
        matrix.shape, matrix.tobytes(), tuple(low.tolist()) * repeats, tuple(high.tolist()) * repeats
    )
    bias = node.params["bias"]
    frac = source.type.frac + node.params["weight"].type.frac
    bias_frac = max(frac, bias.type.frac)
    cast = {
        ("Out" + key[1:] if key.startswith("Y") else key): value
        for key, value in cast_parameters(node).items()
    }
    module, text = network_module(
        Network(
            graph,
            frac,
            bias.codes << (bias_frac - bias.type.frac),
            bias_frac,
            source.type,
            cast,
            _window_parameters(window, source, matrix.shape[0]) if window else None,
        )
    )
    return Instance(
        module, {"OutReg": 1}, modules=ADDER_GRAPH_MODULES, sources={module: text}, output_register="OutReg"
    )


@lru_cache(maxsize=64)
def _graph(shape: tuple[int, int], matrix: bytes, low: tuple[int, ...], high: tuple[int, ...]) -> AdderGraph:
    return adder_graph(np.frombuffer(matrix, dtype=np.int64).reshape(shape), low, high)


def _window_parameters(window: Window, source: QuantNode, n_in: int) -> dict[str, int]:
    return {
        "LaneW": source.type.width,
        "C": source.channels,
        "InH": window.in_h,
        "InW": window.in_w,
        "OutH": window.out_h,
        "OutW": window.out_w,
        "KernelH": window.kernel_h,
        "KernelW": window.kernel_w,
        "StrideH": window.stride_h,
        "StrideW": window.stride_w,
        "PadTop": window.pad_top,
        "PadLeft": window.pad_left,
        "Lanes": n_in,
    }
