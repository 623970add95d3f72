# SPDX-License-Identifier: Apache-2.0
"""The steps of a run, in order."""

from __future__ import annotations

from hwflow.flow import hardware, model
from hwflow.flow.runner import Step

STEPS: tuple[Step, ...] = (*model.STEPS, *hardware.STEPS)
