# SPDX-License-Identifier: Apache-2.0
"""Parameter points of the fully connected layer."""

from __future__ import annotations

import numpy as np

from hwflow.numerics.fixed import Cast, FixedType
from hwflow.ops.base import Case
from hwflow.ops.casekit import dense, distributed, grid, low_latency, quantizer, stored_as, tensor


def cases() -> tuple[Case, ...]:
    """Reuse factors below, at and above the inputs; unsigned and very narrow operands."""
    rng = np.random.default_rng(4)

    def case(
        name: str,
        inputs: int,
        outputs: int,
        reuse: int,
        x: FixedType | None = None,
        weight: FixedType | None = None,
        cast: Cast | None = None,
    ) -> Case:
        source = tensor((inputs,), x or grid(8, 4))
        weight = weight or grid(6, 5)
        bias = grid(8, source.type.frac + weight.frac)
        node = dense(rng, source, outputs, cast or quantizer(8, 2), weight=weight, bias=bias, reuse=reuse)
        return Case(name, node, (source,))

    return (
        case("rf1", 8, 6, 1),
        case("rf4", 8, 6, 4),
        case("rf8", 8, 6, 8),
        case("rf16", 8, 6, 16),
        case("rf48", 8, 6, 48),
        case("odd", 5, 7, 35),
        case("one-output", 9, 1, 3),
        case("one-input", 1, 4, 1),
        case("unsigned", 6, 4, 12, grid(4, 0, signed=False), grid(2, 0), Cast(grid(9, 0))),
        low_latency(case("rf1", 8, 6, 1)),
        low_latency(case("rf4", 12, 4, 4, grid(8, 4, signed=False), grid(8, 5))),
        # Weights stored as codes of a format.
        stored_as(case("rf2", 8, 6, 2), "codebook<8>"),
        stored_as(case("rf2", 8, 6, 2), "codebook<4,fixed<4>>", "lut"),
        stored_as(case("rf16", 8, 6, 16), "hybrid<16,minifloat<4,3>>", "dsp"),
        stored_as(case("rf2", 8, 6, 2), "minifloat<4,3>"),
        stored_as(case("rf12", 12, 4, 12), "minifloat<5,2>", "lut"),
        stored_as(case("rf4", 8, 6, 4), "minifloat<3,5>", "dsp"),
        stored_as(case("rf4", 8, 6, 4), "minifloat<4,0>"),
        stored_as(case("rf4", 8, 6, 4), "pow2<-9,0>"),
        stored_as(case("rf4", 8, 6, 4), "ternary<0.33>"),
        distributed(case("vector", 8, 6, 1)),
        distributed(case("one-input", 1, 3, 1, grid(5, -3), grid(3, 1), quantizer(6, -5, signed=False))),
        distributed(
            case("binary", 7, 3, 1, grid(1, 0, signed=False), grid(1, 0, signed=False), Cast(grid(4, 0)))
        ),
    )
