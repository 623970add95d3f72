# SPDX-License-Identifier: Apache-2.0
"""Activation tables as hls4ml's C++ fills them (``nnet_activation.h``): the same steps in the same precisions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwflow.numerics.codes import cast_values
from hwflow.numerics.fixed import Cast, Codes
from hwflow.numerics.libm import expf, single, tanhf

SELU_LAMBDA = 1.0507009873554804934193349852946
_SELU_ALPHA = 1.6732632423543772848170429916717


@dataclass(frozen=True, slots=True)
class TableFunction:
    """A tabulated function.

    Parameters
    ----------
    value : callable
        The function on ``float``, rounded to ``float``.
    span : int
        Width of the tabulated domain: ``-span/2 .. span/2``, or ``-span .. 0`` where only negative inputs are
        looked up.
    negative : bool
        Whether only negative inputs are looked up.
    """

    value: Callable[[float], float]
    span: int
    negative: bool = False

    def argument(self, index: int, size: int) -> float:
        """Argument of a table entry, a ``float``."""
        if self.negative:
            return single(-float(self.span) * index / float(size))
        return single(self.span * (index - float(size) / 2.0) / float(size))

    def codes(self, size: int, cast: Cast) -> Codes:
        """The table's codes in its type."""
        values = [self.value(self.argument(index, size)) for index in range(size)]
        return cast_values(np.array(values), cast)


#: By the name that hls4ml's layers carry, in lower case.
FUNCTIONS = {
    "sigmoid": TableFunction(lambda x: single(1.0 / single(1.0 + expf(-x))), 16),
    "tanh": TableFunction(tanhf, 8),
    "softplus": TableFunction(lambda x: single(math.log(expf(x) + 1.0)), 16),
    "softsign": TableFunction(lambda x: single(x / (abs(x) + 1.0)), 16),
    "elu": TableFunction(lambda x: single(expf(x) - 1.0), 8, negative=True),
    "selu": TableFunction(lambda x: single(SELU_LAMBDA * (_SELU_ALPHA * (expf(x) - 1.0))), 8, negative=True),
}
