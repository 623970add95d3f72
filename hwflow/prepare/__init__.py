# SPDX-License-Identifier: Apache-2.0
"""Quantization of float models after training, and exact evaluation of quantized ones."""

from __future__ import annotations

from hwflow.prepare.exact import predict_exact
from hwflow.prepare.pipeline import PreparedModel, prepare

__all__ = ["PreparedModel", "predict_exact", "prepare"]
