# SPDX-License-Identifier: Apache-2.0
"""The whole package as one module of plain Verilog, its memories inside: for tools that read no SystemVerilog."""

from __future__ import annotations

from pathlib import Path

from hwflow.package.content import Content
from hwflow.tools.yosys import read_slang, run_yosys

_HEADER = """\
// SPDX-License-Identifier: Apache-2.0
//
// {top}: the SystemVerilog of ../rtl in one module of plain Verilog (IEEE 1364-2005), memory images included.
// Made by elaboration alone: every register, memory and operator is that of the SystemVerilog.
// Network sha256 {sha256}

"""


def write_twin(content: Content, rtl: Path, path: Path, log: Path) -> None:
    """Write the Verilog of a package.

    Parameters
    ----------
    content : Content
        The package.
    rtl : pathlib.Path
        Folder with its sources and memory images.
    path : pathlib.Path
        Verilog file.
    log : pathlib.Path
        Where Yosys' output goes.

    Raises
    ------
    ToolNotFoundError
        When pyosys is not installed.
    ToolError
        When Yosys fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sources = sorted(file.resolve() for pattern in ("*.sv", "*.v") for file in rtl.glob(pattern))
    commands = [
        read_slang(sources, content.top),
        "hierarchy -check",
        "proc",
        "flatten",
        "opt_clean",
        "check -assert",
        "attrmap -remove src -remove hdlname -remove unused_bits -remove full_case -remove parallel_case",
        "attrmap -modattr -remove src -remove hdlname -remove top",
        f"write_verilog {path.resolve()}",
    ]
    run_yosys(commands, script=log.with_suffix(".ys"), log=log, cwd=rtl)
    _, _, text = path.read_text().partition("*/\n")  # without the remark of the tool
    path.write_text(_HEADER.format(top=content.top, sha256=content.graph_sha256) + text.lstrip("\n"))
