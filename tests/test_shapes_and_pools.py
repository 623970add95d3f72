# SPDX-License-Identifier: Apache-2.0
"""Poolings and layers that move values: hls4ml's C++ in both I/O types = golden model = RTL, and Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from hwflow.emit.design import build_design
from hwflow.emit.rtl import write_rtl
from hwflow.errors import ConfigError, UnsupportedLayerError
from hwflow.ir.graph import QuantGraph
from hwflow.ir.serialize import graph_hash
from hwflow.numerics.codes import from_codes
from hwflow.numerics.fixed import Cast, Codes
from hwflow.ops.pool import reciprocals
from hwflow.tools.verilator import QUICK
from hwflow.verify.csim import QUICK as QUICK_CPP
from hwflow.verify.csim import Csim
from hwflow.verify.golden import run_golden
from hwflow.verify.rtlsim import RtlSimulator

if TYPE_CHECKING:
    import tensorflow as tf
    from hls4ml.model.graph import ModelGraph

pytestmark = [pytest.mark.tf]

INPUT = Cast.parse("fixed<8,3>")
FRAMES = 8
II_SLACK = 1.02
Built = tuple["tf.keras.Model", dict[str, Any]]


def bits(width: int, integer: int) -> Any:
    from qkeras import quantized_bits

    return quantized_bits(width, integer, alpha=1)


def relu(x: Any, name: str) -> Any:
    from qkeras import QActivation, quantized_relu

    return QActivation(quantized_relu(6, 2), name=name)(x)


def pools() -> Built:
    """Windows of every kind over images, and QKeras' own layers."""
    from qkeras import QAveragePooling2D, QGlobalAveragePooling2D
    from tensorflow.keras import Input, Model, layers

    image = Input((7, 6, 6), name="image")
    small = relu(image, "natural")
    largest = layers.MaxPooling2D(3, strides=2, padding="same", name="max3_same")(image)
    overlap = layers.MaxPooling2D(3, strides=1, padding="same", name="max3_natural")(small)
    mean = layers.AveragePooling2D(3, strides=1, padding="same", name="mean3_same")(image)
    coarse = layers.AveragePooling2D((2, 3), strides=(1, 2), name="mean_given")(image)
    outputs = [
        layers.MaxPooling2D(2, name="max2")(small),
        layers.MaxPooling2D((1, 3), name="max_row")(image),
        layers.MaxPooling2D(2, strides=3, name="max_gaps")(overlap),
        layers.AveragePooling2D(2, name="mean2")(small),
        layers.GlobalMaxPooling2D(keepdims=True, name="all_max_kept")(mean),
        layers.Concatenate(name="vectors")(
            [
                layers.GlobalMaxPooling2D(name="all_max")(coarse),
                layers.GlobalAveragePooling2D(name="all_mean")(overlap),
                QGlobalAveragePooling2D(name="q_all", average_quantizer=bits(6, 0))(largest),
            ]
        ),
        layers.GlobalAveragePooling2D(keepdims=True, name="all_mean_kept")(largest),
        QAveragePooling2D(2, name="q_mean2", activation=bits(6, 2))(overlap),
        QAveragePooling2D(3, name="q_mean3", average_quantizer=bits(8, 0), activation=bits(8, 3))(overlap),
        QAveragePooling2D(3, strides=2, padding="same", name="q_mean3_same", activation=bits(8, 2))(largest),
        QGlobalAveragePooling2D(name="q_all_exact", activation=bits(6, 2))(largest),
    ]
    config = {
        "mean_given": {"Precision": {"accum": "fixed<20,12>", "result": "fixed<7,4,RND,SAT>"}},
        "max_gaps": {"Precision": {"result": "fixed<4,3,RND_CONV,SAT>"}},
    }
    return Model(image, outputs), config


def shapes() -> Built:
    """Padding, cropping, upsampling, reshaping, all permutations, concatenation on every axis, training layers."""
    from tensorflow.keras import Input, Model, layers

    image = Input((4, 5, 3), name="image")
    padded = layers.ZeroPadding2D(((1, 0), (2, 1)), name="zeros")(image)
    cut = layers.Cropping2D(((1, 0), (2, 2)), name="cut")(padded)
    grown = layers.UpSampling2D((2, 3), name="grown")(cut)
    rows = layers.UpSampling2D((2, 1), name="rows")(image)
    small = relu(rows, "natural")
    wide = layers.Concatenate(axis=2, name="by_columns")([grown, small, rows])
    deep = layers.Concatenate(axis=-1, name="by_channels")([rows, small, rows, small])
    tall = layers.Concatenate(axis=1, name="by_rows")([deep, deep])
    split = layers.Reshape((4, -1, 6), name="merged")(tall)
    split = layers.Reshape((-1, 4, 4), name="regrouped")(split)
    kept = layers.GaussianNoise(0.1, name="noise")(layers.SpatialDropout2D(0.2, name="spatial")(cut))
    kept = layers.ActivityRegularization(0.3, name="regular")(layers.Dropout(0.3, name="dropout")(kept))
    orders = [(1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)]
    permuted = [layers.Permute(order, name="order" + "".join(map(str, order)))(split) for order in orders]
    flat = relu(layers.Flatten(name="flat")(cut), "flat_natural")  # its C++ reads whole vectors, not pixels
    return Model(image, [wide, kept, *permuted, flat]), {}


def rows() -> Built:
    """The same over one row of pixels."""
    from tensorflow.keras import Input, Model, layers

    row = Input((9, 4), name="row")
    small = relu(row, "natural")
    pairs = layers.MaxPooling1D(2, name="max2")(row)
    overlap = layers.MaxPooling1D(3, strides=1, padding="same", name="max3_same")(small)
    mean = layers.AveragePooling1D(3, strides=2, padding="same", name="mean3_same")(row)
    grown = layers.UpSampling1D(3, name="grown")(pairs)
    padded, cut = (
        layers.ZeroPadding1D((1, 2), name="zeros")(row),
        layers.Cropping1D((2, 1), name="cut")(small),
    )
    turned = layers.Permute((2, 1), name="turned")(row)
    outputs = [
        layers.MaxPooling1D(3, strides=2, name="max3")(overlap),
        layers.AveragePooling1D(4, name="mean4")(small),
        layers.GlobalMaxPooling1D(name="all_max")(mean),
        layers.GlobalAveragePooling1D(name="all_mean")(pairs),
        layers.GlobalAveragePooling1D(keepdims=True, name="all_mean_kept")(mean),
        layers.Concatenate(axis=1, name="by_columns")([grown, padded, cut]),
        layers.Concatenate(axis=2, name="by_channels")([row, overlap]),
        layers.Reshape((6, 6), name="regrouped")(turned),
    ]
    return Model(row, outputs), {}


NETWORKS: Mapping[str, Callable[[], Built]] = {"pools": pools, "shapes": shapes, "rows": rows}


def convert(
    model: tf.keras.Model,
    backend: Literal["Vitis", "Hwflow"],
    io_type: Literal["io_stream", "io_parallel"],
    folder: Path,
    layers: dict[str, Any],
) -> ModelGraph:
    from hwflow.frontends.keras_hls4ml import convert

    return convert(
        model,
        backend=backend,
        hls_config={"LayerName": layers},
        input_type=INPUT,
        io_type=io_type,
        clock_period=5.0,
        part="xc7z045ffg900-2",
        project_name="net",
        output_dir=folder,
    )


def lowered(
    model: tf.keras.Model, folder: Path, layers: dict[str, Any], io_type: Any = "io_stream"
) -> QuantGraph:
    from hwflow.frontends.lower import lower

    return lower(convert(model, "Hwflow", io_type, folder, layers), "net")


def stimuli(graph: QuantGraph) -> Codes:
    """The smallest codes, the largest, and random ones."""
    codes = np.random.default_rng(5).integers(-128, 128, (FRAMES, *graph.node(graph.inputs[0]).shape))
    codes[0], codes[1] = -128, 127
    return codes


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_in_cpp_and_rtl(name: str, tmp_path: Path) -> None:
    from hwflow.frontends.keras_hls4ml import write_project

    model, layers = NETWORKS[name]()
    graph = lowered(model, tmp_path, layers)
    assert graph_hash(graph) == graph_hash(lowered(model, tmp_path, layers, "io_parallel"))
    codes = stimuli(graph)
    golden = run_golden(graph, {graph.inputs[0]: codes}, keep=[node.name for node in graph])
    frames = from_codes(codes, INPUT.type)

    for io_type in ("io_stream", "io_parallel"):
        csim = Csim(
            write_project(convert(model, "Vitis", io_type, tmp_path / io_type, layers)), flags=QUICK_CPP
        )
        traced = csim.trace(frames)
        assert {node.op for node in graph if node.name not in traced} <= {"input", "reshape", "pad"}
        for layer in golden.keys() & traced.keys():
            values = traced[layer].reshape(golden[layer].shape)
            assert csim.layer_types[layer].frac == graph.node(layer).type.frac, layer
            assert np.array_equal(values, golden[layer]), f"{layer} in {io_type}"
        for output, values in zip(graph.outputs, csim.outputs(frames), strict=True):
            assert np.array_equal(values.reshape(golden[output].shape), golden[output]), (
                f"{output} in {io_type}"
            )

    design = build_design(graph)
    write_rtl(design, tmp_path / "rtl")
    simulator = RtlSimulator(tmp_path / "rtl", tmp_path / "sim.log")
    simulator.build(flags=QUICK)
    for layer, values in simulator.trace(codes).items():
        assert np.array_equal(values, golden[layer]), f"{layer} in RTL"
    for idle, stall in ((0, 0), (800, 0), (0, 800), (500, 500)):
        result = simulator.run(codes, idle=idle, stall=stall)
        for output, values in result.outputs.items():
            assert np.array_equal(values, golden[output]), f"{output}: idle {idle}, stall {stall}"
        if not idle and not stall:
            assert result.ii_cycles is not None
            assert result.ii_cycles <= II_SLACK * design.plan.ii_bound


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_equal_keras(name: str, tmp_path: Path) -> None:
    from tensorflow.keras import Model

    model, layers = NETWORKS[name]()
    graph = lowered(model, tmp_path, layers)
    codes = stimuli(graph)
    golden = run_golden(graph, {graph.inputs[0]: codes}, keep=[node.name for node in graph])
    # Where QKeras rounds within a layer, the node behind has its result.
    nodes = {node.inputs[0]: node.name for node in graph if node.name.startswith("q_") and node.op != "pool"}
    exact = exact_layers(graph, layers)
    names = [layer.name for layer in model.layers if nodes.get(layer.name, layer.name) in exact]
    assert len(names) > len(model.layers) // 3
    outputs = [model.get_layer(layer).output for layer in names]
    values = Model(model.inputs, outputs).predict(from_codes(codes, INPUT.type), verbose=0)
    for layer, expected in zip(names, values, strict=True):
        node = graph.node(nodes.get(layer, layer))
        assert np.array_equal(from_codes(golden[node.name], node.type), np.float64(expected)), layer


def exact_layers(graph: QuantGraph, given: Mapping[str, Any]) -> set[str]:
    """Layers without a mean off every grid (a third) or a given type on the way, but for a rounding right behind."""
    exact, thirds = set(), set()
    for node in graph:
        clean = all(name in exact for name in node.inputs) and node.name not in given
        taps = node.attrs.get("kernel_h", 1) * node.attrs.get("kernel_w", 1)
        if clean and "frac" in node.attrs and (taps & (taps - 1) or node.attrs["pad_left"]):
            thirds.add(node.name)
        elif clean or (node.op == "activation" and node.inputs[0] in thirds):
            exact.add(node.name)
    return exact


def test_narrow_accumulator_is_refused(tmp_path: Path) -> None:
    model, _ = pools()
    layers = {"mean2": {"Precision": {"accum": "fixed<6,3>"}}}
    with pytest.raises(ConfigError, match=r"mean2: Precision\.accum .* cannot hold its exact sums"):
        lowered(model, tmp_path, layers)


def test_type_of_a_layer_that_only_moves_values_is_its_inputs(tmp_path: Path) -> None:
    model, _ = shapes()
    with pytest.raises(ConfigError, match=r"grown: Precision\.result .* only moves\s+values"):
        lowered(model, tmp_path, {"grown": {"Precision": {"result": "fixed<4,2>"}}})


def test_an_output_that_is_another_port_in_another_shape_is_refused(tmp_path: Path) -> None:
    from qkeras import QActivation
    from tensorflow.keras import Input, Model, layers

    image = Input((2, 3), name="image")
    small = QActivation(bits(4, 1), name="small")(image)
    flat = layers.Flatten(name="flat")(image), layers.Flatten(name="again")(small)
    same = QActivation(bits(4, 1), name="same")(small)
    with pytest.raises(ConfigError, match="flat: it holds the same values as the input 'image'"):
        lowered(Model(image, flat[0]), tmp_path, {}, "io_parallel")
    with pytest.raises(ConfigError, match="again: it holds the same values as the output 'small'"):
        lowered(Model(image, [small, flat[1]]), tmp_path, {}, "io_parallel")
    with pytest.raises(ConfigError, match="same: it holds the same values as the output 'small'"):
        lowered(Model(image, [small, same]), tmp_path, {})
    assert lowered(Model(image, [small, flat[1]]), tmp_path, {}).outputs == ("small", "again")


def test_findings_name_reason_and_remedy(tmp_path: Path) -> None:
    from qkeras import QAveragePooling2D
    from tensorflow.keras import Input, Model, layers

    image = Input((1, 5, 3), name="image")
    outputs = [
        layers.UpSampling2D(2, interpolation="bilinear", name="smooth")(image),
        QAveragePooling2D((1, 3), padding="same", average_quantizer=bits(8, 0), name="scaled")(image),
        layers.Permute((2, 1, 3), name="first_axis")(image),
        layers.Reshape((1, 1, 5, 3), name="four")(image),
    ]
    outputs[3] = layers.Concatenate(name="too_many")([outputs[3], outputs[3]])
    outputs.append(layers.Permute((1, 2), name="stays")(layers.Reshape((5, 3))(image)))
    with pytest.raises(UnsupportedLayerError) as caught:
        lowered(Model(image, outputs), tmp_path, {})
    text = str(caught.value)
    for expected in (
        "smooth (UpSampling2D): interpolation 'bilinear'",
        "scaled (QAveragePooling2D): its average_quantizer meets windows that reach into the padding",
        "first_axis (Permute): it permutes a model input whose first axis has size 1",
        "too_many (Concatenate): tensors of 4 axes",
        "stays (Permute): it leaves both axes where they are",
    ):
        assert expected in text


@pytest.mark.parametrize("up", [0, 3, 8])
def test_reciprocals_divide_exactly(up: int) -> None:
    peak = 3000
    used = set(range(1, 50))
    scales, shift = reciprocals(range(50), used, peak, up)
    sums = np.arange(peak + 1)
    for divisor in used:
        assert np.array_equal(sums * scales[divisor] >> shift, (sums << up) // divisor)
    smaller = [-(-(1 << (shift - 1 + up)) // n) for n in used]
    assert any(
        (sums * m >> (shift - 1) != (sums << up) // n).any() for n, m in zip(used, smaller, strict=True)
    )
