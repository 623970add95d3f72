# SPDX-License-Identifier: Apache-2.0
"""``hwflow search``: the fewest bits of each layer within a margin of quality, without training."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.run import ConfigArgument, TrustFlag, show_progress
from hwflow.errors import ConfigError

if TYPE_CHECKING:
    from hwflow.config.schema import DesignConfig, PrepareConfig
    from hwflow.search import Evaluator, Found, Score

CONFIG, RESULT, TEXT, STATE = "config.yaml", "search.json", "search.md", "state.json"


class Method(str, Enum):
    """How a budget is met."""

    greedy = "greedy"
    milp = "milp"


class Scope(str, Enum):
    """What shares its bits."""

    layer = "layer"
    type = "type"
    network = "network"


class Tune(str, Enum):
    """What bits are searched of."""

    weights = "weights"
    activations = "activations"
    both = "both"


class Quality(str, Enum):
    """What the margin holds for."""

    cosine = "cosine"
    accuracy = "accuracy"


class Cost(str, Enum):
    """What is to become less."""

    storage = "storage"
    bops = "bops"


@guarded
def search(
    config: ConfigArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of the results.  [default: runs/search-<name>]"),
    ] = None,
    method: Annotated[
        Method, typer.Option("--method", help="Cheapest step first, or an integer program a budget.")
    ] = Method.milp,
    scope: Annotated[Scope, typer.Option("--scope", help="What shares its bits.")] = Scope.layer,
    tune: Annotated[Tune, typer.Option("--tune", help="Bits of what.")] = Tune.weights,
    metric: Annotated[
        Quality, typer.Option("--metric", help="Cosine to the float outputs needs no labels; accuracy does.")
    ] = Quality.cosine,
    margin: Annotated[
        float, typer.Option("--margin", help="Largest loss: of the mean cosine, or points of accuracy.")
    ] = 0.05,
    fewest: Annotated[int, typer.Option("--min-bits", help="Fewest bits tried.")] = 3,
    most: Annotated[int, typer.Option("--max-bits", help="Most bits tried.")] = 8,
    cost: Annotated[
        Cost, typer.Option("--cost", help="Bits stored, or bits of weights times MACs.")
    ] = Cost.storage,
    step: Annotated[float, typer.Option("--step", help="Mean bits from one budget to the next.")] = 0.25,
    frames: Annotated[
        int, typer.Option("--frames", min=1, help="Frames that a candidate is judged on.")
    ] = 40,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Find the fewest bits of each layer within a margin of quality, without training.

    Every layer is tried alone first; the walk from many bits to few then measures one pick a budget. Only calibration
    data are used; for faces, the accuracy on all other people is told at the end. An interrupted search goes on where
    it ended. The folder of the results gets a design with the bits found (config.yaml), all figures (search.json), the
    walk as a table (search.md) and the state.
    """
    from hwflow.config.load import load_config
    from hwflow.search import Settings
    from hwflow.search import search as find

    settings = Settings(
        method=method.value, scope=scope.value, tune=tune.value, metric=metric.value, margin=margin,
        fewest=fewest, most=most, cost=cost.value, step=step,
    )  # fmt: skip
    design = load_config(config)
    prepare = design.Hwflow.Model.Prepare
    if prepare is None:
        raise ConfigError(
            "Hwflow.Model.Prepare is missing: there is no float network to be quantized",
            "add 'Prepare: {}' to a design whose source is a float model",
        )
    folder = out or Path("runs") / f"search-{config.stem}"
    evaluator, fingerprint = _evaluator(design, config, frames, trust=trust)
    with ExitStack() as stack:
        found = find(
            evaluator,
            prepare,
            settings,
            state=folder / STATE,
            fingerprint=fingerprint,
            progress=show_progress(stack),
        )
    unseen = _unseen(design, config, found.config, trust=trust)
    result = _result(found, evaluator, prepare, unseen) | {
        "settings": asdict(settings) | {"frames": frames, "source": design.Hwflow.Model.Source}
    }
    folder.mkdir(parents=True, exist_ok=True)
    _write_design(config, found.config, folder / CONFIG)
    (folder / RESULT).write_text(json.dumps(result, indent=1) + "\n")
    (folder / TEXT).write_text(_markdown(result))
    if as_json:
        emit_json(result | {"folder": str(folder)})
        return
    table(
        (">mean bits", ">loss", ">predicted", ">cosine", "within"),
        [
            (
                f"{p['mean_bits']:.2f}",
                f"{p['loss']:.4f}",
                f"{p['predicted']:.4f}",
                f"{p['cosine']:.4f}",
                "yes" if p["within"] else "no",
            )
            for p in result["walk"]
        ],
    )
    echo(f"best: {result['best']['mean_bits']:.2f} bits; {_told(unseen)}")
    echo(f"design: {folder / CONFIG}")


def _evaluator(design: DesignConfig, path: Path, frames: int, *, trust: bool) -> tuple[Evaluator, str]:
    """The network with calibration data only, and what the measurements depend on."""
    import numpy as np

    from hwflow.flow.data import calibration_frames, input_frame, load_faces
    from hwflow.search import Evaluator

    model = _model(design, path, trust=trust)
    data = design.Hwflow.Data
    shape = tuple(model.inputs[0].shape[1:])
    calibration = calibration_frames(data, shape, design.Hwflow.Seed)
    people = load_faces(data, "calibration", input_frame(shape)).people if data.Kind == "orl" else None
    chosen = np.unique(np.linspace(0, len(calibration) - 1, min(frames, len(calibration))).astype(int))
    total = hashlib.sha256(calibration.tobytes() + chosen.tobytes())
    for weights in model.get_weights():
        total.update(weights.tobytes())
    judged = None if people is None else people[chosen]
    return Evaluator(model, calibration, calibration[chosen], judged), total.hexdigest()


