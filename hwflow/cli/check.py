# SPDX-License-Identifier: Apache-2.0
"""``hwflow check``: is a design or a model fit for hwflow? Nothing is built or written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded
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
    from hwflow.config.load import check_layer_names, load_config
    from hwflow.models.source import load_source

    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        design = load_config(path)
        section = design.Hwflow.Model
        model = load_source(
            section.Source, base_dir=path.parent, trust=trust or section.Trust, seed=design.Hwflow.Seed
        )
        check_layer_names(design, (layer.name for layer in model.layers))
    else:
        model = load_source(source, base_dir=Path(), trust=trust, seed=1)
    layers = [{"name": layer.name, "kind": type(layer).__name__} for layer in model.layers]
    if as_json:
        emit_json({"ok": True, "layers": layers})
    else:
        echo(f"{source}: {len(layers)} layers, {model.count_params():,} parameters: nothing to mend")
