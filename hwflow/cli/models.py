# SPDX-License-Identifier: Apache-2.0
"""``hwflow models``: the model zoo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table

if TYPE_CHECKING:
    from hwflow.models.registry import ModelInfo

app = typer.Typer(help="List, fetch and describe the models hwflow knows by name.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name in `hwflow models list`.")]


@app.command("list")
@guarded
def list_models(as_json: JsonFlag = False) -> None:
    """List the models."""
    from hwflow.models.registry import MODELS

    if as_json:
        emit_json([_describe(info) for info in MODELS.values()])
        return
    rows = [
        (
            info.name,
            "x".join(map(str, info.input_shape)),
            f"{info.params:,}",
            f"{info.macs:,}",
            info.description,
        )
        for info in MODELS.values()
    ]
    table(("name", "input", ">parameters", ">MACs", "description"), rows)


@app.command("fetch")
@guarded
def fetch_model(name: _Name, as_json: JsonFlag = False) -> None:
    """Download a model's weights and check them."""
    from hwflow.models.registry import fetch, model_info

    path = fetch(name)
    if as_json:
        emit_json({"name": name, "path": str(path), "licence": model_info(name).licence})
    else:
        echo(str(path))


@app.command("show")
@guarded
def show_model(name: _Name, as_json: JsonFlag = False) -> None:
    """Describe a model."""
    from hwflow.models.registry import model_info

    facts = _describe(model_info(name))
    if as_json:
        emit_json(facts)
    else:
        table(("", ""), [(key, str(value)) for key, value in facts.items()])


@app.command("fold")
@guarded
def fold_model(name: _Name, as_json: JsonFlag = False) -> None:
    """Tell what folding the batch normalizations of a float model saves."""
    from hwflow.errors import ConfigError
    from hwflow.models.registry import load, model_info
    from hwflow.prepare.fold import count_folding

    if model_info(name).quantized:
        raise ConfigError(f"model {name!r} is quantized already", "name a float model")
    model = load(name)
    saved = count_folding(model)
    facts = {
        "name": name,
        "layers_removed": saved.removed,
        "scales_and_offsets": saved.alone,
        "parameters_removed": saved.parameters,
        "parameters": int(model.count_params()) - saved.parameters,
    }
    if as_json:
        emit_json(facts)
    else:
        table(("", ""), [(key, str(value)) for key, value in facts.items()])


def _describe(info: ModelInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "description": info.description,
        "input_shape": list(info.input_shape),
        "params": info.params,
        "macs": info.macs,
        "licence": info.licence,
        "quantized": info.quantized,
        "needs_fetch": info.needs_fetch,
    }
