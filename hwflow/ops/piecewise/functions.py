# SPDX-License-Identifier: Apache-2.0
"""Activations of up to three straight pieces, as real functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor, ldexp
from typing import Any

from hwflow.errors import UserError
from hwflow.ir.graph import QuantParam
from hwflow.numerics.codes import narrowest_type, to_codes
from hwflow.numerics.fixed import Cast
from hwflow.numerics.libm import single
from hwflow.numerics.quantizers import MAX_WEIGHT_BITS, activation_cast

MAX_PIECES = 3
MAX_CONSTANT_BITS = 31
"""Widest type that slopes or offsets get: what an integer parameter of a module holds."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """``slope * x + offset`` of the piece in which x lies.

    Parameters
    ----------
    breaks : tuple of (float, bool)
        Where each piece but the first begins, ascending, and whether that point belongs to it.
    slopes, offsets : tuple of float
        One a piece.
    result : str
        The cast of the result that belongs to the function; empty where the function has none.
    """

    breaks: tuple[tuple[float, bool], ...]
    slopes: tuple[float, ...]
    offsets: tuple[float, ...]
    result: str = ""

    def starts(self, frac: int) -> list[int]:
        """First code of each piece but the first, on the grid ``2**-frac``."""
        return [
            ceil(ldexp(value, frac)) if inside else floor(ldexp(value, frac)) + 1
            for value, inside in self.breaks
        ]


def relu_pieces(max_value: float | None, negative_slope: float, threshold: float) -> Pieces:
    """Keras' ``ReLU``: ``negative_slope * (x - threshold)`` up to the threshold, at most ``max_value``."""
    breaks: list[tuple[float, bool]] = [(threshold, False)]
    slopes, offsets = [negative_slope, 1.0], [-negative_slope * threshold + 0.0, 0.0]
    if max_value is not None:
        breaks.append((max_value, True))
        slopes.append(0.0)
        offsets.append(max_value)
    return Pieces(tuple(breaks), tuple(slopes), tuple(offsets))


def thresholded_relu_pieces(theta: float) -> Pieces:
    """``x`` above theta, else zero."""
    return Pieces(((theta, False),), (0.0, 1.0), (0.0, 0.0))


def leaky_relu_pieces(slope: float) -> Pieces:
    """``x`` where positive, else ``slope * x``."""
    return Pieces(((0.0, True),), (slope, 1.0), (0.0, 0.0))


def hard_pieces(function: str, slope: float, shift: float) -> Pieces:
    """``hard_sigmoid``, ``clip(slope * x + shift, 0, 1)``, or ``hard_tanh``, twice that less one."""
    breaks = ((-shift / slope, True), ((1 - shift) / slope, True))
    if function == "hard_sigmoid":
        return Pieces(breaks, (0.0, slope, 0.0), (0.0, shift, 1.0))
    return Pieces(breaks, (0.0, 2 * slope, 0.0), (-1.0, 2 * shift - 1, 1.0))


def step_pieces(breaks: tuple[tuple[float, bool], ...], values: tuple[float, ...]) -> Pieces:
    """Constant pieces, with the narrowest type that holds them."""
    grid = narrowest_type(values, MAX_WEIGHT_BITS)
    if grid is None:
        raise UserError(f"its values {values} fit no fixed-point type of {MAX_WEIGHT_BITS} bits")
    return Pieces(breaks, (0.0,) * len(values), values, str(Cast(grid)))


def quantizer_pieces(class_name: str, config: Mapping[str, Any]) -> Pieces | None:
    """Pieces of a QKeras quantizer used as an activation; None where it is a cast of a plainer function.

    Raises
    ------
    UserError
        When the quantizer depends on the data, or is no function of straight pieces.

    Notes
    -----
    ``binary`` is 1 from zero on, the function ``binary_tanh`` only above zero (it rounds 0.5 to even).
    hls4ml computes ``ternary`` with a threshold of 1 in streams and of 0.5 elsewhere, ``binary_tanh`` like
    ``binary``, and lets the negative half of ``quantized_relu`` saturate at ``-2^integer``.
    """
    if class_name == "binary_tanh":
        return step_pieces(((0.0, False),), (-1.0, 1.0))
    if class_name in ("binary", "ternary"):
        alpha = config.get("alpha")
        if isinstance(alpha, str) or (alpha is not None and not isinstance(alpha, int | float)):
            raise UserError(f"activation scale alpha={alpha!r} depends on the data; use alpha=1")
        scale = 1.0 if alpha is None else float(alpha)
        if class_name == "binary":
            return step_pieces(((0.0, True),), (0.0 if config.get("use_01") else -scale, scale))
        threshold = single(0.33 if config.get("threshold") is None else float(config["threshold"]))
        if threshold <= 0:
            raise UserError(f"its threshold {threshold} is not positive")
        return step_pieces(((-threshold, False), (threshold, True)), (-scale, 0.0, scale))
    if class_name == "quantized_relu" and config.get("negative_slope"):
        cast = activation_cast(class_name, config)
        slope, low = float(config["negative_slope"]), -float(2 ** int(config["integer"]))
        if slope <= 0 or cast.type.frac < -int(config["integer"]) or ldexp(slope * low, cast.type.frac) % 1:
            raise UserError(f"its negative half ends at {slope * low}, which is not on its grid {cast.type}")
        return Pieces(((low, True), (0.0, True)), (0.0, slope, 1.0), (slope * low, 0.0, 0.0), str(cast))
    return None


def constants(values: tuple[float, ...]) -> QuantParam:
    """Slopes or offsets as codes on their narrowest grid.

    Raises
    ------
    UserError
        When no grid of :data:`MAX_CONSTANT_BITS` bits holds them.
    """
    grid = narrowest_type(values, MAX_CONSTANT_BITS)
    if grid is None:
        raise UserError(
            f"its constants {', '.join(map(str, values))} fit no common fixed-point type of "
            f"{MAX_CONSTANT_BITS} bits; round them to a grid, or give Precision.param under HLSConfig"
        )
    return QuantParam(to_codes(values, grid), grid)
