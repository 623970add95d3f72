# SPDX-License-Identifier: Apache-2.0
"""QuantGraph → layers → memory plan → C99 for microcontrollers."""
