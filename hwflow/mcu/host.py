# SPDX-License-Identifier: Apache-2.0
"""The emitted C as a golden model on this machine: compiled once, called through ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hwflow.errors import UserError
from hwflow.mcu.emit import emit_all, identifier, pack_tensor, unpack_tensor
from hwflow.mcu.lower import Program
from hwflow.numerics.fixed import Codes
from hwflow.ops.mcukit import Tensor
from hwflow.tools.runner import find_tool, run_tool

FLAGS = ("-std=c99", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas")


class HostModel:
    """A network of a compiled library.

    Parameters
    ----------
    program : Program
        The network.
    library : ctypes.CDLL
        What was compiled.
    name : str
        Its prefix there.
    """

    def __init__(self, program: Program, library: ctypes.CDLL, name: str) -> None:
        self.program = program
        self._run = library[f"{name}_run"]
        self._run.restype = None
        arena = (ctypes.c_uint8 * max(program.plan.peak, 1)).in_dll(library, f"{name}_arena")
        self._arena = np.ctypeslib.as_array(arena)

    @classmethod
    def build(cls, program: Program, folder: Path, *, name: str | None = None) -> HostModel:
        """Emit one network into a folder and compile it."""
        name = identifier(name or program.graph.name)
        return build_all({name: program}, folder)[name]

    def run(self, inputs: Mapping[str, Codes]) -> dict[str, Codes]:
        """Compute the network frame by frame.

        Parameters
        ----------
        inputs : mapping of str to ndarray of int64, shape (n, ...shape)
            Codes of each input node.

        Returns
        -------
        dict of str to ndarray of int64, shape (n, ...shape)
            Codes of each output node.
        """
        graph = self.program.graph
        for node in graph.inputs:
            if node not in inputs or np.shape(inputs[node])[1:] != graph.node(node).shape:
                raise UserError(f"input {node!r} takes frames of shape {graph.node(node).shape}")
        frames = len(inputs[graph.inputs[0]])
        found: dict[str, list[bytes]] = {node: [] for node in graph.outputs}
        for frame in range(frames):
            for node in graph.inputs:
                data = np.frombuffer(pack_tensor(self._tensor(node), inputs[node][frame]), dtype=np.uint8)
                begin = self._offset(node)
                self._arena[begin : begin + data.size] = data
            self._run()
            for node in graph.outputs:
                begin, tensor = self._offset(node), self._tensor(node)
                size = tensor.storage.row_bytes(tensor.node.channels) * tensor.node.pixels
                found[node].append(self._arena[begin : begin + size].tobytes())
        return {
            node: unpack_tensor(self._tensor(node), b"".join(parts), graph.node(node).shape)
            for node, parts in found.items()
        }

    def _tensor(self, node: str) -> Tensor:
        return self.program.tensors[self.program.homes[node]]

    def _offset(self, node: str) -> int:
        return self.program.plan.tensors[self.program.homes[node]]


def build_all(
    programs: Mapping[str, Program], folder: Path, *, flags: tuple[str, ...] = ()
) -> dict[str, HostModel]:
    """Emit several networks into a folder and compile them into one library.

    Raises
    ------
    ToolNotFoundError
        When there is no C compiler.
    ToolError
        When the C does not compile.
    """
    files = emit_all({name: (program, None) for name, program in programs.items()}, folder)
    compiled = [f"{name}.c" for name in programs]
    compiled += [file.name for file in files if file.name.startswith("hwf_") and file.suffix == ".c"]
    library = folder / "libnetworks.so"
    argv: list[str | Path] = [
        find_tool("cc", "apt-get install gcc"),
        *FLAGS,
        *flags,
        "-I.",
        "-o",
        library.name,
        *compiled,
    ]
    run_tool(argv, log=folder / "compile.log", tool="cc", cwd=folder)
    loaded = ctypes.CDLL(str(library.resolve()))
    return {name: HostModel(program, loaded, name) for name, program in programs.items()}
