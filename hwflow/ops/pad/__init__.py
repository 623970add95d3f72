# SPDX-License-Identifier: Apache-2.0
"""Margins of a frame: zero padding, and cropping as padding with negative margins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast, Codes, FixedType
from hwflow.ops.base import Access, Folding, FollowingOp, Instance, Interval, lanes_within
from hwflow.ops.frontend import KerasCheck, LayerTypes, passed_on
from hwflow.ops.lowering import output_shape

SIDES = ("top", "bottom", "left", "right")


def _check_margins(layer: Any, has_precision: bool) -> Iterator[tuple[str, str]]:
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        yield f"data_format {layer.data_format}", "use channels_last"


class PadOp(FollowingOp):
    """``y[oy, ox, c] = x[oy - top, ox - left, c]`` inside the frame, zero outside; margins may be negative."""

    name: ClassVar[str] = "pad"
    hls4ml_classes: ClassVar[tuple[str, ...]] = ("ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D")
    modules: ClassVar[tuple[str, ...]] = ("hwf_pad", "hwf_fifo")
    moves: ClassVar[bool] = True

    keras: ClassVar[Mapping[str, KerasCheck]] = dict.fromkeys(hls4ml_classes, _check_margins)

    def types(self, layer: LayerTypes) -> Cast:
        return passed_on(layer)

    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        crops = layer.class_name.startswith("Cropping")
        attrs = {
            "in_h": int(layer.get_attr("in_height", 1)),
            "in_w": int(layer.get_attr("in_width")),
            **{side: _margin(layer, side, crops) for side in SIDES},
        }
        return QuantNode(name, self.name, (inputs[0].name,), output_shape(layer), inputs[0].cast, attrs)

    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        x = inputs[0]
        if all(int(node.attrs[side]) <= 0 for side in SIDES):
            return x
        return Interval(np.minimum(x.low, 0), np.maximum(x.high, 0), x.frac)

    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        codes, x_type = inputs[0]
        frames, channels, sources = codes.shape[0], node.channels, self._sources(node)
        pixels = codes.reshape(frames, -1, channels)[:, np.maximum(sources, 0)]
        return (pixels * (sources >= 0)[:, None]).reshape(frames, *node.shape), x_type.frac

    def _sources(self, node: QuantNode) -> Codes:
        """Input pixel of each output pixel, -1 where there is none."""
        height, width, top, bottom, left, right = (int(node.attrs[key]) for key in ("in_h", "in_w", *SIDES))
        rows = np.arange(-top, height + bottom)[:, None]
        cols = np.arange(-left, width + right)[None, :]
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        return np.where(inside, rows * width + cols, -1).ravel().astype(np.int64)

    def folding_within(
        self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int], cycles: int
    ) -> Folding:
        width = max(lanes_within(tensor, cycles) for tensor in (node, inputs[0]))
        return Folding(
            in_lanes=(width,), out_lanes=width, cycles=node.channels // width, latency=3, buffered=True
        )

    def access(self, node: QuantNode, inputs: Sequence[QuantNode]) -> tuple[Access, ...]:
        # Zeros leave with the pixel before them; those that begin a frame wait for its first pixel.
        numbers = np.maximum.accumulate(np.maximum(self._sources(node), 0))
        return (Access(numbers, numbers),)

    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        beats = node.channels // folding.out_lanes
        parameters = {
            "Width": folding.out_lanes * node.type.width,
            "Beats": beats,
            "InH": int(node.attrs["in_h"]),
            "InW": int(node.attrs["in_w"]),
            **{side.title(): int(node.attrs[side]) for side in SIDES},
            "Depth": pixels * beats,
        }
        return Instance("hwf_pad", parameters)


def _margin(layer: Any, side: str, crops: bool) -> int:
    return -int(layer.get_attr(f"crop_{side}", 0)) if crops else int(layer.get_attr(f"pad_{side}", 0))
