# SPDX-License-Identifier: Apache-2.0
"""K-means codebooks: a weight is the index of a centroid. Centroids may be mini floats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from hwflow.errors import UserError
from hwflow.formats.base import Format, LevelFormat, Values, finite
from hwflow.formats.fixed import Fixed
from hwflow.formats.minifloat import MiniFloat
from hwflow.numerics.fixed import FixedType

_SEED, _STARTS, _MAX_CENTROIDS = 0, 4, 4096
_PLAIN = Fixed(16)


@dataclass(frozen=True, slots=True)
class Codebook(LevelFormat):
    """``codebook<K>`` or ``codebook<K,centroids>``; ``hybrid<K,minifloat<E,M>>`` where the centroids are mini floats.

    Parameters
    ----------
    size : int
        Number K of centroids, a power of two.
    centroid : Format
        Format of the centroids, ``fixed<16>`` unless given.
    table : tuple of float
        The centroids, ascending; empty until fitted.

    Notes
    -----
    [Calzoni 2020], 4.2.2 and 5.3.4. Centroids are found by k-means (scikit-learn, fixed seed) and rounded to their
    format; a value then becomes the nearest one. One codebook for several tensors: :func:`hwflow.formats.fit_groups`.
    """

    size: int
    centroid: Format = _PLAIN
    table: tuple[float, ...] = ()

    name: ClassVar[str] = "codebook"

    def __post_init__(self) -> None:
        if not 2 <= self.size <= _MAX_CENTROIDS or self.size & (self.size - 1):
            raise UserError(
                f"codebook: the number of centroids is {self.size}",
                f"choose a power of two from 2 to {_MAX_CENTROIDS}",
            )
        if not isinstance(self.centroid, Fixed | MiniFloat):
            raise UserError(
                f"codebook: centroids cannot be of format {self.centroid}",
                "choose fixed<W> or minifloat<E,M>",
            )
        if self.table and len(self.table) != self.size:
            raise UserError(f"{self}: its table has {len(self.table)} entries", f"give {self.size}")

    def __str__(self) -> str:
        name = "hybrid" if isinstance(self.centroid, MiniFloat) else self.name
        plain = self.centroid == _PLAIN
        return f"{name}<{self.size}>" if plain else f"{name}<{self.size},{self.centroid}>"

    @property
    def fitted(self) -> bool:
        return bool(self.table)

    def fit(self, values: ArrayLike, *, where: str = "values") -> Codebook:
        array = finite(values, self, where)
        if self.table:
            return self
        if array.size < self.size:
            raise UserError(
                f"{where}: {self} has {self.size} centroids for {array.size} values",
                f"choose at most {1 << (array.size.bit_length() - 1)}, or share the codebook between layers",
            )
        centers = _centers(array.ravel(), self.size)
        centroid = self.centroid.fit(centers, where=f"{where}: centroids")
        return replace(self, centroid=centroid, table=tuple(np.sort(centroid.quantize(centers)).tolist()))

    @property
    def levels(self) -> tuple[float, ...]:
        self.require_fitted("codebook")
        return self.table

    @property
    def grid(self) -> FixedType:
        self.require_fitted("codebook")
        return self.centroid.grid_of(self.table)

    def grid_of(self, values: ArrayLike) -> FixedType:
        return self.grid

    @property
    def code_bits(self) -> int:
        return self.size.bit_length() - 1

    @property
    def table_bits(self) -> int:
        return self.size * self.centroid.code_bits

    def state(self) -> dict[str, Any]:
        return {"table": list(self.table)}

    def with_state(self, state: dict[str, Any]) -> Codebook:
        return replace(self, table=tuple(float(value) for value in state.get("table", ())))


def _centers(values: Values, size: int) -> Values:
    """Centroids of one-dimensional values; all distinct values where there are no more than centroids."""
    distinct = np.unique(values)
    if distinct.size <= size:
        return np.pad(distinct, (0, size - distinct.size), mode="edge")
    try:
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise UserError("codebooks need scikit-learn", "pip install 'hwflow[faces]'") from error
    # One thread: sums in one order give the same centroids everywhere.
    with threadpool_limits(1):
        found = KMeans(size, n_init=_STARTS, random_state=_SEED).fit(values.reshape(-1, 1))
    centers: Values = np.asarray(found.cluster_centers_, dtype=np.float64).ravel()
    return centers
