# SPDX-License-Identifier: Apache-2.0
"""Memory images for ``$readmemh``, named by their content."""

from __future__ import annotations

import hashlib

import numpy as np

from hwflow.ops.base import Memory


def memory_text(memory: Memory) -> str:
    """Hex words, one a line, lane 0 in the low bits.

    Examples
    --------
    >>> memory_text(Memory(np.array([[1, -1], [2, 3]]), 4))
    'f1\\n32\\n'
    """
    depth, lanes = memory.words.shape
    width = memory.lane_width
    # Bit planes of each code, low bit first, lanes one behind the other.
    bits = (memory.words[:, :, None] >> np.arange(width)) & 1
    digits = -(-lanes * width // 4)
    padded = np.zeros((depth, digits * 4), dtype=np.uint8)
    padded[:, : lanes * width] = bits.reshape(depth, lanes * width)
    nibbles = padded.reshape(depth, digits, 4) @ np.array([1, 2, 4, 8], dtype=np.uint8)
    text = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)[nibbles[:, ::-1]]
    lines = np.concatenate([text, np.full((depth, 1), ord("\n"), dtype=np.uint8)], axis=1)
    return bytes(lines.tobytes()).decode("ascii")


def memory_name(text: str, kind: str) -> str:
    """File name of a memory image: what it holds and the hash of its content."""
    return f"{kind}_{hashlib.sha256(text.encode()).hexdigest()[:16]}.mem"
