# SPDX-License-Identifier: Apache-2.0
"""Other views of aligned faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

#: Largest rotation, degrees; shift, share of the side; change of size, brightness and contrast, shares.
ROTATION, SHIFT, SIZE, BRIGHTNESS, CONTRAST = 10.0, 0.05, 0.1, 0.15, 0.25


def augment(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirrored or not, turned, moved, scaled, brighter or darker; the same seed gives the same views.

    Parameters
    ----------
    x : tf.Tensor of float32, shape (n, h, w, c)
        Network inputs, -1 to 1.
    seed : tf.Tensor of int32, shape (2,)
        Seed of all draws.

    Returns
    -------
    tf.Tensor of float32, shape (n, h, w, c)
        On the grid of 8-bit pixels.
    """
    import tensorflow as tf

    n, height, width = tf.shape(x)[0], x.shape[1], x.shape[2]

    def draw(number: int, limit: float) -> tf.Tensor:
        return tf.random.stateless_uniform((n,), tf.stack([seed[0] * 8 + number, seed[1]]), -limit, limit)

    angle, factor = draw(0, float(np.deg2rad(ROTATION))), 1 + draw(1, SIZE)
    mirror = tf.where(draw(2, 1.0) < 0, -1.0, 1.0)
    cos, sin = tf.cos(angle) / factor, tf.sin(angle) / factor
    mid_x, mid_y = (width - 1) / 2, (height - 1) / 2
    # Where each pixel comes from: turned about the middle, then moved.
    rows = [
        mirror * cos,
        -mirror * sin,
        mid_x + draw(3, SHIFT * width),
        sin,
        cos,
        mid_y + draw(4, SHIFT * height),
    ]
    rows[2] -= rows[0] * mid_x + rows[1] * mid_y
    rows[5] -= rows[3] * mid_x + rows[4] * mid_y
    transforms = tf.stack([*rows, tf.zeros(n), tf.zeros(n)], axis=1)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=x, transforms=transforms, output_shape=(height, width), fill_value=0.0, interpolation="BILINEAR",
        fill_mode="NEAREST",
    )  # fmt: skip
    mean = tf.reduce_mean(moved, axis=(1, 2, 3), keepdims=True)
    contrast = (1 + draw(5, CONTRAST))[:, None, None, None]
    lit = (moved - mean) * contrast + mean + draw(6, BRIGHTNESS)[:, None, None, None]
    return tf.clip_by_value(tf.round(lit * 128), -128, 127) / 128
