# SPDX-License-Identifier: Apache-2.0
"""How well embeddings tell people apart: pair verification by cosine similarity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import UserError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VerificationScore:
    """Result of pair verification.

    Parameters
    ----------
    accuracy, accuracy_std : float
        Mean and standard deviation over the folds of the balanced accuracy
        (mean of the shares of genuine and of impostor pairs judged right).
    auc : float
        Area under the ROC curve of all pairs.
    fpr, tpr : ndarray of float64
        The ROC curve.
    threshold : float
        Mean of the thresholds of the folds.
    genuine_mean, genuine_std, impostor_mean, impostor_std : float
        Cosine similarity of pairs of one person and of two people.
    """

    accuracy: float
    accuracy_std: float
    auc: float
    fpr: Floats
    tpr: Floats
    threshold: float
    genuine_mean: float
    genuine_std: float
    impostor_mean: float
    impostor_std: float


def similarity_matrix(embeddings: NDArray[Any]) -> Floats:
    """Cosine similarity of each embedding with each.

    Parameters
    ----------
    embeddings : ndarray, shape (n, length)
        Raw embeddings, of any length.

    Returns
    -------
    ndarray of float64, shape (n, n)
    """
    vectors = embeddings.astype(np.float64)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    # a dead network gives zeros, which are similar to nothing
    unit = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    matrix: Floats = unit @ unit.T
    return matrix


def paired_cosine(first: NDArray[Any], second: NDArray[Any]) -> Floats:
    """Cosine similarity of corresponding embeddings.

    Parameters
    ----------
    first, second : ndarray, shape (n, length)
        For example the embeddings of a float and of a quantized network.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    products = np.einsum("ij,ij->i", a, b)
    cosine: Floats = np.divide(products, norms, out=np.zeros_like(norms), where=norms > 0)
    return cosine


def evaluate(
    embeddings: NDArray[Any], people: NDArray[np.int64], folds: int = 10, seed: int = 1
) -> VerificationScore:
    """Verify every pair of faces.

    Parameters
    ----------
    embeddings : ndarray, shape (n, length)
        Raw embeddings.
    people : ndarray of int, shape (n,)
        Who is shown.
    folds : int
        Folds of the pairs; each is judged by the threshold that is best on the others.
    seed : int
        Seed of the split into folds.

    Returns
    -------
    VerificationScore

    Raises
    ------
    UserError
        When there are fewer genuine or impostor pairs than folds.

    Notes
    -----
    Folds are stratified: each holds the same share of genuine pairs.
    """
    from sklearn.metrics import roc_auc_score, roc_curve
    from sklearn.model_selection import StratifiedKFold

    first, second = np.triu_indices(len(people), k=1)
    scores = similarity_matrix(embeddings)[first, second]
    genuine = people[first] == people[second]
    if min(genuine.sum(), (~genuine).sum()) < folds:
        raise UserError(
            f"{genuine.sum()} genuine and {(~genuine).sum()} impostor pairs are too few for {folds} folds",
            "evaluate more faces",
        )
    accuracies, thresholds = [], []
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(scores, genuine):
        fpr, tpr, candidates = roc_curve(genuine[train], scores[train])
        threshold = _with_margin(scores[train], candidates[1 + np.argmax((tpr - fpr)[1:])])
        accepted = scores[test] >= threshold
        accuracies.append((accepted[genuine[test]].mean() + (~accepted[~genuine[test]]).mean()) / 2)
        thresholds.append(threshold)
    fpr, tpr, _ = roc_curve(genuine, scores)
    return VerificationScore(
        accuracy=float(np.mean(accuracies)),
        accuracy_std=float(np.std(accuracies)),
        auc=float(roc_auc_score(genuine, scores)),
        fpr=fpr,
        tpr=tpr,
        threshold=float(np.mean(thresholds)),
        genuine_mean=float(scores[genuine].mean()),
        genuine_std=float(scores[genuine].std()),
        impostor_mean=float(scores[~genuine].mean()),
        impostor_std=float(scores[~genuine].std()),
    )


def _with_margin(scores: Floats, threshold: float) -> float:
    """Middle between a threshold, which is a score, and the next lower score."""
    lower = scores[scores < threshold]
    return float((threshold + lower.max(initial=-1)) / 2)
