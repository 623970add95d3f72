# SPDX-License-Identifier: Apache-2.0
"""The steps of a run, in order."""

from __future__ import annotations

from hwflow.flow import cost, hardware, model
from hwflow.flow.runner import Step

_CONVERT, *_SIMULATED, _VERIFY = hardware.STEPS

# What a design costs is told before it is simulated, and synthesized after that.
STEPS: tuple[Step, ...] = (*model.STEPS, _CONVERT, *cost.STEPS, *_SIMULATED, cost.SYNTHESIS, _VERIFY)


def needed_first(last: str) -> tuple[Step, ...]:
    """All steps, with those that one step needs, and this one, before the others."""
    needed = {last}
    for step in reversed(STEPS):
        if step.name in needed:
            needed.update(step.needs)
    return tuple(sorted(STEPS, key=lambda step: step.name not in needed))
