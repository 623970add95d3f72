# SPDX-License-Identifier: Apache-2.0
"""What an operation sees of the front end: a Keras layer to check, an hls4ml layer whose types it makes explicit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import UserError
from hwflow.numerics.fixed import Cast, FixedType

KerasCheck = Callable[[Any, bool], Iterator[tuple[str, str]]]
"""Findings, as (reason, remedy), about a Keras layer; the flag says whether the configuration gives its precision."""


def supported(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    """The check of a layer that is supported whatever its settings."""
    return iter(())


class LayerTypes(Protocol):
    """One hls4ml layer before any of hls4ml's passes, with what the configuration says about it.

    An operation's ``types`` reads and completes it; implemented by :mod:`hwflow.frontends.exact_types`.
    """

    @property
    def node(self) -> Any:
        """The hls4ml layer."""

    def input_cast(self, index: int = 0) -> Cast:
        """Type of an input tensor, set by the layer that makes it."""

    def input_type(self, index: int = 0) -> FixedType:
        """Grid of an input tensor."""

    def given(self, kind: str, guess: Cast | None = None, *, named: bool = False) -> Cast | None:
        """Type the user gave for ``kind`` (result, accum, weight, table …); None for 'auto' or nothing.

        A type equal to ``guess``, hls4ml's own in a generated configuration, does not count. With ``named``
        only an entry for this very kind counts, not one for all types of the layer.
        """

    def option(self, key: str) -> Any:
        """Value of a configuration key that names the layer or its type, None where there is none."""

    def model_default(self) -> Cast:
        """``Model.Precision``, hls4ml's type for what cannot be inferred."""

    def result(self, exact: FixedType, *, quantized: bool = True) -> Cast:
        """Type of the result: the user's, else the exact one.

        A layer without quantizers (``quantized=False``) gets ``Model.Precision``, as in hls4ml, unless its
        precision says ``auto``: then it keeps the highest bits of the exact type. Any layer that says ``auto``
        gets as many of them as the C++ can pass on.
        """

    def set_type(self, kind: str, cast: Cast) -> None:
        """Make one of the layer's inner types explicit (``accum``, ``table``, ``inv_table`` …)."""

    def set_accum(self, exact: FixedType) -> None:
        """Make the accumulator explicit, never narrower than the exact sum."""

    def constant(self, name: str, data: str) -> tuple[NDArray[np.int64], FixedType]:
        """Quantize the constant tensor ``name`` exactly (``<data>_data``, ``<data>_quantizer``): codes and grid."""

    def is_quantized(self, name: str) -> bool:
        """Whether the constant tensor ``name`` has a quantizer."""

    def set_constant(self, name: str, data: str, values: NDArray[np.float64], grid: FixedType) -> None:
        """Replace a constant tensor by exact values, so that no later pass quantizes it again."""


def passed_on(layer: LayerTypes) -> Cast:
    """Type of the result of a layer that only moves values: that of its input.

    Raises
    ------
    UserError
        When the configuration names another type.
    """
    cast = layer.input_cast()
    given = layer.given("result")
    if given is not None and given.type != cast.type:
        raise UserError(
            f"Precision.result {given} differs from the type {cast} of its input, and the layer only moves "
            "values; leave it out, or quantize before the layer"
        )
    return cast
