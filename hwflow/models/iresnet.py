# SPDX-License-Identifier: Apache-2.0
"""IR-ResNet-18, -34 and -50 for 112x112 faces, as float Keras models.

References
----------
J. Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019: improved residual
blocks BN-Conv-BN-PReLU-Conv-BN, and the head BN-Dropout-FC-BN with 512 values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

SIZE, EMBEDDING = 112, 512
STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3)}
CHANNELS = (64, 128, 256, 512)


def iresnet(depth: int) -> tf.keras.Model:
    """Build a network with Keras' default initial weights.

    Parameters
    ----------
    depth : int
        18, 34 or 50.

    Returns
    -------
    tf.keras.Model
        From ``(112, 112, 3)`` normalised pixels to the raw embedding of 512 values.
    """
    from tensorflow.keras import Input, Model, layers

    def norm(x: Any, name: str) -> Any:
        return layers.BatchNormalization(epsilon=1e-5, name=name)(x)

    def conv(x: Any, channels: int, kernel: int, stride: int, name: str) -> Any:
        return layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=name)(x)

    def prelu(x: Any, name: str) -> Any:
        return layers.PReLU(shared_axes=[1, 2], name=name)(x)

    inputs = Input((SIZE, SIZE, 3), name="input")
    x = prelu(norm(conv(inputs, CHANNELS[0], 3, 1, "stem_conv"), "stem_bn"), "stem_prelu")
    for stage, (count, channels) in enumerate(zip(STAGES[depth], CHANNELS, strict=True), start=1):
        for block in range(1, count + 1):
            name, stride = f"stage{stage}_block{block}", 2 if block == 1 else 1
            shortcut = x
            if block == 1:
                shortcut = norm(conv(x, channels, 1, stride, f"{name}_shortcut"), f"{name}_shortcut_bn")
            y = conv(norm(x, f"{name}_bn1"), channels, 3, 1, f"{name}_conv1")
            y = prelu(norm(y, f"{name}_bn2"), f"{name}_prelu")
            y = norm(conv(y, channels, 3, stride, f"{name}_conv2"), f"{name}_bn3")
            x = layers.Add(name=f"{name}_add")([y, shortcut])
    x = layers.Flatten(name="flatten")(norm(x, "head_bn"))
    x = layers.Dense(EMBEDDING, name="embedding")(layers.Dropout(0.4, name="dropout")(x))
    return Model(inputs, norm(x, "embedding_bn"), name=f"iresnet{depth}")
