# SPDX-License-Identifier: Apache-2.0
"""da4ml's side of the comparison: a perceptron of given integer weights to its own Verilog.

Run as ``python peer_da4ml.py NETWORK.npz OUT STAGE_DEPTH``. ``OUT/src`` receives the Verilog, ``OUT/da4ml.json`` the
latency. Rounding is half up, the nearest that da4ml has to QKeras' half to even; saturation is the same.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from da4ml.codegen import RTLModel
from da4ml.trace import FixedVariableArray, HWConfig, comb_trace, to_pipeline


def main() -> None:
    """Trace the network symbolically, solve it, cut it, write it."""
    network, out, depth = np.load(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    name = str(network["name"])
    signed, width, frac = (int(v) for v in network["input_type"])
    size = network["0_weight"].shape[0]
    options = {"hard_dc": 2, "search_all_decompose_dc": True}
    kif = (np.full(size, value) for value in (signed, width - frac - signed, frac))
    x = inputs = FixedVariableArray.from_kif(*kif, HWConfig(1, -1, -1), solver_options=options)
    layers = len(network["kinds"])
    for number in range(layers):
        weight = network[f"{number}_weight"] * 2.0 ** -int(network[f"{number}_weight_frac"])
        x = x @ weight + network[f"{number}_bias"] * 2.0 ** -int(network[f"{number}_bias_frac"])
        if number < layers - 1:
            signed, width, frac = (int(v) for v in network[f"{number}_type"])
            x = x.relu(None, None).quantize(signed, width - frac - signed, frac, "SAT", "RND")
    network_ = comb_trace(inputs, x)
    stages = len(to_pipeline(network_, depth, verbose=False).solutions)
    RTLModel(network_, name, out, latency_cutoff=depth).write()
    frame = network["frame"].reshape(1, -1) * 2.0 ** -int(network["input_type"][2])
    figures = {"latency": stages + 1, "ii": 1, "output": network_.predict(frame).ravel().tolist()}
    (out / "da4ml.json").write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
