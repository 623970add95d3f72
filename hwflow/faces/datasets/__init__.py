# SPDX-License-Identifier: Apache-2.0
"""Face sets in the layouts they are published in: one module a layout, one form for all (`FaceSet`)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from hwflow.errors import UserError, did_you_mean
from hwflow.faces.datasets import identities, ijb, insightface_bin, lfw, orl
from hwflow.faces.datasets.base import FaceSet, Pairs, Picture, Pictures, Templates, limited

Layout = Literal["auto", "lfw", "bin", "ijb", "identities", "orl"]
LAYOUTS: tuple[str, ...] = get_args(Layout)

__all__ = [
    "LAYOUTS",
    "FaceSet",
    "Layout",
    "Pairs",
    "Picture",
    "Pictures",
    "Templates",
    "limited",
    "open_faces",
]


def open_faces(
    path: Path | None,
    layout: str = "auto",
    *,
    pairs: int = identities.PAIRS,
    orl_after: int = 0,
    seed: int = 1,
) -> FaceSet:
    """Open a face set; its lists are read and checked, its pictures are not.

    Parameters
    ----------
    path : pathlib.Path or None
        Folder or ``.bin`` file; None for the ORL faces.
    layout : str
        One of :data:`LAYOUTS`; ``auto`` looks at what is there.
    pairs : int
        Pairs drawn where the layout lists none.
    orl_after : int
        ORL people 1 to this are left out.
    seed : int
        Seed of drawn pairs and folds.

    Raises
    ------
    UserError
        When there is nothing of that layout, or its lists are damaged.
    """
    if layout not in LAYOUTS:
        raise UserError(f"there is no layout {layout!r}", did_you_mean(layout, LAYOUTS))
    if path is None or layout == "orl":
        if path is not None or layout not in ("auto", "orl"):
            given = (
                f"layout {layout}" if path is None else f"the ORL faces come with a package, not from {path}"
            )
            raise UserError(f"{given}: --data and --layout do not fit", "give both, or --layout orl alone")
        return orl.load(orl_after, seed)
    if not path.exists():
        raise UserError(
            f"face set {path} does not exist", "check the path; without --data the ORL faces are used"
        )
    if layout == "auto":
        layout = _layout(path)
    if (layout == "bin") == path.is_dir():
        wanted = "a .bin file" if layout == "bin" else "a folder"
        raise UserError(
            f"layout {layout} is {wanted}, {path} is not", "name another --data, or another --layout"
        )
    if layout == "bin":
        return insightface_bin.load(path)
    if layout == "identities":
        return identities.load(path, pairs, seed)
    return lfw.load(path) if layout == "lfw" else ijb.load(path)


def _layout(path: Path) -> str:
    """The layout that a file or folder is in."""
    if path.is_file():
        return "bin"
    for layout, module in (("lfw", lfw), ("ijb", ijb), ("identities", identities)):
        if module.found(path):
            return layout
    bins = sorted(entry.name for entry in path.glob("*.bin"))
    if bins:
        raise UserError(
            f"{path} holds .bin files: {', '.join(bins)}", f"name one, for example {path / bins[0]}"
        )
    raise UserError(
        f"{path} is in no known layout: it holds neither a list of pairs ({lfw.VIEW2}, {', '.join(lfw.TWO_LINES)}), "
        f"nor lists of templates (meta/*_{ijb.MEDIA}), nor folders with pictures",
        "name the folder that does, or a .bin file",
    )
