# SPDX-License-Identifier: Apache-2.0
"""Drawing a random network by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from typing import Literal

import numpy as np

from hwflow.fuzz.families import FAMILIES, Draw, Drawn, Family, Shape
from hwflow.fuzz.network import INPUT, LayerSpec, NetSpec, output_shape
from hwflow.ops.distributed import STRATEGY

IoChoice = Literal["io_stream", "io_parallel", "both"]

FRAMES = 4
#: Largest tensor, so that a network costs seconds.
_VALUES = 400
#: Layers with wide results in a row before a quantizer must come.
_WIDE = 2
#: Shares of idle and stalled cycles, in 1/1000.
_STALLS = ((0, 900), (900, 0), (500, 500), (30, 990), (990, 10), (200, 100))


def draw_network(seed: int, io: IoChoice, supported: Set[str], *, several_ports: bool = True) -> NetSpec:
    """A random network; the same seed and the same supported layers give the same one.

    Parameters
    ----------
    seed : int
        Seed of all choices.
    io : str
        hls4ml's I/O type, or ``both`` to draw it.
    supported : set of str
        Keras classes that may be drawn.
    several_ports : bool
        Whether networks may have several inputs and outputs.
    """
    return _Drawing(seed, supported, several_ports).network(io)


class _Drawing:
    """A network that grows layer by layer; every tensor made so far can be read again."""

    def __init__(self, seed: int, supported: Set[str], several_ports: bool) -> None:
        self.seed = seed
        self.supported = supported
        self.several_ports = several_ports
        self.draw = Draw(np.random.default_rng(seed))
        self.layers: list[LayerSpec] = []
        self.shapes: dict[str, Shape] = {}
        self.wide: dict[str, int] = {}
        self.unsigned: set[str] = set()

        sign = self.draw.pick("ap_fixed", "ap_fixed", "ap_ufixed")
        self.input_type = f"{sign}<{self.draw.number(2, 9)},{self.draw.number(-1, 4)}>"

    def network(self, io: IoChoice) -> NetSpec:
        """Draw everything."""
        draw = self.draw
        shape = self._input_shape()
        current = self._input(shape)
        inputs = [current]
        if self.several_ports and draw.flip(0.15):
            inputs.append(self._input(shape if draw.flip() else (*shape[:-1], draw.number(1, 4))))
        for _ in range(draw.number(2, 6)):
            current = self._step(current)
        while current in inputs:  # the draws may all have failed to fit
            current = self._layer("quantize", [current]) or current
        if len(self.shapes[current]) > 1 and "Flatten" in self.supported and draw.flip(0.4):
            current = self._append(Drawn("Flatten", {}), [current], widens=False)
            if draw.flip(0.7):
                current = self._layer("dense", [current]) or current
        outputs = [current]
        read = {name for layer in self.layers for name in layer.inputs}
        others = [
            layer.name
            for layer in self.layers
            if layer.name not in read and layer.name != current and layer.kind != INPUT
        ]
        if self.several_ports and others and draw.flip():
            outputs += others[:2]
        idle, stall = draw.pick(*_STALLS)
        return NetSpec(
            self.seed,
            tuple(self.layers),
            tuple(outputs),
            io_type=draw.pick("io_stream", "io_parallel") if io == "both" else io,
            input_type=self.input_type,
            frames=FRAMES,
            idle=idle,
            stall=stall,
        ).pruned()

    def _input_shape(self) -> Shape:
        draw = self.draw
        rank = draw.pick(3, 3, 2, 1) if "QConv1D" in self.supported else draw.pick(3, 3, 1)
        if rank == 1:
            return (draw.number(2, 16),)
        sides = [draw.number(3, 8) if rank == 3 else draw.number(4, 16) for _ in range(rank - 1)]
        return (*sides, draw.number(1, 4))

    def _input(self, shape: Shape) -> str:
        spec = LayerSpec(f"in{len(self.layers)}", INPUT, args={"shape": list(shape)})
        self.layers.append(spec)
        self.shapes[spec.name], self.wide[spec.name] = shape, 0
        if self.input_type.startswith("ap_ufixed"):
            self.unsigned.add(spec.name)
        return spec.name

    def _step(self, current: str) -> str:
        """One more layer, or a block with a branch around it."""
        draw = self.draw
        if draw.flip(0.12):  # go on from an earlier tensor; what is left open is read later, or left out
            current = draw.pick(*self.shapes)
        if self.wide[current] >= _WIDE:
            return self._layer("quantize", [current]) or current
        if draw.flip(0.2) and (joined := self._residual(current)):
            return joined
        names = [name for name, family in FAMILIES.items() if self._fits(family, current)]
        weights = np.array([FAMILIES[name].weight for name in names])
        name = names[int(draw.rng.choice(len(names), p=weights / weights.sum()))]
        return self._layer(name, self._operands(name, current)) or current

    def _fits(self, family: Family, current: str) -> bool:
        if "PReLU" in family.kinds and current in self.unsigned:
            return False  # it would do nothing, which hwflow refuses
        return len(self.shapes[current]) in family.ranks and not self.supported.isdisjoint(family.kinds)

    def _operands(self, name: str, current: str) -> list[str]:
        """The tensors that a layer of this family reads, ``current`` among them."""
        if not FAMILIES[name].merges:
            return [current]
        free = slice(None, -1) if name == "concatenate" else slice(None)
        shape = self.shapes[current][free]
        others = [
            other
            for other, at in self.shapes.items()
            if other != current and at[free] == shape and len(at) == len(self.shapes[current])
        ]
        if not others:
            return []
        operands = [current, self.draw.pick(*others)]
        return operands if self.draw.flip() else operands[::-1]

    def _residual(self, current: str) -> str | None:
        """A layer that keeps the shape, a quantizer, and the sum with what went in."""
        shape = self.shapes[current]
        name = {1: "dense", 2: "conv1d", 3: "conv2d"}[len(shape)]
        if self.supported.isdisjoint(FAMILIES[name].kinds):
            return None
        drawn = FAMILIES[name].draw(self.draw, FAMILIES[name].kinds[0], shape)
        assert drawn is not None  # these always fit
        same: dict[str, object] = (
            {"units": shape[-1]} if name == "dense" else {"filters": shape[-1], "padding": "same"}
        )
        same |= {} if name == "dense" else {"strides": [1] * (len(shape) - 1)}
        branch = self._append(Drawn(drawn.kind, {**drawn.args, **same}, drawn.hls), [current])
        if self.draw.flip(0.7):
            branch = self._layer("quantize", [branch]) or branch
        return self._append(Drawn("Add", {}), [current, branch])

    def _layer(self, family: str, inputs: list[str]) -> str | None:
        """Append a layer of a family; None where none fits."""
        kinds = [kind for kind in FAMILIES[family].kinds if kind in self.supported]
        if not inputs or not kinds:
            return None
        drawn = FAMILIES[family].draw(self.draw, self.draw.pick(*kinds), self.shapes[inputs[0]])
        return None if drawn is None else self._append(drawn, inputs, widens=FAMILIES[family].widens)

    def _append(self, drawn: Drawn, inputs: list[str], *, widens: bool = True) -> str:
        """Append a layer unless its tensor gets empty or too large; the name of what goes on."""
        name = f"{drawn.kind.lower()}{len(self.layers)}"
        hls = dict(drawn.hls)
        fold = float(self.draw.rng.choice((0.0, self.draw.rng.random(), 1.0)))
        fold *= hls.get("Strategy") != STRATEGY  # adder graphs share nothing
        parallel = self.draw.rng.random() if drawn.kind in _PARALLEL and fold and self.draw.flip(0.3) else 0.0
        if widens and "Precision" not in hls and self.draw.flip(0.08):
            hls["Precision"] = {"result": self.draw.precision()}
        spec = LayerSpec(
            name, drawn.kind, tuple(inputs), drawn.args, hls, round(fold, 3), round(parallel, 3), drawn.exact
        )
        try:
            shape = output_shape(spec, [self.shapes[name] for name in inputs])
        except ValueError:  # Keras: the window does not fit
            return inputs[0]
        if min(shape) < 1 or math.prod(shape) > _VALUES:
            return inputs[0]
        self.layers.append(spec)
        self.shapes[name] = shape
        wide = max(self.wide[name] for name in inputs)
        if _is_unsigned(spec) or (drawn.kind in _MOVERS and self.unsigned.issuperset(inputs)):
            self.unsigned.add(name)
        resets = drawn.kind == "QActivation" or "Precision" in hls
        self.wide[name] = 0 if resets else wide + widens
        return name


#: Layers that can compute several pixels in the cycles of one.
_PARALLEL = frozenset(
    kind for name in ("conv1d", "conv2d", "depthwise", "folded") for kind in FAMILIES[name].kinds
)
#: Layers whose result is as unsigned as what they read.
_MOVERS = frozenset(
    [f"{name}{rank}D" for name in ("MaxPooling", "ZeroPadding", "Cropping", "UpSampling") for rank in (1, 2)]
    + ["GlobalMaxPooling1D", "GlobalMaxPooling2D", "Flatten", "Reshape", "Permute", "Concatenate"]
    + ["Add", "Maximum", "Minimum", "Multiply", "Average"]
)


def _is_unsigned(layer: LayerSpec) -> bool:
    """Whether a layer's own type or function leaves no negative values."""
    quantizer = layer.args.get("activation")
    if isinstance(quantizer, Mapping):
        return quantizer["quantizer"] == "quantized_relu" or quantizer.get("keep_negative") == 0
    precision = layer.hls.get("Precision", {})
    return layer.kind == "ReLU" or quantizer == "relu" or str(precision.get("result")).startswith("ap_ufixed")
