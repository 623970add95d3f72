# SPDX-License-Identifier: Apache-2.0
"""The model a design names: one of the zoo, a file, or a factory.

Model files are data, but Keras runs what they name: Lambda layers carry byte code, and a stored
configuration may name any importable class. So the stored configuration is read first, and only
layers, initializers and quantizers of Keras and QKeras are let through unless the user trusts the file.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import traceback
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwflow.errors import ConfigError, HwflowError, UserError, did_you_mean
from hwflow.models import registry
from hwflow.models.building import without_autograph

if TYPE_CHECKING:
    import tensorflow as tf

_TRUST = "set 'Trust: true' under Hwflow/Model or pass --trust if you know where it comes from"
_SUFFIXES = (".h5", ".hdf5", ".keras")
_ZIP_MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
_CODE_CLASSES = {"Lambda", "TFOpLambda", "SlicingOpLambda"}


def load_source(source: str, *, base_dir: Path, trust: bool, seed: int) -> tf.keras.Model:
    """Load the model that a design names.

    Parameters
    ----------
    source : str
        Name in the zoo, path of a ``.h5`` or ``.keras`` file, or factory ``module:function``.
    base_dir : pathlib.Path
        Folder that relative paths and factory modules are looked up in.
    trust : bool
        Whether code that comes with the model may run.
    seed : int
        Seed of random weights (zoo models, and factories that take ``seed``).

    Returns
    -------
    tf.keras.Model
        The model with finite weights.

    Raises
    ------
    ConfigError
        When there is no such model, file or factory.
    UserError
        When the model would run code without trust, cannot be read, or holds NaN or infinite weights.
    """
    suffix = Path(source).suffix.lower()
    if suffix in _SUFFIXES:
        model = _load_file(base_dir / source, trust)
    elif ":" in source:
        model = _call_factory(source, base_dir, trust, seed)
    elif source not in registry.MODELS and (suffix or "/" in source):
        why = " (pickles run code when they are read)" if suffix in (".pkl", ".pickle", ".joblib") else ""
        raise ConfigError(
            f"model file {source!r} is of no known kind{why}", "save the model by Keras as .h5 or .keras"
        )
    else:
        model = registry.load(source, seed)
    check_finite(model)
    return model


def check_finite(model: tf.keras.Model) -> None:
    """Refuse NaN and infinite weights.

    Raises
    ------
    UserError
        Names the first layer that holds one.
    """
    for layer in model.layers:
        for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
            if not np.isfinite(value).all():
                raise UserError(
                    f"layer {layer.name!r} holds NaN or infinite values in {weight.name}",
                    "train or export the model again",
                )


def is_quantized(model: tf.keras.Model) -> bool:
    """Whether a model holds layers of QKeras."""
    return any(type(layer).__module__.partition(".")[0] == "qkeras" for layer in model.layers)


def _load_file(path: Path, trust: bool) -> tf.keras.Model:
    if not path.is_file():
        folder = path.parent.iterdir() if path.parent.is_dir() else ()
        names = [entry.name for entry in folder if entry.suffix.lower() in _SUFFIXES]
        raise ConfigError(f"model file {path} does not exist", did_you_mean(path.name, names))
    try:
        config = _zip_config(path) if zipfile.is_zipfile(path) else _h5_config(path)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"{path} is not a whole Keras model: {error}", "save it by model.save(), not save_weights()"
        ) from error
    if not trust:
        _refuse_code(config, path)
    import tensorflow as tf

    try:
        return without_autograph(
            tf.keras.models.load_model,
            path,
            custom_objects=_custom_objects(),
            compile=False,
            safe_mode=not trust,
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"Keras cannot read {path}: {error}", "save it by Keras 2.14 or older") from error


def _zip_config(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        extra = sorted(set(archive.namelist()) - _ZIP_MEMBERS)
        if extra:
            raise UserError(
                f"{path} holds {extra[0]!r}, which a plain Keras model has not", "save it by Keras"
            )
        return json.loads(archive.read("config.json"))


def _h5_config(path: Path) -> Any:
    import h5py  # type: ignore[import-untyped]

    with h5py.File(path) as file:
        return json.loads(file.attrs["model_config"])


def _custom_objects() -> dict[str, Any]:
    """Classes of QKeras and the quantizer of number formats, by name."""
    from qkeras.utils import _add_supported_quantized_objects

    from hwflow.formats.keras import FormatQuantizer

    objects: dict[str, Any] = {}
    _add_supported_quantized_objects(objects)
    objects["QActivation"] = _activation_reader()
    objects |= dict.fromkeys(
        (FormatQuantizer.__name__, f"hwflow>{FormatQuantizer.__name__}"), FormatQuantizer
    )
    return objects


def _activation_reader() -> type:
    """A class that reads stored ``QActivation`` layers.

    QKeras' own leaves a quantizer in the .keras format as the dictionary it was stored as.
    """
    from qkeras import QActivation
    from qkeras.quantizers import get_quantizer

    class QActivationReader(QActivation):  # type: ignore[misc]
        @classmethod
        def from_config(cls, config: dict[str, Any]) -> QActivation:
            activation = config["activation"]
            if isinstance(activation, dict):
                activation = get_quantizer({key: activation[key] for key in ("class_name", "config")})
            return QActivation(**{**config, "activation": activation})

    return QActivationReader


def _refuse_code(config: Any, path: Path) -> None:
    """Refuse a stored configuration that names anything but parts of Keras and QKeras."""
    import tensorflow as tf

    keras = tf.keras
    known = {"Functional", "Model", "Sequential", *_custom_objects()}
    for module in (keras.layers, keras.initializers, keras.regularizers, keras.constraints):
        known.update(name for name in dir(module) if inspect.isclass(getattr(module, name)))
    known -= _CODE_CLASSES
    for entry in _objects(config):
        kind = entry["class_name"]
        package = str(entry.get("module") or "keras").partition(".")[0]
        if kind not in known or package not in ("keras", "tensorflow", "tf_keras", "qkeras", "hwflow"):
            inner = entry.get("config")
            name = inner.get("name") if isinstance(inner, dict) else None
            where = f" (layer {name!r})" if name else ""
            raise UserError(f"{path} holds a {kind}{where}, which may run code when it is loaded", _TRUST)


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every stored object inside a configuration, outermost first."""
    if isinstance(config, dict):
        if isinstance(config.get("class_name"), str):
            yield config
        for key, value in config.items():
            if key not in ("compile_config", "build_config"):  # never read: models are loaded uncompiled
                yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)


