# SPDX-License-Identifier: Apache-2.0
"""Face verification of a network: its embeddings of a set, and what they are worth."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import ConfigError, UserError
from hwflow.faces import embeddings as shapes
from hwflow.faces import verification
from hwflow.faces.align import Frame, Images, Method, frame_of, takes_pixels, to_input
from hwflow.faces.datasets.base import FaceSet, Pairs, with_drawn_folds
from hwflow.faces.datasets.stream import Losses, aligned_batches, check_readable
from hwflow.faces.verification import Accuracy, Flags, Floats, Integers, Measure
from hwflow.flow.progress import Progress
from hwflow.ir.graph import QuantGraph
from hwflow.numerics.codes import from_codes, to_codes
from hwflow.numerics.fixed import Codes, FixedType
from hwflow.records import AccuracyRecord, EvaluationRecord, MeasureRecord, write_records

if TYPE_CHECKING:
    import tensorflow as tf

Kind = Literal["float", "simulated", "keras", "golden", "rtl"]
RECORD = "evaluation.json"
FPR = ("1e-1", "1e-2", "1e-3", "1e-4", "1e-5", "1e-6")
#: Pictures that RTL simulation is asked for where nothing else is said.
RTL_PICTURES = 32
_PEOPLE, _PICTURES = 10, 10  # shown by angles and t-SNE
_BATCH = 32
_GRID = -np.arange(11) / 10  # thresholds of the distance, 0 to 1

Vectors = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Network:
    """What makes embeddings of faces.

    Parameters
    ----------
    kind : str
        ``float`` or ``keras`` (Keras in float32), ``golden`` (exact integers) or ``rtl`` (simulation).
    shape : tuple of int
        Shape of a face: height, width, channels.
    embed : callable
        Turns batches of faces (uint8, RGB) into embeddings (real values), in order; batches may be cut otherwise.
    """

    kind: Kind
    shape: tuple[int, ...]
    embed: Callable[[Iterable[Images]], Iterator[Vectors]]

    @property
    def frame(self) -> Frame:
        """Where the network expects a face."""
        return frame_of(self.shape)


def as_input(faces: Images, shape: tuple[int, ...], grid: FixedType | None) -> NDArray[np.float32]:
    """Faces as the network takes them.

    Parameters
    ----------
    faces : ndarray of uint8, shape (n, size, size, 3)
        RGB.
    shape : tuple of int
        Shape of one input.
    grid : FixedType or None
        Grid of the input, where it is known.

    Returns
    -------
    ndarray of float32, shape (n, *shape)
        Pixels as they are, 0 to 255, where the grid holds them (without a grid: where the network takes dlib's
        frame), else ``(pixel - 128) / 128``. Grey is the luma of ITU-R BT.601.
    """
    if shape[2] == 1:
        luma = faces @ np.array([0.299, 0.587, 0.114])
        faces = np.rint(luma).astype(np.uint8)[..., None]
    whole = takes_pixels(frame_of(shape)) if grid is None else grid.range()[1] >= 255 * 2.0**grid.frac
    return faces.astype(np.float32) if whole else to_input(faces)


def keras_network(
    model: tf.keras.Model, kind: Literal["float", "keras"], grid: FixedType | None = None
) -> Network:
    """A Keras model, float or quantized, as TensorFlow computes it.

    Raises
    ------
    ConfigError
        When it does not turn a face into a vector.
    """
    if (len(model.inputs), len(model.outputs)) != (1, 1):
        raise _not_one(len(model.inputs), len(model.outputs))
    shape = tuple(model.inputs[0].shape[1:])
    frame_of(shape)

    def embed(batches: Iterable[Images]) -> Iterator[Vectors]:
        for faces in batches:
            found = model.predict_on_batch(as_input(faces, shape, grid))
            yield np.asarray(found).reshape(len(faces), -1)

    return Network(kind, shape, embed)


def golden_network(graph: QuantGraph, folder: Path) -> Network:
    """The exact integers of a network that is saved in ``folder``."""
    from hwflow.verify.parallel import frame_chunks, golden_outputs
    from hwflow.verify.rtlsim import cores

    def run(batches: Iterable[Codes]) -> Iterator[Codes]:
        chunks = (chunk for codes in batches for chunk in frame_chunks(codes))
        return golden_outputs(folder, chunks, cores())

    return _integer_network("golden", graph, run)


def rtl_network(graph: QuantGraph, folder: Path, log: Path) -> Network:
    """The accelerator that lies in ``folder``, simulated."""
    from hwflow.verify.rtlsim import RtlSimulator

    def run(batches: Iterable[Codes]) -> Iterator[Codes]:
        simulator = RtlSimulator(folder, log)
        simulator.build()
        for codes in batches:
            yield simulator.run(codes).codes

    return _integer_network("rtl", graph, run)


def _integer_network(
    kind: Literal["golden", "rtl"], graph: QuantGraph, run: Callable[[Iterable[Codes]], Iterator[Codes]]
) -> Network:
    if (len(graph.inputs), len(graph.outputs)) != (1, 1):
        raise _not_one(len(graph.inputs), len(graph.outputs))
    node, output = graph.node(graph.inputs[0]), graph.node(graph.outputs[0])
    frame_of(node.shape)

    def embed(batches: Iterable[Images]) -> Iterator[Vectors]:
        codes = (to_codes(as_input(faces, node.shape, node.type), node.type) for faces in batches)
        for found in run(codes):
            yield from_codes(found, output.type).reshape(len(found), -1)

    return Network(kind, node.shape, embed)


def _not_one(inputs: int, outputs: int) -> ConfigError:
    return ConfigError(
        f"a face goes into one input and comes out as one embedding; the network has {inputs} inputs and {outputs} "
        "outputs",
        "evaluate a network with one of each",
    )


# ------------------------------------------------------------------------------------------------ embeddings


def embed_faces(
    network: Network, faces: FaceSet, method: Method, path: Path, progress: Progress, batch: int = _BATCH
) -> tuple[Vectors, Losses]:
    """Embeddings of all pictures of a set, written to a file as they come.

    Parameters
    ----------
    network : Network
        What makes them.
    faces : FaceSet
        The set.
    method : str
        How pictures are aligned.
    path : pathlib.Path
        The file, NumPy's ``.npy``.
    progress : Progress
        Where to show how far it is.
    batch : int
        Faces at once.

    Returns
    -------
    vectors : ndarray, shape (pictures, length)
        A memory map of the file; NaN for pictures that cannot be read.
    losses : Losses
        Those pictures, and those without a face.

    Raises
    ------
    UserError
        When no picture can be read, or the network gives values that are not finite.
    """
    losses = Losses()
    labels: deque[int] = deque()
    total = len(faces.pictures)
    pictures = (faces.pictures[index] for index in range(total))
    shown = progress.track(pictures, total, f"{network.kind} faces")

    def images() -> Iterator[Images]:
        for numbers, part in aligned_batches(
            shown, method, network.frame, aligned=faces.aligned, batch=batch, losses=losses
        ):
            labels.extend(numbers.tolist())
            yield part

    vectors: Vectors | None = None
    for part in network.embed(images()):
        if not np.isfinite(part).all():
            raise UserError(
                f"the {network.kind} network gives embeddings that are not finite", "check its weights"
            )
        if vectors is None:
            vectors = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
                path, "w+", dtype=part.dtype, shape=(total, part.shape[1])
            )
            vectors[:] = np.nan
        vectors[[labels.popleft() for _ in range(len(part))]] = part
    check_readable(losses, faces.name)
    assert vectors is not None, "a set that was read holds pictures"
    return vectors, losses


# ------------------------------------------------------------------------------------------------ scores


def evaluate(
    source: str,
    networks: Sequence[Network],
    faces: FaceSet,
    method: Method,
    folder: Path,
    progress: Progress,
    seed: int = 1,
) -> list[EvaluationRecord]:
    """Score networks on a set, and write records and drawings.

    Parameters
    ----------
    source : str
        What the network is called.
    networks : sequence of Network
        Ways to compute its embeddings.
    faces : FaceSet
        The set.
    method : str
        How its pictures are aligned.
    folder : pathlib.Path
        Gets ``evaluation.json``, ``embeddings-*.npy`` and the drawings.
    progress : Progress
        Where to show how far it is.
    seed : int
        Seed of t-SNE.

    Returns
    -------
    list of EvaluationRecord
        One for each network.
    """
    from hwflow.report.evaluation import write_figures

    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for network in networks:
        path = folder / f"embeddings-{network.kind}.npy"
        vectors, losses = embed_faces(
            network, faces, method, path, progress, batch=8 if network.kind == "rtl" else _BATCH
        )
        records.append(_record(source, network, faces, method, vectors, losses, seed))
    write_records(folder / RECORD, records)
    write_figures(records, folder)
    return records


def _record(
    source: str,
    network: Network,
    faces: FaceSet,
    method: Method,
    vectors: Vectors,
    losses: Losses,
    seed: int,
) -> EvaluationRecord:
    good = np.concatenate([~np.isnan(part[:, 0]) for part in _parts(vectors)])
    people, angles, between, tsne = _shown(faces, vectors, good, seed)
    usable, measures = good, ["cosine", "euclidean"]
    if faces.templates is not None:
        of, media, count = faces.templates.of, faces.templates.media, faces.templates.count
        vectors, usable = shapes.template_embeddings(vectors, of, media, count)
        measures = ["cosine"]  # at length one, distances say the same
    pairs = _usable(faces.pairs, usable)
    if len(pairs) < len(faces.pairs) and faces.fold_seed is not None:
        pairs = with_drawn_folds(pairs, faces.fold_seed)
    view1 = None if faces.view1 is None else _usable(faces.view1, usable)
    return EvaluationRecord(
        source=source,
        embeddings=network.kind,
        dataset=faces.name,
        layout=faces.layout,
        alignment="as published" if faces.aligned else method,
        note=faces.note,
        size=network.frame.size,
        pictures=losses.read,
        broken=losses.broken,
        not_found=losses.not_found,
        broken_names=losses.names,
        pairs=len(pairs),
        genuine=int(pairs.genuine.sum()),
        impostor=int((~pairs.genuine).sum()),
        pairs_lost=len(faces.pairs) - len(pairs),
        templates=None if faces.templates is None else faces.templates.count,
        measures=[_measure(measure, vectors, pairs, view1) for measure in measures],
        people=people,
        angles=angles,
        identity_angles=between,
        tsne=tsne,
    )


def _parts(vectors: Vectors, rows: int = 1 << 16) -> Iterator[Vectors]:
    for start in range(0, len(vectors), rows):
        yield vectors[start : start + rows]


def _usable(pairs: Pairs, usable: Flags) -> Pairs:
    return pairs.where(usable[pairs.first] & usable[pairs.second])


def _measure(measure: str, vectors: Vectors, pairs: Pairs, view1: Pairs | None) -> MeasureRecord:
    kind: Measure = "cosine" if measure == "cosine" else "euclidean"
    sign = 1.0 if kind == "cosine" else -1.0  # a distance is a score with its sign changed

    def scored(some: Pairs) -> Floats:
        return verification.pair_scores(vectors, some.first, some.second, kind)

    scores, genuine = scored(pairs), pairs.genuine
    curve = verification.roc(scores, genuine)
    accuracies = []
    if pairs.folds is not None:
        accuracies.append(_accuracy("k-fold", verification.k_fold(scores, genuine, pairs.folds), sign))
        if view1 is not None:
            first = scored(view1)
            protocols: dict[str, Floats | None] = {"view 1": None}
            if kind == "euclidean":
                protocols["view 1, tenths"] = _GRID
            for protocol, candidates in protocols.items():
                threshold = verification.best_threshold(first, view1.genuine, candidates)
                thresholds = np.full(int(pairs.folds.max()) + 1, threshold)
                found = verification.fold_accuracy(scores, genuine, pairs.folds, thresholds)
                accuracies.append(_accuracy(protocol, found, sign))
    return MeasureRecord(
        measure=measure,
        accuracies=accuracies,
        eer=curve.eer,
        auc=curve.auc,
        tpr_at_fpr={rate: curve.tpr_at(float(rate)) for rate in FPR},
        roc=curve.corners(),
        genuine_mean=sign * float(scores[genuine].mean()),
        genuine_std=float(scores[genuine].std()),
        impostor_mean=sign * float(scores[~genuine].mean()),
        impostor_std=float(scores[~genuine].std()),
    )


def _accuracy(protocol: str, accuracy: Accuracy, sign: float) -> AccuracyRecord:
    return AccuracyRecord(
        protocol=protocol,
        mean=accuracy.mean,
        std=accuracy.std,
        standard_error=accuracy.standard_error,
        threshold=sign * accuracy.threshold,
        folds=accuracy.folds.tolist(),
    )


def _shown(
    faces: FaceSet, vectors: Vectors, good: Flags, seed: int
) -> tuple[list[int], list[list[float]], list[list[float | None]], list[tuple[float, float]]]:
    """Angles and t-SNE of the people with the most pictures."""
    rows = _well_known(faces.people, good) if faces.people is not None else np.empty(0, np.int64)
    if len(rows) < 4 or faces.people is None:
        return [], [], [], []
    chosen, people = vectors[rows], faces.people[rows]
    _, between = shapes.identity_angles(chosen, people)
    known: list[list[float | None]] = [
        [None if np.isnan(value) else round(float(value), 2) for value in row] for row in between
    ]
    plane = [(round(float(x), 2), round(float(y), 2)) for x, y in shapes.tsne(chosen, seed)]
    return people.tolist(), shapes.angles(chosen).round(2).tolist(), known, plane


def _well_known(people: Integers, good: Flags) -> Integers:
    """Pictures of the people who have the most, ordered by person."""
    names, counts = np.unique(people[good], return_counts=True)
    most = np.sort(names[np.argsort(-counts, kind="stable")][:_PEOPLE])
    rows = [np.flatnonzero(good & (people == person))[:_PICTURES] for person in most]
    return np.array([row for part in rows for row in part.tolist()], np.int64)
