# SPDX-License-Identifier: Apache-2.0
"""Reports of a run, of several runs and studies, and of what changed from one run to another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hwflow.files import write_text
from hwflow.report import changes, designs, files, page, twins
from hwflow.report.compare import Comparison
from hwflow.report.folder import read_run


def render_report(run_dir: Path) -> Path:
    """Write the report of a run.

    Parameters
    ----------
    run_dir : pathlib.Path
        A run folder.

    Returns
    -------
    pathlib.Path
        ``report.html`` in that folder; beside it the folder ``report`` holds its twins (Markdown, CSV, SVG). The same
        files give the same bytes.

    Raises
    ------
    UserError
        When the folder is no run folder, holds no metrics, or a file in it is damaged.
    """
    content = page.run_content(read_run(run_dir))
    return files.write(run_dir, files.page("run.html.j2", content), twins.of_run(content))


def render_designs(places: Sequence[Path], out: Path) -> Path:
    """Write the report that sets designs side by side.

    Parameters
    ----------
    places : sequence of pathlib.Path
        Run folders and folders of studies.
    out : pathlib.Path
        Receives ``report.html`` and the folder ``report``.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    UserError
        When a folder is neither a run nor a study, or a file in it is damaged.
    """
    content = designs.content(places, out)
    out.mkdir(parents=True, exist_ok=True)
    return files.write(out, files.page("designs.html.j2", content), twins.of_designs(content))


def render_changes(comparison: Comparison, path: Path) -> Path:
    """Write what changed from one result to another, as a page (``.html``) or as Markdown.

    Returns
    -------
    pathlib.Path
        The file.
    """
    content = changes.content(comparison)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = files.page("changes.html.j2", content) if path.suffix == ".html" else twins.of_changes(content)
    write_text(path, whole)
    return path
