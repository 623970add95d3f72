# SPDX-License-Identifier: Apache-2.0
"""What a QKeras quantizer does, as a fixed-point cast or type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from hwflow.errors import UserError
from hwflow.numerics.codes import narrowest_type
from hwflow.numerics.fixed import Cast, FixedType, Overflow, Rounding

MAX_WEIGHT_BITS = 24
"""Widest type that constants get; a free float scale needs more and is refused."""

_UNIT_ALPHA = (None, 1, 1.0)
_CASTS = ("quantized_bits", "linear", "quantized_relu", "quantized_tanh", "quantized_sigmoid")


def activation_cast(class_name: str, config: Mapping[str, Any]) -> Cast:
    """The cast that equals a QKeras activation quantizer.

    Parameters
    ----------
    class_name : str
        ``quantized_bits`` (hls4ml calls it ``linear``), ``quantized_relu``, ``quantized_tanh`` or
        ``quantized_sigmoid``.
    config : mapping
        The quantizer's ``get_config()``.

    Returns
    -------
    Cast
        For ``quantized_relu``, of the positive part (or, with a slope, of x and slope * x, whose negative half ends
        at ``-slope * 2^integer``); for ``quantized_tanh`` and ``quantized_sigmoid``, of the function's value.

    Raises
    ------
    UserError
        When no cast equals it.

    Notes
    -----
    Rounding is half to even and overflow saturates [1]_; ``symmetric`` leaves out the most negative code,
    ``keep_negative=False`` makes the grid unsigned. hls4ml honours neither of the two.

    References
    ----------
    .. [1] C. N. Coelho et al., "Automatic heterogeneous quantization of deep neural networks for low-latency
       inference on the edge for particle detectors", Nature Machine Intelligence 3, 2021.
    """
    if class_name not in _CASTS:
        raise UserError(f"the quantizer {class_name} is not a fixed-point cast")
    bits, integer = int(config["bits"]), int(config.get("integer", 0))
    if float(config.get("qnoise_factor", 1.0)) != 1.0:
        raise UserError("qnoise_factor other than 1 mixes in the unquantized value")
    if class_name == "quantized_relu":
        _require_plain_relu(config)
        sloped = bool(config.get("negative_slope"))
        return Cast(FixedType(sloped, bits, bits - integer - sloped), Rounding.RND_CONV, Overflow.SAT)
    if class_name == "quantized_sigmoid":
        if config.get("symmetric"):
            raise UserError("quantized_sigmoid with symmetric ends one step above zero, which no cast does")
        return Cast(FixedType(False, bits, bits), Rounding.RND_CONV, Overflow.SAT)
    if class_name == "quantized_tanh":
        overflow = Overflow.SAT_SYM if config.get("symmetric") else Overflow.SAT
        return Cast(FixedType(True, bits, bits - 1), Rounding.RND_CONV, overflow)
    if config.get("alpha") not in _UNIT_ALPHA:
        raise UserError(f"activation scale alpha={config['alpha']!r} depends on the data; use alpha=1")
    signed = bool(config.get("keep_negative", True))
    if signed and bits < 2:
        raise UserError("a 1-bit signed activation has the values -1 and 1, which is not a fixed-point cast")
    overflow = Overflow.SAT_SYM if signed and config.get("symmetric") else Overflow.SAT
    return Cast(FixedType(signed, bits, bits - integer - signed), Rounding.RND_CONV, overflow)


def _require_plain_relu(config: Mapping[str, Any]) -> None:
    if config.get("use_sigmoid"):
        raise UserError("quantized_relu with use_sigmoid is not a fixed-point cast")
    if config.get("relu_upper_bound") is not None or not config.get("is_quantized_clip", True):
        raise UserError("quantized_relu with relu_upper_bound or without is_quantized_clip is not supported")


def constant_type(values: ArrayLike, nominal: FixedType | None) -> FixedType | None:
    """Type of quantized constants: the quantizer's own where it holds them, else the narrowest.

    Parameters
    ----------
    values : array_like of float
        Constants after the quantizer.
    nominal : FixedType or None
        Type that the quantizer is named after, None where it has none.

    Returns
    -------
    FixedType or None
        None when no type of at most :data:`MAX_WEIGHT_BITS` bits holds the values exactly.
    """
    narrowest = narrowest_type(values, MAX_WEIGHT_BITS)
    if narrowest is None or nominal is None:
        return narrowest
    return nominal if holds(nominal, narrowest) else narrowest


def holds(wide: FixedType, narrow: FixedType) -> bool:
    """Whether every value of one type is a value of the other.

    Examples
    --------
    >>> holds(FixedType(True, 8, 4), FixedType(False, 7, 4))
    True
    >>> holds(FixedType(True, 8, 4), FixedType(False, 8, 4))
    False
    """
    shift = wide.frac - narrow.frac
    if shift < 0:
        return False
    (low, high), (wide_low, wide_high) = narrow.range(), wide.range()
    return wide_low <= low << shift and high << shift <= wide_high
