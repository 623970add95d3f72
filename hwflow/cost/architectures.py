# SPDX-License-Identifier: Apache-2.0
"""Layer tables: the work of a network by layer type, of published architectures and of QuantGraphs.

A table is all that the latency model of microcontrollers looks at, so that a published model whose weights are not
at hand counts as well as an own one. The builders follow the papers and Keras' conventions of padding; each is
checked against the multiply-accumulates counted in the published model files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.ops.base import Window

TYPES = ("conv", "pointwise", "depthwise", "dense", "elementwise")
"""Layer types that the latency model tells apart."""


@dataclass(frozen=True, slots=True)
class LayerWork:
    """Work of one layer.

    Parameters
    ----------
    type : str
        One of :data:`TYPES`.
    macs : int
        Multiply-accumulates.
    outputs : int
        Elements written.
    weights, biases : int
        Constants.
    inputs : int
        Elements read.
    relu : bool
        Whether a rectifier follows.
    weight_bits : int
        Bits of a stored weight.
    reads : tuple of int
        Numbers of the layers it reads; -1 is the network's input.
    window : Window or None
        What an output pixel reads of its only input; None where there are several.
    """

    type: str
    macs: int
    outputs: int
    weights: int = 0
    biases: int = 0
    inputs: int = 0
    relu: bool = False
    weight_bits: int = 8
    reads: tuple[int, ...] = ()
    window: Window | None = None

    @property
    def channels_in(self) -> int:
        """Channels of the only input of a layer with a window."""
        assert self.window is not None
        if self.type == "depthwise" or not self.weights:
            return self.outputs // (self.window.out_h * self.window.out_w)
        return self.inputs // (self.window.in_h * self.window.in_w)


@dataclass(frozen=True, slots=True)
class Point:
    """A tensor inside a network: shape, and the layers that make it."""

    height: int
    width: int
    channels: int
    made_by: tuple[int, ...]


@dataclass(slots=True)
class LayerTable:
    """Layers of a network with the shape of what flows between them."""

    height: int
    width: int
    channels: int
    layers: list[LayerWork] = field(default_factory=list)
    made_by: tuple[int, ...] = (-1,)
    input_elements: int = 0

    def __post_init__(self) -> None:
        self.input_elements = self.height * self.width * self.channels

    @property
    def here(self) -> Point:
        """The present tensor."""
        return Point(self.height, self.width, self.channels, self.made_by)

    @property
    def pixels(self) -> int:
        """Pixels of the present tensor."""
        return self.height * self.width

    @property
    def macs(self) -> int:
        """Plain multiply-accumulates."""
        return sum(layer.macs for layer in self.layers)

    @property
    def st_macc(self) -> int:
        """ST's MACC: multiply-accumulates, and one a bias and one an element of a rectifier.

        A bias counts once an output element, as it is added to each.
        """
        biased = sum(layer.outputs for layer in self.layers if layer.biases)
        return self.macs + biased + sum(layer.outputs for layer in self.layers if layer.relu)

    @property
    def weight_bytes(self) -> int:
        """8-bit weights with 32-bit biases, bytes."""
        return sum(layer.weights + 4 * layer.biases for layer in self.layers)

    def conv(
        self, channels: int, kernel: int = 1, stride: int = 1, *, same: bool = True, relu: bool = True
    ) -> LayerTable:
        """A convolution with bias; pointwise where the kernel is 1."""
        height, width = self._steps(kernel, stride, same)
        weights = kernel * kernel * self.channels * channels
        window = self._window(kernel, stride, height, width)
        self._add("pointwise" if kernel == 1 else "conv", weights, channels, window, relu)
        return self

    def depthwise(self, stride: int = 1, kernel: int = 3, *, relu: bool = True) -> LayerTable:
        """A depthwise convolution with bias."""
        height, width = self._steps(kernel, stride, True)
        window = self._window(kernel, stride, height, width)
        self._add("depthwise", kernel * kernel * self.channels, self.channels, window, relu)
        return self

    def dense(self, outputs: int, *, relu: bool = False) -> LayerTable:
        """A dense layer over the last axis."""
        kind = "dense" if self.pixels == 1 else "pointwise"
        window = self._window(1, 1, self.height, self.width)
        self._add(kind, self.channels * outputs, outputs, window, relu)
        return self

    def pool(self, kernel: int = 0, stride: int = 0, *, same: bool = False) -> LayerTable:
        """Pooling, over the whole frame by default; its comparisons or sums are element-wise work."""
        height, width = (1, 1) if not kernel else self._steps(kernel, stride, same)
        window = kernel * kernel if kernel else self.pixels
        outputs = height * width * self.channels
        seen = self._window(kernel or max(self.height, self.width), stride or 1, height, width)
        self._append(
            LayerWork("elementwise", 0, outputs, inputs=outputs * window, reads=self.made_by, window=seen)
        )
        self.height, self.width = height, width
        return self

    def add(self, other: Point, *, relu: bool = False) -> LayerTable:
        """The sum with another tensor of the same shape."""
        outputs = self.pixels * self.channels
        reads = (*self.made_by, *other.made_by)
        self._append(LayerWork("elementwise", 0, outputs, inputs=2 * outputs, relu=relu, reads=reads))
        return self

    def join(self, other: Point) -> LayerTable:
        """Channels of another tensor before those of the present one."""
        self.channels += other.channels
        self.made_by = (*other.made_by, *self.made_by)
        return self

    def at(self, point: Point) -> LayerTable:
        """Go back to the tensor a branch begins at."""
        self.height, self.width, self.channels = point.height, point.width, point.channels
        self.made_by = point.made_by
        return self

    def _append(self, layer: LayerWork) -> None:
        self.made_by = (len(self.layers),)
        self.layers.append(layer)

    def _steps(self, kernel: int, stride: int, same: bool) -> tuple[int, int]:
        if same:
            return -(-self.height // stride), -(-self.width // stride)
        return (self.height - kernel) // stride + 1, (self.width - kernel) // stride + 1

    def _window(self, kernel: int, stride: int, height: int, width: int) -> Window:
        """Geometry of a layer from the present tensor to one of that height and width."""
        top, left = (
            max((out - 1) * stride + kernel - size, 0) // 2
            for out, size in ((height, self.height), (width, self.width))
        )
        return Window(self.height, self.width, height, width, kernel, kernel, stride, stride, top, left)

    def _add(self, kind: str, weights: int, channels: int, window: Window, relu: bool) -> None:
        inputs = self.pixels * self.channels
        self.height, self.width, self.channels = window.out_h, window.out_w, channels
        reads, outputs = self.made_by, self.pixels * channels
        seen = window if len(reads) == 1 else None
        macs = weights * self.pixels
        self._append(
            LayerWork(kind, macs, outputs, weights, channels, inputs, relu, reads=reads, window=seen)
        )


_V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
_FD = (
    *((64, 2), (128, 2), (128, 1), (256, 2), (256, 1)),
    *((512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 1)),
)


_QUARTER = (0.25,) * 14
_ST_WIDTHS = (0.5, 0.75, 0.625, 0.5, 0.375, *(0.25,) * 7)


def _separable(
    blocks: tuple[tuple[int, int], ...],
    widths: tuple[float, ...],
    size: int,
    colours: int,
    *,
    dw_relu: bool,
    classes: int = 5,
) -> LayerTable:
    """MobileNet and FD-MobileNet; a width multiplier for the stem and each block."""
    table = LayerTable(size, size, colours).conv(int(32 * widths[0]), 3, 2)
    for (channels, stride), width in zip(blocks, widths[1:], strict=False):
        table.depthwise(stride, relu=dw_relu).conv(int(channels * width))
    return table.pool().dense(classes)


def mobilenet_v2(size: int, width: float, classes: int) -> LayerTable:
    """MobileNetV2; channels rounded to multiples of 8 as in the reference.

    Parameters
    ----------
    size : int
        Height and width of the input, pixels.
    width : float
        Width multiplier.
    classes : int
        Outputs of the last dense layer.
    """

    def rounded(value: float) -> int:
        found = max(8, int(value + 4) // 8 * 8)
        return found + 8 if found < 0.9 * value else found

    table = LayerTable(size, size, 3).conv(rounded(32 * width), 3, 2)
    table.depthwise().conv(rounded(16 * width), relu=False)
    stages = ((24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
    for channels, repeats, first in stages:
        out = rounded(channels * width)
        for number in range(repeats):
            stride, before = (first if number == 0 else 1), table.here
            table.conv(6 * before.channels).depthwise(stride).conv(out, relu=False)
            if stride == 1 and before.channels == out:
                table.add(before)
    return table.conv(1280).pool().dense(classes)


def _fire(table: LayerTable, squeeze: int, expand: int) -> None:
    squeezed = table.conv(squeeze).here
    left = table.conv(expand).here
    table.at(squeezed).conv(expand, 3).join(left)


def _squeezenet(size: int, classes: int) -> LayerTable:
    """Version 1.1."""
    table = LayerTable(size, size, 3).conv(64, 3, 2, same=False).pool(3, 2)
    groups = (((16, 64), (16, 64)), ((32, 128), (32, 128)), ((48, 192), (48, 192), (64, 256), (64, 256)))
    for number, group in enumerate(groups):
        for squeeze, expand in group:
            _fire(table, squeeze, expand)
        if number < 2:
            table.pool(3, 2)
    return table.conv(classes).pool()


def _resnet8() -> LayerTable:
    """ResNet v1 of MLPerf Tiny's image classification."""
    table = LayerTable(32, 32, 3).conv(16, 3)
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        before = table.here
        shortcut = table.conv(channels, 1, stride, relu=False).here if stride > 1 else before
        table.at(before).conv(channels, 3, stride).conv(channels, 3, relu=False).add(shortcut, relu=True)
    return table.pool().dense(10)


