# SPDX-License-Identifier: Apache-2.0
"""What a network costs before it is built."""
