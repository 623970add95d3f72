# SPDX-License-Identifier: Apache-2.0
"""Networks, configurations and tolerances in the manner of hls4ml's own tests, a function a theme.

Every case becomes two: one for each I/O type, but for those that hls4ml itself has for one only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

IO_TYPES = ("io_parallel", "io_stream")
Config = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One model to convert, compile, run and compare.

    Parameters
    ----------
    theme : str
        What is tested.
    name : str
        Which variant.
    layers : callable
        Makes the model's layers in a row, or the whole model where it takes no shape.
    shape : tuple of int or None
        Input shape; None where ``layers`` makes the model.
    precision : str
        hls4ml's default precision.
    atol, rtol : float
        Tolerance against Keras.
    configure : callable, optional
        Changes the generated configuration.
    data : callable, optional
        Frames from a generator and a shape; uniform in 0..1 otherwise.
    io_types : sequence of str
        I/O types.
    compared : str
        With Keras: ``values``, the ``argmax``, or the ``trace`` of all layers.
    """

    theme: str
    name: str
    layers: Callable[[], Any]
    shape: tuple[int, ...] | None
    precision: str = "ap_fixed<32,9>"
    atol: float = 5e-3
    rtol: float = 0.0
    configure: Callable[[Config], None] | None = None
    data: Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]] | None = None
    io_types: Sequence[str] = IO_TYPES
    compared: Literal["values", "argmax", "trace"] = "values"

    @property
    def ident(self) -> str:
        """Theme and variant."""
        return f"{self.theme}-{self.name}"

    def model(self) -> Any:
        """The Keras model; its weights depend on nothing but the case."""
        import tensorflow as tf

        tf.keras.utils.set_random_seed(sum(self.ident.encode()))
        made = self.layers()
        if self.shape is None:
            return made
        inputs = x = tf.keras.Input(self.shape, name="inp")
        for layer in made if isinstance(made, list) else [made]:
            x = layer(x)
        return tf.keras.Model(inputs, x)

    def frames(self, model: Any, count: int) -> list[NDArray[np.float64]]:
        """Frames for each input."""
        rng = np.random.default_rng(len(self.ident))
        draw = self.data or (lambda rng, shape: rng.random(shape))
        return [draw(rng, (count, *tensor.shape[1:])) for tensor in model.inputs]


def cases() -> list[Case]:
    """All cases."""
    themes = (
        _dense, _activations, _conv1d, _conv2d, _depthwise, _separable, _pointwise, _pooling, _global_pooling, _merge,
        _concatenate, _batchnorm, _padding, _cropping, _upsampling, _softmax, _graph, _reshape, _qkeras, _types, _trace,
    )  # fmt: skip
    return [case for theme in themes for case in theme()]


