# SPDX-License-Identifier: Apache-2.0
"""Records that a run leaves behind: metrics with unit, kind and source."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, model_validator

Kind = Literal["estimated", "simulated", "synthesized", "routed", "measured"]


class Metric(BaseModel):
    """One figure of a run.

    Parameters
    ----------
    name : str
        Dotted name, for example ``rtl.ii_cycles``.
    value : float, int, bool, str or None
        The figure; ``None`` when it could not be had, then ``reason`` says why.
    unit : str
        Unit, ``1`` for a plain number.
    kind : str
        How it came about.
    source : str
        File (relative to the run folder) or formula the figure was taken from.
    reason : str
        Why the value is missing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    value: float | int | bool | str | None
    unit: str
    kind: Kind
    source: str
    reason: str = ""

    @model_validator(mode="after")
    def _missing_value_has_reason(self) -> Metric:
        if self.value is None and not self.reason:
            raise ValueError(f"metric {self.name} has no value and no reason")
        return self


#: Figures of which less is better, and of which more is. Times of simulators depend on what else the machine does.
_LESS = (
    *("*.lut", "*.ff", "*.dsp", "*.bram", "*.bram18", "*.uram", "rtl.multipliers"),
    *("*latency_cycles", "*latency_ms", "*ii_cycles", "*ii_bound_cycles"),
    *("*.flash_bytes", "*.ram_bytes", "*.macs", "*.macc", "*.instructions"),
    *("*.mismatches", "model.params", "model.bops", "model.weight_bits"),
)
_MORE = ("*.fps", "*.fps_bound", "*.fmax_mhz", "faces.accuracy*", "faces.auc", "embedding.cosine_to_float.*")

_METRICS = TypeAdapter(list[Metric])


def direction(name: str) -> int:
    """-1 where less of a metric is better, 1 where more is, 0 where neither is.

    Examples
    --------
    >>> direction("synth.xc7.lut"), direction("rtl.fps"), direction("verify.frames")
    (-1, 1, 0)
    """
    if any(fnmatchcase(name, pattern) for pattern in _LESS):
        return -1
    return int(any(fnmatchcase(name, pattern) for pattern in _MORE))


def bound(name: str) -> str:
    """What a budget's figure is to a metric: the least where more is better, else the most.

    Examples
    --------
    >>> bound("rtl.fps"), bound("cost.xc7.lut")
    ('at least', 'at most')
    """
    return "at least" if direction(name) > 0 else "at most"


def keeps(name: str, value: float, limit: float) -> bool:
    """Whether a metric's value keeps a budget (see :func:`bound`); not-a-number keeps none."""
    return value >= limit if direction(name) > 0 else value <= limit


def write_metrics(path: Path, metrics: Iterable[Metric]) -> None:
    """Write metrics as a JSON list, sorted by name; a later one replaces an earlier one."""
    unique = {metric.name: metric for metric in metrics}
    rows = [
        unique[name].model_dump(exclude_defaults=True) | {"value": unique[name].value}
        for name in sorted(unique)
    ]
    path.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")


def read_metrics(path: Path) -> list[Metric]:
    """Read what :func:`write_metrics` wrote."""
    return _METRICS.validate_json(path.read_bytes())


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LayerRecord(_Record):
    """One node of the accelerator, as ``layers.json`` lists them in dataflow order.

    Parameters
    ----------
    name, op : str
        Node and its operation.
    shape : list of int
        Output shape, channels last.
    output_type : str
        Grid of the output codes, for example ``fixed<8,4>``.
    weight_bits : int or None
        Bits a weight, where there are weights.
    params, macs : int
        Stored constants, and multiply-accumulates a frame.
    reuse_factor, pe, simd, multipliers : int or None
        Folding, where there is a matrix-vector unit.
    cycles : int
        Cycles the node works a frame.
    utilisation : float
        ``cycles`` over the bound of the initiation interval.
    buffer_pixels : int or None
        Line-buffer capacity.
    fifo_beats : list of int
        Depth of the FIFO on each input.
    """

    name: str
    op: str
    shape: list[int]
    output_type: str
    weight_bits: int | None = None
    params: int = 0
    macs: int = 0
    reuse_factor: int | None = None
    pe: int | None = None
    simd: int | None = None
    multipliers: int | None = None
    cycles: int = 0
    utilisation: float = 0.0
    buffer_pixels: int | None = None
    fifo_beats: list[int] = []


class RungRecord(_Record):
    """One comparison of the verification ladder, as ``verify.json`` lists them.

    Parameters
    ----------
    rung : str
        What is compared with the golden codes: ``qkeras``, ``csim`` or ``rtl``.
    scope : str
        ``output``, or ``layers`` for every tensor.
    frames, values, mismatches : int
        Frames compared, codes compared, codes that differ.
    first_difference : str
        Layer and element of the first difference; empty when there is none.
    tensors : int
        Tensors compared.
    """

    rung: str
    scope: str
    frames: int
    values: int
    mismatches: int
    first_difference: str = ""
    tensors: int = 1


