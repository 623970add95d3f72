# SPDX-License-Identifier: Apache-2.0
"""Building SVG: escaped, deterministic, coloured by the page's style sheet alone."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape


def element(tag: str, *children: str, **attributes: str | float | None) -> Markup:
    """An element; ``class_`` stands for ``class``, ``_`` for ``-``, ``None`` leaves an attribute out.

    Examples
    --------
    >>> element("text", "a < b", x=1.5, class_="tick", text_anchor="end")
    Markup('<text x="1.5" class="tick" text-anchor="end">a &lt; b</text>')
    >>> element("svg", role="img", aria_label='a "b"', class_=None)
    Markup('<svg role="img" aria-label="a &#34;b&#34;"></svg>')
    """
    parts = [
        f' {name.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for name, value in attributes.items()
        if value is not None
    ]
    inner = "".join(escape(child) for child in children)  # leaves Markup as it is
    return Markup(f"<{tag}{''.join(parts)}>{inner}</{tag}>")


def picture(
    width: float, height: float, label: str, children: Iterable[str], class_: str | None = None
) -> Markup:
    """A whole drawing that fills the width it is given; ``label`` tells its content to a screen reader."""
    return element(
        "svg",
        *children,
        viewBox=box(width, height),
        role="img",
        aria_label=label,
        class_=class_,
    )


def box(width: float, height: float) -> str:
    """A drawing's coordinates."""
    return f"0 0 {_value(width)} {_value(height)}"


def points(places: Iterable[tuple[float, float]]) -> str:
    """Corners of a line."""
    return " ".join(f"{_value(x)},{_value(y)}" for x, y in places)


def arrow_head() -> Markup:
    """The head of arrows, ``url(#arrow)``."""
    tip = element("path", d="M0 0L7 3.5L0 7z", class_="tip")
    marker = element(
        "marker",
        tip,
        id="arrow",
        markerWidth=7,
        markerHeight=7,
        refX=7,
        refY=3.5,
        orient="auto",
        markerUnits="userSpaceOnUse",
    )
    return element("defs", marker)


def document(drawing: Markup, style: str, symbols: str = "") -> str:
    """A drawing as a file of its own, with the style sheet that a page would have and the symbols that it uses.

    Examples
    --------
    >>> document(picture(2, 1, "dot", []), "rect{}")[:79]
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 1"><style>rect{}</style>'
    """
    # The drawing becomes the inner element, so that rules for what lies in an svg hold for all of it.
    size = drawing.partition('viewBox="')[2].partition('"')[0]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}"><style>{style}</style>'
    return f"{head}{symbols}{drawing}</svg>\n"


def text(content: str, x: float, y: float, anchor: str = "start", class_: str = "tick") -> Markup:
    """A line of text at a point."""
    return element("text", content, x=x, y=y, text_anchor=anchor, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def bar(
    x: float,
    y: float,
    width: float,
    height: float,
    class_: str,
    title: str = "",
    opacity: float | None = None,
) -> Markup:
    """A rectangle, with a tooltip."""
    children = [element("title", title)] if title else []
    return element(
        "rect", *children, x=x, y=y, width=width, height=height, class_=class_, fill_opacity=opacity
    )


def _value(value: str | float) -> str:
    """Attribute text; coordinates to a hundredth."""
    return value if isinstance(value, str) else f"{round(value, 2):g}" if abs(value) < 1e5 else str(value)
