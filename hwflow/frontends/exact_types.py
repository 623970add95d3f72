# SPDX-License-Identifier: Apache-2.0
"""Make every type of an hls4ml graph explicit and exact.

hls4ml infers types where the configuration says ``auto`` and falls back to ``fixed<16,6>`` elsewhere, which
drops QKeras activations, wraps accumulators and truncates slopes without a word. :func:`set_exact_types` runs
before hls4ml's own passes and leaves nothing to infer:

- constants lie on their quantizer's grid, whatever the quantizer (a scale that is a power of two moves into
  the type, so that no scaling layer appears);
- accumulators hold the exact sum for these very weights and every input code;
- an activation quantizer becomes the cast of its own node, with QKeras' rounding and saturation;
- all other results are exact unless the configuration names another type for the layer; a layer of a float
  model has ``Model.Precision``, as in hls4ml.

What each layer type needs stands in its operation's ``types``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import deepcopy
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwflow.errors import ConfigError, UnsupportedLayerError, UserError
from hwflow.formats import Format
from hwflow.frontends.hls4ml_types import to_cast, to_precision
from hwflow.frontends.hls_config import (
    LAYER_KEYS,
    PARALLEL_KEY,
    LayerInfo,
    check_config,
    is_auto,
    own_setting,
    precision,
    setting,
)
from hwflow.numerics.codes import cast_values, from_codes, to_codes
from hwflow.numerics.fixed import Cast, FixedType, WidthError
from hwflow.numerics.quantizers import MAX_WEIGHT_BITS, constant_type, holds
from hwflow.ops.base import OpSpec
from hwflow.ops.distributed import STRATEGY
from hwflow.ops.matvec import LATENCY
from hwflow.ops.registry import op_for_hls4ml
from hwflow.ops.reuse import PARALLEL, divisors, show_legal

if TYPE_CHECKING:
    from hls4ml.model.graph import ModelGraph
    from hls4ml.model.layers import Layer

logger = logging.getLogger(__name__)

MAX_EXACT_BITS = 63
"""Widest exact result before its cast: what the golden model computes without loss in 64-bit integers."""
MAX_RESULT_BITS = 53
"""Widest result: what a double, csim's border type, holds exactly."""
MAX_FORMAT_BITS = 40
"""Widest weights, as fixed point, of a format that stores them in fewer."""
MAX_COPIES = 7
"""Readers of a stream that hls4ml's ``clone_stream`` serves."""
FLOAT_RESULT_BITS = 30
"""Widest result that 'auto' gives a layer without quantizers; low bits beyond are cut, so that sums stay short."""


def check_layer_config(model: ModelGraph) -> bool:
    """Check the configuration against the layers of a freshly parsed graph; the pass that does not run twice.

    Raises
    ------
    UnsupportedLayerError
        With all layers that have no rule.
    ConfigError
        With all wrong keys.
    """
    nodes = list(model.graph.values())
    strange = [node for node in nodes if op_for_hls4ml(_split_class(node)) is None]
    if strange:
        raise UnsupportedLayerError(
            [f"{node.name} ({node.class_name}): no hardware for this layer type" for node in strange],
            "`hwflow check` lists what is supported",
        )
    # Passes add entries for the layers they make: not to the user's own dictionary.
    config = model.config.config["HLSConfig"] = deepcopy(model.config.config["HLSConfig"])
    check_config(config, [layer_info(node.name, type(node), node.attributes) for node in nodes])
    return True


def _split_class(node: Layer) -> str:
    """The class of the layers that a separable convolution is split into, or the layer's own."""
    return str(node.class_name).replace("Separable", "Depthwise")


def set_exact_types(model: ModelGraph) -> bool:
    """Set all types, reuse factors and strategies of a freshly parsed graph.

    Parameters
    ----------
    model : ModelGraph
        Graph before hls4ml's own passes ran; changed in place, its configuration too, so that nodes that
        later passes create anew under the same name get the same types.

    Raises
    ------
    ConfigError
        With all layers whose types or reuse factors cannot be had.
    """
    config = model.config.config["HLSConfig"]
    layers = [_LayerTypes(node, config) for node in model.graph.values()]
    problems = [
        problem
        for layer in layers
        if (spec := op_for_hls4ml(layer.node.class_name)) and (problem := _problem_of(layer, spec))
    ]
    problems += [*_merged_outputs(model), *_crowded_streams(model)]
    if problems:
        raise ConfigError(
            f"{len(problems)} layer(s) cannot be built as configured:"
            + "".join(f"\n  - {problem}" for problem in problems),
            "change the keys of these layers under HLSConfig, or their quantizers",
        )
    return True


