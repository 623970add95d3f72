# SPDX-License-Identifier: Apache-2.0
"""The diagram of the accelerator: which layers make a stage, and where stages and streams are drawn."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from hwflow.records import LayerRecord
from hwflow.report.dataflow import diagram, stages
from tests.test_report import layers


def layer(
    name: str, *inputs: str, macs: int = 0, fifo: list[int] | None = None, op: str = "x"
) -> LayerRecord:
    return LayerRecord(
        name=name, op=op, inputs=list(inputs), shape=[4, 4, 8], output_type="fixed<8,1>", macs=macs,
        fifo_beats=fifo if fifo is not None else [0] * len(inputs), cycles=10, utilisation=0.5,
    )  # fmt: skip


def residual(blocks: int) -> list[LayerRecord]:
    """Blocks of expansion, activation, projection and addition, as in MobileFaceNet."""
    found = [layer("input", op="input"), layer("stem", "input", macs=9)]
    for number in range(blocks):
        before = found[-1].name
        found += [
            layer(f"expand{number}", before, macs=9),
            layer(f"relu{number}", f"expand{number}"),
            layer(f"project{number}", f"relu{number}", macs=9),
            layer(f"add{number}", f"project{number}", before, fifo=[2, 640]),
        ]
    return found


def names(of: list[LayerRecord]) -> list[list[str]]:
    return [[member.name for _, member in stage.members] for stage in stages(of, {})[0]]


def test_activations_belong_to_the_stage_of_their_layer() -> None:
    assert names(residual(1)) == [["input"], ["stem"], ["expand0", "relu0"], ["project0"], ["add0"]]


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (layer("b", "a", macs=1), "multiplies"),
        (layer("b", "a", fifo=[2]), "has a FIFO"),
        (layer("b", "input"), "reads the input"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_a_stage_of_its_own(last: LayerRecord, why: str) -> None:
    assert names([layer("input", op="input"), layer("a", "input", macs=1), last])[-1] == ["b"]


def test_a_stream_that_two_read_ends_a_stage() -> None:
    of = [layer("input", op="input"), layer("a", "input", macs=1), layer("b", "a"), layer("c", "a")]
    assert names(of) == [["input"], ["a"], ["b"], ["c"]]


def test_every_stream_is_drawn_once_with_its_fifo() -> None:
    of = residual(3)
    found, links = stages(of, {"add1": [2, 633]})
    assert sum(len(stage.members) for stage in found) == len(of)
    streams = [(found[link.source].last.name, found[link.target].head.name) for link in links]
    inside = {
        (a.name, b.name)
        for stage in found
        for (_, a), (_, b) in zip(stage.members, stage.members[1:], strict=False)
    }
    assert sorted([*streams, *inside]) == sorted((name, one.name) for one in of for name in one.inputs)
    assert [(link.depth, link.fill) for link in links if link.depth] == [
        *((2, None), (640, None)), *((2, 2), (640, 633)), *((2, None), (640, None)),
    ]  # fmt: skip


Box = tuple[float, float, float, float]


def drawn(of: list[LayerRecord]) -> tuple[list[Box], list[list[tuple[float, float]]], ElementTree.Element]:
    """Boxes, and corners of arrows."""
    root = ElementTree.fromstring(diagram(of, {}, of[1]))
    frames = [e for e in root.iter("rect") if e.get("class") == "frame"]
    boxes = [tuple(float(e.attrib[key]) for key in ("x", "y", "width", "height")) for e in frames]
    lines = [
        [(float(x), float(y)) for x, y in (corner.split(",") for corner in e.attrib["points"].split())]
        for e in root.iter("polyline")
    ]
    return boxes, lines, root  # type: ignore[return-value]


@pytest.mark.parametrize("blocks", [0, 1, 3, 6, 14, 40])
def test_stages_and_streams_keep_clear_of_each_other(blocks: int) -> None:
    of = residual(blocks)
    boxes, lines, root = drawn(of)
    found, links = stages(of, {})
    assert len(boxes) == len(found)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in boxes)
    for number, (x, y, w, h) in enumerate(boxes):
        for a, b, _, _ in boxes[:number]:
            assert abs(x - a) >= w or abs(y - b) >= h
        for line in lines:
            for px, py in line[1:-1]:
                assert not (x < px < x + w and y < py < y + h)
    named = [e.text for e in root.iter("text") if (e.text or "").startswith(("to ", "from "))]
    assert len(lines) == len(links) + len(named) // 2
    assert len({x for x, *_ in boxes}) == (
        1 if len(found) <= 4 else 2 if len(found) <= 10 else 3 if len(found) <= 27 else 4
    )


def test_branches_side_by_side_have_lanes_of_their_own() -> None:
    of = [layer("input", op="input"), *(layer(name, "input", macs=1) for name in "abc")]
    of.append(layer("join", "a", "b", "c"))
    _, lines, _ = drawn(of[:4])
    lanes = {line[1][0] for line in lines if len(line) == 4}
    assert len(lanes) == 2  # past a, and past a and b
    assert names(of) == [["input"], ["a"], ["b"], ["c"], ["join"]]


def test_the_bottleneck_is_marked_and_boxes_lead_to_rows() -> None:
    of = layers()
    root = ElementTree.fromstring(diagram(of, {}, of[7]))
    (marked,) = (e for e in root.iter("a") if e.attrib["class"] == "stage bottleneck")
    assert marked.attrib["href"] == "#layer-8"
    assert next(e.text for e in marked.iter("text")) == "8 block_1_depthwise"


def test_names_fit_their_boxes_and_are_escaped() -> None:
    of = [layer("input", op="input"), layer("<b>" + "long_" * 30, "input", macs=1)]
    text = diagram(of, {}, None)
    assert "<b>" not in text and "long_long_" in text
    root = ElementTree.fromstring(text)
    assert all(len(e.text or "") <= 48 for e in root.iter("text"))
