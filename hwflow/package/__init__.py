# SPDX-License-Identifier: Apache-2.0
"""A verified accelerator as a folder that an engineer drops into a project."""
