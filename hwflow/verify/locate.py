# SPDX-License-Identifier: Apache-2.0
"""Which layer is the first that differs from the golden model, in the files of a run as they lie there.

All outputs are compared first; one frame that differs is then run again with every layer observed. A frame that
is right alone is run again after all those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwflow.ir.graph import QuantGraph
from hwflow.numerics.codes import from_codes
from hwflow.numerics.fixed import Codes
from hwflow.records import RungRecord
from hwflow.verify.compare import Tensor, aligned, compare, typed
from hwflow.verify.csim import Csim
from hwflow.verify.golden import run_golden
from hwflow.verify.rtlsim import RtlSimulator
from hwflow.verify.vectors import Vectors, first_frames

Inputs = Mapping[str, Codes]
#: Frames that are run under random stalls.
_STALLED = 2


@dataclass(frozen=True, slots=True)
class Implementation:
    """Something that must equal the golden model.

    Parameters
    ----------
    name : str
        Its rung.
    outputs : callable
        Output tensors of frames.
    layers : callable
        Every tensor that can be observed.
    """

    name: str
    outputs: Callable[[Inputs], Mapping[str, Tensor]]
    layers: Callable[[Inputs], Mapping[str, Tensor]]


def locate(
    graph: QuantGraph, inputs: Inputs, golden: Mapping[str, Codes], other: Implementation
) -> RungRecord:
    """Find the first layer of an implementation that differs.

    Parameters
    ----------
    graph : QuantGraph
        The network.
    inputs, golden : mapping of str to ndarray of int64, shape (frames, ...shape)
        Codes of inputs and outputs.
    other : Implementation
        What is compared.

    Returns
    -------
    RungRecord
        Of the comparison that shows it: all layers of the traced frames; of the outputs, where no layer differs.
    """
    whole, found = typed(graph, golden), other.outputs(inputs)
    outputs = compare(other.name, "output", whole, found)
    wrong = [np.not_equal(*aligned(whole[name], found[name], name)) for name in whole]
    frame = min((int(np.argwhere(places)[0, 0]) for places in wrong if places.any()), default=0)
    for start in dict.fromkeys((frame, 0)):
        some = first_frames(inputs, frame + 1, start)
        expected = typed(graph, run_golden(graph, some, keep=[node.name for node in graph]))
        layers = compare(other.name, "layers", expected, other.layers(some), first_frame=start)
        if layers.mismatches or not outputs.mismatches:
            return layers
    return outputs


def locate_rtl(vectors: Vectors, rtl: Path, log: Path, seed: int = 1) -> list[RungRecord]:
    """Compare an RTL folder, free running and, for a few frames, under random stalls."""
    graph = vectors.graph
    simulator = RtlSimulator(rtl, log)
    simulator.build()
    idle, stall = simulator.busy_rates()

    def simulated(name: str, idle: int = 0, stall: int = 0) -> Implementation:
        return Implementation(
            name,
            lambda codes: typed(graph, simulator.run(codes, idle=idle, stall=stall, seed=seed).outputs),
            lambda codes: typed(graph, simulator.trace(codes, idle=idle, stall=stall, seed=seed)),
        )

    inputs, golden = vectors.inputs(), vectors.outputs()
    some, expected = (first_frames(codes, _STALLED) for codes in (inputs, golden))
    return [
        locate(graph, inputs, golden, simulated("rtl")),
        locate(graph, some, expected, simulated("rtl under random stalls", idle, stall)),
    ]


def locate_csim(vectors: Vectors, project: Path, log: Path) -> list[RungRecord]:
    """Compare the C++ project of a run."""
    graph, csim = vectors.graph, Csim(project, log=log)

    def values(codes: Inputs) -> list[NDArray[np.float64]]:
        return [from_codes(codes[name], graph.node(name).type) for name in graph.inputs]

    def outputs(codes: Inputs) -> dict[str, Tensor]:
        found = map(Tensor, csim.outputs(values(codes)), csim.output_types)
        return dict(zip(graph.outputs, found, strict=True))

    def layers(codes: Inputs) -> dict[str, Tensor]:
        traced = csim.trace(values(codes)).items()
        return {name: Tensor(found, csim.layer_types[name]) for name, found in traced}

    whole = Implementation("csim", outputs, layers)
    return [locate(graph, vectors.inputs(), vectors.outputs(), whole)]
