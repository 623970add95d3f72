# SPDX-License-Identifier: Apache-2.0
"""Studies of accuracy: many designs, trained or not, scored on one face set; tables and figures."""
