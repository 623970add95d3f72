# SPDX-License-Identifier: Apache-2.0
"""The modules of packages with registers, as one device with two independent inputs and outputs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hwflow.ir.graph import QuantGraph
from hwflow.ops.casekit import grid, quantizer
from hwflow.package.content import Options, read_run
from hwflow.package.registers import address_bits, register_map
from hwflow.package.write import package_files
from hwflow.tools.verilator import read_filelist
from hwflow.tools.yosys import synthesize
from hwflow.verify.bench.simulate import Bench
from rtl_tests.networks import Builder
from rtl_tests.units import simulate
from tests.test_package import make_run, renamed

FRAMES = 40


def two_networks() -> QuantGraph:
    """Inputs and outputs that do not know of each other: only the registers keep them together."""
    net = Builder(np.random.default_rng(5), 24)
    image = net.input((2, 3, 2), grid(5, 3))
    vector = renamed(net, net.input((4,), grid(7, 2)), "vector")
    x = net.quantize(net.conv(image, 3, 1), quantizer(7, 3))
    y = net.quantize(net.dense(vector, 5), quantizer(8, 3))
    return QuantGraph("two", tuple(net.nodes), (x.name, y.name))


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RTL and what a bench has to know."""
    folder = tmp_path_factory.mktemp("control")
    run = make_run(two_networks(), folder / "run", FRAMES)
    content = read_run(run, Options(control=True, frames=FRAMES))
    for name, text in package_files(content).items():
        if name.startswith("rtl/"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
    registers = register_map(content)
    setup = {
        "size": 1 << address_bits(registers),
        "frames": FRAMES,
        "latency": content.latency,
        "registers": {r.name: {"offset": r.offset, "value": r.constant or 0} for r in registers},
        "ports": {
            port.prefix: {"beats": port.beats, "vectors": [int(beat, 16) for beat in port.vectors]}
            for port in content.ports
        },
    }
    (folder / "control.json").write_text(json.dumps(setup))
    return folder


@pytest.mark.sim
@pytest.mark.xdist_group("rtllib")
def test_registers_and_frames(device: Path, sim_build: Path, sim_env: None, seed: int, rerun: str) -> None:
    work = sim_build / "control"
    work.mkdir(exist_ok=True)
    for image in (device / "rtl").glob("*.mem"):
        (work / image.name).write_text(image.read_text())
    bench = Bench(
        sources=read_filelist(device / "rtl/filelist.f"), top="two_axi", module="rtl_tests.cocotb_control",
        build=work / "build", work=work, seed=seed, env={"HWF_CONTROL": str(device / "control.json")},
        build_args=["--no-timing"],
    )  # fmt: skip
    assert simulate(bench, "two_axi", rerun) == 9


@pytest.mark.synth
@pytest.mark.parametrize("module", ["two_regs", "hwf_supervisor"])
def test_synthesis(module: str, device: Path, tmp_path: Path) -> None:
    names = ["hwf_axil", "two_regs"] if module == "two_regs" else [module]
    files = [device / f"rtl/{name}.sv" for name in names]
    result = synthesize(files, module, out=tmp_path, log=tmp_path / "yosys.log", command="synth_ecp5")
    assert sum(result.cells.values()) > 0
