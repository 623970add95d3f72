# SPDX-License-Identifier: Apache-2.0
"""Writing a package: all of it beside its place, then in one move."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hwflow.errors import UserError
from hwflow.package.bench import bench_files
from hwflow.package.content import Content
from hwflow.package.document import interface_document, interface_json
from hwflow.package.drivers import driver_files
from hwflow.package.fusesoc import core_source
from hwflow.package.integration import litex_source, vivado_source
from hwflow.package.ipxact import component_source
from hwflow.package.twin import write_twin
from hwflow.package.wrapper import CONTROL_MODULES, regs_name, regs_source, top_source
from hwflow.tools.paths import package_dir, sim_dir

FILELIST, WAIVERS = "filelist.f", "waivers.vlt"


def check_place(folder: Path) -> None:
    """Refuse a place for the package that is not free.

    Raises
    ------
    UserError
        When something lies there.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        what = "is not empty" if folder.is_dir() else "is no folder"
        raise UserError(f"{folder} {what}", "give another --out, or remove it")


def write_package(content: Content, folder: Path, log: Path) -> None:
    """Write a package; writing it twice gives identical bytes.

    Parameters
    ----------
    content : Content
        What it is made of.
    folder : pathlib.Path
        Its place: free, or an empty folder.
    log : pathlib.Path
        Where the output of tools goes.

    Raises
    ------
    UserError
        When the place is not free or cannot be written; nothing is left behind.
    ToolError
        When a tool fails; nothing is left behind.
    """
    check_place(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            partial.chmod(0o755)
            _fill(content, partial, log)
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}", "give another --out") from error


def _fill(content: Content, folder: Path, log: Path) -> None:
    for name, text in package_files(content).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if content.options.verilog:
        write_twin(content, folder / "rtl", folder / "verilog" / f"{content.top}.v", log)


def package_files(content: Content) -> dict[str, str]:
    """Files of a package by their path in it, all but the plain Verilog."""
    own = package_dir() / "package"
    sources = {**content.sources, f"{content.top}.v": top_source(content)}
    if content.options.control:
        sources |= {f"{module}.sv": (own / "rtl" / f"{module}.sv").read_text() for module in CONTROL_MODULES}
        sources[f"{regs_name(content)}.sv"] = regs_source(content)
    order = sorted(sources)
    memories = sorted(content.memories)
    files = {f"rtl/{name}": text for name, text in {**sources, **content.memories}.items()}
    files[f"rtl/{FILELIST}"] = "".join(f"{name}\n" for name in order)
    files[f"rtl/{WAIVERS}"] = (sim_dir() / "verilator" / WAIVERS).read_text()
    files |= {f"tb/{name}": text for name, text in bench_files(content).items()}
    files |= {f"driver/{name}": text for name, text in driver_files(content).items()}
    files[f"{content.top}.core"] = core_source(content, order, memories)
    files["component.xml"] = component_source(content, order, memories)
    files["package_ip.tcl"] = vivado_source(content)
    files[f"litex/{content.name}_litex.py"] = litex_source(content)
    files["INTERFACE.md"] = interface_document(content)
    files["interface.json"] = interface_json(content)
    return files
