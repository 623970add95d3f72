# SPDX-License-Identifier: Apache-2.0
"""One format for several tensors, and what storing them all takes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from hwflow.errors import UserError
from hwflow.formats.base import Format

FLOAT_BITS = 32
"""Bits of a value before quantization, what compression rates refer to."""


def fit_groups(
    format_: Format, tensors: Mapping[str, ArrayLike], scope: str | Mapping[str, str] = "layer"
) -> dict[str, Format]:
    """Fit a format to the tensors of a network.

    Parameters
    ----------
    format_ : Format
        Format to fit, as its text form leaves it.
    tensors : mapping of str to array_like
        Tensors by name.
    scope : str or mapping of str to str
        ``layer``: parameters for each tensor; ``network``: the same for all; a mapping gives each tensor its group.

    Returns
    -------
    dict of str to Format
        The fitted format of each tensor; tensors of a group share one object.

    Raises
    ------
    UserError
        When a tensor has no group, or the format does not suit the values of a group.
    """
    if isinstance(scope, str):
        if scope not in ("layer", "network"):
            raise UserError(
                f"the scope {scope!r} is unknown", "choose layer, network, or give groups by name"
            )
        scope = {name: name if scope == "layer" else "the network" for name in tensors}
    missing = [name for name in tensors if name not in scope]
    if missing:
        raise UserError(f"{', '.join(missing)}: no group is given for {format_}", "name one for every tensor")
    members: dict[str, list[str]] = {}
    for name in tensors:
        members.setdefault(scope[name], []).append(name)
    fitted = {}
    for group, names in members.items():
        arrays = [np.asarray(tensors[name], dtype=np.float64) for name in names]
        values = arrays[0] if len(names) == 1 else np.concatenate([array.ravel() for array in arrays])
        fitted[group] = format_.fit(values, where=group)
    return {name: fitted[scope[name]] for name in tensors}


def stored_bits(formats: Mapping[str, Format], counts: Mapping[str, int]) -> int:
    """Bits of all tensors as they are stored; what formats share is stored once.

    Parameters
    ----------
    formats : mapping of str to Format
        Format of each tensor, as :func:`fit_groups` gives them.
    counts : mapping of str to int
        Number of values of each tensor.
    """
    once = {id(format_): format_.table_bits for format_ in formats.values()}
    return sum(format_.code_bits * counts[name] for name, format_ in formats.items()) + sum(once.values())


def compression_rate(formats: Mapping[str, Format], counts: Mapping[str, int]) -> float:
    """How much smaller the tensors are than as 32-bit floats ([Calzoni 2020], section 5.3.3)."""
    return FLOAT_BITS * sum(counts.values()) / stored_bits(formats, counts)


def network_rate(parameter_rate: float, feature_bits: int) -> float:
    """Rate of a whole network whose parameters and features are equally many ([Calzoni 2020], section 5.3.4).

    Examples
    --------
    >>> round(network_rate(8, 8), 2)
    5.33
    """
    return 2 / (1 / parameter_rate + feature_bits / FLOAT_BITS)
