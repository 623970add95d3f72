# SPDX-License-Identifier: Apache-2.0
"""Upsampling by the nearest pixel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.ops.base import Access, Folding, FollowingOp, Instance, Interval, lanes_within
from hwflow.ops.frontend import KerasCheck, LayerTypes, passed_on
from hwflow.ops.lowering import output_shape

_MAX_SIZE = 1 << 16
"""hls4ml steps through the frame by 1/2**16 of it; this many steps of a factor are exact."""


def _check_upsampling(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        yield f"data_format {layer.data_format}", "use channels_last"
    if getattr(layer, "interpolation", "nearest") != "nearest":
        yield f"interpolation {layer.interpolation!r}", "only 'nearest' is supported, by hls4ml, too"
    factors = layer.size if isinstance(layer.size, tuple | list) else (layer.size,)
    for size, factor in zip(layer.output_shape[1:-1], factors, strict=True):
        if size * factor > _MAX_SIZE:
            yield f"{size} pixels from a factor {factor}", f"pixels times factor must not exceed {_MAX_SIZE}"


class UpsampleOp(FollowingOp):
    """``y[oy, ox, c] = x[oy // factor_h, ox // factor_w, c]``."""

    name: ClassVar[str] = "upsample"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("Resize",)
    modules: ClassVar[tuple[str, ...]] = ("hwf_reorder",)
    moves: ClassVar[bool] = True

    keras: ClassVar[Mapping[str, KerasCheck]] = {
        "UpSampling1D": _check_upsampling,
        "UpSampling2D": _check_upsampling,
    }

    def types(self, layer: LayerTypes) -> Cast:
        return passed_on(layer)

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        in_h, in_w = int(layer.get_attr("in_height") or 1), int(layer.get_attr("in_width"))
        out_h, out_w = int(layer.get_attr("out_height") or 1), int(layer.get_attr("out_width"))
        attrs = {"in_h": in_h, "in_w": in_w, "factor_h": out_h // in_h, "factor_w": out_w // in_w}
        return QuantNode(name, self.name, (inputs[0].name,), output_shape(layer), inputs[0].cast, attrs)

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        return inputs[0]

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        codes, x_type = inputs[0]
        return codes.reshape(codes.shape[0], -1, node.channels)[:, self._sources(node)].reshape(
            codes.shape[0], *node.shape
        ), x_type.frac

    def _sources(self, node: QuantNode) -> Codes:
        """Input pixel of each output pixel."""
        height, width, factor_h, factor_w = _geometry(node)
        numbers = np.arange(height * width, dtype=np.int64).reshape(height, width)
        return numbers.repeat(factor_h, 0).repeat(factor_w, 1).ravel()

    def folding_within(
        self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int], cycles: int
    ) -> Folding:
        width = lanes_within(node, cycles)
        return Folding(
            in_lanes=(width,), out_lanes=width, cycles=node.channels // width, latency=2, buffered=True
        )

    def access(self, node: QuantNode, inputs: Sequence[QuantNode]) -> tuple[Access, ...]:
        sources, width = self._sources(node), _geometry(node)[1]
        return (Access(sources // width * width, sources, width),)  # a row is released as a whole

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        _, width, factor_h, factor_w = _geometry(node)
        words = node.channels // folding.out_lanes
        loops = ((factor_h, 0), (width, words), (factor_w, 0), (words, 1))
        parameters = {
            "Width": folding.out_lanes * node.type.width,
            "Block": width * words,
            "Words": pixels * words,
        }
        return Instance("hwf_reorder", parameters | loop_parameters(loops))


def _geometry(node: QuantNode) -> tuple[int, int, int, int]:
    at = node.attrs
    return int(at["in_h"]), int(at["in_w"]), int(at["factor_h"]), int(at["factor_w"])


def loop_parameters(loops: Sequence[tuple[int, int]]) -> dict[str, int]:
    """Parameters of ``hwf_reorder`` for up to four nested loops, outermost first, as (turns, stride)."""
    padded = [*[(1, 0)] * (4 - len(loops)), *loops]
    sizes = {f"Size{index}": size for index, (size, _) in enumerate(padded)}
    return sizes | {f"Stride{index}": stride for index, (_, stride) in enumerate(padded)}
