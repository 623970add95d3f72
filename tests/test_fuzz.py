# SPDX-License-Identifier: Apache-2.0
"""Random networks: drawn by seed, compared on every rung, shrunk and saved where they fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hwflow.cli.app import app
from hwflow.errors import EXIT_MISMATCH, EXIT_USER, ConfigError, VerificationError
from hwflow.flow.progress import LogProgress
from hwflow.fuzz import campaign, summary
from hwflow.fuzz.draw import draw_network
from hwflow.fuzz.families import FAMILIES
from hwflow.fuzz.ladder import Result, Verdict, climb
from hwflow.fuzz.network import INPUT, QUANTIZER, LayerSpec, NetSpec
from hwflow.fuzz.save import save_failure
from hwflow.fuzz.shrink import candidates, shrink

NETWORKS = 40
KINDS = frozenset(kind for family in FAMILIES.values() for kind in family.kinds)
FEW = frozenset(("QConv2D", "QDense", "QActivation", "Add", "Flatten", "InputLayer"))


@pytest.mark.tf
@pytest.mark.sim
@pytest.mark.slow
def test_forty_networks(tmp_path: Path) -> None:
    from hwflow.verify.rtlsim import cores

    entries = campaign.run_campaign(NETWORKS, 2, tmp_path, jobs=cores(), progress=LogProgress())
    found = summary.summarize(entries, seed=2, io="both", seconds=1.0)
    assert len(entries) == NETWORKS
    assert not found["failures"], json.dumps(found["failures"], indent=1)
    assert summary.exit_code(found) == 0
    assert found["codes"] > 100 * NETWORKS
    assert {"io_stream", "io_parallel", "binary", "ternary", "parallelization factor"} <= set(found["types"])
    assert {"QConv2D", "QDense", "QActivation", "Add"} <= set(found["layers"])


def _once_wrong() -> NetSpec:
    """What fuzzing found: flat windows under strides, and casts that drop more bits than there are."""
    weights = {QUANTIZER: "quantized_bits", "bits": 4, "integer": 0, "alpha": 1}
    conv = {
        "filters": 2,
        "kernel_size": [1, 2],
        "strides": [2, 2],
        "kernel_quantizer": weights,
        "use_bias": False,
    }
    depthwise = {"kernel_size": [1, 1], "strides": [2, 2], "depthwise_quantizer": weights, "use_bias": False}
    layers = (
        LayerSpec("pixels", INPUT, args={"shape": [7, 7, 2]}),
        LayerSpec("depthwise", "QDepthwiseConv2D", ("pixels",), depthwise),
        LayerSpec(
            "relu", "QActivation", ("depthwise",), {"activation": {QUANTIZER: "quantized_relu", "bits": 5}}
        ),
        LayerSpec("conv", "QConv2D", ("relu",), conv, fold=1.0),
        LayerSpec("fine", "QActivation", ("conv",), {"activation": {QUANTIZER: "quantized_relu", "bits": 3}}),
        LayerSpec(
            "coarse",
            "QActivation",
            ("fine",),
            {"activation": {QUANTIZER: "quantized_relu", "bits": 1, "integer": 5}},
        ),
    )
    return NetSpec(1, layers, ("coarse",), frames=3, idle=500, stall=500)


def _padded_row_read_twice() -> NetSpec:
    """What fuzzing found: hls4ml pads a row for the layer that reads it first, not for the convolution."""
    weights = {QUANTIZER: "quantized_bits", "bits": 3, "integer": 0, "alpha": 1}
    conv = {
        "filters": 2,
        "kernel_size": [3],
        "padding": "same",
        "kernel_quantizer": weights,
        "use_bias": False,
    }
    layers = (
        LayerSpec("row", INPUT, args={"shape": [6, 2]}),
        LayerSpec("relu", "QActivation", ("row",), {"activation": {QUANTIZER: "quantized_relu", "bits": 5}}),
        LayerSpec("conv", "QConv1D", ("row",), conv, fold=1.0),
    )
    return NetSpec(1, layers, ("relu", "conv"), frames=2)


@pytest.mark.tf
@pytest.mark.sim
@pytest.mark.parametrize("net", [_once_wrong(), _padded_row_read_twice()], ids=["windows", "rows"])
@pytest.mark.parametrize("io_type", ["io_stream", "io_parallel"])
def test_what_was_once_wrong(net: NetSpec, io_type: str, tmp_path: Path) -> None:
    result = climb(replace(net, io_type=io_type), tmp_path)
    assert result.verdict is Verdict.OK, result.detail
    assert result.codes > 0


@pytest.mark.tf
def test_same_seed_same_network() -> None:
    nets = [draw_network(seed, "both", KINDS) for seed in (5, 5, 6)]
    assert nets[0] == nets[1] != nets[2]
    assert NetSpec.from_json(json.loads(json.dumps(nets[0].to_json()))) == nets[0]
    for net in nets:
        names = [layer.name for layer in net.layers]
        assert len(set(names)) == len(names)
        for number, layer in enumerate(net.layers):
            assert set(layer.inputs) <= set(names[:number])


@pytest.mark.tf
def test_every_family_is_drawn() -> None:
    drawn: set[str] = set()
    for seed in range(1000):
        drawn |= {layer.kind for layer in draw_network(seed, "both", KINDS).layers}
        if KINDS <= drawn:
            break
    assert KINDS <= drawn, KINDS - drawn


def _broken_golden(monkeypatch: pytest.MonkeyPatch) -> None:
    """A golden model that adds 1 to what a binary convolution gives."""
    from hwflow.ops.conv2d import Conv2dOp

    right = Conv2dOp.reference

    def wrong(self: Any, node: Any, inputs: Any) -> Any:
        codes = right(self, node, inputs)
        return codes + (node.attrs["kernel_w"] > 1 and codes.size % 2 == 0)

    monkeypatch.setattr(Conv2dOp, "reference", wrong)


@pytest.mark.tf
def test_fault_is_found_shrunk_saved_and_repeated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from hwflow.config.load import load_config
    from hwflow.flow.runner import Flow
    from hwflow.flow.steps import STEPS

    _broken_golden(monkeypatch)
    for seed in range(50):
        net = draw_network(seed, "io_stream", FEW)
        net = replace(net, layers=tuple(replace(layer, hls={}) for layer in net.layers))
        result = climb(net, tmp_path / "work", Verdict.QKERAS)
        if result.verdict is Verdict.QKERAS and len(net.layers) > 5:
            break
    else:
        raise AssertionError("the fault was not found in 50 networks")
    assert "layer qconv2d" in result.detail
    small, again = campaign._shrunk(net, result, tmp_path / "work")
    assert again.verdict is Verdict.QKERAS
    assert [layer.kind for layer in small.layers] == [INPUT, "QConv2D"]
    assert small.frames == 1

    design = save_failure(small, again, tmp_path / "fail")
    assert {path.name for path in design.parent.iterdir()} == {"design.yaml", "model.h5"}
    run = Flow(STEPS).run
    config = load_config(design)
    with pytest.raises(VerificationError, match="qkeras differs from the golden model"):
        run(config, config_path=design, out=tmp_path / "run", last="qkeras", trust=False)
    monkeypatch.undo()
    run(config, config_path=design, out=tmp_path / "right", last="qkeras", trust=False)


@pytest.mark.tf
def test_shrinking_ends_at_what_must_stay() -> None:
    net = next(
        net
        for net in (draw_network(seed, "both", FEW) for seed in range(200))
        if sum(layer.kind == "QDense" for layer in net.layers) > 1 and len(net.layers) > 5
    )

    def fails(candidate: NetSpec) -> bool:
        return any(layer.kind == "QDense" and layer.args["units"] > 2 for layer in candidate.layers)

    small = shrink(net, fails, tries=500)
    assert fails(small)
    assert len(small.layers) == 2
    assert small.frames == 1
    assert not any(fails(candidate) for candidate in candidates(small))
    assert shrink(net, lambda _: False) == net
    assert shrink(net, fails, tries=0) == net


def _entry(number: int, verdict: Verdict = Verdict.OK) -> campaign.Entry:
    return campaign.Entry(number, number, Result(verdict, layers={"Add": 1}, codes=7), ("a: b; c",))


def _track(monkeypatch: pytest.MonkeyPatch, verdict: Verdict = Verdict.OK) -> list[int]:
    """Campaigns without networks; what they would have run."""
    ran: list[int] = []

    def entries(todo: list[int], *_: Any) -> Any:
        for number in todo:
            ran.append(number)
            yield _entry(number, verdict)

    monkeypatch.setattr(campaign, "_entries", entries)
    return ran


def test_interrupted_campaign_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran = _track(monkeypatch)
    run = campaign.run_campaign
    assert run(3, 1, tmp_path, progress=LogProgress()) == [_entry(number) for number in range(3)]
    state = tmp_path / campaign.STATE
    state.write_text(state.read_text()[:-20])  # killed while it wrote
    assert len(run(5, 1, tmp_path, progress=LogProgress())) == 5
    assert ran == [0, 1, 2, 2, 3, 4]
    assert len(run(2, 1, tmp_path, progress=LogProgress())) == 2
    assert len(ran) == 6
    with pytest.raises(ConfigError, match="another campaign"):
        run(3, 2, tmp_path, progress=LogProgress())
    monkeypatch.setattr(campaign, "_code", lambda: "changed")
    run(2, 1, tmp_path, progress=LogProgress())
    assert ran[6:] == [0, 1]


def test_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _track(monkeypatch)
    run = CliRunner().invoke
    good = run(app, ["fuzz", "--count", "2", "--out", str(tmp_path / "a"), "--json"])
    assert good.exit_code == 0, good.output
    assert json.loads(good.stdout)["networks"] == 2
    assert json.loads((tmp_path / "a" / "fuzz.json").read_text())["refusals"] == {"b; c": 2}
    assert "| networks | 2 |" in (tmp_path / "a" / "fuzz.md").read_text()
    _track(monkeypatch, Verdict.DEADLOCK)
    bad = run(app, ["fuzz", "--count", "2", "--out", str(tmp_path / "b")])
    assert bad.exit_code == EXIT_MISMATCH
    assert "2 deadlocks" in bad.output
    assert run(app, ["fuzz", "--count", "0"]).exit_code == 2
    (tmp_path / "file").write_text("")
    blocked = run(app, ["fuzz", "--out", str(tmp_path / "file" / "x")])
    assert blocked.exit_code == EXIT_USER
    assert "cannot be written" in blocked.output


@pytest.mark.parametrize(
    ("verdict", "code"),
    [(Verdict.OK, 0), (Verdict.CSIM, 3), (Verdict.INTERVAL, 3), (Verdict.TOOL, 4), (Verdict.FAULT, 70)],
)
def test_exit_codes(verdict: Verdict, code: int) -> None:
    found = summary.summarize([_entry(0), _entry(1, verdict)], seed=1, io="both", seconds=1.0)
    assert summary.exit_code(found) == code


def test_weights_do_not_depend_on_other_layers() -> None:
    from hwflow.fuzz.network import _rng

    assert np.array_equal(_rng(3, "a").random(4), _rng(3, "a").random(4))
    assert not np.array_equal(_rng(3, "a").random(4), _rng(4, "a").random(4))
