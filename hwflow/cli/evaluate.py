# SPDX-License-Identifier: Apache-2.0
"""``hwflow evaluate``: face verification of a network, from float Keras to simulated RTL."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.run import TrustFlag, execute, show_progress
from hwflow.errors import ConfigError, UserError, did_you_mean

if TYPE_CHECKING:
    from hwflow.config.schema import DesignConfig
    from hwflow.faces.datasets import FaceSet
    from hwflow.flow.evaluation import Kind, Network
    from hwflow.records import EvaluationRecord

#: The step that makes what each kind of embeddings is computed by, and where it lies in the run folder.
STEPS = {
    "float": ("model", "model/source.h5"),
    "keras": ("prepare", "prepared/model.h5"),
    "golden": ("convert", "graph/quantgraph.json"),
    "rtl": ("emit", "rtl/interface.json"),
}
ALIGNMENTS = ("auto", "yunet", "mtcnn", "fixed-crop")
FOLDER = "evaluation"
_SHOWN_RATES = ("1e-3", "1e-4", "1e-5")


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is evaluated, where its records go, and the design behind it."""

    name: str
    networks: list[Network]
    folder: Path
    config: DesignConfig | None = None


@guarded
def evaluate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="Zoo name, model file, YAML file of a design, or folder of a run."
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="PATH", help="Face set: a folder, or a .bin file. Default: the ORL faces."
        ),
    ] = None,
    layout: Annotated[
        str,
        typer.Option("--layout", metavar="auto|lfw|bin|ijb|identities|orl", help="How the set is laid out."),
    ] = "auto",
    embeddings: Annotated[
        list[str] | None,
        typer.Option(
            "--embeddings",
            metavar="float|keras|golden|rtl",
            help="What computes the embeddings; may be given several times. Default: golden for a design or "
            "a run, else the model itself.",
        ),
    ] = None,
    alignment: Annotated[
        str, typer.Option("--alignment", metavar="auto|yunet|mtcnn|fixed-crop", help="How faces are aligned.")
    ] = "auto",
    pictures: Annotated[
        int | None,
        typer.Option("--pictures", min=4, help="Use so many pictures only. Default: all; 32 for rtl."),
    ] = None,
    pairs: Annotated[
        int, typer.Option("--pairs", min=2, help="Pairs drawn by seed where the layout lists none.")
    ] = 6000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of drawn pairs, folds and t-SNE.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Where records and drawings go. Default: evaluation/<set> in the run folder.",
        ),
    ] = None,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Verify pairs of faces by a network's embeddings.

    Sets in the layouts of LFW (also SLLFW, CALFW, CPLFW), of InsightFace's .bin files, of IJB-B and IJB-C, and a
    folder a person. Accuracy is the mean over ten folds with its standard error; the threshold is the best one on
    the other folds, or that of view 1 where the set has one. The folder holds evaluation.json, the embeddings, and
    drawings of the ROC, of angles between faces and of t-SNE.
    """
    from hwflow.faces.align import chosen_method
    from hwflow.flow.evaluation import evaluate as evaluate_networks

    _check_name("alignment", alignment, ALIGNMENTS)
    for kind in embeddings or ():
        _check_name("kind of embeddings", kind, STEPS)
    kinds = list(dict.fromkeys(embeddings or ()))
    # The set comes first: its faults show at once, a network may take minutes.
    early = None if data is None else _faces(data, layout, pairs, 0, seed)
    subject = _subject(source, kinds, data, out, trust=trust)
    config = subject.config.Hwflow.Data if subject.config else None
    after = config.known_people if config and config.Kind == "orl" else 0
    faces = early or _faces(data, layout, pairs, after, seed)
    faces = _few(faces, pictures, [network.kind for network in subject.networks])
    method = alignment if alignment != "auto" or config is None else config.Alignment
    with ExitStack() as stack:
        records = evaluate_networks(
            subject.name,
            subject.networks,
            faces,
            chosen_method(method),  # type: ignore[arg-type]  # checked above
            subject.folder,
            show_progress(stack),
            seed,
        )
    if as_json:
        rows = [record.model_dump(mode="json") for record in records]
        emit_json({"folder": str(subject.folder), "evaluations": rows})
    else:
        _show(records, subject.folder, orl=data is None)


def _check_name(what: str, name: str, known: Any) -> None:
    if name not in known:
        raise UserError(f"there is no {what} {name!r}", did_you_mean(name, known))


def _faces(data: Path | None, layout: str, pairs: int, after: int, seed: int) -> FaceSet:
    from hwflow.faces.datasets import open_faces

    return open_faces(data, layout, pairs=pairs, orl_after=after, seed=seed)


def _few(faces: FaceSet, pictures: int | None, kinds: list[Kind]) -> FaceSet:
    """As many pictures as were asked for, or as RTL can be simulated for."""
    from hwflow.faces.datasets import limited
    from hwflow.flow.evaluation import RTL_PICTURES

    count = pictures or (RTL_PICTURES if "rtl" in kinds else None)
    return faces if count is None else limited(faces, count)


# ------------------------------------------------------------------------------------------------ what is evaluated


def _subject(source: str, kinds: list[str], data: Path | None, out: Path | None, *, trust: bool) -> _Subject:
    """Find the network, bringing a design's run up to date as far as needed."""
    path, dataset = Path(source), "orl" if data is None else data.stem
    if path.is_dir():
        return _of_run(path, kinds or ["golden"], out or path / FOLDER / dataset, trust=trust)
    if path.suffix.lower() in (".yaml", ".yml"):
        kinds, run = kinds or ["golden"], Path("runs") / path.stem
        execute(path, run, last=_last(kinds), trust=trust, only_needed=True)
        return _of_run(run, kinds, out or run / FOLDER / dataset, trust=trust)
    return _of_model(
        source, kinds, out or Path("evaluations") / path.stem.replace(":", "-") / dataset, trust=trust
    )


