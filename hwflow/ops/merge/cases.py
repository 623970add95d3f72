# SPDX-License-Identifier: Apache-2.0
"""Parameter points of the functions of two tensors."""

from __future__ import annotations

from hwflow.numerics.fixed import Cast, FixedType, Overflow, Rounding
from hwflow.ops.base import Case
from hwflow.ops.casekit import grid, merge, quantizer, tensor


def cases() -> tuple[Case, ...]:
    """Equal and different grids, signs and widths, every function."""

    def case(name: str, channels: int, a: FixedType, b: FixedType, cast: Cast, function: str = "add") -> Case:
        inputs = tensor((4, 5, channels), a, "x0"), tensor((4, 5, channels), b, "x1")
        return Case(name, merge(function, *inputs, cast), inputs)

    byte, fine, plain = grid(8, 4), grid(7, 6), grid(5, 2, signed=False)
    wrap = Cast(grid(6, 3), Rounding.RND, Overflow.WRAP)
    return (
        case("exact", 4, grid(8, 4), grid(8, 4), Cast(grid(9, 4))),
        case("finer-b", 3, grid(8, 2), grid(6, 5), Cast(grid(12, 5))),
        case("finer-a", 6, grid(20, 12), grid(8, 4), quantizer(8, 4)),
        case("mixed-signs", 2, grid(8, 6, signed=False), grid(7, 3), wrap),
        case(
            "unsigned", 4, grid(4, 0, signed=False), grid(4, 1, signed=False), quantizer(4, 0, signed=False)
        ),
        case("negative-frac", 2, grid(6, -4), grid(6, -2), quantizer(6, -4)),
        case("difference", 3, byte, fine, Cast(grid(12, 6)), "subtract"),
        case("difference-unsigned", 2, plain, plain, Cast(grid(6, 2)), "subtract"),
        case("product", 3, byte, fine, Cast(grid(15, 10)), "multiply"),
        case("product-quantized", 4, plain, byte, quantizer(6, 2), "multiply"),
        case("product-coarse", 2, grid(4, -3), grid(5, -1), Cast(grid(9, -4)), "multiply"),
        case("mean", 3, byte, plain, Cast(grid(10, 5)), "average"),
        case("mean-quantized", 2, byte, byte, quantizer(6, 2), "average"),
        case("larger", 4, byte, fine, Cast(grid(10, 6)), "maximum"),
        case("larger-quantized", 2, plain, byte, wrap, "maximum"),
        case("smaller", 4, fine, plain, Cast(grid(8, 6)), "minimum"),
        case(
            "smaller-unsigned", 2, plain, grid(6, 1, signed=False), quantizer(5, 2, signed=False), "minimum"
        ),
    )
