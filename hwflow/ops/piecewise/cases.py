# SPDX-License-Identifier: Apache-2.0
"""Parameter points of piecewise activations: each function, and starts beyond the input's range."""

from __future__ import annotations

from hwflow.numerics.fixed import Cast, FixedType
from hwflow.ops.base import Case
from hwflow.ops.casekit import grid, piecewise, quantizer, tensor
from hwflow.ops.piecewise.functions import (
    Pieces,
    hard_pieces,
    leaky_relu_pieces,
    relu_pieces,
    step_pieces,
    thresholded_relu_pieces,
)


def cases() -> tuple[Case, ...]:
    """One to three pieces, fine and coarse constants, signed and unsigned inputs."""

    def case(name: str, channels: int, x: FixedType, pieces: Pieces, cast: Cast) -> Case:
        source = tensor((4, 6, channels), x)
        return Case(name, piecewise(source, cast, pieces), (source,))

    third = step_pieces(((-0.33, False), (0.33, True)), (-1.0, 0.0, 1.0))
    return (
        case("leaky", 3, grid(9, 5), leaky_relu_pieces(0.15625), Cast(grid(15, 10))),
        case("leaky-negative", 2, grid(9, 5), leaky_relu_pieces(-1.5), quantizer(6, 3)),
        case("coarse-slope", 2, grid(6, 3), leaky_relu_pieces(4.0), quantizer(9, 3)),
        case("relu6", 4, grid(10, 5), relu_pieces(6.0, 0.0, 0.0), Cast(grid(8, 5, signed=False))),
        case("relu-all", 2, grid(10, 5), relu_pieces(3.5, 0.125, 0.25), Cast(grid(14, 9))),
        case("thresholded", 3, grid(8, 4), thresholded_relu_pieces(0.7), quantizer(5, 2, signed=False)),
        case("beyond", 3, grid(5, 4), relu_pieces(6.0, 0.5, -9.0), Cast(grid(9, 5))),
        case(
            "hard-sigmoid",
            2,
            grid(12, 7),
            hard_pieces("hard_sigmoid", 13107 / 65536, 0.5),
            Cast(grid(16, 10)),
        ),
        case("hard-tanh", 2, grid(8, 4), hard_pieces("hard_tanh", 0.5, 0.5), quantizer(4, 3)),
        case(
            "hard-unsigned", 2, grid(8, 6, signed=False), hard_pieces("hard_tanh", 0.5, 0.5), quantizer(4, 3)
        ),
        case("binary", 5, grid(6, 3), step_pieces(((0.0, True),), (-1.0, 1.0)), Cast(grid(2, 0))),
        case("ternary", 5, grid(6, 4), third, Cast(grid(2, 0))),
        case("ternary-coarse", 2, grid(6, -2), third, Cast(grid(2, 0))),
    )
