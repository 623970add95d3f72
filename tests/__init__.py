# SPDX-License-Identifier: Apache-2.0
"""Tests in Python. A package, so that no package of this name in the environment takes its place."""
