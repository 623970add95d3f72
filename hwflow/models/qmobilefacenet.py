# SPDX-License-Identifier: Apache-2.0
"""MobileFaceNet in QKeras with folded batch normalization and bits by layer group.

The ten groups are the rows of the architecture's table: stem, depthwise stem, five stages of bottlenecks, head,
global depthwise convolution, embedding. Where the separable convolution is split, a batch normalization and a
ReLU stand between its depthwise and its pointwise half; without the split only the expansion is normalized.

References
----------
S. Chen et al., "MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on Mobile Devices",
CCBR 2018, table 1; T. Sheng et al., "A Quantization-Friendly Separable Convolution for MobileNets", EMC2 2018
(no split); bits and counts by group as in a thesis on mixed-precision MobileFaceNet in QKeras, whose parameter
counts hold one iteration counter a folded layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwflow.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf

SIZE, EMBEDDING = 112, 128
GROUPS = 10
ACTIVATION_INTEGER_BITS = 3


@dataclass(frozen=True, slots=True)
class Stage:
    """A row of bottlenecks: expansion factor, channels, repetitions, stride of the first."""

    expansion: int
    channels: int
    count: int
    stride: int


STAGES = (
    Stage(2, 64, 5, 2),
    Stage(4, 128, 1, 2),
    Stage(2, 128, 6, 1),
    Stage(4, 128, 1, 2),
    Stage(2, 128, 2, 1),
)

MIXED_BITS = {
    "uniform-8": (8,) * GROUPS,
    "uniform-4": (4,) * GROUPS,
    "uniform-2": (8, *(2,) * 9),
    "mixed-1": (8, 8, 4, 4, 4, 4, 4, 2, 2, 2),
    "mixed-2": (8, 8, 4, 4, 4, 4, 2, 2, 2, 2),
    "mixed-3": (8, 8, 4, 4, 4, 2, 2, 2, 2, 2),
    "mixed-4": (8, 8, 4, 4, 2, 2, 2, 2, 2, 2),
    "mixed-5": (8, 8, 4, 2, 2, 2, 2, 2, 2, 2),
    "mixed-6": (8, 8, 2, 2, 2, 2, 2, 2, 2, 2),
}
"""Weight bits of each group in the published configurations."""


def qmobilefacenet(
    bits: Sequence[int] = MIXED_BITS["uniform-8"],
    *,
    activation_bits: int = 8,
    alpha: str | int = "auto",
    split: bool = False,
) -> tf.keras.Model:
    """Build the network with QKeras' default initial weights.

    Parameters
    ----------
    bits : sequence of int
        Weight bits of the ten groups, all of them fractional.
    activation_bits : int
        Bits of the rectified activations, three of them integer.
    alpha : str or int
        Scale of the weights: ``'auto'`` or ``'auto_po2'`` a channel, 1 for none.
    split : bool
        Whether the separable convolutions are split.

    Returns
    -------
    tf.keras.Model
        From ``(112, 112, 3)`` normalised pixels to the raw embedding of 128 values. Layer names begin with
        ``g<group>_``.

    Raises
    ------
    UserError
        When there are not ten bit widths.
    """
    if len(bits) != GROUPS or any(not 1 <= width <= 16 for width in bits):
        raise UserError(
            f"weight bits {tuple(bits)} do not fit the {GROUPS} layer groups",
            f"give {GROUPS} numbers of 1 to 16 bits",
        )
    from tensorflow.keras import Input, Model, layers

    net = _Layers(bits, activation_bits, alpha)
    inputs = Input((SIZE, SIZE, 3), name="input")
    x = net.relu(net.conv(inputs, 64, 1, "conv", kernel=3, stride=2), 1, "conv")
    x = net.relu(net.depthwise(x, 2, "dw"), 2, "dw")
    for group, stage in enumerate(STAGES, start=3):
        for block in range(1, stage.count + 1):
            name, shortcut, stride = f"block{block}", x, stage.stride if block == 1 else 1
            y = net.conv(x, x.shape[-1] * stage.expansion, group, f"{name}_expand")
            y = net.relu(y, group, f"{name}_expand")
            y = net.depthwise(y, group, f"{name}_dw", stride=stride, normalized=split)
            if split:
                y = net.relu(y, group, f"{name}_dw")
            x = net.conv(y, stage.channels, group, f"{name}_project", normalized=split)
            if stride == 1:
                x = layers.Add(name=f"g{group}_{name}_add")([x, shortcut])
    x = net.relu(net.conv(x, 512, 8, "conv"), 8, "conv")
    x = net.depthwise(x, 9, "gdc", kernel=x.shape[1], padding="valid")
    x = net.conv(x, EMBEDDING, 10, "embedding")
    return Model(inputs, layers.Flatten(name="flatten")(x), name="qmobilefacenet")


class _Layers:
    """QKeras layers of a group."""

    def __init__(self, bits: Sequence[int], activation_bits: int, alpha: str | int) -> None:
        self.bits, self.activation_bits, self.alpha = bits, activation_bits, alpha

    def _quantizer(self, group: int) -> Any:
        from qkeras import quantized_bits

        return quantized_bits(self.bits[group - 1], 0, alpha=self.alpha)

    def conv(
        self, x: Any, channels: int, group: int, name: str, *, kernel: int = 1, stride: int = 1,
        normalized: bool = True,
    ) -> Any:  # fmt: skip
        from qkeras import QConv2D, QConv2DBatchnorm

        kind = QConv2DBatchnorm if normalized else QConv2D
        layer = kind(
            channels, kernel, stride, padding="same", use_bias=False, name=f"g{group}_{name}",
            kernel_quantizer=self._quantizer(group),
        )  # fmt: skip
        return layer(x)

    def depthwise(
        self, x: Any, group: int, name: str, *, kernel: int = 3, stride: int = 1, padding: str = "same",
        normalized: bool = False,
    ) -> Any:  # fmt: skip
        from qkeras import QDepthwiseConv2D, QDepthwiseConv2DBatchnorm

        kind = QDepthwiseConv2DBatchnorm if normalized else QDepthwiseConv2D
        layer = kind(
            kernel, stride, padding=padding, use_bias=False, name=f"g{group}_{name}",
            depthwise_quantizer=self._quantizer(group),
        )  # fmt: skip
        return layer(x)

    def relu(self, x: Any, group: int, name: str) -> Any:
        from qkeras import QActivation, quantized_relu

        quantizer = quantized_relu(self.activation_bits, ACTIVATION_INTEGER_BITS)
        return QActivation(quantizer, name=f"g{group}_{name}_relu")(x)


def group_of(layer: str) -> int:
    """Group that a layer of the network belongs to, 1 to 10, by its name; 0 for none.

    Examples
    --------
    >>> group_of("g3_block1_expand"), group_of("flatten")
    (3, 0)
    """
    head, _, _ = layer.partition("_")
    return int(head[1:]) if head[:1] == "g" and head[1:].isdigit() else 0


def group_params(model: tf.keras.Model) -> list[int]:
    """Parameters of each group, normalization statistics and iteration counters included."""
    counts = [0] * GROUPS
    for layer in model.layers:
        if group := group_of(layer.name):
            counts[group - 1] += layer.count_params()
    return counts
