# SPDX-License-Identifier: Apache-2.0
"""``Strategy: distributed_arithmetic`` from Keras to RTL: every layer of constant products, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwflow.errors import ConfigError
from hwflow.numerics.fixed import Cast

pytestmark = [pytest.mark.tf, pytest.mark.sim]

INPUT = Cast.parse("ap_fixed<6,2>")


def _network() -> Any:
    """A convolution, a depthwise one, a pointwise one and a dense layer, small enough for a quick solver."""
    import tensorflow as tf
    from qkeras import QActivation, QConv2D, QDense, QDepthwiseConv2D, quantized_bits
    from tensorflow.keras import Input, Model, layers

    bits = quantized_bits(4, 0, alpha=1)
    tf.keras.utils.set_random_seed(5)
    x = inputs = Input((5, 4, 2), name="pixels")
    x = QConv2D(3, 3, padding="same", kernel_quantizer=bits, bias_quantizer=bits, name="conv")(x)
    x = QActivation("quantized_relu(4,1)", name="relu")(x)
    x = QDepthwiseConv2D(2, depthwise_quantizer=bits, bias_quantizer=bits, name="depthwise")(x)
    x = QActivation("quantized_bits(5,2,alpha=1)", name="bits")(x)
    x = QConv2D(2, 1, kernel_quantizer=bits, use_bias=False, name="pointwise")(x)
    x = QActivation("quantized_relu(4,1)", name="relu2")(x)
    x = QDense(3, kernel_quantizer=bits, bias_quantizer=bits, name="dense")(layers.Flatten(name="flat")(x))
    return Model(inputs, x)


def _convert(backend: str, folder: Path, io_type: str = "io_stream", **model: Any) -> Any:
    from hwflow.frontends.keras_hls4ml import convert

    config = {"Model": {"ReuseFactor": 1, "Strategy": "distributed_arithmetic", **model}}
    return convert(
        _network(), backend=backend, hls_config=config, input_type=INPUT, io_type=io_type, clock_period=5.0,
        part="xc7z045ffg900-2", project_name="adders", output_dir=folder,
    )  # fmt: skip


def test_rtl_equals_hls4mls_cpp(tmp_path: Path) -> None:
    rtl, cpp = _convert("Hwflow", tmp_path / "rtl"), _convert("Vitis", tmp_path / "cpp")
    rtl.compile()
    cpp.compile()
    frames = np.random.default_rng(1).uniform(-2.2, 2.2, (12, 5, 4, 2)).astype(np.float32)
    assert np.array_equal(rtl.predict(frames), cpp.predict(frames))
    sources = (tmp_path / "rtl" / "rtl" / "filelist.f").read_text()
    assert sources.count("hwf_da_") == 4
    assert "hwf_mvu" not in sources


def test_a_reuse_factor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ReuseFactor 2 with Strategy distributed_arithmetic") as error:
        _convert("Hwflow", tmp_path, ReuseFactor=2)
    assert "pointwise" in str(error.value)


def test_other_strategies_reach_the_hardware_as_they_were_asked_for(tmp_path: Path) -> None:
    """In ``io_parallel``, too, where hls4ml's C++ of some layers must take another one."""
    from hwflow.frontends.lower import lower

    for strategy, expected in (("Latency", {"latency"}), ("Resource", {None})):
        for io_type in ("io_stream", "io_parallel"):
            graph = lower(
                _convert("Hwflow", tmp_path / strategy / io_type, io_type, Strategy=strategy), "net"
            )
            assert {node.attrs.get("strategy") for node in graph if "weight" in node.params} == expected
