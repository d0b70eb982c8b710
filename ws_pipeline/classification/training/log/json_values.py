"""Values of a run as JSON: settings of any kind, numpy and torch numbers, NaN and infinity.

Start reading at :func:`to_json`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import numbers
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date
from enum import Enum
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

from ws_pipeline.errors import InvalidInputError


def as_number(value: Any, what: str) -> int | float:
    """Return a number of Python, numpy or torch as an int or float of Python.

    Parameters
    ----------
    value
        A number, or an array or tensor of one element.
    what
        What it is; opens the error message.

    Raises
    ------
    InvalidInputError
        It is no number.
    """
    item = value
    if hasattr(value, "item"):
        with suppress(ValueError, RuntimeError):  # more than one element
            item = value.item()
    if isinstance(item, numbers.Integral):
        return int(item)
    if isinstance(item, numbers.Real):
        return float(item)
    message = f"{what} must be a number, got {value!r} ({type(value).__name__})"
    raise InvalidInputError(message)


def to_json(value: Any, where: str = "value") -> Any:
    """Return a value as what JSON has: objects, arrays, strings, finite numbers, true, false, null.

    Parameters
    ----------
    value
        Settings (pydantic or dataclass objects, named tuples), mappings, sequences, sets, paths, dates,
        enums, numbers, numpy arrays and torch tensors, nested as you like.
    where
        What it is; opens the error message.

    Returns
    -------
    Any
        Dicts with string keys, lists, str, int, float, bool, None.  NaN and infinities are strings.

    Raises
    ------
    InvalidInputError
        A value of another kind, named with its place.
    """
    convert = _conversion(value)
    if convert is not None:
        return to_json(convert(value), where)
    if isinstance(value, Mapping):
        return {_key(key, where): to_json(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item, f"{where}[{position}]") for position, item in enumerate(value)]
    if value is None or isinstance(value, str | int | float):
        return finite(value)
    message = f"{where}: cannot write {value!r} ({type(value).__name__}) as JSON; convert it first"
    raise InvalidInputError(message)


def to_json_text(value: Any, where: str, indent: int | None = None) -> str:
    """Return a value as JSON text that ends with a line break; see :func:`to_json`."""
    return json.dumps(to_json(value, where), indent=indent, ensure_ascii=False, allow_nan=False) + "\n"


def finite(value: Any) -> Any:
    """Return the value itself, or the name of a number that JSON does not have."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


_CONVERSIONS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Enum, lambda value: value.value),
    (BaseModel, lambda value: {name: getattr(value, name) for name in type(value).model_fields}),
    (PurePath, str),
    (date, lambda value: value.isoformat()),
    (set | frozenset, lambda value: sorted(value, key=repr)),
)


def _conversion(value: Any) -> Callable[[Any], Any] | None:
    """Find the function that turns a value into a plainer one; None when it is plain already."""
    for kind, convert in _CONVERSIONS:
        if isinstance(value, kind):
            return convert
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return lambda item: {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return lambda item: item._asdict()  # the public method of named tuples
    # numpy arrays and scalars, torch tensors
    return (lambda item: item.tolist()) if hasattr(value, "tolist") else None


def _key(key: Any, where: str) -> str:
    plain = to_json(key, f"key of {where}")
    if isinstance(plain, dict | list):
        message = f"{where}: the key {key!r} ({type(key).__name__}) has no JSON form; use strings"
        raise InvalidInputError(message)
    return plain if isinstance(plain, str) else json.dumps(plain)
