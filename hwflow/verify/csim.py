# SPDX-License-Identifier: Apache-2.0
"""Compile and run the C++ of an hls4ml project (C simulation), bit for bit.

The project is compiled once, with tracing built in, and again only when a source changes. It runs in
worker processes: a crash in the C++ becomes a :class:`~hwflow.errors.ToolError`, and frames spread over the
processor's cores. Values cross the border as doubles, which hold every code of up to 53 bits.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import UserError
from hwflow.files import copy_file
from hwflow.frontends.keras_hls4ml import INTERFACE_FILE, Tensors, as_ports
from hwflow.numerics.codes import to_codes
from hwflow.numerics.fixed import Codes, FixedType
from hwflow.tools.paths import cache_dir
from hwflow.tools.precompiled import precompiled
from hwflow.tools.runner import find_tool, run_tool

Frames = NDArray[np.float64]

FAST, QUICK = ("-O3",), ("-O0",)
"""Optimization for many frames, and for a few frames of a small network."""

# ap_fixed asserts that a bit exists before it decides not to use it: where rounding drops more bits than there are.
_FLAGS = ("-DNDEBUG", "-fPIC", "-std=c++17", "-w", "-fno-gnu-unique")
_INCLUDE = "firmware/ap_types"
_WEIGHTS = "firmware/weights"
# What each project's files include: most of the time that a small project takes to compile.
_HEADERS = (
    "algorithm", "array", "cmath", "cstdio", "cstdlib", "fstream", "iostream", "map", "sstream", "string", "tuple",
    "type_traits", "vector", "ap_fixed.h", "ap_int.h", "hls_stream.h",
)  # fmt: skip
_REMEDY = "install g++ (Debian: apt-get install g++)"
LIBRARY = "csim.so"
INPUT_FILE, OUTPUT_FILE, LAYER_FILE = "input{}.npy", "output{}.npy", "layer{}.npy"
TIME_FILE = "seconds.npy"


class Csim:
    """C simulation of a written hls4ml project.

    Parameters
    ----------
    project : pathlib.Path
        Folder from :func:`hwflow.frontends.keras_hls4ml.write_project`.
    log : pathlib.Path, optional
        Where the compiler's and the workers' output goes; ``csim.log`` in the project otherwise.
    jobs : int, optional
        Worker processes at most; the number of cores otherwise.
    flags : sequence of str
        How the compiler optimizes: :data:`FAST` or :data:`QUICK`.

    Raises
    ------
    ToolNotFoundError
        Without g++.
    ToolError
        When the C++ does not compile.
    """

    def __init__(
        self,
        project: Path,
        *,
        log: Path | None = None,
        jobs: int | None = None,
        flags: Sequence[str] = FAST,
    ) -> None:
        self.project = project.resolve()
        self.log = (log or project / "csim.log").resolve()
        self.jobs = jobs or os.cpu_count() or 1
        self.flags = (*flags, *_FLAGS)
        self.seconds_per_frame: float | None = None
        """Processor time of one frame in the latest :meth:`run`, s; None before."""
        self.interface = json.loads((self.project / INTERFACE_FILE).read_text())
        self.build_seconds = self._build()
        """Time the compiler took, s; 0 when nothing had changed."""

    @property
    def output_types(self) -> list[FixedType]:
        """Grid of each output's codes."""
        return [FixedType.from_json(port["type"]) for port in self.interface["outputs"]]

    @property
    def output_type(self) -> FixedType:
        """Grid of the only output's codes."""
        (type_,) = self.output_types
        return type_

    @property
    def layer_types(self) -> dict[str, FixedType]:
        """Grid of each traced layer's codes."""
        return {name: FixedType.from_json(layer["type"]) for name, layer in self.interface["layers"].items()}

    def outputs(self, frames: Tensors) -> list[Codes]:
        """Codes of each output, in the model's order.

        Parameters
        ----------
        frames : ndarray of float, shape (n_frames, ...), or sequence of such arrays
            Inputs on their grids; one array an input, in the model's order.

        Returns
        -------
        list of ndarray of int64, shape (n_frames, ...)

        Raises
        ------
        UserError
            When the frames have the wrong shape or lie off the input grid.
        ToolError
            When the C++ crashes.
        """
        outputs, _ = self._simulate(frames, trace=False)
        return outputs

    def run(self, frames: Tensors) -> Codes:
        """Codes of the only output (see :meth:`outputs`)."""
        (codes,) = self.outputs(frames)
        return codes

    def trace(self, frames: Tensors) -> dict[str, Codes]:
        """Codes of every layer that hls4ml computes, by name (a flatten in a stream computes nothing)."""
        _, layers = self._simulate(frames, trace=True)
        return layers

    def simulate(self, frames: Tensors) -> tuple[list[Codes], dict[str, Codes]]:
        """Codes of each output and of every layer, from one run (see :meth:`outputs` and :meth:`trace`)."""
        return self._simulate(frames, trace=True)

    def _build(self) -> float:
        """Compile the library unless it exists for these very sources, here or in the user's cache."""
        compiler = find_tool("g++", _REMEDY)
        digest = self._library.with_suffix(".sha256")
        key = self._sources_key(compiler)
        if self._library.exists() and digest.exists() and digest.read_text() == key:
            return 0.0
        known = cache_dir("csim") / f"{key[:32]}.so" if FAST[0] in self.flags else None
        if known is not None and known.is_file():
            copy_file(known, self._library)
            digest.write_text(key)
            return 0.0
        seconds = self._compile(compiler)
        digest.write_text(key)
        if known is not None:
            copy_file(self._library, known)
        return seconds

    def _compile(self, compiler: Path) -> float:
        """Compile the library, and say how long that took, s."""
        name = self.interface["project"]
        flags = [*self.flags, f"-I{_INCLUDE}", f'-DWEIGHTS_DIR="{_WEIGHTS}"']
        types = [path for path in (self.project / _INCLUDE).rglob("*") if path.is_file()]
        shared = precompiled(_HEADERS, compiler, flags, sources=types, cwd=self.project, log=self.log)
        argv: list[str | Path] = [compiler, *flags, "-shared", "-include", shared]
        # as one translation unit: the headers are read once
        argv += ["-include", f"firmware/{name}.cpp", f"{name}_bridge.cpp", "-o", self._library.name]
        return run_tool(argv, log=self.log, tool="g++", cwd=self.project).seconds

    @property
    def _library(self) -> Path:
        return self.project / LIBRARY

    def _sources_key(self, compiler: Path) -> str:
        """Hash of all that the library depends on; weights are read when it runs."""
        total = hashlib.sha256(f"{compiler} {compiler.stat().st_mtime_ns} {self.flags}".encode())
        sources = [*self.project.glob("*.cpp"), *(self.project / "firmware").rglob("*")]
        for path in sorted(sources):
            if path.is_file() and path.suffix in (".cpp", ".h"):
                total.update(f"{path.relative_to(self.project)}\0".encode() + path.read_bytes())
        return total.hexdigest()

    def _simulate(self, frames: Tensors, *, trace: bool) -> tuple[list[Codes], dict[str, Codes]]:
        ports = self._checked(as_ports(frames))
        split = (np.array_split(port, min(self.jobs, len(port))) for port in ports)
        parts = list(zip(*split, strict=True))
        with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(len(parts)) as pool:
            folders = [Path(scratch) / str(index) for index in range(len(parts))]
            list(pool.map(lambda job: self._run_worker(*job, trace=trace), zip(folders, parts, strict=True)))
            outputs = [
                self._gather(folders, OUTPUT_FILE.format(index), port)
                for index, port in enumerate(self.interface["outputs"])
            ]
            layers = (
                {
                    name: self._gather(folders, LAYER_FILE.format(index), layer)
                    for index, (name, layer) in enumerate(self.interface["layers"].items())
                }
                if trace
                else {}
            )
            seconds = np.concatenate([np.load(folder / TIME_FILE) for folder in folders])
        if not trace:
            self.seconds_per_frame = float(seconds.mean())
        return outputs, layers

    def _checked(self, ports: list[Frames]) -> list[Frames]:
        """Frames as doubles with their batch axis, on the input grids."""
        inputs = self.interface["inputs"]
        if len(ports) != len(inputs):
            raise UserError(f"csim got {len(ports)} arrays of frames, the network has {len(inputs)} inputs")
        frames = [np.asarray(port, dtype=np.float64) for port in ports]
        for values, port in zip(frames, inputs, strict=True):
            if values.shape[1:] != tuple(port["shape"]) or not len(frames[0]) == len(values) > 0:
                raise UserError(
                    f"csim got frames of shape {values.shape}, the network needs (n_frames, "
                    f"{', '.join(map(str, port['shape']))}) with n_frames of at least 1, equal for all inputs",
                    "give one more axis for a single frame",
                )
            to_codes(values, FixedType.from_json(port["type"]))
        return frames

    def _run_worker(self, folder: Path, ports: Sequence[Frames], *, trace: bool) -> None:
        folder.mkdir()
        for index, values in enumerate(ports):
            np.save(folder / INPUT_FILE.format(index), values)
        argv = [sys.executable, "-m", "hwflow.verify.csim_worker", str(folder), str(int(trace))]
        run_tool(argv, log=self.log, tool="csim", cwd=self.project)

    def _gather(self, folders: list[Path], name: str, tensor: Mapping[str, list[int]]) -> Codes:
        values = np.concatenate([np.load(folder / name) for folder in folders])
        return to_codes(values.reshape(-1, *tensor["shape"]), FixedType.from_json(tensor["type"]))
