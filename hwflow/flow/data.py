# SPDX-License-Identifier: Apache-2.0
"""The stimuli of a run: which faces, or which random codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hwflow.config.schema import DataConfig
from hwflow.errors import ConfigError
from hwflow.faces.align import Frame, align, frame_of, takes_pixels, to_input
from hwflow.ir.graph import QuantGraph
from hwflow.numerics.codes import from_codes, to_codes
from hwflow.numerics.fixed import Cast, Codes

Frames = NDArray[np.float32]

RANDOM_FRAMES = 64
"""Random frames a quantization is calibrated on."""


@dataclass(frozen=True, slots=True)
class Faces:
    """Aligned faces as network inputs.

    Parameters
    ----------
    frames : ndarray of float32, shape (n, size, size, 3)
        Inputs on the grid ``fixed<8,1>``.
    people : ndarray of int64, shape (n,)
        Who is shown.
    method : str
        How they were aligned.
    """

    frames: Frames
    people: NDArray[np.int64]
    method: str


def load_faces(
    config: DataConfig, use: Literal["calibration", "training", "evaluation"], frame: Frame
) -> Faces:
    """ORL faces of the people used for calibration, for training, or for neither, aligned to a frame."""
    from hwflow.faces.orl import load_orl

    orl = load_orl()
    aligned = align(orl.images, config.Alignment, frame)
    chosen = {
        "calibration": orl.people <= config.CalibrationPeople,
        "training": orl.people <= config.TrainingPeople,
        "evaluation": orl.people > config.known_people,
    }[use]
    return Faces(to_input(aligned.images[chosen]), orl.people[chosen], aligned.method)


def random_frames(
    shape: tuple[int, ...], count: int, seed: int | Sequence[int], input_type: str
) -> NDArray[np.float64]:
    """Frames of uniform random codes on the grid of the network's input."""
    grid = Cast.parse(input_type).type
    low, high = grid.range()
    codes = np.random.default_rng(seed).integers(low, high, (count, *shape), endpoint=True)
    return from_codes(codes, grid)


def random_codes(graph: QuantGraph, count: int, seed: int) -> dict[str, Codes]:
    """Random codes of every input of a network; each has a seed of its own."""
    inputs = {}
    for number, node in enumerate(map(graph.node, graph.inputs)):
        seeds = [seed, number] if number else seed
        inputs[node.name] = to_codes(random_frames(node.shape, count, seeds, str(node.type)), node.type)
    return inputs


def calibration_frames(config: DataConfig, shape: tuple[int, ...], seed: int) -> Frames:
    """Frames that activation ranges are taken from.

    Raises
    ------
    ConfigError
        When the faces do not fit the network's input.
    """
    if config.Kind == "random":
        return random_frames(shape, RANDOM_FRAMES, seed, config.InputType).astype(np.float32)
    return load_faces(config, "calibration", input_frame(shape)).frames


def input_frame(shape: tuple[int, ...]) -> Frame:
    """The frame of faces that a network takes.

    Raises
    ------
    ConfigError
        When it takes no colour faces from -1 to 1.
    """
    if len(shape) != 3 or shape[0] != shape[1] or shape[2] != 3 or takes_pixels(frame_of(shape)):
        raise ConfigError(
            f"Hwflow.Data.Kind: faces do not fit the model's input {shape}", "use 'random' for this model"
        )
    return frame_of(shape)
