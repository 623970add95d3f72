# SPDX-License-Identifier: Apache-2.0
"""Pages of the manual that are read from the program itself: commands and keys, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from hwflow.config.reference import Key, keys

if TYPE_CHECKING:
    from pydantic import BaseModel

_CONFIGURATION = """\
# Keys of the YAML files

What `hwflow run`, `hwflow explore` and `hwflow study` read. Unknown keys, wrong values and keys given twice are errors
that say what was meant; all that is wrong with a file is told at once. `hwflow explain KEY` shows the same words of a
design's keys in a terminal.
"""
_ABSENT = {"": "must be given", "absent": "–"}
_TAKES = {int: "N", float: "NUMBER"}
_COMMANDS = """\
# Commands

Every command takes `--json`: the result then is JSON on stdout, and messages stay on stderr.
Exit codes: 0 ok, 1 wrong input, 2 usage, 3 mismatch, 4 a tool failed, 5 over budget, 70 a fault of hwflow,
130 interrupted.
"""


def configuration_page() -> str:
    """All keys of designs, explorations and studies."""
    from hwflow.explore import schema as exploration
    from hwflow.study import schema as study

    return "\n".join(
        [
            *(_CONFIGURATION, "## Designs", "", *_tables()),
            *("## Explorations", "", *_tables(exploration.StudyConfig)),
            *("## Studies", "", *_tables(study.StudyConfig)),
        ]
    )


def _tables(schema: type[BaseModel] | None = None) -> Iterator[str]:
    """A table a section, its own keys only."""
    found = keys() if schema is None else keys(schema)
    sections: dict[str, list[Key]] = {"": []}
    titles: dict[str, Key] = {}
    for key in found:
        sections.setdefault(key.path.rpartition(".")[0], []).append(key)
        titles[key.path] = key
    for path, rows in sections.items():
        if path:
            holder = titles[path.removesuffix(".<name>")]
            yield from (f"### `{path}`", "", f"{_sentence(holder.description)}", "")
        yield from ("| key | takes | where absent | what it does |", "|---|---|---|---|")
        for key in rows:
            name = key.path.rpartition(".")[2]
            default = f"`{key.default}`" if key.default not in ("", "absent") else _ABSENT[key.default]
            yield f"| `{name}` | {_cell(key.kind)} | {default} | {_cell(key.description)} |"
        yield ""


def commands_page() -> str:
    """All commands with their options."""
    import typer.main

    from hwflow.cli.app import app

    return "\n".join([_COMMANDS, *_commands(typer.main.get_command(app), "hwflow")])


def _commands(command: Any, name: str) -> Iterator[str]:
    """A command and, below it, its own."""
    level = "##" if name.count(" ") < 2 else "###"
    if name != "hwflow":
        words = [name, "[OPTIONS]", *map(_metavar, _arguments(command))]
        yield from (f"{level} {name}", "", "```text", " ".join(words), "```", "", *_help(command), "")
    rows = [(_metavar(one), one.help or "") for one in _arguments(command)] + [
        (_option(one), _option_help(one)) for one in _options(command)
    ]
    if rows:
        yield from ("| argument or option | |", "|---|---|")
        yield from (f"| `{what}` | {_cell(text)} |" for what, text in rows)
        yield ""
    for inner, one in sorted(getattr(command, "commands", {}).items()):
        yield from _commands(one, f"{name} {inner}")


def _help(command: Any) -> list[str]:
    return str(command.help or "").strip().splitlines()


def _arguments(command: Any) -> list[Any]:
    return [one for one in command.params if one.param_type_name == "argument"]


def _options(command: Any) -> list[Any]:
    return [one for one in command.params if one.param_type_name == "option" and not one.hidden]


def _metavar(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _option(option: Any) -> str:
    """Names of an option, and what it takes."""
    takes = "" if option.is_flag or option.count else f" {option.metavar or _takes(option)}"
    return ", ".join(sorted(option.opts, key=len, reverse=True)) + takes


def _takes(option: Any) -> str:
    """What an option takes, where it has no word for it."""
    kind = getattr(getattr(option, "type_descriptor", None), "annotation", str)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(member.value) for member in kind)
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    return _TAKES.get(kind, "TEXT")


def _option_help(option: Any) -> str:
    """What an option does, with its default where the words do not tell."""
    text, default = str(option.help or ""), option.default
    default = default.value if isinstance(default, Enum) else default
    told = (
        default in (None, False, 0, "", (), []) or "[default:" in text or callable(default) or option.is_flag
    )
    return text if told else f"{text} Default: {default}."


def _cell(text: str) -> str:
    """Text of a table's cell."""
    return text.replace("``", "`").replace("|", "\\|").replace("<", "&lt;")


def _sentence(text: str) -> str:
    text = text.replace("``", "`")
    return f"{text if text.startswith('hls4ml') else text[:1].upper() + text[1:]}."
