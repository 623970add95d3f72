# SPDX-License-Identifier: Apache-2.0
"""``hwflow check``: is a design or a model fit for hwflow? Nothing is left behind."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.run import TrustFlag, execute

STEP, RECORD = "convert", "graph/layers.json"


@guarded
def check(
    source: Annotated[
        str, typer.Argument(metavar="CONFIG|MODEL", help="YAML file of a design, or name or file of a model.")
    ],
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Check a design or a model; nothing is compiled, nothing is left behind.

    A design goes through all steps up to the conversion in a temporary folder: keys, layer names, layer
    types, weights, legal reuse factors; only training is left out. Of a model the layer types and weights are checked.
    """
    if Path(source).suffix in (".yaml", ".yml"):
        _check_design(Path(source), trust=trust, as_json=as_json)
    else:
        _check_model(source, trust=trust, as_json=as_json)


def _check_design(path: Path, *, trust: bool, as_json: bool) -> None:
    from hwflow.records import read_layers

    with tempfile.TemporaryDirectory(prefix="hwflow-check-") as folder:
        execute(path, Path(folder), last=STEP, trust=trust, train=False)
        layers = read_layers(Path(folder) / RECORD)
    if as_json:
        emit_json({"ok": True, "layers": [layer.model_dump() for layer in layers]})
        return
    rows = [
        (
            layer.name,
            layer.op,
            "x".join(map(str, layer.shape)),
            layer.output_type,
            str(layer.reuse_factor or ""),
            str(layer.multipliers or ""),
        )
        for layer in layers
    ]
    table(("layer", "operation", "shape", "output type", ">reuse factor", ">multipliers"), rows)
    echo(f"{path}: nothing to mend")


def _check_model(source: str, *, trust: bool, as_json: bool) -> None:
    from hwflow.frontends.keras_checks import refuse_unsupported
    from hwflow.models.source import is_quantized, load_source
    from hwflow.prepare.net import from_keras

    model = load_source(source, base_dir=Path(), trust=trust, seed=1)
    quantized = is_quantized(model)
    if quantized:
        refuse_unsupported(model)
    else:
        from_keras(model)
    layers = [{"name": layer.name, "kind": type(layer).__name__} for layer in model.layers]
    if as_json:
        emit_json({"ok": True, "quantized": quantized, "layers": layers})
        return
    table(("layer", "kind"), [(layer["name"], layer["kind"]) for layer in layers])
    kind = "quantized" if quantized else "float, needs Hwflow/Model/Prepare"
    echo(f"{source}: {model.count_params():,} parameters, {kind}: nothing to mend")
