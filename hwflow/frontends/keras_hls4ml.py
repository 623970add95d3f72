# SPDX-License-Identifier: Apache-2.0
"""Keras/QKeras model to hls4ml ModelGraph, exact; and the C++ project on disk."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwflow.frontends.exact_types import layer_info
from hwflow.frontends.hls4ml_ext import (
    EXACT_FLOW,
    fast_reuse_factors,
    register_extensions,
    register_keras_handlers,
)
from hwflow.frontends.hls4ml_types import to_cast
from hwflow.frontends.hls_config import LayerInfo, check_config
from hwflow.frontends.keras_checks import refuse_unsupported
from hwflow.numerics.fixed import Cast

if TYPE_CHECKING:
    import tensorflow as tf
    from hls4ml.backends import FPGABackend
    from hls4ml.model.graph import ModelGraph

logger = logging.getLogger(__name__)

INTERFACE_FILE = "interface.json"
"""Beside the project: shapes and types of its inputs, outputs and layers."""

Tensors = NDArray[np.float64] | Sequence[NDArray[np.float64]]
"""Values of a model's inputs or outputs: an array, or one a port in the model's order."""

_RESERVED = {"input": "input_tensor"}  # hls4ml calls the outside of the graph 'input'
_STAMP = "hwflow"


def convert(
    model: tf.keras.Model,
    *,
    backend: Literal["Vitis", "Hwflow"],
    hls_config: Mapping[str, Any],
    input_type: Cast,
    io_type: Literal["io_stream", "io_parallel"],
    clock_period: float,
    part: str,
    project_name: str,
    output_dir: Path,
) -> ModelGraph:
    """Convert a quantized Keras model; nothing is written to disk.

    Parameters
    ----------
    model : tf.keras.Model
        Functional or Sequential model, quantized with QKeras.
    backend : str
        hls4ml backend.
    hls_config : mapping
        The user's ``HLSConfig`` (``Model``, ``LayerType``, ``LayerName``), may be empty.
    input_type : Cast
        Grid of the model's inputs; ``Precision.result`` of an input layer overrides it.
    io_type : str
        hls4ml's I/O type.
    clock_period : float
        Clock period, ns.
    part : str
        FPGA part.
    project_name : str
        Name of the top-level function.
    output_dir : pathlib.Path
        Folder the project would be written to.

    Returns
    -------
    ModelGraph
        With explicit exact types; a layer named ``input`` is renamed ``input_tensor``.

    Raises
    ------
    UnsupportedLayerError
        With all layers that cannot become hardware.
    ConfigError
        With all wrong keys and names, or all layers whose reuse factor or types cannot be had.
    """
    refuse_unsupported(model, hls_config)
    from hls4ml.backends import get_backend
    from hls4ml.converters import convert_from_keras_model

    register_extensions()
    register_keras_handlers()
    target = get_backend(backend)
    source = _RenamedModel(model)
    config = _plain(hls_config)
    check_config(config, _layer_infos(source, target))
    for tensor in model.inputs:
        _set_input_precision(config, new_name(tensor.node.layer.name), input_type)
    if backend == "Vitis":
        config["Flows"] = [EXACT_FLOW, target.get_default_flow()]
    with fast_reuse_factors(target), _hls4ml_output_to_log():
        graph = convert_from_keras_model(
            source,
            output_dir=str(output_dir),
            project_name=project_name,
            backend=backend,
            hls_config=config,
            io_type=io_type,
            clock_period=clock_period,
            part=part,
        )
    graph.config.config.pop("KerasModel")  # or the writer would save the model a second time
    return graph


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy of plain dictionaries, with the model default that hls4ml insists on."""
    copy: dict[str, Any] = json.loads(json.dumps(config))
    defaults = {"Precision": "fixed<16,6>", "ReuseFactor": 1, "Strategy": "Resource"}
    for section, values in {"Model": defaults, "LayerName": {}}.items():
        given = copy.get(section) or {}
        if isinstance(given, dict):  # anything else is refused by check_config
            copy[section] = values | {new_name(key): value for key, value in given.items()}
    return copy


def _layer_infos(model: _RenamedModel, backend: FPGABackend) -> list[LayerInfo]:
    """The layers that hls4ml makes of a model, those of built-in activations among them."""
    from hls4ml.converters.keras_v2_to_hls import KerasModelReader, parse_keras_model
    from hls4ml.model.layers import layer_map

    layers, *_ = parse_keras_model(json.loads(model.to_json()), KerasModelReader(model))
    return [
        layer_info(layer["name"], backend.create_layer_class(layer_map[layer["class_name"]]), layer)
        for layer in layers
    ]


def _set_input_precision(config: dict[str, Any], name: str, input_type: Cast) -> None:
    """The grid of an input, where the user did not name one."""
    layers = config["LayerName"]
    entry = layers.get(name) or {}
    if entry.get("Precision") is None:
        layers[name] = {**entry, "Precision": {"result": str(input_type)}}


