# SPDX-License-Identifier: Apache-2.0
"""hls4ml writer of the backend: a model's RTL folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hls4ml.writer.writers import Writer

from hwflow.emit.design import Design, build_design
from hwflow.emit.rtl import write_rtl
from hwflow.frontends.lower import lower
from hwflow.ir.serialize import save_graph

if TYPE_CHECKING:
    from hls4ml.model.graph import ModelGraph

RTL_FOLDER = "rtl"


class HwflowWriter(Writer):  # type: ignore[misc]
    """Writes ``<output_dir>/rtl`` and the QuantGraph beside it."""

    def write_hls(self, model: ModelGraph) -> Design:
        """Lower a model and write its RTL.

        Parameters
        ----------
        model : ModelGraph
            Converted with ``backend='Hwflow'``.

        Returns
        -------
        Design
            What was written.

        Raises
        ------
        UnsupportedLayerError
            When a layer cannot become hardware; then nothing is written.
        """
        design = build_design(lower(model, model.config.get_project_name()))
        folder = Path(model.config.get_output_dir())
        save_graph(design.graph, folder)
        write_rtl(design, folder / RTL_FOLDER)
        return design
