# SPDX-License-Identifier: Apache-2.0
"""Parameter points of table activations: each function, tables addressed by input and by index."""

from __future__ import annotations

from hwflow.numerics.fixed import Cast, FixedType
from hwflow.ops.base import Case
from hwflow.ops.casekit import grid, lookup, quantizer, tensor

_TABLE = Cast(grid(18, 10))


def cases() -> tuple[Case, ...]:
    """Sizes and inputs on both sides of each choice the hardware makes."""

    def case(
        name: str,
        channels: int,
        x: FixedType,
        cast: Cast,
        function: str,
        size: int = 1024,
        table: Cast = _TABLE,
    ) -> Case:
        source = tensor((4, 6, channels), x)
        return Case(name, lookup(source, cast, function, size, table), (source,))

    return (
        case("sigmoid-direct", 3, grid(8, 4), Cast(grid(16, 10)), "sigmoid"),
        case("sigmoid-index", 3, grid(14, 9), Cast(grid(16, 10)), "sigmoid"),
        case("tanh-part", 2, grid(12, 11), quantizer(8, 7), "tanh"),
        case("tanh-unsigned", 2, grid(12, 8, signed=False), quantizer(8, 7), "tanh"),
        case("softplus-odd-size", 2, grid(13, 8), Cast(grid(10, 6)), "softplus", 1000),
        case("softsign-small", 5, grid(12, 7), Cast(grid(9, 8)), "softsign", 64, Cast(grid(9, 8))),
        case("elu-direct", 2, grid(8, 4), Cast(grid(12, 8)), "elu"),
        case("elu-index", 3, grid(14, 8), quantizer(10, 6), "elu", 256),
        case("selu-index", 2, grid(15, 9), Cast(grid(16, 10)), "selu", 512),
        case("selu-unsigned", 2, grid(13, 9, signed=False), Cast(grid(16, 10)), "selu", 512),
        case("coarse", 2, grid(11, -2), Cast(grid(8, 6)), "sigmoid", 128),
    )
