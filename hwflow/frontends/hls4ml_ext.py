# SPDX-License-Identifier: Apache-2.0
"""What hwflow adds to hls4ml: layers that operations bring along, and a flow that makes all types exact."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hwflow.frontends.exact_types import check_layer_config, set_exact_types
from hwflow.ops.registry import ops
from hwflow.ops.reuse import legal_reuse_factors

if TYPE_CHECKING:
    from hls4ml.backends import FPGABackend

EXACT_FLOW = "hwflow_exact"
"""Flow to run before hls4ml's ``convert``: put it first in ``Flows``, or first among a backend's flows."""


def register_extensions() -> None:
    """Register the layers that operations add to hls4ml, their C++ templates, and the exact-types flow, once.

    Safe while hls4ml is still being imported, which is when it loads backend plugins. An operation that adds
    something has a module ``hls`` with any of ``LAYERS`` (hls4ml layer classes), ``TEMPLATES`` (template
    classes), ``HEADERS`` (C++ files beside it), ``KERAS_HANDLERS`` (by Keras class), ``BEFORE_TYPES`` and
    ``AFTER_TYPES`` (passes that rewrite the graph before and after its types are made exact).
    """
    from hls4ml.model.flow.flow import flow_map, register_flow
    from hls4ml.model.layers import layer_map, register_layer
    from hls4ml.model.optimizer import ModelOptimizerPass, register_pass

    for layer in _added("LAYERS"):
        if layer.__name__ not in layer_map:
            register_layer(layer.__name__, layer)
    if EXACT_FLOW not in flow_map:
        whole = {"hwflow_check": check_layer_config, EXACT_FLOW: set_exact_types}
        for name, function in whole.items():
            register_pass(name, ModelOptimizerPass(name, function))
        before, after = _added("BEFORE_TYPES"), _added("AFTER_TYPES")
        for rewrite in (*before, *after):
            register_pass(rewrite.__name__, rewrite)
        names = [[rewrite.__name__ for rewrite in rewrites] for rewrites in (before, after)]
        register_flow(EXACT_FLOW, ["hwflow_check", *names[0], EXACT_FLOW, *names[1]])
    for backend in ("Vivado", "Vitis"):
        register_templates(backend)


def register_keras_handlers() -> None:
    """Let hls4ml's Keras converter make the layers that operations add.

    To be called after ``import hls4ml`` is through and before a model is parsed: when the backend is handed
    out. A handler replaces hls4ml's own and hands back to it what it does not know.
    """
    from hls4ml.converters.keras_v2_to_hls import get_layer_handlers

    for extension in _extensions():
        get_layer_handlers().update(getattr(extension, "KERAS_HANDLERS", {}))


def register_templates(backend_name: str) -> None:
    """Give a backend that writes Vivado or Vitis C++ the templates and the headers of the added layers."""
    from hls4ml.backends import get_backend
    from hls4ml.model.optimizer import get_backend_passes

    backend = get_backend(backend_name)
    known = get_backend_passes(backend.name)
    for template in _added("TEMPLATES"):
        if f"{backend.name.lower()}:{template().get_name()}" not in known:
            backend.register_template(template)
    for extension in _extensions():
        for header in getattr(extension, "HEADERS", ()):
            backend.register_source(Path(str(extension.__file__)).parent / header)


@cache
def _extensions() -> tuple[ModuleType, ...]:
    """The ``hls`` modules of the operations that have one."""
    packages = dict.fromkeys(type(spec).__module__ for spec in ops().values())
    return tuple(import_module(f"{package}.hls") for package in packages if find_spec(f"{package}.hls"))


def _added(kind: str) -> list[Any]:
    """What all operations add of a kind."""
    return [added for extension in _extensions() for added in getattr(extension, kind, ())]


@contextmanager
def fast_reuse_factors(backend: FPGABackend) -> Iterator[None]:
    """Let hls4ml compute legal reuse factors from divisors instead of trying every number.

    Vitis runs the initializers that are bound to the Vivado backend, hence two backends.
    """
    from hls4ml.backends import get_backend

    def legal(n_in: Any, n_out: Any) -> list[int]:
        return legal_reuse_factors(int(n_in), int(n_out))

    with ExitStack() as restore:
        for target in {backend, get_backend("Vivado")}:
            target.get_valid_reuse_factors = legal
            restore.callback(delattr, target, "get_valid_reuse_factors")
        yield