def _problem_of(layer: _LayerTypes, spec: OpSpec) -> str:
    """Set the types and the folding of a layer; why that failed, or nothing."""
    try:
        layer.set_result(spec.types(layer))
        layer.set_folding(spec.legal_reuse(layer.node), spec.parallel)
    except WidthError:
        return (
            f"{layer.node.name}: its exact results need more than {MAX_EXACT_BITS} bits; {layer.narrower()}"
        )
    except UserError as error:
        return f"{layer.node.name}: {error.message}"
    return ""


def _merged_outputs(model: ModelGraph) -> list[str]:
    """Outputs that would be one variable with another port: hls4ml removes layers that do nothing to their values."""
    taken = {name: f"the input {name!r}" for name in model.inputs}
    problems = []
    for output in model.outputs:
        node = model.graph[output]
        while _does_nothing(node):
            node = node.get_input_node()
        if node.name in taken:
            problems.append(
                f"{output}: it holds the same values as {taken[node.name]}; leave it out of the outputs"
            )
        taken[node.name] = f"the output {output!r}"
    return problems


def _crowded_streams(model: ModelGraph) -> list[str]:
    """Tensors that more layers read than hls4ml's C++ of streams has copies for."""
    if model.config.get_config_value("IOType") != "io_stream":
        return []
    problems = []
    for node in model.graph.values():
        readers = node.get_output_use_map()
        count = max(len(readers[output]) + (output in model.outputs) for output in node.outputs)
        if count > MAX_COPIES:
            problems.append(
                f"{node.name}: its result is read {count} times, and hls4ml's C++ copies a stream {MAX_COPIES} times "
                "at most; use IOType io_parallel, or fewer layers that read it"
            )
    return problems


def _does_nothing(node: Layer) -> bool:
    """Whether hls4ml removes a layer: a linear function of the same type, or another shape of the same array."""
    if node.class_name == "Activation":
        kinds = node.get_input_variable().type.precision, node.get_output_variable().type.precision
        return bool(node.get_attr("activation") == "linear" and kinds[0] == kinds[1])
    return bool(
        node.class_name == "Reshape" and node.model.config.get_config_value("IOType") == "io_parallel"
    )


def layer_info(name: str, layer_class: type[Layer], attributes: Mapping[str, Any]) -> LayerInfo:
    """What the configuration may say about a layer.

    Parameters
    ----------
    name : str
        Name of the layer.
    layer_class : type
        Its hls4ml class as the backend extends it, or without a backend.
    attributes : mapping
        What the Keras handler found out about it, ``class_name`` (of Keras) and quantizers among them.
    """
    from hls4ml.model.attributes import TypeAttribute

    known = [attribute for attribute in layer_class.expected_attributes if attribute.configurable]
    types = [attribute.name.removesuffix("_t") for attribute in known if isinstance(attribute, TypeAttribute)]
    types += [key.removesuffix("_quantizer") for key in attributes if key.endswith("_quantizer")]
    keys = [attribute.config_name for attribute in known if not isinstance(attribute, TypeAttribute)]
    base = layer_class.__bases__[0] if hasattr(layer_class, "_wrapped") else layer_class
    classes = dict.fromkeys((base.__name__, str(attributes.get("class_name"))))
    return LayerInfo(name, tuple(classes), tuple(types), (*LAYER_KEYS, *keys))


