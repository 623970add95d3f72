# SPDX-License-Identifier: Apache-2.0
"""Build a cocotb bench with Verilator, run it, and keep the waveform of what fails."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cocotb_tools.runner import get_runner

#: Unknown bits and start values are random, assertions are on: what a bench wants to see.
_BUILD = ("--assert", "--x-assign", "unique", "--x-initial", "unique", "-Wno-fatal", "-CFLAGS", "-O0")


class BenchError(Exception):
    """A bench found something wrong.

    Parameters
    ----------
    failures : sequence of (str, str)
        Names of the failed tests and what they say.
    seed : int
        Seed that repeats it.
    wave : pathlib.Path or None
        Waveform of the failed tests.
    """

    def __init__(self, failures: Sequence[tuple[str, str]], seed: int, wave: Path | None) -> None:
        self.failures = tuple(failures)
        self.seed = seed
        self.wave = wave
        lines = [f"{name}: {text}" for name, text in failures]
        super().__init__("\n".join([*lines, f"seed {seed}, waveform {wave}"]))


@dataclass(frozen=True)
class Bench:
    """What to build and how to run it.

    Parameters
    ----------
    sources : sequence of pathlib.Path
        SystemVerilog and ``.vlt`` files.
    top : str
        Top module.
    module : str
        Python module with the cocotb tests.
    build : pathlib.Path
        Folder of the simulator.
    work : pathlib.Path
        Folder the simulator runs in, where it finds its memory files and leaves its results.
    seed : int
        Seed of stall patterns and start values.
    env : mapping of str to str
        Variables for the tests.
    plusargs : sequence of str
        Arguments of the simulation.
    build_args : sequence of str
        More arguments for Verilator.
    """

    sources: Sequence[Path]
    top: str
    module: str
    build: Path
    work: Path
    seed: int = 1
    env: Mapping[str, str] = field(default_factory=dict)
    plusargs: Sequence[str] = ()
    build_args: Sequence[str] = ()

    def compile(self, waves: bool = False) -> Path:
        """Build the simulator; make decides what is out of date. Returns its folder."""
        folder = self.build.with_name(self.build.name + "-waves") if waves else self.build
        folder.mkdir(parents=True, exist_ok=True)
        get_runner("verilator").build(
            sources=list(self.sources), hdl_toplevel=self.top, build_dir=folder, waves=waves,
            build_args=[*_BUILD, *self.build_args], timescale=("1ns", "1ps"), log_file=folder / "build.log",
        )  # fmt: skip
        return folder

    def run(self) -> int:
        """Run all tests; those that fail run once more with waveforms.

        Returns
        -------
        int
            Number of tests that ran.

        Raises
        ------
        BenchError
            When a test fails, or none ran.
        """
        count, failures = self._simulate(self.compile(), waves=False)
        if not failures:
            return count
        if not any(name for name, _ in failures):
            raise BenchError(failures, self.seed, None)
        self._simulate(self.compile(waves=True), waves=True, only=[name for name, _ in failures])
        wave = self.build.with_suffix(".vcd")
        shutil.move(self.work / "dump.vcd", wave)
        raise BenchError(failures, self.seed, wave)

    def _simulate(
        self, build: Path, waves: bool, only: Sequence[str] = ()
    ) -> tuple[int, list[tuple[str, str]]]:
        results = self.work / f"{self.build.name}.results.xml"
        chosen = "|".join(re.escape(name) for name in only)
        try:
            get_runner("verilator").test(
                test_module=self.module, hdl_toplevel=self.top, hdl_toplevel_lang="verilog",
                build_dir=build, test_dir=self.work, results_xml=str(results), waves=waves, seed=self.seed,
                plusargs=["+verilator+rand+reset+2", f"+verilator+seed+{self.seed}", *self.plusargs],
                extra_env=dict(self.env), test_filter=rf"(\.|^)({chosen})$" if only else None,
                log_file=build / "test.log",
            )  # fmt: skip
        except SystemExit:
            pass  # what failed is in the results, and nothing there is a failure too
        return _read_results(results, build / "test.log")


def _read_results(results: Path, log: Path) -> tuple[int, list[tuple[str, str]]]:
    """Number of tests, and name and message of those that failed."""
    if not results.is_file():
        tail = log.read_text(errors="replace").splitlines()[-20:] if log.is_file() else []
        return 0, [("", "\n".join(["the simulation ended without results", *tail]))]
    cases = list(ElementTree.parse(results).getroot().iter("testcase"))
    failures = []
    for case in cases:
        found = [child for child in case if child.tag in ("failure", "error")]
        if found:
            text = found[0].get("message") or found[0].text or found[0].tag
            failures.append((case.get("name", "?"), text.strip()))
    return len(cases), failures if cases else [("", f"no test ran; see {log}")]
