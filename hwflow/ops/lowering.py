# SPDX-License-Identifier: Apache-2.0
"""Reading hls4ml layers (duck-typed, so that no operation imports hls4ml)."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwflow.errors import UnsupportedLayerError, UserError
from hwflow.ir.graph import QuantParam
from hwflow.numerics.codes import to_codes
from hwflow.numerics.fixed import Cast, FixedType
from hwflow.ops.reuse import PARALLEL


def precision_cast(precision: Any, where: str) -> Cast:
    """The cast an hls4ml precision stands for.

    Raises
    ------
    UnsupportedLayerError
        When it is no fixed-point or integer type.
    """
    text = str(precision)
    if not text.startswith(("ap_fixed", "ap_ufixed", "ap_int", "ap_uint", "fixed", "ufixed", "int", "uint")):
        raise UnsupportedLayerError(
            [f"{where}: type {text} is not fixed point"], "give it an ap_fixed precision"
        )
    return Cast.parse(text)


def result_cast(layer: Any) -> Cast:
    """Output grid of a layer."""
    return precision_cast(layer.get_output_variable().type.precision, f"layer {layer.name!r} output")


def output_shape(layer: Any) -> tuple[int, ...]:
    """Output shape of a layer without the batch axis."""
    return tuple(int(size) for size in layer.get_output_variable().shape)


def parameter(layer: Any, name: str, shape: tuple[int, ...]) -> QuantParam:
    """A weight tensor as integer codes on its own grid, in the fewest bits that hold them.

    Raises
    ------
    UserError
        When a value is not on the grid of its hls4ml type.
    """
    variable = layer.weights[name]
    cast = precision_cast(variable.type.precision, f"layer {layer.name!r} {name}")
    values = np.asarray(variable.data, dtype=np.float64).reshape(shape)
    try:
        codes = to_codes(values, cast.type)
    except UserError as error:
        raise UserError(f"layer {layer.name!r} {name}: {error.message}", error.remedy) from error
    # Memories hold the bits the codes need, which may be fewer than the type of the model has.
    needed = FixedType.for_range(int(codes.min()), int(codes.max()), cast.type.frac)
    return QuantParam(codes, needed if needed.width < cast.type.width else cast.type)


def bias_or_zero(layer: Any, channels: int) -> QuantParam:
    """The bias of a layer; zeros where it has none."""
    if "bias" in layer.weights:
        return parameter(layer, "bias", (channels,))
    return QuantParam(np.zeros(channels, dtype=np.int64), FixedType(True, 2, 0))


def parallel_attrs(layer: Any) -> dict[str, int]:
    """Attribute of a node that computes several output pixels in the cycles of one; none for one at a time."""
    factor = int(layer.get_attr(PARALLEL, 1))
    return {PARALLEL: factor} if factor > 1 else {}


def reuse_factor(layer: Any) -> int:
    """Reuse factor of a layer."""
    return int(layer.get_attr("reuse_factor", 1))