class _LayerTypes:
    """One node with what the configuration says about it (see :class:`hwflow.ops.frontend.LayerTypes`)."""

    def __init__(self, node: Layer, config: Mapping[str, Any]) -> None:
        self.node = node
        self.config = config
        self.info = layer_info(node.name, type(node), node.attributes)

    # -- what is there ---------------------------------------------------------------------------------

    def input_cast(self, index: int = 0) -> Cast:
        """Type of an input tensor, which an earlier node's rule has set."""
        return to_cast(self.node.get_input_variable(self.node.inputs[index]).type.precision)

    def input_type(self, index: int = 0) -> FixedType:
        return self.input_cast(index).type

    def given(self, kind: str, guess: Cast | None = None, *, named: bool = False) -> Cast | None:
        """The type the user gave; hls4ml's own guess in a generated configuration does not count."""
        text = precision(self.config, self.info, kind, named=named)
        if text is None:
            return None
        cast = Cast.parse(text)
        return None if cast == guess else cast

    def option(self, key: str) -> Any:
        return own_setting(self.config, self.info, key)

    def model_default(self) -> Cast:
        """``Model.Precision``, hls4ml's type for what cannot be inferred."""
        return to_cast(self.node.model.config.model_precision["default"])

    def is_quantized(self, name: str) -> bool:
        return self.node.weights[name].quantizer is not None

    # -- what is set -----------------------------------------------------------------------------------

    def set_result(self, cast: Cast) -> None:
        """Make the result type explicit."""
        if cast.type.width > MAX_RESULT_BITS:
            raise UserError(
                f"its exact result needs {cast.type.width} bits, {MAX_RESULT_BITS} are supported; give "
                "Precision.result or quantize its input"
            )
        self._set_type("result", self.node.get_output_variable().type, cast)

    def result(self, exact: FixedType, *, quantized: bool = True) -> Cast:
        if exact.width > MAX_EXACT_BITS:
            raise UserError(
                f"its exact results need {exact.width} bits, {MAX_EXACT_BITS} are computed at most; {self.narrower()}"
            )
        given = self.given("result")
        if given is not None:
            return given
        if is_auto(self.config, self.info, "result"):
            excess = max(0, exact.width - (MAX_RESULT_BITS if quantized else FLOAT_RESULT_BITS))
            return Cast(FixedType(exact.signed, exact.width - excess, exact.frac - excess))
        if not quantized:
            return self.model_default()
        return Cast(exact)

    def narrower(self) -> str:
        """Which precisions to lower where a result is too wide."""
        inputs = [
            f"Precision.result of {self.node.get_input_node(name).name!r} ({self.input_type(index).width} bits)"
            for index, name in enumerate(self.node.inputs)
        ]
        own = [
            f"Precision.{name} ({to_cast(variable.type.precision).type.width} bits)"
            for name, variable in self.node.weights.items()
        ]
        return f"lower {' or '.join(dict.fromkeys([*inputs, *own]))}"

    def set_accum(self, exact: FixedType) -> None:
        """Make the accumulator explicit, never narrower than the exact sum."""
        given = self.given("accum", named=True)
        if given is not None and not holds(given.type, exact):
            raise UserError(f"Precision.accum {given} cannot hold its exact sums, which need {exact}")
        self.set_type("accum", given or Cast(exact))

    def set_type(self, kind: str, cast: Cast) -> None:
        self._set_type(kind, self.node.types[f"{kind}_t"], cast)

    def _set_type(self, kind: str, named: Any, cast: Cast) -> None:
        named.precision = to_precision(cast)
        if kind != "result":
            named.name = f"{self.node.name.lower()}_{kind}_t"
        self._remember(kind, cast)

    def _remember(self, kind: str, cast: Cast) -> None:
        self.node.model.config.layer_name_precision[f"{self.node.name.lower()}_{kind}"] = str(cast)

    def set_constant(self, name: str, data: str, values: NDArray[np.float64], grid: FixedType) -> None:
        """Replace a constant tensor by its exact values, so that no later pass quantizes it again."""
        variable = self.node.weights[name]
        self.node.set_attr(f"{data}_data", values)
        self.node.set_attr(f"{data}_quantizer", None)
        self._remember(name, Cast(grid))
        self.node.add_weights_variable(
            name=name,
            var_name=variable.name,
            type_name=f"{self.node.name.lower()}_{name}_t",
            precision=to_precision(Cast(grid)),
            data=values,
        )

    def constant(self, name: str, data: str) -> tuple[NDArray[np.int64], FixedType]:
        """Quantize a constant tensor exactly; its codes and their grid."""
        variable = self.node.weights[name]
        quantizer = variable.quantizer
        if quantizer is not None:
            values = np.asarray(quantizer.quantizer_fn(np.float32(variable.data_unquantized)), np.float64)
            nominal = _fixed_or_none(quantizer.hls_type)
            guess = nominal or _written(quantizer.hls_type)
            given = self.given(data, guess, named=True) or self.given(name, guess, named=True)
            if given is not None:
                raise UserError(f"Precision.{name} {given} contradicts the quantizer of the model")
            form = getattr(quantizer.quantizer_fn, "format", None)
            if form is None:
                grid = constant_type(values, nominal.type if nominal else None)
            else:
                grid = self._format_grid(name, data, form, values)
        else:
            values = np.asarray(variable.data, np.float64)
            cast = self.given(name)
            grid = constant_type(values, None) if cast is None else cast.type
            if cast is None and grid is None:
                cast = self.model_default()
                grid = cast.type
            if cast is not None:
                values = from_codes(cast_values(values, cast), cast.type)
        if grid is None:
            raise UserError(
                f"its {name} values fit no fixed-point type of {MAX_WEIGHT_BITS} bits or less (a free float "
                "scale?); use alpha=1 or 'auto_po2', or round them to a grid"
            )
        self.set_constant(name, data, values, grid)
        return to_codes(values, grid), grid

    def _format_grid(self, name: str, data: str, form: Format, values: NDArray[np.float64]) -> FixedType:
        """Grid of weights in a number format, which the layer remembers."""
        grid = form.grid_of(values)
        if grid.width > MAX_FORMAT_BITS:
            raise UserError(
                f"its {name} values in {form} need {grid.width} bits in fixed point, {MAX_FORMAT_BITS} are supported; "
                "choose fewer exponent bits, or scale the layer's weights"
            )
        self.node.set_attr(f"{data}_format", str(form))
        return grid

    def set_folding(self, legal: list[int] | None, parallel: bool) -> None:
        """Check the folding and set what hls4ml reads: reuse and parallelization factor, strategy."""
        at_once = int(self.option(PARALLEL_KEY) or 1)
        if at_once > 1 and not parallel:
            raise UserError(f"{PARALLEL_KEY} {at_once} is for convolutions; leave it out")
        if legal is None:
            return
        # A separable convolution may name the factors of its two halves.
        half = "Depthwise" if self.node.class_name.startswith("Depthwise") else "Pointwise"
        factor = int(setting(self.config, self.info, "ReuseFactor", f"{half}ReuseFactor") or 1)
        if factor not in legal:
            raise UserError(f"ReuseFactor {factor} is not legal; legal are {show_legal(legal, factor)}")
        if at_once > 1:
            self._check_parallel(at_once, factor)
            self.node.set_attr(PARALLEL, at_once)
        hls_config, key = self.node.model.config, self.node.name.lower()
        strategy = self._strategy(factor)
        hls_config.layer_name_rf[key] = factor
        hls_config.layer_name_strategy[key] = strategy
        self.node.set_attr("reuse_factor", factor)
        self.node.set_attr("strategy", strategy)

    def _check_parallel(self, at_once: int, factor: int) -> None:
        """Refuse a parallelization factor that is more than a pixel a cycle, or that C++ or RTL cannot share out."""
        legal, reason = set(divisors(factor)), f"divide ReuseFactor {factor}"
        if self.node.model.config.get_config_value("IOType") == "io_parallel":
            pixels = prod(self.node.get_output_variable().shape[:-1])
            legal &= set(divisors(pixels))
            reason += f" and, for io_parallel, the {pixels} output pixels"
        if at_once not in legal:
            raise UserError(
                f"{PARALLEL_KEY} {at_once} is not legal; those that {reason} are: "
                f"{show_legal(sorted(legal), at_once)}"
            )

    def _strategy(self, factor: int) -> str:
        """The strategy asked for, unless hls4ml's C++ for it is missing or wrong.

        Adder graphs are hwflow's own: the C++ multiplies, to the same sums. In ``io_parallel`` there is none for
        depthwise layers, and that of convolutions mixes up the outputs once the reuse factor exceeds the products
        of one output. ``latency`` computes the same numbers.
        """
        node = self.node
        asked = str(setting(self.config, self.info, "Strategy") or "Resource").lower()
        ours = node.model.config.get_config_value("Backend").lower() == "hwflow"
        if asked == STRATEGY:
            if factor != 1:
                raise UserError(
                    f"ReuseFactor {factor} with Strategy {asked}: an adder graph works on a whole vector a cycle; "
                    "set ReuseFactor 1, or Strategy Resource"
                )
            if ours:
                return asked
            logger.info(
                "%s: hls4ml's C++ computes the sums of the adder graph with strategy latency", node.name
            )
            return LATENCY
        if ours or asked == LATENCY or node.model.config.get_config_value("IOType") != "io_parallel":
            return asked
        products = (
            node.get_attr("n_chan", 0) * node.get_attr("filt_height", 1) * node.get_attr("filt_width", 1)
        )
        if node.class_name.startswith("Depthwise") or ("Conv" in node.class_name and factor > products):
            logger.info(
                "%s: hls4ml has no correct %s C++ for this reuse factor; taking latency", node.name, asked
            )
            return LATENCY
        return asked


def _fixed_or_none(hls_type: Any) -> Cast | None:
    """Type a QKeras quantizer is named after; binary and power-of-two ones have none."""
    from hls4ml.model.types import FixedPrecisionType, IntegerPrecisionType

    return to_cast(hls_type) if isinstance(hls_type, FixedPrecisionType | IntegerPrecisionType) else None


def _written(hls_type: Any) -> Cast | None:
    """What a generated configuration says of a binary or power-of-two quantizer: the type of its codes."""
    from hls4ml.model.types import ExponentPrecisionType, XnorPrecisionType

    coded = isinstance(hls_type, ExponentPrecisionType | XnorPrecisionType)
    return Cast.parse(str(hls_type)) if coded else None
