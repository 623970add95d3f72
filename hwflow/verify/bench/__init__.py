# SPDX-License-Identifier: Apache-2.0
"""cocotb benches. ``streams`` and ``simulate`` need no other part of hwflow: they travel with emitted RTL."""
