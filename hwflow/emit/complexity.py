# SPDX-License-Identifier: Apache-2.0
"""Multiply-accumulates and weight bits of a node."""

from __future__ import annotations

from hwflow.ir.graph import QuantNode


def macs(node: QuantNode) -> int:
    """Multiply-accumulates a frame: every weight once an output pixel (biases and slopes do not count)."""
    weight = node.params.get("weight")
    return 0 if weight is None else int(weight.codes.size) * node.pixels


def weight_bits(node: QuantNode) -> int | None:
    """Bits a stored weight, or None where there are no weights."""
    weight = node.params.get("weight")
    return None if weight is None else weight.type.width