class _RenamedModel:
    """What hls4ml reads of a Keras model, with other names for the reserved ones.

    QKeras models cannot be rebuilt from their configuration under Keras 2.14, so the model itself stays.
    """

    def __init__(self, model: tf.keras.Model) -> None:
        self._model = model

    def to_json(self) -> str:
        """Architecture with the new names."""
        return json.dumps(_rename(json.loads(self._model.to_json())))

    def get_layer(self, name: str) -> tf.keras.layers.Layer:
        """Layer by its new name."""
        return self._model.get_layer(next((old for old, new in _RESERVED.items() if new == name), name))


def _rename(config: Any) -> Any:
    """Replace reserved names in a Keras configuration: layer names and the references to them."""
    if isinstance(config, Mapping):
        return {
            key: new_name(value) if key == "name" and isinstance(value, str) else _rename(value)
            for key, value in config.items()
        }
    if isinstance(config, list):
        is_reference = len(config) >= 3 and isinstance(config[0], str) and isinstance(config[1], int)
        return [_rename(item) for item in ([new_name(config[0]), *config[1:]] if is_reference else config)]
    return config


def new_name(name: str) -> str:
    """The name a Keras layer has in the graph: its own unless hls4ml reserves it."""
    return _RESERVED.get(name, name)


@contextlib.contextmanager
def _hls4ml_output_to_log() -> Iterator[None]:
    """hls4ml prints; standard output belongs to the command line's results."""
    text = io.StringIO()
    try:
        with contextlib.redirect_stdout(text):
            yield
    finally:
        for line in text.getvalue().splitlines():
            if line.strip():
                logger.debug("hls4ml: %s", line.strip())


def write_project(
    graph: ModelGraph,
    inputs: Tensors | None = None,
    outputs: Tensors | None = None,
) -> Path:
    """Write the C++ project: sources, weights, tcl, test bench and its data.

    Parameters
    ----------
    graph : ModelGraph
        From :func:`convert` with a C++ backend.
    inputs, outputs : ndarray of float, shape (n_frames, ...), or sequence of such arrays, optional
        Stimuli and golden outputs of the test bench, on their grids; one a port of the model, in its order.

    Returns
    -------
    pathlib.Path
        The project folder. The same graph and data give the same bytes.
    """
    settings = graph.config.config
    folder = Path(graph.config.get_output_dir())
    folder.parent.mkdir(parents=True, exist_ok=True)
    _trace_all(graph)
    settings["Stamp"] = _STAMP
    with tempfile.TemporaryDirectory() as scratch, _hls4ml_output_to_log():
        for key, values in (("InputData", inputs), ("OutputPredictions", outputs)):
            if values is None:
                continue
            path = Path(scratch) / f"{key}.npy"
            # hls4ml's test bench reads the values of all ports from one line.
            np.save(path, np.concatenate([v.reshape(len(v), -1) for v in as_ports(values)], axis=1))
            settings[key] = str(path)
        graph.config.backend.writer.write_hls(graph)
        settings["InputData"] = settings["OutputPredictions"] = None
    _make_settings_portable(folder)
    (folder / INTERFACE_FILE).write_text(json.dumps(_interface(graph), indent=1, sort_keys=True) + "\n")
    return folder


def as_ports(values: Tensors) -> list[NDArray[np.float64]]:
    """The array of each port."""
    return [values] if isinstance(values, np.ndarray) else list(values)


def _trace_all(graph: ModelGraph) -> None:
    """Write tracing code for the model's own layers; it costs nothing until it is switched on."""
    graph.config.trace_output = True
    for node in graph.get_layers():
        node.set_attr("trace", node.class_name not in _HELPER_CLASSES)


_HELPER_CLASSES = ("Input", "Clone", "Repack", "ZeroPadding2D")


def _make_settings_portable(folder: Path) -> None:
    """Take machine paths out of the settings file that hls4ml leaves in the project."""
    path = folder / "hls4ml_config.yml"
    keep = [
        line
        for line in path.read_text().splitlines()
        if not line.startswith(("OutputDir:", "InputData:", "OutputPredictions:"))
    ]
    path.write_text("\n".join([*keep, "OutputDir: ."]) + "\n")


def _interface(graph: ModelGraph) -> dict[str, Any]:
    """Shapes and types at the border of the C++ and of every traced layer.

    A port's ``argument`` is its name in the C++ and ``elements`` the values that it carries at once: the channels
    of a pixel in a stream, all values where arrays are passed.
    """

    def tensor(variable: Any) -> dict[str, Any]:
        precision = variable.type.precision
        return {"shape": [int(size) for size in variable.shape], "type": to_cast(precision).type.to_json()}

    def port(variable: Any) -> dict[str, Any]:
        elements = int(getattr(variable.type, "n_elem", 0)) or int(variable.size())
        return {**tensor(variable), "argument": variable.name, "elements": elements}

    traced = [
        node for node in graph.get_layers() if node.get_attr("function_cpp") and node.get_attr("trace", False)
    ]
    return {
        "project": graph.config.get_project_name(),
        "io_type": graph.config.get_config_value("IOType"),
        "inputs": [port(variable) for variable in graph.get_input_variables()],
        "outputs": [port(variable) for variable in graph.get_output_variables()],
        "layers": {node.name: tensor(node.get_output_variable()) for node in traced},
    }
