# SPDX-License-Identifier: Apache-2.0
"""One network through every rung: QKeras in float64, golden integers, C++, RTL with taps and under stalls.

The cycles that the timing model predicts are compared as well.
"""

from __future__ import annotations

import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import DeadlockError, ToolError, UserError
from hwflow.flow.data import random_codes
from hwflow.fuzz.network import NetSpec, build_model, hls_config
from hwflow.numerics.codes import from_codes
from hwflow.numerics.fixed import Cast, Codes
from hwflow.verify.compare import Tensor, compare

if TYPE_CHECKING:
    import tensorflow as tf
    from hls4ml.model.graph import ModelGraph

    from hwflow.emit.design import Design

PROJECT = "fuzz"
CLOCK_NS = 5.0
PART = "xc7z045ffg900-2"
II_SLACK = 1.02


class Verdict(str, Enum):
    """How a network came through."""

    OK = "ok"
    REFUSED = "refused"
    """hwflow says that it cannot build the network, and why."""
    QKERAS = "qkeras differs"
    CSIM = "csim differs"
    RTL = "rtl differs"
    STALLED = "rtl differs under stalls"
    DEADLOCK = "deadlock"
    INTERVAL = "interval above its bound"
    CYCLES = "cycles predicted otherwise"
    TOOL = "tool failure"
    FAULT = "fault of hwflow"

    @property
    def is_failure(self) -> bool:
        """Whether hwflow is at fault, or a tool."""
        return self not in (Verdict.OK, Verdict.REFUSED)


@dataclass
class Result:
    """What became of a network.

    Parameters
    ----------
    verdict : Verdict
        How it came through.
    detail : str
        First difference, or reason.
    layers : mapping of str to int
        Layers by Keras class.
    ops : mapping of str to int
        Nodes by operation.
    types : mapping of str to int
        Number formats: quantizers, rounding and overflow modes, strategies.
    codes : int
        Codes compared, over all rungs.
    stage_seconds : mapping of str to float
        Wall-clock time a stage, s.
    ii_bound : int
        Bound of the initiation interval, cycles.
    """

    verdict: Verdict = Verdict.OK
    detail: str = ""
    layers: dict[str, int] = field(default_factory=dict)
    ops: dict[str, int] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    codes: int = 0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    ii_bound: int = 0

    def reason(self) -> str:
        """What tells one fault or tool failure from another: the error, without what differs between networks."""
        return self.detail.partition(":")[0] + self.detail[self.detail.rfind("(") :]

    @property
    def seconds(self) -> float:
        """Wall-clock time of all stages, s."""
        return sum(self.stage_seconds.values())


class _Found(Exception):
    """A rung differs."""

    def __init__(self, verdict: Verdict, detail: str) -> None:
        super().__init__(detail)
        self.verdict = verdict
        self.detail = detail


