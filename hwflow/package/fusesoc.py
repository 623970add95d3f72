# SPDX-License-Identifier: Apache-2.0
"""The core file of FuseSoC: lint, simulation and synthesis of a package (CAPI2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from hwflow.package.content import Content


def vlnv(content: Content) -> str:
    """Vendor, library, name and version."""
    options = content.options
    return f"{options.vendor}:{options.library}:{content.top}:{options.version}"


def target_names(content: Content) -> list[str]:
    """Targets that the core file has."""
    return ["lint", "sim", "synth", *["sim_icarus", "synth_verilog"] * content.options.verilog]


def core_source(content: Content, sources: Sequence[str], memories: Sequence[str]) -> str:
    """Text of the core file.

    Parameters
    ----------
    content : Content
        The package.
    sources, memories : sequence of str
        Files in ``rtl/``.
    """
    top, bench = content.top, f"{content.top}_tb"
    twin = content.options.verilog

    def here(name: str, folder: str, **more: str) -> dict[str, Any]:
        return {f"{folder}/{name}": {"copyto": name, **more}}

    filesets: dict[str, Any] = {
        "rtl": {
            "files": [f"rtl/{name}" for name in sources if name.endswith(".sv")],
            "file_type": "systemVerilogSource",
        },
        "top": {"files": [f"rtl/{top}.v"], "file_type": "verilogSource-2005"},
        "waivers": {"files": ["rtl/waivers.vlt"], "file_type": "vlt"},
        "bench": {
            "files": [
                {f"tb/{bench}.sv": {"file_type": "systemVerilogSource"}},
                *(here(f"{top}_{port.file}", "tb", file_type="user") for port in content.ports),
            ]
        },
    }
    design = ["rtl", "top"]
    if memories:  # looked for in the folder that a tool runs in
        filesets["memories"] = {"files": [here(name, "rtl") for name in memories], "file_type": "mem"}
        design.append("memories")
    targets: dict[str, Any] = {
        "default": {"filesets": [*design], "toplevel": top},
        "lint": {
            "description": "Verilator, every warning an error",
            "flow": "lint",
            "flow_options": {"tool": "verilator", "verilator_options": ["-Wall"]},
            "filesets": ["waivers", *design],
            "toplevel": top,
        },
        "sim": {
            "description": "golden vectors in Verilator",
            "flow": "sim",
            "flow_options": {
                "tool": "verilator",
                "mode": "binary",
                "verilator_options": [
                    *("--timing", "--output-split 0", "-Wno-fatal", "-Wno-lint", "-Wno-style"),
                    '-CFLAGS "-std=c++20 -fcoroutines -O0"',
                ],
            },
            "filesets": [*design, "bench"],
            "toplevel": bench,
        },
        "synth": {
            "description": "Vivado, out of context; choose the part with --part",
            "flow": "vivado",
            "flow_options": {"part": "xc7z020clg400-1", "synth": "vivado", "pnr": "none"},
            "filesets": [*design],
            "toplevel": top,
        },
    }
    if twin:
        filesets["verilog"] = {"files": [f"verilog/{top}.v"], "file_type": "verilogSource-2005"}
        targets["sim_icarus"] = {
            "description": "golden vectors in Icarus Verilog, from the plain Verilog",
            "flow": "sim",
            "flow_options": {"tool": "icarus", "iverilog_options": ["-g2012"]},
            "filesets": ["verilog", "bench"],
            "toplevel": bench,
        }
        targets["synth_verilog"] = {
            "description": "Yosys, from the plain Verilog",
            "flow": "generic",
            "flow_options": {"tool": "yosys", "arch": "xilinx", "output_format": "json"},
            "filesets": ["verilog"],
            "toplevel": top,
        }
    core = {
        "name": vlnv(content),
        "description": f"{content.core}, a streaming neural-network accelerator",
        "filesets": filesets,
        "targets": targets,
    }
    return "CAPI=2:\n" + yaml.safe_dump(core, sort_keys=False, width=120)
