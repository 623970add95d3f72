# SPDX-License-Identifier: Apache-2.0
"""Reports of studies and of several runs: which designs they show as best, and what they say of the others."""

from __future__ import annotations

import csv
import json
import random
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from typer.testing import CliRunner

from hwflow.cli.app import app
from hwflow.errors import UserError
from hwflow.explore.study import Explored
from hwflow.records import DesignRecord, Metric, ProofRecord, write_metrics
from hwflow.report import scatter
from hwflow.report.render import render_designs
from tests.test_report import SVG, Page, make_run, metrics

OBJECTIVES = {"quality.cosine": "maximize", "cost.lut": "minimize"}
LIMIT = 30_000
EVIL = "ConfigError: layer <script>alert(1)</script> | has `66` bits & more"


def design(number: int, draw: random.Random) -> dict[str, Any]:
    """A design of a study, by formulas."""
    bits, activations, fps = draw.choice([3, 4, 6, 8]), draw.choice([4, 6, 8]), draw.choice([100, 200, 500])
    luts = round(4_000 + 900 * bits + 600 * activations + 40 * fps + draw.gauss(0, 300))
    known = {
        "cost.lut": luts,
        "cost.dsp": fps // 2,
        "cost.ii_cycles": 200_000_000 // fps,
        "model.weight_bits": bits,
    }
    state, reason = "complete", ""
    if number % 17 == 3:
        state, reason, known = "failed", EVIL, {}
    elif luts > LIMIT:
        state, reason = "refused", f"cost.lut is {luts}"
    else:
        known["quality.cosine"] = round(1 - 0.5 / (bits * activations) ** 0.9 - draw.random() * 0.01, 6)
    point = {"WeightBits": bits, "ActivationBits": activations, "Fps": fps, "WeightFormat": None}
    return {
        "number": number, "state": state, "point": point, "metrics": known, "reason": reason, "design": {},
        "seconds": 30.0,
    }  # fmt: skip


def beaten(one: dict[str, Any], all_of: list[dict[str, Any]]) -> bool:
    """Whether another design is no worse in both objectives, and better in one."""

    def pair(of: dict[str, Any]) -> tuple[float, float]:
        return -of["metrics"]["quality.cosine"], of["metrics"]["cost.lut"]

    return any(
        pair(other) != pair(one) and all(a <= b for a, b in zip(pair(other), pair(one), strict=True))
        for other in all_of
    )


def study(count: int = 60, **keys: Any) -> dict[str, Any]:
    """A study as `hwflow explore` records it."""
    draw = random.Random(4)
    designs = [design(number, draw) for number in range(count)]
    complete = [one for one in designs if one["state"] == "complete"]
    front = [one["number"] for one in complete if not beaten(one, complete)]
    run = {"rtl.ii_cycles": designs[front[0]]["metrics"]["cost.ii_cycles"], "synth.xc7.lut": 12_000}
    return {
        "name": "faces", "objectives": OBJECTIVES, "designs": designs, "front": front,
        "verified": {str(front[0]): "exact"},
        "proofs": {str(front[0]): {"run": f"front/design{front[0]}", "metrics": run}},
        "definition": {"Base": "mobilefacenet.yaml", "Limits": {"cost.lut": {"Max": LIMIT}}, "Part": "xc7z045"},
        "sessions": [{"begun": "a", "known": 0, "ended": None}, {"begun": "b", "known": 9, "ended": "c"}],
        "provenance": {"argv": ["explore", "my studies/faces.yaml"], "versions": {"hwflow": "0.1.0"}, "git": None},
    } | keys  # fmt: skip


