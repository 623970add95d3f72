# SPDX-License-Identifier: Apache-2.0
"""Cost model of microcontrollers: layer tables, calibration, estimates, and the command that emits C."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hwflow.cli.app import app
from hwflow.cost import mcu_kernels, mcu_latency
from hwflow.cost.architectures import ARCHITECTURES, table_of
from hwflow.cost.mcu import bits_factor, estimate, latency, load_mcu, mcus, table_flash, table_ram
from hwflow.errors import ConfigError
from hwflow.ir.graph import QuantGraph
from hwflow.ir.serialize import save_graph
from hwflow.mcu.lower import lower, reasons
from hwflow.ops import casekit
from hwflow.ops.casekit import case_graph, grid, quantizer, tensor, window_attrs
from hwflow.ops.registry import ops
from hwflow.tools import arm, qemu

needs_arm = pytest.mark.skipif(
    not (shutil.which(arm.GCC) and shutil.which(qemu.QEMU)), reason=f"{arm.REMEDY}; {qemu.REMEDY}"
)

# Multiply-accumulates counted in the published model files.
COUNTED = {
    "mobilenet-v1-0.25-96x96x1": 7158656,
    "mobilenet-v1-0.25-96x96x3": 7490432,
    "mobilenet-v1-0.25-224x224x3": 40775552,
    "mobilenet-v2-0.35-128x128x3-5": 18947072,
    "mobilenet-v2-0.35-128x128x3-1000": 20220672,
    "squeezenet-1.1-128x128x3": 80217280,
    "squeezenet-1.1-224x224x3": 263056576,
    "resnet8-32x32x3": 12501632,
    "autoencoder-640": 264192,
    "st-mnist-28x28x1": 1076384,
    "miniresnet-1": 7361536,
    "miniresnet-2": 12589056,
    "miniresnet-bottleneck-1": 14439424,
}


def network(name: str = "net", size: int = 8) -> QuantGraph:
    """A small network: convolution, depthwise, residual sum, dense layer."""
    rng = np.random.default_rng(4)
    x = tensor((size, size, 3), grid(8, 4))
    more = {"weight": grid(8, 7), "bias": grid(10, 9), "reuse": 1}
    a = casekit.conv2d(rng, x, 8, window_attrs(x, 3), quantizer(8, 3), name="a", **more)  # type: ignore[arg-type]
    d = casekit.depthwise_conv2d(rng, a, window_attrs(a, 3), quantizer(8, 3), name="d", **more)  # type: ignore[arg-type]
    p = casekit.conv2d(rng, d, 8, window_attrs(d, 1), quantizer(8, 3), name="p", **more)  # type: ignore[arg-type]
    flat = casekit.reshape(p, (8 * size * size,), name="flat")
    y = casekit.dense(rng, flat, 5, quantizer(16, 6), weight=grid(4, 3), bias=grid(10, 6), reuse=1)
    return QuantGraph(name, (x, a, d, p, flat, y), ("y",))


@pytest.mark.parametrize("name", COUNTED)
def test_layer_tables_count_what_the_model_files_hold(name: str) -> None:
    assert ARCHITECTURES[name]().macs == COUNTED[name]


def test_weights_of_published_networks() -> None:
    errors = [
        table_flash(ARCHITECTURES[row.architecture](), 1) / row.weights - 1
        for row in mcu_latency.published()
        if row.weights is not None
    ]
    assert len(errors) >= 20
    assert max(map(abs, errors)) < 0.006  # some are published in whole KiB


def test_table_of_a_graph() -> None:
    table = table_of(network())
    by_type = {
        kind: sum(layer.macs for layer in table.layers if layer.type == kind) for kind in ("conv", "dense")
    }
    assert by_type == {"conv": 64 * 27 * 8, "dense": 512 * 5}
    assert table.macs == 64 * (27 * 8 + 9 * 8 + 64) + 512 * 5
    # ST counts a bias once an output element.
    assert table.st_macc == table.macs + 3 * 64 * 8 + 5
    x = tensor((4, 4, 3), grid(8, 4))
    relu = casekit.activation(x, quantizer(8, 4), "relu", name="relu")
    bent = casekit.prelu(np.random.default_rng(1), relu, quantizer(8, 4), grid(8, 6))
    assert table_of(QuantGraph("g", (x, relu, bent), ("y",))).st_macc == 2 * 48


def test_committed_coefficients_are_those_of_the_rows() -> None:
    found = mcu_latency.fit(mcu_latency.timed()).values
    assert found == pytest.approx(mcu_latency.committed()["values"], abs=2e-5)


def test_a_held_out_group_takes_no_part() -> None:
    rows = mcu_latency.timed()
    group = "st-mnist"
    rest = [row for row in rows if row.group != group]
    assert 0 < len(rest) < len(rows)
    changed = [
        row if row.group != group else mcu_latency.Row(*(*_fields(row)[:7], 1e6, *_fields(row)[8:]))  # type: ignore[arg-type]
        for row in rows
    ]
    part = [row for row in changed if row.runtime.startswith("X-CUBE-AI 7") or row.group == group]
    before = {row.architecture: row.cycles * (1 + error) for row, error in mcu_latency.hold_out(part)}
    original = [row for row in rows if row.runtime.startswith("X-CUBE-AI 7") or row.group == group]
    after = {row.architecture: row.cycles * (1 + error) for row, error in mcu_latency.hold_out(original)}
    assert before["st-mnist-28x28x1"] == pytest.approx(after["st-mnist-28x28x1"])
    assert before["resnet8-32x32x3"] != pytest.approx(after["resnet8-32x32x3"])


def _fields(row: mcu_latency.Row) -> list[object]:
    return [getattr(row, name) for name in row.__slots__]


def test_published_rows_that_were_never_fitted() -> None:
    table = ARCHITECTURES["mobilenet-v2-0.5-96x96x3-128"]()
    assert all(row.architecture != "mobilenet-v2-0.5-96x96x3-128" for row in mcu_latency.published())
    assert table.st_macc == pytest.approx(19e6, rel=0.01)
    assert table_flash(table, 1) == pytest.approx(850 * 1024, rel=0.01)
    assert table_flash(table, 4) == pytest.approx(3.27 * 2**20, rel=0.02)
    assert table_ram(table, 1, overlay=False, input_apart=True) == pytest.approx(163 * 1024, rel=0.02)


def test_every_knob_moves_the_latency() -> None:
    slow, fast = load_mcu("nrf52840"), load_mcu("STM32H743ZI")
    table = table_of(network())
    ours = latency(table, fast).ms
    assert ours is not None
    assert latency(table, slow).ms > 10 * ours  # type: ignore[operator]
    assert latency(table, fast, "X-CUBE-AI 10.0.0").ms != ours
    assert latency(table, fast, precision="float").ms > ours  # type: ignore[operator]
    assert bits_factor("conv", 8) == 1.0
    assert bits_factor("conv", 4) < 1.0 < bits_factor("conv", 16)
    unknown = latency(table, load_mcu("ESP32-S3"))
    assert unknown.ms is None
    assert "xtensa-lx7" in unknown.basis


def test_every_target_names_its_sources() -> None:
    wanted = {
        "STM32H743ZI",
        "STM32H747XI",
        "STM32F746NG",
        "STM32U575ZI",
        "STM32L4R5ZI",
        "nRF5340",
        "nRF52840",
    }
    assert wanted | {"RP2040", "ESP32-S3"} <= {mcu.name for mcu in mcus().values()}
    for mcu in mcus().values():
        for figure in (mcu.clock_mhz, mcu.flash_bytes, mcu.ram_bytes, mcu.largest_ram_bytes):
            assert (figure.value is None) == (figure.source == "")


def test_wrong_targets_are_told(write: Callable[[str, str], Path]) -> None:
    with pytest.raises(ConfigError, match="did you mean STM32H743ZI"):
        load_mcu("stm32h743")
    with pytest.raises(ConfigError, match="no file"):
        load_mcu("mine.yaml")
    with pytest.raises(ConfigError, match="clock_mhz"):
        load_mcu(str(write("mine.yaml", "name: mine\ncore: cortex-m7\n")))
    with pytest.raises(ConfigError, match=r"did you mean .plumerai v1\.1."):
        latency(table_of(network()), load_mcu("RP2040"), "plumerai 1.1")


@needs_arm
@pytest.mark.sim
def test_emit_mcu_estimates_what_it_measures(tmp_path: Path) -> None:
    save_graph(network(), tmp_path / "graph")
    result = CliRunner().invoke(app, ["emit-mcu", str(tmp_path), "--target", "RP2040", "--json"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["bit_exact"] == ["this machine", "Cortex-M7 (QEMU)"]
    figures = {metric["name"]: metric["value"] for metric in data["metrics"]}
    assert figures["mcu.rp2040.flash_bytes"] == pytest.approx(figures["mcu.cortex-m7.flash_bytes"], rel=0.02)
    assert figures["mcu.rp2040.ram_bytes"] == pytest.approx(figures["mcu.cortex-m7.ram_bytes"], rel=0.25)
    assert figures["mcu.rp2040.instructions"] == pytest.approx(figures["mcu.cortex-m7.instructions"], rel=0.2)
    assert figures["mcu.rp2040.latency_ms"] > 0


def test_emit_mcu_tells_a_network_that_does_not_fit(
    tmp_path: Path, write: Callable[[str, str], Path]
) -> None:
    save_graph(network(), tmp_path / "graph")
    text = load_mcu("STM32F746NG").model_dump_json()
    small = json.loads(text) | {"name": "tiny", "ram_bytes": {"value": 1000, "source": "made up"}}
    path = write("tiny.yaml", json.dumps(small))
    result = CliRunner().invoke(app, ["emit-mcu", str(tmp_path), "--target", str(path)])
    assert result.exit_code == 5, result.output
    assert "RAM: needs" in result.output
    assert "tiny has 1,000" in result.output


def test_emit_mcu_without_arm_tools_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_graph(network(), tmp_path / "graph")
    real = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, **more: None if "arm-none" in name else real(name, **more)
    )
    result = CliRunner().invoke(app, ["emit-mcu", str(tmp_path), "--out", str(tmp_path / "c")])
    assert result.exit_code == 0, result.output
    assert "arm-none-eabi-gcc is missing; apt-get install" in result.output
    assert "bit-exact to the golden model on this machine" in result.output
    assert (tmp_path / "c" / "net.c").is_file()


def test_emit_mcu_errors(tmp_path: Path) -> None:
    runner = CliRunner()
    empty = runner.invoke(app, ["emit-mcu", str(tmp_path)])
    assert empty.exit_code == 1
    assert "--until convert" in empty.output
    unknown = runner.invoke(app, ["emit-mcu", str(tmp_path), "--target", "STM32Z9"])
    assert unknown.exit_code == 1
    assert "STM32" in unknown.output


def test_emit_mcu_finds_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hwflow.mcu import emit

    save_graph(network(), tmp_path / "graph")
    pack = emit.pack_tensor
    monkeypatch.setattr(emit, "pack_tensor", lambda t, codes: pack(t, codes ^ (t.node.name == "y")))
    result = CliRunner().invoke(app, ["emit-mcu", str(tmp_path)])
    assert result.exit_code == 3, result.output
    assert "differs from the golden model" in result.output


@pytest.mark.parametrize("wide", [False, True], ids=["32 bits", "64 bits"])
def test_the_table_knows_every_kernel_of_the_library(wide: bool) -> None:
    known = mcu_kernels.table()
    for name, spec in ops().items():
        for case in spec.cases() if name != "input" else ():
            if not reasons(case.node):
                program = lower(case_graph(case), wide=wide)
                terms = (term for layer in program.layers for term in mcu_kernels.work(program, layer))
                assert {key for key, value in terms if value} <= set(known["instructions"]), case.name
                assert mcu_kernels.code_bytes(program) > 0, case.name


def test_flash_of_a_network_is_that_of_the_table() -> None:
    program = lower(network())
    found = estimate(network(), load_mcu("STM32H743ZI"))
    assert found.flash == mcu_kernels.flash_bytes(program)
    assert found.misfits == ()
