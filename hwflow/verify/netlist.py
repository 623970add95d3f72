# SPDX-License-Identifier: Apache-2.0
"""The netlist that Yosys maps a design to, ready to be simulated instead of its RTL.

Cells are simulated by the models that come with Yosys; block RAMs, which it describes as black boxes only, by a
model of our own (``sim/cells/hwf_sim_bram.sv``). The contents of ROMs are part of the netlist, as attributes of
its cells, so that it needs no memory files.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hwflow.errors import ToolNotFoundError, VerificationError
from hwflow.tools.paths import sim_dir
from hwflow.tools.targets import target
from hwflow.tools.verilator import read_filelist
from hwflow.tools.yosys import REMEDY, read_cells, read_slang, run_yosys

TARGET = "xc7"
"""Family the netlist rung maps to: the one whose cells have models, multipliers and memories among them."""

_MODULE = re.compile(r"^module (\S+?)\s*\(.*?^endmodule$", re.MULTILINE | re.DOTALL)
#: Block RAMs: bytes, width of the data ports, write enables of port A and B.
_BLOCK_RAMS = {"RAMB18E1": (2048, 16, 2, 4), "RAMB36E1": (4096, 32, 4, 8)}


def write_netlist(
    sources: Sequence[Path],
    top: str,
    folder: Path,
    log: Path,
    *,
    params: Mapping[str, int | str] | None = None,
    cwd: Path | None = None,
) -> list[Path]:
    """Synthesize SystemVerilog and write the mapped netlist as Verilog.

    Parameters
    ----------
    sources : sequence of pathlib.Path
        Source files, packages first.
    top : str
        Top module.
    folder : pathlib.Path
        Receives ``netlist.v``, ``cells.sv`` and what Yosys counts.
    log : pathlib.Path
        Where Yosys' output goes.
    params : mapping, optional
        Values of the top module's parameters.
    cwd : pathlib.Path, optional
        Where ``$readmemh`` paths start.

    Returns
    -------
    list of pathlib.Path
        Files to simulate in place of the sources.

    Raises
    ------
    ToolError
        When synthesis fails.
    VerificationError
        When the netlist has a cell that no model is known for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    netlist, stat = folder / "netlist.v", folder / "cells.json"
    words = target(TARGET).command.split()
    commands = [
        read_slang([path.resolve() for path in sources], top, params),
        "hierarchy -check",
        " ".join([words[0], "-top", top, *words[1:]]),
        "check -assert",
        f"tee -q -o {stat.resolve()} stat -json",
        f"write_verilog -noattr {netlist.resolve()}",
    ]
    run_yosys(commands, script=folder / "netlist.ys", log=log, cwd=cwd)
    cells = folder / "cells.sv"
    cells.write_text(_models(read_cells(stat, log)))
    return [cells, sim_dir() / "cells" / "hwf_sim_bram.sv", netlist]


def write_netlist_folder(rtl: Path, folder: Path, log: Path) -> None:
    """Write a folder that :class:`~hwflow.verify.rtlsim.RtlSimulator` runs as it runs the RTL; it has no taps.

    Parameters
    ----------
    rtl : pathlib.Path
        What :func:`hwflow.emit.rtl.write_rtl` wrote.
    folder : pathlib.Path
        Receives the netlist, ``filelist.f`` and ``interface.json``.
    log : pathlib.Path
        Where Yosys' output goes.
    """
    interface = json.loads((rtl / "interface.json").read_text())
    sources = [path for path in read_filelist(rtl / "filelist.f") if path.stem != "hwf_tap"]
    files = write_netlist(sources, interface["top"], folder, log, cwd=rtl)
    (folder / "filelist.f").write_text("".join(f"{path.resolve()}\n" for path in files))
    (folder / "interface.json").write_text(
        json.dumps(interface | {"taps": []}, indent=1, sort_keys=True) + "\n"
    )


def _models(cells: Iterable[str]) -> str:
    """Verilog of the cells that a netlist has."""
    known = {match[1]: match[0] for match in _MODULE.finditer((_share() / "xilinx/cells_sim.v").read_text())}
    models = known | {name: _block_ram(name) for name in _BLOCK_RAMS}
    if strange := sorted(set(cells) - models.keys()):
        raise VerificationError(
            f"the netlist has cells without a simulation model: {', '.join(strange)}",
            "simulate the RTL only: Hwflow.Verify.Netlist: false",
        )
    return "\n\n".join(models[name] for name in sorted(cells)) + "\n"


def _share() -> Path:
    """Data files of Yosys."""
    spec = importlib.util.find_spec("pyosys")
    if spec is None or spec.origin is None:
        raise ToolNotFoundError("the package pyosys is not installed", REMEDY)
    return Path(spec.origin).parent / "share"


