# SPDX-License-Identifier: Apache-2.0
"""Files that are whole or not there, and folders that one process has for itself."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hwflow.errors import ConfigError


def write_text(path: Path, text: str) -> None:
    """Write a text file; a reader sees the old one or the new one, never a part, also where the disk is full."""
    with _beside(path) as partial:
        partial.write_text(text, encoding="utf-8")


def copy_file(source: Path, target: Path) -> None:
    """Copy a file in the same way."""
    with _beside(target) as partial:
        shutil.copyfile(source, partial)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A place to write to, which becomes the file when all went well; each process has its own."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def locked(folder: Path, lock: Path) -> Iterator[None]:
    """Have a folder for oneself; the lock ends with the process, however that ends.

    Parameters
    ----------
    folder : pathlib.Path
        What is locked.
    lock : pathlib.Path
        File that stands for it and holds the number of the process.

    Raises
    ------
    ConfigError
        When another process has it.
    """
    with lock.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            raise ConfigError(
                f"{folder} is in use by another hwflow (process {stream.read().strip() or 'unknown'})",
                "wait for it, or choose another --out",
            ) from error
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield
