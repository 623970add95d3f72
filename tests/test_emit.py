# SPDX-License-Identifier: Apache-2.0
"""Emission: identical bytes, honest interfaces, memory images, and benches that need nothing of hwflow."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwflow.cost.cycles import predict_cycles
from hwflow.emit.design import build_design
from hwflow.emit.memfile import memory_name, memory_text
from hwflow.emit.rtl import library_path, write_rtl
from hwflow.errors import InternalError, UnsupportedLayerError
from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.numerics.fixed import Cast
from hwflow.ops import casekit
from hwflow.ops.base import Memory
from hwflow.ops.casekit import grid, random_codes, tensor
from hwflow.ops.registry import op
from hwflow.verify.bench.emit import write_bench
from hwflow.verify.golden import run_golden
from hwflow.verify.rtlsim import pack_beats, unpack_beats
from rtl_tests.networks import random_network, tiny_mobilefacenet

GRAPHS = {"tiny": tiny_mobilefacenet(), **{f"random{seed}": random_network(seed) for seed in range(20, 26)}}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def emit(graph: QuantGraph, folder: Path) -> dict[str, bytes]:
    """Everything that is written for a graph, bench included."""
    design = build_design(graph)
    write_rtl(design, folder)
    rng = np.random.default_rng(1)
    codes = {
        name: random_codes(rng, (2, *graph.node(name).shape), graph.node(name).type) for name in graph.inputs
    }
    write_bench(folder, folder / "tb", codes, run_golden(design.graph, codes))
    return contents(folder)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_twice_gives_identical_bytes(graph: QuantGraph, tmp_path: Path) -> None:
    first = emit(graph, tmp_path / "one")
    assert emit(graph, tmp_path / "two") == first
    assert emit(graph, tmp_path / "one") == first
    assert first.keys() >= {f"{graph.name}.sv", "filelist.f", "interface.json", "tb/Makefile", "tb/run.py"}


def test_files_of_another_design_are_removed(tmp_path: Path) -> None:
    emit(GRAPHS["random20"], tmp_path / "used")
    assert emit(GRAPHS["tiny"], tmp_path / "used") == emit(GRAPHS["tiny"], tmp_path / "fresh")


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_interface_describes_the_top_module(graph: QuantGraph, tmp_path: Path) -> None:
    files = emit(graph, tmp_path)
    top, interface = files[f"{graph.name}.sv"].decode(), json.loads(files["interface.json"])
    for side, axis in (("inputs", "s_axis"), ("outputs", "m_axis")):
        (port,) = interface[side]
        assert re.search(rf"logic \[{port['tdata_width'] - 1}:0\] {axis}_tdata", top)
        assert port["beats_per_frame"] * port["lanes"] == np.prod(port["shape"])
        assert port["lane_width"] == port["type"][1]
    assert {tap["tensor"] for tap in interface["taps"]} == {node.name for node in graph}
    for tap in interface["taps"]:
        assert re.search(rf"logic \[{tap['lanes'] * tap['lane_width'] - 1}:0\] {tap['file'][:-4]}_tdata", top)
        assert tap["lane_width"] == tap["type"][1], tap["tensor"]
    assert set(re.findall(r"mem/\w+\.mem", top)) == {name for name in files if name.startswith("mem/")}
    assert set(files["filelist.f"].decode().split()) == {
        name for name in files if re.fullmatch(r"\w+\.sv", name)
    }


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_bound_and_multipliers_follow_from_reuse_factors(graph: QuantGraph) -> None:
    design = build_design(graph)
    weighted = [node for node in graph if "weight" in node.params]
    assert design.plan.ii_bound >= max(node.pixels * node.reuse_factor for node in weighted)
    multipliers = sum(node.params["weight"].codes.size // node.reuse_factor for node in weighted)
    slopes = sum(design.plan.folding[node.name].out_lanes for node in graph if node.op == "prelu")
    assert sum(fold.multipliers for fold in design.plan.folding.values()) == multipliers + slopes


def test_all_unsupported_layers_are_named_at_once() -> None:
    rng = np.random.default_rng(0)

    def wide(source: QuantNode, name: str) -> QuantNode:
        attrs = casekit.window_attrs(source, 3)
        return casekit.conv2d(
            rng, source, 2, attrs, Cast(grid(8, 2)), weight=grid(4, 0), bias=grid(4, 0), reuse=1, name=name
        )

    x = tensor((2, 2, 2), grid(4, 0), "x0")
    first = wide(x, "first")
    second = wide(first, "second")
    with pytest.raises(UnsupportedLayerError) as error:
        build_design(QuantGraph("bad", (x, first, second), ("second",)))
    assert "'first'" in str(error.value)
    assert "'second'" in str(error.value)


@given(
    st.integers(1, 40).flatmap(
        lambda width: st.tuples(
            st.just(width),
            st.integers(1, 5).flatmap(
                lambda lanes: st.lists(
                    st.lists(
                        st.integers(-(1 << (width - 1)), (1 << (width - 1)) - 1),
                        min_size=lanes,
                        max_size=lanes,
                    ),
                    min_size=1,
                    max_size=6,
                )
            ),
        )
    )
)
def test_memory_image_against_a_naive_packer(drawn: tuple[int, list[list[int]]]) -> None:
    width, words = drawn
    lines = []
    for word in words:
        bits = "".join(format(code % 2**width, f"0{width}b") for code in reversed(word))
        digits = -(-len(bits) // 4)
        lines.append(f"{int(bits, 2):0{digits}x}")
    text = memory_text(Memory(np.array(words), width))
    assert text == "".join(f"{line}\n" for line in lines)
    assert memory_name(text, "w") == memory_name(text, "w") != memory_name(text + "0\n", "w")


@given(
    lanes=st.integers(1, 5), width=st.integers(1, 40), signed=st.booleans(), beats=st.integers(1, 6),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_bus_beats_read_back(lanes: int, width: int, signed: bool, beats: int, seed: int) -> None:
    type_ = grid(width, 0, signed=signed)
    codes = random_codes(np.random.default_rng(seed), (1, beats, lanes), type_)
    bits = -(-lanes * width // 8) * 8
    port = {
        "lanes": lanes, "lane_width": width, "tdata_width": bits, "type": type_.to_json(), "shape": [beats, lanes],
    }  # fmt: skip
    raw = pack_beats(codes, port)
    for beat, row in enumerate(codes[0].tolist()):
        packed = int.from_bytes(raw[beat * bits // 8 : (beat + 1) * bits // 8], "little")
        assert packed == sum(code % 2**width << (lane * width) for lane, code in enumerate(row))
    assert np.array_equal(unpack_beats(raw, port, bits), codes)


def test_bench_does_not_mention_hwflow_as_a_package(tmp_path: Path) -> None:
    files = emit(GRAPHS["tiny"], tmp_path)
    python = [
        data.decode() for name, data in files.items() if name.startswith("tb/") and name.endswith(".py")
    ]
    assert len(python) == 4
    assert not any(re.search(r"^\s*(from|import) hwflow", text, re.MULTILINE) for text in python)


def test_missing_library_module_is_an_internal_error() -> None:
    with pytest.raises(InternalError, match="hwf_nothing"):
        library_path("hwf_nothing")


@pytest.mark.parametrize("pixels", [2, 4, 9])
def test_a_shortcut_holds_all_frames_that_are_on_their_way(pixels: int, tmp_path: Path) -> None:
    """Frames shorter than the latency of the layer beside the shortcut: several of them wait there at once."""
    x = tensor((1, pixels, 3), grid(8, 4))
    y = casekit.conv2d(
        np.random.default_rng(3), x, 3, casekit.window_attrs(x, 1), Cast(grid(20, 6)), weight=grid(4, 2),
        bias=grid(6, 4), reuse=1,
    )  # fmt: skip
    graph = QuantGraph("short", (x, y, casekit.add(x, y, Cast(grid(21, 6)), name="z")), ("z",))
    design = build_design(graph)
    cycles = predict_cycles(design, 12, log=tmp_path / "log")
    assert cycles.ii == design.plan.ii_bound == pixels


@pytest.mark.parametrize("name", ["pad", "permute", "upsample"])
def test_what_moves_values_keeps_the_type_they_come_in(name: str) -> None:
    """A source that saturates keeps a wider type than its values need."""
    case = op(name).cases()[0]
    (x,) = case.inputs
    signed = replace(x, cast=Cast(grid(4, 0)))
    wide = casekit.activation(signed, Cast.parse("ufixed<8,9,RND,SAT>"), name="wide")
    node = replace(case.node, inputs=("wide",), cast=wide.cast)
    design = build_design(QuantGraph("moved", (signed, wide, node), (node.name,)))
    (block,) = (block for block in design.blocks if block.node == node.name and "Width" in block.parameters)
    (_, read), (written,) = block.inputs[0], block.outputs
    assert design.graph.node(node.name).type == design.graph.node("wide").type
    assert read.lane_width == written.lane_width == 8
    assert block.parameters["Width"] in (8, written.width)  # of a value, or of a beat
