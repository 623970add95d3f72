# SPDX-License-Identifier: Apache-2.0
"""What hls4ml's model methods do on this backend: the RTL is compiled, run and traced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwflow.backend.writer import RTL_FOLDER
from hwflow.errors import UserError
from hwflow.numerics.codes import cast_values, from_codes
from hwflow.numerics.fixed import Codes, FixedType
from hwflow.ops.lowering import precision_cast
from hwflow.tools.verilator import FAST, QUICK
from hwflow.verify.rtlsim import RtlSimulator

if TYPE_CHECKING:
    from hls4ml.model.graph import ModelGraph

Array = NDArray[np.floating[Any]]
#: Cycles a frame up to which a thousand frames simulate sooner than an optimizing compiler is through.
_SHORT = 2000

Arrays = Array | Sequence[Array]
"""What hls4ml takes and gives: an array, or a list of them where a model has several inputs or outputs."""


class RtlRuntime:
    """Simulator of one hls4ml model.

    Parameters
    ----------
    model : ModelGraph
        Model of the backend ``Hwflow``.
    """

    def __init__(self, model: ModelGraph) -> None:
        self.model = model
        self._simulator: RtlSimulator | None = None

    def compile(self) -> None:
        """Emit the SystemVerilog and build its Verilator model."""
        self.model.write()
        folder = Path(self.model.config.get_output_dir())
        self._simulator = RtlSimulator(folder / RTL_FOLDER, folder / "logs" / "verilator.log")
        short = self._simulator.interface["ii_bound_cycles"] <= _SHORT
        self._simulator.build(flags=QUICK if short else FAST)

    def predict(self, x: Arrays) -> Arrays:
        """Run the RTL on frames; order, shapes and dtype are those of hls4ml's own ``predict``."""
        codes, dtype = self._codes(x)
        return self._returned(self._built().run(codes).outputs, dtype)

    def trace(self, x: Arrays) -> tuple[Arrays, dict[str, Array]]:
        """Outputs and every layer's output, as hls4ml's ``trace`` returns them."""
        codes, dtype = self._codes(x)
        simulator = self._built()
        tensors = simulator.trace(codes)
        grids = {tap["tensor"]: self._grid(tap) for tap in simulator.interface["taps"]}
        layers = {
            name: from_codes(values, grids[name]).astype(dtype)
            for name, values in tensors.items()
            if name not in self.model.inputs
        }
        return self._returned(tensors, dtype), layers

    def _built(self) -> RtlSimulator:
        if self._simulator is None:
            raise UserError("the model is not compiled", "call model.compile() first")
        return self._simulator

    def _codes(self, x: Arrays) -> tuple[dict[str, Codes], np.dtype[Any]]:
        """Frames on the grids of the inputs, cast as the C++ casts what it is given."""
        ports = self._built().inputs
        arrays = [np.asarray(values) for values in ([x] if len(ports) == 1 else x)]
        if len(arrays) != len(ports):
            raise UserError(f"{len(arrays)} arrays given, the model has {len(ports)} inputs")
        codes = {}
        for frames, port, variable in zip(arrays, ports, self.model.get_input_variables(), strict=True):
            if frames.dtype not in (np.float32, np.float64):
                raise UserError(
                    f"frames of dtype {frames.dtype} cannot be run", "give float32 or float64 values"
                )
            if frames.size % int(np.prod(port["shape"])):
                raise UserError(
                    f"{frames.size} values are no whole number of frames of shape {port['shape']}"
                )
            cast = precision_cast(variable.type.precision, port["tensor"])
            codes[port["tensor"]] = cast_values(frames.reshape(-1, *port["shape"]), cast)
        return codes, arrays[0].dtype

    def _returned(self, tensors: Mapping[str, Codes], dtype: np.dtype[Any]) -> Arrays:
        """Values of the outputs; a list only where there are several."""
        outputs = [
            _as_hls4ml(from_codes(tensors[port["tensor"]], self._grid(port)), dtype)
            for port in self._built().outputs
        ]
        return outputs if len(outputs) > 1 else outputs[0]

    @staticmethod
    def _grid(port: dict[str, Any]) -> FixedType:
        return FixedType.from_json(port["type"])


def _as_hls4ml(values: NDArray[np.float64], dtype: np.dtype[Any]) -> Array:
    """Outputs flattened; the batch axis only where there is more than one frame (hls4ml drops it)."""
    flat = values.reshape(values.shape[0], -1).astype(dtype)
    return flat[0] if flat.shape[0] == 1 else flat
