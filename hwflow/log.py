# SPDX-License-Identifier: Apache-2.0
"""Logging: messages for people on stderr, everything in the run folder's ``hwflow.log``."""

from __future__ import annotations

import contextlib
import logging
import sys
from pathlib import Path

ROOT = "hwflow"
_CONSOLE = "hwflow-console"


def setup_console(verbosity: int = 0) -> None:
    """Send hwflow's log messages to stderr.

    Parameters
    ----------
    verbosity : int
        -1 warnings only, 0 progress, 1 and more every detail.
    """
    logger = logging.getLogger(ROOT)
    for handler in [handler for handler in logger.handlers if handler.get_name() == _CONSOLE]:
        logger.removeHandler(handler)
    console = _console_handler(detailed=verbosity > 0)
    console.set_name(_CONSOLE)
    console.setLevel(logging.WARNING if verbosity < 0 else logging.INFO if verbosity == 0 else logging.DEBUG)
    logger.addHandler(console)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    if verbosity <= 0:
        logging.getLogger("tensorflow").setLevel(logging.ERROR)


def _console_handler(*, detailed: bool) -> logging.Handler:
    """Colours on a terminal, plain lines elsewhere."""
    if not sys.stderr.isatty():
        handler = logging.StreamHandler()
        handler.setFormatter(
            logging.Formatter("%(levelname)s %(name)s: %(message)s" if detailed else "%(message)s")
        )
        return handler
    from rich.console import Console
    from rich.logging import RichHandler

    return RichHandler(
        console=Console(stderr=True),
        show_time=detailed,
        show_level=detailed,
        show_path=detailed,
        markup=False,
        highlighter=None,
    )


class _FileHandler(logging.FileHandler):
    """A log that a full disk may cut short: what fills the disk is told by an error of its own."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing to do; Python's own would print a traceback for every line."""

    def close(self) -> None:
        """Close the file with what is in it."""
        with contextlib.suppress(OSError):
            super().close()


def add_file(path: Path) -> logging.Handler:
    """Copy every message to a file; give the handler to :func:`remove` when done."""
    handler = _FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger(ROOT)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    return handler


def remove(handler: logging.Handler) -> None:
    """Close a handler that :func:`add_file` made."""
    logging.getLogger(ROOT).removeHandler(handler)
    handler.close()
