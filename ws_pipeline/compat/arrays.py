"""Small functions of label arrays and names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.errors import InvalidInputError
from ws_pipeline.labeling.functions.data_points import hashable


def to_int_label_array(X: npt.ArrayLike, flatten_vector: bool = True) -> npt.NDArray[np.int64]:
    """Turn labels of any number type into integers.

    Parameters
    ----------
    X
        Labels ``[n]`` or ``[n, 1]``, or any shape.
    flatten_vector
        Return ``[n]``.

    Raises
    ------
    InvalidInputError
        A label is no integer, or the labels are no vector.

    Examples
    --------
    >>> to_int_label_array([[1.0], [0.0]])
    array([1, 0])
    """
    array = np.asarray(X)
    strange = np.flatnonzero(~(np.mod(array, 1) == 0))
    if len(strange):
        message = f"labels must be integers, got the non-integer value {array.ravel()[strange[0]]}"
        raise InvalidInputError(message)
    labels: npt.NDArray[np.int64] = array.astype(np.int64)
    if not flatten_vector:
        return labels
    if sum(length != 1 for length in labels.shape) > 1:
        message = f"labels of shape {list(labels.shape)} do not fit into a 1d np.array"
        raise InvalidInputError(message)
    return labels.ravel()


def filter_labels(
    label_dict: Mapping[str, npt.NDArray[Any] | None], filter_dict: Mapping[str, Sequence[int]]
) -> dict[str, npt.NDArray[Any] | None]:
    """Leave rows out of all label sets where one of them has a certain label.

    Parameters
    ----------
    label_dict
        Labels ``[n]``, or probabilities ``[n, k]``, by name; None stays None.
    filter_dict
        Labels to leave out, by name.

    Examples
    --------
    >>> rows = {"golds": np.array([-1, 0, 1]), "preds": np.array([0, 0, -1])}
    >>> filter_labels(rows, {"golds": [-1], "preds": [-1]})["golds"]
    array([0])
    """
    given = {name: labels for name, labels in label_dict.items() if labels is not None}
    n = len(next(iter(given.values()), ()))
    kept = np.ones(n, dtype=np.bool_)
    for name, values in filter_dict.items():
        if name in given:
            kept &= ~np.isin(given[name], list(values)).reshape(n, -1).any(axis=1)
    return {name: None if labels is None else labels[kept] for name, labels in label_dict.items()}


def check_unique_names(names: Sequence[str]) -> None:
    """Refuse names of which two are the same.

    Raises
    ------
    InvalidInputError
        Names one, and how often it is there.
    """
    name, count = next(iter(Counter(names).most_common(1)), ("", 0))
    if count > 1:
        message = f"names must be unique, got {count} operators with name {name}"
        raise InvalidInputError(message)


def get_hashable(obj: Any) -> Hashable:
    """Return something hashable that is equal for equal data points; see :func:`.hashable`."""
    return hashable(obj)
