"""Group examples by their combination of labels, to look at errors.

Legend: n = examples, p = label arrays (gold labels, predictions of one model, of another, ...).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ws_pipeline.analysis.labels import as_labels
from ws_pipeline.arrays import as_array
from ws_pipeline.errors import InvalidInputError


def get_label_buckets(*y: ArrayLike) -> dict[tuple[int, ...], NDArray[np.int64]]:
    """Group examples by their combination of labels.

    Parameters
    ----------
    *y
        p label arrays, each ``[n]`` or ``[n, 1]``, integers.

    Returns
    -------
    dict
        Combination of p labels, in the order of the arguments -> positions, ascending, of the examples
        that have it.  Only combinations that occur are there, in order of first occurrence.

    Raises
    ------
    InvalidInputError
        No array, arrays of different lengths, or labels that are no integers.

    Examples
    --------
    >>> buckets = get_label_buckets([1, 1, 1, 0], [1, 1, -1, -1])
    >>> buckets[1, 1]
    array([0, 1])
    >>> (1, 0) in buckets
    False
    """
    columns = _label_columns(y)
    codes = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        # Codes are renumbered after every column, so they stay below n * n for any number of columns.
        values, inverse = np.unique(column, return_inverse=True)
        _, codes = np.unique(codes * len(values) + inverse, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    if not len(order):
        return {}
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    groups = sorted(np.split(order, starts[1:]), key=lambda rows: int(rows[0]))
    return {tuple(int(column[rows[0]]) for column in columns): rows for rows in groups}


def get_label_instances(bucket: tuple[int, ...], x: ArrayLike, *y: ArrayLike) -> NDArray[np.generic]:
    """Return the rows of ``x`` whose examples have one combination of labels.

    Parameters
    ----------
    bucket
        p labels, one per array of ``y``.
    x
        Data points ``[n, ...]``.
    *y
        p label arrays, each ``[n]`` or ``[n, 1]``, integers.

    Returns
    -------
    ndarray
        The rows of ``x``, in order, with its dtype; no rows when no example has this combination.

    Raises
    ------
    InvalidInputError
        Another number of arrays than of labels in ``bucket``, none, different lengths, or labels that
        are no integers.

    Examples
    --------
    >>> get_label_instances((1, 0), ["a", "b", "c"], [1, 1, 1], [1, 0, 0]).tolist()
    ['b', 'c']
    """
    if len(y) != len(bucket):
        message = (
            f"a bucket needs one label per label array: got bucket {tuple(bucket)} for {len(y)} label arrays"
        )
        raise InvalidInputError(message)
    columns = _label_columns(y)
    points = as_array(x, "x")
    n_rows = points.shape[0] if points.ndim else None
    if n_rows != len(columns[0]):
        message = f"x needs one row per label: got shape {list(points.shape)} for {len(columns[0])} labels"
        raise InvalidInputError(message)
    wanted = np.logical_and.reduce(
        [column == label for column, label in zip(columns, bucket, strict=True)], axis=0
    )
    instances: NDArray[np.generic] = points[wanted]
    return instances


def _label_columns(y: tuple[ArrayLike, ...]) -> list[NDArray[np.int64]]:
    columns = [as_labels(labels, f"label array {position}") for position, labels in enumerate(y)]
    if len({len(column) for column in columns}) != 1:
        found = [len(column) for column in columns] or "none"
        message = f"label arrays, at least one, must be of one length: got lengths {found}"
        raise InvalidInputError(message)
    return columns
