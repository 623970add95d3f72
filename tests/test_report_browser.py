# SPDX-License-Identifier: Apache-2.0
"""Reports in a headless browser: nothing loaded, no faults, tables that sort and filter, the drawing of designs.

Pictures of the pages are kept in ``runs/screenshots``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hwflow.report.compare import compare, read_side
from hwflow.report.render import render_changes, render_designs, render_report
from tests.browser import ABSENT, Browser, browser, program
from tests.test_report import make_run
from tests.test_report_designs import make_study, study

pytestmark = pytest.mark.skipif(program() is None, reason=ABSENT)

SHOTS = Path(__file__).resolve().parent.parent / "runs" / "screenshots"


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    run, other = make_run(folder / "run"), make_run(folder / "other")
    return {
        "run": render_report(run),
        "designs": render_designs([make_study(folder / "study")], folder / "study"),
        "changes": render_changes(compare(read_side(run), read_side(other)), folder / "changes.html"),
    }


def column(tab: Browser, table: str, key: str) -> list[str]:
    """Texts of a column, of the rows that are shown."""
    script = f"""(() => {{
        const table = document.getElementById("{table}");
        const at = [...table.tHead.rows[0].cells].findIndex((head) => head.dataset.key === "{key}");
        return [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[at].textContent.trim());
    }})()"""
    return list(tab.run(script))


def fill(tab: Browser, field: str, value: str) -> None:
    """Give a field a value, as a user would."""
    tab.run(
        f"""(() => {{ const field = document.querySelector('{field}'); field.value = {value!r};
        field.dispatchEvent(new Event("input", {{bubbles: true}}));
        field.dispatchEvent(new Event("change", {{bubbles: true}})); }})()"""
    )


def click(tab: Browser, table: str, key: str) -> None:
    tab.run(f"""document.querySelector('#{table} th[data-key="{key}"] button').click()""")


def numbers(words: list[str]) -> list[float]:
    return [float(word.replace(",", "")) for word in words if word]


@pytest.mark.parametrize("name", ["run", "designs", "changes"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (400, False)])
def test_pages_load_nothing_and_fit(
    tab: Browser, pages: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    tab.faults.clear()
    tab.loaded.clear()
    tab.open(pages[name], width, dark=dark)
    tab.screenshot(SHOTS / f"{name}-{width}{'-dark' if dark else ''}.png")
    assert tab.faults == []
    assert {address for address in tab.loaded if not address.startswith("data:")} == {pages[name].as_uri()}
    assert tab.run("document.documentElement.scrollWidth") == width
    background = tab.run("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(17, 20, 24)" if dark else "rgb(244, 245, 247)")
    assert tab.run("document.querySelectorAll('section.verdict h2').length") == 1


def test_pages_print_on_paper(tab: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    for name, page in pages.items():
        tab.open(page, 794, media="print", dark=True)
        assert tab.run("document.documentElement.scrollWidth") <= 794
        assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert (
            tab.run("getComputedStyle(document.querySelector('.verdict h2')).color") != "rgb(255, 255, 255)"
        )
        tab.pdf(tmp_path / f"{name}.pdf")
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")


class TestRun:
    @pytest.fixture(autouse=True)
    def opened(self, tab: Browser, pages: dict[str, Path]) -> None:
        tab.open(pages["run"])

    def test_layers_sort_by_number_and_by_name(self, tab: Browser) -> None:
        before = column(tab, "layers", "cycles")
        click(tab, "layers", "cycles")
        rising = numbers(column(tab, "layers", "cycles"))
        assert rising == sorted(numbers(before))
        click(tab, "layers", "cycles")
        assert numbers(column(tab, "layers", "cycles")) == rising[::-1]
        assert tab.run("""document.querySelector('#layers th[data-key="cycles"]').ariaSort""") == "descending"
        click(tab, "layers", "name")
        names = column(tab, "layers", "name")
        assert names == sorted(names)
        assert tab.run("""document.querySelectorAll('#layers th[aria-sort]').length""") == 1

    def test_filters_are_words_and_comparisons(self, tab: Browser) -> None:
        fill(tab, '[data-filter="layers"]', "depthwise cycles >= 300,000")
        assert column(tab, "layers", "op") and set(column(tab, "layers", "op")) == {"depthwise_conv2d"}
        assert min(numbers(column(tab, "layers", "cycles"))) >= 300_000
        shown = len(column(tab, "layers", "op"))
        assert (
            tab.run("""document.querySelector('[data-count="layers"]').textContent""")
            == f"{shown} of 55 rows"
        )
        fill(tab, '[data-filter="layers"]', "")
        assert len(column(tab, "layers", "op")) == 55
        fill(tab, '[data-filter="parts"]', "fits lut<50")
        assert column(tab, "parts", "part") == ["xc7z045"]

    def test_a_stage_leads_to_the_row_of_its_layer(self, tab: Browser) -> None:
        """Rows without multiply-accumulates are hidden until asked for."""
        hidden = "getComputedStyle(document.getElementById('layer-1')).display"
        assert tab.run(hidden) == "none"
        tab.run(
            "document.querySelector('svg.dataflow a').dispatchEvent(new MouseEvent('click', {bubbles: true}))"
        )
        assert tab.run("location.hash") == "#layer-1"
        assert tab.run(hidden) != "none"
        tab.run("document.querySelector('.switch input').click()")
        assert tab.run("getComputedStyle(document.getElementById('layer-55')).display") != "none"

    def test_every_picture_is_drawn(self, tab: Browser) -> None:
        assert tab.run("[...document.images].every((image) => image.naturalWidth === 112)")
        boxes = "[...document.querySelectorAll('main svg[viewBox]')].map((svg) => svg.getBoundingClientRect().height)"
        heights = tab.run(boxes)
        assert len(heights) == 7 and min(heights) > 100


class TestDesigns:
    @pytest.fixture(autouse=True)
    def opened(self, tab: Browser, pages: dict[str, Path]) -> None:
        tab.open(pages["designs"])

    def state(self, tab: Browser) -> dict[str, Any]:
        """What is drawn: places of marks, the line, words at the axes."""
        script = """({
            places: Object.fromEntries([...document.querySelectorAll("#plot .point:not(.absent):not(.out)")].map(
                (mark) => [mark.ariaLabel.match(/\\d+/)[0], mark.getAttribute("transform")])),
            best: [...document.querySelectorAll("#plot .best")].map((mark) => Number(mark.ariaLabel.match(/\\d+/)[0])),
            stairs: document.querySelector("#plot .stairs").getAttribute("d"),
            words: [...document.querySelectorAll("#plot .grid text")].map((text) => text.textContent),
            names: [...document.querySelectorAll("#plot .front text:not(.crowded)")].map((text) => text.textContent),
        })"""
        return dict(tab.run(script))

    def test_the_script_draws_what_the_page_came_with(self, tab: Browser) -> None:
        """The page is drawn once in Python, for paper and for browsers without scripts, and then anew by the script."""
        written = self.state(tab)
        fill(tab, "#x-axis", "0")
        assert self.state(tab) != written
        fill(tab, "#x-axis", tab.run("document.querySelector('#x-axis option[selected]').value"))
        drawn = self.state(tab)
        assert drawn["places"].keys() == written["places"].keys()
        for number, place in written["places"].items():
            one, other = (numbers(words[10:-1].split()) for words in (place, drawn["places"][number]))
            assert one == pytest.approx(other, abs=0.011)
        for key in ("words", "names"):
            assert sorted(drawn[key]) == sorted(written[key])
        assert set(drawn["best"]) == set(written["best"]) == set(study()["front"])
        assert len(drawn["stairs"].split("H")) == len(written["stairs"].split("H")) > 4

    def test_axes_can_be_chosen(self, tab: Browser) -> None:
        at = tab.run(
            "[...document.querySelectorAll('#y-axis option')].findIndex((o) => o.text === 'cost.dsp')"
        )
        fill(tab, "#y-axis", str(at))
        state = self.state(tab)
        assert "cost.dsp (less is better)" in state["words"]
        weighed = [one["metrics"] for one in study()["designs"] if one["state"] == "complete"]
        dsp, luts = ([one[name] for one in weighed] for name in ("cost.dsp", "cost.lut"))
        numbered = {one["number"]: one["metrics"] for one in study()["designs"]}
        best = [numbered[number] for number in state["best"]]
        assert min(dsp) in [one["cost.dsp"] for one in best] and min(luts) in [
            one["cost.lut"] for one in best
        ]
        refused = [one for one in study()["designs"] if one["state"] == "refused"]
        inside = [one for one in refused if one["metrics"]["cost.lut"] < max(luts)]
        assert len(state["places"]) >= len(weighed) + len(inside)

    def test_table_and_drawing_are_filtered_together(self, tab: Browser) -> None:
        fill(tab, '[data-filter="designs"]', "cost.lut<15000")
        limit = {
            str(one["number"])
            for one in study()["designs"]
            if one["metrics"].get("cost.lut", 99_999) < 15_000
        }
        assert set(column(tab, "designs", "design")) == limit
        assert self.state(tab)["places"].keys() == limit
        fill(tab, '[data-filter="designs"]', "")
        fill(tab, '[data-states="designs"]', "front")
        assert set(column(tab, "designs", "design")) == {str(number) for number in study()["front"]}
        fill(tab, '[data-states="designs"]', "failed")
        assert self.state(tab)["places"] == {}

    def test_designs_sort_and_unknown_figures_come_last(self, tab: Browser) -> None:
        for _ in range(2):
            click(tab, "designs", "quality.cosine")
            shown = column(tab, "designs", "quality.cosine")
            known = [word for word in shown if word]
            assert shown[: len(known)] == known and "" in shown
            assert numbers(known) in (sorted(numbers(known)), sorted(numbers(known), reverse=True))

    def test_keys_lead_from_mark_to_mark(self, tab: Browser) -> None:
        tab.run("document.getElementById('y-axis').focus()")
        tab.press("Tab")
        first = tab.run("document.activeElement.ariaLabel")
        tip = "(() => { const tip = document.getElementById('tip'); return tip.hidden ? '' : tip.textContent; })()"
        assert first.startswith("Design ") and first.split(";")[0] in tab.run(tip)
        place = "Number(document.activeElement.getAttribute('transform').match(/-?[\\d.]+/)[0])"
        leftmost = tab.run(place)
        for _ in range(3):
            tab.press("ArrowRight")
        assert tab.run("document.activeElement.ariaLabel") != first
        assert tab.run(place) >= leftmost
        assert tab.run("document.querySelectorAll('#plot .point[tabindex=\"0\"]').length") == 1
        tab.press("Escape")
        assert tab.run(tip) == ""
        label = tab.run("document.activeElement.ariaLabel")
        tab.press("Enter")
        assert tab.run("document.querySelector('tr.pointed').cells[0].textContent") in label
        assert tab.run("document.querySelector('tr.pointed').getBoundingClientRect().top") < 900

    def test_what_a_mark_means_is_told_under_the_pointer(self, tab: Browser) -> None:
        tab.run("document.querySelector('#plot .front').dispatchEvent(new PointerEvent('pointerenter'))")
        words = tab.run("document.getElementById('tip').innerText")
        assert "on the front" in words and "cost.lut" in words
        tab.run("document.querySelector('#plot .front').dispatchEvent(new PointerEvent('pointerleave'))")
        assert tab.run("document.getElementById('tip').hidden")


def test_faults_of_a_page_are_seen(tab: Browser, tmp_path: Path) -> None:
    """What the tests above rely on: a script that fails, and one that must not run."""
    for script in (
        "<script>nobody()</script>",
        "<script>console.error('x')</script>",
        '<img src="absent.png">',
    ):
        tab.faults.clear()
        page = tmp_path / "page.html"
        page.write_text(f"<!DOCTYPE html><title>x</title>{script}")
        tab.open(page)
        assert tab.faults
