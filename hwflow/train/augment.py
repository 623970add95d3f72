# SPDX-License-Identifier: Apache-2.0
"""What networks see of aligned faces: a crop for each, cut from one picture that is moved and lit at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwflow.faces.align import Frame, similarity

if TYPE_CHECKING:
    import tensorflow as tf

#: Largest rotation, degrees; shift, share of the side; change of size, brightness and contrast, shares.
ROTATION, SHIFT, SIZE, BRIGHTNESS, CONTRAST = 10.0, 0.05, 0.1, 0.15, 0.25

#: Two rows of an affine map: x and y of a place as weights of x, y and 1.
Rows = Sequence[Any]
_SAME = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Crop:
    """The part of a picture that a network looks at.

    Parameters
    ----------
    height, width : int
        Its pixels.
    place : tuple of float
        Affine map from its pixels to those of the picture: ``(a, b, c, d, e, f)`` with ``(a x + b y + c,
        d x + e y + f)``.
    """

    height: int
    width: int
    place: tuple[float, ...] = _SAME

    @classmethod
    def of(cls, frame: Frame, picture: Frame) -> Crop:
        """A network's frame in pictures that are aligned to another one."""
        if frame == picture:
            return cls(frame.size, frame.size)
        matrix = similarity(frame.points, picture.points)
        return cls(frame.size, frame.size, tuple(matrix.ravel().tolist()))


def views(x: tf.Tensor, crops: Sequence[Crop], seed: Any = None) -> list[tf.Tensor]:
    """Crops of pictures; with a seed of pictures that are mirrored or not, turned, moved, scaled and lit.

    All crops of a picture see the same motion and the same light. The same seed gives the same views.

    Parameters
    ----------
    x : tf.Tensor of float32, shape (n, h, w, c)
        Pictures, -1 to 1.
    crops : sequence of Crop
        What to cut from them; equal ones are cut once.
    seed : tf.Tensor of int32, shape (2,), optional
        Seed of all draws.

    Returns
    -------
    list of tf.Tensor of float32, shape (n, height, width, c)
        Each crop, on the grid of 8-bit pixels; pictures as they are where nothing moves and the crop is all of them.
    """
    import tensorflow as tf

    if seed is None:
        cut = {crop: _sampled(x, crop.place, crop) for crop in crops if crop.place != _SAME}
    else:
        motion = _motion(x, seed)
        cut = {crop: _sampled(x, _behind(motion, crop.place), crop) for crop in dict.fromkeys(crops)}
        mean = tf.reduce_mean(cut[crops[0]], axis=(1, 2, 3), keepdims=True)
        contrast, light = (
            _draw(x, seed, number, limit)[:, None, None, None]
            for number, limit in ((5, CONTRAST), (6, BRIGHTNESS))
        )
        cut = {crop: (view - mean) * (1 + contrast) + mean + light for crop, view in cut.items()}
    rounded = {crop: tf.clip_by_value(tf.round(view * 128), -128, 127) / 128 for crop, view in cut.items()}
    return [rounded.get(crop, x) for crop in crops]


def _draw(x: tf.Tensor, seed: tf.Tensor, number: int, limit: float) -> tf.Tensor:
    """A number for each picture."""
    import tensorflow as tf

    return tf.random.stateless_uniform(
        (tf.shape(x)[0],), tf.stack([seed[0] * 8 + number, seed[1]]), -limit, limit
    )


def _motion(x: tf.Tensor, seed: tf.Tensor) -> Rows:
    """Where each pixel comes from: mirrored, turned about the middle, then moved."""
    import tensorflow as tf

    height, width = x.shape[1], x.shape[2]
    angle, factor = _draw(x, seed, 0, float(np.deg2rad(ROTATION))), 1 + _draw(x, seed, 1, SIZE)
    mirror = tf.where(_draw(x, seed, 2, 1.0) < 0, -1.0, 1.0)
    cos, sin = tf.cos(angle) / factor, tf.sin(angle) / factor
    mid_x, mid_y = (width - 1) / 2, (height - 1) / 2
    rows = [
        mirror * cos,
        -mirror * sin,
        mid_x + _draw(x, seed, 3, SHIFT * width),
        sin,
        cos,
        mid_y + _draw(x, seed, 4, SHIFT * height),
    ]
    rows[2] -= rows[0] * mid_x + rows[1] * mid_y
    rows[5] -= rows[3] * mid_x + rows[4] * mid_y
    return rows


def _behind(outer: Rows, inner: Rows) -> Rows:
    """One affine map after another: ``outer(inner(place))``."""
    a, b, c, d, e, f = inner
    return [
        value
        for p, q, r in (outer[:3], outer[3:])
        for value in (p * a + q * d, p * b + q * e, p * c + q * f + r)
    ]


def _sampled(x: tf.Tensor, rows: Rows, crop: Crop) -> tf.Tensor:
    """Pixels of a crop, bilinear; the border goes on beyond the picture."""
    import tensorflow as tf

    n = tf.shape(x)[0]
    columns = [tf.broadcast_to(tf.cast(value, tf.float32), (n,)) for value in (*rows, 0.0, 0.0)]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=x, transforms=tf.stack(columns, axis=1), output_shape=(crop.height, crop.width), fill_value=0.0,
        interpolation="BILINEAR", fill_mode="NEAREST",
    )  # fmt: skip
