# SPDX-License-Identifier: Apache-2.0
"""Chains of element-wise operations as one pass over memory, forward and backward.

What lies between convolutions – bias, PReLU, addition, quantization – is bound by memory, not by arithmetic. TensorFlow
makes several passes of each operation, and as many again for its gradient. XLA makes one loop of the whole chain; sums
over pixels, which it makes slowly on processors, are products with ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

#: Tensors of one shape, then vectors over their last axis; gives a tensor of that shape.
Function = Callable[[Sequence[Any], Sequence[Any]], Any]


@dataclass(frozen=True, slots=True)
class Chain:
    """A tensor that is still to be computed.

    Parameters
    ----------
    function : callable
        Element by element: what the tensor is.
    tensors : tuple of tf.Tensor, shape (n, ..., c)
        What it is computed from.
    vectors : tuple of tf.Tensor, shape (c,)
        Values a channel.
    """

    function: Function
    tensors: tuple[Any, ...]
    vectors: tuple[Any, ...] = ()

    @classmethod
    def of(cls, tensor: Any) -> Chain:
        """A tensor as it is."""
        return cls(_itself, (tensor,))

    def then(self, function: Callable[..., Any], *vectors: Any) -> Chain:
        """This chain, and a function of its result and of more vectors."""
        inner, known = self.function, len(self.vectors)
        return Chain(
            lambda t, v: function(inner(t, v[:known]), *v[known:]), self.tensors, (*self.vectors, *vectors)
        )

    def plus(self, other: Chain) -> Chain:
        """The sum of two."""
        first, second, tensors, vectors = self.function, other.function, len(self.tensors), len(self.vectors)
        return Chain(
            lambda t, v: first(t[:tensors], v[:vectors]) + second(t[tensors:], v[vectors:]),
            self.tensors + other.tensors,
            self.vectors + other.vectors,
        )

    def compute(self) -> tf.Tensor:
        """The tensor; its gradient computes the chain anew instead of keeping what lies between."""
        import tensorflow as tf

        function, count = self.function, len(self.tensors)
        if function is _itself:
            return self.tensors[0]

        def backward(tensors: Sequence[Any], vectors: Sequence[Any], dy: Any) -> Any:
            spread = [tf.broadcast_to(vector, tf.shape(dy)) for vector in vectors]
            with tf.GradientTape() as tape:
                tape.watch([*tensors, *spread])
                y = function(tensors, spread)
            return tape.gradient(y, [*tensors, *spread], dy)

        # Compilers for other devices want tools that TensorFlow's packages lack, and have less to gain.
        compiled = tf.function(autograph=False, jit_compile=not tf.config.list_physical_devices("GPU"))
        run, run_back = compiled(function), compiled(backward)

        def computed(*inputs: Any) -> tuple[Any, Callable[[Any], Any]]:
            tensors, vectors = list(inputs[:count]), list(inputs[count:])

            def gradient(dy: Any) -> list[Any]:
                found = run_back(tensors, vectors, dy)
                ones = tf.ones((1, tf.size(dy) // dy.shape[-1]))
                sums = [tf.matmul(ones, tf.reshape(d, (-1, dy.shape[-1])))[0] for d in found[count:]]
                return [*found[:count], *sums]

            return run(tensors, vectors), gradient

        return tf.custom_gradient(computed)(*self.tensors, *self.vectors)


def _itself(tensors: Sequence[Any], _: Sequence[Any]) -> Any:
    return tensors[0]


def total(chains: Sequence[Chain]) -> Chain:
    """The sum of some chains."""
    return reduce(Chain.plus, chains)
