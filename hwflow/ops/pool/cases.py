# SPDX-License-Identifier: Apache-2.0
"""Parameter points of the pooling."""

from __future__ import annotations

import numpy as np

from hwflow.ir.graph import QuantNode, QuantParam
from hwflow.numerics.fixed import Cast, FixedType, Overflow, Rounding
from hwflow.ops.base import Case
from hwflow.ops.casekit import Pair, grid, quantizer, tensor, window_attrs


def pool(
    source: QuantNode, attrs: dict[str, int], cast: Cast, function: str = "max", *, frac: int | None = None,
    scale: QuantParam | None = None, shape: tuple[int, ...] = (), name: str = "y",
) -> QuantNode:  # fmt: skip
    """A maximum, a mean whose quotient has ``frac`` fractional bits, or a sum times ``scale``."""
    shape = shape or (attrs["out_h"], attrs["out_w"], source.channels)
    more = {} if frac is None else {"frac": frac}
    params = {} if scale is None else {"scale": scale}
    return QuantNode(name, "pool", (source.name,), shape, cast, attrs | {"function": function} | more, params)


def cases() -> tuple[Case, ...]:
    """Windows, strides and paddings of both functions; whole frames; several lanes and whole windows a cycle."""
    x7, natural = grid(7, 3), grid(6, 4, signed=False)

    def case(
        name: str, shape: tuple[int, int, int], kernel: Pair, function: str = "max", *, stride: Pair = 1,
        same: bool = False, x: FixedType = x7, cast: Cast | None = None, frac: int | None = None,
        out: tuple[int, ...] = (), scale: int = 0,
    ) -> Case:  # fmt: skip
        source = tensor(shape, x)
        attrs = window_attrs(source, kernel, stride, same=same)
        factor = QuantParam(np.array([scale]), FixedType(False, 8, 8)) if scale else None
        if function == "average" and not scale:
            frac = x.frac + 4 if frac is None else frac
        node = pool(source, attrs, cast or Cast(x), function, frac=frac, scale=factor, shape=out)
        return Case(name, node, (source,))

    return (
        case("max2-s2", (6, 8, 4), 2, stride=2),
        case("max2-s2-odd", (5, 7, 3), 2, stride=2, x=natural),
        case("max3-same", (5, 6, 4), 3, same=True),
        case("max3-same-unsigned", (5, 6, 4), 3, same=True, x=natural),
        case("max3-s2-same", (7, 6, 8), 3, stride=2, same=True, cast=Cast(grid(4, 1), Rounding.RND, Overflow.SAT)),
        case("max-row", (1, 9, 3), (1, 3), stride=(1, 2)),
        case("max2-s3", (8, 7, 2), 2, stride=3),
        case("max-global", (3, 4, 6), (3, 4), out=(6,)),
        case("max-global-1", (3, 3, 1), (3, 3), out=(1, 1, 1)),
        case("average2-s2", (6, 8, 4), 2, "average", stride=2, frac=5, cast=Cast(grid(9, 5))),
        case("average2-s2-coarse", (6, 4, 4), 2, "average", stride=2, frac=3),
        case("average3", (5, 6, 3), 3, "average", cast=quantizer(7, 3)),
        case("average3-same", (5, 6, 4), 3, "average", same=True, cast=quantizer(9, 5)),
        case("average3-s2-same", (6, 6, 2), 3, "average", stride=2, same=True, x=natural, cast=Cast(natural)),
        case("average-row", (1, 8, 5), (1, 5), "average", same=True),
        case("average-global", (5, 5, 6), (5, 5), "average", out=(6,), cast=Cast(grid(12, 7)), frac=8),
        case("average-scale", (4, 7, 2), 3, "average", scale=28, cast=Cast(grid(18, 11))),
        case("average-scale-global", (3, 4, 3), (3, 4), "average", scale=21, out=(3,), cast=quantizer(8, 4)),
    )  # fmt: skip
