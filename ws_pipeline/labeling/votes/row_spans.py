"""Rows in parallel: spans of rows, one thread each.

Numpy works outside Python's global lock, so threads are enough.  There are as many as numpy's own BLAS may
use: whatever limits those (OMP_NUM_THREADS, threadpoolctl) limits these too.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_info

T = TypeVar("T")

_MIN_ROWS = 2**14  # below, a thread costs more than it saves
_ALIGNMENT = 64


def map_spans(function: Callable[[int, int], T], n_rows: int) -> list[T]:
    """Call ``function(start, stop)`` for spans that make up 0..n_rows; return the results in order.

    The spans start at multiples of 64.  An error of an earlier span wins over that of a later one.
    """
    spans = split_rows(n_rows, n_threads())
    if len(spans) == 1:
        return [function(*spans[0])]
    with ThreadPoolExecutor(len(spans)) as pool:
        return list(pool.map(function, *zip(*spans, strict=True)))


def split_rows(n_rows: int, n_spans: int) -> list[tuple[int, int]]:
    """Cut 0..n_rows into at most ``n_spans`` spans of about equal length; at least one."""
    length = max(-(-n_rows // n_spans), _MIN_ROWS)
    length += -length % _ALIGNMENT
    return [(start, min(start + length, n_rows)) for start in range(0, n_rows, length)] or [(0, 0)]


def n_threads() -> int:
    """Number of threads that BLAS may use, at least 1."""
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
