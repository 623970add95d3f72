# SPDX-License-Identifier: Apache-2.0
"""Every error hwflow raises on purpose, and the exit code each one stands for.

A message has up to three parts: *what* is wrong and *where* (the message), *why*
(part of the message where it is not obvious) and what to do (``remedy``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

EXIT_OK = 0
EXIT_USER = 1
EXIT_USAGE = 2
EXIT_MISMATCH = 3
EXIT_TOOL = 4
EXIT_BUDGET = 5
EXIT_INTERNAL = 70


class HwflowError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    message : str
        What is wrong and where.
    remedy : str, optional
        What the user can do about it.
    """

    exit_code = EXIT_INTERNAL

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  remedy: {self.remedy}" if self.remedy else self.message


class UserError(HwflowError):
    """The input is wrong; the user can mend it."""

    exit_code = EXIT_USER


class ConfigError(UserError):
    """A configuration file holds an unknown key, a wrong value or a wrong name."""


class UnsupportedLayerError(UserError):
    """The model holds layers or types that hwflow cannot turn into hardware.

    All findings of a model are gathered into one error.
    """

    def __init__(self, findings: Sequence[str], remedy: str = "") -> None:
        self.findings = tuple(findings)
        lines = "".join(f"\n  - {finding}" for finding in self.findings)
        super().__init__(f"{len(self.findings)} unsupported item(s) in the model:{lines}", remedy)


class ToolNotFoundError(UserError):
    """An external program or package is missing."""


class FetchError(UserError):
    """Something that lies on the network cannot be had."""


class ToolError(HwflowError):
    """An external program failed.

    Parameters
    ----------
    tool : str
        Name of the program.
    argv : sequence of str
        Its command line.
    exit_code_of_tool : int
        What it returned.
    log : pathlib.Path or None
        Where its whole output lies.
    last_lines : sequence of str
        The lines that tell the reason.
    """

    exit_code = EXIT_TOOL

    def __init__(
        self,
        tool: str,
        argv: Sequence[str],
        exit_code_of_tool: int,
        log: Path | None = None,
        last_lines: Sequence[str] = (),
        remedy: str = "",
    ) -> None:
        self.tool = tool
        self.argv = tuple(argv)
        self.exit_code_of_tool = exit_code_of_tool
        self.log = log
        self.last_lines = tuple(last_lines)
        where = f" (log: {log})" if log else ""
        tail = "".join(f"\n  | {line}" for line in last_lines)
        super().__init__(f"{tool} failed with exit code {exit_code_of_tool}{where}{tail}", remedy)


class VerificationError(HwflowError):
    """Two implementations that must agree bit for bit do not."""

    exit_code = EXIT_MISMATCH


class DeadlockError(VerificationError):
    """An accelerator neither takes nor gives a beat."""


class BudgetError(HwflowError):
    """A design breaks a budget of its configuration."""

    exit_code = EXIT_BUDGET


class InternalError(HwflowError):
    """An invariant of hwflow itself is broken; please report it."""

    exit_code = EXIT_INTERNAL


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Suggest the nearest known names.

    Parameters
    ----------
    word : str
        What the user wrote.
    candidates : iterable of str
        The known names.

    Returns
    -------
    str
        ``did you mean 'x' or 'y'?``, or the list of known names when none is near.

    Examples
    --------
    >>> did_you_mean("ReuseFacto", ["ReuseFactor", "Strategy"])
    "did you mean 'ReuseFactor'?"
    """
    names = sorted(set(candidates))
    near = get_close_matches(word, names, n=3, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(repr(name) for name in near) + "?"
    shown = ", ".join(names[:40]) + (", …" if len(names) > 40 else "")
    return f"known names: {shown}" if names else "there are none"