def climb(net: NetSpec, folder: Path, only: Verdict | None = None) -> Result:
    """Build a network and compare all its implementations, code by code.

    Parameters
    ----------
    net : NetSpec
        The network.
    folder : pathlib.Path
        Scratch folder of this network; emptied first, left as it is.
    only : Verdict, optional
        Stop as soon as this failure is known to be there or not: what the shrinker asks.

    Returns
    -------
    Result
        Never raises what hwflow or a tool raises: that is a result.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ascent = _Ascent(net, folder)
    try:
        ascent.run(only)
    except _Found as found:
        ascent.result.verdict, ascent.result.detail = found.verdict, found.detail
    except DeadlockError as error:
        ascent.result.verdict, ascent.result.detail = Verdict.DEADLOCK, error.message
    except UserError as error:
        ascent.result.verdict = Verdict.FAULT if ascent.built else Verdict.REFUSED
        ascent.result.detail = error.message
    except ToolError as error:
        ascent.result.verdict, ascent.result.detail = Verdict.TOOL, error.message
    except Exception as error:  # noqa: BLE001 - any fault at all is what fuzzing looks for
        where = traceback.extract_tb(error.__traceback__)[-1]
        ascent.result.verdict = Verdict.FAULT
        ascent.result.detail = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    return ascent.result


class _Ascent:
    """The rungs of one network."""

    def __init__(self, net: NetSpec, folder: Path) -> None:
        self.net = net
        self.folder = folder
        self.log = folder / "tools.log"
        self.result = Result(layers=dict(Counter(layer.kind for layer in net.layers)), types=types_of(net))
        self.built = False
        """Whether hwflow took the network: from then on a complaint is a fault."""

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            spent = self.result.stage_seconds.get(stage, 0.0)
            self.result.stage_seconds[stage] = spent + time.monotonic() - start

    def run(self, only: Verdict | None) -> None:
        """All rungs, or those before and up to one."""
        with self._timed("model"):
            self.model: tf.keras.Model = self._keras()
        with self._timed("convert"):
            design = self._design()
        graph = self.graph = design.graph
        self.result.ops = dict(Counter(node.op for node in graph))
        self.result.ii_bound = design.plan.ii_bound
        self.built = True
        self.inputs = random_codes(graph, self.net.frames, self.net.seed)
        with self._timed("golden"):
            self.golden = self._golden()
        rungs: Mapping[Verdict, Callable[[], None]] = {
            Verdict.QKERAS: self._qkeras,
            Verdict.CSIM: self._csim,
            Verdict.RTL: lambda: self._rtl(design),
        }
        wanted = {
            Verdict.STALLED: Verdict.RTL, Verdict.DEADLOCK: Verdict.RTL, Verdict.INTERVAL: Verdict.RTL,
            Verdict.CYCLES: Verdict.RTL,
        }.get(only, only) if only else None  # fmt: skip
        for verdict, rung in rungs.items():
            if wanted not in rungs or wanted is verdict:
                rung()

    def _keras(self) -> tf.keras.Model:
        """The model; what Keras itself refuses is no fault of hwflow."""
        try:
            return build_model(self.net)
        except (TypeError, ValueError) as error:
            raise UserError(f"Keras cannot build the network: {error}") from error

    # -- building --------------------------------------------------------------------------------------

    def _converted(self, backend: Any) -> ModelGraph:
        from hwflow.frontends.keras_hls4ml import convert

        return convert(
            self.model,
            backend=backend,
            hls_config=hls_config(self.net, self.model),
            input_type=Cast.parse(self.net.input_type),
            io_type=self.net.io_type,  # type: ignore[arg-type]
            clock_period=CLOCK_NS,
            part=PART,
            project_name=PROJECT,
            output_dir=self.folder / ("hls" if backend == "Vitis" else "rtl"),
        )

    def _design(self) -> Design:
        from hwflow.emit.design import build_design
        from hwflow.frontends.lower import lower

        return build_design(lower(self._converted("Hwflow"), PROJECT))

    # -- rungs -----------------------------------------------------------------------------------------

    def _golden(self) -> dict[str, Tensor]:
        from hwflow.verify.golden import run_golden

        codes = run_golden(self.graph, self.inputs, keep=[node.name for node in self.graph])
        return {node.name: Tensor(codes[node.name], node.type) for node in self.graph}

    def _values(self) -> list[NDArray[np.float64]]:
        return [from_codes(codes, self.graph.node(name).type) for name, codes in self.inputs.items()]

    def _qkeras(self) -> None:
        """Layers that Keras computes alike; they end in the node of their own activation where they have one."""
        from hwflow.prepare.exact import predict_exact

        exact = self.net.exact_layers()
        nodes = {}
        for layer in self.net.layers:
            if layer.name in exact and layer.args.get("shape") is None:
                names = [n for n in self.golden if n == layer.name or n.startswith(f"{layer.name}_")]
                if names:  # a flatten that computes nothing has no node
                    nodes[layer.name] = names[-1]
        if not nodes:
            return
        with self._timed("qkeras"):
            values = predict_exact(self.model, self._values(), list(nodes))
        for layer_name, node in nodes.items():
            golden = self.golden[node]
            expected = from_codes(golden.codes, golden.type)
            got = values[layer_name].reshape(expected.shape)
            self.result.codes += got.size
            if not np.array_equal(expected, got):
                place = tuple(int(i) for i in np.argwhere(expected != got)[0])
                raise _Found(
                    Verdict.QKERAS,
                    f"layer {layer_name}, element {list(place)}: golden {expected[place]:g}, Keras {got[place]:g}",
                )

    def _csim(self) -> None:
        from hwflow.frontends.keras_hls4ml import write_project
        from hwflow.verify.csim import QUICK, Csim

        with self._timed("write C++"):
            project = write_project(self._converted("Vitis"))
        with self._timed("compile C++"):
            csim = Csim(project, log=self.log, jobs=1, flags=QUICK)
        with self._timed("run C++"):
            outputs, layers = csim.simulate(self._values())
        traced = {name: Tensor(codes, csim.layer_types[name]) for name, codes in layers.items()}
        whole = zip(self.graph.outputs, outputs, csim.output_types, strict=True)
        self._compare(Verdict.CSIM, {name: tensor for name, tensor in traced.items() if name in self.golden})
        self._compare(Verdict.CSIM, {name: Tensor(codes, kind) for name, codes, kind in whole})

    def _rtl(self, design: Design) -> None:
        from hwflow.cost.cycles import predict_cycles
        from hwflow.emit.rtl import write_rtl
        from hwflow.tools.verilator import QUICK
        from hwflow.verify.rtlsim import RtlSimulator

        net = self.net
        with self._timed("emit"):
            write_rtl(design, self.folder / "rtl")
        simulator = RtlSimulator(self.folder / "rtl", self.log)
        with self._timed("build RTL"):
            simulator.build(cache=self.folder / "verilator", flags=QUICK)
        with self._timed("run RTL"):
            self._compare(Verdict.RTL, self._tensors(simulator.trace(self.inputs)))
            free = simulator.run(self.inputs)
            self._compare(Verdict.RTL, self._tensors(free.outputs))
            stalled = simulator.run(self.inputs, idle=net.idle, stall=net.stall, seed=net.seed)
            self._compare(Verdict.STALLED, self._tensors(stalled.outputs))
        bound = design.plan.ii_bound
        if free.ii_cycles is not None and free.ii_cycles > II_SLACK * bound:
            raise _Found(Verdict.INTERVAL, f"interval {free.ii_cycles} cycles, bound {bound}")
        with self._timed("predict cycles"):
            predicted = predict_cycles(design, net.frames, log=self.log)
        if (predicted.latency, predicted.ii) != (free.latency_cycles, free.ii_cycles):
            raise _Found(
                Verdict.CYCLES,
                f"latency {free.latency_cycles} and interval {free.ii_cycles} cycles, "
                f"predicted {predicted.latency} and {predicted.ii}",
            )

    def _tensors(self, codes: Mapping[str, Codes]) -> dict[str, Tensor]:
        return {name: Tensor(values, self.graph.node(name).type) for name, values in codes.items()}

    def _compare(self, verdict: Verdict, other: Mapping[str, Tensor]) -> None:
        record = compare(verdict.value, "layers", self.golden, other)
        self.result.codes += record.values
        if record.mismatches:
            raise _Found(verdict, record.first_difference)


def types_of(net: NetSpec) -> dict[str, int]:
    """Number formats that a network uses, counted: quantizers, modes of given types, strategies, I/O type."""
    count: Counter[str] = Counter([net.io_type])
    for layer in net.layers:
        for value in layer.args.values():
            if isinstance(value, Mapping):
                width = f" {value['bits']} bits" if "bits" in value else ""
                scale = f" alpha={value['alpha']}" if value.get("alpha") not in (None, 1) else ""
                count[value.get("text") or f"{value['quantizer']}{width}{scale}"] += 1
        precision = layer.hls.get("Precision", {})
        for text in precision.values() if isinstance(precision, Mapping) else [precision]:
            cast = Cast.parse(text)
            count[f"rounding {cast.rounding.value}"] += 1
            count[f"overflow {cast.overflow.value}"] += 1
        if "Strategy" in layer.hls:
            count[f"strategy {layer.hls['Strategy']}"] += 1
        if layer.parallel:
            count["parallelization factor"] += 1
    return dict(count)
