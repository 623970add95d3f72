# SPDX-License-Identifier: Apache-2.0
"""Every key of a design's YAML in words, read from the schema: for the manual and for ``hwflow explain KEY``."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hwflow.config.hls import HlsConfig
from hwflow.config.schema import DesignConfig
from hwflow.errors import UserError, did_you_mean

#: What stands for a name that the user chooses.
ANY = "<name>"
#: Sections whose schema is checked apart, as hls4ml's own keys may hold more in other tools.
_APART: dict[tuple[type[BaseModel], str], type[BaseModel]] = {(DesignConfig, "HLSConfig"): HlsConfig}
_WORDS: dict[Any, str] = {
    int: "integer", float: "number", str: "text", bool: "true or false", dict: "keys and values", Any: "value",
    type(None): "null",
}  # fmt: skip
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


@dataclass(frozen=True, slots=True)
class Key:
    """A key, or a section of keys.

    Parameters
    ----------
    path : str
        Its place, dotted; ``<name>`` stands for a name of the user's.
    kind : str
        What it takes.
    default : str
        Its value where it is absent, as YAML has it; empty where it must be given.
    description : str
        What it does.
    section : bool
        Whether it holds keys of its own.
    """

    path: str
    kind: str
    default: str
    description: str
    section: bool


def keys(schema: type[BaseModel] = DesignConfig, prefix: str = "") -> list[Key]:
    """All keys of a schema, sections before what they hold.

    Examples
    --------
    >>> next(key for key in keys() if key.path == "Hwflow.Verify.Frames")
    Key(path='Hwflow.Verify.Frames', kind='integer, at least 1', default='8', \
description='frames compared at the output', section=False)
    """
    return list(_keys(schema, prefix))


def find(path: str) -> list[Key]:
    """A key of a design and, where it is a section, those it holds.

    Parameters
    ----------
    path : str
        Dotted; a name of the user's may stand for ``<name>``.

    Raises
    ------
    UserError
        When there is none.
    """
    known = keys()
    for key in known:
        pattern = re.escape(key.path).replace(re.escape(ANY), "[^.]+")
        if re.fullmatch(pattern, path):
            return [one for one in known if one.path == key.path or one.path.startswith(f"{key.path}.")]
    raise UserError(f"a design has no key {path}", did_you_mean(path, [key.path for key in known]))


def _keys(schema: type[BaseModel], prefix: str) -> Iterator[Key]:
    for name, info in schema.model_fields.items():
        path = f"{prefix}{name}"
        inner = _APART.get((schema, name))
        entries, named = (inner, False) if inner else _section(info.annotation)
        yield Key(
            path,
            _kind(info, entries, named),
            _default(info),
            _description(info, entries),
            entries is not None,
        )
        if entries is not None:
            yield from _keys(entries, f"{path}.{ANY}." if named else f"{path}.")


def _section(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """Schema of what a key holds, and whether names of the user's stand between."""
    for member in _members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            return member, False
        if get_origin(member) is dict:
            value = get_args(member)[1]
            if isinstance(value, type) and issubclass(value, BaseModel):
                return value, True
    return None, False


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, or the type itself."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    union = get_origin(annotation) in (Union, types.UnionType)
    return get_args(annotation) if union else (annotation,)


def _kind(info: FieldInfo, entries: type[BaseModel] | None, named: bool) -> str:
    if entries is not None:
        return "section by name" if named else "section"
    members = [member for member in _members(info.annotation) if member is not type(None)]
    words = " or ".join(_word(member) for member in members)
    bounds = [
        f"{text} {getattr(rule, name):g}"
        for rule in info.metadata
        for name, text in _BOUNDS.items()
        if getattr(rule, name, None) is not None
    ]
    return ", ".join([words, *bounds])


def _word(kind: Any) -> str:
    """A type in words."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _word(args[0])
    if origin is Literal:
        return " or ".join(_yaml(value) for value in args)
    if origin is list:
        return f"list of {_word(args[0])}"
    if origin is dict:
        return f"{_word(args[1])} by name"
    if origin in (Union, types.UnionType):
        return " or ".join(_word(member) for member in args)
    return _WORDS.get(kind, "text")


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return ""
    value = info.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "its keys' defaults"
    return "" if value is PydanticUndefined else "absent" if value is None else _yaml(value)


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(map(_yaml, value)) or "none"
    return "none" if value == {} else str(value) or "empty"


def _description(info: FieldInfo, entries: type[BaseModel] | None) -> str:
    """What the schema says of a key; of a section its docstring, where the key has no words of its own."""
    if info.description or entries is None:
        return info.description or ""
    return (entries.__doc__ or "").strip().splitlines()[0].rstrip(".")
