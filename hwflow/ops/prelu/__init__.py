# SPDX-License-Identifier: Apache-2.0
"""Parametric rectifier with one slope a channel, or one an element."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.numerics.codes import narrowest_type
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.numerics.quantizers import MAX_WEIGHT_BITS
from hwflow.ops.base import Folding, Instance, Interval, Memory, OpSpec, cast_parameters, grid_parameters
from hwflow.ops.frontend import KerasCheck, LayerTypes
from hwflow.ops.lowering import output_shape, parameter, result_cast
from hwflow.ops.matvec import signed_width


def _check_prelu(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    if not has_precision and narrowest_type(layer.alpha.numpy(), MAX_WEIGHT_BITS) is None:
        yield "its slopes lie on no fixed-point grid", "round them, or give Precision.param under HLSConfig"


class PreluOp(OpSpec):
    """``y = cast(x >= 0 ? x : slope * x)``.

    Parameter of the node: ``slope``, (channels,) or in the shape of x.
    """

    name: ClassVar[str] = "prelu"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("PReLU", "HwflowPReLU")
    modules: ClassVar[tuple[str, ...]] = ("hwf_prelu", "hwf_cast")

    keras: ClassVar[Mapping[str, KerasCheck]] = {"PReLU": _check_prelu}

    def types(self, layer: LayerTypes) -> Cast:
        slopes, slope_grid = layer.constant("param", "param")
        grid = layer.input_type()
        low, high = grid.range()
        scaled = [low * int(slopes.min()), low * int(slopes.max()), 0]
        frac = grid.frac + max(slope_grid.frac, 0)
        finer = 2 ** (frac - grid.frac - slope_grid.frac)
        top = max(high << (frac - grid.frac), *(value * finer for value in scaled))
        return layer.result(FixedType.for_range(min(value * finer for value in scaled), top, frac))

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        shape = output_shape(layer)
        elements = int(np.size(layer.weights["param"].data))
        params = {"slope": parameter(layer, "param", shape[-1:] if elements == shape[-1] else shape)}
        return QuantNode(name, self.name, (inputs[0].name,), shape, result_cast(layer), {}, params)

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        x, slope = inputs[0], node.params["slope"]
        up, down = max(slope.type.frac, 0), max(-slope.type.frac, 0)
        # x < 0 gives slope * x, between slope * low and zero; x >= 0 gives x itself.
        bent = (slope.codes.reshape(-1, node.channels) * np.minimum(x.low, 0)) << down
        straight = np.maximum(x.high, 0) << up
        low = np.minimum(np.minimum(bent.min(axis=0), 0), np.maximum(x.low, 0) << up)
        return Interval(low, np.maximum(bent.max(axis=0), straight), x.frac + up)

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        codes, x_type = inputs[0]
        slope = node.params["slope"]
        up, down = max(slope.type.frac, 0), max(-slope.type.frac, 0)
        return np.where(codes < 0, (codes * slope.codes) << down, codes << up), x_type.frac + up

    def folding(self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int]) -> Folding:
        return Folding(
            in_lanes=(lanes[0],),
            out_lanes=lanes[0],
            cycles=node.channels // lanes[0],
            multipliers=lanes[0],
            latency=3,
        )

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        slope = node.params["slope"]
        width = signed_width(int(slope.codes.min()), int(slope.codes.max()))
        parameters: dict[str, int | Memory] = {
            "Lanes": folding.out_lanes,
            "Slopes": slope.codes.size,
            "SlopeW": width,
            "SlopeFrac": slope.type.frac,
            "SlopeFile": Memory(slope.codes.reshape(-1, folding.out_lanes), width),
        }
        grids = grid_parameters("X", inputs[0].type) | cast_parameters(node)
        return Instance("hwf_prelu", parameters | grids)
