# SPDX-License-Identifier: Apache-2.0
"""``hwflow compare``: verdicts on figures, changes of layers and of the design, exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hwflow.cli.app import app
from hwflow.records import LayerRecord, Metric, direction
from hwflow.report.compare import Side, compare_config, compare_layers, compare_metrics

FIGURES: dict[str, tuple[float | None, float | None, str]] = {
    "rtl.fps": (100.0, 90.0, "worse"),
    "faces.accuracy": (0.99, 0.995, "better"),
    "cost.xc7.lut": (1000, 1040, "worse"),
    "cost.xc7.dsp": (8, 4, "better"),
    "cost.ice40.bram18": (None, 3, "changed"),
    "mcu.rp2040.latency_ms": (5.0, None, "worse"),
    "rtl.ii_cycles": (400, 400, "equal"),
    "verify.frames": (8, 4, "changed"),
    "sim.rtl.seconds_per_frame": (1.0, 2.0, "changed"),
}


def metrics(column: int) -> list[Metric]:
    return [
        Metric(name=name, value=values[column], unit="1", kind="estimated", source="x", reason="none had")  # type: ignore[arg-type]
        for name, values in FIGURES.items()
    ]


def layer(name: str, **changes: int) -> LayerRecord:
    return LayerRecord(**{"name": name, "op": "dense", "shape": [4], "output_type": "fixed<8,4>"} | changes)  # type: ignore[arg-type]


def side(column: int, *layers: LayerRecord, config: dict[str, object] | None = None) -> Side:
    return Side("ab"[column], {m.name: m for m in metrics(column)}, {x.name: x for x in layers}, config or {})


def test_each_figure_has_its_verdict() -> None:
    changes = {change.name: change for change in compare_metrics(side(0), side(1))}
    assert {name: change.verdict for name, change in changes.items()} == {
        name: verdict for name, (_, _, verdict) in FIGURES.items()
    }
    assert (changes["cost.xc7.lut"].difference, changes["cost.xc7.lut"].ratio) == (40, 0.04)
    assert changes["cost.ice40.bram18"].difference is None


def test_tolerance_is_a_share_of_the_figure_before() -> None:
    verdicts = {change.name: change.verdict for change in compare_metrics(side(0), side(1), 0.05)}
    assert verdicts["cost.xc7.lut"] == "changed"
    assert verdicts["rtl.fps"] == "worse"


def test_figures_of_one_side_only_are_no_regression() -> None:
    empty = Side("none", {}, {}, {})
    assert {change.verdict for change in compare_metrics(side(0), empty)} == {"only in A"}
    assert {change.verdict for change in compare_metrics(empty, side(0))} == {"only in B"}


@pytest.mark.parametrize(
    ("name", "toward"),
    [
        ("synth.ecp5.bram18", -1),
        ("rtl.ii_bound_cycles", -1),
        ("cost.xc7.fps", 1),
        ("verify.rtl.mismatches", -1),
    ],
)
def test_directions(name: str, toward: int) -> None:
    assert direction(name) == toward


def test_layers_and_keys_that_changed() -> None:
    a = side(
        0, layer("x", reuse_factor=4, weight_bits=8), layer("y"), layer("z"), config={"P.A": 1, "P.B": 2}
    )
    b = side(
        1, layer("x", reuse_factor=8, weight_bits=4), layer("y"), layer("w"), config={"P.A": 1, "P.C": 3}
    )
    assert compare_layers(a, b) == {
        "x": {"reuse_factor": (4, 8), "weight_bits": (8, 4)},
        "z": {"layer": ("dense", None)},
        "w": {"layer": (None, "dense")},
    }
    assert compare_config(a, b) == {"P.B": (2, None), "P.C": (None, 3)}


class TestCommand:
    @pytest.fixture
    def files(self, tmp_path: Path) -> tuple[str, str]:
        paths = [tmp_path / "a.json", tmp_path / "b.json"]
        for column, path in enumerate(paths):
            path.write_text(json.dumps([metric.model_dump() for metric in metrics(column)]))
        return str(paths[0]), str(paths[1])

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["compare", *words])

    def test_regressions_fail_where_that_is_asked_for(self, files: tuple[str, str]) -> None:
        assert self.run(*files).exit_code == 0
        result = self.run(*files, "--fail-on-regression")
        assert result.exit_code == 5
        assert "3 figure(s) got worse: cost.xc7.lut, mcu.rp2040.latency_ms, rtl.fps" in result.stderr
        assert self.run(files[0], files[0], "--fail-on-regression").exit_code == 0

    def test_output_for_people_and_machines(self, files: tuple[str, str]) -> None:
        text = self.run(*files).stdout
        assert "2 better, 3 worse, 1 equal of 9 figures" in text
        assert "rtl.ii_cycles" not in text and "+4.0 %" in text
        assert "rtl.ii_cycles" in self.run(*files, "--all").stdout
        found = json.loads(self.run(*files, "--json").stdout)
        assert found["regressions"] == ["cost.xc7.lut", "mcu.rp2040.latency_ms", "rtl.fps"]
        assert found["metrics"]["cost.xc7.dsp"]["difference"] == -4

    def test_regressions_come_first_and_are_marked(self, files: tuple[str, str]) -> None:
        lines = [line for line in self.run(*files, "--all").stdout.splitlines() if "." in line][2:11]
        verdicts = [
            next(word for word in ("worse", "better", "changed", "only", "equal") if word in line)
            for line in lines
        ]
        assert verdicts == ["worse"] * 3 + ["better"] * 2 + ["changed"] * 3 + ["equal"]
        assert all(("✗" in line) == ("worse" in line) for line in lines)

    def test_page_and_markdown(self, files: tuple[str, str], tmp_path: Path) -> None:
        for name in ("changes.html", "changes.md"):
            result = self.run(*files, "--out", str(tmp_path / "new" / name))
            assert result.exit_code == 0, result.output
            assert f"report: {tmp_path / 'new' / name}" in result.stdout
        page = (tmp_path / "new" / "changes.html").read_text()
        assert "✗ 3 regressions" in page and page.count("✗ worse</span>") == 3
        markdown = (tmp_path / "new" / "changes.md").read_text()
        assert re.match(r"# \S+a\.json → \S+b\.json: 3 regressions\n", markdown)
        assert markdown.count("| ✗ |") == 3
        assert "rtl.ii\\_cycles" not in markdown  # is equal

    def test_only_pages_and_markdown_are_written(self, files: tuple[str, str], tmp_path: Path) -> None:
        result = self.run(*files, "--out", str(tmp_path / "changes.pdf"))
        assert result.exit_code == 1
        assert "neither a page nor Markdown" in result.stderr

    def test_what_holds_no_figures_is_refused(self, tmp_path: Path, files: tuple[str, str]) -> None:
        (tmp_path / "other.json").write_text('{"a": 1}')
        for wrong, message in (("other.json", "holds no metrics"), ("none", "is not a folder")):
            result = self.run(files[0], str(tmp_path / wrong))
            assert result.exit_code == 1
            assert message in result.stderr
