# SPDX-License-Identifier: Apache-2.0
"""What embeddings look like together: angles between them, their neighbourhoods, the means of templates.

References
----------
L. van der Maaten, G. Hinton, "Visualizing Data using t-SNE", Journal of Machine Learning Research 9 (2008).
B. Maze et al., "IARPA Janus Benchmark - C", International Conference on Biometrics 2018 (templates of media).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import UserError
from hwflow.faces.verification import Floats, Integers, similarity_matrix, unit

_PERPLEXITY = 30.0
_EXACT = 300  # points up to which exact gradients are as quick as approximate ones
_ROWS = 1 << 14  # embeddings held at once


def angles(embeddings: NDArray[Any]) -> Floats:
    """Angle between each two embeddings.

    Parameters
    ----------
    embeddings : ndarray, shape (n, length)
        Raw embeddings.

    Returns
    -------
    ndarray of float64, shape (n, n)
        Degrees, 0 to 180.

    Examples
    --------
    >>> angles(np.array([[1.0, 0.0], [0.0, 2.0]])).round(6).tolist()
    [[0.0, 90.0], [90.0, 0.0]]
    """
    # Half the chord is the sine of half the angle: exact for small angles, where the arc cosine is not.
    squared = np.clip(2 - 2 * similarity_matrix(embeddings), 0, 4)
    np.fill_diagonal(squared, 0)
    result: Floats = np.degrees(2 * np.arcsin(np.sqrt(squared) / 2))
    return result


def identity_angles(embeddings: NDArray[Any], people: Integers) -> tuple[Integers, Floats]:
    """Mean angle between the embeddings of each two people.

    Parameters
    ----------
    embeddings : ndarray, shape (n, length)
        Raw embeddings.
    people : ndarray of int64, shape (n,)
        Who is shown.

    Returns
    -------
    people : ndarray of int64, shape (k,)
        Who is there, ascending.
    degrees : ndarray of float64, shape (k, k)
        Means over all pairs of two different pictures; NaN on the diagonal for a person with one picture.
    """
    names, rows = np.unique(people, return_inverse=True)
    member = np.zeros((len(names), len(people)))
    member[rows, np.arange(len(people))] = 1
    counts = member.sum(axis=1)
    sums = member @ angles(embeddings) @ member.T
    pairs = np.outer(counts, counts) - np.diag(counts)  # a picture is no pair with itself
    mean: Floats = np.divide(sums, pairs, out=np.full_like(sums, np.nan), where=pairs > 0)
    return names, mean


def tsne(embeddings: NDArray[Any], seed: int = 1) -> Floats:
    """Embeddings as points of a plane in which neighbours by angle stay neighbours.

    Parameters
    ----------
    embeddings : ndarray, shape (n, length)
        Raw embeddings, at least four.
    seed : int
        Seed of the first positions.

    Returns
    -------
    ndarray of float64, shape (n, 2)

    Raises
    ------
    UserError
        When there are fewer than four embeddings.
    """
    from sklearn.manifold import TSNE

    count = len(embeddings)
    if count < 4:
        raise UserError(f"{count} embedding(s) are too few for t-SNE", "evaluate at least four faces")
    plane = TSNE(
        2,
        method="exact" if count <= _EXACT else "barnes_hut",
        perplexity=min(_PERPLEXITY, (count - 1) / 3),
        metric="precomputed",
        init="random",
        random_state=seed,
    )
    points: Floats = plane.fit_transform(np.radians(angles(embeddings))).astype(np.float64)
    return points


def template_embeddings(
    embeddings: NDArray[Any], templates: Integers, media: Integers, count: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """Embeddings of templates: the mean of the means of their media, at length one.

    A video of many frames thereby weighs as much as one still.

    Parameters
    ----------
    embeddings : ndarray, shape (n, length)
        Embeddings of the pictures; may be a memory map. Rows with NaN are left out.
    templates, media : ndarray of int64, shape (n,)
        Template (from 0) and medium of each picture.
    count : int
        How many templates there are.

    Returns
    -------
    vectors : ndarray of float64, shape (count, length)
        Zero where a template has no picture.
    filled : ndarray of bool, shape (count,)
        Which templates have one.
    """
    order = np.lexsort((media, templates))
    vectors = np.zeros((count, embeddings.shape[1]))
    borders = np.flatnonzero(np.diff(templates[order])) + 1
    start, ends = 0, [*borders.tolist(), len(order)]
    for position, end in enumerate(ends):
        # whole templates, as many as fit
        if position + 1 < len(ends) and ends[position + 1] - start <= _ROWS:
            continue
        rows = order[start:end]
        part = embeddings[np.sort(rows)].astype(np.float64)[np.argsort(np.argsort(rows))]
        good = ~np.isnan(part).any(axis=1)
        rows, part = rows[good], part[good]
        start = end
        if not len(rows):
            continue
        new = np.flatnonzero((np.diff(templates[rows]) != 0) | (np.diff(media[rows]) != 0)) + 1
        first = np.concatenate([[0], new])  # of each medium
        means = np.add.reduceat(part, first) / np.diff(np.append(first, len(rows)))[:, None]
        np.add.at(vectors, templates[rows[first]], means)
    filled = np.zeros(count, bool)
    filled[np.flatnonzero(vectors.any(axis=1))] = True
    return unit(vectors), filled
