# SPDX-License-Identifier: Apache-2.0
"""C for microcontrollers: memory planner, kernels on the host, the same kernels on a Cortex-M7 in QEMU."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwflow.cost.mcu_kernels import stack_bytes
from hwflow.errors import UnsupportedLayerError, UserError
from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.mcu import planner
from hwflow.mcu.emit import Golden, emit, emit_all, identifier, sizes
from hwflow.mcu.host import HostModel, build_all
from hwflow.mcu.lower import Program, lower, lowering, reasons
from hwflow.mcu.planner import Buffer, Task, lower_bound, place, plan
from hwflow.numerics.fixed import Cast, Codes, FixedType, Overflow, Rounding
from hwflow.ops import casekit
from hwflow.ops.casekit import case_graph, grid, quantizer, random_codes, tensor, window_attrs
from hwflow.ops.mcukit import View
from hwflow.ops.registry import op, ops
from hwflow.tools import arm, qemu
from hwflow.verify.golden import run_golden

UNIT = planner.ALIGNMENT
needs_arm = pytest.mark.skipif(
    not (shutil.which(arm.GCC) and shutil.which(qemu.QEMU)), reason=f"{arm.REMEDY}; {qemu.REMEDY}"
)


def frames(graph: QuantGraph, count: int, seed: int = 3) -> dict[str, Codes]:
    """Random codes of the inputs; the last two frames are the extremes."""
    rng = np.random.default_rng(seed)
    found = {}
    for name in graph.inputs:
        node = graph.node(name)
        low, high = node.type.range()
        ends = [np.full((1, *node.shape), end, dtype=np.int64) for end in (low, high)]
        found[name] = np.concatenate([random_codes(rng, (count, *node.shape), node.type), *ends])
    return found


def fused_graphs() -> dict[str, QuantGraph]:
    """Networks that reach kernels and joins which no case of a single operation does."""
    rng = np.random.default_rng(11)

    def conv(
        source: QuantNode, channels: int, kernel: int, cast: Cast, weight: FixedType, **more: object
    ) -> QuantNode:
        attrs = window_attrs(source, kernel)
        bias = grid(9, source.type.frac + weight.frac)
        return casekit.conv2d(rng, source, channels, attrs, cast, weight=weight, bias=bias, reuse=1, **more)  # type: ignore[arg-type]

    def depthwise(source: QuantNode, kernel: int, cast: Cast, weight: FixedType, **more: object) -> QuantNode:
        attrs = window_attrs(source, kernel)
        bias = grid(9, source.type.frac + weight.frac)
        return casekit.depthwise_conv2d(rng, source, attrs, cast, weight=weight, bias=bias, reuse=1, **more)  # type: ignore[arg-type]

    graphs = {}
    # One-bit activations and weights, whole bytes a pixel: popcount, with and without padding, zero/one and -1/+1.
    for kernel in (1, 3):
        x = tensor((5, 4, 6), grid(8, 4))
        bits = casekit.conv2d(
            rng, x, 40, window_attrs(x, 1), Cast(grid(1, 0, signed=False), Rounding.TRN, Overflow.SAT),
            weight=grid(6, 4), bias=grid(8, 8), reuse=1, name="bits",
        )  # fmt: skip
        y = conv(bits, 7, kernel, Cast(grid(12, 0)), grid(1, 0, signed=False))
        graphs[f"popcount{kernel}"] = QuantGraph("g", (x, bits, y), ("y",))
        signs = np.where(y.params["weight"].codes, 1, -1)
        weight = type(y.params["weight"])(signs, grid(2, 0))
        bipolar = QuantNode(
            "y", "conv2d", ("bits",), y.shape, y.cast, y.attrs, {**y.params, "weight": weight}
        )
        graphs[f"popcount{kernel}_signs"] = QuantGraph("g", (x, bits, bipolar), ("y",))
    # Every width of packed weights and activations through a residual block; the sum overwrites its operand.
    for width in (8, 4, 3, 2, 1):
        x = tensor((6, 5, 5), grid(8, 4))
        act = quantizer(width, width - 1, signed=width > 1)
        weight = grid(width, 1) if width > 1 else grid(1, 0, signed=False)
        a = conv(x, 6, 3, act, weight, name="a")
        d = depthwise(a, 3, act, weight, name="d")
        p = conv(d, 6, 1, Cast(grid(24, 8)), weight, name="p")
        s = casekit.add(p, a, Cast(grid(26, 8)), name="s")
        r = casekit.prelu(rng, s, quantizer(8, 4), grid(5, 3), name="r")
        flat = casekit.reshape(r, (180,), name="flat")
        y = casekit.dense(rng, flat, 5, quantizer(16, 6), weight=weight, bias=grid(9, 5), reuse=1, name="y")
        graphs[f"block{width}"] = QuantGraph("g", (x, a, d, p, s, r, flat, y), ("y",))
    # Weights beyond 8 bits with sums within 32.
    x = tensor((4, 4, 3), grid(4, 2))
    c = conv(x, 5, 3, quantizer(8, 4), grid(11, 8), name="c")
    y = depthwise(c, 3, quantizer(8, 4), grid(10, 8))
    graphs["wide_weights"] = QuantGraph("g", (x, c, y), ("y",))
    # Everything in 64 bits.
    x = tensor((4, 3, 3), grid(30, 10))
    a = conv(x, 4, 3, Cast(grid(36, 12)), grid(7, 4), name="a")
    d = depthwise(a, 3, Cast(grid(40, 12)), grid(6, 3), name="d")
    s = casekit.add(d, a, Cast(grid(41, 12)), name="s")
    r = casekit.prelu(rng, s, Cast(grid(46, 14)), grid(5, 2), name="r")
    y = casekit.activation(r, quantizer(40, 9), "relu")
    graphs["block64"] = QuantGraph("g", (x, a, d, s, r, y), ("y",))
    # Channels of two tensors, of which one dies and one does not.
    x = tensor((5, 4, 6), grid(8, 4))
    a = conv(x, 10, 3, quantizer(8, 3), grid(6, 4), name="a")
    joined = QuantNode("joined", "concat", ("x0", "a"), (5, 4, 16), quantizer(8, 3), {"axis": 2})
    b = conv(joined, 4, 1, quantizer(4, 1), grid(4, 2), name="b")
    y = QuantNode("y", "concat", ("joined", "b"), (5, 4, 20), quantizer(8, 3), {"axis": 2})
    graphs["dense_block"] = QuantGraph("g", (x, a, joined, b, y), ("y",))
    # Two inputs and two outputs, one of them also read inside; views at both ends.
    a, b = tensor((4, 3, 4), grid(7, 3), "a"), tensor((12, 4), grid(6, 2, signed=False), "b")
    view = casekit.reshape(b, (4, 3, 4), name="view")
    s = casekit.add(a, view, quantizer(6, 3), name="s")
    k = depthwise(s, 3, quantizer(8, 4), grid(5, 4), name="k")
    out = casekit.reshape(k, (48,), name="out")
    graphs["ports"] = QuantGraph("g", (a, b, view, s, k, out), ("s", "out"))
    # The largest of values beyond 32 bits.
    x = tensor((3, 5), grid(40, 10))
    largest = QuantNode("y", "softmax", ("x0",), (3, 5), Cast(grid(2, 0)), {"implementation": "argmax"})
    graphs["largest64"] = QuantGraph("g", (x, largest), ("y",))
    x = tensor((3, 2), grid(8, 4))
    graphs["wires"] = QuantGraph("g", (x, casekit.reshape(x, (6,), name="y")), ("y",))
    return graphs


def wide_graphs() -> dict[str, QuantGraph]:
    """Two cases of each operation on a grid so fine that rows need 64 bits."""
    found = {}
    for name, spec in ops().items():
        if name == "input" or isinstance(lowering(name), View):
            continue
        usable = [case for case in spec.cases() if not reasons(case.node)]
        for case in [one for one in usable if one.node.type.width <= 24][:2]:
            cast = Cast(grid(62, case.node.type.frac + 34))
            fine = replace(case, node=replace(case.node, cast=cast))
            if spec.moves:
                fine = replace(fine, inputs=tuple(replace(one, cast=cast) for one in case.inputs))
            found[identifier(f"fine_{name}_{case.name}")] = case_graph(fine)
    # Every function of a pool.
    pools = [case for case in op("pool").cases() if case.node.attrs["function"] != "max"]
    for case in [*pools[:1], *[one for one in pools if "scale" in one.node.params][:1]]:
        fine = replace(case.node, cast=Cast(grid(62, case.node.type.frac + 34)))
        found[identifier(f"fine_mean_{case.name}")] = case_graph(replace(case, node=fine))
    return found


def all_graphs() -> dict[str, QuantGraph]:
    cases = {
        identifier(f"{name}_{case.name}"): case_graph(case)
        for name, spec in ops().items()
        if name != "input" and lowering(name) is not None
        for case in spec.cases()
        if not reasons(case.node)
    }
    return cases | wide_graphs() | fused_graphs()


@pytest.fixture(scope="module")
def graphs() -> dict[str, QuantGraph]:
    """All networks that are compared with the golden model."""
    return all_graphs()


@pytest.fixture(scope="module")
def programs(graphs: dict[str, QuantGraph]) -> dict[str, Program]:
    return {name: lower(graph) for name, graph in graphs.items()}


# The planner


def buffers_strategy(count: int, steps: int, units: int) -> st.SearchStrategy[list[Buffer]]:
    span = st.tuples(st.integers(0, steps), st.integers(0, steps)).map(sorted)
    one = st.builds(lambda size, span: (size * UNIT, span[0], span[1]), st.integers(1, units), span)

    def named(spans: list[tuple[int, int, int]], leads: list[int]) -> list[Buffer]:
        """Some that begin as an earlier one ends may run over it."""
        found: list[Buffer] = []
        for number, (size, first, last) in enumerate(spans):
            ends = [b.name for b in found if b.last == first > b.first] if leads[number] < 4 else []
            allowed = {name: leads[number] * UNIT for name in ends}
            found.append(Buffer(str(number), size, first, last, allowed))
        return found

    leads = st.lists(st.integers(0, 5), min_size=count, max_size=count)
    return st.builds(named, st.lists(one, min_size=1, max_size=count), leads)


def ahead(buffer: Buffer, other: Buffer) -> int:
    """How far a buffer must begin before another one."""
    return min(buffer.size, buffer.leads.get(other.name, buffer.size))


def valid(buffers: list[Buffer], offsets: list[int]) -> bool:
    pairs = [(i, j) for i in range(len(buffers)) for j in range(i)]
    return all(
        not buffers[i].overlaps(buffers[j])
        or offsets[i] + ahead(buffers[i], buffers[j]) <= offsets[j]
        or offsets[j] + ahead(buffers[j], buffers[i]) <= offsets[i]
        for i, j in pairs
    )


def smallest_peak(buffers: list[Buffer]) -> int:
    """By trying every offset of every buffer."""
    total = sum(buffer.size for buffer in buffers)
    for peak in range(lower_bound(buffers), total + 1, UNIT):
        offsets = [range(0, peak - buffer.size + 1, UNIT) for buffer in buffers]
        if any(valid(buffers, list(choice)) for choice in product(*offsets)):
            return peak
    raise AssertionError


@given(buffers_strategy(4, 5, 3))
@settings(max_examples=60)
def test_placement_of_few_buffers_is_optimal(buffers: list[Buffer]) -> None:
    offsets = place(buffers, lower_bound(buffers))
    assert valid(buffers, offsets)
    assert max(o + b.size for o, b in zip(offsets, buffers, strict=True)) == smallest_peak(buffers)


@given(buffers_strategy(30, 12, 40))
@settings(max_examples=40)
def test_placement_never_overlaps_and_stays_near_the_bound(buffers: list[Buffer]) -> None:
    bound = lower_bound(buffers)
    offsets = place(buffers, bound)
    assert valid(buffers, offsets)
    peak = max(o + b.size for o, b in zip(offsets, buffers, strict=True))
    assert bound <= peak <= 1.25 * bound


def test_order_runs_the_branch_that_shrinks_first() -> None:
    # Both branches first expand; one after the other they need 10 + 100, interleaved 200.
    tasks = [
        Task("wide1", ("x",), 100 * UNIT),
        Task("wide2", ("x",), 100 * UNIT),
        Task("small1", ("wide1",), UNIT),
        Task("small2", ("wide2",), UNIT),
        Task("y", ("small1", "small2"), UNIT),
    ]
    found = plan(tasks, ["y"], {"x": 10 * UNIT})
    assert found.peak == found.bound == 111 * UNIT
    assert list(found.order[:2]) in (["wide1", "small1"], ["wide2", "small2"])


def test_an_output_overwrites_what_dies_and_only_that() -> None:
    chain = [
        Task("a", ("x",), 8 * UNIT, {"x": 0}),
        Task("y", ("a",), 8 * UNIT, {"a": 2 * UNIT}, scratch=UNIT),
    ]
    found = plan(chain, ["y"], {"x": 8 * UNIT})
    assert found.peak == found.bound == (8 + 2 + 1) * UNIT
    assert found.tensors["y"] + 2 * UNIT <= found.tensors["a"]
    assert plan(chain, ["y", "x"], {"x": 8 * UNIT}).peak == (8 + 10 + 1) * UNIT
    skip = [*chain[:1], Task("y", ("a", "x"), 8 * UNIT, {"a": 0})]
    assert plan(skip, ["y"], {"x": 8 * UNIT}).peak == 16 * UNIT


# The kernels


def test_emitted_kernels_equal_the_golden_model(
    graphs: dict[str, QuantGraph], programs: dict[str, Program], tmp_path: Path
) -> None:
    models = build_all(programs, tmp_path, flags=("-O1",))
    wrong = []
    for name, graph in graphs.items():
        data = frames(graph, 4)
        expected, got = run_golden(graph, data), models[name].run(data)
        wrong += [name for node in expected if not np.array_equal(expected[node], got[node])]
    assert not wrong


def test_every_kernel_is_exercised(programs: dict[str, Program]) -> None:
    from hwflow.mcu.emit import functions, sources
    from hwflow.tools.paths import package_dir

    used = {function for program in programs.values() for function in functions(program)}
    defined: set[str] = set()
    for file in sources(programs.values()):
        text = (package_dir() / file).read_text()
        entry = r"\(const hwf_(?:layer \*layer|stage \*stage, .*)\) \{"
        defined |= set(re.findall(rf"^void (hwf_\w+){entry}", text, re.MULTILINE))
        both = re.findall(rf"^void HWF_NAME\((hwf_\w+)\){entry}", text, re.MULTILINE)
        defined |= {f"{name}_{bits}" for name in both for bits in (32, 64)}
    assert len(defined) >= 20
    assert defined <= used


@needs_arm
@pytest.mark.sim
def test_kernels_equal_the_golden_model_on_a_cortex_m7(
    graphs: dict[str, QuantGraph], programs: dict[str, Program], tmp_path: Path
) -> None:
    checks = {}
    for name, program in programs.items():
        data = frames(graphs[name], 1)
        checks[name] = (program, Golden(data, run_golden(graphs[name], data)))
    emit_all(checks, tmp_path)
    run = qemu.run_check(tmp_path, timeout=300)
    assert set(run) == set(checks)
    assert all(result.frames == 3 for result in run.values())
    assert [name for name, result in run.items() if result.differing] == []


@needs_arm
@pytest.mark.sim
def test_the_check_finds_a_wrong_code_and_sizes_are_exact(
    graphs: dict[str, QuantGraph], tmp_path: Path
) -> None:
    graph = graphs["block8"]
    data = frames(graph, 1)
    golden = run_golden(graph, data)
    golden["y"] = golden["y"].copy()
    golden["y"][1, 2] ^= 1
    program = lower(graph)
    emit(program, tmp_path, Golden(data, golden), name="net")
    result = qemu.run_check(tmp_path, timeout=60)["net"]
    assert (result.frames, result.differing) == (3, 1)
    assert result.instructions > program.macs
    elf = arm.elf_sizes(arm.build(tmp_path, "app.elf"))
    symbols = arm.symbol_sizes(tmp_path / "app.elf")
    predicted = sizes(program)
    assert symbols["layers"] == 64 * len(program.layers)
    constants = sum(
        size for name, size in symbols.items() if name.split("_")[0] in ("weights", "bias", "table")
    )
    assert constants == predicted.weights + predicted.biases + predicted.tables
    assert elf.ram == predicted.arena
    assert qemu.deepest_stack(tmp_path / "app.elf") == stack_bytes(program)


def test_weights_are_packed_at_their_bits(programs: dict[str, Program]) -> None:
    block = {width: sizes(programs[f"block{width}"]).weights for width in (8, 4, 2)}
    assert block[8] > 1.6 * block[4] > 2.4 * block[2]
    # 40 outputs of 6 weights in two words each; 7 of 360 one-bit weights in twelve words with their count.
    assert sizes(programs["popcount3"]).weights == 40 * 8 + 7 * (48 + 4)


# Emission


def test_emission_gives_identical_bytes(programs: dict[str, Program], tmp_path: Path) -> None:
    first, second = (emit(programs["block4"], tmp_path / name) for name in "ab")
    assert [path.name for path in first] == [path.name for path in second]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))


def test_all_unsupported_layers_are_told_at_once() -> None:
    x = tensor((2, 2, 3), grid(8, 4))
    nodes = [x]
    for number in range(2):
        nodes.append(casekit.activation(nodes[-1], quantizer(8, 4), "softsign", name=f"s{number}"))
    with pytest.raises(UnsupportedLayerError) as error:
        lower(QuantGraph("g", tuple(nodes), ("s1",)))
    assert len(error.value.findings) == 2
    assert "'s0'" in error.value.findings[0]


def test_sums_beyond_64_bits_are_refused() -> None:
    x = tensor((1, 1, 2), grid(60, 0))
    node = casekit.activation(x, Cast(grid(8, 40)))
    with pytest.raises(UnsupportedLayerError, match="64 bits"):
        lower(QuantGraph("g", (x, node), ("y",)))


def test_host_model_refuses_wrong_shapes(programs: dict[str, Program], tmp_path: Path) -> None:
    model = HostModel.build(programs["wires"], tmp_path)
    with pytest.raises(UserError, match="frames of shape"):
        model.run({"x0": np.zeros((1, 2, 2), dtype=np.int64)})
    with pytest.raises(UserError, match="golden vectors"):
        emit(programs["wires"], tmp_path, Golden({"x0": np.zeros((1, 3, 2))}, {}))
