# SPDX-License-Identifier: Apache-2.0
"""Pages that do not lie in docs/: read from the program itself, and the reports."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from hwflow.cli.reference import commands_page, configuration_page

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "reports"
_FIGURES = (".svg", ".png", ".html")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Every report is a page of its own."""
    assert config.nav is not None
    config.nav.append({"Reports": [{_title(path): f"reports/{path.name}"} for path in _pages()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    from mkdocs.structure.files import File

    pages = {
        "reference/commands.md": commands_page(),
        "reference/configuration.md": configuration_page(),
        "reference/quantgraph.md": (ROOT / "hwflow" / "ir" / "spec.md").read_text(),
        **{f"reports/{path.name}": path.read_text() for path in REPORTS.glob("*.md")},
    }
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    for path in REPORTS.rglob("*"):
        if path.suffix in _FIGURES:
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in what a page takes from the reports; those that were not made yet are not linked."""
    markdown = re.sub(
        r"\[([^]]+)\]\((reports/[^)#]+)\)",
        lambda match: match[0 if (ROOT / match[2]).exists() else 1],
        markdown,
    )
    markdown = re.sub(
        r'{{ section (\S+) "([^"]+)" }}', lambda match: _section(ROOT / match[1], match[2]), markdown
    )
    return markdown.replace("{{ figures }}", _figures()).replace("{{ reports }}", _reports())


def _section(path: Path, title: str) -> str:
    """Text of a page under a title, up to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
    if found is None:
        from mkdocs.exceptions import PluginError

        raise PluginError(f"{path} has no section {title!r}")
    return found[1].strip()


def _reports() -> str:
    """Every report by its title."""
    return "\n".join(f"- [{_title(path)}](reports/{path.name})" for path in _pages())


def _pages() -> list[Path]:
    """Every report, the table of reference results first."""
    return sorted(REPORTS.glob("*.md"), key=lambda path: (path.name != "README.md", path.name))


def _figures() -> str:
    """Every figure with the report it belongs to."""
    lines = []
    for path in sorted(REPORTS.rglob("*")):
        if path.suffix in _FIGURES[:2]:
            name = path.relative_to(ROOT).as_posix()
            lines += [f"![{path.stem}]({name})", "", f"`{name}`", ""]
        elif path.suffix == ".html":
            lines += [f"[{path.stem}]({path.relative_to(ROOT).as_posix()}), a whole report", ""]
    return "\n".join(lines)


def _title(page: Path) -> str:
    return page.read_text().splitlines()[0].removeprefix("# ")
