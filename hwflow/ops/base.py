# SPDX-License-Identifier: Apache-2.0
"""What hwflow knows about one layer type: the interface every folder under ``ops/`` fills in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from math import gcd
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwflow.ir.graph import QuantNode
from hwflow.numerics.fixed import Cast, Codes, FixedType, apply_cast
from hwflow.ops.frontend import KerasCheck, LayerTypes


@dataclass(frozen=True, slots=True)
class Interval:
    """Codes a tensor can take, on the grid ``2**-frac``.

    Parameters
    ----------
    low, high : ndarray of int64, shape (channels,)
        Smallest and largest code a channel.
    frac : int
        Fractional bits.
    """

    low: Codes
    high: Codes
    frac: int

    def cast(self, node: QuantNode) -> Interval:
        """Range after the node's cast (monotone modes; the whole type where codes may wrap or zero)."""
        low = apply_cast(self.low, self.frac, node.cast)
        high = apply_cast(self.high, self.frac, node.cast)
        if not self.fits(node):
            type_low, type_high = node.type.range()
            if node.cast.overflow.value in ("WRAP", "SAT_ZERO"):
                low, high = np.full_like(low, type_low), np.full_like(high, type_high)
        return Interval(low, high, node.type.frac)

    def fits(self, node: QuantNode) -> bool:
        """Whether no code leaves the node's range after rounding."""
        shift = self.frac - node.type.frac
        type_low, type_high = node.type.range()
        # Rounding moves a code up by one at most.
        low = int(self.low.min()) >> shift if shift > 0 else int(self.low.min()) << -shift
        high = (int(self.high.max()) >> shift) + 1 if shift > 0 else int(self.high.max()) << -shift
        return type_low <= low and high <= type_high


@dataclass(frozen=True, slots=True)
class Access:
    """Which pixels of an input the output pixels of a node read, in raster order.

    Parameters
    ----------
    first, last : ndarray of int64, shape (output pixels,)
        Running number, within the frame, of the first and of the last pixel that is read. A negative one lies
        in the frame before (padding). Where an output reads nothing of this input, both are those of the
        output before it.
    capacity : int
        Pixels the node's buffer must hold at least.
    """

    first: Codes
    last: Codes
    capacity: int = 1

    @classmethod
    def pixelwise(cls, pixels: int) -> Access:
        """Each output pixel reads the input pixel of the same number."""
        numbers = np.arange(pixels, dtype=np.int64)
        return cls(numbers, numbers)