def _autoencoder() -> LayerTable:
    """MLPerf Tiny's anomaly detection."""
    table = LayerTable(1, 1, 640)
    for outputs in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        table.dense(outputs, relu=True)
    return table.dense(640)


def _st_mnist() -> LayerTable:
    table = LayerTable(28, 28, 1).conv(16, 3, 2).depthwise().conv(32, 3).depthwise(2).conv(64)
    return table.pool().dense(36)


def _miniresnet(stacks: int) -> LayerTable:
    """The audio model of ST's zoo, 64 x 50: a 7x7 stem, blocks of 1x1 and 3x3, a dense layer on every pixel."""
    table = LayerTable(64, 50, 1).conv(64, 7, 2)
    table.height, table.width = table.height + 2, table.width + 2  # padded before the pooling
    table.pool(3, 2)
    for number in range(stacks):
        channels = 64 << number
        for block in range(2):
            before, stride = table.here, 2 if block == 0 else 1
            shortcut = table.conv(channels, 1, stride, relu=False).here if block == 0 else before
            table.at(before).conv(channels, 1, stride).conv(channels, 3, relu=False).add(shortcut, relu=True)
    return table.dense(10)


def _miniresnet_bottleneck() -> LayerTable:
    """The same zoo's earlier version with one stack: Keras' bottleneck blocks and 12 classes."""
    table = LayerTable(64, 50, 1).conv(64, 7, 2)
    table.height, table.width = table.height + 2, table.width + 2  # padded before the pooling
    table.pool(3, 2)
    for block in range(3):
        before, stride = table.here, 2 if block == 0 else 1
        shortcut = table.conv(256, 1, stride, relu=False).here if block == 0 else before
        table.at(before).conv(64, 1, stride).conv(64, 3).conv(256, relu=False).add(shortcut, relu=True)
    return table.pool().dense(12)


