# SPDX-License-Identifier: Apache-2.0
"""What hwflow adds to hls4ml: a PReLU layer, and a flow that makes all types exact."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwflow.frontends.exact_types import set_exact_types
from hwflow.frontends.reuse import legal_reuse_factors

if TYPE_CHECKING:
    from hls4ml.backends import FPGABackend

EXACT_FLOW = "hwflow_exact"
"""Flow to run before hls4ml's ``convert``: put it first in ``Flows``, or first among a backend's flows."""

TEMPLATES = Path(__file__).parent / "templates"
_PRELU_TEMPLATES = ("HwflowPReLUConfigTemplate", "HwflowPReLUFunctionTemplate")


def register_extensions() -> None:
    """Register the PReLU layer, its C++ templates and the exact-types flow, once.

    Safe while hls4ml is still being imported, which is when it loads backend plugins.
    """
    from hls4ml.model.flow.flow import flow_map, register_flow
    from hls4ml.model.layers import register_layer
    from hls4ml.model.optimizer import ModelOptimizerPass, register_pass

    from hwflow.frontends.hls4ml_prelu import HwflowPReLU

    register_layer(HwflowPReLU.__name__, HwflowPReLU)
    if EXACT_FLOW not in flow_map:
        register_pass(EXACT_FLOW, ModelOptimizerPass(EXACT_FLOW, set_exact_types))
        register_flow(EXACT_FLOW, [EXACT_FLOW])
    for backend in ("Vivado", "Vitis"):
        register_prelu_templates(backend)


def register_keras_handlers() -> None:
    """Let hls4ml's Keras converter make :class:`~hwflow.frontends.hls4ml_prelu.HwflowPReLU` of PReLU layers.

    To be called after ``import hls4ml`` is through and before a model is parsed: by a backend, in
    ``create_initial_config``. The handler replaces hls4ml's for ``PReLU`` and hands everything but one slope
    a channel back to it.
    """
    from hls4ml.converters.keras_v2_to_hls import get_layer_handlers

    from hwflow.frontends.hls4ml_prelu import parse_prelu

    get_layer_handlers()["PReLU"] = parse_prelu


def register_prelu_templates(backend_name: str) -> None:
    """Give a backend that writes Vivado or Vitis C++ the templates and the header of the PReLU layer."""
    from hls4ml.backends import get_backend
    from hls4ml.model.optimizer import get_backend_passes

    from hwflow.frontends import hls4ml_prelu

    backend = get_backend(backend_name)
    known = get_backend_passes(backend.name)
    for name in _PRELU_TEMPLATES:
        template = getattr(hls4ml_prelu, name)
        if f"{backend.name.lower()}:{template().get_name()}" not in known:
            backend.register_template(template)
    backend.register_source(TEMPLATES / hls4ml_prelu.HEADER)


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
