"""Copies of data points, and keys that stand for their values.

A data point may be anything: a namespace, a dictionary, a row of a DataFrame.  Preprocessors write to it,
so they get a copy; memoized ones look its values up, so those need a key.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from ws_pipeline.errors import LabelingFunctionError

_PANDAS_OWN = frozenset({"_mgr", "_attrs", "_flags", "_name", "_item_cache", "_cacher", "_is_copy"})


def deep_copy(x: Any) -> Any:
    """Copy a data point with everything in it, but for texts parsed by spaCy.

    A Series keeps the fields that were set as attributes, which pandas itself leaves out.  Its strings
    may be replaced by objects of another type.  A parsed text is shared: a copy of it would have a copy
    of the model's whole vocabulary.
    """
    series = _as_series(x)
    if series is None:
        return _deep_copy_value(x, getattr(x, "__dict__", {}).values())
    values = series.to_numpy()
    if values.dtype == object:  # of pandas' own string type, too
        objects = np.empty(len(values), dtype=object)
        for position, value in enumerate(values):  # at once, numpy would look into lists of one length
            objects[position] = _deep_copy_value(value)
        copied = type(series)(objects, index=series.index, name=series.name, dtype=object)
    else:
        copied = series.copy()
    fields = {name: _deep_copy_value(value) for name, value in fields_beside(series).items()}
    return _with_fields(copied, fields)


def shallow_copy(x: Any) -> Any:
    """Copy a data point, but not what its fields refer to."""
    series = _as_series(x)
    return copy.copy(x) if series is None else _with_fields(series.copy(), fields_beside(series))


def fields_beside(series: Any) -> dict[str, Any]:
    """Fields of a row that were set as attributes, and are no items of the Series."""
    return {name: value for name, value in vars(series).items() if name not in _PANDAS_OWN}


def remove_fields(x: Any, fields: Mapping[str, Any]) -> None:
    """Remove from a row the fields beside its items that still have these values, the very objects."""
    found = fields_beside(x) if _is_series(x) else {}
    for name in found.keys() & fields.keys():
        if found[name] is fields[name]:
            object.__delattr__(x, name)


def fields_added(x: Any, before: Any) -> dict[str, Any]:
    """Fields that were set on a row as attributes, and that ``before`` does not have."""
    if not _is_series(x):
        return {}
    known = getattr(before, "__dict__", {})
    return {name: value for name, value in fields_beside(x).items() if name not in known}


def hashable(x: Any, *, exact: bool = False) -> Hashable:
    """Return something hashable that is equal for data points with equal values.

    Parameters
    ----------
    x
        Data point: something hashable, a namespace, a mapping, a Series (whose name is left out), a list,
        a tuple, a set, an array, an object with attributes, or one of these within another.
    exact
        Tell 1, 1.0 and True apart, and arrays of different shape or type; take NaN for equal to NaN.

    Raises
    ------
    LabelingFunctionError
        Something in it is none of these.

    Examples
    --------
    >>> hashable([8, {"a": "b"}])
    (8, frozenset({('a', 'b')}))
    >>> hashable([1]) == hashable([True]), hashable([1], exact=True) == hashable([True], exact=True)
    (True, False)
    """
    again: Callable[[Any], Hashable] = lambda part: hashable(part, exact=exact)  # noqa: E731
    if isinstance(x, np.ndarray) and x.dtype != object:
        return (x.dtype.str, x.shape, x.tobytes()) if exact else x.tobytes()
    if isinstance(x, list | tuple | np.ndarray):
        parts = tuple(map(again, x))
        return (type(x), parts) if exact else parts
    items = _items(x)
    if items is not None:
        fields = frozenset((key, again(value)) for key, value in items)
        return (type(x), fields) if exact else fields
    if isinstance(x, set):
        return frozenset(map(again, x))
    if not _is_hashable(x):
        message = (
            f"a {type(x).__name__} in the data point cannot be looked up in a cache; give the preprocessor "
            "a memoize_key, such as memoize_key=lambda x: x.id, or memoize=False"
        )
        raise LabelingFunctionError(message)
    if not exact:
        return x  # type: ignore[no-any-return]
    return (type(x), None if isinstance(x, float) and x != x else x)  # noqa: PLR0124  NaN


def _deep_copy_value(value: Any, parts: Iterable[Any] = ()) -> Any:
    """Copy a value, but not what spaCy made, be it the value itself or one of its parts."""
    shared = {id(part): part for part in (value, *parts) if type(part).__module__.startswith("spacy.")}
    return copy.deepcopy(value, shared)


def _items(x: Any) -> Any:
    """Names and values of a data point that has such, else None."""
    series = _as_series(x)
    if series is not None:
        return [*zip(series.index, series.tolist(), strict=True), *fields_beside(series).items()]
    if isinstance(x, Mapping):
        return x.items()
    if isinstance(x, SimpleNamespace) or (
        not _is_hashable(x) and type(x).__module__.split(".")[0] != "pandas"
    ):
        return getattr(x, "__dict__", {}).items() or None
    return None


def _as_series(x: Any) -> Any:
    """The Series that a row of a DataFrame is, or None for anything else; pandas need not be imported."""
    if hasattr(type(x), "ws_to_series"):
        return x.ws_to_series()
    is_series = any(
        kind.__name__ == "Series" and kind.__module__.startswith("pandas") for kind in type(x).__mro__
    )
    return x if is_series else None


def _is_series(x: Any) -> bool:
    return x is not None and _as_series(x) is x


def _with_fields(series: Any, fields: Mapping[str, Any]) -> Any:
    for name, value in fields.items():
        object.__setattr__(series, name, value)
    return series


def _is_hashable(x: Any) -> bool:
    try:
        hash(x)
    except TypeError:
        return False
    return True
