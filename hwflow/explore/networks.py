# SPDX-License-Identifier: Apache-2.0
"""The networks of a study's designs: quantizations of one float model, or one model that is quantized already."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hwflow.config.schema import DesignConfig, PrepareConfig
from hwflow.cost.complexity import complexity
from hwflow.errors import ConfigError
from hwflow.explore.schema import StudyConfig
from hwflow.explore.space import HARDWARE, Point, check_places, prepared
from hwflow.flow.data import calibration_frames, input_frame, load_faces
from hwflow.numerics.fixed import Cast
from hwflow.prepare.build import Scheme, build
from hwflow.prepare.net import Net
from hwflow.search import Evaluator, Score

if TYPE_CHECKING:
    import tensorflow as tf

    from hwflow.ir.graph import QuantGraph

#: Quantizations that a worker keeps, with their quality: designs that differ in hardware only share one.
_KEPT = 8
#: Inputs on which the quality is compared with that of exact arithmetic.
_CHECKED = 10


@dataclass(slots=True)
class Network:
    """A quantized network.

    Parameters
    ----------
    graph : QuantGraph
        The network.
    weight_bits : float
        Mean bits of a weight as stored.
    prepare : PrepareConfig, optional
        How it was quantized; absent for a model that came so.
    net, scheme : Net and Scheme, optional
        The same as values and formats.
    quality : dict of str to float
        What is known of its quality; empty at first.
    """

    graph: QuantGraph
    weight_bits: float
    prepare: PrepareConfig | None = None
    net: Net | None = None
    scheme: Scheme | None = None
    quality: dict[str, float] = field(default_factory=dict)


class Networks(Protocol):
    """Networks by points of a study."""

    #: Layers of the model.
    layers: list[str]

    def network(self, point: Point) -> Network:
        """The network of a point."""

    def quality(self, network: Network, broken: Callable[[Mapping[str, float]], str]) -> dict[str, float]:
        """Metrics of its quality; few inputs are enough where they break limits."""


class Given:
    """One model that is quantized already, which only hardware can be varied of.

    Parameters
    ----------
    model : tf.keras.Model
        The model.
    design : DesignConfig
        The base of the study.
    study : StudyConfig
        The study.

    Raises
    ------
    ConfigError
        When the study varies more.
    """

    def __init__(self, model: tf.keras.Model, design: DesignConfig, study: StudyConfig) -> None:
        varied = [name for name in study.Space.model_dump(exclude_none=True) if name not in HARDWARE]
        if varied:
            raise ConfigError(
                f"Space.{varied[0]} varies a quantization, but the base has no Hwflow.Model.Prepare: its model is "
                "quantized already",
                "name a base whose source is a float model, with 'Prepare: {}'",
            )
        wanted = next((name for name in sorted(study.wanted) if name.startswith("quality.")), None)
        if wanted:
            raise ConfigError(
                f"{wanted} is the same for all designs of a model that is quantized already", "take it out"
            )
        self.layers = [layer.name for layer in model.layers]
        graph = _converted(model, design)
        figures = complexity(graph)
        weights = sum(p.codes.size for node in graph for p in node.params.values())
        self._network = Network(graph, figures.total("weight_bits") / max(1, weights))

    def network(self, point: Point) -> Network:
        """The network, at every point."""
        return self._network

    def quality(self, network: Network, broken: Callable[[Mapping[str, float]], str]) -> dict[str, float]:
        """Nothing: there is no other network it could be worse than."""
        return {}


class Quantizations:
    """Quantizations of a float model, with all that they share: weights, calibration data, float reference.

    Parameters
    ----------
    model : tf.keras.Model
        The float model.
    design : DesignConfig
        The base of the study.
    prepare : PrepareConfig
        Its preparation.
    study : StudyConfig
        The study.

    Raises
    ------
    ConfigError
        When the study names a wrong layer.
    """

    def __init__(
        self, model: tf.keras.Model, design: DesignConfig, prepare: PrepareConfig, study: StudyConfig
    ) -> None:
        self._design, self._prepare, self._screen = design, prepare, study.Screen
        section = design.Hwflow
        shape = tuple(model.inputs[0].shape[1:])
        calibration = calibration_frames(section.Data, shape, section.Seed)
        if section.Data.Kind == "orl":
            faces = load_faces(section.Data, "evaluation", input_frame(shape))
            inputs, people = faces.frames, faces.people
        else:
            inputs, people = calibration, None
        if study.Frames is not None and study.Frames < len(inputs):
            chosen = np.unique(np.linspace(0, len(inputs) - 1, study.Frames).astype(int))
            inputs, people = inputs[chosen], None if people is None else people[chosen]
        self._frames = len(inputs)
        self._evaluator = Evaluator(model, calibration, inputs, people, fill=True)
        self._kept: OrderedDict[str, Network] = OrderedDict()
        self._net = self._evaluator.net(prepare)
        self.layers = [node.name for node in self._net]
        check_places(study.Space, self._net)

    def network(self, point: Point) -> Network:
        """The quantization of a point, kept for the next designs that have the same one."""
        config = prepared(self._prepare, point, self._net)
        key = config.model_dump_json()
        found = self._kept.pop(key, None)
        if found is None:
            net, scheme = self._evaluator.quantized(config)
            with _untraced():
                model = build(net, scheme)
            bits = self._evaluator.weight_bits(config)
            found = Network(_converted(model, self._design), bits, config, net, scheme)
        self._kept[key] = found
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found

    def quality(self, network: Network, broken: Callable[[Mapping[str, float]], str]) -> dict[str, float]:
        """How good a network is: by a few inputs where those rule it out, else by all."""
        assert network.net is not None and network.scheme is not None
        if not network.quality:
            if self._screen is not None and self._screen < self._frames:
                score = self._evaluator.screened(network.net, network.scheme, self._screen)
                network.quality = _named(score, self._screen)
                if broken(network.quality):
                    return network.quality
            score = self._evaluator.verified_score(network.net, network.scheme, _CHECKED)
            network.quality = _named(score, self._frames)
        return network.quality


def _named(score: Score, frames: int) -> dict[str, float]:
    """A score as metrics."""
    accuracy = {} if score.accuracy is None else {"quality.accuracy": score.accuracy}
    return {
        **accuracy,
        "quality.cosine": score.cosine,
        "quality.cosine_min": score.cosine_min,
        "quality.frames": frames,
    }


def _converted(model: Any, design: DesignConfig) -> QuantGraph:
    from hwflow.frontends.keras_hls4ml import convert
    from hwflow.frontends.lower import lower

    with tempfile.TemporaryDirectory(prefix="hwflow-explore-") as scratch:
        converted = convert(
            model, backend="Hwflow", hls_config=design.HLSConfig,
            input_type=Cast.parse(design.Hwflow.Data.InputType), io_type=design.IOType,
            clock_period=design.ClockPeriod, part=design.Part, project_name=design.ProjectName,
            output_dir=Path(scratch),
        )  # fmt: skip
        return lower(converted, design.ProjectName)


@contextmanager
def _untraced() -> Iterator[None]:
    """Build Keras models without tracing their layers, which takes four times as long as all else.

    hls4ml reads configurations, weights and shapes only, and layers tell their shapes without being traced.
    """
    from keras.src.engine import base_layer, keras_tensor
    from tensorflow import TensorSpec, nest

    def infer(layer: Any, inputs: Any, *_: Any) -> Any:
        layer._maybe_build(inputs)
        given = nest.map_structure(lambda one: TensorSpec(one.shape, one.dtype), inputs)
        return nest.map_structure(keras_tensor.KerasTensor, layer.compute_output_signature(given))

    traced = base_layer.Layer._infer_output_signature
    base_layer.Layer._infer_output_signature = infer
    try:
        yield
    finally:
        base_layer.Layer._infer_output_signature = traced
