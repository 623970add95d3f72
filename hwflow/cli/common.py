# SPDX-License-Identifier: Apache-2.0
"""Options and output that all commands share."""

from __future__ import annotations

import errno
import functools
import inspect
import json
import logging
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, ParamSpec

import typer

from hwflow.errors import EXIT_INTERNAL, HwflowError, InternalError, UserError

logger = logging.getLogger(__name__)

EXIT_INTERRUPTED = 130

_LINE_BREAK = re.compile(r"(?<!\n)\n(?!\n)")
_PIPE_WIDTH = 200  # lines of a file need not fit a terminal

P = ParamSpec("P")

JsonFlag = Annotated[bool, typer.Option("--json", help="Result as JSON on stdout; messages stay on stderr.")]


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Turn the errors of a command into messages and exit codes; tracebacks are logged for ``-v``."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt as error:
            typer.echo("interrupted", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from error
        except Exception as error:
            logger.debug("traceback", exc_info=True)
            told = told_error(error)
            show_error(told, as_json=bool(kwargs.get("as_json")))
            raise typer.Exit(told.exit_code) from error

    # typer keeps the line breaks of a docstring, whatever the width of the terminal
    wrapper.__doc__ = _LINE_BREAK.sub(" ", inspect.cleandoc(command.__doc__ or ""))
    return wrapper


_REPORT = "run `hwflow -v …` again for the traceback and report it"
_KEPT = "nothing that was finished is lost: the same command goes on from there"
#: What a machine may refuse, which is no fault of hwflow's, and what helps.
_REFUSED = {
    errno.ENOSPC: f"make room, or write elsewhere (--out; caches: HWFLOW_CACHE, TMPDIR); {_KEPT}",
    errno.EDQUOT: f"make room, or write elsewhere (--out; caches: HWFLOW_CACHE, TMPDIR); {_KEPT}",
    errno.EFBIG: f"raise the limit of file sizes (ulimit -f); {_KEPT}",
    errno.EROFS: "write elsewhere (--out; caches: HWFLOW_CACHE, TMPDIR)",
    errno.EACCES: "change its permissions, or write elsewhere (--out; caches: HWFLOW_CACHE, TMPDIR)",
    errno.EPERM: "change its permissions, or write elsewhere (--out; caches: HWFLOW_CACHE, TMPDIR)",
    errno.ENOTDIR: "name another place (--out; caches: HWFLOW_CACHE, TMPDIR)",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENOMEM: f"close other programs; {_KEPT}",
}


def told_error(error: Exception) -> HwflowError:
    """An error as a user is told of it: hwflow's own as it is, a full disk as such, others as faults of hwflow."""
    if isinstance(error, HwflowError):
        return error
    if isinstance(error, OSError) and error.errno in _REFUSED:
        where = f" ({error.filename})" if error.filename else ""
        return UserError(f"{error.strerror}{where}", _REFUSED[error.errno])
    if isinstance(error, MemoryError):
        return UserError("the machine is out of memory", _REFUSED[errno.ENOMEM])
    return InternalError(f"{type(error).__name__}: {error}", _REPORT)


def show_error(error: HwflowError, *, as_json: bool) -> None:
    """Tell about an error: text on stderr, and JSON on stdout where that was asked for."""
    kind = "internal error" if error.exit_code == EXIT_INTERNAL else "error"
    typer.secho(f"{kind}: {error}", err=True, fg="red" if sys.stderr.isatty() else None)
    if as_json:
        emit_json(error_record(error))


def error_record(error: HwflowError) -> dict[str, Any]:
    """An error as JSON."""
    return {
        "error": type(error).__name__,
        "message": error.message,
        "remedy": error.remedy,
        "exit_code": error.exit_code,
    }


def emit_json(data: Any) -> None:
    """Write a result for a machine."""
    sys.stdout.write(json.dumps(data, indent=1, sort_keys=True) + "\n")


def echo(text: str = "") -> None:
    """Write a line for a person."""
    typer.echo(text)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table for a person; a column whose title begins with ``>`` is flush right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        justify: Literal["right", "left"] = "right" if name.startswith(">") else "left"
        grid.add_column(name.removeprefix(">"), justify=justify, no_wrap=number == 0)
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(grid)
