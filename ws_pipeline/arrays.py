"""Arrays from what callers give: lists, arrays, tensors, Series; ragged ones are refused in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ws_pipeline.errors import InvalidInputError


def as_array(values: Any, name: str, *, error: type[InvalidInputError] = InvalidInputError) -> NDArray[Any]:
    """Return ``values`` as an array, without a copy where they are one.

    Parameters
    ----------
    values
        An array, or anything that numpy makes one of.  Missing numbers of a pandas Series are NaN.
    name
        What they are called; opens the error message.
    error
        Class of the error.

    Raises
    ------
    InvalidInputError
        The rows have different lengths; names the first row that differs, and both lengths.
    """
    try:
        return np.asarray(_numbers_of_pandas(values))
    except ValueError as broken:
        if "inhomogeneous" not in str(broken):
            raise
        message = f"{name}: {_first_odd_row(values)}; give all rows the same length"
        raise error(message) from None


def _numbers_of_pandas(values: Any) -> Any:
    """Numbers of pandas, some missing, that numpy may take for objects, as floats; all else as it is."""
    kind = getattr(values, "dtype", None)
    if isinstance(kind, np.dtype) or not type(values).__module__.startswith("pandas"):
        return values
    is_number = getattr(kind, "kind", "O") in "iufb" and values.isna().any()
    return values.to_numpy(dtype=np.float64, na_value=np.nan) if is_number else values


def in_order(
    values: Any,
    keys: Sequence[Any],
    name: str,
    *,
    of: str,
    error: type[InvalidInputError] = InvalidInputError,
) -> Any:
    """Return the values of a dict or a pandas Series in the order of ``keys``; all others as they are.

    Parameters
    ----------
    values
        Dict or Series of a value for each key.  A Series that is numbered from 0 on has no keys.
    keys
        What the values are for, in the order that they are to have.
    name
        What the values are called; opens the error message.
    of
        What a key is, for the message.
    error
        Class of the error.

    Raises
    ------
    InvalidInputError
        A key without a value, or a value for something that is none of the keys.
    """
    by_key = _by_key(values)
    if by_key is None or list(by_key) in (list(keys), list(range(len(keys)))):
        return values if by_key is None else list(by_key.values())
    missing = [key for key in keys if key not in by_key]
    wanted = set(keys)
    unknown = [key for key in by_key if key not in wanted]
    if missing or unknown:
        message = f"{name} must have a value for each {of}, missing {missing}, unknown {unknown}"
        raise error(message)
    return [by_key[key] for key in keys]


def _by_key(values: Any) -> dict[Any, Any] | None:
    if isinstance(values, Mapping):
        return dict(values)
    is_series = type(values).__module__.startswith("pandas") and hasattr(values, "items") and values.ndim == 1
    return dict(zip(values.index.tolist(), values.tolist(), strict=True)) if is_series else None


def _first_odd_row(values: Any) -> str:
    shapes = [_shape(row) for row in values]
    odd = next(row for row, shape in enumerate(shapes) if shape != shapes[0] or shape == "ragged")
    differs = f", but row {odd} has {_words(shapes[odd])}" if odd else ""
    return f"row 0 has {_words(shapes[0])}{differs}"


def _shape(row: Any) -> tuple[int, ...] | str:
    try:
        return tuple(np.shape(row))
    except ValueError:
        return "ragged"


def _words(shape: tuple[int, ...] | str) -> str:
    if isinstance(shape, str):
        return "parts of different lengths"
    if not shape:
        return "one value that is no row"
    return f"{shape[0]} value(s)" if len(shape) == 1 else f"shape {list(shape)}"