def _call_factory(source: str, base_dir: Path, trust: bool, seed: int) -> tf.keras.Model:
    if not trust:
        raise UserError(f"model factory {source!r} is code that would run", _TRUST)
    module_name, _, function_name = source.partition(":")
    with _importable(base_dir):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"model factory {source!r}: {error}", f"put {module_name}.py into {base_dir} or install it"
            ) from error
        except Exception as error:
            raise _factory_error(source, error) from error
    factory = getattr(module, function_name, None)
    if not callable(factory):
        raise ConfigError(
            f"module {module_name!r} has no function {function_name!r}",
            did_you_mean(function_name, vars(module)),
        )
    takes_seed = "seed" in inspect.signature(factory).parameters
    try:
        model = factory(seed=seed) if takes_seed else factory()
    except HwflowError:
        raise
    except Exception as error:
        raise _factory_error(source, error) from error
    import tensorflow as tf

    if not isinstance(model, tf.keras.Model):
        raise ConfigError(
            f"model factory {source!r} returned a {type(model).__name__}", "return a tf.keras.Model"
        )
    return model


def _factory_error(source: str, error: Exception) -> UserError:
    """A fault of the user's code, where it happened."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return UserError(
        f"model factory {source!r} failed in {frame.filename}, line {frame.lineno}: "
        f"{type(error).__name__}: {error}",
        "mend the factory; `hwflow -v` shows the traceback",
    )


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Put a folder first on the import path."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
