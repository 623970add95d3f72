# SPDX-License-Identifier: Apache-2.0
"""``hwflow check``: is a design or a model fit for hwflow? Nothing is built or written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.run import TrustFlag


@guarded
def check(
    source: Annotated[
        str, typer.Argument(metavar="CONFIG|MODEL", help="YAML file of a design, or name or file of a model.")
    ],
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Check a design or a model without building or writing anything."""
    from hwflow.config.load import load_config
    from hwflow.config.schema import ModelConfig
    from hwflow.errors import UnsupportedLayerError
    from hwflow.frontends.keras_checks import check_supported
    from hwflow.models.source import load_source
    from hwflow.prepare.net import from_keras

    path = Path(source)
    design = load_config(path) if path.suffix in (".yaml", ".yml") else None
    section = design.Hwflow.Model if design else ModelConfig(Source=source)
    model = load_source(
        section.Source,
        base_dir=path.parent if design else Path(),
        trust=trust or section.Trust,
        seed=design.Hwflow.Seed if design else 1,
    )
    quantized = any(type(layer).__module__.startswith("qkeras") for layer in model.layers)
    if section.Prepare or not (design or quantized):
        from_keras(model)
    elif findings := check_supported(model, design.HLSConfig if design else None):
        raise UnsupportedLayerError(findings, "change these layers, or let hwflow prepare the model")
    layers = [{"name": layer.name, "kind": type(layer).__name__} for layer in model.layers]
    if as_json:
        emit_json({"ok": True, "quantized": quantized, "layers": layers})
        return
    table("", ("layer", "kind"), [(layer["name"], layer["kind"]) for layer in layers])
    echo(f"{source}: {len(layers)} layers, {model.count_params():,} parameters: nothing to mend")
