# SPDX-License-Identifier: Apache-2.0
"""Formats from their text form and from JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hwflow.errors import UserError, did_you_mean
from hwflow.formats.base import Format
from hwflow.formats.binary import Binary
from hwflow.formats.codebook import Codebook
from hwflow.formats.fixed import RULES, Fixed
from hwflow.formats.minifloat import MiniFloat
from hwflow.formats.pow2 import Pow2
from hwflow.formats.scaled import Scaled
from hwflow.formats.ternary import Ternary


def parse(text: str) -> Format:
    """Read the text form of a format.

    Parameters
    ----------
    text : str
        ``fixed<8>``, ``fixed<8,mse>``, ``fixed<8,2>``, ``ufixed<8,0>``, ``minifloat<4,3>``, ``pow2<-6,0>``,
        ``codebook<16>``, ``codebook<16,fixed<8>>``, ``hybrid<16,minifloat<4,3>>``, ``binary``, ``ternary``,
        ``ternary<0.33>``, ``auto<fixed<8>>`` or ``auto_po2<binary>``.

    Raises
    ------
    UserError
        When the text is none of these, or a parameter is out of range.

    Examples
    --------
    >>> str(parse("hybrid<16, minifloat<4,3>>"))
    'hybrid<16,minifloat<4,3>>'
    """
    plain = text.replace(" ", "")
    name, opened, rest = plain.partition("<")
    if name not in _READERS:
        raise UserError(f"number format {text!r} is unknown", did_you_mean(name, _READERS))
    if bool(opened) != plain.endswith(">"):
        raise UserError(f"number format {text!r} has no closing '>'", f"write it like {_EXAMPLES[name]}")
    arguments = _split(rest[:-1]) if opened else []
    try:
        return _READERS[name](arguments)
    except (ValueError, IndexError, TypeError) as error:
        raise UserError(
            f"number format {text!r} has the wrong parameters", f"write it like {_EXAMPLES[name]}"
        ) from error


def from_json(data: Mapping[str, Any]) -> Format:
    """The format that :meth:`Format.to_json` wrote down."""
    return parse(data["format"]).with_state(dict(data))


def _split(text: str) -> list[str]:
    """Arguments, at the commas outside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "<") - (letter == ">")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _exactly(arguments: Sequence[str], least: int, most: int) -> Sequence[str]:
    if not least <= len(arguments) <= most:
        raise ValueError
    return arguments


def _fixed(signed: bool) -> Callable[[list[str]], Format]:
    def read(arguments: list[str]) -> Format:
        width, *more = _exactly(arguments, 1, 2)
        if more and more[0] in RULES:
            return Fixed(int(width), None, signed, more[0])  # type: ignore[arg-type]
        return Fixed(int(width), int(more[0]) if more else None, signed)

    return read


def _codebook(arguments: list[str]) -> Format:
    size, *centroid = _exactly(arguments, 1, 2)
    return Codebook(int(size), parse(centroid[0])) if centroid else Codebook(int(size))


def _hybrid(arguments: list[str]) -> Format:
    found = _codebook(list(_exactly(arguments, 2, 2)))
    if not isinstance(found, Codebook) or not isinstance(found.centroid, MiniFloat):
        raise ValueError
    return found


def _scaled(kind: Any) -> Callable[[list[str]], Format]:
    def read(arguments: list[str]) -> Format:
        inner, *axis = _exactly(arguments, 1, 2)
        return Scaled(kind, parse(inner), int(axis[0]) if axis else -1)

    return read


_READERS: Mapping[str, Callable[[list[str]], Format]] = {
    "fixed": _fixed(True),
    "ufixed": _fixed(False),
    "minifloat": lambda arguments: MiniFloat(*(int(number) for number in _exactly(arguments, 2, 2))),
    "pow2": lambda arguments: Pow2(*(int(number) for number in _exactly(arguments, 2, 2))),
    "codebook": _codebook,
    "hybrid": _hybrid,
    "binary": lambda arguments: Binary(*_exactly(arguments, 0, 0)),
    "ternary": lambda arguments: Ternary(*(float(number) for number in _exactly(arguments, 0, 1))),
    "auto": _scaled("auto"),
    "auto_po2": _scaled("auto_po2"),
}
_EXAMPLES: Mapping[str, str] = {
    "fixed": "fixed<8,2> or fixed<8>",
    "ufixed": "ufixed<8,0> or ufixed<8>",
    "minifloat": "minifloat<4,3>",
    "pow2": "pow2<-6,0>",
    "codebook": "codebook<16> or codebook<16,fixed<8>>",
    "hybrid": "hybrid<16,minifloat<4,3>>",
    "binary": "binary",
    "ternary": "ternary or ternary<0.33>",
    "auto": "auto<fixed<8>>",
    "auto_po2": "auto_po2<fixed<8>>",
}
