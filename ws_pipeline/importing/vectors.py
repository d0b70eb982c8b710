"""Vectors of an export, such as embeddings, as a column of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa


def feature_vectors(values: Sequence[Any]) -> pa.Array | None:
    """Lists of finite numbers of one length as ``[n]`` lists of float32; None if they are something else."""
    if not all(isinstance(value, list) for value in values):
        return None
    try:
        with np.errstate(over="ignore"):  # becomes infinite, which is refused below
            matrix = np.array(values, dtype=np.float32)
    except (ValueError, TypeError):
        return None
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all():
        return None
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1])