def _last(kinds: list[str]) -> str:
    """The last step that any of these embeddings needs."""
    return next(step for kind, (step, _) in reversed(STEPS.items()) if kind in kinds)


def _of_model(source: str, kinds: list[str], folder: Path, *, trust: bool) -> _Subject:
    """A model without a design; its integers come from the design that has nothing but this model."""
    import yaml

    from hwflow.flow.evaluation import keras_network
    from hwflow.models.source import is_quantized, load_source

    model = load_source(source, base_dir=Path(), trust=trust, seed=1)
    own: Any = "keras" if is_quantized(model) else "float"
    kinds = kinds or [own]
    for kind in kinds:
        if kind not in (own, "golden", "rtl") or (own == "float" and kind != "float"):
            _refuse(source, kind, own)
    networks = [keras_network(model, own)] if own in kinds else []
    config = None
    rest = [kind for kind in kinds if kind != own]
    if rest:
        named = str(Path(source).absolute()) if Path(source).is_file() else source
        design = folder / "design.yaml"
        folder.mkdir(parents=True, exist_ok=True)
        design.write_text(yaml.safe_dump({"Hwflow": {"Model": {"Source": named}}}))
        execute(design, folder / "run", last=_last(rest), trust=trust, only_needed=True)
        converted = _of_run(folder / "run", rest, folder, trust=trust)
        networks, config = networks + converted.networks, converted.config
    return _Subject(source, networks, folder, config)


def _refuse(source: str, kind: str, own: str) -> None:
    if own == "float":
        raise ConfigError(
            f"{source} is a float network; it has no {kind} embeddings",
            "give a design whose section Prepare quantizes it, or --embeddings float",
        )
    raise ConfigError(
        f"{source} is quantized already; it has no float embeddings", "--embeddings keras or golden"
    )


