# SPDX-License-Identifier: Apache-2.0
"""What a design costs and how it is folded, as a user asks for it, on a design that is converted once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hwflow.cli.app import app
from hwflow.cli.run import execute

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cost") / "jet-mlp"
    execute(ROOT / "hls_configs" / "jet-mlp.yaml", folder, last="convert")
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["synth", "{run}", "--target", "ecp6"], "did you mean 'ecp5'"),
        (["synth", "{empty}"], "holds no converted network"),
        (["estimate", "{empty}"], "holds no converted network"),
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