@dataclass(frozen=True, slots=True)
class _Axis:
    """Rows or columns of a frame that windows read: ``keep`` of every ``step``, ``count`` times.

    The first ``offset`` of the first ``keep`` lie in the padding.
    """

    size: int
    keep: int
    step: int
    offset: int
    count: int

    @classmethod
    def read_by(cls, size: int, out: int, kernel: int, stride: int, pad: int) -> _Axis:
        """The axis under windows; where they overlap, all up to the last one that is read."""
        if stride > kernel:
            return cls(size, kernel, stride, pad, out)
        return cls(size, min(size, (out - 1) * stride + kernel - pad), size, 0, 1)

    def read(self) -> NDArray[np.bool_]:
        places = np.arange(self.size) + self.offset
        found: NDArray[np.bool_] = (places % self.step < self.keep) & (places // self.step < self.count)
        return found

    def parameters(self, axis: str) -> dict[str, int]:
        values = {
            "In": self.size,
            "Keep": self.keep,
            "Step": self.step,
            "Offset": self.offset,
            "Count": self.count,
        }
        return {f"{name}{axis}": value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Window:
    """Geometry of a sliding window over a frame, pixels.

    Parameters
    ----------
    in_h, in_w, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left : int
        As in ``hwf_window``.
    """

    in_h: int
    in_w: int
    out_h: int
    out_w: int
    kernel_h: int = 1
    kernel_w: int = 1
    stride_h: int = 1
    stride_w: int = 1
    pad_top: int = 0
    pad_left: int = 0

    @classmethod
    def of(cls, node: QuantNode) -> Window:
        """The window of a convolution node."""
        names = cls.__slots__
        return cls(**{name: int(node.attrs[name]) for name in names})

    @property
    def is_pixel(self) -> bool:
        """Whether the window is a single pixel that moves by one."""
        return self.kernel_h == self.kernel_w == self.stride_h == self.stride_w == 1

    def access(self) -> Access:
        """Pixels each window position reads, and the smallest line buffer that holds them."""
        return Access(self._first(), self._last(), (self.kernel_h - 1) * self.in_w + self.kernel_w)

    def unread(self, words: int, cycles: int) -> Window | None:
        """This window, if pixels that none of its positions read make a frame of ``words`` words a pixel take
        longer to read than ``cycles`` a position; else None.
        """
        slow = words > 1 and self.in_h * self.in_w * words > self.out_h * self.out_w * cycles
        return self if slow and not self.read_pixels().all() else None

    def reduced(self) -> Window:
        """The same positions over frames without the pixels that none of them reads."""
        rows, columns = self._axes()
        return replace(
            self,
            in_h=int(rows.read().sum()),
            in_w=int(columns.read().sum()),
            stride_h=min(self.stride_h, self.kernel_h),
            stride_w=min(self.stride_w, self.kernel_w),
        )

    def read_pixels(self) -> NDArray[np.bool_]:
        """Whether any position reads the pixel, for each pixel of a frame in raster order."""
        rows, columns = self._axes()
        return np.outer(rows.read(), columns.read()).ravel()

    def skip_parameters(self) -> dict[str, int]:
        """Parameters of the module that leaves those pixels out (``hwf_skip``), but for the beats of a pixel."""
        rows, columns = self._axes()
        return rows.parameters("H") | columns.parameters("W")

    def _axes(self) -> tuple[_Axis, _Axis]:
        return (
            _Axis.read_by(self.in_h, self.out_h, self.kernel_h, self.stride_h, self.pad_top),
            _Axis.read_by(self.in_w, self.out_w, self.kernel_w, self.stride_w, self.pad_left),
        )

    def banked_access(self) -> Access:
        """The same for a reader of whole windows, which keeps and releases rows."""
        return Access(self._first() // self.in_w * self.in_w, self._last(), self.banked_pixels)

    @property
    def banked_pixels(self) -> int:
        """Pixels that a reader of whole windows keeps, whatever the schedule (``hwf_window_parallel``)."""
        step = max(self.in_h - (self.out_h - 1) * self.stride_h, self.stride_h)
        return (self.kernel_h + step) * self.in_w

    def _last(self) -> Codes:
        rows = np.minimum(
            np.arange(self.out_h) * self.stride_h - self.pad_top + self.kernel_h - 1, self.in_h - 1
        )
        cols = np.minimum(
            np.arange(self.out_w) * self.stride_w - self.pad_left + self.kernel_w - 1, self.in_w - 1
        )
        numbers: Codes = (rows[:, None] * self.in_w + cols[None, :]).ravel().astype(np.int64)
        return numbers

    def _first(self) -> Codes:
        rows = np.arange(self.out_h) * self.stride_h - self.pad_top
        cols = np.arange(self.out_w) * self.stride_w - self.pad_left
        numbers: Codes = (rows[:, None] * self.in_w + cols[None, :]).ravel().astype(np.int64)
        return numbers


@dataclass(frozen=True, slots=True)
class Folding:
    """How a node is folded in time.

    Parameters
    ----------
    pe, simd : int
        Outputs and inputs computed a cycle (0 where there is no matrix-vector unit).
    in_lanes : tuple of int
        Values a beat of each input stream.
    out_lanes : int
        Values a beat of the output stream.
    cycles : int
        Cycles an output pixel takes.
    multipliers : int
        Multipliers the node holds.
    latency : int
        Cycles from the last operand of an output beat to that beat, at most.
    buffered : bool
        Whether the module has a buffer of pixels at its input, which the schedule sizes.
    banked : Window or None
        Window of a module whose buffer is rows of a fixed number; what else waits is kept in front of it.
    skip : Window or None
        Window whose unread pixels are left out in front of the module, which works on the frame that remains.
    """

    in_lanes: tuple[int, ...]
    out_lanes: int
    cycles: int
    pe: int = 0
    simd: int = 0
    multipliers: int = 0
    latency: int = 1
    buffered: bool = False
    banked: Window | None = None
    skip: Window | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """Contents of a ``$readmemh`` file.

    Parameters
    ----------
    words : ndarray of int64, shape (depth, lanes)
        Codes; lane 0 lies in the low bits.
    lane_width : int
        Bits of one lane.
    """

    words: Codes
    lane_width: int


@dataclass(frozen=True, slots=True)
class Instance:
    """A module instance of an operation.

    Parameters
    ----------
    module : str
        SystemVerilog module.
    parameters : mapping of str to int or Memory
        Parameters; a :class:`Memory` becomes a file and its name the parameter.
    inputs : tuple of str
        Prefixes of the input streams' ports, one an input.
    modules : tuple of str or None
        Library modules it needs, where they are not those of the operation.
    sources : mapping of str to str
        Generated modules it needs, itself among them: name to SystemVerilog.
    output_register : str
        Parameter that, set to 0, leaves out the register at its output.
    """

    module: str
    parameters: Mapping[str, int | Memory]
    inputs: tuple[str, ...] = ("s_axis",)
    modules: tuple[str, ...] | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    output_register: str = ""


class OpSpec(ABC):
    """One layer type.

    Attributes
    ----------
    name : str
        Key in the registry and folder under ``ops/``.
    hls4ml_classes : tuple of str
        hls4ml layer classes that lower to this operation.
    modules : tuple of str
        SystemVerilog modules an instance needs (own and shared ones).
    arity : int
        Number of input tensors, -1 where it varies.
    registers_input : bool
        Whether its modules work on each beat combinationally and store the result at once.
    moves : bool
        Whether values only change places: codes keep the type in which their source makes them.
    parallel : bool
        Whether hls4ml's ``ParallelizationFactor`` holds for its layers.
    keras : mapping of str to callable
        Check of each Keras layer class that becomes this operation (see :data:`hwflow.ops.frontend.KerasCheck`).
    """

    name: ClassVar[str]
    hls4ml_classes: ClassVar[tuple[str, ...]] = ()
    modules: ClassVar[tuple[str, ...]] = ()
    arity: ClassVar[int] = 1
    registers_input: ClassVar[bool] = False
    moves: ClassVar[bool] = False
    parallel: ClassVar[bool] = False
    keras: ClassVar[Mapping[str, KerasCheck]] = {}

    @abstractmethod
    def types(self, layer: LayerTypes) -> Cast:
        """Make the constants and inner types of an hls4ml layer exact; returns the type of its result.

        Raises
        ------
        UserError
            When a type cannot be had; the caller names the layer.
        """

    def legal_reuse(self, layer: Any) -> list[int] | None:
        """Legal reuse factors of an hls4ml layer, ascending; None where it has no multipliers to share."""
        return None

    def reuse_factors(self, node: QuantNode, inputs: Sequence[QuantNode]) -> list[int] | None:
        """The same of a node: what :meth:`legal_reuse` gives for the layer it came from."""
        return None

    @abstractmethod
    def lower(self, layer: Any, name: str, inputs: Sequence[QuantNode]) -> QuantNode:
        """Make the node of an hls4ml layer (which is only read through ``get_attr`` and its weights)."""

    def check(self, node: QuantNode, inputs: Sequence[QuantNode]) -> list[str]:
        """Reasons why the node cannot become hardware; empty when it can."""
        if self.moves and node.type != inputs[0].type:
            return [
                f"the layer only moves values, so its type {node.type} must be that of its input, {inputs[0].type}"
            ]
        return []

    @abstractmethod
    def interval(self, node: QuantNode, inputs: Sequence[Interval]) -> Interval:
        """Exact range before the node's cast."""

    @abstractmethod
    def exact(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> tuple[Codes, int]:
        """Exact integer result before the cast, and its fractional bits.

        Parameters
        ----------
        node : QuantNode
            The node.
        inputs : sequence of (ndarray of int64 (n, ...shape), FixedType)
            Codes of the inputs with the batch axis, and their grids.
        """

    def reference(self, node: QuantNode, inputs: Sequence[tuple[Codes, FixedType]]) -> Codes:
        """Integer-exact result codes of the node."""
        codes, frac = self.exact(node, inputs)
        return apply_cast(codes, frac, node.cast)

    def approximates(self, node: QuantNode, inputs: Sequence[QuantNode]) -> bool:
        """Whether hls4ml's layer computes something else than Keras': a table, a rounded quotient.

        C++, golden model and RTL are then equal to each other, but not to the Keras model.
        """
        return False

    @abstractmethod
    def folding(self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int]) -> Folding:
        """PE, SIMD and lanes that follow from the reuse factor.

        Parameters
        ----------
        node : QuantNode
            The node.
        inputs : sequence of QuantNode
            Producers of its inputs.
        lanes : sequence of int
            Values a beat the producers deliver.
        """

    def folding_within(
        self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int], cycles: int
    ) -> Folding:
        """Folding in a network whose frames take ``cycles`` cycles, set by the layers with a reuse factor."""
        return self.folding(node, inputs, lanes)

    def access(self, node: QuantNode, inputs: Sequence[QuantNode]) -> tuple[Access, ...] | None:
        """What the node's outputs read of each input, for a node that waits for whole pixels.

        None stands for a node that passes beats on as they come, joining them where it has several inputs.
        """
        return None

    @abstractmethod
    def instance(
        self,
        node: QuantNode,
        inputs: Sequence[QuantNode],
        ranges: Sequence[Interval],
        folding: Folding,
        pixels: int,
    ) -> Instance | None:
        """The module instance, or None where the node is only wires.

        Parameters
        ----------
        node : QuantNode
            The node.
        inputs : sequence of QuantNode
            Producers of its inputs.
        ranges : sequence of Interval
            Codes the inputs can take.
        folding : Folding
            What :meth:`folding` returned.
        pixels : int
            Capacity of the pixel buffer, where the folding says there is one.
        """

    def cases(self) -> tuple[Case, ...]:
        """Parameter points of the generic suites: what ``cases()`` in the operation's ``cases.py`` gives."""
        points: tuple[Case, ...] = import_module(f"{type(self).__module__}.cases").cases()
        return points


class FollowingOp(OpSpec):
    """A layer type without a reuse factor: as few lanes as keep the pace of the network."""

    def folding(self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int]) -> Folding:
        frames = [x.pixels * x.channels // width for x, width in zip(inputs, lanes, strict=True)]
        return self.folding_within(node, inputs, lanes, max(frames))

    @abstractmethod
    def folding_within(
        self, node: QuantNode, inputs: Sequence[QuantNode], lanes: Sequence[int], cycles: int
    ) -> Folding:
        """Folding with as few lanes as keep a frame within ``cycles`` cycles, or all lanes."""


_ROUNDING = ("TRN", "TRN_ZERO", "RND", "RND_ZERO", "RND_INF", "RND_MIN_INF", "RND_CONV")
_OVERFLOW = ("WRAP", "SAT", "SAT_ZERO", "SAT_SYM")


def grid_parameters(prefix: str, type_: FixedType, *, frac: bool = True) -> dict[str, int]:
    """Module parameters ``<prefix>W``, ``<prefix>Signed`` and ``<prefix>Frac`` of a grid."""
    parameters = {f"{prefix}W": type_.width, f"{prefix}Signed": int(type_.signed)}
    return parameters | ({f"{prefix}Frac": type_.frac} if frac else {})


def cast_parameters(node: QuantNode) -> dict[str, int]:
    """Module parameters of the output grid and the way there."""
    return grid_parameters("Y", node.type) | mode_parameters("", node.cast)


def mode_parameters(prefix: str, cast: Cast) -> dict[str, int]:
    """Module parameters ``<prefix>Rounding`` and ``<prefix>Overflow`` of a cast."""
    return {
        f"{prefix}Rounding": _ROUNDING.index(cast.rounding.value),
        f"{prefix}Overflow": _OVERFLOW.index(cast.overflow.value),
    }


def lanes_for(total: int, cycles: int) -> int:
    """Fewest lanes, a divisor of ``total``, that drain ``total`` values in ``cycles`` cycles.

    Examples
    --------
    >>> lanes_for(64, 27)
    4
    """
    return next(lanes for lanes in range(1, total + 1) if total % lanes == 0 and total // lanes <= cycles)


def lanes_within(node: QuantNode, cycles: int) -> int:
    """Fewest lanes that pass a frame of the node's tensor within ``cycles`` cycles; all where none do."""
    return lanes_for(node.channels, max(1, cycles // node.pixels))


def pixel_lanes(channels: int, lanes: int) -> int:
    """Lanes of a stream in which pixels are whole beats: those it has, or all where these divide no pixel."""
    return lanes if channels % lanes == 0 else channels


def align(codes: Codes, from_frac: int, to_frac: int) -> Codes:
    """Codes on a finer (or equal) grid."""
    return np.asarray(codes, dtype=np.int64) << (to_frac - from_frac)


def dense_folding(n_in: int, n_out: int, reuse: int) -> tuple[int, int]:
    """(PE, SIMD) of a matrix-vector unit under hls4ml's reuse factor.

    A reuse factor up to ``n_in`` divides the inputs (all outputs at once); a larger one is a multiple of
    ``n_in`` (one input a cycle) and divides the outputs. A divisor of such a factor, which a parallelization
    factor leaves (:func:`hwflow.ops.reuse.pixel_cycles`), divides the inputs as far as it can, then the outputs.

    Examples
    --------
    >>> dense_folding(64, 128, 16), dense_folding(64, 128, 256), dense_folding(27, 10, 90)
    ((128, 4), (32, 1), (1, 3))
    """
    input_folds = gcd(reuse, n_in)
    return n_out * input_folds // reuse, n_in // input_folds


def depthwise_folding(kernel: int, channels: int, reuse: int) -> tuple[int, int]:
    """(PE, SIMD) of a depthwise unit: channels first, kernel positions where those do not suffice.

    Examples
    --------
    >>> depthwise_folding(9, 64, 144), depthwise_folding(9, 64, 3)
    ((4, 1), (64, 3))
    """
    products = kernel * channels // reuse
    pe = gcd(products, channels)
    return pe, products // pe


@dataclass(frozen=True, slots=True)
class Case:
    """A parameter point of an operation for the generic suites.

    Parameters
    ----------
    name : str
        Identifier, for example ``Rf16-W6``.
    node : QuantNode
        The node; its inputs are named ``x0``, ``x1``…
    inputs : tuple of QuantNode
        Input nodes that feed it.
    """

    name: str
    node: QuantNode
    inputs: tuple[QuantNode, ...] = field(default_factory=tuple)
