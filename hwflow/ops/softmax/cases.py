# SPDX-License-Identifier: Apache-2.0
"""Parameter points of softmax: implementations, vectors and frames, wrapping and saturating inner types."""

from __future__ import annotations

from typing import Any

from hwflow.numerics.fixed import Cast, FixedType
from hwflow.ops.base import Case
from hwflow.ops.casekit import grid, quantizer, softmax, tensor


def cases() -> tuple[Case, ...]:
    """One beat and several a vector come with the lanes of the source, which are one for every case here."""

    def case(
        name: str,
        shape: tuple[int, ...],
        x: FixedType,
        cast: Cast,
        implementation: str = "stable",
        sizes: tuple[int, int] = (1024, 1024),
        **more: Any,
    ) -> Case:
        source = tensor(shape, x)
        return Case(name, softmax(source, cast, implementation, sizes, **more), (source,))

    narrow = Cast.parse("fixed<12,4,RND,SAT>")
    return (
        case("stable", (10,), grid(14, 9), Cast(grid(16, 10))),
        case("stable-frame", (3, 4, 5), grid(8, 4), quantizer(8, 8, signed=False), sizes=(128, 256)),
        case("stable-unsigned", (7,), grid(12, 8, signed=False), Cast(grid(16, 10))),
        case("stable-one", (5, 1), grid(8, 4), Cast(grid(16, 10)), sizes=(128, 256)),
        case("latency", (5,), grid(16, 10), Cast(grid(16, 10)), "latency"),
        case("latency-narrow", (3, 6), grid(9, 5), quantizer(6, 5), "latency", (512, 64), tables=narrow),
        case(
            "latency-wrap",
            (6,),
            grid(10, 6),
            Cast(grid(20, 8)),
            "latency",
            (256, 128),
            tables=Cast(grid(14, 8)),
            accum=Cast(grid(15, 7)),
            inverse_input=Cast.parse("ufixed<12,6,RND_CONV,SAT>"),
        ),
        case("argmax", (10,), grid(8, 4), Cast(grid(16, 10)), "argmax"),
        case("argmax-frame", (4, 3), grid(3, 1, signed=False), Cast(grid(2, 0)), "argmax"),
    )
