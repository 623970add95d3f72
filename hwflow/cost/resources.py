# SPDX-License-Identifier: Apache-2.0
"""Look-up tables, registers, multipliers and memory blocks of a design, without synthesis.

The structure of every module follows from its parameters (``ops/*/cost.py``, ``ops/librarycost.py``) and from the
rules of the family (``tools/fabric.py``): registers, multipliers and memory blocks are counted. LUTs are a sum over
features of that structure, with coefficients fitted to a sweep of synthesis results
(``hwflow estimate --calibrate``, ``reports/cost-model.md``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib import import_module, resources
from importlib.util import find_spec

import yaml

from hwflow.emit.design import Block, Design
from hwflow.errors import InternalError
from hwflow.ir.graph import QuantNode
from hwflow.ops.base import Folding, Instance, Interval, Memory
from hwflow.ops.costkit import Contents, Describe, Parameters, Structure
from hwflow.ops.distributedcost import distributed, graph_parameters
from hwflow.ops.registry import op, ops
from hwflow.synth.modules import DesignResult, last_beat_counters
from hwflow.tools.fabric import fabric
from hwflow.tools.targets import Resources, Target

#: Fitted coefficients: family to feature to LUTs.
COEFFICIENTS = "data/resource_coefficients.yaml"


@cache
def _describers() -> dict[str, Describe]:
    """Structure of every module by its name."""
    found: dict[str, Describe] = dict(import_module("hwflow.ops.librarycost").MODULES)
    for name in ops():
        module = f"hwflow.ops.{name}.cost"
        if find_spec(module):
            found |= import_module(module).MODULES
    return found


def structure(module: str, parameters: Parameters, target: Target) -> Structure:
    """Structure of a module at a parameter point.

    Parameters
    ----------
    module : str
        SystemVerilog module.
    parameters : mapping of str to int, tuple of int, or Contents
        Its parameters.
    target : Target
        FPGA family.

    Raises
    ------
    InternalError
        When nothing describes the module.
    """
    describe = distributed if "Adders" in parameters else _describers().get(module)
    if describe is None:
        raise InternalError(f"no cost.py describes the structure of {module}")
    counted = Structure(fabric(target.name))
    describe(counted, parameters)
    return counted


@cache
def coefficients(target: str) -> Mapping[str, float]:
    """LUTs a unit of each feature takes on a family."""
    data = resources.files("hwflow.cost").joinpath(COEFFICIENTS).read_text()
    found: dict[str, dict[str, float]] = yaml.safe_load(data)
    return found[target]


def weigh(counted: Structure, target: Target, weights: Mapping[str, float] | None = None) -> Resources:
    """Resources of a structure; a feature that no synthesis result spoke about counts as it stands."""
    each = coefficients(target.name) if weights is None else weights
    luts = sum(each.get(feature, 1.0) * amount for feature, amount in counted.luts.items())
    return Resources(
        lut=round(luts),
        ff=counted.ff,
        dsp=counted.dsp,
        bram=counted.cells,
        bram18=None if target.native_bram else counted.blocks,
        uram=counted.large,
    )


def block_parameters(block: Block, design: Design) -> Parameters:
    """Parameters of a module instance, with what is known of its memories or of its generated source."""
    values: dict[str, int | tuple[int, ...] | Contents] = {}
    for key, value in block.parameters.items():
        values[key] = (
            value if isinstance(value, int) else _contents(design.memories[value.removeprefix("mem/")])
        )
    if block.module in design.sources:
        values |= graph_parameters(design.sources[block.module])
    return values


@lru_cache(maxsize=4096)
def _contents(text: str) -> Contents:
    """Of the text of a memory file; the padding of a word to whole digits is zero, so not live."""
    lines = text.split()
    return Contents.of_words([int(line, 16) for line in lines], 4 * len(lines[0]))


def instance_parameters(instance: Instance) -> Parameters:
    """Parameters of an operation's module instance."""
    values: dict[str, int | tuple[int, ...] | Contents] = {
        key: Contents.of_memory(value) if isinstance(value, Memory) else value
        for key, value in instance.parameters.items()
    }
    if instance.module in instance.sources:
        values |= graph_parameters(instance.sources[instance.module])
    return values


def node_resources(
    node: QuantNode,
    sources: Sequence[QuantNode],
    ranges: Sequence[Interval],
    folding: Folding,
    pixels: int,
    target: Target,
) -> Resources:
    """Resources of one node's module, without a design around it; the arguments are those of ``OpSpec.instance``.

    Parameters
    ----------
    node : QuantNode
        The node.
    sources : sequence of QuantNode
        Producers of its inputs.
    ranges : sequence of Interval
        Codes the inputs can take.
    folding : Folding
        What ``OpSpec.folding`` returned.
    pixels : int
        Capacity of the pixel buffer, where the folding says there is one.
    target : Target
        FPGA family.
    """
    instance = op(node.op).instance(node, sources, ranges, folding, pixels)
    if instance is None:
        return target.resources({})
    return weigh(structure(instance.module, instance_parameters(instance), target), target)


def module_resources(module: str, parameters: Parameters, target: Target) -> Resources:
    """Resources of a module at a parameter point, for example of a FIFO: ``{"Width": 8, "Depth": 64}``."""
    return weigh(structure(module, parameters, target), target)


def predict_resources(design: Design, target: Target) -> DesignResult:
    """Resources of a design, module by module.

    Parameters
    ----------
    design : Design
        The accelerator.
    target : Target
        FPGA family.

    Returns
    -------
    DesignResult
        As :func:`hwflow.synth.modules.synthesize_design` gives it; its time is zero.
    """
    layers: dict[str, Resources] = {}
    empty = target.resources({})
    for block in [*design.blocks, *last_beat_counters(design)]:
        found = module_resources(block.module, block_parameters(block, design), target)
        layers[block.node] = layers.get(block.node, empty) + found
    return DesignResult(layers, sum(layers.values(), empty), 0.0)
