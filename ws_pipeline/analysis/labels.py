"""Labels given by callers, checked: integers, one per example.

Legend: n = examples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ws_pipeline.arrays import as_array
from ws_pipeline.errors import InvalidInputError


def as_labels(labels: Any, name: str = "labels") -> NDArray[np.int64]:
    """Return labels as int64 ``[n]``.

    Parameters
    ----------
    labels
        ``[n]``, ``[n, 1]`` or ``[1, n]``: integers, booleans, or floats with integer values.
    name
        What they are called; opens the error message.

    Returns
    -------
    ndarray
        ``[n]`` int64.

    Raises
    ------
    InvalidInputError
        Another shape, another kind of values, or a value that is no integer (named with its row).
    """
    array = as_array(labels, name)
    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    if array.ndim != 1 or (array.dtype.kind not in "iubf" and array.size):
        message = (
            f"{name} must be integer labels of shape [n] or [n, 1], "
            f"got {array.dtype} of shape {list(array.shape)}"
        )
        raise InvalidInputError(message)
    if array.dtype.kind == "f":
        rows = np.flatnonzero(~(np.isfinite(array) & (array == np.round(array))))
        if len(rows):
            message = (
                f"{name} contains at least one non-integer value: {array[rows[0]]} in row {rows[0]} "
                f"({len(rows)} in all)"
            )
            raise InvalidInputError(message)
    return array.astype(np.int64)