def _block_ram(name: str) -> str:
    """A block RAM cell with the ports and parameters of the 7 series, around the model."""
    size, width, enables_a, enables_b = _BLOCK_RAMS[name]
    address, parity = (16, 4) if width == 32 else (14, 2)
    rows = [f"INIT_{row:02X}" for row in range(size // 32)]
    parity_rows = [f"INITP_{row:02X}" for row in range(size // 256)]
    pins = (
        "CLKARDCLK",
        "CLKBWRCLK",
        "ENARDEN",
        "ENBWREN",
        "RSTRAMARSTRAM",
        "RSTRAMB",
        "RSTREGARSTREG",
        "RSTREGB",
    )
    parameters = [
        *(
            f"parameter {key} = 0"
            for key in ("READ_WIDTH_A", "READ_WIDTH_B", "WRITE_WIDTH_A", "WRITE_WIDTH_B")
        ),
        *(f"parameter {key} = 0" for key in ("DOA_REG", "DOB_REG")),
        *(f"parameter [0:0] IS_{pin}_INVERTED = 0" for pin in pins),
        *(f"parameter [35:0] {key} = 0" for key in ("INIT_A", "INIT_B", "SRVAL_A", "SRVAL_B")),
        *(f'parameter {key} = "WRITE_FIRST"' for key in ("WRITE_MODE_A", "WRITE_MODE_B")),
        *('parameter RAM_MODE = "TDP"', 'parameter INIT_FILE = "NONE"', 'parameter SIM_DEVICE = "7SERIES"'),
        *(f'parameter RAM_EXTENSION_{port} = "NONE"' for port in "AB"),
        *('parameter RDADDR_COLLISION_HWCONFIG = "PERFORMANCE"', 'parameter SIM_COLLISION_CHECK = "ALL"'),
        *(f"parameter EN_ECC_{kind} = 0" for kind in ("READ", "WRITE")),
        *(f"parameter [255:0] {row} = 0" for row in (*rows, *parity_rows)),
    ]
    ports = [
        *(f"input {pin}" for pin in (*pins, "REGCEAREGCE", "REGCEB", "CASCADEINA", "CASCADEINB")),
        *("input INJECTDBITERR", "input INJECTSBITERR"),
        *(f"input [{address - 1}:0] {pin}" for pin in ("ADDRARDADDR", "ADDRBWRADDR")),
        *(f"input [{width - 1}:0] {pin}" for pin in ("DIADI", "DIBDI")),
        *(f"input [{parity - 1}:0] {pin}" for pin in ("DIPADIP", "DIPBDIP")),
        f"input [{enables_a - 1}:0] WEA",
        f"input [{enables_b - 1}:0] WEBWE",
        *(f"output [{width - 1}:0] {pin}" for pin in ("DOADO", "DOBDO")),
        *(f"output [{parity - 1}:0] {pin}" for pin in ("DOPADOP", "DOPBDOP")),
        *("output CASCADEOUTA", "output CASCADEOUTB", "output DBITERR", "output SBITERR"),
        *("output [7:0] ECCPARITY", "output [8:0] RDADDRECC"),
    ]

    def value(kind: str, port: str) -> str:
        """An output word, parity bits on top of 32 data bits."""
        name = f"{kind}_{port}"
        return name if width == 32 else f"{{2'b0, {name}[17:16], 16'b0, {name}[15:0]}}"

    sides = []
    for port, side, data, enable in (("A", "ARDADDR", "ADI", "WEA"), ("B", "BWRADDR", "BDI", "WEBWE")):
        p, clock, select = (
            port.lower(),
            *(("CLKARDCLK", "ENARDEN") if port == "A" else ("CLKBWRCLK", "ENBWREN")),
        )
        reset = "RSTRAMARSTRAM" if port == "A" else "RSTRAMB"
        sides += [
            *(f".{name}_{p}_i({pin} ^ IS_{pin}_INVERTED)" for name, pin in
              (("clk", clock), ("en", select), ("rst", reset))),
            f".we_{p}_i(8'({enable}))",
            f".addr_{p}_i(16'(ADDR{side}))",
            f".d_{p}_i(32'(DI{data}))",
            f".dp_{p}_i(4'(DIP{port}DIP))",
            f".q_{p}_o({p}_q)",
            f".qp_{p}_o({p}_qp)",
        ]  # fmt: skip
    return "\n".join([
        f"module {name} #(\n  " + ",\n  ".join(parameters) + "\n) (\n  " + ",\n  ".join(ports) + "\n);",
        f"  wire [{max(width, 32) - 1}:0] a_q, b_q;",
        "  wire [3:0] a_qp, b_qp;",
        "  hwf_sim_bram #(",
        f"    .Bytes({size}), .Sdp(RAM_MODE == \"SDP\"), .ReadA(READ_WIDTH_A), .WriteA(WRITE_WIDTH_A),",
        "    .ReadB(READ_WIDTH_B), .WriteB(WRITE_WIDTH_B), .ModeA(WRITE_MODE_A), .ModeB(WRITE_MODE_B),",
        f"    .Start({{{value('INIT', 'B')}, {value('INIT', 'A')}}}),",
        f"    .Reset({{{value('SRVAL', 'B')}, {value('SRVAL', 'A')}}}),",
        f"    .Init({{{', '.join(reversed(rows))}}}),",
        f"    .InitP({{{', '.join(reversed(parity_rows))}}})",
        "  ) u_ram (\n    " + ",\n    ".join(sides) + "\n  );",
        f"  assign {{DOADO, DOBDO}} = {{a_q[{width - 1}:0], b_q[{width - 1}:0]}};",
        f"  assign {{DOPADOP, DOPBDOP}} = {{a_qp[{parity - 1}:0], b_qp[{parity - 1}:0]}};",
        "  assign {CASCADEOUTA, CASCADEOUTB, DBITERR, SBITERR, ECCPARITY, RDADDRECC} = '0;",
        '  if (DOA_REG != 0 || DOB_REG != 0 || RAM_EXTENSION_A != "NONE" || EN_ECC_READ != 0) begin : gen_bad',
        f'    $fatal(1, "{name}: output registers, cascades and ECC are not modelled");',
        "  end",
        "endmodule",
    ])  # fmt: skip
