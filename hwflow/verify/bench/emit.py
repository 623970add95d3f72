# SPDX-License-Identifier: Apache-2.0
"""Writing a bench that runs on its own beside emitted RTL: ``make`` in its folder is all it takes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwflow.emit.rtl import port_names
from hwflow.numerics.fixed import Codes
from hwflow.verify.rtlsim import pack_beats

_HERE = Path(__file__).resolve().parent
#: File in the bench's folder, and where it comes from.
_FILES = {
    "Makefile": "Makefile.tb",
    "run.py": "run.py",
    "simulate.py": "simulate.py",
    "streams.py": "streams.py",
    "test_accelerator.py": "accelerator.py",
}


def write_bench(rtl: Path, folder: Path, inputs: Mapping[str, Codes], golden: Mapping[str, Codes]) -> None:
    """Write a cocotb bench of an emitted accelerator; writing it twice gives identical bytes.

    It needs cocotb, Verilator, g++ and make, but not hwflow.

    Parameters
    ----------
    rtl : pathlib.Path
        What :func:`hwflow.emit.rtl.write_rtl` wrote.
    folder : pathlib.Path
        Receives ``Makefile``, the bench's Python files, ``bench.json``, ``vectors/<port>.hex`` (a beat a line) and
        ``waves.gtkw``, a GTKWave preset of the ports and every tensor's stream.
    inputs, golden : mapping of str to ndarray of int64, shape (frames, ...shape)
        Codes of each input and output tensor, by node name.
    """
    interface = json.loads((rtl / "interface.json").read_text())
    (folder / "vectors").mkdir(parents=True, exist_ok=True)
    prefixes = {
        side: port_names(axis, len(interface[side]))
        for side, axis in (("inputs", "s_axis"), ("outputs", "m_axis"))
    }
    for side, codes in (("inputs", inputs), ("outputs", golden)):
        for prefix, port in zip(prefixes[side], interface[side], strict=True):
            (folder / "vectors" / f"{prefix}.hex").write_text(_hex(codes[port["tensor"]], port))
    setup = {"rtl": os.path.relpath(rtl, folder), **prefixes}
    (folder / "bench.json").write_text(json.dumps(setup, indent=1, sort_keys=True) + "\n")
    (folder / "waves.gtkw").write_text(_preset(interface, [*prefixes["inputs"], *prefixes["outputs"]]))
    for name, source in _FILES.items():
        # Beside each other the files import each other by their own names.
        (folder / name).write_text((_HERE / source).read_text().replace("from hwflow.verify.bench.", "from "))


def _preset(interface: dict[str, Any], prefixes: list[str]) -> str:
    """GTKWave save file: handshakes as bits (@28), data in hexadecimal (@22), a caption (@200) for each stream."""
    top = interface["top"]
    ports = zip(prefixes, [*interface["inputs"], *interface["outputs"]], strict=True)
    streams = {name: (port["tensor"], port["tdata_width"]) for name, port in ports}
    for tap in interface["taps"]:
        streams.setdefault(
            tap["file"].removesuffix(".bin"), (tap["tensor"], tap["lanes"] * tap["lane_width"])
        )
    lines = ["@28", f"{top}.{interface['clock']}", f"{top}.{interface['reset']['name']}"]
    for name, (tensor, width) in streams.items():
        lines += ["@200", f"-{tensor}", "@28", f"{top}.{name}_tvalid", f"{top}.{name}_tready"]
        lines += ["@22", f"{top}.{name}_tdata[{width - 1}:0]"]
    return "\n".join([*lines, ""])


def _hex(codes: Codes, port: dict[str, Any]) -> str:
    """Beats as hexadecimal numbers, one a line."""
    raw, size = pack_beats(codes, port), port["tdata_width"] // 8
    return "".join(f"{raw[i : i + size][::-1].hex()}\n" for i in range(0, len(raw), size))
