# SPDX-License-Identifier: Apache-2.0
"""Resource model: structures counted by hand, memories and multipliers by rule, held-out errors, live synthesis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwflow.cost import resource_report
from hwflow.cost.calibration import (
    RELATIVES,
    Sample,
    committed,
    errors,
    fit_all,
    measure,
    network_points,
    networks,
    write_samples,
)
from hwflow.cost.resource_report import report, scatter, trial
from hwflow.cost.resources import (
    coefficients,
    instance_parameters,
    module_resources,
    node_resources,
    predict_resources,
    structure,
)
from hwflow.emit.design import build_design
from hwflow.ops.base import Memory
from hwflow.ops.casekit import case_graph
from hwflow.ops.costkit import Contents
from hwflow.ops.distributed import is_distributed
from hwflow.ops.registry import op, ops
from hwflow.tools.fabric import fabric
from hwflow.tools.targets import TARGETS, Resources

XC7, ECP5 = TARGETS["xc7"], TARGETS["ecp5"]
BYTE = {"XW": 12, "XSigned": 1, "XFrac": 8, "YW": 8, "YSigned": 1, "YFrac": 4, "Rounding": 0, "Overflow": 0}


def test_registers_of_small_modules_by_hand() -> None:
    """FIFO: word, two addresses, level, valid. Converter: word and counter. Activation: results and valid."""
    fifo = structure("hwf_fifo", {"Width": 8, "Depth": 4}, XC7)
    assert fifo.ff == 8 + 2 + 2 + 3 + 1
    assert fifo.luts["memory.lut"] == 2 * 4  # two RAM32M of 6 bits
    assert structure("hwf_dwc", {"LaneW": 8, "InLanes": 1, "OutLanes": 6}, XC7).ff == 48 + 3
    assert structure("hwf_fork", {"Width": 8, "Outputs": 3}, ECP5).ff == 3
    plain = structure("hwf_activation", {"Lanes": 3, **BYTE}, XC7)
    assert plain.ff == 3 * 8 + 1
    assert not plain.luts.keys() & {"cast.clip", "cast.round"}
    clipped = structure("hwf_activation", {"Lanes": 3, **BYTE, "YW": 6, "Overflow": 1}, XC7)
    assert clipped.luts["cast.clip"] == 3 * 5  # the sign is as it was


@pytest.mark.parametrize(
    ("family", "depth", "width", "written", "block", "expected"),
    [
        ("xc7", 2048, 9, True, False, (1, 0)),  # one RAMB18
        ("xc7", 512, 72, True, False, (2, 0)),  # as wide as it gets
        ("xc7", 64, 3, True, False, (0, 4)),  # RAM64M
        ("xc7", 4, 1, True, False, (0, 0)),  # registers are cheaper
        ("xc7", 100, 8, False, False, (0, 0)),  # constants in logic
        ("xc7", 100, 8, False, True, (1, 0)),
        ("xc7", 98304, 8, False, False, (43, 0)),  # blocks that cascade have ports of one bit
        ("ecp5", 16, 8, True, False, (0, 12)),  # two of 16 x 4
        ("ecp5", 1024, 18, True, False, (1, 0)),
        ("nexus", 512, 36, True, False, (1, 0)),
        ("ice40", 256, 16, True, False, (1, 0)),
    ],
)
def test_memories_by_rule(
    family: str, depth: int, width: int, written: bool, block: bool, expected: tuple[int, int]
) -> None:
    placed = fabric(family).place(depth, width, written=written, block=block)
    assert (placed.blocks, placed.luts) == expected


@pytest.mark.parametrize(
    ("depth", "width", "large"),
    [(1500, 64, 0), (2048, 64, 1), (4096, 40, 1), (8192, 64, 2), (2048, 144, 2), (5000, 100, 3)],
)
def test_large_blocks_where_four_common_ones_cost_more(depth: int, width: int, large: int) -> None:
    """As Yosys maps ``hwf_fifo`` of these sizes."""
    placed = fabric("xcup-uram").place(depth, width, written=True)
    assert (placed.large, placed.blocks == 0) == (large, large > 0)
    assert fabric("xcup").place(depth, width, written=True).large == 0


def test_multipliers_by_rule() -> None:
    xc7 = fabric("xc7")
    assert [xc7.blocks(*sizes) for sizes in ((8, 8, 16), (25, 18, 43), (26, 18, 44), (8, 1, 9), (4, 4, 8))] == [
        1, 1, 2, 0, 0,
    ]  # fmt: skip
    assert xc7.blocks(25, 17, 42, signed=False) == 2  # 26 bits with a sign
    assert fabric("ecp5").blocks(21, 8, 29) == 2
    assert [fabric("nexus").blocks(*sizes) for sizes in ((30, 24, 54), (30, 12, 42), (12, 8, 20), (8, 3, 11))] == [
        4, 2, 1, 0,
    ]  # fmt: skip


def test_contents_know_constant_and_equal_bits() -> None:
    """Equal whether read from the memory itself or from its file."""
    memory = Memory(np.array([[5, 0], [4, 0], [1, -1], [5, 0]]), 3)
    found = Contents.of_memory(memory)
    assert found.columns.tolist() == [1, 0, 2, 3, 3, 3]
    words = [int(low & 7) | int(high & 7) << 3 for low, high in memory.words]
    assert Contents.of_words(words, 6).columns.tolist() == found.columns.tolist()
    assert found.distinct(0, 3) == 2
    assert found.distinct(3, 3) == 1


def test_every_module_of_every_case_has_a_structure() -> None:
    """By the design and by the node alone, which is the same but for an output register."""
    for spec in ops().values():
        for case in spec.cases()[::7]:
            design = build_design(case_graph(case))
            result = predict_resources(design, XC7)
            assert result.total.ff > 0 or is_distributed(
                case.node
            )  # of which the activation behind registers
            instance = op(case.node.op).instance
            assert callable(instance)
            node = design.graph.node(case.node.name)
            sources = [design.graph.node(name) for name in node.inputs]
            ranges = [spec.interval(one, []) if one.op == spec.name == "input" else None for one in sources]
            if None in ranges:
                ranges = [op("input").interval(one, []) for one in sources]
            folding, pixels = design.plan.folding[node.name], design.plan.pixels.get(node.name, 0)
            alone = node_resources(node, sources, ranges, folding, pixels, XC7)
            assert alone.lut <= result.total.lut


def _held(family: str) -> list[Sample]:
    return [sample for sample in committed() if sample.held_out and family in sample.measured]


@pytest.mark.parametrize("family", ["xc7", "ecp5"])
def test_held_out_modules_are_predicted(family: str) -> None:
    """Medians and 90th percentiles of the errors."""
    found = errors(_held(family), TARGETS[family])
    assert found.count >= 20
    assert found.lut[0] <= 0.08
    assert found.lut[1] <= 0.20
    assert found.ff[0] == 0
    assert found.ff[1] <= 0.05
    assert found.dsp >= 0.95
    assert found.bram >= 0.95


@pytest.mark.parametrize("family", ["xc7", "ecp5"])
def test_most_registers_are_counted_exactly(family: str) -> None:
    some = [sample for sample in committed() if family in sample.measured]
    target = TARGETS[family]
    exact = [structure(one.module, one.parameters, target).ff == one.measured[family].ff for one in some]
    assert sum(exact) >= 0.75 * len(exact)
    simple = [
        on for on, one in zip(exact, some, strict=True) if one.module in ("hwf_fifo", "hwf_dwc", "hwf_fork")
    ]
    assert all(simple)


def test_coefficients_are_those_of_the_sweep() -> None:
    """And written modules are read back as they were."""
    samples = committed()
    assert write_samples(samples) == write_samples([*samples])
    fitted = fit_all(samples)
    for family in TARGETS:
        assert fitted[family] == pytest.approx(dict(coefficients(family)), abs=1e-3)
    assert fitted["xcup"] == pytest.approx(fitted[RELATIVES["xcup"]], abs=1e-3)


def test_whole_networks_stay_within_a_tenth() -> None:
    """Those of which every module has been synthesized."""
    found = 0
    for samples in networks().values():
        for family in ("xc7", "ecp5"):
            if all(family in sample.measured for sample in samples):
                found += 1
                target = TARGETS[family]
                empty = target.resources({})
                ours = sum((module_resources(one.module, one.parameters, target) for one in samples), empty)
                theirs: Resources = sum((one.measured[family] for one in samples), empty)
                assert abs(ours.lut - theirs.lut) <= 0.1 * theirs.lut
                assert abs(ours.ff - theirs.ff) <= 0.1 * theirs.ff
                assert (ours.dsp, ours.bram) == (theirs.dsp, theirs.bram)
    assert found


def test_report_names_families_and_networks() -> None:
    text = report()
    assert "| xc7 |" in text
    assert "mobilefacenet-tiny | xc7 | 59 of 59" in text
    assert scatter().count("<circle") > 40


def test_a_trial_calibration_tells_its_errors_and_leaves_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = [sample for sample in committed() if "xc7" in sample.measured]
    monkeypatch.setattr(resource_report, "points", list)
    monkeypatch.setattr(resource_report, "measure", lambda *_: (tmp_path / "logs").mkdir() or some)
    ((name, modules, held, *spread),) = trial(["xc7"], 3, tmp_path)
    assert (name, modules, held) == ("xc7", str(len(some)), str(len(_held("xc7"))))
    assert len(spread) == 4
    assert (tmp_path / "resource_sweep.csv").read_text() == write_samples(some)
    assert "xc7:" in (tmp_path / "resource_coefficients.yaml").read_text()


def test_modules_of_a_network_by_yosys(tmp_path: Path) -> None:
    """In one run, which keeps them apart: registers, multipliers and memories as counted."""
    pytest.importorskip("pyosys")
    case = next(case for case in ops()["concat"].cases() if case.name == "vector-odd")
    found = network_points("vector", build_design(case_graph(case)))
    samples = measure(found, ["ecp5"], tmp_path)
    assert {sample.module for sample in samples} >= {"hwf_concat", "hwf_fifo", "hwf_tlast"}
    for sample in samples:
        counted, measured = structure(sample.module, sample.parameters, ECP5), sample.measured["ecp5"]
        assert (counted.ff, counted.dsp, counted.cells) == (measured.ff, measured.dsp, measured.bram)
        ours = module_resources(sample.module, sample.parameters, ECP5)
        assert abs(ours.lut - measured.lut) <= max(0.3 * measured.lut, 4)


def test_instances_are_described_without_a_design() -> None:
    case = ops()["dense"].cases()[0]
    design = build_design(case_graph(case))
    node = design.graph.node(case.node.name)
    source = design.graph.node(node.inputs[0])
    ranges = [op("input").interval(source, [])]
    instance = op("dense").instance(node, [source], ranges, design.plan.folding[node.name], 0)
    assert instance is not None
    described = instance_parameters(instance)
    assert isinstance(described["WeightFile"], Contents)
