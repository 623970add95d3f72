# SPDX-License-Identifier: Apache-2.0
"""Verification sets in one file, as InsightFace publishes LFW, AgeDB-30, CFP-FF, CFP-FP, CALFW and CPLFW.

Such a file is a pickle of ``(pictures, same)``: JPEG contents, two a pair, and whether each pair shows one person.
A pickle can run any program while it is read, so it is not read by :mod:`pickle` as it stands: only lists, bytes,
numbers and one-dimensional NumPy arrays of plain numbers come through.

References
----------
J. Deng, J. Guo, N. Xue, S. Zafeiriou, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import UserError
from hwflow.faces.datasets.base import FOLDS, FaceSet, Held, Pairs
from hwflow.faces.verification import Flags, Integers

#: What reading a damaged pickle can raise.
_DAMAGE = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError, MemoryError, OverflowError,
)  # fmt: skip
_REMEDY = "get the .bin file again from where the set is published"


class _Kind:
    """Stands for ``numpy.dtype``; integers and flags only."""

    __slots__ = ("kind",)

    def __init__(self, code: str | bytes, *rest: object) -> None:
        kind = np.dtype(code if isinstance(code, str) else code.decode("ascii"))
        if kind.kind not in "biu":
            raise pickle.UnpicklingError(f"it holds an array of {kind}")
        self.kind = kind

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        self.kind = np.dtype(f"{order}{self.kind.kind}{self.kind.itemsize}")


class _Array:
    """Stands for an array that is made empty and filled by its state."""

    __slots__ = ("values",)

    def __init__(self, *_: object) -> None:
        self.values: NDArray[Any] = np.empty(0, np.uint8)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, _, data = state
        if len(shape) != 1 or not isinstance(kind, _Kind) or not isinstance(data, bytes):
            raise pickle.UnpicklingError("it holds an array of more than one dimension, or of other things")
        self.values = np.frombuffer(data, kind.kind, count=shape[0])


class _Scalar:
    """Stands for the function that makes a NumPy number; gives a plain one."""

    __slots__ = ()

    def __new__(cls, kind: _Kind, data: bytes) -> int:  # type: ignore[misc]
        return int(np.frombuffer(data, kind.kind, count=1)[0])

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("a number has no state")


class _Latin1:
    """Stands for ``_codecs.encode``, by which protocol 2 stores bytes."""

    __slots__ = ()

    def __new__(cls, text: str, encoding: str) -> bytes:  # type: ignore[misc]
        return text.encode("latin1")

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("bytes have no state")


_NUMPY = {"_reconstruct": _Array, "scalar": _Scalar}
_KNOWN: dict[tuple[str, str], type] = {
    **{
        (f"numpy.{core}.multiarray", name): stand
        for core in ("core", "_core")
        for name, stand in _NUMPY.items()
    },
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    ("_codecs", "encode"): _Latin1,
}


class _DataOnly(pickle.Unpickler):
    """Lets no name through but those of plain arrays and flags, and gives stand-ins for these."""

    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which plain data does not")
        return _KNOWN[module, name]


def load(path: Path) -> FaceSet:
    """Read a set; it is held in memory, some 70 MB for 6,000 pairs.

    Raises
    ------
    UserError
        When the file is damaged, holds something else, or folds differ in size.
    """
    try:
        with path.open("rb") as stream:
            content = _DataOnly(stream, encoding="bytes").load()
    except _DAMAGE as error:
        raise _damaged(path, str(error) or type(error).__name__) from error
    if not isinstance(content, tuple | list) or len(content) != 2:
        raise _damaged(path, "it is no pair of pictures and flags")
    pictures, same = content
    if isinstance(same, _Array):
        same = same.values.tolist()
    if not isinstance(pictures, list) or not isinstance(same, list) or not same:
        raise _damaged(path, "it is no list of pictures with a list of flags")
    if len(pictures) != 2 * len(same):
        raise _damaged(path, f"{len(pictures)} pictures for {len(same)} pairs, not two each")
    if not all(isinstance(flag, bool | int) for flag in same):
        raise _damaged(path, "a flag is neither true nor false")
    contents = [_bytes(picture, path) for picture in pictures]
    genuine = np.array(same, bool)
    if genuine.all() or not genuine.any():
        raise UserError(f"{path} holds only {'genuine' if genuine.all() else 'impostor'} pairs", _REMEDY)
    numbers = np.arange(2 * len(same), dtype=np.int64)
    pairs = Pairs(numbers[::2], numbers[1::2], genuine, _folds(genuine, path))
    return FaceSet(path.stem, "bin", Held(contents), pairs, aligned=True)


def _folds(genuine: Flags, path: Path) -> Integers:
    """Ten folds in the order of the file; where that has one kind of pairs before the other, in the order of each."""
    for kind, name in ((genuine, "genuine"), (~genuine, "impostor")):
        if kind.sum() % FOLDS:
            raise UserError(
                f"{path}: {kind.sum()} {name} pairs cannot be split into {FOLDS} folds of equal size", _REMEDY
            )
    blocks = np.arange(len(genuine)) * FOLDS // len(genuine)
    if len(set(np.bincount(blocks[genuine], minlength=FOLDS).tolist())) > 1:
        for kind in (genuine, ~genuine):
            blocks[kind] = np.arange(kind.sum()) * FOLDS // kind.sum()
    return blocks


def _bytes(picture: Any, path: Path) -> bytes:
    if isinstance(picture, _Array) and picture.values.dtype == np.uint8:
        return picture.values.tobytes()
    if isinstance(picture, bytes):
        return picture
    raise _damaged(path, f"a picture is a {type(picture).__name__}, not the content of a file")


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"{path} is no verification set of InsightFace: {why}", _REMEDY)
