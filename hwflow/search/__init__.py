# SPDX-License-Identifier: Apache-2.0
"""Search for the bits of each layer of a float network, without training."""

from __future__ import annotations

from hwflow.search.bits import Found, Point, Settings, search
from hwflow.search.evaluator import Evaluator, Score
from hwflow.search.ranges import Range, dynamic_ranges

__all__ = ["Evaluator", "Found", "Point", "Range", "Score", "Settings", "dynamic_ranges", "search"]
