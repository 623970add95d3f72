# SPDX-License-Identifier: Apache-2.0
"""Synthesis of a design module by module, with every result cached by content.

Streams are registered at the borders of the modules, so that little is left to gain across them; synthesized
apart they fit into memory whatever the size of the network, equal ones are done once, and an unchanged layer
costs nothing the second time.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hwflow.emit.design import Block, Design
from hwflow.emit.rtl import library_path
from hwflow.tools.paths import cache_dir
from hwflow.tools.targets import Resources, Target
from hwflow.tools.versions import package_version
from hwflow.tools.yosys import synthesize

_INSTANCE = re.compile(r"\bhwf_\w+")


@dataclass(frozen=True, slots=True)
class ModuleJob:
    """A module at one parameter point.

    Parameters
    ----------
    module : str
        SystemVerilog module.
    parameters : mapping of str to int or str
        Its parameters; names of memory files as they stand in the RTL folder.
    memories : mapping of str to str
        Contents of these files.
    sources : mapping of str to str
        Text of the module and of all it instantiates, by module name.
    """

    module: str
    parameters: Mapping[str, int | str]
    memories: Mapping[str, str]
    sources: Mapping[str, str]

    def key(self, target: Target) -> str:
        """Hash of all that the result depends on."""
        whole = [
            self.module,
            sorted(self.parameters.items()),
            sorted(self.memories.items()),
            sorted(self.sources.items()),
            target.command,
            package_version("pyosys"),
        ]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ModuleResult:
    """What synthesis made of a module.

    Parameters
    ----------
    cells : mapping of str to int
        Cells by type.
    resources : Resources
        The same as resources of the family.
    seconds : float
        Time the synthesis took when it was done, s.
    """

    cells: Mapping[str, int]
    resources: Resources
    seconds: float


def module_job(block: Block, design: Design) -> ModuleJob:
    """The job of a module instance of a design."""
    names = {str(value).removeprefix("mem/") for value in block.parameters.values() if isinstance(value, str)}
    return ModuleJob(
        block.module,
        dict(block.parameters),
        {f"mem/{name}": design.memories[name] for name in sorted(names & design.memories.keys())},
        _closure(block.module, design.sources),
    )


def _closure(module: str, generated: Mapping[str, str]) -> dict[str, str]:
    """Source of a module and of all modules it instantiates; those that are not generated are the library's."""
    found: dict[str, str] = {}
    pending = [module]
    while pending:
        name = pending.pop()
        if name in found:
            continue
        found[name] = generated[name] if name in generated else library_path(name).read_text()
        code = re.sub(r"//[^\n]*", "", found[name])
        pending += sorted(set(_INSTANCE.findall(code)) - found.keys())
    return found


def synthesize_module(job: ModuleJob, target: Target, log: Path) -> ModuleResult:
    """Synthesize a module, or find the result in the cache.

    Parameters
    ----------
    job : ModuleJob
        What to synthesize.
    target : Target
        FPGA family.
    log : pathlib.Path
        Where Yosys' output goes.

    Returns
    -------
    ModuleResult

    Raises
    ------
    ToolError
        When synthesis fails.
    """
    record = cache_dir("synth") / f"{job.key(target)}.json"
    if not record.exists():
        with tempfile.TemporaryDirectory(prefix="hwflow-synth-") as scratch:
            folder = Path(scratch)
            (folder / "mem").mkdir()
            sources = {f"{name}.sv": text for name, text in job.sources.items()}
            for name, text in {**job.memories, **sources}.items():
                (folder / name).write_text(text)
            result = synthesize(
                [folder / name for name in sorted(sources)],
                job.module,
                out=folder,
                log=log,
                command=target.command,
                params=job.parameters,
                cwd=folder,
            )
            text = json.dumps({"cells": dict(result.cells), "seconds": result.seconds})
            part = record.with_suffix(f".{folder.name}")
            part.write_text(text)
            part.replace(record)
    data = json.loads(record.read_text())
    return ModuleResult(data["cells"], target.resources(data["cells"]), float(data["seconds"]))


@dataclass(frozen=True, slots=True)
class DesignResult:
    """Resources of a whole design.

    Parameters
    ----------
    layers : mapping of str to Resources
        By node, with the buffers in front of it and the copies of its output.
    total : Resources
        Sum over all modules.
    seconds : float
        Time of all syntheses when they were done, s.
    """

    layers: Mapping[str, Resources]
    total: Resources
    seconds: float


def synthesize_design(
    design: Design,
    target: Target,
    *,
    logs: Path,
    jobs: int = 1,
    track: Callable[[Iterable[ModuleResult], int], Iterable[ModuleResult]] = lambda results, _: results,
) -> DesignResult:
    """Synthesize every module of a design.

    Parameters
    ----------
    design : Design
        The accelerator.
    target : Target
        FPGA family.
    logs : pathlib.Path
        Folder for Yosys' output, one file a module.
    jobs : int
        Syntheses at the same time.
    track : callable
        Given the results as they come and their number; shows progress.

    Returns
    -------
    DesignResult
    """
    logs.mkdir(parents=True, exist_ok=True)
    blocks = [*design.blocks, *last_beat_counters(design)]
    distinct: dict[str, tuple[ModuleJob, Path]] = {}
    keys = []
    for block in blocks:
        job = module_job(block, design)
        keys.append(job.key(target))
        distinct.setdefault(keys[-1], (job, logs / f"{target.name}-{block.label}.log"))
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(lambda work: synthesize_module(work[0], target, work[1]), distinct.values())
        done = dict(zip(distinct, track(_each(results), len(distinct)), strict=True))
    layers: dict[str, Resources] = {}
    empty = target.resources({})
    for block, key in zip(blocks, keys, strict=True):
        layers[block.node] = layers.get(block.node, empty) + done[key].resources
    total = sum(layers.values(), empty)
    return DesignResult(layers, total, sum(result.seconds for result in done.values()))


def _each(results: Iterable[ModuleResult]) -> Iterator[ModuleResult]:
    yield from results


def last_beat_counters(design: Design) -> Sequence[Block]:
    """The ``hwf_tlast`` of each output, which the writer adds to the blocks."""
    return [
        Block(
            "hwf_tlast",
            f"u_m_axis_{index}_tlast",
            {"Beats": design.graph.node(name).pixels * design.graph.node(name).channels // stream.lanes},
            (),
            (),
            name,
        )
        for index, (name, stream) in enumerate(zip(design.graph.outputs, design.outputs, strict=True))
    ]