class FacesRecord(_Record):
    """Face verification of a run (``faces.json``).

    Parameters
    ----------
    dataset, alignment : str
        Where the faces come from and how they were aligned.
    pictures : list of str
        PNG files (relative to the run folder) of the faces simulated as RTL.
    people : list of int
        Person of each picture.
    similarity_float, similarity_hardware : list of list of float
        Cosine similarity of every two pictures.
    roc_float, roc_quantized : list of (float, float)
        False and true positive rates over all evaluated pairs.
    accuracy_float, accuracy_quantized, auc_float, auc_quantized : float
        Pair verification at the k-fold threshold, and area under the ROC.
    faces, pairs : int
        Faces and pairs evaluated (people not used for calibration).
    """

    dataset: str
    alignment: str
    pictures: list[str]
    people: list[int]
    similarity_float: list[list[float]]
    similarity_hardware: list[list[float]]
    roc_float: list[tuple[float, float]]
    roc_quantized: list[tuple[float, float]]
    accuracy_float: float
    accuracy_quantized: float
    auc_float: float
    auc_quantized: float
    faces: int
    pairs: int


class AccuracyRecord(_Record):
    """Accuracy of face verification under one protocol.

    Parameters
    ----------
    protocol : str
        How the threshold was chosen.
    mean, std : float
        Balanced accuracy over the folds.
    standard_error : float or None
        Of the mean; None for a single fold.
    threshold : float
        Mean threshold: a cosine, or a distance.
    folds : list of float
        Balanced accuracy of each fold.
    """

    protocol: str
    mean: float
    std: float
    standard_error: float | None
    threshold: float
    folds: list[float]


class MeasureRecord(_Record):
    """Face verification by one measure of likeness.

    Parameters
    ----------
    measure : str
        ``cosine``, or ``euclidean``.
    accuracies : list of AccuracyRecord
        By protocol; empty where the set has no folds.
    eer, auc : float
        Equal error rate, and area under the ROC curve.
    tpr_at_fpr : dict of str to float or None
        Genuine pairs accepted at a false positive rate; None where there are too few impostor pairs to tell.
    roc : list of (float, float)
        False and true positive rates.
    genuine_mean, genuine_std, impostor_mean, impostor_std : float
        The measure over pairs of one person and of two people.
    """

    measure: str
    accuracies: list[AccuracyRecord]
    eer: float
    auc: float
    tpr_at_fpr: dict[str, float | None]
    roc: list[tuple[float, float]]
    genuine_mean: float
    genuine_std: float
    impostor_mean: float
    impostor_std: float


class EvaluationRecord(_Record):
    """Face verification of one network on one set, as ``evaluation.json`` lists them.

    Parameters
    ----------
    source, embeddings : str
        The network, and what computed its embeddings: ``float``, ``keras``, ``golden`` or ``rtl``.
    dataset, layout, alignment, note : str
        The set, how its pictures were aligned, and what a reader must know of it.
    size : int
        Height and width of the faces, pixels.
    pictures, broken, not_found : int
        Pictures read, not readable, and without a face that the detector found (they got the fixed crop).
    broken_names : list of str
        The first broken ones with the reason.
    pairs, genuine, impostor, pairs_lost : int
        Pairs verified, and pairs left out because a picture is broken.
    templates : int or None
        Templates, where pairs are pairs of those.
    measures : list of MeasureRecord
        Scores.
    people : list of int
        Person of each picture shown below; empty where the set does not tell.
    angles : list of list of float
        Angle of each two pictures' embeddings, degrees.
    identity_angles : list of list of (float or None)
        Mean angle of each two people's embeddings, in the order of their first pictures; None where there is no pair.
    tsne : list of (float, float)
        Positions of the pictures in the plane of t-SNE.
    """

    source: str
    embeddings: str
    dataset: str
    layout: str
    alignment: str
    note: str
    size: int
    pictures: int
    broken: int
    not_found: int
    broken_names: list[str]
    pairs: int
    genuine: int
    impostor: int
    pairs_lost: int
    templates: int | None
    measures: list[MeasureRecord]
    people: list[int]
    angles: list[list[float]]
    identity_angles: list[list[float | None]]
    tsne: list[tuple[float, float]]


def write_records(path: Path, records: Iterable[BaseModel]) -> None:
    """Write records as a JSON list."""
    rows = [record.model_dump(mode="json") for record in records]
    path.write_text(json.dumps(rows, indent=1) + "\n")


def read_layers(path: Path) -> list[LayerRecord]:
    """Read ``layers.json``."""
    return TypeAdapter(list[LayerRecord]).validate_json(path.read_bytes())


def read_rungs(path: Path) -> list[RungRecord]:
    """Read ``verify.json``."""
    return TypeAdapter(list[RungRecord]).validate_json(path.read_bytes())


def read_faces(path: Path) -> FacesRecord:
    """Read ``faces.json``."""
    return FacesRecord.model_validate_json(path.read_bytes())


def read_evaluations(path: Path) -> list[EvaluationRecord]:
    """Read ``evaluation.json``."""
    return TypeAdapter(list[EvaluationRecord]).validate_json(path.read_bytes())
