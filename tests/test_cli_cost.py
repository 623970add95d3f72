# SPDX-License-Identifier: Apache-2.0
"""What a design costs and how it is folded, as a user asks for it, on a design that is converted once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hwflow.cli.app import app
from hwflow.cli.run import execute
from hwflow.config.load import load_config
from hwflow.config.schema import DesignConfig
from hwflow.cost.estimate import METRICS
from hwflow.cost.parts import load_parts
from hwflow.emit.design import Design
from hwflow.errors import BudgetError, ConfigError
from hwflow.flow.context import Context
from hwflow.flow.cost import SYNTHESIS
from hwflow.flow.runner import check_budget
from hwflow.records import read_cost, read_layers, read_metrics
from hwflow.synth.modules import DesignResult
from hwflow.tools.targets import Resources, Target

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cost") / "jet-mlp"
    execute(ROOT / "hls_configs" / "jet-mlp.yaml", folder, last="cost")
    return folder


def test_estimate_names_cycles_and_microcontrollers(run: Path) -> None:
    result = CliRunner().invoke(app, ["estimate", str(run), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["fpga"]["ii_cycles"] == found["fpga"]["ii_bound_cycles"] == 16
    assert found["fpga"]["fps"] == 200e6 / 16
    h7 = found["mcu"]["STM32H743ZI"]
    assert h7["macs"] == 4_256
    assert h7["fits"] and h7["flash_bytes"] > 4_000


def test_estimate_is_readable(run: Path) -> None:
    result = CliRunner().invoke(app, ["estimate", str(run), "--clock", "100"])
    assert result.exit_code == 0, result.output
    assert "a frame every 16 cycles, 6,250,000.0 a second at 100 MHz" in result.stdout
    assert "STM32H743ZI" in result.stdout


def test_explain_tells_folding_and_pace(run: Path) -> None:
    result = CliRunner().invoke(app, ["explain", str(run)])
    assert result.exit_code == 0, result.output
    assert "dense1 sets the pace: a frame every 16 cycles" in result.stdout
    found = json.loads(CliRunner().invoke(app, ["explain", str(run), "dense2", "--json"]).stdout)
    dense2 = found["layers"]["dense2"]
    assert (dense2["pe"] * dense2["simd"], dense2["multipliers"], dense2["busy"]) == (128, 128, 1.0)
    assert {16, 32, 64} <= set(dense2["legal_reuse_factors"])
    assert "u_t_dense2" in dense2["modules"]
    told = CliRunner().invoke(app, ["explain", str(run), "dense2"]).stdout
    assert "reuse factor 16" in told and "128 multipliers" in told


@pytest.mark.synth
def test_synth_counts_by_layer(run: Path) -> None:
    result = CliRunner().invoke(app, ["synth", str(run), "--target", "ecp5", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["total"]["lut"] == sum(layer["lut"] for layer in found["layers"].values()) > 1_000
    assert {"dense1", "dense2", "dense3", "output"} <= found["layers"].keys()
    assert found["parts"].keys() == {"lfe5u-25", "lfe5u-45", "lfe5u-85"}
    assert json.loads((run / "synth" / "ecp5.json").read_text()) == found


def test_a_run_records_what_each_target_costs(run: Path) -> None:
    found = {metric.name: metric for metric in read_metrics(run / "metrics.json")}
    assert set(METRICS) <= found.keys()
    shown = json.loads(CliRunner().invoke(app, ["estimate", str(run), "--json"]).stdout)
    for target, one in shown["fpga"]["targets"].items():
        assert [found[f"cost.{target}.{name}"].value for name in ("lut", "ff", "dsp", "bram18")] == [
            one["total"][name] for name in ("lut", "ff", "dsp", "bram18")
        ]
        assert sum(layer["lut"] for layer in one["layers"].values()) == one["total"]["lut"]
        assert found[f"cost.{target}.ii_cycles"].value == shown["fpga"]["ii_cycles"]
    assert "smaller than 18 Kb" in found["cost.ice40.bram18"].reason
    assert found["mcu.rp2040.flash_bytes"].value == shown["mcu"]["RP2040"]["flash_bytes"]
    assert shown["complexity"]["macs"] == found["model.macs"].value
    assert shown["complexity"]["weight_bits"] == found["model.weight_bits"].value
    assert shown["complexity"]["bops"] == found["model.bops"].value


def test_what_a_run_records_of_its_cost(run: Path) -> None:
    cost, figures = (
        read_cost(run / "cost.json"),
        {m.name: m.value for m in read_metrics(run / "metrics.json")},
    )
    layers = read_layers(run / "graph" / "layers.json")
    assert [layer.inputs for layer in layers][:3] == [[], [layers[0].name], [layers[1].name]]
    for layer in layers:
        for depth, fill in zip(layer.fifo_beats, cost.fifo_fill.get(layer.name, []), strict=True):
            assert (fill is None) == (depth == 0)
            assert fill is None or 0 < fill <= depth
    assert cost.families["xc7"].total["lut"] == figures["cost.xc7.lut"]
    uses = {use.resource: use.used for use in cost.families["xc7"].parts[-1].uses}
    assert (uses["lut"], cost.families["xc7"].parts[-1].fits) == (figures["cost.xc7.lut"], True)
    (h7,) = (mcu for mcu in cost.mcus if mcu.name == "STM32H743ZI")
    assert (h7.flash_bytes, h7.misfits) == (figures["mcu.stm32h743zi.flash_bytes"], [])
    assert h7.flash_available == 2 * 1024 * 1024


def test_budgets_hold_for_what_a_target_costs(run: Path) -> None:
    config = load_config(ROOT / "hls_configs" / "jet-mlp.yaml").model_dump()
    metrics = read_metrics(run / "metrics.json")
    config["Hwflow"]["Budget"] = {"cost.xc7.lut": 10_000, "mcu.stm32h743zi.ram_bytes": 1e6}
    check_budget(DesignConfig.model_validate(config), metrics)
    config["Hwflow"]["Budget"]["cost.ecp5.lut"] = 10
    with pytest.raises(BudgetError, match=r"cost\.ecp5\.lut: at most 10, but \d+"):
        check_budget(DesignConfig.model_validate(config), metrics)


def test_a_design_may_ask_for_synthesis(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(design: Design, target: Target, **_: object) -> DesignResult:
        total = Resources(lut=7, bram18=None if target.native_bram else 2)
        return DesignResult({node.name: total for node in design.graph}, total, 1.0)

    monkeypatch.setattr("hwflow.synth.modules.synthesize_design", counted)
    config = load_config(ROOT / "hls_configs" / "jet-mlp.yaml").model_dump()
    config["Hwflow"]["Synth"] = ["ecp5", "ice40"]
    shutil.copytree(run / "graph", tmp_path / "graph")
    context = Context(DesignConfig.model_validate(config), ROOT, tmp_path, step="synth")
    SYNTHESIS.run(context)
    found = {metric.name: metric for metric in context.metrics}
    assert found.keys() == {
        f"synth.{t}.{n}" for t in ("ecp5", "ice40") for n in ("lut", "ff", "dsp", "bram18")
    }
    assert (found["synth.ecp5.lut"].value, found["synth.ecp5.bram18"].value) == (7, 2)
    assert found["synth.ice40.bram18"].value is None and found["synth.ice40.bram18"].reason
    assert found.keys() <= set(SYNTHESIS.metrics)
    assert json.loads((tmp_path / "synth.json").read_text())["ice40"]["layers"]["dense1"]["lut"] == 7


PART = """\
- {part: my-board, vendor: Mine, target: ecp5, lut: 500000, ff: 500000, dsp: 500, bram18: 500, source: data sheet}
"""


def test_estimate_of_one_target_says_whether_it_fits(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "parts.yaml"
    mine.write_text(PART)
    words = ["estimate", str(run), "--parts", str(mine), "--json"]
    result = CliRunner().invoke(app, [*words, "--part", "my-board"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["fpga"]["targets"].keys() == {"ecp5"} and not found["mcu"]
    assert found["fpga"]["targets"]["ecp5"]["smallest"] == "my-board"
    everything = json.loads(CliRunner().invoke(app, words).stdout)["fpga"]["targets"]
    assert everything["ecp5"]["parts"].keys() == {"lfe5u-25", "lfe5u-45", "lfe5u-85", "my-board"}
    small = CliRunner().invoke(app, ["estimate", str(run), "--part", "ice40up5k"])
    assert small.exit_code == 5
    assert "too large for ice40up5k" in small.stderr and "DSP of 8" in small.stderr
    alone = json.loads(CliRunner().invoke(app, ["estimate", str(run), "--mcu", "rp2040", "--json"]).stdout)
    assert alone["mcu"].keys() == {"RP2040"} and not alone["fpga"]["targets"]


def test_a_wrong_file_of_parts_is_told_entry_by_entry(tmp_path: Path) -> None:
    path = tmp_path / "parts.yaml"
    path.write_text("- {part: a, target: ecp5, luts: 5, source: x}\n- {part: B, target: ecp5}\n")
    with pytest.raises(ConfigError) as caught:
        load_parts(path)
    assert [line.strip() for line in caught.value.message.splitlines()[1:]] == [
        "- entry 1, luts: unknown key; did you mean 'lut'?",
        "- entry 2, part: String should match pattern '^[a-z0-9-]+$'",
        "- entry 2, source: Field required",
    ]
    path.write_text("- {part: a, target: ecp6, source: x}\n")
    with pytest.raises(ConfigError, match="unknown target 'ecp6'"):
        load_parts(path)


def test_tune_writes_a_design_that_converts_to_what_was_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("jet.yaml").write_text((ROOT / "hls_configs" / "jet-mlp.yaml").read_text())
    words = ["tune", "jet.yaml", "--fps", "4e6", "--part", "xc7z020", "--check", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["after"]["ii_cycles"] == found["after"]["ii_bound_cycles"] == 32
    assert found["after"]["multipliers"] == found["fewest_multipliers"] == 4_256 // 32
    made = CliRunner().invoke(app, ["run", "jet-tuned.yaml", "--out", "new", "--until", "convert"])
    assert made.exit_code == 0, made.output
    layers = {layer.name: layer for layer in read_layers(Path("new/graph/layers.json"))}
    for name, layer in found["layers"].items():
        assert layers[name].reuse_factor == layer["reuse_factor"][1] == 32
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 1 and "jet-tuned.yaml exists" in again.stderr
    for more, code, message in (
        (["--fps", "1e9"], 5, "1,000,000,000 frames a second allows 0 cycles"),
        (["--max-dsp", "0", "--max-lut", "100"], 5, "LUT of 100"),
        (["--part", "xc7z02"], 1, "did you mean 'xc7z020'"),
        (["--latency", "1e-5"], 5, "a latency of 1e-05 ms"),
        ([], 1, "nothing to tune for"),
    ):
        wrong = CliRunner().invoke(app, ["tune", "jet.yaml", "--force", *more])
        assert (wrong.exit_code, message in wrong.stderr) == (code, True), wrong.stderr


@pytest.mark.parametrize("command", ["estimate", "synth", "emit-mcu"])
def test_a_run_of_another_version_is_told(run: Path, tmp_path: Path, command: str) -> None:
    shutil.copytree(run / "graph", tmp_path / "graph")
    path = tmp_path / "graph" / "quantgraph.json"
    path.write_text(path.read_text().replace('"op": "activation"', '"op": "relu"'))
    result = CliRunner().invoke(app, [command, str(tmp_path)])
    assert result.exit_code == 1, result.output
    assert "another version of hwflow" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["synth", "{run}", "--target", "ecp6"], "did you mean 'ecp5'"),
        (["synth", "{empty}"], "holds no converted network"),
        (["estimate", "{empty}"], "holds no converted network"),
        (["estimate", "{run}", "--part", "xc7z02"], "did you mean 'xc7z020'"),
        (["estimate", "{run}", "--mcu", "STM32H7"], "did you mean STM32H743ZI or STM32H747XI"),
        (["explain", "{run}", "dense9"], "did you mean 'dense3'"),
        (["synth", "{run}", "--bitstream"], "add --target ecp5"),
        (["synth", "{run}", "--target", "ecp5", "--bitstream", "--board", "ulx3s"], "did you mean 'ulx3s-"),
    ],
)
def test_wrong_words_are_told(run: Path, tmp_path: Path, words: list[str], message: str) -> None:
    argv = [word.format(run=run, empty=tmp_path) for word in words]
    result = CliRunner().invoke(app, argv)
    assert result.exit_code == 1
    assert message in result.stderr
