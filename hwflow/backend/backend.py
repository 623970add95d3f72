# SPDX-License-Identifier: Apache-2.0
"""The hls4ml backend ``Hwflow``: what is written for hls4ml runs on RTL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hls4ml.backends import FPGABackend
from hls4ml.model.flow import register_flow
from hls4ml.model.optimizer import model_optimizer

from hwflow.backend.runtime import RtlRuntime
from hwflow.backend.writer import RTL_FOLDER
from hwflow.frontends.hls4ml_ext import EXACT_FLOW, register_extensions
from hwflow.tools.verilator import read_filelist
from hwflow.tools.yosys import synthesize

if TYPE_CHECKING:
    from hls4ml.model.graph import ModelGraph


XILINX_7 = "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf"


class HwflowBackend(FPGABackend):  # type: ignore[misc]
    """Folded streaming SystemVerilog, simulated by Verilator and synthesized by Yosys."""

    def __init__(self) -> None:
        super().__init__(name="Hwflow")
        register_extensions()
        self._default_flow = register_flow(
            "ip", ["hwflow:bind_runtime"], requires=[EXACT_FLOW, "optimize"], backend=self.name
        )
        self._writer_flow = register_flow(
            "write", ["hwflow:write_hls"], requires=["hwflow:ip"], backend=self.name
        )

    def get_default_flow(self) -> str:
        """Flow that a conversion runs."""
        return str(self._default_flow)

    def get_writer_flow(self) -> str:
        """Flow that writes the RTL."""
        return str(self._writer_flow)

    def create_initial_config(
        self,
        part: str | None = None,
        clock_period: float | None = None,
        io_type: str = "io_stream",
        **_: Any,
    ) -> dict[str, Any]:
        """Configuration of a conversion.

        Parameters
        ----------
        part : str, optional
            FPGA part, for reports only.
        clock_period : float, optional
            Clock period, ns.
        io_type : str
            ``io_stream`` or ``io_parallel``; the RTL streams in both cases.
        """
        return {
            "Part": part or "xc7z045ffg900-2",
            "ClockPeriod": clock_period or 5,
            "IOType": io_type,
            "HLSConfig": {},
            "WriterConfig": {"Namespace": None, "WriteWeightsTxt": False, "WriteTar": False},
        }

    @model_optimizer()  # type: ignore[untyped-decorator]
    def bind_runtime(self, model: ModelGraph) -> None:
        """Let the model's own methods run the RTL."""
        runtime = RtlRuntime(model)
        model.compile = runtime.compile
        model.trace = runtime.trace
        model.hwflow_runtime = runtime

    def predict(self, model: ModelGraph, x: Any) -> Any:
        """Run the RTL; hls4ml's ``model.predict`` ends here."""
        return model.hwflow_runtime.predict(x)

    def build(self, model: ModelGraph, command: str = XILINX_7, **_: Any) -> dict[str, Any]:
        """Synthesize the RTL with Yosys.

        Parameters
        ----------
        model : ModelGraph
            A converted model; it is written first where that has not happened.
        command : str
            A Yosys ``synth_*`` command.

        Returns
        -------
        dict
            ``cells`` by type, ``seconds``, and the files ``netlist`` and ``log``.

        Raises
        ------
        ToolError
            When synthesis fails.
        """
        folder = Path(model.config.get_output_dir())
        if not (folder / RTL_FOLDER / "filelist.f").exists():
            model.write()
        log = folder / "logs" / "yosys.log"
        files = [path for path in read_filelist(folder / RTL_FOLDER / "filelist.f") if path.stem != "hwf_tap"]
        result = synthesize(
            files,
            model.config.get_project_name(),
            out=folder / "synth",
            log=log,
            command=command,
            cwd=folder / RTL_FOLDER,
        )
        return {
            "cells": dict(result.cells),
            "seconds": result.seconds,
            "netlist": str(result.netlist),
            "log": str(log),
        }
