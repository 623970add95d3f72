# SPDX-License-Identifier: Apache-2.0
"""Resources of emitted accelerators, measured by open synthesis."""
