# SPDX-License-Identifier: Apache-2.0
"""Logging: messages for people on stderr, everything in the run folder's ``hwflow.log``."""

from __future__ import annotations

import logging
from pathlib import Path

ROOT = "hwflow"


def setup_console(verbosity: int = 0) -> None:
    """Send hwflow's log messages to stderr.

    Parameters
    ----------
    verbosity : int
        -1 warnings only, 0 progress, 1 and more every detail.
    """
    from rich.console import Console
    from rich.logging import RichHandler

    logger = logging.getLogger(ROOT)
    for handler in [h for h in logger.handlers if isinstance(h, RichHandler)]:
        logger.removeHandler(handler)
    console = RichHandler(
        level=logging.WARNING if verbosity < 0 else logging.INFO if verbosity == 0 else logging.DEBUG,
        console=Console(stderr=True),
        show_time=verbosity > 0,
        show_level=verbosity > 0,
        show_path=verbosity > 0,
        markup=False,
        highlighter=None,
    )
    logger.addHandler(console)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False


def add_file(path: Path) -> logging.Handler:
    """Copy every message to a file; give the handler to :func:`remove` when done."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger(ROOT)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    return handler


def remove(handler: logging.Handler) -> None:
    """Close a handler that :func:`add_file` made."""
    logging.getLogger(ROOT).removeHandler(handler)
    handler.close()
