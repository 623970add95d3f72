# SPDX-License-Identifier: Apache-2.0
"""Step that predicts what a design costs: FPGA families and microcontrollers."""

from __future__ import annotations

import json
from pathlib import Path

from hwflow.flow.model import PREPARED


def prepared_layers(run: Path) -> set[str]:
    """Names of the quantized model's layers, without loading it."""
    import h5py  # type: ignore[import-untyped]

    with h5py.File(run / PREPARED) as file:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
    return {layer["config"]["name"] for layer in layers}
