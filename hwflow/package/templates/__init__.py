# SPDX-License-Identifier: Apache-2.0
"""Texts of a package that are filled in."""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2

from hwflow import __version__
from hwflow.package.content import Content


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("hwflow.package"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def rendered(template: str, content: Content, **more: Any) -> str:
    """A template filled with a package's content and more."""
    fields = {
        name: getattr(content, name) for name in (*content.__slots__, "name", "top", "inputs", "outputs")
    }
    return (
        _environment()
        .get_template(template)
        .render(fields | {"control": content.options.control, "hwflow_version": __version__} | more)
    )
