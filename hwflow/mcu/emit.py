# SPDX-License-Identifier: Apache-2.0
"""Write a lowered network as C99: constants, layer table, arena, kernels, and a check against golden vectors."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwflow.errors import UserError
from hwflow.mcu.lower import Layer, Program
from hwflow.mcu.planner import ALIGNMENT
from hwflow.numerics.fixed import Codes
from hwflow.ops.mcukit import Storage, Tensor, pack_rows, words
from hwflow.tools.paths import package_dir

RUNTIME = ("mcu/runtime/hwf.h", "mcu/runtime/hwf_value.h", "mcu/runtime/hwf_rows.c")
BOARD = (
    *("check.h", "check.c", "host.c", "app.c"),
    *("mps2_an500.c", "mps2_an500.ld", "Makefile"),
)
_SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
_PER_LINE = 8
LAYER_BYTES, STAGE_BYTES = 64, 20  # of hwf_layer and hwf_stage on a 32-bit machine
_KEYWORDS = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if inline int long "
    "register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while "
    "main".split()
)


@dataclass(frozen=True, slots=True)
class Golden:
    """Codes that go in and must come out, for the emitted check.

    Parameters
    ----------
    inputs, outputs : mapping of str to ndarray of int64, shape (n, ...shape)
        By input node and output node.
    """

    inputs: Mapping[str, Codes]
    outputs: Mapping[str, Codes]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes that follow from the program alone.

    Parameters
    ----------
    weights, biases, tables : int
        Packed weights, biases, and other constants of the layers (slopes).
    descriptions : int
        Layer and stage descriptions.
    arena : int
        Tensors and scratch memory.
    """

    weights: int
    biases: int
    tables: int
    descriptions: int
    arena: int

    @property
    def constants(self) -> int:
        """All bytes in flash but code."""
        return self.weights + self.biases + self.tables + self.descriptions


def identifier(name: str) -> str:
    """A C identifier for a node's name.

    Examples
    --------
    >>> identifier("block1/conv-2"), identifier("int")
    ('block1_conv_2', 'int_')
    """
    text = re.sub(r"\W", "_", name)
    text = f"n{text}" if not text or text[0].isdigit() else text
    return f"{text}_" if text in _KEYWORDS else text


def sizes(program: Program) -> Sizes:
    """Flash and RAM of a program without its code and stack."""
    kernels = [layer.kernel for layer in program.layers]
    stages = [stage for layer in program.layers for stage in layer.stages]
    return Sizes(
        weights=sum(_whole_words(kernel.weights) for kernel in kernels),
        biases=sum(len(_bias(layer)) for layer in program.layers),
        tables=sum(_whole_words(_table(stage.data, stage.storage)) for stage in stages),
        descriptions=LAYER_BYTES * len(kernels) + STAGE_BYTES * len(stages),
        arena=program.plan.peak,
    )


