# SPDX-License-Identifier: Apache-2.0
"""How well embeddings tell people apart: scores of pairs, and what they are worth.

A score is higher the more alike two faces are; a pair is accepted from a threshold upward. Distances are scores
with their sign changed.

References
----------
G. B. Huang, M. Ramesh, T. Berg, E. Learned-Miller, "Labeled Faces in the Wild", University of Massachusetts,
Amherst, report 07-49 (2007): two views, ten folds, mean and standard error.
ISO/IEC 19795-1, "Biometric performance testing and reporting": false match rate, equal error rate.
T. Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27 (2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import UserError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Measure = Literal["cosine", "euclidean"]

_CHUNK = 1 << 10  # pairs scored at once; their embeddings fit the cache


@dataclass(frozen=True, slots=True)
class Roc:
    """Receiver operating characteristic.

    Parameters
    ----------
    fpr, tpr : ndarray of float64, shape (points,)
        Shares of impostor and of genuine pairs accepted, from (0, 0) to (1, 1). Points inside a horizontal or a
        vertical line are left out.
    thresholds : ndarray of float64, shape (points,)
        Lowest score accepted at each point; infinite at the first.
    genuine, impostor : int
        Pairs of each kind.
    """

    fpr: Floats
    tpr: Floats
    thresholds: Floats
    genuine: int
    impostor: int

    @property
    def auc(self) -> float:
        """Area under the curve: the probability that a genuine pair scores above an impostor pair."""
        return float(np.trapz(self.tpr, self.fpr))

    @property
    def eer(self) -> float:
        """Equal error rate: where as many impostor pairs are accepted as genuine ones rejected.

        Between two points of the curve it is interpolated linearly.
        """
        excess = self.fpr - (1 - self.tpr)
        after = int(np.argmax(excess >= 0))
        before = after - 1  # the curve starts with an excess of -1
        share = -excess[before] / (excess[after] - excess[before])
        return float(self.fpr[before] + share * (self.fpr[after] - self.fpr[before]))

    def corners(self, count: int = 1000) -> list[tuple[float, float]]:
        """At most so many points of the curve, evenly chosen."""
        keep = np.unique(np.linspace(0, len(self.fpr) - 1, min(count, len(self.fpr))).astype(int))
        return list(zip(self.fpr[keep].tolist(), self.tpr[keep].tolist(), strict=True))

    def tpr_at(self, fpr: float) -> float | None:
        """Largest share of genuine pairs accepted while at most ``fpr`` of the impostor pairs are.

        None where there are too few impostor pairs to tell: fewer than ``1 / fpr``.
        """
        if self.impostor * fpr < 1 - 1e-9:
            return None
        return float(self.tpr[np.searchsorted(self.fpr, fpr * (1 + 1e-12), side="right") - 1])


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy over folds of pairs.

    Parameters
    ----------
    folds : ndarray of float64, shape (folds,)
        Balanced accuracy of each fold: the mean of the shares of genuine and of impostor pairs judged right. Where a
        fold holds as many of each, as those of LFW do, it is the share of pairs judged right.
    thresholds : ndarray of float64, shape (folds,)
        Lowest score that was accepted in each fold.
    """

    folds: Floats
    thresholds: Floats

    @property
    def mean(self) -> float:
        """Mean over the folds."""
        return float(self.folds.mean())

    @property
    def std(self) -> float:
        """Standard deviation over the folds."""
        return float(self.folds.std())

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean, the sample's standard deviation over the root of the folds; None for one fold."""
        if len(self.folds) < 2:
            return None
        return float(self.folds.std(ddof=1) / np.sqrt(len(self.folds)))

    @property
    def threshold(self) -> float:
        """Mean of the thresholds."""
        return float(self.thresholds.mean())


@dataclass(frozen=True, slots=True)
class VerificationScore:
    """Result of pair verification.

    Parameters
    ----------
    by_fold : Accuracy
        Accuracy; each fold is judged by the threshold that is best on the others.
    roc : Roc
        The ROC curve of all pairs.
    genuine_mean, genuine_std, impostor_mean, impostor_std : float
        Cosine similarity of pairs of one person and of two people.
    """

    by_fold: Accuracy
    roc: Roc
    genuine_mean: float
    genuine_std: float
    impostor_mean: float
    impostor_std: float

    @property
    def accuracy(self) -> float:
        """Mean of the folds' balanced accuracies."""
        return self.by_fold.mean

    @property
    def accuracy_std(self) -> float:
        """Standard deviation of the folds' balanced accuracies."""
        return self.by_fold.std

    @property
    def threshold(self) -> float:
        """Mean of the thresholds of the folds."""
        return self.by_fold.threshold

    @property
    def auc(self) -> float:
        """Area under the ROC curve."""
        return self.roc.auc

    @property
    def fpr(self) -> Floats:
        """False positive rates of the ROC curve."""
        return self.roc.fpr

    @property
    def tpr(self) -> Floats:
        """True positive rates of the ROC curve."""
        return self.roc.tpr


