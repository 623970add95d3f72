# SPDX-License-Identifier: Apache-2.0
"""The manual tells the truth: its commands are run and its outputs compared, its reference is that of the program.

Blocks with a ``title`` become files, blocks of ``console`` are run in order, in a folder of their own for each page. A
line of output that is shown must come, in that order; ``…`` stands for anything. What is marked as slow is left to
``make docs-check``, which runs every page as a user would, by the installed program.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main
import yaml
from typer.testing import CliRunner

from hwflow.cli.app import app
from hwflow.cli.reference import _cell, commands_page, configuration_page
from hwflow.config.reference import find, keys
from hwflow.config.schema import DesignConfig
from hwflow.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
#: Whole pages by the installed program, slow blocks too.
EVERYTHING = os.environ.get("HWFLOW_DOCS") == "all"

_BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>.*?) -->\n)?```(?P<kind>\w+)(?P<info>[^\n]*)\n(?P<body>.*?)^```", re.M | re.S
)
_SNIPPET = re.compile(r'^--8<-- "([\w.]+)"$', re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    kind: str
    title: str
    mark: str
    body: str

    def commands(self) -> Iterator[tuple[str, list[str]]]:
        """Commands, each with the lines it should print."""
        for part in re.split(r"^\$ ", self.body, flags=re.M)[1:]:
            command, *output = part.rstrip("\n").split("\n")
            yield command, [line for line in output if line.strip()]


def page(path: Path) -> str:
    """A page with the pieces it shares with others."""
    return _SNIPPET.sub(lambda match: (DOCS / match[1]).read_text(), path.read_text())


def blocks(path: Path) -> list[Block]:
    found = []
    for match in _BLOCK.finditer(page(path)):
        title = re.search(r'title="([^"]+)"', match["info"])
        found.append(Block(match["kind"], title[1] if title else "", match["mark"] or "", match["body"]))
    return found


PAGES = [path for path in (*sorted(DOCS.glob("*.md")), ROOT / "README.md") if path.name != "tagger.md"]
FAST = [path for path in PAGES if any(b.kind == "console" and not b.mark for b in blocks(path))]


def shown_in_order(output: str, expected: list[str]) -> str:
    """The first expected line that does not come; empty where all do."""
    lines = iter(re.sub(r"[ \t]+", " ", line).strip() for line in output.splitlines())
    for wanted in expected:
        pieces = [re.escape(re.sub(r"\s+", " ", piece).strip()) for piece in wanted.split("…")]
        pattern = re.compile(".*".join(pieces))
        if wanted.strip() != "…" and not any(pattern.fullmatch(line) for line in lines):
            return wanted
    return ""


def run(command: str) -> str:
    """What a command prints; hwflow itself is called in this process, where TensorFlow is loaded once."""
    words = shlex.split(command)
    if not EVERYTHING and words[0] == "hwflow" and not set(command) & set(";|&>$"):
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, f"{command}\n{result.output}"
        return result.output
    if not EVERYTHING and words[0] == "python" and len(words) == 2:
        runpy.run_path(words[1], run_name="__main__")
        return ""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PATH": path, "COLUMNS": "200"},
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


@pytest.mark.tf
@pytest.mark.sim
@pytest.mark.parametrize("path", PAGES if EVERYTHING else FAST, ids=lambda path: path.stem)
def test_commands_of_a_page(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(path):
        if block.title:
            Path(block.title).write_text(block.body)
        elif block.kind == "console" and (not block.mark or (EVERYTHING and block.mark == "slow")):
            for command, expected in block.commands():
                output = run(command)
                missing = shown_in_order(output, expected)
                assert not missing, f"{path.name}: `{command}` does not print {missing!r} but\n{output}"


def test_every_block_that_is_not_run_says_why() -> None:
    for path in PAGES:
        for block in blocks(path):
            assert block.kind not in ("sh", "shell", "bash"), f"{path.name}: make it a console"
            if block.kind == "console":
                assert list(block.commands()), f"{path.name}: {block.body}"
                assert block.mark in ("", "slow") or block.mark.startswith("elsewhere: "), block.mark


def hwflow_words(text: str) -> Iterator[list[str]]:
    """Calls of hwflow in a text: in sentences, consoles and workflows."""
    for match in re.finditer(r"`(hwflow [^`\n]+)`|^(?:\$|\s*- (?:run:)?) *(hwflow [^\n;|#]+)", text, re.M):
        yield shlex.split((match[1] or match[2]).replace("…", ""))


@pytest.mark.parametrize(
    "path", [*PAGES, DOCS / "ci/github-actions.yml", DOCS / "ci/gitlab-ci.yml"], ids=lambda p: p.name
)
def test_every_command_and_option_that_is_named_exists(path: Path) -> None:
    text = (
        page(path) if path.suffix == ".md" else path.read_text().replace("- run: ", "").replace("    - ", "")
    )
    for words in hwflow_words(text):
        command = typer.main.get_command(app)
        rest = [word for word in words[1:] if not word.startswith("-")]
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]  # type: ignore[attr-defined]
        known = {name for param in command.params for name in param.opts} | {"--help"}
        assert words[1].startswith("-") or not hasattr(command, "commands") or not rest, (
            f"{path.name}: {words}"
        )
        assert {word for word in words if word.startswith("--")} <= known, f"{path.name}: {words}"


# -- links ---------------------------------------------------------------------------------------------------

#: Pages of the site that the program itself writes.
WRITTEN = {"reference/commands.md": commands_page, "reference/configuration.md": configuration_page}


def target(source: Path, link: str) -> str | None:
    """Text of what a link leads to, empty where that is no page; None where there is nothing."""
    if source.parent == DOCS:
        if link in WRITTEN:
            return WRITTEN[link]()
        link = {"reference/quantgraph.md": "../hwflow/ir/spec.md"}.get(link, link)
        if link.startswith("reports/"):  # lies beside docs/, is a page of the site
            link = f"../{link}"
    path = source.parent / link
    makers = (f"hls_configs/studies/{path.stem}.yaml", f"benchmarks/{path.stem}.py")
    if not path.exists():  # a report may have to be made yet, as long as there is what makes it
        return "" if path.parent.name == "reports" and any((ROOT / one).exists() for one in makers) else None
    return path.read_text() if path.suffix == ".md" else ""


def dangling(source: Path) -> Iterator[str]:
    """Links of a page to files or titles that are not there."""
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", source.read_text(), flags=re.M | re.S)
    for link in re.findall(r"\]\(<?([^)\s>]+)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        found = target(source, name) if name else text
        titles = re.findall(r"^#+ (.*)", found or "", re.M)
        anchors = {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}
        if found is None or (anchor and anchor not in anchors):
            yield link


@pytest.mark.parametrize(
    "path",
    [*PAGES, *sorted((ROOT / "reports").glob("*.md"))],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_links_lead_somewhere(path: Path) -> None:
    assert list(dangling(path)) == []


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    (tmp_path / "other.md").write_text("# The title, with a comma\n")
    page.write_text(
        "[a](other.md#the-title-with-a-comma) [b](https://example.org) ![c](lost.svg) [d](other.md#lost) `[e](no)`"
    )
    assert list(dangling(page)) == ["lost.svg", "other.md#lost"]


def test_every_report_that_is_there_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = runpy.run_path(str(DOCS / "hooks.py"))
    for name in ("README", "exploration"):
        (tmp_path / f"{name}.md").write_text(f"# The {name}\n")
    (tmp_path / "exploration.svg").write_text("<svg/>")
    monkeypatch.setitem(hooks["_pages"].__globals__, "REPORTS", tmp_path)
    monkeypatch.setitem(hooks["_pages"].__globals__, "ROOT", tmp_path.parent)
    assert hooks["_reports"]().splitlines() == [
        "- [The README](reports/README.md)", "- [The exploration](reports/exploration.md)",
    ]  # fmt: skip
    assert f"![exploration]({tmp_path.name}/exploration.svg)" in hooks["_figures"]()
    gallery = (DOCS / "gallery.md").read_text()
    assert "{{ reports }}" in gallery and "{{ figures }}" in gallery
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "made.md").write_text("# Made\n")
    monkeypatch.setitem(hooks["_pages"].__globals__, "ROOT", tmp_path)
    text = "[a](reports/made.md), [b](reports/not.md), [c](other.md)"
    assert hooks["on_page_markdown"](text, None, None, None) == "[a](reports/made.md), b, [c](other.md)"


def test_readme_and_tutorial_begin_with_the_same_three_lines() -> None:
    (three,) = [b for b in blocks(DOCS / "tutorial.md") if b.title == "tagger.yaml"]
    assert len(three.body.splitlines()) == 3
    assert three.body in (ROOT / "README.md").read_text()
    DesignConfig.model_validate(yaml.safe_load(three.body), strict=True)


def test_workflows_are_yaml_that_runs_hwflow() -> None:
    github = yaml.safe_load((DOCS / "ci/github-actions.yml").read_text())
    steps = github["jobs"]["designs"]["steps"]
    cache = next(step for step in steps if "cache@" in step.get("uses", ""))
    environment = github["jobs"]["designs"]["env"]
    assert all(cache["with"]["path"] in environment[name] for name in ("HWFLOW_CACHE", "CCACHE_DIR"))
    gitlab = yaml.safe_load((DOCS / "ci/gitlab-ci.yml").read_text())["designs"]
    assert gitlab["artifacts"]["reports"]["junit"] == "junit.xml"
    for script in ([step.get("run", "") for step in steps], gitlab["script"]):
        assert "hwflow run --changed designs/*.yaml --junit junit.xml" in script


# -- reference -----------------------------------------------------------------------------------------------


def test_reference_of_keys_is_the_schema() -> None:
    text = configuration_page()
    found = {key.path for key in keys()}
    assert {
        "Hwflow.Budget",
        "Hwflow.Model.Prepare.WeightBits",
        "HLSConfig.LayerName.<name>.ReuseFactor",
    } <= found
    for key in keys():
        assert f"| `{key.path.rpartition('.')[2]}` | " in text
        assert key.description, f"{key.path} has no description"
    assert "### `Space`" in text  # of explorations
    assert "### `Faces`" in text  # of studies


def test_explain_says_what_the_manual_says() -> None:
    result = CliRunner().invoke(app, ["explain", "Hwflow.Model.Prepare"])
    (section,) = re.findall(r"### `Hwflow.Model.Prepare`\n(.*?)###", configuration_page(), re.S)
    for key in find("Hwflow.Model.Prepare")[1:]:
        assert key.description in result.stdout
        if "<name>" not in key.path:
            assert _cell(key.description) in section
    assert find("HLSConfig.LayerName.fc1.ReuseFactor") == find("HLSConfig.LayerName.<name>.ReuseFactor")
    with pytest.raises(UserError, match=r"did you mean 'Hwflow.Verify'"):
        find("Hwflow.Verfy")


def test_reference_of_commands_is_the_program() -> None:
    text = commands_page()
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        assert f"## hwflow {name}\n" in text
        for param in command.params:
            if param.param_type_name == "option":
                assert max(param.opts, key=len) in text
    assert "<name" not in text  # would be taken for HTML