def _of_run(run: Path, kinds: list[str], folder: Path, *, trust: bool) -> _Subject:
    """The networks of a run folder, as they lie there."""
    from hwflow.config.schema import DesignConfig
    from hwflow.flow.context import Context
    from hwflow.flow.evaluation import golden_network, keras_network, rtl_network
    from hwflow.flow.manifest import NAME
    from hwflow.flow.model import prepared_model, source_model
    from hwflow.models.source import is_quantized
    from hwflow.numerics.fixed import Cast

    for name in (NAME, *(STEPS[kind][1] for kind in kinds)):
        if not (run / name).exists():
            raise ConfigError(
                f"{run} holds no {name}", f"run `hwflow run CONFIG --until {_last(kinds)} --out {run}` first"
            )
    manifest = json.loads((run / NAME).read_text())
    config = DesignConfig.model_validate(manifest["config"]["resolved"])
    context = Context(config, run, run.absolute(), trust or config.Hwflow.Model.Trust)
    grid = Cast.parse(config.Hwflow.Data.InputType).type
    graph = run / "graph"
    networks = []
    for kind in kinds:
        if kind == "float":
            model = source_model(context)
            if is_quantized(model):
                _refuse(str(run), kind, "keras")
            networks.append(keras_network(model, "float", grid))
        elif kind == "keras":
            networks.append(keras_network(prepared_model(context), "keras", grid))
        else:
            from hwflow.ir.serialize import load_graph

            quantgraph = load_graph(graph)
            networks.append(
                golden_network(quantgraph, graph)
                if kind == "golden"
                else rtl_network(quantgraph, run / "rtl", run / "logs" / "evaluate.log")
            )
    return _Subject(str(run), networks, folder, config)


# ------------------------------------------------------------------------------------------------ output


def _show(records: list[EvaluationRecord], folder: Path, *, orl: bool) -> None:
    first = records[0]
    what = f"{first.templates:,} templates, " if first.templates else ""
    echo(
        f"{first.dataset}: {what}{first.pictures:,} pictures at {first.size} pixels, {first.genuine:,} genuine and "
        f"{first.impostor:,} impostor pairs; aligned: {first.alignment}"
        + (f"; {first.note}" if first.note else "")
    )
    if orl:
        echo("no --data was given: these are the ORL faces, a small and easy set")
    if first.broken:
        shown = "; ".join(first.broken_names[:3]) + ("; …" if first.broken > 3 else "")
        echo(f"{first.broken:,} pictures cannot be read, {first.pairs_lost:,} pairs are left out: {shown}")
    if first.not_found:
        echo(f"no face was found in {first.not_found:,} pictures; the fixed crop stands in")
    rates = [f">TPR at FPR {rate}" for rate in _SHOWN_RATES]
    table(
        ("embeddings", "measure", "threshold", ">accuracy", ">EER", ">AUC", *rates),
        [row for record in records for row in _rows(record)],
    )
    echo(f"records, embeddings and drawings: {folder}")


def _rows(record: EvaluationRecord) -> list[tuple[str, ...]]:
    rows = []
    for measure in record.measures:
        curve = (
            f"{100 * measure.eer:.2f} %",
            f"{measure.auc:.6f}",
            *(
                "–" if (rate := measure.tpr_at_fpr[at]) is None else f"{100 * rate:.2f} %"
                for at in _SHOWN_RATES
            ),
        )
        accuracies = [
            (
                f"{found.protocol}: {found.threshold:.3f}",
                f"{100 * found.mean:.2f} %"
                + ("" if found.standard_error is None else f" ± {100 * found.standard_error:.2f}"),
            )
            for found in measure.accuracies
        ] or [("", "–")]
        for place, accuracy in enumerate(accuracies):
            figures = curve if place == 0 else ("",) * len(curve)
            rows.append((record.embeddings, measure.measure, *accuracy, *figures))
    return rows