# ------------------------------------------------------------------------------------------------ scores


def unit(embeddings: NDArray[Any]) -> Floats:
    """Embeddings at length one; those of a dead network, which are zero, stay zero and are similar to nothing."""
    vectors = embeddings.astype(np.float64)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Floats = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return scaled


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
    vectors = unit(embeddings)
    matrix: Floats = vectors @ vectors.T
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


def pair_scores(
    embeddings: NDArray[Any], first: Integers, second: Integers, measure: Measure = "cosine"
) -> Floats:
    """Scores of pairs of embeddings.

    Parameters
    ----------
    embeddings : ndarray, shape (n, length)
        Raw embeddings.
    first, second : ndarray of int64, shape (pairs,)
        Rows that make the pairs.
    measure : str
        ``cosine``, or ``euclidean`` for the negative distance of the raw embeddings.

    Returns
    -------
    ndarray of float64, shape (pairs,)
    """
    vectors = unit(embeddings) if measure == "cosine" else embeddings.astype(np.float64)
    scores = np.empty(len(first))
    for start in range(0, len(first), _CHUNK):
        part = slice(start, start + _CHUNK)
        a, b = vectors[first[part]], vectors[second[part]]
        if measure == "cosine":
            np.einsum("ij,ij->i", a, b, out=scores[part])
        else:
            a -= b
            scores[part] = -np.sqrt(np.einsum("ij,ij->i", a, a))
    return scores


# ------------------------------------------------------------------------------------------------ figures


