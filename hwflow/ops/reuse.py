# SPDX-License-Identifier: Apache-2.0
"""Which reuse and parallelization factors a layer can have."""

from __future__ import annotations

from bisect import bisect_left
from functools import cache
from math import isqrt

from hwflow.ir.graph import QuantNode

_LISTED = 30
#: Attribute of a node that computes several output pixels in the cycles of one.
PARALLEL = "parallelization_factor"


@cache
def divisors(number: int) -> tuple[int, ...]:
    """Divisors of a positive number, ascending."""
    small = [d for d in range(1, isqrt(number) + 1) if number % d == 0]
    return tuple(small + [number // d for d in reversed(small) if d * d != number])


def legal_reuse_factors(n_in: int, n_out: int) -> list[int]:
    """Legal reuse factors of a dense or convolution layer, by hls4ml's rule.

    Parameters
    ----------
    n_in : int
        Products summed into one output (kernel positions times input channels).
    n_out : int
        Outputs (filters).

    Returns
    -------
    list of int
        Ascending; equal to ``FPGABackend.get_valid_reuse_factors``, which tries every number up to
        ``n_in * n_out``.

    Notes
    -----
    Up to ``n_in`` the factor divides ``n_in``; from there on it is ``n_in`` times a divisor of ``n_out``.

    Examples
    --------
    >>> legal_reuse_factors(6, 4)
    [1, 2, 3, 6, 12, 24]
    """
    return sorted({*divisors(n_in), *(n_in * d for d in divisors(n_out))})


def legal_depthwise_reuse_factors(positions: int, channels: int) -> list[int]:
    """Legal reuse factors of a depthwise convolution: the divisors of its products a pixel.

    Examples
    --------
    >>> legal_depthwise_reuse_factors(9, 2)
    [1, 2, 3, 6, 9, 18]
    """
    return list(divisors(positions * channels))


def pixel_cycles(node: QuantNode) -> int:
    """Cycles a layer works on an output pixel: its reuse factor, shared by the pixels it computes at once.

    A parallelization factor has that many times the multipliers. They work on one pixel after the other instead of
    on several side by side, which is the same rate with one weight memory; what remains is the folding of a smaller
    reuse factor, so that every divisor of the reuse factor is legal.
    """
    return node.reuse_factor // int(node.attrs.get(PARALLEL, 1))


def legal_for(node: QuantNode, factors: list[int]) -> list[int]:
    """Those of a layer's reuse factors that the pixels it computes at once share out."""
    return [factor for factor in factors if factor % int(node.attrs.get(PARALLEL, 1)) == 0]


def show_legal(legal: list[int], value: int) -> str:
    """The legal factors as text, only the nearest ones when there are many."""
    if len(legal) <= _LISTED:
        return ", ".join(map(str, legal))
    start = max(0, min(bisect_left(legal, value) - _LISTED // 2, len(legal) - _LISTED))
    near = ", ".join(map(str, legal[start : start + _LISTED]))
    return ("… " if start else "") + near + (" …" if start + _LISTED < len(legal) else "")
