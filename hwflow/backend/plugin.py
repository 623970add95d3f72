# SPDX-License-Identifier: Apache-2.0
"""Entry point that registers the hls4ml backend ``Hwflow``; runs on every ``import hls4ml``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def register(
    register_backend: Callable[[str, Any], None], register_writer: Callable[[str, Any], None]
) -> None:
    """Register writer and backend with hls4ml.

    Parameters
    ----------
    register_backend, register_writer : callable
        hls4ml's registration functions, given by its plugin loader.
    """
    from hls4ml.backends import backend as registry

    from hwflow.backend.backend import HwflowBackend
    from hwflow.backend.writer import HwflowWriter

    register_writer("Hwflow", HwflowWriter)  # the backend looks its writer up when it is made
    register_backend("Hwflow", HwflowBackend)
    registry.backend_map = _Backends(registry.backend_map)


class _Backends(dict[str, Any]):
    """hls4ml's backends by name; handing out ours completes the Keras converter, which is loaded by then.

    ``config_from_keras_model`` parses the model before it asks the backend for anything else.
    """

    def __getitem__(self, name: str) -> Any:
        if name == "hwflow":
            from hwflow.frontends.hls4ml_ext import register_keras_handlers

            register_keras_handlers()
        return super().__getitem__(name)