def _layers() -> Any:
    import tensorflow as tf

    return tf.keras.layers


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Values beyond the range of small types, too."""
    return np.clip(rng.normal(0, 2, shape), -8, 7.9)


def _dense() -> Iterator[Case]:
    for strategy in ("Latency", "Resource"):
        for reuse in (1, 4):

            def configure(config: Config, strategy: str = strategy, reuse: int = reuse) -> None:
                for layer in config["LayerName"].values():
                    layer["Strategy"] = strategy
                config["LayerName"]["d1"]["ReuseFactor"] = reuse

            def layers() -> list[Any]:
                keras = _layers()
                return [keras.Dense(8, name="d1", activation="relu"), keras.Dense(4, name="d2")]

            yield Case(
                "dense",
                f"{strategy.lower()}-rf{reuse}",
                layers,
                (16,),
                "ap_fixed<16,6>",
                atol=0.05,
                configure=configure,
            )
    yield Case("dense", "no-bias", lambda: _layers().Dense(5, use_bias=False), (7,))
    yield Case("dense", "on-rows", lambda: _layers().Dense(3, name="d"), (6, 4))
    yield Case("dense", "on-pixels", lambda: _layers().Dense(3, name="d"), (4, 5, 3))


def _coarser(config: Config) -> None:
    """Another type, without which hls4ml removes a linear function, and nothing is left."""
    config["LayerName"]["act"]["Precision"]["result"] = "ap_fixed<14,8>"


def _activations() -> Iterator[Case]:
    functions = (
        "relu", "tanh", "sigmoid", "softplus", "softsign", "hard_sigmoid", "selu", "elu", "linear",
    )  # fmt: skip
    for name in functions:
        yield Case(
            "activation", name, lambda name=name: _layers().Activation(name, name="act"), (10,), "ap_fixed<18,8>",
            atol=0.05, data=_normal, configure=_coarser if name == "linear" else None,
        )  # fmt: skip
    classes: dict[str, Callable[[Any], Any]] = {
        "leaky": lambda keras: keras.LeakyReLU(alpha=0.25),
        "elu-class": lambda keras: keras.ELU(alpha=1.0),
        "thresholded": lambda keras: keras.ThresholdedReLU(theta=0.5),
        "relu-class": lambda keras: keras.ReLU(),
        "prelu": lambda keras: keras.PReLU(alpha_initializer="random_uniform"),
        "prelu-shared": lambda keras: keras.PReLU(alpha_initializer="random_uniform", shared_axes=[1, 2]),
    }
    for name, make in classes.items():
        shape = (5, 4, 3) if name == "prelu-shared" else (10,)
        yield Case(
            "activation",
            name,
            lambda make=make: make(_layers()),
            shape,
            "ap_fixed<18,8>",
            atol=0.05,
            data=_normal,
        )


def _conv1d() -> Iterator[Case]:
    for padding in ("same", "valid"):
        for strides in (1, 2):
            for strategy in ("Latency", "Resource"):

                def configure(config: Config, strategy: str = strategy) -> None:
                    config["LayerName"]["conv"]["Strategy"] = strategy

                def layers(padding: str = padding, strides: int = strides) -> list[Any]:
                    return [_layers().Conv1D(4, 3, strides=strides, padding=padding, name="conv")]

                yield Case(
                    "conv1d", f"{padding}-stride{strides}-{strategy.lower()}", layers, (12, 3), "ap_fixed<20,6>",
                    configure=configure,
                )  # fmt: skip


def _conv2d() -> Iterator[Case]:
    for padding in ("same", "valid"):
        for strides in (1, 2):
            for kernel in ((3, 3), (2, 3)):

                def layers(padding: str = padding, strides: int = strides, kernel: Any = kernel) -> list[Any]:
                    return [_layers().Conv2D(4, kernel, strides=strides, padding=padding, name="conv")]

                name = f"{padding}-stride{strides}-{kernel[0]}x{kernel[1]}"
                yield Case("conv2d", name, layers, (8, 7, 3), "ap_fixed<20,6>")


def _depthwise() -> Iterator[Case]:
    for padding in ("same", "valid"):
        for multiplier in (1, 2):

            def layers2d(padding: str = padding, multiplier: int = multiplier) -> Any:
                return _layers().DepthwiseConv2D(
                    3, padding=padding, depth_multiplier=multiplier, name="depth"
                )

            def layers1d(padding: str = padding, multiplier: int = multiplier) -> Any:
                return _layers().DepthwiseConv1D(
                    3, padding=padding, depth_multiplier=multiplier, name="depth"
                )

            yield Case("depthconv2d", f"{padding}-x{multiplier}", layers2d, (7, 6, 3), "ap_fixed<20,6>")
            yield Case("depthconv1d", f"{padding}-x{multiplier}", layers1d, (10, 3), "ap_fixed<20,6>")


def _separable() -> Iterator[Case]:
    for padding in ("same", "valid"):
        for strides in (1, 2):

            def layers2d(padding: str = padding, strides: int = strides) -> Any:
                return _layers().SeparableConv2D(4, 3, strides=strides, padding=padding, name="sep")

            def layers1d(padding: str = padding, strides: int = strides) -> Any:
                return _layers().SeparableConv1D(4, 3, strides=strides, padding=padding, name="sep")

            yield Case(
                "sepconv2d", f"{padding}-stride{strides}", layers2d, (7, 7, 3), "ap_fixed<16,6>", atol=0.05
            )
            yield Case(
                "sepconv1d", f"{padding}-stride{strides}", layers1d, (11, 3), "ap_fixed<16,6>", atol=0.05
            )


def _pointwise() -> Iterator[Case]:
    for strides in (1, 2):
        yield Case(
            "pointwise", f"2d-stride{strides}", lambda strides=strides: _layers().Conv2D(5, 1, strides=strides),
            (6, 6, 3), "ap_fixed<20,6>",
        )  # fmt: skip
        yield Case(
            "pointwise", f"1d-stride{strides}", lambda strides=strides: _layers().Conv1D(5, 1, strides=strides),
            (9, 3), "ap_fixed<20,6>",
        )  # fmt: skip


def _pooling() -> Iterator[Case]:
    for kind in ("Max", "Average"):
        for padding in ("valid", "same"):
            for strides in (None, 1):

                def layers1d(kind: str = kind, padding: str = padding, strides: Any = strides) -> Any:
                    return getattr(_layers(), f"{kind}Pooling1D")(3, strides=strides, padding=padding)

                def layers2d(kind: str = kind, padding: str = padding, strides: Any = strides) -> Any:
                    return getattr(_layers(), f"{kind}Pooling2D")(2, strides=strides, padding=padding)

                name = f"{kind.lower()}-{padding}-stride{strides or 'pool'}"
                yield Case("pooling1d", name, layers1d, (13, 4))
                yield Case("pooling2d", name, layers2d, (7, 8, 3))


def _global_pooling() -> Iterator[Case]:
    for kind in ("Max", "Average"):
        for rank, shape in ((1, (10, 4)), (2, (6, 5, 4))):

            def layers(kind: str = kind, rank: int = rank) -> Any:
                return getattr(_layers(), f"Global{kind}Pooling{rank}D")(keepdims=True)

            yield Case("globalpooling", f"{kind.lower()}{rank}d", layers, shape)


def _two_inputs(
    merge: Callable[[Any], Any], first: tuple[int, ...], second: tuple[int, ...], swap: bool
) -> Any:
    import tensorflow as tf

    a, b = tf.keras.Input(first, name="inp1"), tf.keras.Input(second, name="inp2")
    return tf.keras.Model([a, b], merge(_layers())([b, a] if swap else [a, b]))


def _merge() -> Iterator[Case]:
    for kind in ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"):
        for swap in (True, False):

            def configure(config: Config) -> None:
                config["LayerName"]["inp2"]["Precision"]["result"] = "fixed<20,5>"

            def model(kind: str = kind, swap: bool = swap) -> Any:
                return _two_inputs(lambda keras: getattr(keras, kind)(), (5, 4, 3), (5, 4, 3), swap)

            name = f"{kind.lower()}-{'swapped' if swap else 'straight'}"
            yield Case("merge", name, model, None, "ap_fixed<20,6>", atol=1e-3, configure=configure)
    yield Case(
        "merge", "dot", lambda: _two_inputs(lambda keras: keras.Dot(axes=1), (10,), (10,), False), None,
        "ap_fixed<20,6>", io_types=("io_parallel",),
    )  # fmt: skip


def _concatenate() -> Iterator[Case]:
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...], int]] = {
        "1d": ((10,), (8,), 1),
        "2d-axis1": ((3, 4), (5, 4), 1),
        "2d-axis2": ((6, 3), (6, 4), 2),
        "3d-axis1": ((3, 4, 2), (2, 4, 2), 1),
        "3d-axis3": ((4, 3, 2), (4, 3, 5), 3),
    }
    for name, (first, second, axis) in shapes.items():

        def model(first: Any = first, second: Any = second, axis: int = axis) -> Any:
            return _two_inputs(lambda keras: keras.Concatenate(axis=axis), first, second, False)

        yield Case("concatenate", name, model, None, "ap_fixed<20,6>")


def _batchnorm() -> Iterator[Case]:
    for center in (True, False):
        for scale in (True, False):

            def layers(center: bool = center, scale: bool = scale) -> list[Any]:
                keras = _layers()
                options = {"beta_initializer": "random_normal", "moving_mean_initializer": "random_normal"}
                return [
                    keras.Dense(6, name="dense"),
                    keras.BatchNormalization(center=center, scale=scale, name="norm", **options),
                ]

            yield Case(
                "batchnorm", f"center{center:d}-scale{scale:d}", layers, (8,), "ap_fixed<16,6>", atol=0.05
            )
    yield Case(
        "batchnorm", "alone", lambda: _layers().BatchNormalization(name="norm"), (6, 5, 3), "ap_fixed<16,6>"
    )


def _padding() -> Iterator[Case]:
    yield Case("zeropadding", "1d", lambda: _layers().ZeroPadding1D((3, 4)), (8, 4), "ap_fixed<24,4>")
    yield Case(
        "zeropadding", "2d", lambda: _layers().ZeroPadding2D(((1, 2), (3, 4))), (6, 8, 4), "ap_fixed<24,4>"
    )


def _cropping() -> Iterator[Case]:
    yield Case("cropping", "1d", lambda: _layers().Cropping1D((1, 2)), (8, 4), "ap_fixed<24,4>")
    yield Case("cropping", "2d", lambda: _layers().Cropping2D(((1, 2), (2, 1))), (6, 8, 4), "ap_fixed<24,4>")


def _upsampling() -> Iterator[Case]:
    yield Case("upsampling", "1d", lambda: _layers().UpSampling1D(2), (8, 4), "ap_fixed<24,4>")
    yield Case("upsampling", "2d", lambda: _layers().UpSampling2D((2, 3)), (6, 5, 4), "ap_fixed<24,4>")


def _softmax() -> Iterator[Case]:
    for strategy in ("stable", "latency", "argmax"):
        for bits in ("16,6", "9,6"):

            def configure(config: Config, strategy: str = strategy, bits: str = bits) -> None:
                config["LayerName"]["softmax"]["Strategy"] = strategy
                config["LayerName"]["inp"]["Precision"]["result"] = f"fixed<{bits}>"

            yield Case(
                "softmax", f"{strategy}-{bits.replace(',', '.')}",
                lambda: _layers().Activation("softmax", name="softmax"), (8,),
                "ap_fixed<16,6>", configure=configure, data=_normal, compared="argmax",
            )  # fmt: skip


def _graph() -> Iterator[Case]:
    def residual() -> Any:
        import tensorflow as tf

        keras = tf.keras.layers
        inputs = x = tf.keras.Input((6, 6, 3), name="inp")
        y = keras.Conv2D(3, 3, padding="same", name="conv1")(x)
        y = keras.Conv2D(3, 3, padding="same", name="conv2")(y)
        x = keras.Add(name="add")([x, y])
        return tf.keras.Model(inputs, keras.Dense(3, name="head")(keras.Flatten(name="flat")(x)))

    def branches() -> Any:
        import tensorflow as tf

        keras = tf.keras.layers
        inputs = x = tf.keras.Input((10,), name="inp")
        a = keras.Dense(4, name="a", activation="relu")(x)
        b = keras.Dense(3, name="b", activation="relu")(x)
        return tf.keras.Model(inputs, keras.Dense(2, name="head")(keras.Concatenate(name="cat")([a, b])))

    def two_outputs() -> Any:
        import tensorflow as tf

        keras = tf.keras.layers
        inputs = tf.keras.Input((9,), name="inp")
        x = keras.Dense(6, name="trunk", activation="relu")(inputs)
        return tf.keras.Model(inputs, [keras.Dense(3, name="left")(x), keras.Dense(2, name="right")(x)])

    def clone() -> Any:
        import tensorflow as tf

        keras = tf.keras.layers
        inputs = x = tf.keras.Input((5, 4, 2), name="inp")
        a, b = keras.ReLU(name="relu")(x), keras.Conv2D(2, 1, name="conv")(x)
        return tf.keras.Model(inputs, keras.Multiply(name="mul")([a, b]))

    def deep() -> Any:
        keras = _layers()
        return [keras.Dense(8, activation="relu", name=f"d{number}") for number in range(4)]

    yield Case("graph", "residual", residual, None, "ap_fixed<16,6>", atol=0.05)
    yield Case("graph", "branches", branches, None, "ap_fixed<16,6>", atol=0.05)
    yield Case("graph", "two-outputs", two_outputs, None, "ap_fixed<16,6>", atol=0.05)
    yield Case("graph", "clone", clone, None, "ap_fixed<16,6>", atol=0.05)
    yield Case("graph", "multi-dense", deep, (6,), "ap_fixed<16,6>", atol=0.05)


def _reshape() -> Iterator[Case]:
    yield Case("reshape", "to-rows", lambda: _layers().Reshape((6, 4)), (24,), "ap_fixed<24,4>")
    yield Case("reshape", "to-pixels", lambda: _layers().Reshape((4, 3, 2)), (6, 4), "ap_fixed<24,4>")
    yield Case(
        "reshape", "flatten", lambda: [_layers().Flatten(), _layers().ReLU()], (4, 3, 2), "ap_fixed<24,4>"
    )
    yield Case("reshape", "repack", lambda: [_layers().Reshape((3, 4, 2)), _layers().Conv2D(3, 2)], (24,))
    yield Case("transpose", "2d", lambda: _layers().Permute((2, 1)), (5, 4), "ap_fixed<24,4>")
    yield Case("transpose", "3d", lambda: _layers().Permute((3, 1, 2)), (4, 3, 2), "ap_fixed<24,4>")


def _qkeras() -> Iterator[Case]:
    def dense(quantizer: Callable[[Any], Any]) -> Callable[[], Any]:
        def layers() -> Any:
            import qkeras

            return qkeras.QDense(
                6,
                kernel_quantizer=quantizer(qkeras),
                bias_quantizer=qkeras.quantized_bits(6, 1, alpha=1),
                name="dense",
            )

        return layers

    def inputs(config: Config) -> None:
        config["LayerName"]["inp"]["Precision"]["result"] = "fixed<10,2>"

    kernels: dict[str, Callable[[Any], Any]] = {
        "bits4": lambda q: q.quantized_bits(4, 0, alpha=1),
        "bits8": lambda q: q.quantized_bits(8, 1, alpha=1),
        "auto-po2": lambda q: q.quantized_bits(4, 0, alpha="auto_po2"),
        "ternary": lambda q: q.ternary(alpha=1),
        "binary": lambda q: q.binary(alpha=1),
        "po2": lambda q: q.quantized_po2(4, max_value=2),
    }
    for name, quantizer in kernels.items():
        # the input is cut to 10 bits, Keras reads it whole
        yield Case("qkeras-dense", name, dense(quantizer), (12,), configure=inputs, atol=0.1)

    activations: dict[str, Callable[[Any], Any]] = {
        "relu3": lambda q: q.quantized_relu(3, 1),
        "relu8": lambda q: q.quantized_relu(8, 3),
        "bits4": lambda q: q.quantized_bits(4, 1, alpha=1),
        "bits8": lambda q: q.quantized_bits(8, 2, alpha=1),
    }
    for name, make in activations.items():

        def layers(make: Callable[[Any], Any] = make) -> list[Any]:
            import qkeras

            return [
                dense(lambda q: q.quantized_bits(5, 1, alpha=1))(),
                qkeras.QActivation(make(qkeras), name="act"),
            ]

        yield Case("qkeras-activation", name, layers, (12,), configure=inputs, atol=0.6)

    def conv(kind: str) -> Callable[[], Any]:
        def layers() -> list[Any]:
            import qkeras

            weights = qkeras.quantized_bits(5, 0, alpha=1)
            if kind == "QDepthwiseConv2D":
                first = qkeras.QDepthwiseConv2D(3, depthwise_quantizer=weights, name="conv")
            elif kind == "QSeparableConv2D":
                first = qkeras.QSeparableConv2D(
                    4, 3, depthwise_quantizer=weights, pointwise_quantizer=weights, name="conv"
                )
            else:
                first = getattr(qkeras, kind)(
                    4,
                    3,
                    kernel_quantizer=weights,
                    bias_quantizer=qkeras.quantized_bits(8, 1, alpha=1),
                    name="conv",
                )
            return [first, qkeras.QActivation(qkeras.quantized_relu(6, 2), name="act")]

        return layers

    for kind in ("QConv2D", "QDepthwiseConv2D", "QSeparableConv2D", "QConv2DBatchnorm"):
        yield Case("qkeras-conv", kind, conv(kind), (7, 6, 3), configure=inputs, atol=0.1)
    yield Case("qkeras-conv", "QConv1D", conv("QConv1D"), (9, 3), configure=inputs, atol=0.1)


def _types() -> Iterator[Case]:
    for rounding in ("TRN", "TRN_ZERO", "RND", "RND_ZERO", "RND_INF", "RND_MIN_INF", "RND_CONV"):

        def round_it(config: Config, rounding: str = rounding) -> None:
            config["LayerName"]["act"]["Precision"] = {"result": f"fixed<10,5,{rounding},SAT>"}

        yield Case(
            "types", f"round-{rounding}", lambda: _layers().Activation("linear", name="act"), (12,), "ap_fixed<20,8>",
            atol=0.04, configure=round_it, data=_normal,
        )  # fmt: skip
    for overflow in ("SAT", "SAT_SYM"):

        def saturate(config: Config, overflow: str = overflow) -> None:
            config["LayerName"]["dense"]["Precision"]["result"] = f"fixed<12,5,RND,{overflow}>"

        yield Case(
            "types", f"overflow-{overflow}", lambda: _layers().Dense(4, name="dense"), (6,), "ap_fixed<20,6>",
            atol=0.02, configure=saturate,
        )  # fmt: skip


def _trace() -> Iterator[Case]:
    for activation in ("relu", None):

        def trace(config: Config) -> None:
            for layer in config["LayerName"].values():
                layer["Trace"] = True

        def layers(activation: str | None = activation) -> list[Any]:
            keras = _layers()
            return [keras.Dense(3, name="dense", activation=activation), keras.Activation("relu", name="act")]

        yield Case(
            "trace", str(activation), layers, (6,), "ap_fixed<16,6>", atol=0.05, rtol=0.01, configure=trace,
            compared="trace",
        )  # fmt: skip