def _model(design: DesignConfig, path: Path, *, trust: bool) -> Any:
    from hwflow.flow.distillation import refuse_distillation
    from hwflow.models.source import is_quantized, load_source

    section = design.Hwflow.Model
    refuse_distillation(section)
    model = load_source(
        section.Source, base_dir=path.parent, trust=trust or section.Trust, seed=design.Hwflow.Seed
    )
    if is_quantized(model):
        raise ConfigError(
            f"Hwflow.Model.Source: {section.Source} is quantized already", "search a float model"
        )
    return model


def _unseen(
    design: DesignConfig, path: Path, config: PrepareConfig, *, trust: bool
) -> tuple[Score, Score] | None:
    """Scores of the float network and of the one found on people that no step has seen."""
    from hwflow.flow.data import input_frame, load_faces
    from hwflow.search import Evaluator

    data = design.Hwflow.Data
    if data.Kind != "orl":
        return None
    model = _model(design, path, trust=trust)
    frame = input_frame(tuple(model.inputs[0].shape[1:]))
    faces, others = load_faces(data, "calibration", frame), load_faces(data, "evaluation", frame)
    evaluator = Evaluator(model, faces.frames, others.frames, others.people)
    return evaluator.float_score(), evaluator.score(config)


def _result(
    found: Found, evaluator: Evaluator, prepare: PrepareConfig, unseen: tuple[Score, Score] | None
) -> dict[str, Any]:
    from hwflow.search.bits import bits_by_layer

    def point(p: Any) -> dict[str, Any]:
        return {
            "mean_bits": p.mean_bits,
            "loss": p.loss,
            "predicted": p.predicted,
            "within": p.within,
            **asdict(p.score),
            "bits": p.bits,
        }

    return {
        "float": asdict(found.float_score),
        "best": point(found.best),
        "pareto": [found.walk.index(p) for p in found.pareto()],
        "walk": [point(p) for p in found.walk],
        "sensitivity": {n: {str(b): loss for b, loss in row.items()} for n, row in found.sensitivity.items()},
        "layers": bits_by_layer(evaluator.net(prepare), found.config, evaluator.dynamic_ranges(prepare)),
        "weight_bits_stored": evaluator.weight_bits(found.config),
        "unseen_people": None
        if unseen is None
        else {"float": asdict(unseen[0]), "quantized": asdict(unseen[1])},
    }


def _told(unseen: tuple[Score, Score] | None) -> str:
    if unseen is None or unseen[0].accuracy is None or unseen[1].accuracy is None:
        return "no faces to tell the accuracy on"
    return (
        f"accuracy on unseen people {100 * unseen[1].accuracy:.2f} % (float {100 * unseen[0].accuracy:.2f} %), "
        f"cosine {unseen[1].cosine:.4f}"
    )


def _write_design(source: Path, config: PrepareConfig, path: Path) -> None:
    """The design with the bits found."""
    import yaml

    from hwflow.config.load import parse_config, read_yaml

    data = read_yaml(source)
    section = data["Hwflow"]["Model"]["Prepare"] or {}
    layers = {name: row.model_dump(exclude_none=True) for name, row in config.Layers.items()}
    data["Hwflow"]["Model"]["Prepare"] = {**section, "Layers": layers}
    parse_config(data, str(path))
    text = yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=110)
    path.write_text(f"# {source.name} with the bits that `hwflow search` found.\n{text}")


def _markdown(result: dict[str, Any]) -> str:
    settings = result["settings"]
    lines = [
        f"# Bits of {settings['source']}",
        "",
        f"Search by {settings['method']}, {settings['scope']} by {settings['scope']}, of {settings['tune']}, within a "
        f"margin of {settings['margin']:g} ({settings['metric']}), on {settings['frames']} calibration frames.",
        "",
        "| mean bits | loss | predicted | mean cosine | smallest cosine | within the margin | on the Pareto front |",
        "|--:|--:|--:|--:|--:|---|---|",
    ]
    lines += [
        f"| {p['mean_bits']:.2f} | {p['loss']:.4f} | {p['predicted']:.4f} | {p['cosine']:.4f} | {p['cosine_min']:.4f} "
        f"| {'yes' if p['within'] else 'no'} | {'yes' if number in result['pareto'] else 'no'} |"
        for number, p in enumerate(result["walk"])
    ]
    lines += ["", f"Chosen: {result['best']['mean_bits']:.2f} mean bits."]
    unseen = result["unseen_people"]
    if unseen is not None:
        lines.append(
            f"On people that no step has seen: accuracy {100 * unseen['quantized']['accuracy']:.2f} % "
            f"(float {100 * unseen['float']['accuracy']:.2f} %), mean cosine {unseen['quantized']['cosine']:.4f}."
        )
    lines += [
        "",
        "Integer bits, sign included, are those with which nothing saturates on the calibration data.",
        "",
        "| layer | weights | bits of weights | integer bits | bits of outputs | integer bits |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    keys = ("weights", "weight_bits", "weight_integer_bits", "activation_bits", "activation_integer_bits")
    lines += [
        f"| {name} | {' | '.join(str(row.get(key, '')) for key in keys)} |"
        for name, row in result["layers"].items()
    ]
    return "\n".join(lines) + "\n"
