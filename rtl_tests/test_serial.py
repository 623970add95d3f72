# SPDX-License-Identifier: Apache-2.0
"""An accelerator in its serial shell: frames over the line as a host sends them, golden codes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwflow.emit.design import Design, Stream, build_design
from hwflow.emit.rtl import bus_width, top_source
from hwflow.numerics.fixed import Codes
from hwflow.ops.casekit import case_graph
from hwflow.ops.registry import op
from hwflow.synth.board import SHELL_MODULES, shell_name, shell_source
from hwflow.verify.bench.streams import beat_of
from hwflow.verify.golden import run_golden
from rtl_tests.units import Port, Unit, case_frames, simulate_units

#: Long enough for the first start bit to last until the board is out of reset.
DIVIDER = 16


def line_bytes(codes: Codes, stream: Stream) -> list[int]:
    """Frames as they go over the line."""
    rows = np.asarray(codes).reshape(-1, stream.lanes).tolist()
    size = bus_width(stream) // 8
    return [byte for row in rows for byte in beat_of(row, stream.lane_width).to_bytes(size, "little")]


def host(design: Design, inputs: Codes, golden: Codes) -> Unit:
    """The host's end of the line as a unit, the accelerator in its shell at the other end."""
    streams = [f".{p}_{s}(host_{p}_{s})" for p in ("s_axis", "m_axis") for s in ("tdata", "tvalid", "tready")]
    line = [".clk_i", ".rst_ni", ".rxd_i(to_host)", ".txd_o(to_board)"]
    line += [".overrun_o(unused[0])", ".break_o(unused[1])"]
    shell = f"{shell_name(design)} u_shell (.clk_i, .rst_ni, .rxd_i(to_board), .txd_o(to_host), .overrun_o(unused[2]));"
    raw = {"lanes": 1, "width": 8, "signed": False, "frac": 0, "beats_per_frame": 1}
    return Unit(
        "host", "hwf_uart", {"Divider": DIVIDER}, (Port("s_axis", 8),), (Port("m_axis", 8),),
        {"s_axis": line_bytes(inputs, design.inputs[0])}, {"m_axis": line_bytes(golden, design.outputs[0])},
        {"m_axis": raw}, memories=design.memories, connections=", ".join([*line, *streams]),
        sources={design.name: top_source(design), shell_name(design): shell_source(design, DIVIDER)},
        glue=f"  logic to_host, to_board;\n  logic [2:0] unused;\n  {shell}",
    )  # fmt: skip


@pytest.mark.sim
@pytest.mark.xdist_group("rtllib")
def test_frames_over_the_line(sim_build: Path, sim_env: None, seed: int, rerun: str) -> None:
    case = next(case for case in op("dense").cases() if case.inputs[0].channels <= 32)
    design = build_design(case_graph(case))
    data = case_frames(case, np.random.default_rng(seed), 4)
    golden = run_golden(design.graph, data)[case.node.name]
    unit = host(design, data[case.inputs[0].name], golden)
    modules = dict.fromkeys([*SHELL_MODULES, *design.modules])
    assert simulate_units([unit], list(modules), "serial", sim_build, seed, rerun)