def _whole_words(data: bytes) -> int:
    return -(-len(data) // 4) * 4


def _bias(layer: Layer) -> bytes:
    return b"" if layer.kernel.bias is None else words(layer.kernel.bias, layer.bits)


def _table(data: Codes | None, storage: Storage | None) -> bytes:
    return b"" if data is None or storage is None else pack_rows(data[None], storage)


def functions(program: Program) -> list[str]:
    """C functions that the layer table names, sorted."""
    names = {layer.kernel.function for layer in program.layers}
    names |= {f"{stage.function}_{layer.bits}" for layer in program.layers for stage in layer.stages}
    return sorted(names)


def sources(programs: Iterable[Program]) -> list[str]:
    """C files of the kernels and stages of some programs, relative to the folder ``hwflow``, sorted."""
    found = set(RUNTIME)
    for program in programs:
        for layer in program.layers:
            found |= {layer.kernel.source, *(stage.source for stage in layer.stages)}
    return sorted(found)


def emit(
    program: Program, folder: Path, golden: Golden | None = None, *, name: str | None = None
) -> list[Path]:
    """Write one network with its runtime, board support and check.

    Parameters
    ----------
    program : Program
        The network.
    folder : pathlib.Path
        Where to; made when it does not exist.
    golden : Golden, optional
        Vectors of the emitted check; without them it runs no frame.
    name : str, optional
        Prefix of every public name; the graph's name by default.

    Returns
    -------
    list of pathlib.Path
        Files written.
    """
    name = identifier(name or program.graph.name)
    return emit_all({name: (program, golden)}, folder)


def emit_all(programs: Mapping[str, tuple[Program, Golden | None]], folder: Path) -> list[Path]:
    """Write several networks side by side, with one check of them all (see :func:`emit`)."""
    folder.mkdir(parents=True, exist_ok=True)
    texts: dict[str, str] = {}
    for name, (program, _) in programs.items():
        texts[f"{name}.h"] = _header(name, program)
        texts[f"{name}_weights.h"] = _weights(name, program)
        texts[f"{name}.c"] = _network(name, program)
    texts["golden.c"] = _golden(programs)
    copies = [*sources(program for program, _ in programs.values()), *(f"mcu/board/{file}" for file in BOARD)]
    compiled = [f"{name}.c" for name in programs]
    compiled += [Path(file).name for file in copies if "board" not in file and file.endswith(".c")]
    texts["sources.mk"] = f"NAME := {next(iter(programs))}\nSOURCES := {' '.join(compiled)}\n"
    for file, text in texts.items():
        (folder / file).write_text(text)
    for copy in copies:
        shutil.copyfile(package_dir() / copy, folder / Path(copy).name)
    return sorted(folder / file for file in (*texts, *(Path(copy).name for copy in copies)))


def _array(kind: str, name: str, data: bytes, width: int) -> str:
    """A constant array of unsigned words, little end first."""
    padded = data + bytes(-len(data) % (width // 8))
    values = np.frombuffer(padded, dtype=f"<u{width // 8}")
    suffix, digits = ("ull", 16) if width == 64 else ("u", width // 4)
    lines = [
        "  " + " ".join(f"0x{int(value):0{digits}x}{suffix}," for value in values[begin : begin + _PER_LINE])
        for begin in range(0, values.size, _PER_LINE)
    ]
    return f"static const {kind} {name}[{values.size}] = {{\n" + "\n".join(lines) + "\n};\n"


def _weights(name: str, program: Program) -> str:
    """All constants of the layers. Words are little-endian, as every supported machine is."""
    parts = [_SPDX, f"/* Constants of {name}. */\n", "#include <stdint.h>\n"]
    for number, layer in enumerate(program.layers):
        title = ", ".join(layer.nodes)
        parts.append(f"\n/* {number}: {title} */\n")
        if layer.kernel.weights:
            parts.append(_array("uint32_t", f"weights_{number}", layer.kernel.weights, 32))
        if layer.kernel.bias is not None:
            parts.append(_array(f"uint{layer.bits}_t", f"bias_{number}", _bias(layer), layer.bits))
        for at, stage in enumerate(layer.stages):
            if stage.data is not None:
                parts.append(
                    _array("uint32_t", f"table_{number}_{at}", _table(stage.data, stage.storage), 32)
                )
    return "".join(parts)


def _header(name: str, program: Program) -> str:
    guard = f"{name.upper()}_H"
    lines = [
        _SPDX,
        "/*",
        f" * Network {name}: {len(program.layers)} layers, {program.macs} multiply-accumulates.",
        " * Write the inputs' codes, call run, read the outputs' codes: all of them lie in the arena, where outputs",
        " * may overwrite inputs. One frame at a time; not reentrant.",
        " */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stdint.h>",
        "",
        f"#define {name.upper()}_ARENA_BYTES {max(program.plan.peak, ALIGNMENT)}u",
        f"extern uint64_t {name}_arena[{name.upper()}_ARENA_BYTES / {ALIGNMENT}];",
        f"void {name}_run(void);",
    ]
    for node, tensor, offset in _ports(program):
        c_type, count = tensor.storage.c_type, tensor.node.pixels * tensor.node.channels
        shape = " x ".join(str(size) for size in program.graph.node(node).shape)
        lines += [
            "",
            f"/* {node}: {shape} codes of {tensor.node.type}; value = code * 2^{-tensor.node.type.frac} */",
            f"#define {name.upper()}_{identifier(node).upper()}_COUNT {count}u",
            f"static inline {c_type} *{name}_{identifier(node)}(void) {{",
            f"  return ({c_type} *)((uint8_t *){name}_arena + {offset});",
            "}",
        ]
    return "\n".join([*lines, "", "#endif", ""]).replace(f"{_SPDX}\n", _SPDX)


def _ports(program: Program) -> list[tuple[str, Tensor, int]]:
    """Input and output nodes with their tensors and offsets in the arena."""
    return [(node, program.tensors[home], program.plan.tensors[home]) for node, home in program.homes.items()]


def _network(name: str, program: Program) -> str:
    """Stages, layers, arena and the function that runs them."""
    parts = [_SPDX, f'#include "{name}.h"\n\n#include "hwf.h"\n#include "{name}_weights.h"\n\n']
    parts.append(f"uint64_t {name}_arena[{name.upper()}_ARENA_BYTES / {ALIGNMENT}];\n")
    parts.append(f"#define AT(offset) ((uint8_t *){name}_arena + (offset))\n\n")
    stage_type = "(const hwf_stage *stage, void *row, uint32_t n, uint32_t pixel);\n"
    kernels = {layer.kernel.function for layer in program.layers}
    for function in functions(program):
        kind = "(const hwf_layer *layer);\n" if function in kernels else stage_type
        parts.append(f"void {function}{kind}")
    for number, layer in enumerate(program.layers):
        parts.append(_stages(program, number, layer))
    if not program.layers:  # only views of its inputs
        return "".join([*parts, f"\nvoid {name}_run(void) {{}}\n"])
    parts.append("\nstatic const hwf_layer layers[] = {\n")
    parts += [_layer(program, number, layer) for number, layer in enumerate(program.layers)]
    parts.append("};\n\n")
    parts.append(
        f"void {name}_run(void) {{\n"
        "  uint32_t i;\n"
        "  for (i = 0; i < sizeof layers / sizeof *layers; i++) layers[i].run(layers + i);\n"
        "}\n"
    )
    return "".join(parts)


def _stages(program: Program, number: int, layer: Layer) -> str:
    """The constant table of a layer's stages; nothing where there are none."""
    rows = []
    for at, stage in enumerate(layer.stages):
        if stage.tensor:
            data = f"AT({program.plan.tensors[_home(program, stage.tensor)]})"
        else:
            data = f"table_{number}_{at}" if stage.data is not None else "0"
        width, signed = (stage.type.width, int(stage.type.signed)) if stage.type else (0, 0)
        storage = stage.storage.enum if stage.storage else "0"
        modes = f"HWF_{stage.rounding}, HWF_{stage.overflow}"
        rows.append(
            f"  {{{stage.function}_{layer.bits}, {data}, {stage.shift}, {stage.up}, {modes}, {width}, {signed}, "
            f"{storage}, {int(stage.by_pixel)}, {stage.begin}}},\n"
        )
    return f"\nstatic const hwf_stage stages_{number}[] = {{\n{''.join(rows)}}};\n" if rows else ""


def _home(program: Program, node: str) -> str:
    """The tensor that holds a node's codes, through views."""
    while node not in program.tensors:
        node = program.graph.node(node).inputs[0]
    return node


def _layer(program: Program, number: int, layer: Layer) -> str:
    kernel, place = layer.kernel, program.plan
    window = kernel.window
    out_c = layer.shape[-1]
    scratch = f"AT({place.scratch[layer.name]})" if kernel.scratch else "0"
    pointers = (
        f"AT({place.tensors[layer.source]}), AT({place.tensors[layer.name]}), {scratch}",
        f"weights_{number}" if kernel.weights else "0",
        f"bias_{number}" if kernel.bias is not None else "0",
        f"stages_{number}" if layer.stages else "0",
    )
    shape = (window.in_h, window.in_w, kernel.channels, window.out_h, window.out_w, out_c)
    geometry = (
        window.kernel_h,
        window.kernel_w,
        window.stride_h,
        window.stride_w,
        window.pad_top,
        window.pad_left,
    )
    storages = (program.tensors[layer.source].storage.enum, program.tensors[layer.name].storage.enum)
    text = ", ".join(str(value) for value in (*shape, *geometry, kernel.zero, kernel.step, len(layer.stages)))
    return (
        f"  /* {number}: {', '.join(layer.nodes)} */\n"
        f"  {{{kernel.function}, {', '.join(pointers)},\n"
        f"   {text}, {', '.join(storages)}, {kernel.storage.enum}, {kernel.acc_shift}}},\n"
    )


def pack_tensor(tensor: Tensor, codes: Codes) -> bytes:
    """Frames of codes as they lie in the arena, one behind the other."""
    return pack_rows(np.asarray(codes).reshape(-1, tensor.node.channels), tensor.storage)


def unpack_tensor(tensor: Tensor, data: bytes, shape: Sequence[int]) -> Codes:
    """Inverse of :func:`pack_tensor` for codes of at least 8 bits, as all inputs and outputs are."""
    kind = f"<{'i' if tensor.storage.signed else 'u'}{tensor.storage.bits // 8}"
    return np.frombuffer(data, dtype=kind).astype(np.int64).reshape(-1, *shape)


def _golden(programs: Mapping[str, tuple[Program, Golden | None]]) -> str:
    """Vectors and the table of checks."""
    parts = [_SPDX, '#include "check.h"\n\n']
    parts.append(
        '#if defined(__arm__)\n#define GOLDEN __attribute__((section(".golden")))\n#else\n#define GOLDEN\n#endif\n'
    )
    rows = []
    for name, (program, golden) in programs.items():
        parts.append(f'\n#include "{name}.h"\n')
        frames = _frames(program, golden)
        ports = {"inputs": program.graph.inputs, "outputs": program.graph.outputs}
        at = {node: (tensor, offset) for node, tensor, offset in _ports(program)}
        for side, nodes in ports.items():
            table = []
            for node in nodes:
                tensor, offset = at[node]
                data = f"{name}_{identifier(node)}_golden"
                size = tensor.storage.row_bytes(tensor.node.channels) * tensor.node.pixels
                if golden is not None and frames:
                    codes = (golden.inputs if side == "inputs" else golden.outputs)[node]
                    text = _array("uint32_t", data, pack_tensor(tensor, codes), 32)
                    parts.append(text.replace("] = {", "] GOLDEN = {", 1))
                vectors = f"(const uint8_t *){data}" if frames else "0"
                table.append(f"  {{(uint8_t *){name}_arena, {offset}, {size}, {vectors}}},\n")
            parts.append(f"static const hwf_port {name}_{side}_[] = {{\n{''.join(table)}}};\n")
        counts = f"{frames}, {len(program.graph.inputs)}, {len(program.graph.outputs)}"
        rows.append(f'  {{"{name}", {name}_run, {counts}, {name}_inputs_, {name}_outputs_}},\n')
    parts.append(f"\nconst hwf_check hwf_checks[] = {{\n{''.join(rows)}}};\n")
    parts.append("const uint32_t hwf_n_checks = sizeof hwf_checks / sizeof *hwf_checks;\n")
    return "".join(parts)


def _frames(program: Program, golden: Golden | None) -> int:
    """Number of frames; all tensors must have as many, of their shape."""
    if golden is None:
        return 0
    counts = set()
    for codes, nodes in ((golden.inputs, program.graph.inputs), (golden.outputs, program.graph.outputs)):
        for node in nodes:
            shape = program.graph.node(node).shape
            if node not in codes or codes[node].shape[1:] != shape:
                raise UserError(f"golden vectors of {node!r} are missing, or not frames of shape {shape}")
            counts.add(len(codes[node]))
    if len(counts) != 1:
        raise UserError(f"golden vectors hold different numbers of frames: {sorted(counts)}")
    return counts.pop()
