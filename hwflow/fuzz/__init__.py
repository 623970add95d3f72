# SPDX-License-Identifier: Apache-2.0
"""Random networks through every rung of the verification ladder; what fails is shrunk and saved."""
