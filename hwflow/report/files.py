# SPDX-License-Identifier: Apache-2.0
"""Files of a report: one page that needs nothing else, and beside it its twins as Markdown, CSV and SVG."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from hwflow.files import write_text
from hwflow.report import svg, text

logger = logging.getLogger(__name__)

NAME, FOLDER, MARKDOWN = "report.html", "report", "report.md"
_TEMPLATES = files("hwflow.report") / "templates"
#: Twins of an earlier report that are removed where the new one does not have them.
_OURS = (".svg", ".csv")


def page(template: str, content: Mapping[str, Any]) -> str:
    """A page from its template. All names in ``content`` are escaped; the script is named by its checksum."""
    script = _source("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template(template)
        .render(
            content,
            style=Markup(_source("report.css")),
            script=Markup(script),
            digest=digest,
            plural=text.plural,
        )
    )


def write(out: Path, html: str, twins: Mapping[str, str]) -> Path:
    """Write a report; the same content gives the same bytes.

    Parameters
    ----------
    out : pathlib.Path
        Receives ``report.html`` and the folder ``report``.
    html : str
        The page.
    twins : mapping of str to str
        Content of the files in the folder, by name.

    Returns
    -------
    pathlib.Path
        The page.
    """
    folder = out / FOLDER
    if (folder / MARKDOWN).is_file():  # no folder of the user's own
        for old in folder.iterdir():
            if old.suffix in _OURS and old.name not in twins:
                old.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in twins.items():
        write_text(folder / name, content)
    write_text(out / NAME, html)
    logger.debug("report: %s, %d bytes and %d twins", out / NAME, len(html), len(twins))
    return out / NAME


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV (RFC 4180 but for its line ends)."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return stream.getvalue()


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a table; columns whose name begins with ``>`` are right-aligned.

    Examples
    --------
    >>> markdown_table(["name", ">n"], [["a|b", 1]])
    ['| name | n |', '|---|--:|', '| a\\\\|b | 1 |', '']
    """
    rule = "|" + "".join("--:|" if name.startswith(">") else "---|" for name in header)
    body = [f"| {' | '.join(markdown(cell) for cell in row)} |" for row in rows]
    return [f"| {' | '.join(markdown(name.removeprefix('>')) for name in header)} |", rule, *body, ""]


def markdown(content: object) -> str:
    """Text of a cell, so that nothing in it is taken for markup.

    Examples
    --------
    >>> markdown("<b> a_b *c*"), markdown(None)
    ('&lt;b> a\\\\_b \\\\*c\\\\*', '')
    """
    words = "" if content is None else " ".join(str(content).split())
    for mark in "\\`*_[]|":
        words = words.replace(mark, f"\\{mark}")
    return words.replace("&", "&amp;").replace("<", "&lt;")


def drawing_file(drawing: Markup, symbols: str = "") -> str:
    """A drawing as a file of its own; ``symbols`` are what it refers to."""
    return svg.document(drawing, drawing_style(), symbols)


@cache
def drawing_style() -> str:
    """Colours of the page, and its rules for drawings."""
    sheet = _source("report.css")
    colours = sheet.partition("* {")[0]
    rules = [line for line in sheet.splitlines() if line.startswith(("svg ", "svg."))]
    return "\n".join([colours.strip(), *rules, "svg { background: var(--card); font-family: sans-serif; }"])


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hwflow.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {function.__name__: function for function in text.FILTERS}
    return environment


@cache
def _source(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
