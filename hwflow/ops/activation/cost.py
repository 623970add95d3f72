# SPDX-License-Identifier: Apache-2.0
"""Structure of the activation's module."""

from __future__ import annotations

from hwflow.ops.costkit import Parameters, Structure, number
from hwflow.ops.librarycost import cast_of


def activation(s: Structure, p: Parameters) -> None:
    """``hwf_activation``."""
    s.register(1)
    s.lut("stage", 2)
    cast_of(s, p, number(p, "XW"), number(p, "XSigned", 1), number(p, "XFrac"), times=number(p, "Lanes", 1))


MODULES = {"hwf_activation": activation}