ARCHITECTURES: dict[str, Callable[[], LayerTable]] = {
    "mobilenet-v1-0.25-96x96x1": partial(_separable, _V1, _QUARTER, 96, 1, dw_relu=True),
    "mobilenet-v1-0.25-96x96x3": partial(_separable, _V1, _QUARTER, 96, 3, dw_relu=True),
    "mobilenet-v1-0.25-224x224x3": partial(_separable, _V1, _QUARTER, 224, 3, dw_relu=True),
    "mobilenet-v2-0.35-128x128x3-5": partial(mobilenet_v2, 128, 0.35, 5),
    "mobilenet-v2-0.35-128x128x3-1000": partial(mobilenet_v2, 128, 0.35, 1000),
    "fd-mobilenet-0.25-128x128x3": partial(_separable, _FD, _QUARTER, 128, 3, dw_relu=False),
    "fd-mobilenet-0.25-224x224x3": partial(_separable, _FD, _QUARTER, 224, 3, dw_relu=False),
    "st-fd-mobilenet-v1-128x128x3": partial(_separable, _FD, _ST_WIDTHS, 128, 3, dw_relu=False),
    "st-fd-mobilenet-v1-224x224x3": partial(_separable, _FD, _ST_WIDTHS, 224, 3, dw_relu=False),
    "squeezenet-1.1-128x128x3": partial(_squeezenet, 128, 5),
    "squeezenet-1.1-224x224x3": partial(_squeezenet, 224, 5),
    "resnet8-32x32x3": _resnet8,
    "autoencoder-640": _autoencoder,
    "st-mnist-28x28x1": _st_mnist,
    "miniresnet-1": partial(_miniresnet, 1),
    "miniresnet-2": partial(_miniresnet, 2),
    "miniresnet-bottleneck-1": _miniresnet_bottleneck,
    # The int8 and float network of a published hybrid binary design on an STM32H743ZI.
    "mobilenet-v2-0.5-96x96x3-128": partial(mobilenet_v2, 96, 0.5, 128),
}
"""Published architectures by name."""