def make_study(folder: Path, **keys: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.json").write_text(json.dumps(study(**keys)))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_study(tmp_path / "faces")


def page(*places: Path, out: Path | None = None) -> Page:
    return Page(render_designs(places, out or places[0]).read_text())


def drawing(out: Path) -> ElementTree.Element:
    return ElementTree.parse(out / "report" / "designs.svg").getroot()


class TestStudy:
    def test_verdict_and_limits_come_first(self, folder: Path) -> None:
        found, record = page(folder), study()
        counts = [
            sum(one["state"] == state for one in record["designs"])
            for state in ("complete", "refused", "failed")
        ]
        assert f"{len(record['front'])} designs on the front, 1 of them proven bit-exact" in found.text
        words = (
            f"60 designs, of which {counts[0]} weighed, {counts[1]} outside the limits, {counts[2]} failed."
        )
        assert words in found.text
        assert found.row("cost.lut")[1:] == [
            "at most 30,000",
            f"{counts[1]} designs",
            f"{sum(counts[:2])} designs",
        ]
        places = [
            found.text.index(words) for words in ("Known of", "Best of the front", "Every mark is a design")
        ]
        assert places == sorted(places)

    @pytest.mark.parametrize(
        ("keys", "title"),
        [
            ({"verified": {}, "proofs": {}}, "○ {} designs on the front, none of them proven in RTL yet"),
            ({"verified": "all"}, "✓ {} designs on the front, all proven bit-exact"),
            ({"verified": {"1": "codes differ"}}, "✗ {} designs on the front, 1 run failed"),
            ({"front": []}, "✗ No design keeps the limits"),
        ],
    )
    def test_verdict(self, folder: Path, keys: dict[str, Any], title: str) -> None:
        front = study()["front"]
        if keys.get("verified") == "all":
            keys = {"verified": {str(number): "exact" for number in front}}
        make_study(folder, **keys)
        assert title.format(len(front)) in page(folder).text

    def test_best_designs_are_named(self, folder: Path) -> None:
        record = study()
        front = [
            one["metrics"] | {"number": one["number"]}
            for one in record["designs"]
            if one["number"] in record["front"]
        ]
        largest = max(front, key=lambda one: one["quality.cosine"])
        words = f"Largest quality.cosine {largest['quality.cosine']:.6g} design {largest['number']}"
        found = page(folder)
        assert words in found.text
        assert "Compromise design" in found.text

    def test_every_design_is_in_the_table_and_excluded_ones_are_listed_with_reasons(
        self, folder: Path
    ) -> None:
        found, record = page(folder), study()
        rows = [attrs for tag, attrs in found.tags if tag == "tr" and "data-design" in attrs]
        assert len(rows) == 60
        states = [row["data-state"] for row in rows]
        assert states == sorted(states, key=["front", "weighed", "refused", "failed"].index)
        assert states.count("front") == len(record["front"])
        refused = next(one for one in record["designs"] if one["state"] == "refused")
        assert found.row_with(refused["reason"])[:2] == [str(refused["number"]), "○ outside the limits"]
        assert found.row_with(EVIL)[1] == "✗ failed"

    def test_names_are_escaped_everywhere(self, folder: Path) -> None:
        html = render_designs([folder], folder).read_text()
        assert "<script>alert" not in html
        markdown = (folder / "report/report.md").read_text()
        assert "&lt;script>alert(1)&lt;/script> \\| has \\`66\\` bits &amp; more" in markdown

    def test_estimates_stand_beside_measurements(self, folder: Path) -> None:
        record = study()
        first = str(record["front"][0])
        luts = record["designs"][record["front"][0]]["metrics"]["cost.lut"]
        found = page(folder)
        rows = {row[1]: row for row in found.rows if row[0] == first and len(row) == 6}
        assert rows["cost.ii_cycles"][4:] == ["0.0 %", "rtl.ii_cycles"]
        sign = "+" if luts > 12_000 else "−"
        assert rows["cost.lut"][2:5] == [
            f"{luts:,}",
            "12,000",
            f"{sign}{abs(luts / 12_000 - 1):.1%}".replace("%", " %"),
        ]

    def test_reproduce(self, folder: Path) -> None:
        found = page(folder)
        assert "hwflow explore 'my studies/faces.yaml'" in found.text
        assert "Base: mobilefacenet.yaml, Limits: {cost.lut: {Max: 30000}}, Part: xc7z045" in found.text
        assert "Sessions2, of them killed: 1" in found.text
        assert "30 min 0 s" in found.text

    def test_reports_of_designs_are_linked_where_they_are(self, folder: Path) -> None:
        assert "front/design" not in render_designs([folder], folder).read_text()
        report = folder / study()["proofs"][str(study()["front"][0])]["run"] / "report.html"
        report.parent.mkdir(parents=True)
        report.write_text("")
        assert (
            f'href="front/{report.parent.name}/report.html"' in render_designs([folder], folder).read_text()
        )

    def test_figures_that_are_no_numbers_are_left_out(self, folder: Path) -> None:
        record = study()
        number = record["front"][0]
        record["designs"][number]["metrics"]["cost.dsp"] = float("nan")
        (folder / "study.json").write_text(json.dumps(record))
        found = page(folder)
        assert "nan" not in found.text.lower()
        assert "NaN" not in found.scripts["plot-data"] and json.loads(found.scripts["plot-data"])

    def test_addresses_are_quoted(self, tmp_path: Path) -> None:
        run = make_run(tmp_path / "javascript:alert(1)" / "a b")
        (run / "report.html").write_text("")
        html = render_designs([run], tmp_path).read_text()
        assert 'href="javascript%3Aalert%281%29/a%20b/report.html"' in html

    def test_same_files_give_same_bytes(self, folder: Path) -> None:
        def content() -> dict[str, bytes]:
            render_designs([folder], folder)
            return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

        assert content() == content()

    def test_twins(self, folder: Path) -> None:
        render_designs([folder], folder)
        assert {path.name for path in (folder / "report").iterdir()} == {
            "report.md",
            "designs.csv",
            "designs.svg",
        }
        with (folder / "report/designs.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 60
        by_number = {row["design"]: row for row in rows}
        for one in study()["designs"]:
            row = by_number[str(one["number"])]
            assert row["reason"] == one["reason"]
            assert row["WeightBits"] == str(one["point"]["WeightBits"])
            assert row["cost.lut"] == str(one["metrics"].get("cost.lut", ""))


class TestDrawing:
    def test_marks_lie_where_their_figures_say(self, folder: Path) -> None:
        render_designs([folder], folder)
        record, root = study(), drawing(folder)
        places: dict[str, tuple[float, float]] = {}
        for mark in root.iter(SVG + "g"):
            if "point" in mark.attrib["class"].split() and "absent" not in mark.attrib["class"].split():
                name = re.match(r"Design (\d+)", mark.attrib["aria-label"])
                x, y = map(float, re.findall(r"-?[\d.]+", mark.attrib["transform"]))
                assert name
                places[name[1]] = (x, y)
        complete = [one for one in record["designs"] if one["state"] == "complete"]
        assert places.keys() == {str(one["number"]) for one in complete}
        for axis, name, sign in ((0, "cost.lut", 1), (1, "quality.cosine", -1)):
            ends = sorted(complete, key=lambda one: one["metrics"][name])
            (low, high), a, b = ((places[str(one["number"])][axis] for one in (ends[0], ends[-1])),
                                 ends[0]["metrics"][name], ends[-1]["metrics"][name])  # fmt: skip
            assert sign * (high - low) > 0
            for one in complete:
                share = (one["metrics"][name] - a) / (b - a)
                assert places[str(one["number"])][axis] == pytest.approx(low + share * (high - low), abs=0.02)

    def test_the_line_joins_the_front(self, folder: Path) -> None:
        render_designs([folder], folder)
        best = [mark for mark in drawing(folder).iter(SVG + "g") if "best" in mark.attrib["class"].split()]
        assert {int(re.findall(r"\d+", mark.attrib["aria-label"])[0]) for mark in best} == set(
            study()["front"]
        )

    @pytest.mark.parametrize(
        ("values", "log", "ticks"),
        [
            ([0.951, 0.984], False, ["0.95", "0.955", "0.96", "0.965", "0.97", "0.975", "0.98", "0.985"]),
            ([10_838, 26_905], False, ["12,500", "15,000", "17,500", "20,000", "22,500", "25,000", "27,500"]),
            ([1, 900], True, ["1", "2", "5", "10", "20", "50", "100", "200", "500", "1 k"]),
            ([-1, 5e8], False, ["0", "100 M", "200 M", "300 M", "400 M", "500 M"]),
        ],
    )
    def test_axes(self, values: list[float], log: bool, ticks: list[str]) -> None:
        axis = scatter.axis("cost.lut", values, -1)
        assert axis.log == log
        assert [words for _, words in axis.ticks] == ticks
        assert all(axis.holds(value) for value, _ in axis.ticks)

    def test_best_takes_one_of_equals(self) -> None:
        x, y = (scatter.axis(name, [0, 1], toward) for name, toward in (("a", -1), ("b", 1)))
        points = [(0.2, 0.5), (0.2, 0.5), (0.1, 0.1), (0.9, 0.4), (0.9, 0.9), (0.3, 0.5)]
        assert [points[number] for number in scatter.best(points, x, y)] == [
            (0.1, 0.1),
            (0.2, 0.5),
            (0.9, 0.9),
        ]


class TestRuns:
    @pytest.fixture
    def runs(self, tmp_path: Path) -> list[Path]:
        small, large = make_run(tmp_path / "small"), make_run(tmp_path / "large")
        more = [
            m.model_copy(update={"value": 900_000}) if m.name == "rtl.ii_cycles" else m for m in metrics()
        ]
        for run, listed, luts, rate in ((small, metrics(), 9_000, 443.0), (large, more, 20_000, 222.0)):
            extra = {"synth.xc7.lut": luts, "rtl.fps": rate}
            write_metrics(
                run / "metrics.json",
                [
                    *listed,
                    *(
                        Metric(name=n, value=v, unit="1", kind="simulated", source="")
                        for n, v in extra.items()
                    ),
                ],
            )
        return [small, large]

    def test_runs_side_by_side(self, runs: list[Path], tmp_path: Path) -> None:
        out = tmp_path / "report"
        found = page(*runs, out=out)
        assert "✗ 1 of 2 runs bit-exact and within budget" in found.text
        assert found.row("small")[1] == "★ on the front"
        assert found.row("large")[1] == "weighed"
        assert "900,000 cycles, at most 480,000 cycles" in found.text
        options = [attrs.get("value") for tag, attrs in found.tags if tag == "option"]
        assert len(options) > 6
        assert not any(attrs.get("href", "").startswith("..") for tag, attrs in found.tags if tag == "a")

    def test_studies_and_runs_together(self, runs: list[Path], folder: Path, tmp_path: Path) -> None:
        found = page(folder, *runs, out=tmp_path / "report")
        assert "Study" in found.rows[[row[0] for row in found.rows].index("Design")]
        assert found.row("small")[1] == "run"

    def test_runs_that_do_not_differ_have_no_drawing(self, runs: list[Path], tmp_path: Path) -> None:
        assert "There are no two figures" in page(runs[0], out=tmp_path / "report").text


class TestCommand:
    def run(self, *words: str | Path) -> Any:
        return CliRunner().invoke(app, ["report", *map(str, words)])

    def test_one_run_a_study_or_several(
        self, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        run = make_run(tmp_path / "run")
        for words, report in (
            ((run,), run / "report.html"),
            ((folder,), folder / "report.html"),
            ((run, folder), Path("runs/report/report.html")),
            ((run, folder, "--out", "elsewhere"), Path("elsewhere/report.html")),
        ):
            result = self.run(*words)
            assert result.exit_code == 0, result.output
            assert result.stdout.split() == [str(report)]
            assert report.is_file() and (report.parent / "report" / "report.md").is_file()

    def test_what_explore_writes_is_what_the_report_reads(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A whole study, but for the weighing and the runs."""
        keys = {"Base": "base.yaml", "Space": {"WeightBits": [3, 4, 6, 8]}, "Objectives": OBJECTIVES}
        (tmp_path / "faces.yaml").write_text(yaml.safe_dump(keys))
        model = {"Hwflow": {"Model": {"Source": "mobilefacenet"}}}
        (tmp_path / "base.yaml").write_text(yaml.safe_dump(model))
        found = [DesignRecord(**(one | {"design": model})) for one in study()["designs"]]
        monkeypatch.setattr(
            "hwflow.explore.study.explore", lambda *_, **__: Explored(found, [{"ended": None}])
        )
        measured: dict[str, Any] = {"rtl.ii_cycles": 400_000, "verify.rtl.mismatches": 0}
        proof = ProofRecord(run="front/design1", metrics=measured)
        monkeypatch.setattr("hwflow.cli.explore._proven", lambda *_, **__: ("exact", proof))
        out = tmp_path / "out"
        out.mkdir()
        words = ["explore", str(tmp_path / "faces.yaml"), "--out", str(out), "--verify", "front"]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        assert f"report: {out / 'report.html'}" in result.stdout
        written = (out / "report.html").read_bytes()
        assert self.run(out).exit_code == 0
        assert (out / "report.html").read_bytes() == written
        text = Page((out / "report.html").read_text()).text
        assert f"✓ {len(study()['front'])} designs on the front, all proven bit-exact" in text
        assert "Sessions1, of them killed: 1" in text
        assert "Space: {WeightBits: [3, 4, 6, 8]}" in text

    def test_what_is_no_result(self, tmp_path: Path, folder: Path) -> None:
        (tmp_path / "empty").mkdir()
        result = self.run(folder, tmp_path / "empty")
        assert result.exit_code == 1
        assert "neither a run folder nor a study" in result.stderr

    @pytest.mark.parametrize("content", ["{", "[]", '{"objectives": {}}'])
    def test_damaged_study(self, folder: Path, content: str) -> None:
        (folder / "study.json").write_text(content)
        with pytest.raises(UserError, match="is damaged"):
            render_designs([folder], folder)
        assert not (folder / "report.html").exists()
