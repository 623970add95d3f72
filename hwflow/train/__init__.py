# SPDX-License-Identifier: Apache-2.0
"""Quantization-aware training of a prepared network, by distillation from the float one."""
