# SPDX-License-Identifier: Apache-2.0
"""Run external programs: whole output to a log, failures as typed errors."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwflow.errors import ToolError, ToolNotFoundError

logger = logging.getLogger(__name__)

TIMEOUT_EXIT_CODE = 124  # what coreutils' timeout returns
_REASON_LINES = 8
_REASON = re.compile(r"\berror\b|\bfatal\b|%Error|%Warning", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A program that ran and returned 0.

    Parameters
    ----------
    argv : tuple of str
        Its command line.
    exit_code : int
        What it returned.
    seconds : float
        Wall-clock time, s.
    log : pathlib.Path
        Its whole output.
    """

    argv: tuple[str, ...]
    exit_code: int
    seconds: float
    log: Path


def find_tool(name: str, remedy: str) -> Path:
    """Path of an executable, from PATH or from beside the running interpreter.

    The second place makes programs that pip installed work when the virtual environment is not activated.

    Raises
    ------
    ToolNotFoundError
        When it is in neither place.
    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))
    found = shutil.which(name, path=path)
    if found is None:
        raise ToolNotFoundError(f"the program {name!r} is not on PATH", remedy)
    return Path(found)


def run_tool(
    argv: Sequence[str | Path],
    *,
    log: Path,
    tool: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> ToolResult:
    """Run a program and wait for it.

    Parameters
    ----------
    argv : sequence of str or pathlib.Path
        Command line, the program first.
    log : pathlib.Path
        File that its output (stdout and stderr) is appended to.
    tool : str
        Name of the program in messages.
    cwd : pathlib.Path, optional
        Working folder.
    env : mapping, optional
        Variables set on top of the present environment.
    timeout : float, optional
        Longest run, s.

    Returns
    -------
    ToolResult

    Raises
    ------
    ToolNotFoundError
        When the program does not exist.
    ToolError
        When it returns anything but 0, or runs too long.
    """
    words = tuple(str(word) for word in argv)
    log.parent.mkdir(parents=True, exist_ok=True)
    logger.debug("%s: %s", tool, shlex.join(words))
    start = time.monotonic()
    with log.open("ab") as output:
        output.write(f"$ {shlex.join(words)}\n".encode())
        output.flush()
        begin = output.tell()
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError) as error:
            raise ToolNotFoundError(
                f"{tool} cannot be started: {words[0]}: {error.strerror}",
                "`hwflow doctor` lists what is missing and how to get it",
            ) from error
        code = _wait(process, timeout)
    seconds = time.monotonic() - start
    if code != 0:
        remedy = f"it was stopped after {timeout:g} s" if code == TIMEOUT_EXIT_CODE and timeout else ""
        raise ToolError(tool, words, code, log, _reason(log, begin), remedy)
    logger.debug("%s: done in %.1f s", tool, seconds)
    return ToolResult(words, code, seconds, log)


def _wait(process: subprocess.Popen[bytes], timeout: float | None) -> int:
    """Exit code of the process; it and its children end with us or at the timeout."""
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        return TIMEOUT_EXIT_CODE
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _reason(log: Path, begin: int) -> list[str]:
    """First lines that name an error, or the last lines when none does."""
    with log.open("rb") as stream:
        stream.seek(begin)
        lines = stream.read().decode(errors="replace").splitlines()
    telling = [line for line in lines if _REASON.search(line)]
    return telling[:_REASON_LINES] or [line for line in lines if line.strip()][-_REASON_LINES:]
