# SPDX-License-Identifier: Apache-2.0
"""Simulating an emitted RTL folder in Verilator: codes in, codes and cycle counts out."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import ToolError, UserError, VerificationError
from hwflow.numerics.fixed import Codes, FixedType
from hwflow.tools.paths import cache_dir, sim_dir
from hwflow.tools.runner import run_tool
from hwflow.tools.verilator import FAST, read_filelist, verilate, verilator_env

_DEADLOCK = 3
#: Longest silence, in bounds of the initiation interval, that is not a deadlock.
_SILENCE = 8


@dataclass(frozen=True, slots=True)
class RtlResult:
    """What a simulation of consecutive frames gave.

    Parameters
    ----------
    codes : ndarray of int64, shape (frames, ...shape)
        Output codes.
    latency_cycles : int
        From the first input beat of a frame to its last output beat, first frame (empty accelerator).
    ii_cycles : int or None
        Longest distance between the last beats of consecutive frames; None for a single frame.
    cycles : int
        Cycles simulated.
    seconds : float
        Processor time of the simulation loop, summed over the processes, s.
    """

    codes: Codes
    latency_cycles: int
    ii_cycles: int | None
    cycles: int
    seconds: float


def pack_beats(codes: Codes, port: dict[str, Any]) -> bytes:
    """Codes of whole frames as raw bus beats.

    Parameters
    ----------
    codes : ndarray of int64, shape (frames, ...shape)
        Codes in the port's range.
    port : dict
        An entry of ``interface.json``.
    """
    lanes, width = port["lanes"], port["lane_width"]
    values = codes.reshape(-1, lanes)
    bits = ((values[:, :, None] >> np.arange(width)) & 1).astype(np.uint8).reshape(values.shape[0], -1)
    padded = np.zeros((bits.shape[0], port["tdata_width"]), dtype=np.uint8)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1, bitorder="little").tobytes()


def unpack_beats(raw: bytes, port: dict[str, Any], beat_bits: int, width: int | None = None) -> Codes:
    """Inverse of :func:`pack_beats` for beats of ``beat_bits`` bits (a multiple of 8)."""
    lanes, lane_width = port["lanes"], port["lane_width"] if width is None else width
    data = np.frombuffer(raw, dtype=np.uint8).reshape(-1, beat_bits // 8)
    if lane_width == 8 and lanes * 8 <= beat_bits:
        values: NDArray[np.int64] = data[:, :lanes].astype(np.int64)
    elif lanes == 1 and beat_bits <= 64:
        wide = np.zeros((data.shape[0], 8), dtype=np.uint8)
        wide[:, : data.shape[1]] = data
        values = wide.view("<u8").astype(np.uint64).view(np.int64)
        values = values & np.int64((1 << lane_width) - 1 if lane_width < 64 else -1)
    else:
        bits = np.unpackbits(data, axis=1, bitorder="little")[:, : lanes * lane_width]
        weights = np.left_shift(np.int64(1), np.arange(lane_width, dtype=np.int64))
        values = bits.reshape(-1, lanes, lane_width).astype(np.int64) @ weights
    kind = FixedType.from_json(port["type"])
    if kind.signed and lane_width < 64:
        values = values - ((values >> (lane_width - 1)) << lane_width)
    return values.reshape(-1, *port["shape"])


class RtlSimulator:
    """A built simulator of one RTL folder.

    Parameters
    ----------
    folder : pathlib.Path
        What :func:`hwflow.emit.rtl.write_rtl` wrote.
    log : pathlib.Path
        Where the tools' output goes.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder = folder.resolve()
        self.log = log
        self.interface = json.loads((folder / "interface.json").read_text())
        if len(self.interface["inputs"]) != 1 or len(self.interface["outputs"]) != 1:
            raise UserError("the simulator drives designs with one input and one output")
        self.input, self.output = self.interface["inputs"][0], self.interface["outputs"][0]
        self.executable: Path | None = None

    def build(self) -> None:
        """Compile the simulator, or find it in the cache."""
        out_bytes = self.output["tdata_width"] // 8
        self.executable = verilate(
            read_filelist(self.folder / "filelist.f"),
            [sim_dir() / "harness.cpp"],
            self.interface["top"],
            cache=cache_dir("verilator"),
            log=self.log,
            flags=[
                *FAST,
                "--unroll-count",
                "4096",
                "--unroll-stmts",
                "1000000",
                "+define+HWF_TAPS",
                "-Wno-fatal",
                "-CFLAGS",
                f"-DHWF_OUT_BYTES={out_bytes}",
            ],
        )

    def run(
        self,
        codes: Codes,
        *,
        processes: int = 1,
        idle: int = 0,
        stall: int = 0,
        seed: int = 1,
    ) -> RtlResult:
        """Simulate frames, split evenly over processes.

        Parameters
        ----------
        codes : ndarray of int64, shape (frames, ...shape)
            Input codes.
        processes : int
            Simulators that run at the same time, each on consecutive frames.
        idle, stall : int
            Shares of cycles, in 1/1000, without input offered and without output taken.
        seed : int
            Seed of the stall patterns.

        Raises
        ------
        VerificationError
            When the accelerator deadlocks.
        ToolError
            When the simulator fails.
        """
        parts = [part for part in np.array_split(codes, processes) if part.shape[0]]

        def one(job: tuple[int, Codes]) -> tuple[Codes, dict[str, Any]]:
            index, part = job
            with tempfile.TemporaryDirectory(prefix="hwflow-sim-") as work:
                return self._simulate(part, Path(work), idle, stall, seed + index, [])

        with ThreadPoolExecutor(max_workers=len(parts)) as pool:
            results = list(pool.map(one, enumerate(parts)))
        reports = [report for _, report in results]
        gaps = [gap for report in reports for gap in np.diff(report["last_out"]).tolist()]
        return RtlResult(
            codes=np.concatenate([out for out, _ in results]),
            latency_cycles=reports[0]["last_out"][0] - reports[0]["first_in"][0] + 1,
            ii_cycles=max(gaps) if gaps else None,
            cycles=sum(report["cycles"] for report in reports),
            seconds=sum(report["seconds"] for report in reports),
        )

    def busy_rates(self) -> tuple[int, int]:
        """Shares of idle input and stalled output cycles, in 1/1000, that slow both ports to the design's own rate.

        Random stalls weigh most there: slower ports leave the accelerator waiting, faster ones never starve it.
        """
        bound = self.interface["ii_bound_cycles"]
        ports = (self.input, self.output)
        idle, stall = (max(0, 1000 - 1000 * port["beats_per_frame"] // bound) for port in ports)
        return min(idle, 995), min(stall, 995)

    def trace(self, codes: Codes) -> dict[str, Codes]:
        """Codes of every tensor, observed on the streams inside the accelerator.

        Parameters
        ----------
        codes : ndarray of int64, shape (frames, ...shape)
            Input codes.

        Returns
        -------
        dict of str to ndarray of int64, shape (frames, ...shape)
            By node name.
        """
        with tempfile.TemporaryDirectory(prefix="hwflow-taps-") as work:
            folder = Path(work)
            drain = str(2 * self.interface["ii_bound_cycles"] + 1000)
            self._simulate(codes, folder, 0, 0, 1, ["--drain", drain, f"+hwf_tap={folder}"])
            tensors = {}
            for tap in self.interface["taps"]:
                beat_bits = -(-tap["lanes"] * tap["lane_width"] // 32) * 32
                raw = (folder / tap["file"]).read_bytes()
                tensors[tap["tensor"]] = unpack_beats(raw, tap, beat_bits)
            return tensors

    def _simulate(
        self, codes: Codes, work: Path, idle: int, stall: int, seed: int, more: Sequence[str]
    ) -> tuple[Codes, dict[str, Any]]:
        if self.executable is None:
            self.build()
        (work / "in.bin").write_bytes(pack_beats(codes, self.input))
        argv: list[str | Path] = [
            self.executable or "", "--in", work / "in.bin", "--out", work / "out.bin",
            "--report", work / "report.json", "--frames", str(codes.shape[0]),
            "--in-beats", str(self.input["beats_per_frame"]),
            "--out-beats", str(self.output["beats_per_frame"]),
            "--idle", str(idle), "--stall", str(stall), "--seed", str(seed),
            "--timeout", str(max(100_000, _SILENCE * self.interface["ii_bound_cycles"])), *more,
        ]  # fmt: skip
        try:
            run_tool(argv, log=self.log, tool="rtl simulation", cwd=self.folder, env=verilator_env())
        except ToolError as error:
            if error.exit_code_of_tool == _DEADLOCK:
                raise VerificationError(
                    f"the RTL deadlocks: {error.last_lines[-1] if error.last_lines else 'no transfer'}",
                    f"see {self.log}; this is a fault of hwflow, please report the design",
                ) from error
            raise
        raw = (work / "out.bin").read_bytes()
        report = json.loads((work / "report.json").read_text())
        return unpack_beats(raw, self.output, self.output["tdata_width"]), report


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))
