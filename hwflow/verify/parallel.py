# SPDX-License-Identifier: Apache-2.0
"""The golden model over many frames on all cores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from hwflow.ir.graph import QuantGraph
from hwflow.ir.serialize import load_graph
from hwflow.numerics.fixed import Codes
from hwflow.tools.ahead import ahead
from hwflow.verify.golden import run_golden

#: Frames a worker computes at once: enough for BLAS, few enough for memory and progress.
_CHUNK = 8
_graph: QuantGraph | None = None


def frame_chunks(codes: Codes) -> list[Codes]:
    """Frames in portions that one worker computes at once."""
    return [codes[start : start + _CHUNK] for start in range(0, len(codes), _CHUNK)]


def golden_outputs(folder: Path, chunks: Iterable[Codes], processes: int) -> Iterator[Codes]:
    """Output codes of a saved graph with one input, chunk by chunk.

    Parameters
    ----------
    folder : pathlib.Path
        Holds the QuantGraph.
    chunks : iterable of ndarray of int64, shape (n, ...shape)
        Input codes; two a process are taken ahead.
    processes : int
        Worker processes.

    Yields
    ------
    ndarray of int64, shape (n, ...shape)
    """
    # Spawned, because TensorFlow's threads do not survive a fork.
    with ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_load, initargs=(folder,)
    ) as pool:
        for _, future in ahead(pool, _compute, chunks, 2 * processes):
            yield future.result()


def _load(folder: Path) -> None:
    global _graph  # a worker holds one graph
    _graph = load_graph(folder)


def _compute(codes: Codes) -> Codes:
    assert _graph is not None
    return run_golden(_graph, {_graph.inputs[0]: codes})[_graph.outputs[0]]
