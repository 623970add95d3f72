# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import struct
import zlib
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from hwflow.config.load import parse_config, resolve
from hwflow.errors import UserError
from hwflow.records import (
    AccuracyRecord,
    CostRecord,
    EvaluationRecord,
    FacesRecord,
    FamilyRecord,
    LayerRecord,
    McuRecord,
    MeasureRecord,
    Metric,
    PartRecord,
    RungRecord,
    UseRecord,
    write_metrics,
    write_records,
)
from hwflow.report.render import render_report

SHA = "ab" * 32
PEOPLE = [11, 11, 12, 12, 23, 23, 31, 40]
BOUND = 451_584
SVG = "{http://www.w3.org/2000/svg}"
DESIGN: dict[str, Any] = {
    "ProjectName": "mobilefacenet",
    "Hwflow": {
        "Model": {"Source": "mobilefacenet"},
        "Data": {"Kind": "orl"},
        "Budget": {"rtl.ii_cycles": 480_000},
    },
}


def png(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """A grey PNG picture."""
    height, width = pixels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def layers() -> list[LayerRecord]:
    """55 nodes in the manner of MobileFaceNet: pointwise, activation, depthwise, activation, add."""
    records = [
        LayerRecord(name="input", op="input", shape=[112, 112, 3], output_type="fixed<8,1>", cycles=37_632)
    ]
    side = 56
    for number in range(1, 54):
        kind = ("conv2d", "prelu", "depthwise_conv2d", "activation", "add")[number % 5]
        side = max(7, 56 >> number // 14)
        rf = (96, 1, 144, 1, 1)[number % 5] * (56 // side)
        cycles = BOUND if number == 7 else int(side * side * rf * (0.5 + number % 7 / 14))
        heavy = kind in ("conv2d", "depthwise_conv2d")
        pe, simd = (4, 8) if kind == "conv2d" else (2, 1)
        records.append(
            LayerRecord(
                name=f"block_{number // 5}_{kind.removesuffix('_conv2d')}",
                op=kind,
                inputs=[records[-1].name, *([records[-4].name] if kind == "add" else [])],
                shape=[side, side, 128],
                output_type="fixed<19,8>" if heavy else "fixed<8,4,RND_CONV,SAT>",
                weight_bits=8 if heavy else None,
                params=16_384 + 128 if heavy else 128 if kind == "prelu" else 0,
                macs=cycles * pe * simd if heavy else 0,
                reuse_factor=rf if heavy else None,
                pe=pe if heavy else None,
                simd=simd if heavy else None,
                multipliers=pe * simd if heavy else 1 if kind == "prelu" else None,
                cycles=cycles,
                utilisation=cycles / BOUND,
                buffer_pixels=2 * side + 3 if kind == "depthwise_conv2d" else None,
                fifo_beats=[2, 1_280] if kind == "add" else [2],
            )
        )
    flat = {"op": "reshape", "inputs": [records[-1].name], "shape": [192], "output_type": "fixed<16,8>"}
    records.append(LayerRecord(name="flatten", **flat))
    return records


def family(scale: float, parts: dict[str, tuple[bool | None, int | None]]) -> FamilyRecord:
    """Resources of the layers that multiply, and parts by verdict and LUTs."""

    def count(layer: LayerRecord) -> dict[str, int | None]:
        units = layer.multipliers or 0
        return {"lut": int(40 * units * scale), "ff": 60 * units, "dsp": units // 2, "bram18": 1, "bram": 1}

    each = {layer.name: count(layer) for layer in layers() if layer.multipliers}
    total = {
        name: sum(one[name] or 0 for one in each.values()) for name in ("lut", "ff", "dsp", "bram18", "bram")
    }
    held = [
        PartRecord(part=part, fits=fits, uses=[UseRecord(resource="lut", used=total["lut"], available=luts)])
        for part, (fits, luts) in parts.items()
    ]
    return FamilyRecord(total=total, layers=each, parts=held)


def cost() -> CostRecord:
    return CostRecord(
        families={
            "xc7": family(1.1, {"xc7z007s": (False, 14_400), "xc7z045": (True, 218_600)}),
            "ecp5": family(2.0, {"lfe5u-85": (None, None)}),
        },
        fifo_fill={layer.name: [2, 1_277][: len(layer.inputs)] for layer in layers() if layer.inputs},
        mcus=[
            McuRecord(
                name=name, flash_bytes=1_300_000, ram_bytes=403_000, flash_available=flash, ram_available=512_000,
                latency_ms=time, latency_error=0.09, misfits=misfits,
            )
            for name, flash, time, misfits in (
                ("STM32H743ZI", 2_097_152, 662.0, []),
                ("nRF52840", 1_048_576, None, ["flash: needs 1,300,000 bytes, nRF52840 has 1,048,576"]),
            )
        ],
    )  # fmt: skip


def rungs(mismatches: int = 0) -> list[RungRecord]:
    where = "layer block_3_conv2d, element (0, 4, 7, 12)" if mismatches else ""
    return [
        RungRecord(rung="qkeras", scope="output", frames=8, values=1_536, mismatches=0),
        RungRecord(rung="csim", scope="output", frames=8, values=1_536, mismatches=0),
        RungRecord(
            rung="rtl", scope="output", frames=8, values=1_536, mismatches=mismatches, first_difference=where
        ),
        RungRecord(rung="rtl", scope="layers", frames=1, values=5_318_592, mismatches=0, tensors=55),
    ]


def faces() -> FacesRecord:
    def matrix(noise: float) -> list[list[float]]:
        draw = np.random.default_rng(5)
        same = np.equal.outer(PEOPLE, PEOPLE)
        values = np.where(same, 0.78, 0.09) + draw.normal(0, 0.05, same.shape)
        values = (values + values.T) / 2 + noise
        np.fill_diagonal(values, 1.0)
        return [[float(value) for value in row] for row in values]

    def roc(slip: float) -> list[tuple[float, float]]:
        rising = [(10.0**-exponent, 1 - slip * exponent / 4) for exponent in np.linspace(4, 0.5, 12)]
        return [(0.0, 0.0), (0.0, 1 - slip), *rising, (1.0, 1.0)]

    return FacesRecord(
        dataset="ORL",
        alignment="yunet",
        pictures=[f"golden/face{number}.png" for number in range(8)],
        people=PEOPLE,
        similarity_float=matrix(0.0),
        similarity_hardware=matrix(-0.004),
        roc_float=roc(0.006),
        roc_quantized=roc(0.011),
        accuracy_float=0.9972,
        accuracy_quantized=0.9951,
        auc_float=0.99996,
        auc_quantized=0.99991,
        faces=300,
        pairs=44_850,
    )


def metrics() -> list[Metric]:
    values: dict[str, tuple[float | int, str]] = {
        "embedding.cosine_to_float.min": (0.9731, "1"),
        "faces.accuracy": (0.9951, "1"),
        "faces.auc": (0.99991, "1"),
        "model.macs": (233_797_632, "1"),
        "model.params": (1_292_992, "1"),
        "rtl.ii_bound_cycles": (BOUND, "cycles"),
        "rtl.ii_cycles": (451_877, "cycles"),
        "rtl.latency_cycles": (1_036_288, "cycles"),
        "cost.xc7.latency_cycles": (1_036_288, "cycles"),
        "cost.xc7.ii_cycles": (451_877, "cycles"),
        "sim.csim.seconds_per_frame": (2.53, "s"),
        "sim.rtl.seconds_per_frame": (0.94, "s"),
        "verify.frames": (8, "1"),
    }
    return [
        Metric(name=name, value=value, unit=unit, kind="simulated", source="verify.json")
        for name, (value, unit) in values.items()
    ]


def port(tensor: str, shape: list[int], grid: list[int], lanes: int) -> dict[str, Any]:
    return {
        "tensor": tensor,
        "shape": shape,
        "type": grid,
        "lanes": lanes,
        "lane_width": grid[1],
        "tdata_width": lanes * grid[1],
        "beats_per_frame": int(np.prod(shape)) // lanes,
    }


def interface() -> dict[str, Any]:
    return {
        "format": "hwflow-interface",
        "version": 1,
        "top": "mobilefacenet",
        "graph_sha256": SHA,
        "clock": "clk_i",
        "reset": {"name": "rst_ni", "active": "low", "synchronous": True},
        "ii_bound_cycles": BOUND,
        "bottleneck": "block_1_depthwise",
        "inputs": [port("input", [112, 112, 3], [1, 8, 7], 3)],
        "outputs": [port("flatten", [192], [1, 16, 8], 1)],
        "taps": [],
    }


def manifest(design: dict[str, Any] = DESIGN, status: str = "running") -> dict[str, Any]:
    files = [".steps/emit.metrics.json", "verify.json", *(f"rtl/mem/w{number}.mem" for number in range(60))]
    return {
        "schema": 1,
        "status": status,
        "argv": ["run", "hls_configs/mobilefacenet-w8a8.yaml", "--out", "my runs/face"],
        "versions": {"hwflow": "0.1.0", "hls4ml": "1.3.0", "npm": None, "python": "3.11.9"},
        "platform": {"system": "Linux", "machine": "x86_64"},
        "git": {"commit": "0123456789" * 4, "dirty": True},
        "seeds": {"run": 1},
        "config": {"sha256": SHA, "resolved": resolve(parse_config(design, "design"))},
        "artifacts": dict.fromkeys(files, SHA),
        "when_and_where": {
            "started": "2026-11-21T09:00:00+00:00",
            "written": "2026-11-21T09:09:00+00:00",
            "host": "bench",
            "cores": 2,
            "step_seconds": {
                "convert": 14.8,
                "csim": 41.2,
                "emit": 3.7,
                "golden": 6.9,
                "hls": 2.1,
                "model": 7.4,
                "prepare": 52.5,
                "rtlsim": 163.0,
                "verify": 0.4,
            },
        },
    }


def make_run(folder: Path) -> Path:
    """A run folder as a whole run leaves it."""
    (folder / "rtl").mkdir(parents=True)
    (folder / "faces").mkdir()
    (folder / "graph").mkdir()
    (folder / "golden").mkdir()
    write_metrics(folder / "metrics.json", metrics())
    write_records(folder / "graph" / "layers.json", layers())
    write_records(folder / "verify.json", rungs())
    (folder / "faces" / "faces.json").write_text(faces().model_dump_json())
    (folder / "manifest.json").write_text(json.dumps(manifest()))
    (folder / "rtl" / "interface.json").write_text(json.dumps(interface()))
    (folder / "cost.json").write_text(cost().model_dump_json())
    (folder / "synth.json").write_text(json.dumps({"xc7": family(1.0, {}).model_dump()}))
    y, x = np.mgrid[0:112, 0:112]
    for number, person in enumerate(PEOPLE):
        oval = ((x - 56) / (34 + person % 5)) ** 2 + ((y - 60) / 46) ** 2 < 1
        grey = np.where(oval, 190 - person * 2, 60) + 10 * np.sin((x + number) / (2 + person % 7))
        (folder / "golden" / f"face{number}.png").write_bytes(png(grey.astype(np.uint8)))
    return folder


class Page(HTMLParser):
    """The report as a reader sees it: text, rows of text, tags, scripts by id; tags must nest."""

    VOID = frozenset(("meta", "br", "img", "input", "wbr"))

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.scripts: dict[str, str] = {}
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []
        self.text = re.sub("[ \n]+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self._open:
            name = next((attrs.get("id") for tag, attrs in reversed(self.tags) if tag == "script"), None)
            self.scripts[name or ""] = data
        if {"style", "script"} & set(self._open):
            return
        self.text += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] = re.sub("[ \n]+", " ", f"{self.rows[-1][-1]}{data}")

    def row(self, first: str) -> list[str]:
        """The only row that begins with this text."""
        (row,) = (row for row in self.rows if row[0] == first)
        return row

    def row_with(self, words: str) -> list[str]:
        """The first row that has a cell with this text."""
        return next(row for row in self.rows if words in row)

    def with_class(self, name: str) -> int:
        """Number of elements of a class."""
        return sum(name in (attrs.get("class") or "").split() for _, attrs in self.tags)


def page(run: Path) -> Page:
    return Page(render_report(run).read_text())


def drawing_file(run: Path, name: str) -> ElementTree.Element:
    """A drawing beside the report."""
    render_report(run)
    return ElementTree.parse(run / "report" / f"{name}.svg").getroot()


def drawings(run: Path) -> list[ElementTree.Element]:
    """Every drawing, parsed as XML."""
    html = render_report(run).read_text()
    return [ElementTree.fromstring(found) for found in re.findall(r"<svg viewBox.*?</svg>", html, re.DOTALL)]


def texts(drawing: ElementTree.Element) -> list[str | None]:
    return [element.text for element in drawing.iter() if element.tag in ("text", SVG + "text")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def change_manifest(run: Path, **entries: Any) -> None:
    (run / "manifest.json").write_text(json.dumps(manifest() | entries))


def missing(name: str, reason: str, unit: str = "1") -> Metric:
    return Metric(name=name, value=None, unit=unit, kind="simulated", source="", reason=reason)


def test_report_is_one_file_that_loads_nothing(run: Path) -> None:
    before = set(run.rglob("*"))
    report = render_report(run)
    added = {str(path.relative_to(run)) for path in set(run.rglob("*")) - before}
    assert added == {
        *("report.html", "report", "report/report.md"),
        *(f"report/{name}.csv" for name in ("layers", "metrics", "microcontrollers", "parts")),
        *(f"report/{name}.svg" for name in ("agreement", "dataflow", "layers", "roc", "time")),
        *("report/similarity-float.svg", "report/similarity-hardware.svg"),
    }
    found = Page(report.read_text())
    links = [value for _, attrs in found.tags for name, value in attrs.items() if name in ("src", "href")]
    assert links
    assert all(link and link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert not {"link", "iframe", "object"} & {tag for tag, _ in found.tags}
    assert not re.search(r"url\((?!#)|@import|https?:(?!//www\.w3\.org/2000/svg)", report.read_text())


def test_only_the_script_of_the_report_may_run(run: Path) -> None:
    html = render_report(run).read_text()
    (script,) = re.findall("<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"
    assert f'content="{policy}{digest}\'"' in html


def test_same_files_give_same_bytes(run: Path) -> None:
    def content() -> dict[str, bytes]:
        render_report(run)
        return {str(path): path.read_bytes() for path in run.rglob("*") if path.is_file()}

    assert content() == content()


class TestVerdict:
    def test_every_rung_equal(self, run: Path) -> None:
        found = page(run)
        assert "✓ Bit-exact" in found.text
        assert "5,323,200 codes compared exactly, all equal." in found.text
        row = found.row("SystemVerilog in Verilator, every layer")
        assert row[1:] == ["✓ equal", "1", "55", "5,318,592", "0", "none"]

    def test_first_difference_is_named(self, run: Path) -> None:
        write_records(run / "verify.json", rungs(mismatches=3))
        found = page(run)
        where = "layer block_3_conv2d, element (0, 4, 7, 12)"
        assert "✗ Not bit-exact" in found.text
        assert f"3 codes differ; first difference: {where}." in found.text
        row = found.row("SystemVerilog in Verilator, output")
        assert row[1:] == ["✗ differs", "8", "1", "1,536", "3", where]

    def test_rung_that_was_switched_off(self, run: Path) -> None:
        write_records(run / "verify.json", [record for record in rungs() if record.rung != "csim"])
        reason = "Hwflow.Verify.Csim is false"
        write_metrics(run / "metrics.json", [*metrics(), missing("verify.csim.mismatches", reason)])
        found = page(run)
        assert "○ Bit-exact as far as compared" in found.text
        assert found.row("hls4ml C++ simulation")[1:] == ["○ not run", reason]

    @pytest.mark.parametrize("compared", [None, []])
    def test_nothing_compared(self, run: Path, compared: list[RungRecord] | None) -> None:
        (run / "verify.json").unlink()
        if compared is not None:
            write_records(run / "verify.json", compared)
        found = page(run)
        assert "○ Not verified" in found.text
        assert "✓ equal" not in found.text

    @pytest.mark.parametrize(
        ("name", "limit", "state", "detail"),
        [
            ("rtl.ii_cycles", 451_877, "✓ kept", "451,877 cycles, at most 451,877 cycles"),
            ("rtl.ii_cycles", 451_876, "✗ broken", "451,877 cycles, at most 451,876 cycles"),
            ("rtl.fps", 3, "✗ broken", "no value: one frame; at least 3 1/s"),
            ("nobody", 3, "○ unknown", "the run has no such figure; at most 3"),
        ],
    )
    def test_budget(self, run: Path, name: str, limit: float, state: str, detail: str) -> None:
        write_metrics(run / "metrics.json", [*metrics(), missing("rtl.fps", "one frame", "1/s")])
        design = DESIGN | {"Hwflow": DESIGN["Hwflow"] | {"Budget": {name: limit}}}
        (run / "manifest.json").write_text(json.dumps(manifest(design)))
        found = page(run)
        assert found.rows[found.rows.index(["Budget", "", "Value"]) + 1] == [name, state, detail]
        assert ("Bit-exact, but over budget" in found.text) == (state == "✗ broken")
        assert ("Bit-exact, budget not wholly known" in found.text) == (state == "○ unknown")

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            ("failed: csim: g++ failed", "This run failed: csim: g++ failed"),
            ("partial", "This run was stopped early"),
        ],
    )
    def test_unfinished_run(self, run: Path, status: str, words: str) -> None:
        change_manifest(run, status=status)
        found = page(run)
        assert found.with_class("notice") == 1
        assert words in found.text

    @pytest.mark.parametrize("status", ["running", "complete"])
    def test_finished_run_has_no_notice(self, run: Path, status: str) -> None:
        change_manifest(run, status=status)
        assert page(run).with_class("notice") == 0


@pytest.mark.parametrize(
    "words",
    [
        "443 frames/s at 200 MHz",  # 1e9 / (451,877 cycles * 5 ns)
        "451,877 cycles 1.0006 × bound of 451,584",
        "5.18 ms 1,036,288 cycles",
        "1.29 M 1,292,992; weights of 8 bits",
        "234 M a frame 233,797,632",
        "940 ms a frame 2.7 × faster than C++ at 2.53 s",
        "99.51 % float network 99.72 %",
        "0.99991 float network 0.99996",
        "0.9731 smallest",
    ],
)
def test_key_figures(run: Path, words: str) -> None:
    assert words in page(run).text


def test_multipliers_and_the_share_of_time_they_work(run: Path) -> None:
    records = [
        LayerRecord(
            name=name, op="dense", shape=[4], output_type="fixed<8,1>", macs=macs, multipliers=units, cycles=9
        )
        for name, macs, units in (("a", 400, 8), ("b", 200, 2), ("prelu", 0, 1))
    ]
    write_records(run / "graph" / "layers.json", records)
    bound = Metric(name="rtl.ii_bound_cycles", value=100, unit="cycles", kind="estimated", source="")
    write_metrics(run / "metrics.json", [bound])
    assert "11 matrix units at work 60 % of the time" in page(run).text


class TestLayers:
    def test_table_lists_every_layer(self, run: Path) -> None:
        found = page(run)
        for number, layer in enumerate(layers(), 1):
            row = found.row(str(number))
            assert row[1].removesuffix(" bottleneck") == layer.name
            assert row[4] == layer.output_type
        assert found.row("8") == [
            *("8", "block_1_depthwise bottleneck", "depthwise_conv2d", "56×56×128", "fixed<19,8>"),
            *("8", "16,512", "903 k", "144", "2×1", "80", "1", "1", "451,584", " 100 %", "115", "2 of 2"),
        ]
        (totals,) = (row for row in found.rows if "55 nodes" in row)
        assert totals[4:6] == [
            f"{sum(layer.params for layer in layers()):,}",
            f"{sum(layer.macs for layer in layers()) / 1e6:.1f} M",
        ]

    def test_one_bottleneck_and_its_equals(self, run: Path) -> None:
        records = layers()
        records[20] = records[20].model_copy(update={"cycles": BOUND})
        write_records(run / "graph" / "layers.json", records)
        found = page(run)
        assert found.with_class("tag") == 1
        assert (
            "block_1_depthwise, which works 451,584 cycles a frame; 1 more layer needs as many" in found.text
        )

    def test_chart_has_a_bar_for_each_quantity_of_a_layer(self, run: Path) -> None:
        drawing = drawing_file(run, "layers")
        bars = [e for e in drawing.iter(SVG + "rect") if "series-" in e.attrib["class"]]
        busy = [layer for layer in layers() if layer.utilisation]
        heights = [float(bar.attrib["height"]) for bar in bars]
        assert heights[: len(busy)] == pytest.approx([layer.utilisation * 66 for layer in busy], abs=0.01)
        names = [words for words in texts(drawing) if words and words[0].isalpha() and " " in words]
        assert names == [
            "bottleneck: block_1_depthwise",
            "Cycles worked a frame, share of the bound",
            "Bits of a weight",
            "Multiply-accumulates a frame",
            *("LUT, xc7 synthesized; line: predicted", "FF, xc7 synthesized; line: predicted"),
            *("DSP, xc7 synthesized; line: predicted", "block RAM (18 Kb), xc7 synthesized; line: predicted"),
            "FIFO depth, beats; line: most that ever wait",
        ]
        (slowest,) = (e for e in drawing.iter(SVG + "rect") if e.get("class") == "slowest")
        assert float(slowest.attrib["x"]) == pytest.approx(66 + 7 * (1160 - 66 - 8) / 55, abs=0.01)
        titles = [e.text for e in drawing.iter(SVG + "title")]
        assert "5 block_0_add (add): 1.28 k; most that wait 1.28 k" in titles

    def test_names_are_escaped(self, run: Path) -> None:
        evil = layers()[5].model_copy(
            update={"name": "<script>alert(1)</script>", "op": '"><b>', "inputs": []}
        )
        write_records(run / "graph" / "layers.json", [evil])
        found = page(run)
        assert "b" not in {tag for tag, _ in found.tags}
        assert sum(tag == "script" for tag, _ in found.tags) == 1
        assert "<b>" not in (run / "report/layers.svg").read_text()
        markdown = (run / "report/report.md").read_text()
        assert "<script>" not in markdown and "&lt;script>alert(1)&lt;/script>" in markdown
        assert found.row("1")[1] == "<script>alert(1)</script> bottleneck"


class TestFaces:
    def test_pictures_are_embedded(self, run: Path) -> None:
        pictures = [attrs["src"] for tag, attrs in page(run).tags if tag == "img"]
        assert len(pictures) == len(set(pictures)) == 8

    def test_similarity_values_are_printed(self, run: Path) -> None:
        matrices = (faces().similarity_float, faces().similarity_hardware)
        for drawing, matrix in zip(drawings(run)[3:5], matrices, strict=True):
            assert texts(drawing) == [f"{value:.2f}" for row in matrix for value in row]
            outlined = [element for element in drawing if element.get("class") == "same"]
            assert len(outlined) == 3 * 4 + 2  # three people twice, two once
        assert "differ by at most 0.0040" in page(run).text

    def test_roc_is_a_staircase_on_a_log_axis(self, run: Path) -> None:
        drawing = drawings(run)[5]
        for line in (element for element in drawing if element.tag == "polyline"):
            points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
            for (x0, y0), (x1, y1) in pairwise(points):
                assert (x0 == x1 and y0 >= y1) or (y0 == y1 and x0 <= x1)
        assert texts(drawing)[:5] == ["0.0001", "0.001", "0.01", "0.1", "1"]
        assert texts(drawing)[5:10] == ["98 %", "98.5 %", "99 %", "99.5 %", "100 %"]
        verticals = [
            float(e.attrib["x1"]) for e in drawing if e.get("class") == "rule" and e.get("y1") == "16"
        ]
        decades = np.diff(verticals[:5])
        assert decades == pytest.approx(decades[0], abs=0.02)

    @pytest.mark.parametrize(
        ("compared", "words", "title"),
        [
            (rungs(), "went through the simulated hardware.", "Accelerator"),
            (rungs(mismatches=1), "from which the simulated hardware differs", "Golden integer model"),
            (rungs()[:2], "the hardware was not simulated", "Golden integer model"),
        ],
        ids=["equal", "differs", "not-simulated"],
    )
    def test_claims_about_hardware_need_its_simulation(
        self, run: Path, compared: list[RungRecord], words: str, title: str
    ) -> None:
        write_records(run / "verify.json", compared)
        text = page(run).text
        assert words in text
        assert f"Cosine similarity: {title}" in text
        assert ("this ROC is the hardware's, too" in text) == (title == "Accelerator")


class TestCost:
    def test_estimates_stand_beside_measurements_with_their_error(self, run: Path) -> None:
        found = page(run)
        assert found.row("Latency")[1:] == ["1,036,288", "1,036,288", "0.0 %", "simulated RTL"]
        lut = [sum(one["lut"] or 0 for one in family(scale, {}).layers.values()) for scale in (1.1, 1.0)]
        assert found.row("LUT, xc7")[1:4] == [
            f"{lut[0]:,}",
            f"{lut[1]:,}",
            f"+{100 * (lut[0] / lut[1] - 1):.1f} %",
        ]
        assert "LUT of single layers: median error 10.0 % over 32 layers." in found.text
        dots = [e for e in drawing_file(run, "agreement").iter(SVG + "circle")]
        assert len(dots) == 32

    def test_parts_and_microcontrollers(self, run: Path) -> None:
        found = page(run)
        assert found.row("xc7z007s")[1:4] == ["xc7", "✗ too small", " 108 %"]
        assert found.row("xc7z045")[1:3] == ["xc7", "✓ fits"]
        assert found.row("lfe5u-85")[1:4] == ["ecp5", "○ not known", "not known"]
        assert found.row("xc7")[-2:] == ["xc7z045", "1"]
        assert found.row("STM32H743ZI")[1:] == [
            "✓ fits ",
            "1,300,000",
            " 62 %",
            "403,000",
            " 79 %",
            "662",
            "±9 %",
        ]
        assert found.row("nRF52840")[1].startswith("✗ too small flash: needs 1,300,000 bytes")
        assert found.row("nRF52840")[-2:] == ["–", ""]

    def test_place_and_route_is_told(self, run: Path) -> None:
        of = family(1.0, {}).model_dump()
        place = {"resources": of["total"] | {"lut": 14_000}, "fmax_mhz": 123.4, "seconds": 9.0}
        (run / "synth").mkdir()
        (run / "synth" / "ecp5.json").write_text(json.dumps(of | {"target": "ecp5", "routed": place}))
        (run / "synth" / "vivado.json").write_text(json.dumps({"tool": "vivado"}))
        found = page(run)
        assert "Place and route on ecp5: 123.4 MHz." in found.text
        rows = [row for row in found.rows if row[0] == "LUT, ecp5"]
        assert [row[4] for row in rows] == ["synthesized, layer by layer", "placed and routed, whole"]
        assert rows[1][2] == "14,000"

    def test_without_synthesis_the_prediction_is_drawn(self, run: Path) -> None:
        (run / "synth.json").unlink()
        found = page(run)
        assert "Nothing was synthesized" in found.text
        assert "LUT, xc7 predicted" in texts(drawing_file(run, "layers"))
        assert not (run / "report/agreement.svg").exists()

    def test_twins_of_an_earlier_report_go(self, run: Path) -> None:
        render_report(run)
        (run / "synth.json").unlink()
        (run / "report/notes.txt").write_text("mine")
        render_report(run)
        names = {path.name for path in (run / "report").iterdir()}
        assert "agreement.svg" not in names and {"notes.txt", "layers.svg"} <= names


def test_layers_of_an_earlier_version_have_no_dataflow(run: Path) -> None:
    write_records(run / "graph" / "layers.json", [one.model_copy(update={"inputs": []}) for one in layers()])
    found = page(run)
    assert not found.with_class("dataflow")
    assert found.row("8")[1] == "block_1_depthwise bottleneck"


def test_layers_in_a_wrong_order_are_refused(run: Path) -> None:
    write_records(run / "graph" / "layers.json", layers()[::-1])
    with pytest.raises(UserError, match="do not come before it"):
        render_report(run)


def evaluation(embeddings: str, **keys: Any) -> EvaluationRecord:
    folds = AccuracyRecord(
        protocol="k-fold", mean=0.9917, std=0.003, standard_error=0.001, threshold=0.3, folds=[0.99]
    )
    measure = MeasureRecord(
        measure="cosine", accuracies=[folds],
        eer=0.0101, auc=0.9987, tpr_at_fpr={"1e-1": 0.999, "1e-2": None}, roc=[(0.0, 0.0), (0.1, 0.9), (1.0, 1.0)],
        genuine_mean=0.7, genuine_std=0.1, impostor_mean=0.1, impostor_std=0.1,
    )  # fmt: skip
    values: dict[str, Any] = {
        "source": "run", "embeddings": embeddings, "dataset": "LFW", "layout": "lfw", "alignment": "yunet",
        "note": "a part", "size": 112, "pictures": 4, "broken": 1, "not_found": 0, "broken_names": [], "pairs": 6_000,
        "genuine": 3_000, "impostor": 3_000, "pairs_lost": 0, "templates": None, "measures": [measure],
        "people": [1, 1, 2], "angles": [[0.0, 30.0, 90.0], [30.0, 0.0, 80.0], [90.0, 80.0, 0.0]],
        "identity_angles": [[30.0, 85.0], [85.0, None]], "tsne": [(0.0, 0.0), (0.1, 0.1), (1.0, 1.0)],
    }  # fmt: skip
    return EvaluationRecord(**(values | keys))


def test_evaluations_on_further_sets(run: Path) -> None:
    (run / "evaluation/lfw").mkdir(parents=True)
    records = [evaluation("float"), evaluation("rtl", people=[])]
    write_records(run / "evaluation/lfw/evaluation.json", records)
    found = page(run)
    assert "LFW: 6,000 pairs" in found.text and "a part; 1 picture cannot be read." in found.text
    assert found.row("rtl")[1:] == ["cosine", "k-fold", "99.17 % ± 0.30 %", "1.01 %", "0.99870", "99.90 %"]
    names = {path.name for path in (run / "report").glob("lfw-*.svg")}
    assert names == {"lfw-roc.svg", "lfw-angles-float.svg", "lfw-tsne-float.svg"}
    assert "![t-SNE, float](lfw-tsne-float.svg)" in (run / "report/report.md").read_text()


def test_steps_longest_first(run: Path) -> None:
    assert texts(drawings(run)[-1])[:6] == ["rtlsim", "2 min 43 s", "prepare", "52.5 s", "csim", "41.2 s"]
    assert "4 min 52 s for all steps" in page(run).text


def test_interface(run: Path) -> None:
    found = page(run)
    assert found.row("s_axis_{tdata, tvalid, tready}")[1:] == [
        *("in", "input", "112×112×3", "fixed<8,1>", "7", "24", "3", "8", "12,544")
    ]
    assert found.row("m_axis_{tdata, tvalid, tready, tlast}")[4] == "fixed<16,8>"
    assert found.row("rst_ni")[2] == "reset, active low, synchronous"


def test_reproduce(run: Path) -> None:
    text = page(run).text
    assert "hwflow run hls_configs/mobilefacenet-w8a8.yaml --out 'my runs/face'" in text
    assert "with uncommitted changes" in text
    assert "hls4ml\N{NO-BREAK SPACE}1.3.0" in text
    assert "npm" not in text  # was not installed
    assert "rtl (60 files), verify.json;" in text
    assert ".steps" not in text


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("graph/layers.json", "Not run: step convert was not reached"),
        ("faces/faces.json", "Not run: the design has no face data"),
        ("rtl/interface.json", "Not run: step emit left no record"),
    ],
)
def test_absent_file_is_explained(run: Path, file: str, words: str) -> None:
    (run / file).unlink()
    change_manifest(run, when_and_where={"step_seconds": {"emit": 3.0}})
    write_metrics(
        run / "metrics.json", [*metrics(), missing("faces.accuracy", "the design has no face data")]
    )
    assert words in page(run).text


def test_smallest_run(run: Path) -> None:
    for name in ("graph", "faces", "rtl", "golden"):
        shutil.rmtree(run / name)
    (run / "verify.json").unlink()
    write_metrics(run / "metrics.json", [])
    change_manifest(run, when_and_where={}, git=None, artifacts={})
    found = page(run)
    assert found.text.count("Not run: ") == 3
    assert "No step is done" in found.text


class TestBadInput:
    @pytest.mark.parametrize(
        ("file", "words"), [("manifest.json", "not a run folder"), ("metrics.json", "no metrics.json")]
    )
    def test_missing_file(self, run: Path, file: str, words: str) -> None:
        (run / file).unlink()
        with pytest.raises(UserError, match=words) as caught:
            render_report(run)
        assert caught.value.remedy
        assert not (run / "report.html").exists()

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="not a folder"):
            render_report(tmp_path / "nobody")

    @pytest.mark.parametrize(
        "file",
        [
            *("manifest.json", "metrics.json", "verify.json"),
            *("graph/layers.json", "faces/faces.json", "rtl/interface.json"),
        ],
    )
    @pytest.mark.parametrize("content", [b"{", b"[{}]", b"\xff"])
    def test_damaged_file(self, run: Path, file: str, content: bytes) -> None:
        (run / file).write_bytes(content)
        with pytest.raises(UserError, match=f"{file} is damaged"):
            render_report(run)

    def test_other_layout(self, run: Path) -> None:
        change_manifest(run, schema=2)
        with pytest.raises(UserError, match="another version"):
            render_report(run)

    @pytest.mark.parametrize("name", ["/etc/hostname", "../secret.png"])
    def test_picture_outside_the_folder(self, run: Path, name: str) -> None:
        (run.parent / "secret.png").write_bytes(png(np.zeros((4, 4), np.uint8)))
        record = faces().model_copy(update={"pictures": [name, *faces().pictures[1:]]})
        (run / "faces" / "faces.json").write_text(record.model_dump_json())
        with pytest.raises(UserError, match="outside the run folder"):
            render_report(run)

    @pytest.mark.parametrize("damage", ["remove", "change"])
    def test_picture_that_is_none(self, run: Path, damage: str) -> None:
        picture = run / "golden" / "face3.png"
        picture.unlink() if damage == "remove" else picture.write_text("<svg onload=alert(1)>")
        with pytest.raises(UserError, match=r"face3.png.* no PNG"):
            render_report(run)


def test_the_summary_leaves_results_of_another_kind_out(tmp_path: Path) -> None:
    from hwflow.report.summary import summary

    metric = Metric(name="model.params", value=1234, unit="1", kind="measured", source="test")
    write_metrics(tmp_path / "design.json", [metric])
    (tmp_path / "other.json").write_text('{"some": "thing"}')
    (tmp_path / "other.md").write_text("# What it means\n")
    text = summary(tmp_path)
    assert "| | design |" in text and "| parameters | 1,234 |" in text


def test_designs_stand_beside_each_other_with_what_their_synthesis_counted(tmp_path: Path) -> None:
    from hwflow.report.summary import beside

    for name, luts, bits in (("wide", 50_000, 81_920), ("narrow", 30_000, 40_960)):
        metrics = [
            Metric(name="cost.xc7.lut", value=luts, unit="1", kind="estimated", source="test"),
            Metric(name="model.weight_bits", value=bits, unit="bit", kind="estimated", source="test"),
            Metric(name="model.params", value=10_240, unit="1", kind="measured", source="test"),
            Metric(
                name="mcu.stm32h743zi.latency_ms",
                value=None,
                unit="ms",
                kind="estimated",
                source="test",
                reason="x",
            ),
        ]
        write_metrics(tmp_path / f"{name}.json", metrics)
    total = {"lut": 31_234, "bram18": None}
    (tmp_path / "narrow-synthesis.json").write_text(
        json.dumps({"target": "xc7", "measured": {"total": total}})
    )
    (tmp_path / "narrow-synthesis.md").write_text("# Layer by layer\n")
    text = beside(tmp_path, ["wide", "narrow"])
    assert "| | wide | narrow |" in text
    for line in (
        "| LUT, predicted | 50,000 | 30,000 |",
        "| LUT, by synthesis | – | 31,234 |",
        "| BRAM18, by synthesis | – | – |",
        "| weights as stored, KiB | 10.0 | 5.0 |",
        "| bits of a parameter, mean | 8.00 | 4.00 |",
        "| latency, ms | – | – |",
    ):
        assert line in text
    assert "[narrow](narrow-synthesis.md)" in text and "(wide-synthesis.md)" not in text
