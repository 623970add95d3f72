# SPDX-License-Identifier: Apache-2.0
"""Drivers for the host, in Python and C: what all accelerators share lies in ``host/``, the rest is made here."""

from __future__ import annotations

from hwflow.package.content import Content
from hwflow.package.registers import register_map
from hwflow.package.templates import rendered
from hwflow.tools.paths import package_dir

_SHARED = {"python/hwf_host.py": "hwf_host.py", "c/hwf_host.h": "hwf_host.h", "c/hwf_host.c": "hwf_host.c"}


def driver_files(content: Content) -> dict[str, str]:
    """Drivers by their path."""
    host = package_dir() / "package" / "host"
    registers = register_map(content)
    files = {path: (host / name).read_text() for path, name in _SHARED.items()}
    files[f"python/{content.name}.py"] = rendered("host.py.j2", content, registers=registers)
    files[f"c/{content.name}.h"] = rendered("host.h.j2", content, registers=registers)
    return files
