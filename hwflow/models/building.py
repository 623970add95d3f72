# SPDX-License-Identifier: Apache-2.0
"""Keras models built in a fraction of the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def without_autograph(build: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call what builds a Keras model; layers are not rewritten by AutoGraph unless one needs it.

    AutoGraph reads and rewrites the source of every class of layers, which takes longer than all else, and only matters
    where a layer branches on the value of a tensor. Such a layer says so, and the model is built the slow way then.

    Parameters
    ----------
    build : callable
        Builds the model; may be called twice.
    *args, **kwargs
        What it is given.
    """
    import tensorflow as tf

    plain: Callable[P, T] = tf.autograph.experimental.do_not_convert(build)
    try:
        return plain(*args, **kwargs)
    except tf.errors.OperatorNotAllowedInGraphError:
        return build(*args, **kwargs)
