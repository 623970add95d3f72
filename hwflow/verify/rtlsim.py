# SPDX-License-Identifier: Apache-2.0
"""Simulating an emitted RTL folder in Verilator: codes in, codes and cycle counts out."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwflow.emit.rtl import port_names
from hwflow.errors import DeadlockError, ToolError, UserError
from hwflow.numerics.fixed import Codes, FixedType
from hwflow.tools.paths import cache_dir, sim_dir
from hwflow.tools.runner import run_tool
from hwflow.tools.verilator import FAST, read_filelist, verilate, verilator_env

Stimuli = Codes | Mapping[str, Codes]
"""Codes of whole frames: by input tensor, or an array where there is one input."""

_DEADLOCK = 3
#: Longest silence, in bounds of the initiation interval, that is not a deadlock.
_SILENCE = 8


@dataclass(frozen=True, slots=True)
class RtlResult:
    """What a simulation of consecutive frames gave.

    Parameters
    ----------
    outputs : dict of str to ndarray of int64, shape (frames, ...shape)
        Codes of each output tensor, in the ports' order.
    latency_cycles : int
        From a frame's first beat at any input to its last beat at any output, first frame (empty accelerator).
    ii_cycles : int or None
        Longest distance between the last beats, at any output, of consecutive frames; None for a single frame.
    cycles : int
        Cycles simulated.
    seconds : float
        Processor time of the simulation loop, summed over the processes, s.
    """

    outputs: dict[str, Codes]
    latency_cycles: int
    ii_cycles: int | None
    cycles: int
    seconds: float

    @property
    def codes(self) -> Codes:
        """Codes of the only output."""
        (codes,) = self.outputs.values()
        return codes


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
        self.inputs: list[dict[str, Any]] = self.interface["inputs"]
        self.outputs: list[dict[str, Any]] = self.interface["outputs"]
        self.executable: Path | None = None

    def build(self, *, cache: Path | None = None, flags: Sequence[str] = FAST) -> None:
        """Compile the simulator, or find it in the cache.

        Parameters
        ----------
        cache : pathlib.Path, optional
            Folder of built simulators; the user's cache by default.
        flags : sequence of str
            How Verilator builds it: for long runs, or :data:`~hwflow.tools.verilator.QUICK` for short ones.
        """
        ports = [
            _macros("SOURCE", port_names("s_axis", len(self.inputs)), self.inputs),
            _macros("SINK", port_names("m_axis", len(self.outputs)), self.outputs),
        ]
        self.executable = verilate(
            read_filelist(self.folder / "filelist.f"),
            [sim_dir() / "harness.cpp"],
            self.interface["top"],
            cache=cache or cache_dir("verilator"),
            log=self.log,
            flags=[
                *flags,
                "--unroll-count",
                "4096",
                "--unroll-stmts",
                "1000000",
                "+define+HWF_TAPS",
                "-Wno-fatal",
                "-CFLAGS",
                " ".join(ports),
            ],
        )

    def run(
        self,
        codes: Stimuli,
        *,
        processes: int = 1,
        idle: int = 0,
        stall: int = 0,
        seed: int = 1,
    ) -> RtlResult:
        """Simulate frames, split evenly over processes.

        Parameters
        ----------
        codes : ndarray of int64, shape (frames, ...shape), or mapping of str to such arrays
            Input codes, by input tensor where there is more than one.
        processes : int
            Simulators that run at the same time, each on consecutive frames.
        idle, stall : int
            Shares of cycles, in 1/1000, without input offered and without output taken.
        seed : int
            Seed of the stall patterns.

        Raises
        ------
        UserError
            When an input is missing, or inputs have different numbers of frames.
        DeadlockError
            When the accelerator deadlocks.
        ToolError
            When the simulator fails.
        """
        stimuli = self._by_tensor(codes)
        split = {name: np.array_split(values, processes) for name, values in stimuli.items()}
        parts = [dict(zip(split, part, strict=True)) for part in zip(*split.values(), strict=True)]
        parts = [part for part in parts if _frames(part)]

        def one(job: tuple[int, dict[str, Codes]]) -> tuple[dict[str, Codes], dict[str, Any]]:
            index, part = job
            with tempfile.TemporaryDirectory(prefix="hwflow-sim-") as work:
                return self._simulate(part, Path(work), idle, stall, seed + index, [])

        with ThreadPoolExecutor(max_workers=len(parts)) as pool:
            results = list(pool.map(one, enumerate(parts)))
        reports = [report for _, report in results]
        gaps = [gap for report in reports for gap in np.diff(report["last_out"]).tolist()]
        return RtlResult(
            outputs={name: np.concatenate([out[name] for out, _ in results]) for name in results[0][0]},
            latency_cycles=reports[0]["last_out"][0] - reports[0]["first_in"][0] + 1,
            ii_cycles=max(gaps) if gaps else None,
            cycles=sum(report["cycles"] for report in reports),
            seconds=sum(report["seconds"] for report in reports),
        )

    def _by_tensor(self, codes: Stimuli) -> dict[str, Codes]:
        """Codes of each input, in the ports' order."""
        names = [port["tensor"] for port in self.inputs]
        if not isinstance(codes, Mapping):
            if len(names) != 1:
                raise UserError(f"the design has the inputs {', '.join(names)}; give codes for each by name")
            return {names[0]: codes}
        if missing := [name for name in names if name not in codes]:
            raise UserError(f"no codes given for input {missing[0]!r}")
        stimuli = {name: codes[name] for name in names}
        if len(counts := {len(values) for values in stimuli.values()}) != 1:
            raise UserError(f"the inputs have different numbers of frames: {sorted(counts)}")
        return stimuli

    def busy_rates(self) -> tuple[int, int]:
        """Shares of idle input and stalled output cycles, in 1/1000, that slow both ports to the design's own rate.

        Random stalls weigh most there: slower ports leave the accelerator waiting, faster ones never starve it.
        """
        bound = self.interface["ii_bound_cycles"]
        beats = [max(port["beats_per_frame"] for port in ports) for ports in (self.inputs, self.outputs)]
        idle, stall = (max(0, 1000 - 1000 * most // bound) for most in beats)
        return min(idle, 995), min(stall, 995)

    def trace(self, codes: Stimuli, *, idle: int = 0, stall: int = 0, seed: int = 1) -> dict[str, Codes]:
        """Codes of every tensor, observed on the streams inside the accelerator.

        Parameters
        ----------
        codes : ndarray of int64, shape (frames, ...shape), or mapping of str to such arrays
            Input codes, by input tensor where there is more than one.
        idle, stall, seed : int
            As of :meth:`run`.

        Returns
        -------
        dict of str to ndarray of int64, shape (frames, ...shape)
            By node name.
        """
        with tempfile.TemporaryDirectory(prefix="hwflow-taps-") as work:
            folder = Path(work)
            drain = str(2 * self.interface["ii_bound_cycles"] + 1000)
            more = ["--drain", drain, f"+hwf_tap={folder}"]
            self._simulate(self._by_tensor(codes), folder, idle, stall, seed, more)
            tensors = {}
            for tap in self.interface["taps"]:
                beat_bits = -(-tap["lanes"] * tap["lane_width"] // 32) * 32
                raw = (folder / tap["file"]).read_bytes()
                tensors[tap["tensor"]] = unpack_beats(raw, tap, beat_bits)
            return tensors

    def _simulate(
        self, codes: dict[str, Codes], work: Path, idle: int, stall: int, seed: int, more: Sequence[str]
    ) -> tuple[dict[str, Codes], dict[str, Any]]:
        if self.executable is None:
            self.build()
        ports: list[str | Path] = []
        for number, port in enumerate(self.inputs):
            (work / f"in{number}.bin").write_bytes(pack_beats(codes[port["tensor"]], port))
            ports += ["--in", work / f"in{number}.bin", "--in-beats", str(port["beats_per_frame"])]
        for number, port in enumerate(self.outputs):
            ports += ["--out", work / f"out{number}.bin", "--out-beats", str(port["beats_per_frame"])]
        argv: list[str | Path] = [
            self.executable or "", *ports, "--report", work / "report.json", "--frames", str(_frames(codes)),
            "--idle", str(idle), "--stall", str(stall), "--seed", str(seed),
            "--timeout", str(max(100_000, _SILENCE * self.interface["ii_bound_cycles"])), *more,
        ]  # fmt: skip
        try:
            run_tool(argv, log=self.log, tool="rtl simulation", cwd=self.folder, env=verilator_env())
        except ToolError as error:
            if error.exit_code_of_tool == _DEADLOCK:
                raise DeadlockError(
                    f"the RTL deadlocks: {error.last_lines[-1] if error.last_lines else 'no transfer'}",
                    f"see {self.log}; this is a fault of hwflow, please report the design",
                ) from error
            raise
        report = json.loads((work / "report.json").read_text())
        outputs = {
            port["tensor"]: unpack_beats((work / f"out{number}.bin").read_bytes(), port, port["tdata_width"])
            for number, port in enumerate(self.outputs)
        }
        return outputs, report


def _macros(macro: str, prefixes: list[str], ports: list[dict[str, Any]]) -> str:
    """The harness's list of ports on one side, as an option of the C++ compiler."""
    sizes = (port["tdata_width"] // 8 for port in ports)
    items = [
        f"{macro}({i},{prefix},{size})" for i, (prefix, size) in enumerate(zip(prefixes, sizes, strict=True))
    ]
    return f"'-DHWF_{macro}S={','.join(items)}'"


def _frames(codes: Mapping[str, Codes]) -> int:
    """Number of frames."""
    return len(next(iter(codes.values())))


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))
