# SPDX-License-Identifier: Apache-2.0
"""Numbers and formats as people read them."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

NONE = "–"
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def grouped(value: float | None) -> str:
    """A count with thousands separators.

    Examples
    --------
    >>> grouped(1292992)
    '1,292,992'
    """
    return NONE if value is None else f"{value:,.0f}"


def compact(value: float | None) -> str:
    """A large count in three or four digits.

    Examples
    --------
    >>> compact(233_800_000), compact(576), compact(12_544)
    ('234 M', '576', '12.5 k')
    """
    if value is None:
        return NONE
    for scale, prefix in _PREFIXES:
        if abs(value) >= 0.9995 * scale:
            return f"{significant(value / scale)} {prefix}"
    return f"{value:.0f}"


def significant(value: float) -> str:
    """Three digits, or all of the integer part.

    Examples
    --------
    >>> significant(1.2345), significant(412.8), significant(0.00123), significant(3981.2)
    ('1.23', '413', '0.00123', '3,981')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def seconds(value: float | None) -> str:
    """A duration.

    Examples
    --------
    >>> seconds(0.000_032), seconds(0.042), seconds(2.53), seconds(74.2), seconds(3725.0)
    ('32 µs', '42 ms', '2.53 s', '1 min 14 s', '1 h 2 min')
    """
    if value is None:
        return NONE
    if 0 < value < 0.9995e-3:
        return f"{value * 1e6:.3g} µs"
    if 0 < value < 0.9995:
        return f"{value * 1e3:.3g} ms"
    if value < 59.95:
        return f"{value:.3g} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def percent(share: float | None, digits: int = 1) -> str:
    """A share of one.

    Examples
    --------
    >>> percent(0.9934, 2)
    '99.34 %'
    """
    return NONE if share is None else f"{share * 100:.{digits}f} %"


def decimal(value: float, digits: int) -> str:
    """A number to so many digits after the point; zero has no sign.

    Examples
    --------
    >>> decimal(-0.157, 2), decimal(-0.001, 2)
    ('−0.16', '0.00')
    """
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int) -> str:
    """A difference with its sign.

    Examples
    --------
    >>> signed(-0.2134, 2), signed(0.5, 1)
    ('−0.21', '+0.5')
    """
    return f"{value:+.{digits}f}".replace("-", "−")


def error(share: float | None) -> str:
    """A relative error with its sign.

    Examples
    --------
    >>> error(0.0312), error(-0.5), error(0.0), error(None)
    ('+3.1 %', '−50.0 %', '0.0 %', '–')
    """
    if share is None:
        return NONE
    return "0.0 %" if round(share, 3) == 0 else f"{signed(share * 100, 1)} %"


def share(value: float) -> str:
    """What is taken of what there is.

    Examples
    --------
    >>> share(0.634), share(0.0004), share(12.5), share(130.0), share(float("inf"))
    ('63 %', '0.04 %', '1,250 %', '130 times', 'there is none')
    """
    if value == float("inf"):
        return "there is none"
    if value >= 100:
        return f"{value:,.0f} times"
    return f"{value * 100:,.0f} %" if value >= 0.0995 or value == 0 else f"{value * 100:.2g} %"


def milliseconds(value: float | None) -> str:
    """A time in milliseconds.

    Examples
    --------
    >>> milliseconds(1234.6), milliseconds(0.1234)
    ('1,235', '0.123')
    """
    return NONE if value is None else significant(value)


def plain(value: float | str | None) -> str:
    """A figure of any kind: whole numbers exactly, others to six digits.

    Examples
    --------
    >>> plain(12544.0), plain(0.98765432), plain(True), plain("mixed"), plain(None)
    ('12,544', '0.987654', 'yes', 'mixed', '–')
    """
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.6g}"


def shape(axes: Sequence[int]) -> str:
    """A tensor's shape.

    Examples
    --------
    >>> shape([112, 112, 3])
    '112×112×3'
    """
    return "×".join(map(str, axes))


def grid(parts: tuple[int, int, int]) -> str:
    """A fixed-point type from its JSON form, (signed, width, fractional bits).

    Examples
    --------
    >>> grid((1, 8, 7)), grid((0, 8, 5))
    ('fixed<8,1>', 'ufixed<8,3>')
    """
    signed, width, frac = parts
    return f"{'' if signed else 'u'}fixed<{width},{width - frac}>"


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    Examples
    --------
    >>> plural(1, "frame"), plural(1536, "value")
    ('1 frame', '1,536 values')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def breakable(name: str) -> Markup:
    """An identifier that may be broken after its underscores.

    Examples
    --------
    >>> breakable("conv_<1>")
    Markup('conv_<wbr>&lt;1&gt;')
    """
    return escape(name).replace("_", Markup("_<wbr>"))


FILTERS = (
    *(breakable, compact, decimal, error, grid, grouped, milliseconds),
    *(percent, plain, seconds, shape, share, signed),
)
"""What the template formats with."""
