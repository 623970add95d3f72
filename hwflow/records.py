# SPDX-License-Identifier: Apache-2.0
"""Records that a run leaves behind: metrics with unit, kind and source."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, model_validator

from hwflow.files import write_text

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
    *("*.lut", "*.ff", "*.dsp", "*.bram", "*.bram18", "*.uram", "*.multipliers"),
    *("*latency_cycles", "*latency_ms", "*ii_cycles", "*ii_bound_cycles"),
    *("*.flash_bytes", "*.ram_bytes", "*.macs", "*.macc", "*.instructions"),
    *("*.mismatches", "model.params", "model.bops", "model.weight_bits", "cost.share"),
)
_MORE = (
    "quality.accuracy",
    "quality.cosine*",
    "*.fps",
    "*.fps_bound",
    "*.fmax_mhz",
    "faces.accuracy*",
    "faces.auc",
    "embedding.cosine_to_float.*",
)

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
    write_text(path, json.dumps(rows, indent=1, sort_keys=True) + "\n")


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
    inputs : list of str
        Nodes it reads.
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
    inputs: list[str] = []
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


class UseRecord(_Record):
    """How much a design takes of one kind of a part's resources; ``available`` is None where that is not known."""

    resource: str
    used: int
    available: int | None


class PartRecord(_Record):
    """A design on an FPGA part; ``fits`` is None where figures of the part are missing."""

    part: str
    fits: bool | None
    uses: list[UseRecord]


class FamilyRecord(_Record):
    """What a design takes of an FPGA family (``cost.json`` as predicted, ``synth.json`` as synthesized).

    Parameters
    ----------
    total : dict of str to int or None
        Count of each resource; None for what the family does not have.
    layers : dict
        The same by node.
    parts : list of PartRecord
        The family's parts, the smallest first.
    """

    total: dict[str, int | None]
    layers: dict[str, dict[str, int | None]]
    parts: list[PartRecord] = []


class McuRecord(_Record):
    """A network on a microcontroller.

    Parameters
    ----------
    name : str
        The microcontroller.
    flash_bytes, ram_bytes : int
        What the network needs.
    flash_available, ram_available : int or None
        What there is.
    latency_ms : float or None
        Time of one inference.
    latency_error : float
        Median relative error of that time.
    misfits : list of str
        What does not fit, and by how much; empty when all does.
    """

    name: str
    flash_bytes: int
    ram_bytes: int
    flash_available: int | None
    ram_available: int | None
    latency_ms: float | None
    latency_error: float
    misfits: list[str]


class CostRecord(_Record):
    """What a design is predicted to cost (``cost.json``).

    Parameters
    ----------
    families : dict of str to FamilyRecord
        FPGA families.
    fifo_fill : dict of str to list of (int or None)
        Most beats that wait in the FIFO on each input of a node; None where there is no FIFO.
    mcus : list of McuRecord
        Microcontrollers.
    mcus_reason : str
        Why there are none.
    """

    families: dict[str, FamilyRecord]
    fifo_fill: dict[str, list[int | None]]
    mcus: list[McuRecord]
    mcus_reason: str = ""


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


class DesignRecord(_Record):
    """A design of a study.

    Parameters
    ----------
    number : int
        Its number.
    state : str
        ``complete``, ``refused`` (outside the limits) or ``failed``.
    point : dict
        Choice of every dimension.
    metrics : dict of str to float
        What is known of it.
    reason : str
        Why it was refused, or the error.
    design : dict
        Keys and values of its YAML; empty where it failed.
    seconds : float
        Processor time it took.
    worker : str
        Host and process that computed it.
    finished : str
        When, UTC.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    number: int
    state: Literal["complete", "refused", "failed"]
    point: dict[str, Any]
    metrics: dict[str, int | float]
    reason: str = ""
    design: dict[str, Any] = {}
    seconds: float = 0.0
    worker: str = ""
    finished: str = ""


class ProofRecord(_Record):
    """The run of a design of a study: its folder within that of the study, and what it measured."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    run: str
    metrics: dict[str, float | int | str | bool] = {}


class StudyRecord(_Record):
    """A study (``study.json``).

    Parameters
    ----------
    name : str
        The study.
    objectives : dict of str to str
        Metric to ``minimize`` or ``maximize``.
    designs : list of DesignRecord
        All finished ones, by number.
    front : list of int
        Numbers of those that no other one beats.
    verified : dict of str to str
        Number to what became of its run: ``exact``, or the error.
    proofs : dict of str to ProofRecord
        Number to its run.
    definition : dict
        The study's YAML, defaults filled in.
    sessions : list of dict
        When it ran: ``begun``, designs ``known`` by then, ``ended``; the last is None of one that was killed.
    provenance : dict
        Command line, versions, source and checksums.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = ""
    objectives: dict[str, Literal["minimize", "maximize"]]
    designs: list[DesignRecord]
    front: list[int]
    verified: dict[str, str] = {}
    proofs: dict[str, ProofRecord] = {}
    definition: dict[str, Any] = {}
    sessions: list[dict[str, Any]] = []
    provenance: dict[str, Any] = {}


def write_records(path: Path, records: Iterable[BaseModel]) -> None:
    """Write records as a JSON list."""
    rows = [record.model_dump(mode="json") for record in records]
    write_text(path, json.dumps(rows, indent=1) + "\n")


def read_layers(path: Path) -> list[LayerRecord]:
    """Read ``layers.json``."""
    return TypeAdapter(list[LayerRecord]).validate_json(path.read_bytes())


def read_rungs(path: Path) -> list[RungRecord]:
    """Read ``verify.json``."""
    return TypeAdapter(list[RungRecord]).validate_json(path.read_bytes())


def read_cost(path: Path) -> CostRecord:
    """Read ``cost.json``."""
    return CostRecord.model_validate_json(path.read_bytes())


def read_synthesis(path: Path) -> dict[str, FamilyRecord]:
    """Read ``synth.json``: resources by family."""
    return TypeAdapter(dict[str, FamilyRecord]).validate_json(path.read_bytes())


def read_study(path: Path) -> StudyRecord:
    """Read ``study.json``."""
    return StudyRecord.model_validate_json(path.read_bytes())


def read_faces(path: Path) -> FacesRecord:
    """Read ``faces.json``."""
    return FacesRecord.model_validate_json(path.read_bytes())


def read_evaluations(path: Path) -> list[EvaluationRecord]:
    """Read ``evaluation.json``."""
    return TypeAdapter(list[EvaluationRecord]).validate_json(path.read_bytes())