def roc(scores: Floats, genuine: Flags) -> Roc:
    """Receiver operating characteristic of scored pairs.

    Parameters
    ----------
    scores : ndarray of float64, shape (pairs,)
        Higher for faces that are more alike.
    genuine : ndarray of bool, shape (pairs,)
        Whether both faces show one person.

    Raises
    ------
    UserError
        When there are no genuine or no impostor pairs.
    """
    _check_both(genuine)
    order = np.argsort(-scores)
    ranked = scores[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # of equal scores
    true = np.cumsum(genuine[order])[last]
    false = 1 + last - true
    true, false = (np.insert(counts, 0, 0) for counts in (true, false))
    thresholds = np.insert(ranked[last], 0, np.inf)
    level, upright = np.diff(true) == 0, np.diff(false) == 0
    inner = (level[:-1] & level[1:]) | (upright[:-1] & upright[1:])
    keep = np.concatenate([[True], ~inner, [True]])
    genuine_count, impostor_count = int(true[-1]), int(false[-1])
    return Roc(
        fpr=false[keep] / impostor_count,
        tpr=true[keep] / genuine_count,
        thresholds=thresholds[keep],
        genuine=genuine_count,
        impostor=impostor_count,
    )


def best_threshold(scores: Floats, genuine: Flags, candidates: Floats | None = None) -> float:
    """Threshold with the best balanced accuracy.

    Parameters
    ----------
    scores : ndarray of float64, shape (pairs,)
        Scores.
    genuine : ndarray of bool, shape (pairs,)
        Whether both faces show one person.
    candidates : ndarray of float64, optional
        Thresholds to choose from, the first of equals; all by default, and then the middle between the lowest
        score accepted and the next one.
    """
    if candidates is None:
        return float(_ranked_thresholds(scores, genuine, np.zeros(len(scores), np.int64), [-1])[0])
    _check_both(genuine)
    found = []
    for threshold in candidates:
        accepted = scores >= threshold
        found.append(accepted[genuine].mean() - accepted[~genuine].mean())
    return float(candidates[int(np.argmax(found))])


def k_fold(scores: Floats, genuine: Flags, folds: Integers) -> Accuracy:
    """Accuracy at the best threshold; each fold is judged by the one that is best on the others.

    Parameters
    ----------
    scores : ndarray of float64, shape (pairs,)
        Scores.
    genuine : ndarray of bool, shape (pairs,)
        Whether both faces show one person.
    folds : ndarray of int64, shape (pairs,)
        Number of each pair's fold, from 0.

    Raises
    ------
    UserError
        When there are less than two folds, or one holds no genuine or no impostor pair.
    """
    count = int(folds.max(initial=-1)) + 1
    if count < 2:
        raise UserError(
            f"{count} fold(s) of pairs: the threshold must be chosen on others", "give more pairs"
        )
    thresholds = _ranked_thresholds(scores, genuine, folds, range(count))
    return fold_accuracy(scores, genuine, folds, thresholds)


def fold_accuracy(scores: Floats, genuine: Flags, folds: Integers, thresholds: Floats) -> Accuracy:
    """Accuracy of each fold at given thresholds, one a fold.

    With the same threshold for all, chosen on other pairs (LFW: view 1), this is the accuracy of LFW's view 2.

    Raises
    ------
    UserError
        When a fold holds no genuine or no impostor pair.
    """
    count = len(thresholds)
    accepted = scores >= thresholds[folds]
    shares = []
    for kind, right in ((genuine, accepted), (~genuine, ~accepted)):
        all_of_kind = np.bincount(folds[kind], minlength=count)
        if (all_of_kind == 0).any():
            empty = int(np.argmin(all_of_kind))
            raise UserError(
                f"fold {empty + 1} of {count} holds no {'genuine' if kind is genuine else 'impostor'} pair",
                "give more pairs, or fewer folds",
            )
        shares.append(np.bincount(folds[kind & right], minlength=count) / all_of_kind)
    return Accuracy((shares[0] + shares[1]) / 2, thresholds)


def stratified_folds(genuine: Flags, folds: int = 10, seed: int = 1) -> Integers:
    """Folds drawn by seed, each with the same share of genuine pairs.

    Parameters
    ----------
    genuine : ndarray of bool, shape (pairs,)
        Whether both faces show one person.
    folds : int
        How many.
    seed : int
        Seed of the split.

    Returns
    -------
    ndarray of int64, shape (pairs,)

    Raises
    ------
    UserError
        When there are fewer genuine or impostor pairs than folds.
    """
    from sklearn.model_selection import StratifiedKFold

    if min(genuine.sum(), (~genuine).sum()) < folds:
        raise UserError(
            f"{genuine.sum()} genuine and {(~genuine).sum()} impostor pairs are too few for {folds} folds",
            "evaluate more faces",
        )
    numbers = np.empty(len(genuine), np.int64)
    split = StratifiedKFold(folds, shuffle=True, random_state=seed).split(genuine, genuine)
    for number, (_, test) in enumerate(split):
        numbers[test] = number
    return numbers


def evaluate(embeddings: NDArray[Any], people: Integers, folds: int = 10, seed: int = 1) -> VerificationScore:
    """Verify every pair of faces by cosine similarity.

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
    first, second = np.triu_indices(len(people), k=1)
    scores = similarity_matrix(embeddings)[first, second]
    genuine = people[first] == people[second]
    return VerificationScore(
        by_fold=k_fold(scores, genuine, stratified_folds(genuine, folds, seed)),
        roc=roc(scores, genuine),
        genuine_mean=float(scores[genuine].mean()),
        genuine_std=float(scores[genuine].std()),
        impostor_mean=float(scores[~genuine].mean()),
        impostor_std=float(scores[~genuine].std()),
    )


def _ranked_thresholds(
    scores: Floats, genuine: Flags, folds: Integers, left_out: range | list[int]
) -> Floats:
    """For each fold left out, the threshold with the best balanced accuracy on the pairs of the others.

    The scores are sorted once; a fold left out only changes what is counted. A threshold lies in the middle between
    the lowest score that it accepts and the next one, so that neither is decided by rounding.
    """
    order = np.argsort(-scores)
    ranked, true, fold = scores[order], genuine[order], folds[order]
    last = np.append(np.diff(ranked) != 0, True)  # of equal scores: all are accepted, or none
    thresholds = []
    for number in left_out:
        used = fold != number
        _check_both(true[used])
        taken = np.cumsum(used)
        found = np.cumsum(used & true)
        places = np.flatnonzero(last & (taken > 0))
        right, wrong = found[places], taken[places] - found[places]
        gain = right / found[-1] - wrong / (taken[-1] - found[-1])
        best = int(places[np.argmax(gain)])
        lower = ranked[best + 1 :][used[best + 1 :]]
        thresholds.append((ranked[best] + lower[0]) / 2 if len(lower) else ranked[best])
    return np.array(thresholds)


def _check_both(genuine: Flags) -> None:
    """A threshold or a curve needs pairs of both kinds."""
    for kind, name in ((genuine, "genuine"), (~genuine, "impostor")):
        if not kind.any():
            raise UserError(f"there is no {name} pair to evaluate", "evaluate more faces")