def table_of(graph: QuantGraph) -> LayerTable:
    """Layer table of an integer network."""
    height, width, channels = (1, 1, graph.node(graph.inputs[0]).channels)
    table = LayerTable(height, width, channels)
    nodes = graph.by_name()
    for node in graph:
        work = _work(node, sum(_elements(nodes[name]) for name in node.inputs))
        if work is not None:
            table.layers.append(work)
    return table


def macs(node: QuantNode) -> int:
    """Multiply-accumulates a frame: every weight once an output pixel (biases and slopes do not count)."""
    weight = node.params.get("weight")
    return 0 if weight is None else int(weight.codes.size) * node.pixels


def _elements(node: QuantNode) -> int:
    return node.pixels * node.channels


def _work(node: QuantNode, inputs: int) -> LayerWork | None:
    """Work of a node; None where it is only a view, an input or a cast that goes with the layer before."""
    weight = node.params.get("weight")
    if weight is None:
        function = node.attrs.get("function")
        if node.op in ("input", "reshape") or (node.op == "activation" and function == "linear"):
            return None
        if node.op == "activation":  # a rectifier goes with the layer before
            inputs = 0
        relu = node.op in ("activation", "prelu")
        return LayerWork("elementwise", 0, _elements(node), inputs=inputs, relu=relu)
    kernel = node.attrs.get("kernel_h", 1) * node.attrs.get("kernel_w", 1)
    kind = "depthwise" if node.op == "depthwise_conv2d" else "conv" if kernel > 1 else "pointwise"
    if node.pixels == 1 and kind == "pointwise":
        kind = "dense"
    bias = node.params.get("bias")
    return LayerWork(
        kind,
        macs(node),
        _elements(node),
        weight.codes.size,
        0 if bias is None else bias.codes.size,
        inputs,
        weight_bits=weight.type.width,
    )
