# SPDX-License-Identifier: Apache-2.0
"""What a student is trained for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

#: False positive rates whose thresholds the evaluation-oriented loss looks at (equation 2 of its small-data form).
FALSE_POSITIVE_RATES = tuple(10.0**-k for k in range(1, 7))
#: Margins between classes as their authors chose them.
MARGINS = {"arcface": 0.5, "cosface": 0.35}


def embedding_loss(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Mean of one less the cosine between the embeddings of student and teacher.

    Parameters
    ----------
    student, teacher : tf.Tensor of float32, shape (n, d)
        Embeddings of the same pictures, of any length.
    """
    import tensorflow as tf

    cosine = tf.reduce_sum(_normalized(student) * _normalized(teacher), axis=1)
    return tf.reduce_mean(1 - cosine)


def feature_loss(student: Mapping[str, tf.Tensor], teacher: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Mean over tensors of the squared distance from the teacher's, relative to the teacher's energy."""
    import tensorflow as tf

    ratios = [
        tf.reduce_sum(tf.square(student[name] - exact)) / (tf.reduce_sum(tf.square(exact)) + 1e-9)
        for name, exact in teacher.items()
    ]
    return tf.add_n(ratios) / len(ratios)


def evaluation_loss(
    student: tf.Tensor, teacher: tf.Tensor, people: tf.Tensor, *, positive: float = 1.0, negative: float = 1.0
) -> tf.Tensor:
    """Evaluation-oriented distillation: pairs keep their distances from the thresholds of verification.

    A threshold for a false positive rate is the similarity that this share of a batch's different pairs exceeds, the
    largest one where the batch holds too few. For every pair and threshold the loss is the difference between
    student and teacher in (similarity less threshold), averaged over same and over different pairs apart.

    Parameters
    ----------
    student, teacher : tf.Tensor of float32, shape (n, d)
        Embeddings of the same pictures.
    people : tf.Tensor of int64, shape (n,)
        Who is shown; without labels, which picture a view was made of.
    positive, negative : float
        Weights of both parts (lambda 1 and 2).

    References
    ----------
    Y. Huang et al., "Evaluation-oriented knowledge distillation for deep face recognition", CVPR 2022; as used
    without class labels for small data: equations 1, 2 and 4 of Ef-QuantFace (2024).
    """
    import tensorflow as tf

    n = tf.shape(people)[0]
    upper = tf.linalg.band_part(tf.ones((n, n), tf.bool), 0, -1) & ~tf.eye(n, dtype=tf.bool)
    same = people[:, None] == people[None, :]
    parts = []
    rates = tf.constant(FALSE_POSITIVE_RATES, tf.float32)
    similarities = [_similarities(embeddings) for embeddings in (student, teacher)]
    margins = []
    for similarity in similarities:
        different = tf.sort(tf.boolean_mask(similarity, upper & ~same), direction="DESCENDING")
        count = tf.shape(different)[0]
        place = tf.cast(rates * tf.cast(count, tf.float32), tf.int32)
        thresholds = tf.gather(different, tf.minimum(place, count - 1))
        margins.append(similarity[..., None] - thresholds)
    off = tf.reduce_mean(tf.abs(margins[1] - margins[0]), axis=-1)
    for weight, mask in ((positive, upper & same), (negative, upper & ~same)):
        pairs = tf.boolean_mask(off, mask)
        count = tf.maximum(tf.cast(tf.size(pairs), tf.float32), 1.0)
        parts.append(weight * tf.reduce_sum(pairs) / count)
    return tf.add_n(parts)


def margin_loss(
    embeddings: tf.Tensor,
    centers: tf.Tensor,
    labels: tf.Tensor,
    *,
    angular: float | tf.Tensor,
    additive: float | tf.Tensor,
    scale: float,
) -> tf.Tensor:
    """Softmax cross-entropy with a margin between classes: ArcFace (``angular``), CosFace (``additive``), or none.

    Parameters
    ----------
    embeddings : tf.Tensor of float32, shape (n, d)
        Embeddings, of any length.
    centers : tf.Tensor of float32, shape (classes, d)
        A direction a class.
    labels : tf.Tensor of int64, shape (n,)
        Class of each embedding.
    angular : float or tf.Tensor of float32
        Margin added to the angle to the right centre, radians.
    additive : float or tf.Tensor of float32
        Margin taken from the cosine to it.
    scale : float
        Factor of the cosines.

    References
    ----------
    J. Deng et al., "ArcFace: additive angular margin loss for deep face recognition", CVPR 2019, equation 3;
    H. Wang et al., "CosFace: large margin cosine loss for deep face recognition", CVPR 2018, equation 4.
    """
    import tensorflow as tf

    cosine = tf.clip_by_value(
        tf.matmul(_normalized(embeddings), _normalized(centers), transpose_b=True), -1 + 1e-6, 1 - 1e-6
    )
    right = tf.one_hot(labels, tf.shape(centers)[0], dtype=tf.bool, on_value=True, off_value=False)
    # Beyond pi the angle would count as a smaller one.
    angle = tf.minimum(tf.acos(cosine) + angular, np.pi)
    logits = scale * tf.where(right, tf.cos(angle) - additive, cosine)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def _normalized(rows: Any) -> Any:
    import tensorflow as tf

    return tf.math.l2_normalize(rows, axis=1, epsilon=1e-12)


def _similarities(rows: Any) -> Any:
    import tensorflow as tf

    normalized = _normalized(rows)
    return tf.matmul(normalized, normalized, transpose_b=True)
