# SPDX-License-Identifier: Apache-2.0
"""The ORL faces as a set: every pair of them, in ten stratified folds."""

from __future__ import annotations

import numpy as np

from hwflow.faces.datasets.base import FaceSet, Held, Pairs, with_drawn_folds
from hwflow.faces.orl import load_orl


def load(after: int = 0, seed: int = 1) -> FaceSet:
    """All pairs of the pictures of those people who were not used for something else.

    Parameters
    ----------
    after : int
        People 1 to ``after`` are left out.
    seed : int
        Seed of the split into folds.

    Raises
    ------
    ToolNotFoundError
        When the package that carries the faces is not installed.
    """
    orl = load_orl()
    chosen = orl.people > after
    people = orl.people[chosen]
    first, second = np.triu_indices(len(people), k=1)
    genuine = people[first] == people[second]
    pairs = with_drawn_folds(Pairs(first, second, genuine, None), seed)
    who = (
        f"people {after + 1} to {people.max()}; people 1 to {after} calibrated or trained it" if after else ""
    )
    return FaceSet(
        "ORL / AT&T faces", "orl", Held(list(orl.images[chosen])), pairs, people, fold_seed=seed, note=who
    )
