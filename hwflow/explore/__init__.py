# SPDX-License-Identifier: Apache-2.0
"""Exploration of number formats and foldings: many designs weighed by prediction, the best of them proven."""
