# SPDX-License-Identifier: Apache-2.0
"""A failing network as a design that ``hwflow run`` repeats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from hwflow.fuzz.ladder import II_SLACK, PROJECT, Result, Verdict
from hwflow.fuzz.network import NetSpec, build_model, hls_config

DESIGN, MODEL = "design.yaml", "model.h5"


def save_failure(net: NetSpec, result: Result, folder: Path) -> Path:
    """Write a network as a design with the same weights, types, folding, stimuli and stalls.

    Parameters
    ----------
    net : NetSpec
        The network, shrunk or not.
    result : Result
        How it fails.
    folder : pathlib.Path
        Receives ``design.yaml`` and ``model.h5``.

    Returns
    -------
    pathlib.Path
        The design.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = build_model(net)
    model.save(folder / MODEL)
    verify: dict[str, Any] = {
        "Frames": net.frames,
        "TraceFrames": net.frames,
        "StallFrames": net.frames,
        "Stalls": [net.idle, net.stall],
        "QKeras": {layer.name for layer in net.layers} == net.exact_layers(),
    }
    section: dict[str, Any] = {
        "Model": {"Source": MODEL},
        "Data": {"InputType": net.input_type},
        "Verify": verify,
        "Seed": net.seed,
    }
    if result.verdict is Verdict.INTERVAL:
        section["Budget"] = {"rtl.ii_cycles": int(II_SLACK * result.ii_bound)}
    design = {
        "HLSConfig": hls_config(net, model),
        "IOType": net.io_type,
        "ProjectName": PROJECT,
        "Hwflow": section,
    }
    reason = " ".join(result.detail.split())
    path = folder / DESIGN
    path.write_text(
        f"# {result.verdict.value}: {reason[:300]}\n# repeat: hwflow run {DESIGN}\n"
        + yaml.safe_dump(design, sort_keys=False)
    )
    return path
