# SPDX-License-Identifier: Apache-2.0
"""Structure of generated adder graphs, read from their SystemVerilog, which holds every width."""

from __future__ import annotations

import re

from hwflow.ops.costkit import Contents, Parameters, Structure, number
from hwflow.ops.librarycost import cast, geometry, window_parallel

#: Rounding comes with the addition of the bias.
_CONSTANT = 64

_DECLARED = re.compile(r"logic (?:signed )?\[(\d+):0\] (v\d+(?:_q\d+)?|sum\d+);")
_SUM = re.compile(r"assign (v\d+) = (?:\d+'\()?\(?(.*?) [+-] (.*?);")
_SHIFT = re.compile(r"<< (\d+)\)|>> (\d+)\)")
_RESULT = re.compile(r"assign (sum\d+) = (.*);")
_INSTANCE = re.compile(r"(hwf_\w+) #\((.*?)\) u_")
_VALUE = re.compile(r"\.(\w+)\((-?\d+)\)")


def graph_parameters(source: str) -> dict[str, int | tuple[int, ...]]:
    """What the text of a generated module says about its structure.

    Returns
    -------
    dict
        ``Adders``, ``Results``: widths of the sums, and of those with the bias; ``Registers``: bits of the
        pipeline; ``Stages``; and the parameters of its casts and its window.
    """
    widths = {name: int(top) + 1 for top, name in _DECLARED.findall(source)}
    adders = []
    for name, left, right in _SUM.findall(source):
        width = widths[name]
        # Bits below the higher shifted term are copied.
        shift = max((int(up) for term in (left, right) for up, _ in _SHIFT.findall(term) if up), default=0)
        adders.append(max(width - shift, 1))
    results = [
        widths[name] if "+" in expression or expression.startswith("-") else 0
        for name, expression in _RESULT.findall(source)
    ]
    found: dict[str, int | tuple[int, ...]] = {
        "Adders": tuple(sorted(adders)),
        "Results": tuple(sorted(results)),
        "Registers": sum(width for name, width in widths.items() if "_q" in name),
        "Stages": int(match[1]) if (match := re.search(r"Stages = (\d+) \+", source)) else 0,
    }
    casts = []
    for module, values in _INSTANCE.findall(source):
        given = {key: int(value) for key, value in _VALUE.findall(values)}
        if module == "hwf_cast":
            casts.append(given["InW"])
            found |= {key: value for key, value in given.items() if key != "InW"}
        else:
            found |= given
    return found | {"Casts": tuple(sorted(casts))}


def _tuple(p: Parameters, name: str) -> tuple[int, ...]:
    value = p[name]
    if isinstance(value, (int, Contents)):
        raise TypeError(f"parameter {name} is no list")
    return value


def distributed(s: Structure, p: Parameters) -> None:
    """``hwf_da_*``."""
    if "KernelH" in p:
        lane_w, channels, lanes = number(p, "LaneW"), number(p, "C"), number(p, "Lanes")
        window_parallel(s, geometry(p), lane_w=lane_w, channels=channels, lanes=lanes)
    for width in _tuple(p, "Adders"):
        s.add("graph.add", width)
    for width in _tuple(p, "Results"):
        s.add("graph.bias", width)
    register = number(p, "OutReg", 1)
    s.register(number(p, "Registers") + number(p, "Stages") + register)
    s.lut("stage", 2)
    for width in _tuple(p, "Casts"):
        cast(
            s, width, 1, number(p, "InFrac"), number(p, "OutW"), number(p, "OutSigned", 1), number(p, "OutFrac"),
            number(p, "Rounding"), number(p, "Overflow"), registered=bool(register), free=_CONSTANT,
        )  # fmt: skip
