# SPDX-License-Identifier: Apache-2.0
"""C++ headers that many small programs share, compiled once and cached by content."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hwflow.tools.paths import cache_dir
from hwflow.tools.runner import run_tool


def precompiled(
    headers: Sequence[str],
    compiler: Path,
    flags: Sequence[str],
    *,
    sources: Sequence[Path],
    cwd: Path,
    log: Path,
) -> Path:
    """A header that includes others, with its precompiled form beside it: the argument of ``-include``.

    g++ takes the precompiled form in place of the text where its own flags are the same, and the text otherwise; the
    program is the same in both cases.

    Parameters
    ----------
    headers : sequence of str
        Names as in ``#include <...>``.
    compiler : pathlib.Path
        g++.
    flags : sequence of str
        Its flags, include paths relative to ``cwd`` among them.
    sources : sequence of pathlib.Path
        Files that the headers come from, but for those of the compiler.
    cwd : pathlib.Path
        Folder that the compiler runs in.
    log : pathlib.Path
        Where its output goes.

    Raises
    ------
    ToolError
        When a header does not compile.
    """
    text = "".join(f"#include <{header}>\n" for header in headers)
    digest = hashlib.sha256(f"{compiler} {compiler.stat().st_mtime_ns} {flags} {text}".encode())
    for path in sorted(sources):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    folder = cache_dir("headers") / digest.hexdigest()[:20]
    header = folder / "shared.h"
    if not header.exists():
        partial = Path(tempfile.mkdtemp(dir=folder.parent))
        (partial / header.name).write_text(text)
        argv: list[str | Path] = [compiler, *flags, "-x", "c++-header", partial / header.name]
        try:
            run_tool(argv, log=log, tool="g++", cwd=cwd)
            partial.rename(folder)
        except OSError:  # another process was faster
            if not header.exists():
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return header
