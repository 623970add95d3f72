# SPDX-License-Identifier: Apache-2.0
"""Work that runs ahead of its reader, a bounded number of items at a time."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(
    pool: Executor, work: Callable[[T], R], items: Iterable[T], window: int
) -> Iterator[tuple[T, Future[R]]]:
    """Items with their results, in order; at most ``window`` of them are under way.

    Unlike :meth:`concurrent.futures.Executor.map` it does not take all items at once.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as pool:
    ...     [future.result() for _, future in ahead(pool, abs, range(-3, 1), 2)]
    [3, 2, 1, 0]
    """
    source = iter(items)
    waiting = deque((item, pool.submit(work, item)) for item in itertools.islice(source, window))
    try:
        while waiting:
            yield waiting.popleft()
            waiting.extend((item, pool.submit(work, item)) for item in itertools.islice(source, 1))
    finally:
        for _, future in waiting:
            future.cancel()
