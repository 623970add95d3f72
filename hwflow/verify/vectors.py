# SPDX-License-Identifier: Apache-2.0
"""Golden vectors of a run on disk: the codes that go in and those that must come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import UserError
from hwflow.ir.graph import QuantGraph
from hwflow.numerics.codes import from_codes
from hwflow.numerics.fixed import Codes

LAYERS_FILE = "layers.npz"
"""Codes of every tensor of the traced frames, beside the vectors."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Files ``input.npy`` and ``output.npy``; ``input_0.npy``, ``input_1.npy`` … where there are several.

    Parameters
    ----------
    folder : pathlib.Path
        Where they lie.
    graph : QuantGraph
        Whose tensors they hold, int64, shape (frames, ...shape).
    """

    folder: Path
    graph: QuantGraph

    def save(self, inputs: Mapping[str, Codes], outputs: Mapping[str, Codes]) -> None:
        """Write the codes of all inputs and outputs."""
        for kind, codes in (("input", inputs), ("output", outputs)):
            for name, path in self._files(kind).items():
                np.save(path, codes[name])

    def inputs(self) -> dict[str, Codes]:
        """Codes of each input, in the graph's order."""
        return self._load("input")

    def outputs(self) -> dict[str, Codes]:
        """Golden codes of each output, in the graph's order."""
        return self._load("output")

    def values(self, count: int | None = None) -> list[NDArray[np.float64]]:
        """Values of each input, of the first frames or of all."""
        return [
            from_codes(codes[:count], self.graph.node(name).type) for name, codes in self.inputs().items()
        ]

    def _load(self, kind: str) -> dict[str, Codes]:
        files = self._files(kind)
        if missing := [path for path in files.values() if not path.is_file()]:
            raise UserError(f"{missing[0]} is missing: the run has no golden vectors", "run the design again")
        return {name: np.load(path) for name, path in files.items()}

    def _files(self, kind: str) -> dict[str, Path]:
        names = self.graph.inputs if kind == "input" else self.graph.outputs
        if len(names) == 1:
            return {names[0]: self.folder / f"{kind}.npy"}
        return {name: self.folder / f"{kind}_{number}.npy" for number, name in enumerate(names)}


def first_frames(codes: Mapping[str, Codes], count: int, start: int = 0) -> dict[str, Codes]:
    """Frames ``start`` to ``count`` of every tensor."""
    return {name: values[start:count] for name, values in codes.items()}
