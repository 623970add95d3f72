# SPDX-License-Identifier: Apache-2.0
"""The operations hwflow knows, by name and by hls4ml class."""

from __future__ import annotations

from functools import cache

from hwflow.errors import UserError, did_you_mean
from hwflow.ops.activation import ActivationOp
from hwflow.ops.affine import AffineOp
from hwflow.ops.base import OpSpec
from hwflow.ops.concat import ConcatOp
from hwflow.ops.conv2d import Conv2dOp
from hwflow.ops.dense import DenseOp
from hwflow.ops.depthwise_conv2d import DepthwiseConv2dOp
from hwflow.ops.input import InputOp
from hwflow.ops.lookup import LookupOp
from hwflow.ops.merge import MergeOp
from hwflow.ops.minifloat import MinifloatOp
from hwflow.ops.pad import PadOp
from hwflow.ops.permute import PermuteOp
from hwflow.ops.piecewise import PiecewiseOp
from hwflow.ops.pool import PoolOp
from hwflow.ops.prelu import PreluOp
from hwflow.ops.reshape import ReshapeOp
from hwflow.ops.softmax import SoftmaxOp
from hwflow.ops.upsample import UpsampleOp

_SPECS: tuple[type[OpSpec], ...] = (
    InputOp,
    Conv2dOp,
    DepthwiseConv2dOp,
    DenseOp,
    ActivationOp,
    PiecewiseOp,
    MinifloatOp,
    LookupOp,
    SoftmaxOp,
    PreluOp,
    MergeOp,
    AffineOp,
    ConcatOp,
    PoolOp,
    PadOp,
    UpsampleOp,
    PermuteOp,
    ReshapeOp,
)


@cache
def ops() -> dict[str, OpSpec]:
    """All operations by name."""
    return {spec.name: spec() for spec in _SPECS}


def op(name: str) -> OpSpec:
    """The operation of that name.

    Raises
    ------
    UserError
        When there is none: names come with networks, and one that another version converted may hold others.
    """
    try:
        return ops()[name]
    except KeyError:
        raise UserError(
            f"this hwflow has no operation {name!r}, which the network holds; {did_you_mean(name, ops())}",
            "another version of hwflow converted the network; run its design again with --fresh",
        ) from None


def op_for_hls4ml(class_name: str) -> OpSpec | None:
    """The operation an hls4ml layer class lowers to, or None."""
    return next((spec for spec in ops().values() if class_name in spec.hls4ml_classes), None)
