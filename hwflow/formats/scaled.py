# SPDX-License-Identifier: Apache-2.0
"""A format times a scale for each output channel: QKeras' ``alpha='auto'`` and ``'auto_po2'``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from hwflow.errors import UserError
from hwflow.formats.base import Format, Values, finite
from hwflow.formats.binary import Binary
from hwflow.formats.fixed import Fixed
from hwflow.formats.ternary import Ternary
from hwflow.numerics.codes import narrowest_type
from hwflow.numerics.fixed import FixedType

_ROUNDS = 8
_SCALE = Fixed(
    16, signed=False
)  # what real scales of a tensor are rounded to: their products fit a multiplier
_EXPONENT_BITS = 8


@dataclass(frozen=True, slots=True)
class Scaled(Format):
    """``auto<F>`` or ``auto_po2<F>``: ``scale[channel] * F(value / scale[channel])``.

    Parameters
    ----------
    kind : str
        ``auto``: scales of 16 bits, on one grid for the tensor; ``auto_po2``: powers of two.
    inner : Format
        ``fixed<W,I>`` (``fixed<W>`` stands for one integer bit, the sign), ``binary`` or ``ternary``.
    axis : int
        Axis of the channels, -1 or, for depthwise kernels, -2 (third part of the text form).
    scales : tuple of float
        One a channel; empty until fitted.

    Notes
    -----
    Scale and rounded values take turns, each the least-squares optimum for the other, from the scale at which nothing
    saturates, as in QKeras. Without a scale (``alpha=1``) the format is F itself; one power of two a layer is
    ``fixed<W>``.
    """

    kind: Literal["auto", "auto_po2"]
    inner: Format
    axis: int = -1
    scales: tuple[float, ...] = field(default=())

    name: ClassVar[str] = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Fixed | Binary | Ternary):
            raise UserError(
                f"{self.kind}: {self.inner} has a range of its own", "scale fixed, binary or ternary"
            )
        if self.axis not in (-1, -2):
            raise UserError(
                f"{self.kind}: channels on axis {self.axis}", "choose -1, or -2 for depthwise kernels"
            )
        if isinstance(self.inner, Fixed) and self.inner.integer is None:
            object.__setattr__(
                self, "inner", replace(self.inner, integer=int(self.inner.signed), rule="range")
            )

    def __str__(self) -> str:
        return f"{self.kind}<{self.inner}{'' if self.axis == -1 else f',{self.axis}'}>"

    @property
    def fitted(self) -> bool:
        return bool(self.scales)

    def fit(self, values: ArrayLike, *, where: str = "values") -> Scaled:
        array = finite(values, self, where)
        if self.scales:
            return self
        if array.ndim < -self.axis:
            raise UserError(f"{where}: shape {array.shape} has no channels on axis {self.axis}", "choose -1")
        rows = np.moveaxis(array, self.axis, 0).reshape(array.shape[self.axis], -1)
        largest = max(abs(float(level)) for level in self._ends())
        scales = np.abs(rows).max(axis=1) / largest
        for _ in range(_ROUNDS):
            scales = np.where(scales > 0, scales, 1.0)
            rounded = self.inner.quantize(rows / scales[:, None], where=where)
            power = np.square(rounded).sum(axis=1)
            scales = np.where(power > 0, (rows * rounded).sum(axis=1) / np.maximum(power, 1e-300), scales)
        if self.kind == "auto_po2":
            scales = 2.0 ** np.rint(np.log2(np.where(scales > 0, scales, 1.0)))
        else:
            scales = _SCALE.fit(scales, where=where).quantize(scales)
        return replace(self, scales=tuple(scales.tolist()))

    def _ends(self) -> tuple[float, ...]:
        """Largest value of the inner format, and what it has beyond."""
        if isinstance(self.inner, Fixed):
            return (float(np.ldexp(self.inner.grid.range()[1], -self.inner.grid.frac)),)
        return (1.0,)

    def _nearest(self, values: Values) -> Values:
        if values.ndim < -self.axis or values.shape[self.axis] != len(self.scales):
            raise UserError(
                f"{self}: {len(self.scales)} scales for values of shape {values.shape}",
                "fit it to these values",
            )
        scales = np.asarray(self.scales)
        scales = scales if self.axis == -1 else scales[:, None]
        safe = np.where(scales > 0, scales, 1.0)
        result: Values = self.inner.quantize(values / safe) * scales
        return result

    @property
    def grid(self) -> FixedType:
        self.require_fitted("scaled grid")
        scale = narrowest_type(self.scales, 64)
        inner = self.inner.grid
        assert scale is not None  # scales lie on a grid of 16 bits, or are powers of two
        low, high = inner.range()
        if not isinstance(self.inner, Fixed):
            low, high = -1, 1
        most = int(np.ldexp(max(self.scales), scale.frac))
        return FixedType.for_range(low * most, high * most, inner.frac + scale.frac)

    @property
    def code_bits(self) -> int:
        return self.inner.code_bits

    @property
    def table_bits(self) -> int:
        return len(self.scales) * (_EXPONENT_BITS if self.kind == "auto_po2" else _SCALE.width)

    def state(self) -> dict[str, Any]:
        return {"scales": list(self.scales)}

    def with_state(self, state: dict[str, Any]) -> Scaled:
        return replace(self, scales=tuple(float(value) for value in state.get("scales", ())))
