# SPDX-License-Identifier: Apache-2.0
"""C form of the reshape: the same codes in the same place."""

from __future__ import annotations

from hwflow.ops.mcukit import View

LOWERING = View()
